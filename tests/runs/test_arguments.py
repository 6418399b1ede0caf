"""What a run is given: values of another type get a sentence before anything is made; NumPy's numbers are numbers."""

from __future__ import annotations

import dataclasses
import fractions
import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.reproduction.cli.main import main
from gdas_lite.runs.config import plain_config
from gdas_lite.runs.device import pick_device
from gdas_lite.runs.schema import python_number
from gdas_lite.search.algorithms import Algorithm

CELL = gl.NASBench201Genotype(("skip_connect",) * 6)
SEARCH = gl.search_recipe("smoke", "nasbench201", "gdas", epochs=1, batch_size=32)
TRAINING = gl.training_recipe("smoke", "nasbench201", epochs=1, batch_size=32)


class Nothing:
    """An object of no use."""


ODD = ["", "x", b"8", None, math.nan, 1j, object, Nothing(), [], [1], {}, {"a": 1}, (), ("a",), [[None]], range(3)]


@pytest.fixture(scope="module")
def digits():
    data = gl.load_data("digits")
    parts = {part: getattr(data, part).subset(range(40)) for part in ("train", "train_half", "valid_half")}
    return replace(data, **parts, evaluation={"test": data.train.subset(range(20))})


def nameless():
    @dataclasses.dataclass(frozen=True)
    class Nameless(Algorithm):
        """Which no run folder can write down."""

    return Nameless()


def network(**sizes):
    return gl.network(CELL, **{"channels": 2, "cells_per_stage": 1, "classes": 10, "image_channels": 1} | sizes)


def search(images, /, **options):
    given = {"space": gl.NASBench201(2, 1), "data": images, "algorithm": gl.GDAS(), "recipe": SEARCH, "out": "run",
             "engine": "plain"} | options
    return gl.Search(given.pop("space"), given.pop("data"), given.pop("algorithm"), **given)


def training(images, /, **options):
    given = {"network": network(), "data": images, "recipe": TRAINING, "out": "run"} | options
    return gl.Training(given.pop("network"), given.pop("data"), **given)


@pytest.mark.parametrize("make, option, fine, more", [
    (search, "seed", (), ["0", 0.0, 0.5, True]), (search, "space", (), ["nasbench201", gl.NASBench201, CELL]),
    (search, "data", (), ["digits", CELL]), (search, "algorithm", (), ["gdas", gl.GDAS, SEARCH, CELL, gl.NASBench201(2, 1), nameless()]),
    (search, "recipe", (), [3, TRAINING]), (search, "device", (None,), ["tpu", "CPU", "cpu:x", "cuda:-1", "meta", 0.5]),
    (search, "stop_when", (None,), ["skips=2", gl.SkipLimit]), (search, "precision", (), [16]), (search, "engine", (), [3]), (search, "out", (None, "x"), [3, b"run"]),
    (training, "seed", (), ["0", 0.5, True]), (training, "data", (), ["digits", CELL]),
    (training, "network", (), [CELL, torch.nn.ReLU(), gl.network(gl.zoo_genotype("GDAS@recurrent"), 4, 9), gl.PlainRNN(4, 9)]), (training, "train_on", (), ["valid"]),
    (training, "recipe", (), [3, SEARCH]), (training, "evaluate_every", (), [0, -1, 0.5, True, "1"]),
    (training, "keep_weights", (), ["no", 1]), (training, "sync_batch_norm", (), ["no", 0]),
])
def test_a_value_of_another_type_gets_a_sentence_and_nothing_is_made(make, option, fine, more, digits, tmp_path,
                                                                     monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in (*ODD, *more):
        if any(value is each or (isinstance(value, str) and value == each) for each in fine):
            continue
        with pytest.raises(ValueError) as refused:
            make(digits, **{option: value})
        said = str(refused.value)
        assert option in said or "configuration cannot hold" in said, (value, said)
        assert "\n" not in said and len(said) < 300
        assert os.listdir() == [], value


@pytest.mark.parametrize("space", [gl.NASBench201(2, 1), gl.NASNet(2), gl.Recurrent(4)], ids=lambda space: space.name)
def test_what_is_no_cell_or_one_of_another_space_gets_a_sentence(space):
    cells = [CELL, gl.zoo_genotype("GDAS_V1"), gl.zoo_genotype("GDAS@recurrent")]
    for value in (*ODD, *(cell for cell in cells if cell.space != space.name)):
        with pytest.raises(ValueError, match=f"^genotype must be a .* of the space {space.name}, got"):
            space.mixtures(value)
    for value in ("GDAS_V1", *ODD):
        with pytest.raises(ValueError, match=r"^genotype must be a cell, such as gl.load_cell\('GDAS_V1'\), got"):
            gl.network(value)


def test_published_numbers_of_what_is_no_name():
    for field in ("name", "space", "data", "metric"):
        for value in (each for each in ODD if each is not None):
            with pytest.raises(KeyError, match=f"unknown {field}"):
                gl.published(**{field: value})


@pytest.mark.parametrize("number", [np.int64, np.uint8])
def test_whole_numbers_of_other_libraries_are_the_same_run(number, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = replace(SEARCH, epochs=number(1), batch_size=number(32))
    assert type(recipe.epochs) is int and recipe == SEARCH
    given = search(digits, space=gl.NASBench201(number(2), number(1)), recipe=recipe, seed=number(3),
                   algorithm=gl.GDAS(), stop_when=gl.SkipLimit(number(6))).run()
    given.close()
    plain = search(digits, seed=3, stop_when=gl.SkipLimit(6), out=None).run()
    again = gl.resume("run", digits)
    again.close()
    for name, value in plain.tensors().items():
        assert torch.equal(value, given.tensors()[name]) and torch.equal(value, again.tensors()[name]), name
    trained = training(digits, network=network(channels=number(2)), evaluate_every=number(1), seed=number(3),
                       recipe=replace(TRAINING, cutout=number(2)), out="trained").run()
    trained.close()
    gl.resume("trained", digits).close()
    assert gl.load_network("trained").settings == network().settings


def test_fractions_and_float32_become_python_numbers():
    recipe = replace(SEARCH, learning_rate=np.float32(0.5), momentum=fractions.Fraction(1, 2), nesterov=np.bool_(True),
                     alpha_betas=(np.float64(0.5), fractions.Fraction(3, 4)))
    values = (recipe.learning_rate, recipe.momentum, recipe.nesterov, *recipe.alpha_betas)
    assert values == (0.5, 0.5, True, 0.5, 0.75) and {*map(type, values)} == {float, bool}
    for kept in ("x", None, 2**70, [1, "a"], {"a": np.int64(1)}, 1.5, True):
        assert python_number(kept) == kept and type(python_number(kept)) is type(kept)


@pytest.mark.parametrize("base", [
    gl.GDAS(), gl.DARTS(), gl.RandomSearch(), gl.NASBench201(4, 1), gl.NASNet(4, cells=3), gl.Recurrent(4),
    gl.SkipLimit(2), gl.StableRanking(3), SEARCH, gl.search_recipe("smoke", "recurrent", "gdas"), TRAINING,
    gl.language_recipe("smoke", "grammar")], ids=lambda base: type(base).__name__)
def test_every_field_of_what_a_run_is_made_of(base):
    """With a value of another type each is refused in a sentence that names it, or the value was one of its kind."""
    for field in (field for field in dataclasses.fields(base) if field.init):
        now = getattr(base, field.name)
        for value in (*ODD, True, 10**30, -1, 0, 2.5, "8", math.inf):
            try:
                found = getattr(replace(base, **{field.name: value}), field.name)
            except ValueError as refused:
                said = str(refused)
                assert "\n" not in said and len(said) < 400, (field.name, value, said)
                assert field.name.rpartition("_")[2] in said or type(base).__name__ in said, (field.name, value, said)
                continue
            kinds = {type(found), type(now)}
            assert len(kinds) == 1 or kinds <= {int, float, type(None)} or kinds <= {list, tuple}, (field.name, value)


@pytest.mark.parametrize("options", [
    {"image_size": ["8", 8.5, None, True, math.nan, 10**9, -1]}, {"grey": ["no", 1, None]}, {"streamed": ["no", 1]},
    {"test_fraction": ["0.2", None, math.nan, math.inf, 1, True]}, {"on_error": [None, 3, []]},
    {"num_workers": ["2", 2.5, -1], "streamed": [True]}, {"upright": ["no", 1], "streamed": [True]},
    {"held_out": ["0.1", None, math.nan, 1]}, {"max_words": ["3", 2.5, math.nan, True, -1]}], ids=lambda options: next(iter(options)))
def test_options_of_data_that_are_of_another_type(options, tmp_path):
    (option, values), *rest = options.items()
    (tmp_path / "text.txt").write_text("a b c d e\n" * 200)
    (tmp_path / "train" / "cat").mkdir(parents=True)
    for value in values:
        with pytest.raises(ValueError, match=option) as refused:
            gl.load_data(tmp_path / "text.txt" if option in ("held_out", "max_words") else tmp_path,
                         **{option: value, **{name: other for name, (other,) in rest}})
        assert "\n" not in str(refused.value)
    assert gl.load_data(tmp_path / "text.txt", max_words=np.int64(4), held_out=np.float32(0.25)).vocabulary == 4


@pytest.mark.parametrize("name", [None, 3, 0.5, b"digits", ["digits"], {}])
def test_a_data_set_that_is_no_name(name):
    with pytest.raises(ValueError, match="there is no data set .*; give a name such as 'digits'"):
        gl.load_data(name)


def test_a_configuration_that_could_not_be_read_again_is_refused():
    for value in (Nothing(), np.arange(3), {1, 2}, b"x"):
        with pytest.raises(ValueError, match="a run's configuration cannot hold"):
            plain_config({"kind": "another", "value": value})
    kept = plain_config({"kind": "another", "value": (np.int64(1), np.float32(0.5))})
    assert kept == {"kind": "another", "value": [1, 0.5]}
    with pytest.raises(ValueError, match="the field recipe is missing"):
        plain_config({"kind": "search"})


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda:1' was asked for, but torch .* sees no CUDA GPU;"):
        pick_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for count, words in ((1, "sees 1 CUDA GPU;"), (2, "sees 2 CUDA GPUs;")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        assert pick_device("cuda") == torch.device("cuda")
        with pytest.raises(ValueError, match=words):
            pick_device(f"cuda:{count}")
    assert pick_device("cpu:0").type == "cpu"


def test_of_the_command_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--channels", "2", "--cells-per-stage", "1", "--recipe", "smoke", "--out", "a"]
    for words, sentence in ((["search", "nasbench201", *small, "--device", "tpu"], "there is no device 'tpu'"),
                            (["train", str(CELL), *small, "--evaluate-every", "0"], "evaluate_every must be at"),
                            (["train", ""], "cell is empty; give a value or leave it out"),
                            (["search", "nasbench201", *small, "--data", ""], "data is empty; give a value"),
                            (["search", "nasbench201", *small, "--stop-when", ""], "stop_when is empty; give"),
                            (["info", str(CELL), "--image-size", "-4"], "image_size must be at least 1"),
                            (["info", str(CELL), "--image-size", "0"], "image_size must be at least 1"),
                            (["info", str(CELL), "--image-size", "1000000000"], "and at most 100,000, a whole number"),
                            (["info", str(CELL), "--classes", "0"], "classes must be at least 2"),
                            (["info", str(CELL), "--image-channels", "0"], "image_channels must be at least 1"),
                            (["bench", "--limit", "nan", "--quick"], "limit must be > 0"),
                            (["bench", "--limit", "-1", "--quick"], "limit must be > 0"),
                            (["reproduce", "nothere"], "there is no folder 'nothere' with runs in it")):
        assert main(words) == 2
        assert sentence in (said := capsys.readouterr().err) and said.count("\n") == 1
    assert os.listdir() == []
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir(tmp_path / "gone")
    for words in (["doctor"], ["search", "nasbench201", *small], ["zoo"]):
        assert main(words) == 2
        assert capsys.readouterr().err == f"gdas-lite {words[0]}: this folder was deleted; cd to one that is there\n"
