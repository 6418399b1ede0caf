"""Exported networks: the same outputs bit for bit, readable by anyone, damaged ones refused."""

from __future__ import annotations

import functools
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import gdas_lite as gl
from gdas_lite.runs.schema import sealed
from gdas_lite.training.evaluation import evaluate
from gdas_lite.training.export import data_info, export_network, load_exported, predict_with, read_exported
from tests.runs.test_schema import bare, changed, tried

CELL = gl.NASBench201Genotype.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|skip_connect~2|")
NASNET = gl.zoo_genotype("GDAS_V1")


@pytest.fixture(scope="module")
def digits():
    data = gl.load_data("digits")
    test = data.evaluation["test"].subset(range(80))
    return replace(data, train=data.train.subset(range(160)), evaluation={"test": test})


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    run = gl.Training(gl.network(CELL, 4, 1, 10, 1), digits, recipe="smoke", out=tmp_path_factory.mktemp("run")).run()
    run.close()
    return run


@pytest.fixture
def exported(trained, digits, tmp_path):
    return export_network(trained, tmp_path / "net", data=digits)


def images(count, channels=1, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, size, size), generator=generator, dtype=torch.uint8)


def test_the_loaded_network_gives_the_same_outputs_and_accuracy(trained, exported, digits):
    network, description = load_exported(exported), read_exported(exported)
    assert not network.training and network.genotype == CELL and network.settings == trained.network.settings
    x = description.prepare(images(7))
    trained.network.eval()
    with torch.no_grad():
        assert torch.equal(network(x), trained.network(x))
    trained.network.train()
    assert evaluate(network, digits.evaluation["test"], digits) == trained.result["test"]
    assert description.scores["test"] == trained.result["test"].to_json()


def test_what_is_prepared_is_what_was_trained_on(exported, digits):
    from gdas_lite.data.images import Batches
    (x, _), = Batches(digits.evaluation["test"], digits, 80, augmentation=None).epoch(shuffle=False)
    assert torch.equal(read_exported(exported).prepare(digits.evaluation["test"].images), x)


def test_a_network_with_settings_of_numpy_is_exported(digits, tmp_path):
    network = gl.network(CELL, 4, 1, 10, 1)
    network.settings = {name: np.int64(value) for name, value in network.settings.items()}      # one of one's own may
    assert gl.load_exported(export_network(network, tmp_path / "net", data=digits)).settings == network.settings


def test_the_files_are_plain_and_complete(trained, exported, digits):
    assert {file.name for file in exported.iterdir()} == {"network.json", "weights.safetensors"}
    content = json.loads((exported / "network.json").read_text())
    assert content["genotype"] == CELL.to_json() and content["data"]["class_names"] == list(digits.class_names)
    weights = load_file(exported / "weights.safetensors")
    assert weights.keys() == trained.network.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in trained.network.state_dict().items())


def test_a_loaded_network_can_be_trained_on(exported, digits):
    network = load_exported(exported)
    run = gl.Training(network, digits, recipe="smoke", keep_weights=True)
    before = network.classifier.weight.detach().clone()
    run.run_epoch()
    assert not torch.equal(before, network.classifier.weight)


def test_export_from_a_run_folder_is_that_of_the_training(trained, exported, digits, tmp_path):
    again = export_network(trained.folder.path, tmp_path / "again", data=digits)
    for name in ("network.json", "weights.safetensors"):
        assert (again / name).read_bytes() == (exported / name).read_bytes()


def test_within_an_epoch_no_score_is_that_of_the_weights(digits, tmp_path):
    run = gl.Training(gl.network(CELL, 4, 1, 10, 1), digits, recipe="smoke")
    record = run.run_epoch()
    assert read_exported(export_network(run, tmp_path / "net")).scores == record.evaluation
    run.interrupt_when = lambda: True
    with pytest.raises(KeyboardInterrupt):
        run.run_epoch()
    assert run.epochs_done == 1 and read_exported(export_network(run, tmp_path / "net")).scores == {}


def test_the_auxiliary_head_stays_behind(tmp_path):
    network = gl.network(NASNET, channels=4, cells=3, classes=10, auxiliary=True).eval()
    data = replace_info(classes=10)
    folder = export_network(network, tmp_path / "net", data=data)
    loaded = load_exported(folder)
    assert loaded.settings["auxiliary"] is False and not hasattr(loaded, "auxiliary")
    x = read_exported(folder).prepare(images(3, 3, 16))
    with torch.no_grad():
        assert torch.equal(loaded(x), network.to(memory_format=torch.channels_last)(x))
    fixed = gl.network(gl.NASNetGenotype(normal=NASNET.normal, reduce=None), channels=4, cells=3).eval()
    again = load_exported(export_network(fixed, tmp_path / "fixed", data=data))
    with torch.no_grad():
        assert torch.equal(again(x), fixed.to(memory_format=torch.channels_last)(x))


def replace_info(classes):
    """Something with the constants of a colour data set of 16 pixels."""
    class Colours:
        name, image_size, mean, std = "colours", 16, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)
        class_names = tuple(f"class {label}" for label in range(classes))
    return Colours()


@pytest.mark.parametrize("genotype, settings, channels, size", [
    (CELL, {"channels": 4, "cells_per_stage": 1, "image_channels": 3}, 3, 16),
    (NASNET, {"channels": 4, "cells": 3}, 3, 16),
])
def test_a_program_runs_without_the_package_for_any_batch(genotype, settings, channels, size, tmp_path):
    torch.manual_seed(0)
    network = gl.network(genotype, **settings).to(memory_format=torch.channels_last).eval()
    folder = export_network(network, tmp_path / "net", data=replace_info(classes=10), program=True)
    program = torch.export.load(folder / "program.pt2").module()
    for count in (1, 5):
        x = read_exported(folder).prepare(images(count, channels, size))
        with torch.no_grad():
            torch.testing.assert_close(program(x), network(x), rtol=1e-4, atol=1e-5)
    text, whole = (folder / "network.json").read_text(), (folder / "program.pt2").read_bytes()
    (folder / "program.pt2").write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    with pytest.raises(ValueError, match="program.pt2 is damaged or of another export.*; remove it or export"):
        load_exported(folder)
    (folder / "program.pt2").unlink()
    load_exported(folder)
    (folder / "program.pt2").write_bytes(b"")
    old = {name: value for name, value in json.loads(text).items() if name not in ("checksum", "program_sha256")}
    (folder / "network.json").write_text(json.dumps(sealed(old)))     # as versions before this checksum wrote it
    load_exported(folder)
    export_network(network, folder, data=replace_info(classes=10))
    assert not (folder / "program.pt2").exists()        # an old program never stands beside new weights


def damage_json(folder, **changes):
    """As if an older version had written it so, which wrote no checksum."""
    file = folder / "network.json"
    file.write_text(json.dumps(bare(json.loads(file.read_text())) | changes))


@pytest.mark.parametrize("damage, error, sentence", [
    (lambda f: (f / "network.json").unlink(), FileNotFoundError, "holds no exported network"),
    (lambda f: (f / "weights.safetensors").unlink(), FileNotFoundError, "weights.safetensors is missing"),
    (lambda f: (f / "network.json").write_text("{"), ValueError, "network.json is damaged"),
    (lambda f: (f / "network.json").write_text("[]"), ValueError, "it must be an object, got"),
    (lambda f: damage_json(f, format="gdas-lite network 9"), ValueError, "format is 'gdas-lite network 9', not"),
    (lambda f: damage_json(f, genotype={"space": "nasbench201", "ops": ["none"]}), ValueError, "does not describe"),
    (lambda f: damage_json(f, scores=3), ValueError, "does not describe a network"),
    (lambda f: damage_json(f, settings={"classes": 10, "image_channels": 1, "wings": 2}), ValueError, "'wings'"),
    (lambda f: damage_json(f, settings={"classes": 10, "image_channels": 1, "channels": 3}), ValueError, "even"),
    (lambda f: damage_json(f, settings={"classes": 9, "image_channels": 1}), ValueError, "9 classes, but 10 class"),
    (lambda f: damage_json(f, settings={"classes": 10, "image_channels": 1, "channels": 2**20}), ValueError,
     "channels must be at most 4,096, a whole number, got 1048576"),
    (lambda f: damage_json(f, settings={"classes": 10, "image_channels": 1, "channels": 4}), ValueError,
     "weights are not those of the network in network.json"),
    (lambda f: (f / "weights.safetensors").write_bytes((f / "weights.safetensors").read_bytes()[:-9]), ValueError,
     "weights.safetensors is damaged or no safetensors"),
    (lambda f: save_file({"a": torch.zeros(1)}, f / "weights.safetensors"), ValueError, "damaged or of another export"),
])
def test_damaged_and_foreign_folders_are_refused(exported, damage, error, sentence):
    damage(exported)
    with pytest.raises(error, match=sentence):
        load_exported(exported)


def test_weights_of_other_shapes_are_refused_before_they_are_read(exported, monkeypatch):
    save_file({"classifier.weight": torch.zeros(9, 9)}, exported / "weights.safetensors")
    monkeypatch.setattr("gdas_lite.training.export.digest", lambda tensors: pytest.fail(f"{len(tensors)} were read"))
    with pytest.raises(ValueError, match="its weights are not those of the network.* only one of both has 'classifier.bias'"):
        load_exported(exported)


def places(value, at=()):
    """Every place in a JSON value but the value itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*at, key)
        yield from places(each, (*at, key))


def variants(value):
    """Another value of the same type, and values of other types."""
    same = {bool: lambda: not value, int: lambda: value + 1, float: lambda: value * 1.25 + 1, str: lambda: value + "x",
            list: lambda: value[:-1], dict: lambda: dict(list(value.items())[:-1])}
    others = (None, True, 7, 0.5, 10**40, float("nan"), "7", [], ["x"], {}, {"x": [None]})
    return [*([same[type(value)]()] if type(value) in same else []),
            *(other for other in others if type(other) is not type(value))]


def test_an_export_with_any_field_changed_removed_or_of_another_type(exported):
    """With its checksum it is refused; without, it is refused or read as what it says, never in a traceback."""
    file = exported / "network.json"
    whole = json.loads(file.read_text())
    x, expected = torch.randn(2, 1, 8, 8), None
    for content in (whole, bare(whole)):
        file.write_text(json.dumps(content))
        with torch.no_grad():
            logits = load_exported(exported)(x)
        assert expected is None or torch.equal(logits, expected)
        expected = logits
        for at in places(content):
            value = functools.reduce(lambda part, key: part[key], at, content)
            for new in (..., *variants(value)):
                file.write_text(json.dumps(damaged := changed(content, at, new)))
                if "checksum" in damaged:
                    with pytest.raises(ValueError, match="network.json is damaged: it was changed .* export the network a"):
                        load_exported(exported)
                    with pytest.raises(ValueError, match="network.json is damaged: it was changed"):
                        read_exported(exported)
                    continue
                network = tried(lambda: load_exported(exported), (at, new))
                read = tried(lambda: read_exported(exported), (at, new))
                if network is not None and read is not None:
                    kept = json.loads(json.dumps(read.to_json()))
                    assert all(kept[key] == damaged[key] for key in ("genotype", "settings", "scores")), (at, new)


def test_one_changed_weight_is_noticed(exported):
    file = exported / "weights.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    with pytest.raises(ValueError, match="does not match the checksum"):
        load_exported(exported)


@pytest.mark.parametrize("moves", range(4))
def test_an_export_that_was_killed_does_not_block_its_folder(moves, trained, digits, tmp_path, monkeypatch):
    """A kill runs no `finally`: what was written beside its place stays."""
    done, real = [], {os: os.replace, Path: Path.replace}

    def replace_or_die(real, *places):
        done.append(places)
        if len(done) > moves:
            raise KeyboardInterrupt
        return real(*places)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        for owner, method in real.items():
            patch.setattr(owner, "replace", lambda *places, method=method: replace_or_die(method, *places))
        with pytest.raises(KeyboardInterrupt):
            export_network(trained, tmp_path / "net", data=digits, program=True)
    assert any("partial" in file.name for file in (tmp_path / "net").iterdir())
    export_network(trained, tmp_path / "net", data=digits, program=True)
    assert {file.name for file in (tmp_path / "net").iterdir()} == {"network.json", "weights.safetensors", "program.pt2"}
    load_exported(tmp_path / "net")


def test_pytorch_writes_no_file_itself(trained, digits, tmp_path, monkeypatch):
    """Where the disk is full, its writer of programs ends the process without a word of Python's."""
    given, save_program = [], torch.export.save
    monkeypatch.setattr(torch.export, "save", lambda program, file: (given.append(file), save_program(program, file)))
    export_network(trained, tmp_path / "net", data=digits, program=True)
    assert [isinstance(file, io.BytesIO) for file in given] == [True]


def test_a_program_that_does_something_else_is_not_kept(trained, digits, tmp_path, monkeypatch):
    class Other:
        def module(self):
            return lambda x: torch.zeros(len(x), 10)
    monkeypatch.setattr(torch.export, "load", lambda file: Other())
    with pytest.raises(RuntimeError, match="gives other outputs than it, so it was not kept; the export without program is good"):
        export_network(trained, tmp_path / "net", data=digits, program=True)
    assert {file.name for file in (tmp_path / "net").iterdir()} == {"network.json", "weights.safetensors"}
    load_exported(tmp_path / "net")


def test_of_a_language_model_it_is_said_what_keeps_it(tmp_path):
    model, text = gl.network(gl.zoo_genotype("DARTS_V2", "recurrent"), 4, 70), gl.load_data("grammar")
    run = gl.LanguageTraining(model, text, recipe="smoke", out=tmp_path / "run")
    for source, data in ((run, None), (model, None), (model, text)):
        with pytest.raises(ValueError, match="an export is a network of images; of a language model keep the run folder"):
            gl.export_network(source, tmp_path / "export", data=data)


@pytest.mark.parametrize("source", [CELL, None, 3, torch.nn.Linear(2, 2), gl.Training, gl.NASBench201(2, 1)], ids=str)
def test_what_is_no_network_is_said(source, digits, tmp_path):
    with pytest.raises(ValueError, match="^source must be a Training, its run folder, or a network as gl.network returns"):
        export_network(source, tmp_path / "net", data=digits)


def test_what_cannot_be_exported(trained, digits, tmp_path):
    with pytest.raises(ValueError, match="give data="):
        export_network(gl.network(CELL, 4, 1, 10, 1), tmp_path / "net")
    with pytest.raises(ValueError, match="7 classes, but 10 class names"):
        export_network(gl.network(CELL, 4, 1, 7, 1), tmp_path / "net", data=digits)
    with pytest.raises(ValueError, match="1 image channels, but mean and std are given for 3"):
        export_network(gl.network(CELL, 4, 1, 10, 1), tmp_path / "net", data=replace_info(classes=10))
    assert not (tmp_path / "net").exists()
    with pytest.raises(ValueError, match=r"holds other files \(checkpoint"):
        export_network(trained, trained.folder.path, data=digits)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        export_network(trained, tmp_path / "file", data=digits)


def test_data_info_names_what_a_run_folder_must_know(digits):
    assert data_info(digits).keys() == {"name", "image_size", "mean", "std", "class_names"}


@pytest.mark.parametrize("name", ["net.onnx", "net.pth", "NET.SafeTensors"])
def test_a_folder_called_like_a_file_is_refused_unless_it_is_there(trained, digits, tmp_path, name):
    with pytest.raises(ValueError, match="looks like a file; give a folder, which an export is"):
        export_network(trained, tmp_path / name, data=digits)
    (tmp_path / name).mkdir()
    assert gl.read_exported(export_network(trained, tmp_path / name, data=digits)).data == "digits"


def test_a_network_for_more_channels_than_a_picture_has_predicts_none(exported, tmp_path):
    four = replace(read_exported(exported), settings={"image_channels": 4, "classes": 10}, mean=(0.5,) * 4, std=(0.5,) * 4)
    with pytest.raises(ValueError, match="the network is for images of 4 channels, but a picture has 1 or 3"):
        predict_with(None, four, tmp_path / "any.png")


@pytest.mark.parametrize("picture", [torch.zeros(8, 8, 3), [["a.png"]], torch.zeros(2).numpy()],
                         ids=["tensor", "list", "array"])
def test_a_picture_that_is_no_path_is_a_sentence(exported, picture):
    with pytest.raises(ValueError, match="the picture must be a path, got "):
        gl.predict(exported, picture)


def test_a_training_without_a_test_set_says_which_sets_there_are(digits):
    def accuracy(evaluation):
        recipe = gl.training_recipe("smoke", "nasbench201", epochs=1)
        return gl.Training(gl.network(CELL, 2, 1, 10, 1), replace(digits, evaluation=evaluation), recipe=recipe
                           ).run().derived_accuracy
    with pytest.raises(ValueError, match="digits has no evaluation set called test, only val"):
        accuracy({"val": digits.evaluation["test"]})
    with pytest.raises(ValueError, match="no evaluation set called test, only none"):
        accuracy({})


def test_a_cutout_of_whole_pictures_is_refused_before_the_first_step(digits):
    def training(cutout):
        recipe = gl.training_recipe("smoke", "nasbench201", epochs=1, cutout=cutout)
        return gl.Training(gl.network(CELL, 2, 1, 10, 1), digits, recipe=recipe)
    assert training(15).recipe.cutout == 15
    with pytest.raises(ValueError, match="cutout=16 erases the whole of every picture of 8 pixels"):
        training(16)
