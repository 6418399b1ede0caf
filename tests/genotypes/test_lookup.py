"""`load_cell`: one cell from any of its names; nothing is evaluated, and what is no cell is refused in a sentence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdas_lite as gl
from gdas_lite.genotypes.lookup import find_cell, load_cell
from gdas_lite.runs.config import RunError

TEXT = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|skip_connect~2|"
CELL = gl.NASBench201Genotype.parse(TEXT)


@pytest.fixture(scope="module")
def digits():
    data = gl.load_data("digits")
    few = {"train": data.train.subset(range(64)), "train_half": data.train_half.subset(range(64)),
           "valid_half": data.valid_half.subset(range(64)), "evaluation": {"test": data.train.subset(range(32))}}
    return replace(data, **few)


@pytest.fixture(scope="module")
def a_search(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    search = gl.Search(gl.NASBench201(2, 1), digits, gl.GDAS(), recipe="smoke", out=folder).run()
    search.close()
    return folder, search


def test_an_architecture_string_is_parsed():
    assert load_cell(TEXT) == load_cell(f"  {TEXT}\n") == CELL
    assert find_cell(TEXT).name == "cell312401"     # six columns: a name for a folder, different for each cell


@pytest.mark.parametrize("cell", [CELL, gl.zoo_genotype("GDAS_V1"), gl.zoo_genotype("GDAS_F1"),
                                  gl.zoo_genotype("DARTS_V1@recurrent")], ids=lambda cell: cell.space)
def test_a_cell_of_every_space_as_json_text_and_as_file(cell, tmp_path):
    text = json.dumps(cell.to_json())
    file = tmp_path / "found.json"
    file.write_text(text)
    assert load_cell(text) == load_cell(file) == load_cell(str(file)) == cell
    assert find_cell(file).name == "found"


def test_zoo_names_and_aliases_and_spaces():
    assert load_cell("GDAS_V1") == gl.zoo_genotype("GDAS_V1")
    assert load_cell("DARTS_V1@recurrent").space == "recurrent" and load_cell("DARTS_V1").space == "nasnet"
    found = find_cell("GDAS_V1")
    assert found.entry is gl.zoo_entry("GDAS_V1") and found.search is None and "zoo" in found.origin


def test_a_zoo_name_goes_before_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "GDAS_V1").write_text(TEXT)
    assert load_cell("GDAS_V1").space == "nasnet"
    assert load_cell("./GDAS_V1") == CELL


@pytest.mark.parametrize("name", ["GDAS_V1", "resnet", "403143", "1234", "DARTS@recurrent", " x"])
def test_a_path_is_no_name(name, tmp_path, monkeypatch):
    """Path("./GDAS_V1") is Path("GDAS_V1"): what stands in a folder is looked at with no way to write the ./ of a text."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyError, match="no file or folder here"):
        load_cell(Path(name))
    Path(name).write_text(TEXT)
    assert [load_cell(path) for path in (*Path().iterdir(), Path("./", name), tmp_path / name)] == 3 * [CELL]


def test_a_search_gives_the_cell_of_its_last_epoch(a_search):
    folder, search = a_search
    found = find_cell(folder)
    assert found.genotype == search.genotype
    assert found.search == folder and "after 2 of 2 epochs" in found.origin


def test_a_search_under_way_whose_last_line_is_half_written(a_search, tmp_path):
    folder, search = a_search
    copy = shutil.copytree(folder, tmp_path / "copy")
    history = copy / "history.jsonl"
    lines = history.read_text().splitlines(keepends=True)
    history.write_text("".join(lines[:2]) + lines[2][:40])
    found = find_cell(copy)
    assert str(found.genotype) == search.history[0].genotype and "after 1 of 2 epochs" in found.origin
    history.write_text(lines[0])
    with pytest.raises(ValueError, match="has no cell yet, after 0 epochs; go on with it first"):
        load_cell(copy)
    history.write_text(lines[0] + "{torn}\n")
    with pytest.raises(ValueError, match=r"history\.jsonl is damaged"):
        load_cell(copy)


def test_random_search_has_a_cell_only_at_its_end(digits, tmp_path):
    search = gl.Search(gl.NASBench201(2, 1), digits, gl.RandomSearch(samples=2, selection_batch=16), recipe="smoke",
                       out=tmp_path)
    search.run_epoch()
    with pytest.raises(ValueError, match="no cell yet, after 1 epochs"):
        load_cell(tmp_path)
    search.run_epoch()
    assert str(load_cell(tmp_path)) == search.history[-1].genotype
    search.close()


def test_a_training_and_its_export(digits, tmp_path):
    from gdas_lite.training.export import export_network
    training = gl.Training(gl.network(CELL, 2, 1, 10, 1), digits, recipe=gl.training_recipe("smoke", "nasbench201", epochs=1),
                           out=tmp_path / "run").run()
    training.close()
    assert load_cell(tmp_path / "run") == CELL
    export_network(tmp_path / "run", tmp_path / "out")
    assert load_cell(tmp_path / "out") == CELL


@pytest.mark.parametrize("text, sentence", [
    ("GDAS_V9", r"no cell 'GDAS_V9': it is no architecture string, no file or folder here, and in the zoo did you mean"),
    ("no/such/run", "no file or folder here"),
    ("DARTS_V1@here", "no file or folder here"),
    ("", "no cell ''"),
    ("x" * 5000, "no file or folder here"),
    ("a\0b", "no file or folder here"),
])
def test_what_is_called_nothing(text, sentence):
    with pytest.raises(KeyError, match=sentence):
        load_cell(text)


def test_folders_and_files_that_are_no_cell(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        load_cell(tmp_path)
    for content, sentence in ((b"\xff\xfe\x00", "it is not text"), (b"print('x')", "holds no genotype: Genotype: expected"),
                              (b'{"space": "nasbench201"}', "holds no genotype: NAS-Bench-201 cell"),
                              (b" " * 500_000, "500,000 bytes, a genotype has some hundreds")):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(ValueError, match=sentence):
            load_cell(tmp_path / "file")


@given(st.text(max_size=60))
def test_any_text_is_a_cell_or_is_refused_in_a_sentence(text):
    try:
        found = load_cell(text)
    except (ValueError, KeyError, RunError) as problem:
        assert str(problem)
    else:
        assert load_cell(str(found)) == found


@pytest.mark.parametrize("wrong", [3, None, b"GDAS_V1", ["GDAS_V1"]])
def test_what_is_neither_text_nor_a_path_is_a_sentence(wrong):
    with pytest.raises(ValueError, match="^a cell is named by a text or a path, got"):
        load_cell(wrong)
