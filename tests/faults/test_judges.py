"""The campaign's judges: a fault that is planted in the program is seen by each of them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from gdas_lite.data import folders
from gdas_lite.runs import folder, printing
from tests.faults import files, outputs, trees
from tests.faults.__main__ import at_rest
from tests.faults.injections import EQUAL, REFUSED, TRACEBACK, WRONG


@pytest.mark.parametrize("seed", range(2))
def test_hidden_pictures_that_are_read(seed, tmp_path, monkeypatch):
    assert trees.tree(tmp_path / "a", Random(seed), trees.hidden)[1] == EQUAL
    monkeypatch.setattr(folders, "_HIDDEN_FOLDERS", ("nothing",))
    assert trees.tree(tmp_path / "b", Random(seed), trees.hidden)[1] == WRONG


def test_a_prediction_that_reads_otherwise(tmp_path, monkeypatch):
    right = trees.reading_of
    monkeypatch.setattr(trees, "reading_of", lambda info: replace(right(info), shorter_side=trees.SIZE + 4))
    assert trees.tree(tmp_path, Random(0), trees.empty_folder)[1] == WRONG


def test_a_tree_that_must_be_refused_and_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "REFUSED_TREES", (trees.empty_folder,))
    assert trees.tree(tmp_path, Random(0), trees.empty_folder)[1] == WRONG


def test_a_history_that_is_not_compared_with_its_checkpoint(tmp_path, monkeypatch):
    whole = at_rest("training", 0, 2, tmp_path)
    monkeypatch.setattr(files, "CASES", ("training",))
    monkeypatch.setattr(files, "KINDS", ("history",))

    def found(name: str) -> set[str]:
        return {files.mutated(tmp_path / f"{name}{seed}", lambda case: whole, Random(seed))[1] for seed in range(6)}

    assert found("right") <= {EQUAL, REFUSED}
    monkeypatch.setattr(folder, "_check_belongs", lambda *_: None)
    assert found("wrong") & {TRACEBACK, WRONG}


def test_signs_that_are_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "WORDS", [["info", "GDAS_V1"]])
    monkeypatch.setattr(outputs, "ENCODINGS", ["ascii"])
    assert outputs.outputs(tmp_path, Random(0))[1] == EQUAL
    monkeypatch.setattr(printing, "printable", lambda text, stream: text)
    assert outputs.outputs(tmp_path, Random(0))[1] in (WRONG, TRACEBACK)


def test_a_value_with_a_line_break_is_refused_on_one_line(tmp_path, monkeypatch):
    whole = at_rest("training", 0, 2, tmp_path / "run")
    for field, value in (("classes", "a\nb"), ("image_channels", "a\nb"), ("channels", "a\nb" * 99)):
        monkeypatch.setattr(files, "_change", lambda content, draw, new={field: value}: (
            "size", content | {"settings": content["settings"] | new}))
        monkeypatch.setattr(files, "KINDS", ("export",))
        assert files.mutated(tmp_path / field, lambda case: whole, Random(0))[1] == REFUSED
