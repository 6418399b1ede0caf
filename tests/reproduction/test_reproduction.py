"""Published rows, the commands behind them, what they cost here, and the run folders that fill them."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import gdas_lite as gl
from benchmarks import record_search
from gdas_lite import reproduction
from gdas_lite.data.augment import Augmentation
from gdas_lite.data.official import OFFICIAL
from gdas_lite.lessons import recorded as shipped
from gdas_lite.reproduction import costs
from gdas_lite.reproduction.cli.tables import protocols
from gdas_lite.reproduction.compare import _size
from gdas_lite.reproduction.costs import _images, _text
from gdas_lite.reproduction.protocols import DATASETS
from gdas_lite.runs import resumable
from gdas_lite.search.recipes import search_recipe
from gdas_lite.training.recipes import training_recipe

Table = importlib.import_module("gdas_lite.benchmark.table").Table        # the name in gdas_lite is the function
SEARCH = "gdas-lite search nasbench201 --algorithm gdas --data cifar10 --bn running --recipe paper"
TRAINING = "gdas-lite train GDAS_V1 --data cifar10 --with pool_norm=true --recipe paper"
IMAGENET = "gdas-lite train GDAS_V1 --data imagenet --channels 50 --cells 14 --recipe paper-imagenet"
LANGUAGE = "gdas-lite train GDAS@recurrent --data ptb --recipe paper --set epochs=3000 --set averaging_trigger=gdas"


# --- rows and commands ---

def test_there_is_a_row_for_every_published_number_and_each_has_a_command_or_a_reason():
    rows = reproduction.rows()
    assert [row.published for row in rows] == list(gl.published())
    for row in rows:
        assert row.command or row.reason, row.published
    assert sum(row.command is not None for row in rows) > 150


def test_a_printed_command_reads_back_as_the_same_value():
    asked = [each for row in reproduction.rows() for each in (row.protocol, row.also) if each is not None]
    small = search_recipe("lesson", "nasnet", "gdas", epochs=3, nesterov=False, alpha_betas=(0.25, 0.5), grad_clip_norm=None)
    space, recipe = gl.NASNet(cells=5, channels=8, fixed_reduction=True), training_recipe("paper-12", "nasbench201")
    others = [reproduction.PublishedProtocol("cifar100", small, space, gl.GDAS((5.0, 0.5), "N"), precision="bf16"),
              replace(asked[0], options={"channels": 4, "auxiliary": False}, train_on="train_half", precision="bf16"),
              replace(asked[0], cell=str(gl.zoo_genotype("resnet")), options={}, recipe=recipe), *protocols().values()]
    assert len({each.command for each in asked}) >= 50
    for each in (*asked, *others):
        assert reproduction.protocol(each.command) == each, each.command
    assert reproduction.protocol(others[0].command) != replace(others[0], precision="fp32")
    with pytest.raises(ValueError, match="either a space and an algorithm .a search. or a cell .a training."):
        replace(asked[0], cell="")


def test_the_papers_own_rows_are_complete():
    """Everything that the GDAS paper measured itself can be done here."""
    own = [row for row in reproduction.rows(source="GDAS paper") if row.published.status == "primary"]
    assert len(own) > 30
    assert [row.published for row in own if row.command is None] == []


@pytest.mark.parametrize(("name", "metric", "start", "words"), [
    ("GDAS_V1", "test_error", "with cutout, C=36", "train GDAS_V1 --data cifar10 --with pool_norm=true --recipe paper"),
    ("GDAS_F1", "search_gpu_days", "with cutout",
     "search nasnet --algorithm gdas --with fixed_reduction=true --data cifar10 --recipe paper")])
def test_a_row_names_the_command(name, metric, start, words):
    row = next(row for row in reproduction.rows(source="GDAS paper, table 1", data="cifar10") if row.published.name == name
               and row.published.metric == metric and row.published.setting.startswith(start))
    assert row.command == f"gdas-lite {words}"


def test_cutout_is_off_where_it_was_off():
    for row in reproduction.rows(source="table 1", space="nasnet"):
        if row.command and " train " in row.command:
            cutout = reproduction.protocol(row.command).recipe.cutout
            assert (cutout == 0) == row.published.setting.startswith("without cutout"), row


def parts(source: str, name: str, data: str, setting: str = "") -> dict:
    """What the one command behind a source's measured (not counted) numbers asks for."""
    commands = {row.command for row in reproduction.rows(source=source, data=data) if row.published.name == name
                and setting in row.published.setting and row.published.metric.endswith(("error", "perplexity"))}
    asked = reproduction.protocol(commands.pop())
    assert not commands
    return {name: getattr(asked, name) for name in ("data", "recipe", "settings", "genotype")}


def test_the_authors_imagenet_log_is_that_of_the_original_code():
    """26.15 / 8.53: x 0.97 an epoch, batch 128, clip 5, pooling with batch norm, an auxiliary head of 1.264872 M."""
    asked = parts("authors' log GDAS-V1-imagenet-seed-3993.txt", "GDAS_V1", "imagenet", "last of 250 epochs")
    recipe, settings = asked["recipe"], asked["settings"]
    assert (recipe.schedule, recipe.gamma, recipe.batch_size, recipe.grad_clip_norm) == ("exponential", 0.97, 128, 5)
    assert (recipe.epochs, recipe.learning_rate, recipe.nesterov, settings["pool_norm"]) == (250, 0.1, True, True)
    with torch.device("meta"):
        whole, net = (gl.count_parameters(gl.network(asked["genotype"], **settings | {"auxiliary": has}))
                      for has in (True, False))
    assert (whole, net, whole - net) == (6_609_947, 5_345_075, 1_264_872)       # the log: 6.609947 M and 1.264872 M


def test_drop_path_is_larger_without_cutout():
    for setting, rate in (("without cutout", 0.3), ("with cutout", 0.2)):
        for name, data in (("GDAS_V1", "cifar10"), ("GDAS_F1", "cifar100")):
            recipe = parts("GDAS paper, table 1", name, data, setting)["recipe"]
            assert (recipe.drop_path, recipe.cutout > 0) == (rate, setting == "with cutout")


@pytest.mark.parametrize("source, name", [
    ("DARTS paper, table 1", "DARTS_V1"), ("DARTS paper, table 1", "DARTS_V2"), ("GDAS paper, table 1", "DARTS_V2"),
    ("quark0/darts, README", "DARTS_V2"), ("DARTS paper, table 1", "AmoebaNet")])
def test_darts_cells_are_trained_on_cifar_as_darts_code_does(source, name):
    asked = parts(source, name, "cifar10", "trained by the DARTS authors" if name == "AmoebaNet" else "")
    recipe = asked["recipe"]
    assert (recipe.learning_rate, recipe.learning_rate_end, recipe.schedule, recipe.epochs) == (0.025, 0.0, "cosine", 600)
    assert (recipe.batch_size, recipe.nesterov, recipe.weight_decay, recipe.grad_clip_norm) == (96, False, 3e-4, 5)
    assert (asked["data"], asked["settings"].get("pool_norm", False)) == ("cifar10-darts", False)


@pytest.mark.parametrize("source", ["DARTS paper, table 3", "GDAS paper, table 2"])
def test_darts_cell_is_trained_on_imagenet_as_darts_code_does(source):
    asked = parts(source, "DARTS_V2", "imagenet")
    recipe, settings = asked["recipe"], asked["settings"]
    assert (recipe.nesterov, recipe.schedule, recipe.gamma, recipe.batch_size) == (False, "exponential", 0.97, 128)
    assert (settings["auxiliary_last_norm"], settings.get("pool_norm", False), settings["channels"]) == (False, False, 48)


@pytest.mark.parametrize("source, name, data, epochs, trigger", [
    ("DARTS paper, table 2", "DARTS_V1", "ptb", 8000, "darts"), ("DARTS paper, table 2", "DARTS_V2", "ptb", 8000, "darts"),
    ("DARTS paper, table 4", "DARTS_V2", "wikitext-2", 8000, "darts"), ("GDAS paper, table 3", "DARTS_V2", "ptb", 8000, "darts"),
    ("GDAS paper, table 3", "GDAS", "ptb", 3000, "gdas"), ("GDAS paper, table 4", "GDAS", "wikitext-2", 3000, "gdas")])
def test_texts_are_trained_as_each_code_does(source, name, data, epochs, trigger):
    recipe = parts(source, name, data)["recipe"]
    assert (recipe.epochs, recipe.averaging_trigger) == (epochs, trigger)


def test_counted_sizes_are_the_published_ones_where_the_source_trained_the_network_itself():
    """A row whose network has another width, depth or vocabulary is another network. Papers round, and the text of DARTS'
    table 3 has 574 M multiply-adds where its released network has 529.9 (spec/README.md)."""
    own = [row for row in reproduction.rows() if row.published.status == "primary" and row.protocol
           and row.published.metric in ("params_M", "mult_adds_M") and row.published.name.startswith(("GDAS", "DARTS"))]
    assert {row.published.data for row in own} == {"cifar10", "imagenet", "ptb", "wikitext-2"}
    for row in own:
        counted = _size(row.protocol, row.published.metric)[0]
        assert counted == pytest.approx(row.published.value, rel=0.05 if row.published.value != 574 else 0.08), row


def test_what_was_published_of_something_else_is_said():
    by_setting = {row.published.setting: row for row in reproduction.rows(source="DARTS paper, table 1")}
    of_four = by_setting["with cutout, mean of 10 trainings of one cell, four searches"]
    assert of_four.command and of_four.reason == "published of four searches together; here each counts alone"
    again = by_setting["with cutout, search rerun 8 times by the DARTS authors"]
    assert again.command is None and "run again" in again.reason


def test_of_the_best_epoch_speak_the_rows_whose_code_reports_it_alone():
    """The original GDAS code does, on the test set; DARTS' paper has means of last epochs, a log says which it is."""
    told = {(row.published.source, row.published.setting.split(",")[0]) for row in reproduction.rows()
            if "the best epoch on the test set" in row.reason}
    assert told == {("GDAS paper, table 1", "without cutout"), ("GDAS paper, table 1", "with cutout"),
                    ("GDAS paper, table 5", "with cutout")}


def test_no_row_of_a_table_says_that_others_made_it():
    """NAS-Bench-201's searches are its authors', DARTS' too, whoever quotes the table."""
    rows = [row for row in reproduction.rows(space="nasbench201") if row.command]
    assert {row.reason for row in rows if row.published.metric == "search_seconds"} == {""}
    assert not [row for row in rows if "quoted there" in row.reason]


def test_cells_that_the_gdas_authors_trained_themselves_keep_their_recipe():
    asked = parts("GDAS paper, table 1", "DARTS_V2", "cifar100")
    assert (asked["recipe"].learning_rate_end, asked["settings"]["pool_norm"], asked["data"]) == (1e-4, True, "cifar100")
    assert parts("DARTS paper, table 2", "ENAS", "ptb", "with the ENAS authors' code")["recipe"].epochs == 2000
    by_others = [row for row in reproduction.rows(source="DARTS paper, table 2") if "ENAS authors'" in row.published.setting]
    assert {row.reason for row in by_others if "perplexity" in row.published.metric} == {
        "quoted there from other authors, whose recipe was another"}


def test_darts_searches_take_darts_halves():
    rows = [row for row in reproduction.rows(source="DARTS paper, table 1") if row.published.metric == "search_gpu_days"
            and row.command]
    assert {reproduction.protocol(row.command).data for row in rows} == {"cifar10-darts"}
    assert len({reproduction.protocol(row.command).algorithm.name for row in rows}) == 2


def test_an_unknown_source_is_refused_with_those_there_are():
    with pytest.raises(KeyError, match="no published number from 'table 99'; there are GDAS paper, table 1; "):
        reproduction.rows(source="table 99")
    with pytest.raises(ValueError, match="expected a command `gdas-lite search ...` or `gdas-lite train ...`, got 'ls'"):
        reproduction.protocol("ls")
    with pytest.raises(ValueError, match="the sizes of 'grammar' are not known here; known are cifar10, "):
        reproduction.protocol("gdas-lite train GDAS@recurrent --data grammar --recipe paper")
    for command in (f"{SEARCH} --stop-when skips=2", f"{TRAINING} --more 5"):
        with pytest.raises(ValueError, match="a protocol has no --stop-when and no --more"):
            reproduction.protocol(command)


@pytest.mark.parametrize(("words", "sentence"), [
    ("--algorthm gdas", "gdas-lite: unrecognized arguments: --algorthm gdas; fields of a recipe are set by --set"),
    ("--seed one", "gdas-lite search: argument --seed: "), ("--help", "gdas-lite search nasbench201 --help' is no search")])
def test_a_mistyped_protocol_ends_no_script(words, sentence, capsys):
    """A notebook would show SystemExit, and the sentence elsewhere."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        reproduction.protocol(f"gdas-lite search nasbench201 {words}")
    assert capsys.readouterr().err == ""


# --- a protocol is what a run of its command records ---

def config_of(run) -> dict:
    return json.loads(json.dumps(run.config))


def test_a_search_of_the_command_is_recognised_and_another_is_not():
    data = _images("cifar10", DATASETS["cifar10"], 4)
    space = gl.NASBench201(track_running_stats=True)
    paper = search_recipe("paper", "nasbench201", "gdas")
    asked = reproduction.protocol(SEARCH)
    for recipe, algorithm, there in ((paper, gl.GDAS(), True), (replace(paper, name="mine"), gl.GDAS(), True),
                                     (replace(paper, epochs=10), gl.GDAS(), False), (paper, gl.GDAS(tau=(5, 0.1)), False)):
        for seed in (0, 3):
            config = config_of(gl.Search(space, data, algorithm, recipe=recipe, seed=seed))
            assert asked.is_of(config) is there
    assert not asked.is_of(config_of(gl.Search(gl.NASBench201(), data, gl.GDAS(), recipe=paper)))
    assert not asked.is_of(config | {"data": {"name": "cifar100"}})
    early = gl.Search(space, data, gl.GDAS(), recipe=paper, stop_when=gl.SkipLimit(2))
    assert not asked.is_of(config_of(early))        # the published searches ran to their end


def test_a_training_of_the_command_is_recognised_and_another_is_not():
    data, cell = _images("cifar10", DATASETS["cifar10"], 2), gl.zoo_genotype("GDAS_V1")
    asked, paper = reproduction.protocol(TRAINING), training_recipe("paper", "nasnet")
    network = gl.network(cell, auxiliary=True, pool_norm=True)
    assert asked.is_of(config_of(gl.Training(network, data, recipe=paper, seed=5, evaluate_every=10)))
    assert not asked.is_of(config_of(gl.Training(network, data, recipe=replace(paper, cutout=0))))
    assert not asked.is_of(config_of(gl.Training(gl.network(cell, auxiliary=True), data, recipe=paper)))
    assert not asked.is_of(config_of(gl.Training(network, data, recipe=paper, precision="bf16")))


@pytest.mark.parametrize("command, known, other", [
    (SEARCH, {"augmentation": {"padding": 4, "flip": True, "cutout": 0}}, {"augmentation": {"padding": 0}}),
    (SEARCH, {"augmentation": {}}, {"augmentation": {"cutout": 16}}),
    (TRAINING, {"augmentation": {"padding": 4, "flip": True, "cutout": 16}}, {"augmentation": {"flip": False}}),
    (IMAGENET, {"streamed": {"image_size": 224, "lineage": "darts", "lighting_scale": 1.0, "on_error": "skip"}},
     {"streamed": {"image_size": 160}}), (IMAGENET, {"streamed": None}, {"streamed": {"lineage": "autodl"}}),
    (IMAGENET, {}, {"streamed": {"lighting_scale": 0.5}})])
def test_another_augmentation_is_another_protocol(command, known, other):
    asked = reproduction.protocol(command)
    config = json.loads(json.dumps({**asked.config, "kind": asked.kind, "data": {"name": asked.data}}))
    assert asked.is_of(config) and asked.is_of(config | {"data": {"name": asked.data, **known}})
    assert not asked.is_of(config | {"data": {"name": asked.data, **other}})


def test_the_usual_augmentation_is_that_of_the_data():
    for name in ("digits", "thumbnails"):
        assert DATASETS[name].augmentation == gl.load_data(name).augmentation
    for name in ("cifar10", "cifar100"):
        assert DATASETS[name].augmentation == Augmentation(OFFICIAL[name].padding, flip=True)


def test_a_language_training_of_the_command_is_recognised():
    asked = reproduction.protocol(LANGUAGE.replace("--recipe", "--hidden 8 --recipe"))
    data = _text("ptb", DATASETS["ptb"], 64, 1, asked.recipe)
    training = gl.LanguageTraining(asked.network(), data, recipe=asked.recipe, seed=2)
    assert asked.is_of(config_of(training))
    assert not reproduction.protocol(LANGUAGE).is_of(config_of(training))


# --- filling ---

def write_run(folder: Path, command: str, seed: int, records: list[dict], **changes) -> None:
    asked = reproduction.protocol(command)
    settings = {name: value for name, value in asked.config.items() if value is not None}       # None: the field is not there
    config = settings | {"kind": asked.kind, "seed": seed, "data": {"name": asked.data, "checksum": "x"}} | changes
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    numbered = [record | {"epoch": epoch} for epoch, record in enumerate(records)]
    (folder / "history.jsonl").write_text("\n".join(map(json.dumps, [{"head": 1}, *numbered])) + "\n")


def trained(accuracy: float, epochs: int) -> list[dict]:
    early = {"seconds": 1.0, "images_per_second": 60.0, "evaluation": {"test": {"loss": 1.0, "accuracy": 99.0, "count": 10}}}
    return [early] * (epochs - 1) + [early | {"evaluation": {"test": {"loss": 1.0, "accuracy": accuracy, "count": 10}}}]


def row_for(rows, metric, command):
    return next(place for place, row in enumerate(rows) if row.command == command and row.published.metric == metric)


def test_trainings_fill_their_row_with_mean_spread_and_number(tmp_path):
    for seed, accuracy in enumerate((97.0, 97.2, 96.9)):
        write_run(tmp_path / "deep" / str(seed), TRAINING, seed, trained(accuracy, 600))
    write_run(tmp_path / "half", TRAINING, 9, trained(98.0, 600)[:-1])
    write_run(tmp_path / "short", TRAINING + " --set epochs=2", 9, trained(50.0, 2))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"kind": "cake"}')
    rows = [row for row in reproduction.rows(source="GDAS paper, table 1", data="cifar10")
            if row.published.metric in ("test_error", "search_gpu_days")]
    filled = reproduction.fill(tmp_path, rows)
    place = row_for(rows, "test_error", TRAINING)
    assert filled.values[place] == pytest.approx((3.0, 2.8, 3.1))
    assert filled.lines()[place][2:4] == ("2.93", "2.97 ± 0.15 (n=3), epoch 599 of 600")
    assert [run.path.name for run in filled.others] == ["short"]
    assert "1 other run(s), of no published protocol:" in str(filled)
    elsewhere = [values for values, row in zip(filled.values, rows, strict=True)
                 if row.command != TRAINING and row.published.metric == "test_error"]
    assert elsewhere and not any(elsewhere)
    assert f"<code>{TRAINING}</code>" in filled._repr_html_()
    again = [tmp_path / "deep", os.path.relpath(tmp_path)]         # one folder by two names holds each run once
    assert reproduction.fill(again, rows).values == filled.values
    shutil.copytree(tmp_path, tmp_path.with_name("copied"))             # and so does a copy
    assert reproduction.fill([*again, tmp_path.with_name("copied")], rows).values == filled.values
    slower = [record | {"seconds": 2.5, "images_per_second": 9.0} for record in trained(97.0, 600)]
    write_run(tmp_path / "once more", TRAINING, 0, slower)      # the same seed, the same outcome: no second sample
    assert reproduction.fill(tmp_path, rows).values == filled.values
    write_run(tmp_path / "on a GPU", TRAINING, 0, trained(97.3, 600))           # another outcome is one
    assert reproduction.fill(tmp_path, rows).lines()[place][3] == "2.90 ± 0.18 (n=4), epoch 599 of 600"


def test_sizes_are_counted_at_once_without_the_auxiliary_head(tmp_path):
    rows = [row for row in reproduction.rows(source="GDAS paper, table 1", data="cifar10")
            if row.published.name == "GDAS_V1" and row.published.metric == "params_M"]
    filled = reproduction.fill(tmp_path, rows[:1])
    assert filled.values[0][0] * 1e6 == gl.count_parameters(gl.network(gl.zoo_genotype("GDAS_V1"), pool_norm=True))
    assert filled.lines()[0][3] == "3.4"


def test_a_language_training_fills_both_perplexities(tmp_path):
    seen = [{"valid": {"loss": math.log(value)}} for value in (70.0, 60.0, 65.0)]
    seen[0]["test"] = {"loss": math.log(50.0)}      # where a shorter training ended, which was made longer
    seen[-1]["test"] = {"loss": math.log(58.0)}
    short = LANGUAGE.replace("3000", "3")
    write_run(tmp_path / "a", short, 0, [{"seconds": 1.0, "evaluation": each} for each in seen])
    write_run(tmp_path / "b", short, 1, [{"seconds": 1.0, "evaluation": {"test": {"loss": None}}}] * 3)     # no number
    row = next(row for row in reproduction.rows(source="GDAS paper, table 3") if row.command == LANGUAGE)
    rows = [reproduction.Row(replace(row.published, metric=metric), reproduction.protocol(short))
            for metric in ("valid_perplexity", "test_perplexity")]
    assert reproduction.fill(tmp_path, rows).values == (pytest.approx((60.0,)), pytest.approx((58.0,)))


def test_a_found_cell_is_looked_up_in_the_table(tmp_path):
    cells = tuple(str(cell) for cell in gl.NASBench201Genotype.all())
    columns = {f"{data}_test_200": np.random.default_rng(0).uniform(50, 90, len(cells)) for data in ("c10", "c100", "in16")}
    table, cell = Table("made up", cells, columns), gl.zoo_genotype("resnet")
    for seed, last in enumerate((str(cell), str(gl.zoo_genotype("all_idnt")))):
        write_run(tmp_path / str(seed), SEARCH, seed, [{"seconds": 36.0, "genotype": "early"}] * 249 +
                  [{"seconds": 36.0, "genotype": last}])
    rows = [row for row in reproduction.rows(space="nasbench201") if row.command == SEARCH]
    place = row_for(rows, "test_accuracy", SEARCH)
    column = {"cifar10": "c10", "cifar100": "c100", "imagenet16-120": "in16"}[rows[place].published.data] + "_test_200"
    expected = tuple(table.accuracy(each, column) for each in (cell, gl.zoo_genotype("all_idnt")))
    assert reproduction.fill(tmp_path, rows, table).values[place] == pytest.approx(expected)
    assert reproduction.fill(tmp_path, rows, None).values[place] == ()      # without a table nothing is made up
    benchmark = gl.tabular("nasbench201")
    expected = tuple(benchmark.accuracy(each, column) for each in (cell, gl.zoo_genotype("all_idnt")))
    assert reproduction.fill(tmp_path, rows).values[place] == pytest.approx(expected)
    seconds = [at for at, row in enumerate(rows) if row.published.metric == "search_seconds"]
    assert all(reproduction.fill(tmp_path, rows).values[at] == pytest.approx((9000.0, 9000.0)) for at in seconds)


def recorded_search(folder: Path, name: str, command: str, seed: int, cell, hours: float = 9.6, run: int | None = None
                    ) -> None:
    """A made-up search of a command's protocol, as it would come with the package: every epoch has the same cell. run: so
    many epochs so far; None: all. The machine slept in epoch 3."""
    asked = reproduction.protocol(command)
    config = dict(asked.config) | {"kind": asked.kind, "seed": seed, "data": {"name": asked.data, "checksum": "x"}}
    epochs, labels = asked.recipe.epochs, gl.NASBench201().labels
    alpha = np.array([[float(op == chosen) for op in labels["cell"].candidates] for chosen in cell.ops])
    history = gl.History(labels, [gl.EpochRecord(epoch, None, 0.025, 1.0, 50.0, 1.0, 50.0, {3: 900.0}.get(epoch, 1.0) * hours * 3600 / epochs,
                                                 {"cell": alpha}, str(cell)) for epoch in range(run or epochs)])
    about = {} if run is None else {"unfinished": True}
    record_search.record(folder / f"{name}.json.gz", history, about | {"config": config, "command": command, "commit": "abc",
                                                              "machine": {"processor": "made-up processor"}, "date": "2026-11-29"})


def test_recorded_searches_fill_the_published_rows(tmp_path, monkeypatch, capsys):
    """As `gdas-lite reproduce` shows them: published, measured, seed, hours, machine."""
    from gdas_lite.reproduction.cli.main import main
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    rows = [row for row in reproduction.rows(space="nasbench201", data="cifar10")
            if row.published.name in ("GDAS", "DARTS_V1") and row.published.metric == "test_accuracy"]
    assert not any(reproduction.fill(tmp_path / "none", rows).values)         # nothing recorded, nothing filled
    resnet, skips, table = gl.zoo_genotype("resnet"), gl.zoo_genotype("all_idnt"), gl.tabular("nasbench201")
    recorded_search(tmp_path, "gdas-cifar10-0", SEARCH, 0, resnet)
    recorded_search(tmp_path, "gdas-cifar10-1", SEARCH, 1, table.best(), 5.0)
    recorded_search(tmp_path, "darts-v1-cifar10-0", SEARCH.replace("--algorithm gdas", "--algorithm darts-v1"
                                                                   ).replace("running", "batch"), 0, skips, 2.0)
    lines = {line[2]: line for line in reproduction.fill(tmp_path / "none", rows).lines()}
    mean, spread = np.mean([table.accuracy(resnet), table.accuracy(table.best())]), np.std(
        [table.accuracy(resnet), table.accuracy(table.best())], ddof=1)
    assert lines["93.61 ± 0.09"][3:5] == (f"{mean:.2f} ± {spread:.2f} (n=2)", "seed 0, 9.6 h (made-up processor); "
                                          "seed 1, 5 h (made-up processor)")
    assert lines["54.30 ± 0.00"][3:5] == ("54.30 (n=1)", "seed 0, 2 h (made-up processor)")
    (tmp_path / "none").mkdir()
    assert main(["reproduce", str(tmp_path / "none"), "--space", "nasbench201", "--data", "cifar10"]) == 0
    printed = capsys.readouterr().out
    assert "seeds, hours, machine" in printed and "54.30 (n=1)" in printed and "seed 0, 9.6 h (made-up processor)" in printed
    write_run(tmp_path / "runs" / "mine", SEARCH, 0, [{"seconds": 36.0, "genotype": str(skips)}] * 250)
    place = row_for(rows, "test_accuracy", rows[[row.published.value for row in rows].index(93.61)].command)
    filled = reproduction.fill(tmp_path / "runs", rows)          # one's own run of a seed takes the recorded one's place
    assert filled.values[place] == pytest.approx((table.accuracy(skips), table.accuracy(table.best())))
    assert filled.others == () and filled.lines()[place][4].startswith("seed 0, 2.5 h; seed 1, 5 h (")
    recorded_search(tmp_path, "gdas-cifar10-2", SEARCH, 2, resnet, run=120)       # an unfinished one is no result
    recorded_search(tmp_path, "gdas-cifar10-0", SEARCH, 0, resnet, run=120)       # nor is it shown beside one's own
    assert reproduction.fill(tmp_path / "runs", rows).lines()[place][3].endswith("(n=2), epoch 120 of 250")


# --- costs ---

@pytest.mark.parametrize(("command", "unit", "items", "batch", "did"), [
    (SEARCH.replace("--data", "--channels 4 --cells-per-stage 1 --data"), "images", 25_000 * 250, 2, 2 * 3),
    (SEARCH.replace("--data", "--channels 4 --cells-per-stage 1 --data") + " --set epochs=1", "images", 25_000, 2, 2 * 3),
    (TRAINING.replace("--data", "--channels 4 --cells 5 --data"), "images", 50_000 * 600, 2,
     2 * 3),
    (LANGUAGE.replace("--data", "--hidden 8 --data"), "words", 929_589 * 3000, 2, 2 * 35 * 3),
    ("gdas-lite search recurrent --hidden 8 --data ptb --recipe paper", "words", 929_589 * 200, 2, 2 * 35 * 3)])
def test_an_estimate_scales_measured_steps_to_the_protocol(command, unit, items, batch, did, monkeypatch):
    clock = count(step=2.0)
    monkeypatch.setattr(resumable.time, "perf_counter", lambda: next(clock))      # every step takes two seconds
    found = reproduction.estimate(reproduction.protocol(command), batch=batch, steps=3, device="cpu")
    assert (found.unit, found.items, found.batch) == (unit, items, batch)
    assert found.recipe_batch == reproduction.protocol(command).recipe.batch_size
    assert found.per_second == pytest.approx(did / 8)      # and so does finding that none is left
    assert found.seconds == pytest.approx(items / (did / 8))
    assert f"at batch 2 (the protocol has {found.recipe_batch})" in str(found)


@pytest.mark.parametrize(("command", "items"), [
    (SEARCH.replace("--data", "--channels 4 --cells-per-stage 1 --data") + " --set alpha_start=0.5", 25_000 * 250),
    (TRAINING.replace("--data", "--channels 4 --cells 5 --data") + " --train-on train_half", 25_000 * 600),
    (SEARCH.replace("cifar10 ", "cifar100 "), 50_000 * 250)])       # searches there validate on test images
def test_an_estimate_is_of_the_precision_the_half_and_the_updates_that_were_asked_for(command, items, monkeypatch):
    made = []

    class Fake:
        def __init__(self, *_, **options):
            made.append(options)

        def run_epoch(self):
            return SimpleNamespace(seconds=1.0)

    for name in ("Search", "Training"):
        monkeypatch.setattr(costs, name, Fake)
    for precision in ("fp32", "bf16"):
        asked = reproduction.protocol(f"{command} --precision {precision}")
        assert reproduction.estimate(asked, device="cpu").items == items
        assert made[-1]["precision"] == precision and getattr(made[-1]["recipe"], "first_alpha_epoch", 0) == 0


def test_a_text_is_measured_with_the_protocols_own_batch_and_images_with_at_most_sixteen():
    small = (LANGUAGE.replace("--data", "--hidden 8 --data"), SEARCH.replace("--data", "--channels 4 --cells-per-stage 1 --data"))
    text, images = (reproduction.estimate(reproduction.protocol(command), steps=1, device="cpu") for command in small)
    assert (text.batch, text.recipe_batch) == (64, 64) and "at batch" not in str(text)
    assert (images.batch, images.recipe_batch) == (16, 64)


# --- the shell ---

def test_the_command_prints_table_and_commands(tmp_path, capsys):
    from gdas_lite.reproduction.cli.main import main

    write_run(tmp_path / "a", TRAINING, 0, trained(97.0, 600))
    assert main(["reproduce", str(tmp_path), "--source", "GDAS paper, table 5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["source", "what", "published", "measured", "seeds,", "hours,", "machine"]
    assert "3.00 (n=1)" in lines[1]
    assert main(["reproduce", str(tmp_path), "--source", "GDAS paper, table 5", "--commands"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == TRAINING
    assert main(["reproduce", "--source", "nothing"]) == 2
    assert "no published number from 'nothing'" in capsys.readouterr().err
