"""Files from elsewhere: whatever one field of them holds, they are read or refused in a sentence that names file and field."""

from __future__ import annotations

import copy
import functools
import gzip
import importlib.resources
import json
import math
import random
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdas_lite as gl
from gdas_lite.benchmark import files
from gdas_lite.data import embedded, official, splits
from gdas_lite.genotypes import zoo
from gdas_lite.genotypes.zoo import zoo_entry
from gdas_lite.lessons.failures import load_failures
from gdas_lite.lessons.laptop import laptop_runs
from gdas_lite.lessons.recorded import names, recorded
from gdas_lite.reproduction.cli.tables import protocols
from gdas_lite.reproduction.resume import rule_from_json
from gdas_lite.runs import shapes
from gdas_lite.runs.config import RunError, read_config, read_export
from gdas_lite.runs.schema import MIB, Range, check, parsed, read_bytes, read_json, sealed, text_of, unpacked
from gdas_lite.search.history import History
from gdas_lite.training.export import load_exported
from gdas_lite.training.history import TrainingRecord
from gdas_lite.training.language import LanguageRecord
from gdas_lite.training.loading import load_network

ARCH = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|skip_connect~2|"
SENTENCES = (ValueError, RunError, FileNotFoundError, KeyError, TypeError)
BAD = [None, [], {}, "x", "", True, -1, 0, 3, 2.5, 10**9, 10**400, math.nan, math.inf, [1], {"a": [None]}, ["x"] * 3,
"a\nb", [[]] * 2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A search, a training, a language training and an export, all tiny."""
    root, data = tmp_path_factory.mktemp("runs"), gl.load_data("digits")
    few = {"train": data.train.subset(range(64)), "train_half": data.train_half.subset(range(64)),
           "valid_half": data.valid_half.subset(range(64)), "evaluation": {"test": data.train.subset(range(32))}}
    data = replace(data, **few)
    gl.Search(gl.NASBench201(2, 1), data, gl.GDAS(), recipe="smoke", out=root / "search",
    stop_when=gl.SkipLimit(6)).run().close()
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=1)
    gl.Training(gl.network(gl.parse_genotype(ARCH), 2, 1, 10, 1), data, recipe=recipe, out=root / "training").run().close()
    gl.export_network(root / "training", root / "export")
    text = gl.load_data("grammar")
    text = replace(text, train=text.train[:900], valid=text.valid[:200], test=text.test[:200])
    model = gl.network(gl.zoo_genotype("DARTS_V1@recurrent"), 4, text.vocabulary)
    small = gl.language_recipe("smoke", epochs=1, batch_size=8, valid_batch=2, test_batch=2)
    gl.LanguageTraining(model, text, recipe=small, out=root / "language").run().close()
    return root, data, text


def places(value, at=()):
    """The place of every value in a JSON value."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*at, key))


def changed(value, at, new):
    """The same with another value at a place; new `...` removes it."""
    if not at:
        return new
    value = copy.copy(value)
    if len(at) == 1 and new is ...:
        del value[at[0]]
    else:
        value[at[0]] = changed(value[at[0]], at[1:], new)
    return value


def damages(value, seed, count):
    """`count` (what, damaged value), drawn from all places and bad values."""
    chance, found = random.Random(seed), [at for at in places(value) if at]
    for _ in range(count):
        at, new = chance.choice(found), chance.choice([..., *BAD])
        yield f"{'.'.join(map(str, at))} = {new!r:.40}", changed(value, at, new)


def unsealed(lines):
    """Lines of a history as versions wrote them that had no checks: with checks, these are all that a damaged one is told by."""
    return [{key: value for key, value in line.items() if key not in ("check", "config")} for line in lines]


def bare(content):
    """An object of a file as versions wrote it that had no checksum."""
    return {key: value for key, value in content.items() if key != "checksum"}


def write_config(run, config):
    """config.json, and such a history beside it."""
    (run / "config.json").write_text(json.dumps(config))
    history = run / "history.jsonl"
    history.write_text("".join(json.dumps(line) + "\n" for line in unsealed(map(json.loads, history.read_text().splitlines()))))


def is_sentence(problem):
    text = str(problem.args[0]) if problem.args else ""
    return text and "\n" not in text.strip() and len(text) < 700 and "subscriptable" not in text and "object has no" not in text


def tried(read, what):
    """A result, or None after a sentence; whatever else is raised is the fault that this looks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except SENTENCES as problem:
            assert is_sentence(problem), (what, problem)


@pytest.mark.parametrize("kind, seed", [("search", 0), ("search", 1), ("training", 2), ("language", 3),
("training", 4)])
def test_a_config_with_one_wrong_field_is_read_or_refused(folders, kind, seed, tmp_path):
    root, data, text = folders
    run = shutil.copytree(root / kind, tmp_path / "run")
    config, given_data = read_config(run), text if kind == "language" else data
    readers = [lambda: gl.load_cell(run), lambda: gl.resume(run, given_data).close(), lambda: History.read(run)]
    fill = functools.partial(gl.reproduction.fill, tmp_path, rows=())
    readers += [] if kind == "search" else [lambda: load_network(run)]
    for what, damaged in damages(config, seed, 40):
        write_config(run, damaged)
        for read in (*readers, fill):
            tried(read, what)
    (run / "config.json").write_text(json.dumps(config))
    shutil.copy(root / kind / "history.jsonl", run)
    gl.resume(run, given_data).close()


@pytest.mark.parametrize("seed", range(2))
def test_an_export_with_one_wrong_field_is_read_or_refused(folders, seed, tmp_path):
    export = shutil.copytree(folders[0] / "export", tmp_path / "export")
    content = bare(read_export(export))
    for what, damaged in damages(content, seed, 60):
        (export / "network.json").write_text(json.dumps(damaged))
        tried(lambda: load_exported(export), what)
        tried(lambda: gl.read_exported(export), what)
        tried(lambda: gl.load_cell(export), what)


@pytest.mark.parametrize("seed", range(2))
def test_a_history_with_one_wrong_field_is_read_or_refused(folders, seed, tmp_path):
    lines = unsealed(map(json.loads, (folders[0] / "search" / "history.jsonl").read_text().splitlines()))
    history = History.read(folders[0] / "search")
    for what, damaged in damages(lines, seed, 150):
        (tmp_path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in damaged))
        if (found := tried(lambda: History.read(tmp_path), what)) is not None and len(found) == len(history):
            assert {kind: alpha.shape for kind, alpha in found.alphas.items()} == {"cell": (2, 6, 5)}
            assert np.isfinite(found.column("seconds")).all()
    for text in ("[" * 100_000, "", "{}", "\0", '{"labels": 3}\n', '{"labels": {"cell": 3}}\n'):
        (tmp_path / "history.jsonl").write_text(text + "\n")
        with pytest.raises(ValueError, match="history"):
            History.read(tmp_path)


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (1,), (0, 1, 1), (0, 1, 0)])
def test_a_history_without_checks_whose_epochs_are_out_of_order(folders, order, tmp_path):
    head, *records = unsealed(map(json.loads, (folders[0] / "search" / "history.jsonl").read_text().splitlines()))
    file = tmp_path / "history.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in (head, *(records[number] for number in order))))
    with pytest.raises(ValueError, match="history.jsonl is damaged: its epochs are not 0, 1, 2 ... in order; epoch [01] "):
        History.read(tmp_path)


def test_a_history_whose_last_line_is_being_written_is_read_up_to_it(folders, tmp_path):
    content = (folders[0] / "search" / "history.jsonl").read_bytes()
    (tmp_path / "history.jsonl").write_bytes(content[:-30])
    assert len(History.read(tmp_path)) == 1


@pytest.mark.parametrize("cls, kind", [(TrainingRecord, "training"), (LanguageRecord, "language")])
def test_a_training_record_with_one_wrong_field_is_read_or_refused(folders, cls, kind):
    record = json.loads((folders[0] / kind / "history.jsonl").read_text().splitlines()[1])
    record.pop("check", None)
    assert cls.from_json(record).to_json() == record
    for what, damaged in damages(record, 0, 200):
        tried(lambda damaged=damaged: cls.from_json(damaged), what)
    with pytest.raises(ValueError, match="unknown field 'wings'"):
        cls.from_json(record | {"wings": 2})


def test_a_recorded_search_with_one_wrong_field_is_refused_or_the_same_search(tmp_path):
    name = "gdas-published-thumbnails-0"
    shipped = (files.FOLDER.parent / "lessons" / "recorded" / f"{name}.json.gz").read_bytes()
    content = bare(json.loads(gzip.decompress(shipped)))
    for what, damaged in damages(content, 0, 60):
        (tmp_path / f"{name}.json.gz").write_bytes(gzip.compress(json.dumps(damaged).encode(), 1))
        tried(lambda: recorded(name, tmp_path), what)


@pytest.mark.parametrize("damage, sentence", [
    (lambda c: c["space"].update(cells_per_stage=10**9), "space: cells_per_stage must be at most 1,000, a whole number"),
    (lambda c: c["space"].update(channels=10**9), "space: channels must be at most 4,096"),
    (lambda c: c["space"].update(channels="4"), "space: channels must be at most 4,096, a whole number, got '4'"),
    (lambda c: c["recipe"].update(epochs=10**9), "recipe.epochs must be at least 1 and at most 1,000,000"),
    (lambda c: c["recipe"].update(learning_rate=-1), "recipe: learning_rate must be at least 0"),
    (lambda c: c["recipe"].pop("epochs"), "the field recipe.epochs is missing"),
    (lambda c: c["algorithm"].update(name="enas"), "a search by the algorithm 'enas', which is not registered"),
    (lambda c: c["algorithm"].update(tau=3), "config.json is damaged or of another version: algorithm"),
    (lambda c: c["stop_when"].update(name="never"), "stop_when.name must be one of ranking, skips, got 'never'"),
    (lambda c: c.update(data=[1]), "data must be an object"), (lambda c: c.update(kind=["search"]), "of kind"),
])
def test_resuming_says_file_and_field(folders, damage, sentence, tmp_path):
    run = shutil.copytree(folders[0] / "search", tmp_path / "run")
    config = read_config(run)
    damage(config)
    write_config(run, config)
    before = (run / "history.jsonl").read_bytes()
    with pytest.raises(RunError, match=sentence) as caught:
        gl.resume(run, folders[1])
    assert str(run) in str(caught.value) and (run / "history.jsonl").read_bytes() == before


@pytest.mark.parametrize("settings, sentence", [
    ({"cells_per_stage": 10**9}, "cells_per_stage must be at most 1,000"),
    ({"channels": 10**12}, "channels must be at most"),
    ({"channels": 4_096, "cells_per_stage": 9}, "it would have .* parameters"), ({"wings": 1}, "wings"),
    ({"image_channels": 10**9}, "image_channels must be at most"), ({"classes": 10**12}, "classes must be at most"),
])
def test_a_size_that_only_a_damaged_file_asks_for_is_never_built(folders, settings, sentence, tmp_path):
    run = shutil.copytree(folders[0] / "training", tmp_path / "run")
    config = read_config(run)
    config["network"].update(settings)
    write_config(run, config)
    with pytest.raises(RunError, match=sentence):
        load_network(run)
    if "parameters" not in sentence:
        export = shutil.copytree(folders[0] / "export", tmp_path / "export")
        content = bare(read_export(export))
        content["settings"].update(settings)
        (export / "network.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"{sentence}|class names are given|image channels, but mean"):
            load_exported(export)


@pytest.mark.parametrize("make", [
    lambda size: gl.NASBench201(2, size), lambda size: gl.NASBench201(size, 1), lambda size: gl.NASNet(size),
    lambda size: gl.NASNet(4, cells=size),
    lambda size: gl.Recurrent(size), lambda size: gl.network(gl.zoo_genotype("GDAS_V1"), 4, size),
    lambda size: gl.network(gl.zoo_genotype("DARTS_V1@recurrent"), 4, size),
])
def test_sizes_of_spaces_and_networks_are_whole_numbers_within_reason(make):
    for size in (10**9, 2.5, "8", math.nan, True, [8]):
        with pytest.raises(ValueError, match="must be .*a whole number.* got "):
            make(size)


# --- tables ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_with_a_byte_order_mark(tmp_path, encoding):
    rows = "".join(f"{cell},50.0\n" for cell in gl.NASBench201Genotype.all())
    (tmp_path / "t.csv").write_text(f"arch,c10_test_200\n{rows}", encoding=encoding)
    assert len(gl.tabular("nasbench201", tmp_path / "t.csv")) == 15_625


def test_a_table_that_unpacks_to_more_than_tables_have_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", MIB)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"arch,c10_test_200\n" + b"0" * 8 * MIB))
    (tmp_path / "large.csv").write_bytes(b"0" * (MIB + 1))
    for name in ("bomb.csv.gz", "large.csv"):
        with pytest.raises(ValueError, match=f"{name} is larger than 1 MiB, which no file of its kind is"):
            gl.tabular("nasbench201", tmp_path / name)
    np.savez_compressed(tmp_path / "bomb.npz", index=np.zeros(2 * MIB), a=np.zeros(2))
    with pytest.raises(ValueError, match="bomb.npz: not a packed table .its arrays are larger than 1 MiB"):
        files.read_packed(tmp_path / "bomb.npz", {"a": 1})


def test_facts_of_a_packaged_table_are_checked(tmp_path):
    shutil.copy(files.FOLDER / "nasbench201.npz", tmp_path)
    facts = bare(json.loads((files.FOLDER / "nasbench201.json").read_text()))
    for what, damaged in damages(facts, 0, 60):
        (tmp_path / "nasbench201.json").write_text(json.dumps(damaged))
        tried(lambda: files.packaged("nasbench201", tmp_path), what)
    (tmp_path / "nasbench201.json").write_text(json.dumps(facts | {"parts": {"c10_test_200": 0}}))
    with pytest.raises(ValueError, match=r"nasbench201.json is damaged: parts.c10_test_200 must be at least 1"):
        files.packaged("nasbench201", tmp_path)


SEALED = [*(f"lessons/recorded/{name}.json.gz" for name in names()), "lessons/one_shot_scores.json.gz",
          "lessons/laptop_search.json", "benchmark/digits.json", "benchmark/nasbench201.json"]


@pytest.mark.parametrize("name", SEALED)
def test_a_changed_digit_in_a_file_of_the_package_is_noticed(name, tmp_path):
    """Any digit, wherever it stands: of an alpha, a seed, a date or the checksum."""
    whole, room, file = files.FOLDER.parent / name, name.split("/")[-2], tmp_path / name.rpartition("/")[2]
    text = unpacked(whole.read_bytes(), MIB, whole).decode()
    read = {"recorded": lambda: recorded(file.name.removesuffix(".json.gz"), tmp_path),
            "lessons": lambda: (load_failures if "scores" in name else laptop_runs)(file),
            "benchmark": lambda: files.packaged(file.stem, tmp_path)}[room]
    for table in files.FILES.values():
        (tmp_path / table).touch()
    write = (lambda text: file.write_bytes(gzip.compress(text.encode(), 1))) if file.suffix == ".gz" else file.write_text
    write(text)
    read()
    chance, digits = random.Random(name), [at for at, sign in enumerate(text) if sign.isdigit()]
    for at in chance.sample(digits, 12):
        write(text[:at] + str((int(text[at]) + chance.randint(1, 9)) % 10) + text[at + 1:])
        with pytest.raises(ValueError, match=f"{file.name}.*damaged.*install gdas_lite again") as refused:
            read()
        assert is_sentence(refused.value), (at, refused.value)


READERS = {     # what reads each of the other files of the package, past what it keeps
    "genotypes/zoo.json": zoo._entries.__wrapped__, "genotypes/published.json": zoo._results.__wrapped__,
    "data/official.json": official._official_sets, "data/nb201_splits.json": lambda: splits.nasbench201_split("cifar10"),
    "data/thumbnails.json": embedded._packaged, "genotypes/zoo_costs.json": zoo.costs.__wrapped__,
    "reproduction/cli/bench.json": protocols}


@pytest.mark.parametrize("name", READERS)
def test_so_it_is_in_those_that_are_read_where_they_lie(name, tmp_path, monkeypatch):
    whole = files.FOLDER.parent / name
    READERS[name]()
    for other in whole.parent.glob("*.xz"):
        (tmp_path / other.name).symlink_to(other)
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    text, file = whole.read_text(), tmp_path / whole.name
    chance, digits = random.Random(name), [at for at, sign in enumerate(text) if sign.isdigit()]
    changed = [text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1:] for at in chance.sample(digits, 4)]
    for damaged in (*changed, json.dumps(bare(json.loads(text))), "[]", text[:-9]):
        file.write_text(damaged)
        with pytest.raises(ValueError, match=f"{file.name} of gdas_lite is damaged.*; install gdas_lite again"):
            READERS[name]()


def test_every_json_file_of_the_package_has_its_checksum():
    found = [file.relative_to(files.FOLDER.parent).as_posix() for file in files.FOLDER.parent.rglob("*.json")]
    assert sorted(found) == sorted([name for name in SEALED if name.endswith(".json")] + [*READERS])
    for name in found:
        content = json.loads((files.FOLDER.parent / name).read_text(encoding="utf-8"))
        assert content == sealed(bare(content)), f"python benchmarks/seal.py gdas_lite/{name}"


def test_sealing_by_hand_keeps_the_layout(tmp_path):
    text = '{"a": [1,\n   2.50],\n "checksum": "0f0"\n}\n'
    file = tmp_path / "a.json"
    for before in (text, text.replace(',\n "checksum": "0f0"', "")):
        file.write_text(before)
        subprocess.run([sys.executable, files.FOLDER.parents[1] / "benchmarks" / "seal.py", file], check=True)
        assert file.read_text().startswith('{"a": [1,\n   2.50],\n "checksum": ') and read_json(file, dict)["a"] == [1, 2.5]


def test_a_field_that_stands_twice_is_refused_wherever_it_is(tmp_path):
    for text, name in (('{"a": 1, "a": 1}', "a"), ('{"b": [{"c": 1, "d": 2, "c": 3}]}', "c")):
        with pytest.raises(ValueError, match=f"it is damaged: it has the field '{name}' twice"):
            parsed(text, dict, "it")


def test_a_sealed_object_is_known_whatever_its_order_and_layout():
    content = {"b": (1, 2.5), "a": {10: "x", 9: None}}
    kept = sealed(content)
    assert list(kept["a"]) == ["10", "9"] and bare(kept) == {"b": [1, 2.5], "a": {"10": "x", "9": None}}
    for text in (json.dumps(kept), json.dumps(kept, indent=3), json.dumps(kept, sort_keys=True)):
        assert parsed(text, dict, "it") == kept
    for wrong in ({"b": [1, 2]}, {"c": 1}, {"checksum": None}, {"checksum": kept["checksum"][:-1]}):
        with pytest.raises(ValueError, match="^it is damaged: it was changed since it was written"):
            parsed(json.dumps(kept | wrong), dict, "it")


# --- the checker itself ---------------------------------------------------------------------------

json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
                           lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4))
SHAPES = [*shapes.CONFIGS.values(), shapes.EXPORT, shapes.EPOCH, shapes.TRAINING_EPOCH, shapes.RECORDED, shapes.ZOO,
shapes.PUBLISHED,
          shapes.LABELS, shapes.PACKED_TABLE]


@given(json_values, st.sampled_from(SHAPES))
def test_any_value_has_a_shape_or_a_sentence(value, shape):
    try:
        check(value, shape, "")
    except ValueError as problem:
        assert "\n" not in str(problem) and len(str(problem)) < 400


@given(json_values)
def test_what_is_parsed_is_what_was_written(value):
    text = json.dumps(value)
    try:
        found = parsed(text, (dict, list, str, float, bool, None), "it")
    except ValueError:
        assert isinstance(value, float) or (isinstance(value, int) and abs(value) > 1e300)     # nan, inf
    else:
        assert json.dumps(found) == text


@pytest.mark.parametrize("value, shape, sentence", [
    ({"a": {"b": 1}}, {"a": {"b": str}}, "a.b must be text, got 1"),
    ({"a": {}}, {"a": {"b": str}}, "the field a.b is missing"),
    ({"a": [1, "x"]}, {"a": [float]}, r"a\[1\] must be a finite number, got 'x'"),
    ({"a": 1}, {"a": {"b": int}}, "a must be an object"),
    ({"a": [1]}, {"a": [int, 2]}, "a must be a list of 2 values, got"),
    (True, float, "it must be a finite number, got True"),
    (1.0, int, "a whole number"), ("c", {"a", "b"}, "one of a, b, got 'c'"),
    (math.nan, float, "a finite number, got nan"),
    (-1, (Range(0), None), "at least 0, a finite number, or None, got -1"),
    ({"x": {"y": "z"}}, {str: {str: int}}, "x.y must be"),
])
def test_the_sentence_names_the_field(value, shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        check(value, shape, "")


def test_right_values_pass():
    check({"a": 1, "more": [], "c": None}, {"a": float, "b?": str, "c": (str, None)}, "")
    check([[1, 2], [3, 4]], [[int, 2]], "")
    check({}, {str: int}, "")
    for entry in (read_json(files.FOLDER / "nasbench201.json", shapes.PACKED_TABLE), zoo_entry("GDAS_V1"),
    gl.published("GDAS_V1")):
        assert entry


@pytest.mark.parametrize("rule", [3, {}, {"name": 3}, {"name": "skips", "limit": "x"}, {"name": "skips", "wings": 1},
{"name": "skips", "limit": 0}])
def test_a_damaged_stopping_rule_is_refused(rule):
    with pytest.raises(ValueError, match="stop_when|SkipLimit"):
        rule_from_json(rule)


def test_files_are_never_read_beyond_their_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert read_bytes(tmp_path / "a", 100) == b"x" * 100
    with pytest.raises(ValueError, match="is larger than"):
        read_bytes(tmp_path / "a", 99)
    (tmp_path / "a").write_bytes(gzip.compress(b"x" * 100_000))
    with pytest.raises(ValueError, match="is larger than"):
        read_bytes(tmp_path / "a", 50_000, packed=True)
    assert len(read_bytes(tmp_path / "a", 100_000, packed=True)) == 100_000
    assert text_of("\ufeffé".encode()) == text_of("é".encode("utf-16")) == text_of("é".encode("utf-32")) == "é"
    assert text_of("\ufeffé".encode("utf-32-be")) == text_of("\ufeffé".encode("utf-16-be")) == "é"
