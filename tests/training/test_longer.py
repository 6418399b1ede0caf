"""A finished training that gets more epochs: a new folder, bit for bit what the longer recipe gives; the old stays."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch

import gdas_lite as gl
from gdas_lite.reproduction.cli.main import main
from gdas_lite.runs.config import RunError, read_config
from gdas_lite.runs.folder import checkpoints
from gdas_lite.runs.longer import begin_longer
from gdas_lite.runs.schedules import learning_rate_at, part_of
from gdas_lite.training.recipes import TrainingRecipe
from tests.faults import injections as faults
from tests.faults.injections import contents, data_of, make, without_times

MORE = 2


def longer(case, planned):
    """The run that was planned with all epochs from the beginning."""
    if case == "text":
        recipe = replace(planned.recipe, epochs=planned.recipe.epochs + MORE)
        model = gl.network(gl.zoo_genotype("GDAS@recurrent"), hidden=4, vocabulary=planned.data.vocabulary)
        return gl.LanguageTraining(model, planned.data, recipe=recipe)
    recipe = replace(planned.recipe, epochs=planned.recipe.epochs + MORE, restarts=(planned.recipe.epochs,))
    network = gl.network(gl.zoo_genotype("all_c1x1"), channels=2, cells_per_stage=1, classes=10, image_channels=1)
    return gl.Training(network, data_of(case), recipe=recipe)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a finished run and its data by case."""
    folder, made = tmp_path_factory.mktemp("finished"), {}
    for case in ("training", "text"):
        make(case, folder / case).run().close()
        made[case] = folder / case, make(case, None).data if case == "text" else data_of(case)
    return made


@pytest.fixture
def old(finished, tmp_path):
    return shutil.copytree(finished["training"][0], tmp_path / "old")


@pytest.mark.parametrize("case", ["training", "text"])
def test_it_is_bit_for_bit_the_longer_training(finished, tmp_path, case):
    folder, data = finished[case]
    before = contents(folder)
    run = gl.resume(folder, data, more=MORE, out=tmp_path / "new")
    assert run.epochs_done == faults.EPOCHS and not run.is_finished
    run.run().close()
    whole = longer(case, make(case, None)).run()
    assert all(torch.equal(value, run.tensors()[name]) for name, value in whole.tensors().items())
    for found, wanted in zip(run.history, whole.history, strict=True):
        found, wanted = without_times(found.to_json()), without_times(wanted.to_json())
        if case == "text":      # the last epoch of the old run had its test score
            found["evaluation"].pop("test", None), wanted["evaluation"].pop("test", None)
        assert found == wanted
    assert contents(folder) == before
    config = read_config(tmp_path / "new")
    assert config["continues"] == {"run": str(folder), "epochs": faults.EPOCHS}
    assert config["recipe"]["epochs"] == faults.EPOCHS + MORE
    assert config["recipe"].get("restarts") == (None if case == "text" else [faults.EPOCHS])
    assert ("begun anew after epoch 3" in str(run)) == (case == "training")
    assert run.result["test"] == whole.result["test"]


def test_the_new_folder_is_one_like_any_other(old, tmp_path):
    data = data_of("training")
    run = gl.resume(old, data, more=1)
    run.close()
    new = tmp_path / "old-more1"
    assert run.folder.path == new
    assert gl.load_network(new).genotype == run.network.genotype     # before its first epoch, too
    again = gl.resume(old, data, more=1)        # the same call goes on there
    again.run_epoch()
    again.close()
    assert [file.name for file in checkpoints(new)] == [f"checkpoint-0000{done}.safetensors" for done in (3, 4)]
    finished = gl.resume(new, data)
    finished.close()
    assert finished.is_finished
    gl.export_network(new, tmp_path / "export")
    assert gl.read_exported(tmp_path / "export").scores == finished.history[-1].evaluation
    twice = gl.resume(new, data, more=2)
    twice.close()
    assert twice.recipe.restarts == (3, 4) and twice.recipe.epochs == 6 and twice.folder.path.name == "old-more1-more2"
    assert read_config(twice.folder.path)["continues"] == {"run": str(new), "epochs": 4}


def test_it_goes_on_after_its_old_folder_is_gone_and_under_another_spelling(old, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gl.resume("old", data_of("training"), more=1, out="new").close()
    gl.resume(tmp_path / "old", data_of("training"), more=1, out="new").close()
    shutil.rmtree(old)
    run = gl.resume("new", data_of("training"))
    run.run().close()
    assert run.epochs_done == 4
    monkeypatch.chdir("new")
    gl.resume(".", data_of("training"), more=1).close()
    assert (tmp_path / "new-more1" / "config.json").exists()


def test_what_cannot_be_made_longer(old, tmp_path):
    data = data_of("training")

    def refused(error, sentence, path=old, given=data, **options):
        there = contents(tmp_path)
        with pytest.raises(error, match=sentence) as caught:
            gl.resume(path, given, **{"more": 2, "out": tmp_path / "new"} | options)
        assert "\n" not in str(caught.value) and contents(tmp_path) == there

    for more in (-1, 0, 2.5, True, "3", 10**9):
        refused(ValueError, "more must be at least 1", more=more)
    refused(ValueError, "say by how many epochs", more=None)
    refused(RunError, "is no run folder", path=tmp_path)
    refused(RunError, "holds a run with another configuration", out=old)
    refused(RunError, "ran on other data .data.checksum", given=replace(data, train=data.train.subset(range(32))))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    refused(RunError, "cannot write the run folder .*full", out=tmp_path / "full")
    refused(ValueError, "out must be a path", out="")
    unfinished = make("training", tmp_path / "unfinished")
    unfinished.close()
    refused(RunError, "is after epoch 0 of 3; finish it first", path=tmp_path / "unfinished")
    search = make("search", tmp_path / "search")
    search.close()
    refused(ValueError, "holds a search; its epochs decide its temperatures", path=tmp_path / "search")
    checkpoints(old)[-1].write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="checkpoint refused"):
        refused(RunError, "is after epoch 2 of 3; finish it first")


def test_a_field_that_a_folder_lacks_is_a_sentence(old):
    config = read_config(old)
    del config["sync_batch_norm"]
    (old / "config.json").write_text(json.dumps(config))
    faults.as_older_version(old)
    for options in ({}, {"more": MORE}):
        with pytest.raises(RunError, match="old/config.json is damaged: the field sync_batch_norm is missing"):
            gl.resume(old, data_of("training"), **options)


def test_a_warm_up_must_fit_into_the_epochs_that_are_added(tmp_path):
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=4, warm_up_epochs=2, schedule="autodl_cosine",
                                batch_size=64)
    network = gl.network(gl.zoo_genotype("all_c1x1"), channels=2, cells_per_stage=1, classes=10, image_channels=1)
    gl.Training(network, data_of("training"), recipe=recipe, out=tmp_path / "a").run().close()
    with pytest.raises(ValueError, match="the recipe of .*a cannot go on for 2 epochs: warm_up_epochs must be in 0..1"):
        gl.resume(tmp_path / "a", data_of("training"), more=2)
    assert os.listdir(tmp_path) == ["a"]


def test_a_killed_attempt_leaves_nothing_that_counts(old, tmp_path, monkeypatch):
    from gdas_lite.runs import longer as module

    def killed(*_arguments):
        raise KeyboardInterrupt
    (tmp_path / ".new.partial").mkdir()
    (tmp_path / ".new.partial" / "config.json").write_text("{}")
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            gl.resume(old, data_of("training"), more=1, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    gl.resume(old, data_of("training"), more=1, out=tmp_path / "new").close()
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_a_folder_that_somebody_else_makes_meanwhile_is_left_alone(old, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    (new / "config.json").write_text("theirs")
    with pytest.raises(RunError, match="cannot write the run folder"):
        begin_longer(new, old, read_config(old))
    assert contents(new) == {str(new / "config.json"): b"theirs"} and sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_of_the_command_line(old, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arch = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
    small = ["--recipe", "smoke", "--channels", "2", "--cells-per-stage", "1", "--set", "batch_size=256"]
    assert main(["train", arch, *small, "--out", "a"]) == 0
    capsys.readouterr()
    assert main(["train", "a", "--more", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("goes on from a, which stays as it is\n") and "run folder: a-more1\n" in printed
    assert "epoch 3/3" in printed and "epoch 2/3" not in printed
    for words in (["evaluate", "a-more1"], ["export", "a-more1", "x"], ["resume", "a-more1"], ["info", "a-more1"]):
        assert main(words) == 0
    capsys.readouterr()
    for text in ("x", "", "2.5", "1e2", "9" * 5000):
        with pytest.raises(SystemExit, match="2"):
            main(["train", "a", "--more", text])
        assert "argument --more: invalid int value" in (said := capsys.readouterr().err) and said.count("\n") == 1
    for words, sentence in ((["--more", "-1"], "more must be at least 1"), (["--more", "0"], "more must be at least 1"),
                            (["--more", str(10**9)], "more must be at least 1 and at most 1,000,000"),
                            (["--more", "9" * 30], "more must be at least 1 and at most 1,000,000"),
                            (["--more", "999999"], "the recipe of a cannot go on for 999999 epochs"),
                            (["--more", "1", "--set", "epochs=9"], "--set is for"),
                            (["--more", "1", "--with", "wings=2"], "--with is for"),
                            (["--more", "1", "--seed", "3"], "--seed is for"),
                            (["--more", "1", "--cells-per-stage", "3"], "--cells-per-stage is for")):
        assert main(["train", "a", *words]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["train", arch, "--more", "1"]) == 2 and "no run folder" in capsys.readouterr().err


def test_runs_whose_schedule_began_anew_are_of_no_published_protocol():
    from gdas_lite.reproduction.protocols import PublishedProtocol
    asked = PublishedProtocol("cifar10", gl.training_recipe("paper", "nasnet"), cell="GDAS_V1")
    config = {"kind": "training", "data": {"name": "cifar10"}, **asked.config}
    assert asked.is_of(config) and "restarts" not in config["recipe"]
    assert not asked.is_of(config | {"recipe": config["recipe"] | {"restarts": [300]}})


def test_schedules_begin_anew_at_a_restart():
    recipe = TrainingRecipe(epochs=10, restarts=(4, 7), learning_rate=0.1, learning_rate_end=0.01)
    assert [part_of(recipe, epoch) for epoch in range(10)] == [
        (0, 4), (1, 4), (2, 4), (3, 4), (0, 3), (1, 3), (2, 3), (0, 3), (1, 3), (2, 3)]
    for epoch in range(10):     # as a recipe of that part alone
        at, epochs = part_of(recipe, epoch)
        for changes in ({}, {"schedule": "exponential"}, {"schedule": "autodl_cosine", "warm_up_epochs": 2}):
            alone = replace(recipe, epochs=epochs, restarts=(), **changes)
            assert learning_rate_at(replace(recipe, **changes), epoch, 3, 5) == learning_rate_at(alone, at, 3, 5)
    for restarts in ((0,), (10,), (4, 4), (7, 4), (-1,), (2.5,), ("4",)):
        with pytest.raises(ValueError, match="restarts"):
            TrainingRecipe(epochs=10, restarts=restarts)
