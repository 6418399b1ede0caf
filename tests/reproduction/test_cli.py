"""The command line, in process: what it computes, says and refuses."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import gdas_lite as gl
from gdas_lite.data import DATA_SETS, TEXT_SETS
from gdas_lite.data.images import ImageSet
from gdas_lite.genotypes.lookup import find_cell
from gdas_lite.reproduction.cli import values
from gdas_lite.reproduction.cli.main import _warnings_as_sentences, main
from gdas_lite.reproduction.cli.parser import build_parser
from gdas_lite.reproduction.cli.run import _training, _word
from gdas_lite.reproduction.cli.show import found_cells
from gdas_lite.reproduction.published import IMAGENET, rows
from gdas_lite.runs.folder import checkpoints
from gdas_lite.search.history import EpochRecord, History
from gdas_lite.training.evaluation import evaluate
from tests.runs.test_schema import bare

ROOT = Path(__file__).resolve().parents[2]
ARCH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
SEARCH = ["search", "nasbench201", "--data", "digits", "--recipe", "smoke", "--channels", "2", "--cells-per-stage", "1",
          "--set", "batch_size=256"]
TRAIN = ["--data", "digits", "--recipe", "smoke", "--channels", "2", "--cells-per-stage", "1", "--set", "batch_size=256",
         "--set", "epochs=1"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Default run folders are made here, and no table or data set of the machine is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GDAS_LITE_DATA", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The run folder of a finished search."""
    folder = tmp_path_factory.mktemp("runs") / "search"
    assert main([*SEARCH, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run folder of a finished training."""
    folder = tmp_path_factory.mktemp("runs") / "training"
    assert main(["train", ARCH, *TRAIN, "--out", str(folder)]) == 0
    return folder


def test_what_runs_in_one_process_says_so_under_torchrun(capsys, monkeypatch):
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    assert "WORLD_SIZE is not set" in refused(capsys, *SEARCH)
    monkeypatch.setenv("WORLD_SIZE", "2")
    text = ["train", "GDAS@recurrent", "--data", "grammar", "--recipe", "smoke", "--hidden", "4"]
    assert "the training of a language model runs in one process" in refused(capsys, *text)


def refused(capsys, *words: str) -> str:
    """The one sentence on stderr with which a command ends in code 2."""
    assert main(list(words)) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"gdas-lite {words[0]}: ") and errors.endswith("\n")
    assert errors.count("\n") == 1 and "Traceback" not in errors
    return errors


def test_search_train_evaluate_info_draw_export(searched, tmp_path, capsys):
    run, out = str(searched), tmp_path / "trained"
    assert main(["train", run, *TRAIN, "--seed", "3", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    cell = History.read(searched)[-1].genotype
    assert f"cell: {cell} (search in {run}, after 2 of 2 epochs)" in printed and f"run folder: {out}" in printed
    result = gl.resume(out, gl.load_data("digits")).result["test"]
    line = f"test       accuracy {result.accuracy:.2f}%, top-5 {result.top5:.2f}%, loss {result.loss:.4f} ({result.count})"
    assert line in printed
    assert main(["evaluate", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{out}, after epoch 1 of 1, on digits:") and line in printed
    assert main(["info", str(out)]) == 0
    assert f"training in {out}" in capsys.readouterr().out
    assert main(["draw", run, "-o", "cell.svg", "--probabilities", "--title", "found"]) == 0
    assert capsys.readouterr().out == "cell.svg\n"
    svg = Path("cell.svg").read_text()
    assert "<svg" in svg and "found" in svg and re.search(r"0\.\d\d", svg)
    assert main(["export", str(out), "network"]) == 0 and main(["evaluate", "network"]) == 0
    assert line in capsys.readouterr().out


def class_folders(folder: Path, seed: int, count: int = 10) -> Path:
    draws = np.random.default_rng(seed)
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(draws.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("source", ["run", "export"])
def test_evaluate_says_what_of_a_folder_without_parts_it_scored(source, capsys):
    own, new, parted = class_folders(Path("own"), 0), class_folders(Path("new"), 1), Path("parted")
    class_folders(parted / "train", 2)
    class_folders(parted / "test", 3, 4)
    assert main(["train", ARCH, *TRAIN, "--data", "own", "--data-option", "image_size=8", "--set", "batch_size=8", "--out", "run"]) == 0
    assert main(["export", "run", "export"]) == 0
    capsys.readouterr()

    def printed(folder):
        assert main(["evaluate", source, "--data", str(folder)]) == 0
        return capsys.readouterr().out.splitlines()[1:]

    said, line = printed(own)
    assert said == "  own has no part for tests: of its 20 pictures those are scored that no training sees"
    assert re.fullmatch(r"  test +accuracy .*\(4\)", line)
    assert main(["evaluate", source, "--data", "own", "--data-option", "test_fraction=0.4"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == ("  own has no part for tests: of its 20 pictures all are scored; were "
                                                       "some of them trained on, give the --data-option of the training")
    said, line = printed(new)
    assert said == "  new has no part for tests: of its 20 pictures all are scored, for none was trained on"
    network, data = gl.load_network("run"), gl.load_data(new, image_size=8)
    told = gl.load_data(own, image_size=8)
    data = replace(data, mean=told.mean, std=told.std)
    parts = [evaluate(network, images, data) for images in (data.train, data.evaluation["test"])]
    right = sum(score.accuracy * score.count for score in parts) / 20
    assert re.fullmatch(rf"  all +accuracy {right:.2f}%, .*\(20\)", line)
    line, = printed(parted)
    assert re.fullmatch(r"  test +accuracy .*\(8\)", line)


def test_a_search_is_the_one_of_the_notebook(searched):
    recipe = gl.search_recipe("smoke", "nasbench201", "gdas", batch_size=256)
    search = gl.Search(gl.NASBench201(2, 1), gl.load_data("digits"), gl.GDAS(), recipe=recipe, seed=0)
    assert json.loads((searched / "config.json").read_text()) == json.loads(json.dumps(search.config))
    search.run()
    assert np.array_equal(search.history.alphas["cell"], History.read(searched).alphas["cell"])


def test_options_of_the_search_reach_it():
    assert main([*SEARCH, "--bn", "running", "--tau", "5", "0.5", "--variant", "P", "--seed", "7", "--set", "epochs=1",
                 "--set", "grad_clip_norm=none", "--set", "redraw=false", "--set", "alpha-betas=0.1,0.9", "--out", "a"]) == 0
    config = json.loads(Path("a/config.json").read_text())
    assert config["space"] == {"name": "nasbench201", "channels": 2, "cells_per_stage": 1, "track_running_stats": True}
    assert config["algorithm"] == {"name": "gdas", "tau": [5.0, 0.5], "variant": "P"} and config["seed"] == 7
    wanted = {"epochs": 1, "grad_clip_norm": None, "redraw": False, "alpha_betas": [0.1, 0.9], "batch_size": 256}
    assert {name: config["recipe"][name] for name in wanted} == wanted


@pytest.mark.parametrize("algorithm", ["darts-v1", "darts-v2", "random"])
def test_the_other_algorithms_and_the_default_folder(algorithm, capsys):
    assert main([*SEARCH, "--algorithm", algorithm, "--set", "epochs=1"]) == 0
    folder = Path(f"runs/search-nasbench201-{algorithm}-digits-smoke-seed0")
    assert json.loads((folder / "config.json").read_text())["algorithm"]["name"] == algorithm
    printed = capsys.readouterr().out
    assert f"run folder: {folder}" in printed and "epoch 1/1" in printed and f"gdas-lite train {folder}" in printed
    assert f"cell: {History.read(folder)[-1].genotype}" in printed


def test_the_same_command_again_says_the_same_result_without_searching(searched, capsys):
    before = checkpoints(searched)[-1].stat().st_mtime_ns
    assert main([*SEARCH, "--out", str(searched)]) == 0
    printed = capsys.readouterr().out
    assert f"cell: {History.read(searched)[-1].genotype}" in printed
    assert checkpoints(searched)[-1].stat().st_mtime_ns == before


def test_several_seeds_have_a_folder_each_and_a_table_and_what_stops_one_stops_no_other(capsys):
    one_epoch = [*SEARCH, "--set", "epochs=1", "--engine", "plain"]
    assert main([*one_epoch, "--set", "learning_rate=0.02", "--out", "a/seed-1"]) == 0      # another search is there
    assert main([*one_epoch, "--seeds", "0..2", "--out", "a"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("gdas-lite search (seed 1): a/seed-1 holds a run with another configuration")
    assert re.search(r"^    1 not finished$", printed.out, re.MULTILINE)
    for seed in (0, 2):
        assert re.search(rf"^    {seed} .*%.*%.*   {re.escape(History.read(f'a/seed-{seed}')[-1].genotype)}$", printed.out,
                         re.MULTILINE)
    assert main([*one_epoch, "--seeds", "5"]) == 0
    assert json.loads(Path("runs/search-nasbench201-gdas-digits-smoke-seed5/config.json").read_text())["seed"] == 5
    assert "--seeds: expected a range such as 0..7" in refused(capsys, *SEARCH, "--seeds", "7..0")
    with pytest.raises(SystemExit):
        main([*SEARCH, "--seeds", "0..7", "--seed", "3"])
    assert "argument --seed: not allowed with argument --seeds" in capsys.readouterr().err


def test_a_table_of_seeds_names_the_benchmark_where_it_knows_a_cell(tmp_path):
    labels, alphas = gl.NASNet().labels, {kind: np.zeros(each.shape) for kind, each in gl.NASNet().labels.items()}
    lines = [json.dumps({"labels": {kind: each.to_json() for kind, each in labels.items()}}), json.dumps(EpochRecord(
        0, None, 0.1, 1.0, 50.0, 1.0, 40.0, 1.0, alphas, str(gl.zoo_genotype("GDAS_V1"))).to_json())]
    (tmp_path / "history.jsonl").write_text("\n".join(lines) + "\n")
    table = list(found_cells({0: str(tmp_path)}, set()))
    assert "   40.00%        -       -   " in table[1]
    assert table[-1] == "search: accuracy with shared weights, of the valid half where alpha moves"


def test_an_export_is_written_by_one_process(monkeypatch, capsys):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "here", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert "an export runs in one process, but torchrun started 2" in refused(capsys, "export", "run", "net")
    assert not Path("net").exists()


@pytest.mark.parametrize("system, path, word", [
    ("nt", PureWindowsPath("runs/a"), r"runs\a"), ("nt", PureWindowsPath("my runs/a"), r'"my runs\a"'),
    ("posix", PurePosixPath("my runs/a"), "'my runs/a'"), ("posix", PurePosixPath("-a"), "./-a")])
def test_the_path_to_go_on_with_can_be_pasted_into_the_systems_shell(system, path, word, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", system)
        found = _word(path)
    assert found == word


def test_seed_minus_one_is_drawn_and_kept():
    assert main([*SEARCH, "--seed", "-1", "--set", "epochs=1", "--out", "a"]) == 0
    assert 1 <= json.loads(Path("a/config.json").read_text())["seed"] <= 100_000


def test_of_several_processes_the_first_one_speaks_and_none_draws_a_seed(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr("gdas_lite.reproduction.cli.run._training", lambda *_: 1 / 0)
        for rank, words in (("0", f"cell: {ARCH} (given as text)\n"), ("1", "")):
            monkeypatch.setenv("RANK", rank)
            with pytest.raises(ZeroDivisionError):
                main(["train", ARCH])
            assert capsys.readouterr().out == words
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", ARCH, *TRAIN, "--seed", "-1"]) == 2
    assert capsys.readouterr().err == ("gdas-lite train (process 1): --seed -1 would give each process another seed; with "
                                       "torchrun say one\n")


def interrupt_at(monkeypatch, call: int) -> None:
    """Ctrl-C during the given step of a run, as the terminal sends it."""
    from gdas_lite.runs.meters import AverageMeter
    add, calls = AverageMeter.add, []

    def interrupting(self, outcome, count):
        calls.append(None)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        add(self, outcome, count)

    monkeypatch.setattr(AverageMeter, "add", interrupting)


def test_a_search_that_stops_early_says_why_and_ends_well_and_so_does_its_resume(capsys):
    assert main([*SEARCH, "--set", "epochs=3", "--stop-when", "ranking=1", "--set", "alpha_learning_rate=1e-6",
                 "--out", "a"]) == 0
    printed = capsys.readouterr().out
    why = "stopped early after epoch 2 of 3 (ranking of alpha unchanged for 1 epoch)"
    assert why in printed and f"cell: {History.read('a')[-1].genotype}" in printed
    assert main(["resume", "a"]) == 0
    printed = capsys.readouterr().out
    assert why in printed and "stops at StableRanking(epochs=1)" in printed
    assert "Expected skips=2" in refused(capsys, *SEARCH, "--stop-when", "tired", "--out", "b")


def test_interrupted_search_says_how_to_go_on_and_resume_ends_as_if_never_stopped(searched, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        steps = 2 * -(-len(gl.load_data("digits").train_half) // 256)       # tallies of an epoch: two a step
        interrupt_at(patch, steps + 1)
        assert main([*SEARCH, "--out", "my runs/a"]) == 130
    printed = capsys.readouterr()
    assert "interrupted after epoch 1 of 2, go on with: gdas-lite resume 'my runs/a'" in printed.out
    assert "Traceback" not in printed.err and len(checkpoints("my runs/a")) == 1
    assert main(["resume", "my runs/a"]) == 0
    assert "train it: gdas-lite train 'my runs/a'" in capsys.readouterr().out
    resumed, whole = History.read("my runs/a"), History.read(searched)
    assert [r.to_json() | {"seconds": 0} for r in resumed] == [r.to_json() | {"seconds": 0} for r in whole]


@pytest.mark.parametrize("folder, said", [("a", "a"), ("-a", "./-a"), ("my a", "'my a'")])
def test_interrupted_training_before_its_first_epoch_is_over(folder, said, trained, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        assert main(["train", ARCH, *TRAIN, f"--out={folder}"]) == 130
    printed = capsys.readouterr().out
    assert f"interrupted after epoch 0 of 1, go on with: gdas-lite resume {said}" in printed
    assert main(shlex.split(printed.split("go on with: gdas-lite ")[1])) == 0
    last = [json.loads((each / "history.jsonl").read_text().splitlines()[-1])["evaluation"]
            for each in (Path(folder), trained)]
    assert last[0] == last[1]


def test_interrupt_outside_a_run(monkeypatch, capsys):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt         # what Python makes of Ctrl-C where nobody else takes the signal
    monkeypatch.setattr("gdas_lite.reproduction.cli.values.load_data", interrupted)
    assert main([*SEARCH, "--out", "a"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_damaged_checkpoint_is_told_in_a_line_and_the_one_before_is_used(searched, capsys):
    shutil.copytree(searched, "copy")
    last = checkpoints("copy")[-1]
    last.write_bytes(last.read_bytes()[:1000])
    assert main(["resume", "copy"]) == 0
    errors = capsys.readouterr().err
    assert errors.startswith("note: checkpoint refused: ") and errors.count("\n") == 1
    assert [str(r.genotype) for r in History.read("copy")] == [str(r.genotype) for r in History.read(searched)]


def test_info_of_a_known_cell_with_ground_truth_and_published_counts(shared_data, capsys):
    assert main(["info", ARCH, "--table", str(shared_data)]) == 0
    printed = capsys.readouterr().out
    assert "802,426" in printed and "113,951,360" in printed and "connected      yes" in printed
    assert re.search(r"live .* of the cell \(none dead\): 802,426 parameters, 113,951,360 multiply-adds", printed)
    table = gl.tabular("nasbench201", shared_data)
    assert f"{table.accuracy(ARCH, 'c10_test_200'):.2f}%   rank {table.rank(ARCH, 'c10_test_200'):,} of 15,625" in printed


def test_info_tells_what_reaches_the_output_from_what_does_not(capsys):
    assert main(["info", "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"]) == 0
    printed = capsys.readouterr().out
    assert "parameters     559,386" in printed
    assert "live           skip_connect 0→3 of the cell (2 dead): 73,306 parameters, 7,783,040 multiply-adds" in printed


def test_info_of_a_cell_that_is_cut_off(capsys):
    assert main(["info", "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|", "--classes", "7", "--image-size", "16",
                 "--channels", "4", "--cells-per-stage", "1", "--image-channels", "1"]) == 0
    printed = capsys.readouterr().out
    assert "connected      no" in printed and "c10_test_200    10.00%" in printed
    assert "channels 4, cells_per_stage 1, classes 7, image_channels 1; images of 16x16" in printed


@pytest.mark.parametrize("words, expected", [
    (["GDAS_V1"], ["3,368,782", "519,428,736", "test error: 2.93 %"]),
    (["GDAS_V1", "--with", "stem=imagenet"], ["channels 50, cells 14, classes 1000", "images of 224x224", "581,009,000"]),
    (["GDAS_F1", "--with", "stem=imagenet"], ["channels 52, cells 14", "4,430,386", "496,733,952", "497 M"]),
    (["GDAS_GF", "--with", "stem=imagenet"], ["channels 52, cells 14"]),      # the fixed reduction cell has no width of 50
    (["DARTS_V2", "--with", "stem=imagenet"], ["channels 48, cells 14", "4,718,752", "529,911,552", "574 M"]),
    (["GDAS_F1", "--channels", "16", "--cells", "8"], ["channels 16, cells 8"]),
    (["DARTS_V1@recurrent", "--hidden", "64", "--with", "vocabulary=100"], ["hidden 64, vocabulary 100", "parameters"]),
])
def test_info_of_zoo_cells(words, expected, capsys):
    assert main(["info", *words]) == 0
    printed = capsys.readouterr().out
    assert all(part in printed for part in expected)


def test_zoo_lists_every_published_cell(capsys, monkeypatch):
    few = {name: entry for name, entry in gl.zoo().items()
           if name in ("GDAS_V1", "all_c1x1") or entry.space == "recurrent"}     # the others only take time
    monkeypatch.setattr("gdas_lite.reproduction.cli.show.published_cells", lambda space: few)
    assert main(["zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [
        *(name for space in ("nasbench201", "nasnet", "recurrent") for name, entry in few.items() if entry.space == space)]
    assert any("GDAS_V1" in line and "3,368,782" in line and "519.4 M" in line for line in lines)
    assert any("all_c1x1" in line and "241,306" in line for line in lines)


def test_training_options_reach_it(capsys):
    assert main(["train", "all_c3x3", *TRAIN, "--train-on", "train_half", "--evaluate-every", "5", "--out", "a"]) == 0
    config = json.loads(Path("a/config.json").read_text())
    assert config["train_on"] == "train_half" and config["evaluate_every"] == 5
    assert config["network"] == {"channels": 2, "cells_per_stage": 1, "classes": 10, "image_channels": 1}
    assert "valid_half" in capsys.readouterr().out
    assert main(["evaluate", "a"]) == 0
    assert "valid_half" in capsys.readouterr().out


@pytest.mark.parametrize("words, pixels, is_said", [
    ((), 224, True), (("--cells", "14"), 224, False), (("--channels", "50", "--cells", "14"), 224, False), ((), 32, False)])
def test_a_training_for_imagenet_in_the_size_of_cifar_says_so_before_it_takes_weeks(words, pixels, is_said, monkeypatch, capsys):
    data, made = SimpleNamespace(name="imagenet", classes=2, image_channels=3, image_size=pixels), []
    monkeypatch.setattr("gdas_lite.reproduction.cli.run.load", lambda *_: data)
    monkeypatch.setattr("gdas_lite.reproduction.cli.run.Training", lambda network, *_, **options: made.append(network.settings))
    with torch.device("meta"):
        _training(find_cell("GDAS_V1"), build_parser().parse_args(["train", "GDAS_V1", "--recipe", "paper-imagenet", *words]))
    assert made[0]["stem"] == ("imagenet" if pixels == 224 else "cifar")
    told = capsys.readouterr().out
    assert ("this is CIFAR's size; published on imagenet: --cells 14 --channels 50" in told) == is_said
    widths = {size["channels"] for size in IMAGENET.values()}
    assert not is_said or widths == set(map(int, re.findall(r"\b(\d+)\b", told.partition("channels ")[2])))


@pytest.mark.parametrize("data, words, is_said", [("wikitext-2", (), True), ("wikitext-2", ("--hidden", "700"), False), ("ptb", (), False)])
def test_a_training_on_wikitext_in_the_size_of_ptb_says_so(data, words, is_said, monkeypatch, capsys):
    text = SimpleNamespace(name=data, vocabulary=50)
    monkeypatch.setattr("gdas_lite.reproduction.cli.run.load", lambda *_: text)
    monkeypatch.setattr("gdas_lite.reproduction.cli.run.LanguageTraining", lambda *_, **options: None)
    asked = next(row for row in rows(source="GDAS paper, table 4") if row.published.metric == "test_perplexity").command
    with torch.device("meta"):
        _training(find_cell("GDAS@recurrent"), build_parser().parse_args(
            ["train", "GDAS@recurrent", "--data", data, "--recipe", "paper", *words]))
    told = capsys.readouterr().out
    assert ("this is PTB's size; published on wikitext-2: --hidden 700" in told) == is_said and "--hidden 700" in asked


def test_nasnet_search_and_training(capsys):
    size = ["--channels", "4", "--set", "batch_size=256", "--set", "epochs=1"]
    assert main(["search", "nasnet", "--recipe", "smoke", "--cells", "3", "--with", "fixed_reduction=true", *size,
                 "--out", "a"]) == 0
    config = json.loads(Path("a/config.json").read_text())
    assert config["space"]["fixed_reduction"] is True and config["space"]["cells"] == 3
    assert main(["train", "a", "--recipe", "smoke", "--cells", "3", *size, "--set", "drop_path=0", "--out", "b"]) == 0
    config = json.loads(Path("b/config.json").read_text())
    assert config["network"]["auxiliary"] is False and config["network"]["stem"] == "cifar"
    assert config["genotype"]["reduce"] is None


def test_recurrent_search_training_and_evaluation(capsys):
    size = ["--hidden", "8", "--set", "epochs=1"]
    Path("text.txt").write_text("the cat sat on the mat . a dog ran . " * 400)
    text = ["--data", "text.txt", "--set", "batch_size=8", "--set", "bptt=10"]
    assert main(["search", "recurrent", "--recipe", "smoke", *size, *text, "--out", "a"]) == 0
    assert main(["train", "a", "--recipe", "smoke", *size, *text, "--out", "b"]) == 0
    printed = capsys.readouterr().out
    line = re.search(r"  test +perplexity .*", printed).group()
    assert "the best weights:\n  valid " in printed and "after the last epoch" not in printed
    assert main(["evaluate", "b", "--data", "text.txt"]) == 0
    printed = capsys.readouterr().out
    assert line in printed and printed.startswith("b, best weights, after epoch 1 of 1, on text.txt:")
    assert "say where they are with --data" in refused(capsys, "evaluate", "b")
    Path("other.txt").write_text("a dog ran on the mat . the cat sat . " * 400)
    assert "is not the text of the training" not in scores_of(capsys, "b", "--data", "text.txt")[1]
    assert "note: other.txt is not the text of the training" in scores_of(capsys, "b", "--data", "other.txt")[1]
    assert "the model's embedding has 10 words, but grammar has 70" in refused(capsys, "evaluate", "b", "--data", "grammar")
    assert "is for networks of images" in refused(capsys, "train", "a", "--train-on", "train")


def test_a_folder_of_pictures_is_named_again_to_go_on(capsys):
    from PIL import Image
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        for index in range(8):
            path = Path("pictures") / label / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(path)
    own = ["--data", "pictures", "--data-option", "image_size=8"]
    assert main(["train", ARCH, *TRAIN, *own, "--set", "batch_size=4", "--out", "a"]) == 0
    capsys.readouterr()
    assert "data of your own called pictures; say where they are with --data" in refused(capsys, "resume", "a")
    assert main(["resume", "a", *own]) == 0 and main(["evaluate", "a", *own]) == 0
    assert "does not take these options" in refused(capsys, "evaluate", "a", "--data", "digits", "--data-option", "grey=1")
    assert refused(capsys, "resume", "a", *own, "--data-option", "max_words=5") == (
        "gdas-lite resume: pictures does not take these options: there is no 'max_words'\n")
    assert "--data-root and --download are for the named data sets" in refused(
        capsys, "resume", "a", *own, "--data-root", "elsewhere")


CUT = "|nor_conv_3x3~0|+|none~0|"


@pytest.mark.parametrize("words, sentence", [
    ([*SEARCH, "--data", "cifar11"], "did you mean cifar10"),
    ([*SEARCH, "--data", "cifar10"], "CIFAR-10 was not found. Looked for"),
    ([*SEARCH, "--data", "CIFAR-10", "--data-root", "empty"], "CIFAR-10 was not found. Looked for"),
    ([*SEARCH, "--data", "grammar"], "images are needed here, but grammar is a text"),
    ([*SEARCH, "--data", "gloomy"], "no data set and no folder 'gloomy'"),     # not gloo, that joins processes
    ([*SEARCH, "--data", "one"], "one"),
    ([*SEARCH, "--set", "epoch=3"], "--set: there is no 'epoch' here, did you mean epochs"),
    ([*SEARCH, "--set", "name=mine"], "--set: there is no 'name' here"),
    ([*SEARCH, "--set", "epochs"], "--set: expected NAME=VALUE, got 'epochs'"),
    ([*SEARCH, "--set", "epochs=many"], "--set epochs: expected a whole number, got 'many'"),
    ([*SEARCH, "--set", "nesterov=maybe"], "--set nesterov: expected true or false, got 'maybe'"),
    ([*SEARCH, "--set", "undrawn=drop"], "--set undrawn: expected one of decay, skip, got 'drop'"),
    ([*SEARCH, "--set", "grad_clip_norm=low"], "--set grad_clip_norm: expected a number or none, got 'low'"),
    ([*SEARCH, "--set", "alpha_betas=0.5"], "--set alpha_betas: expected 2 values with commas between them, got '0.5'"),
    ([*SEARCH, "--set", "epochs=0"], "epochs must be at least 1"),
    ([*SEARCH, "--recipe", "papper"], "unknown recipe 'papper'"),
    ([*SEARCH, "--tau", "0", "0.1"], "tau must be a finite number > 0"),
    ([*SEARCH, "--tau", "10", "-1"], "tau must be a finite number > 0"),
    ([*SEARCH, "--algorithm", "darts-v1", "--variant", "P"], "--tau and --variant are options of gdas"),
    ([*SEARCH, "--channels", "3"], "channels must be an even number"),
    ([*SEARCH, "--cells", "3"], "--cells is no setting of the space nasbench201, which has --channels, --cells-per-stage"),
    ([*SEARCH, "--with", "chanels=3"], "--with: there is no 'chanels' here, did you mean channels"),
    ([*SEARCH, "--seed", "-5"], "--seed must be 0 or more"),
    ([*SEARCH, "--device", "cuda:99"], "cuda"),
    ([*SEARCH, "--out", "file/run"], "cannot write the run folder file/run"),
    ([*SEARCH, "--set", "learning_rate=1e38", "--set", "grad_clip_norm=none"], "the loss of this search became"),
    (["train", CUT, *TRAIN], "expected three groups"),
    (["train", ARCH.replace("nor_conv_3x3~0|+", "nor_conv_3x4~0|+"), *TRAIN], "did you mean nor_conv_3x3"),
    (["train", ARCH.replace("skip_connect~0", "skip_connect~3"), *TRAIN], "node 3"),
    (["train", "GDAS_V9", *TRAIN], "in the zoo did you mean GDAS_V1"),
    (["train", "runs/none", *TRAIN], "no file or folder here"),
    (["train", "file", *TRAIN], "file holds no genotype"),
    (["train", ARCH, *TRAIN, "--data", "grammar"], "images are needed here, but grammar is a text"),
    (["train", ARCH, *TRAIN, "--with", "classes=3"], "--with: there is no 'classes' here"),
    (["train", ARCH, *TRAIN, "--recipe", "paper-autodl"], "unknown recipe 'paper-autodl'; for networks of the space"),
    (["train", "GDAS_V1", "--recipe", "paper", "--channels", "4", "--cells", "3"], "auxiliary head"),
    (["resume", "nothing"], "nothing is no run folder"),
    (["evaluate", "empty"], "empty is no run folder"),
    (["info", ARCH, "--table", "nothing.csv"], "NAS-Bench-201 table: none found"),
    (["info", "GDAS_V1", "--table", "nothing.csv"], "--table holds cells of NAS-Bench-201"),
    (["info", "GDAS_V1", "--image-size", "2"], "two reduction cells"),
    (["info", "GDAS@recurrent", "--classes", "5"], "--classes is for networks of images, not for a recurrent cell"),
    (["info", "GDAS@recurrent", "--image-size", "64"], "--image-size is for networks of images, not for a recurrent cell"),
    (["draw", ARCH, "-o", "cell.gif"], "the name must end in one of"),
    (["draw", ARCH, "-o", "absent/cell.svg"], "the folder 'absent' does not exist"),
    (["draw", ARCH, "--probabilities"], "--probabilities needs the run folder of a search, but this cell is given as text"),
    (["export", "nothing", "a"], "nothing is no run folder"),
    (["bench", ""], "words is empty; give a value or leave it out"),
], ids=lambda value: " ".join(value[-3:]) if isinstance(value, list) else "")
def test_every_error_is_one_sentence(words, sentence, capsys):
    Path("file").write_text("no genotype")
    Path("empty").mkdir()
    Path("one/cat").mkdir(parents=True)
    assert sentence in refused(capsys, *words)
    assert not list(Path(".").glob("runs/*/checkpoint-*"))


def test_folders_of_other_runs(searched, trained, capsys):
    assert "holds a search, not a training; train its genotype first" in refused(capsys, "evaluate", str(searched))
    assert "holds a run with another configuration (seed: 0 there, 1 asked)" in refused(
        capsys, *SEARCH, "--seed", "1", "--out", str(searched))
    held = gl.resume(trained, gl.load_data("digits"))
    held.folder.is_kept = True      # as by a run in a thread, or in another process
    try:
        assert "is in use by another run" in refused(capsys, "resume", str(trained))
    finally:
        held.close()
    for command in ("evaluate", "resume"):
        assert "images are needed here, but grammar is a text" in refused(
            capsys, command, str(trained), "--data", "grammar")


def test_a_loss_that_became_nan_in_the_first_epoch_leaves_no_checkpoint(capsys):
    broken = [*SEARCH, "--set", "learning_rate=1e38", "--set", "grad_clip_norm=none", "--out", "a"]
    assert "no epoch was finished yet" in refused(capsys, *broken)
    assert not checkpoints("a")


@pytest.mark.parametrize("words, sentence", [
    ([], "gdas-lite: the following arguments are required: COMMAND; see gdas-lite --help"),
    (["search", "imagenet"], "gdas-lite search: argument space: invalid choice: 'imagenet'"),
    (["search", "nasbench201", "--seed", "x"], "gdas-lite search: argument --seed: invalid int value: 'x'"),
    (["train"], "gdas-lite train: the following arguments are required: CELL"),
    (["draw", ARCH, "--nosuch"], "unrecognized arguments: --nosuch"),
])
def test_wrong_words_are_one_line(words, sentence, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    errors = capsys.readouterr().err
    assert stopped.value.code == 2 and sentence in errors and errors.count("\n") == 1


def test_a_note_that_comes_with_every_batch_is_said_once_a_command(capsys):
    registry: dict = {}
    for _ in range(2):
        with _warnings_as_sentences():
            for text in ("dark", "dark", "bright", "dark"):
                warnings.warn_explicit(text, UserWarning, "batches.py", 1, "gdas_lite.data.batches", registry)
        assert capsys.readouterr().err == "note: dark\nnote: bright\n"


def test_a_defect_of_the_program_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("gdas_lite.reproduction.cli.show.find_cell", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["info", ARCH])


@pytest.mark.parametrize("words", [["--help"], ["search", "--help"], ["draw", ARCH, "-o", "cell.dot"]], ids=str)
def test_help_and_drawing_import_nothing_heavy(words):
    code = ("import sys; from gdas_lite.reproduction.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
            "print([name for name in ('torch', 'matplotlib', 'sklearn') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_and_a_reader_that_goes_away():
    command = f"{shlex.quote(sys.executable)} -m gdas_lite zoo --space recurrent | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stderr == ""


def scores_of(capsys, *words: str) -> tuple[str, str]:
    """The line of the test set, or of all of another folder's pictures, that `evaluate` prints, and its notes."""
    capsys.readouterr()
    assert main(["evaluate", *words]) == 0
    printed = capsys.readouterr()
    return re.search(r"^  (?:test|all) .*", printed.out, re.MULTILINE).group(), printed.err


def test_other_pictures_are_shown_to_a_network_as_those_that_it_was_trained_on(capsys):
    """Size, colour and normalisation are the training's: those of a folder, its export, and the predictions of each."""
    def draw(folder, classes, shift):
        rng = np.random.default_rng(len(folder))
        for place, label in enumerate(classes):
            for index in range(12):
                path = Path(folder) / label / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = rng.normal(60 + 100 * place + shift, 10, (16, 16, 3)).clip(0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    draw("own", ("cat", "dog"), 0)
    draw("bright", ("cat", "dog"), 40)
    draw("others", ("cow", "dog"), 0)
    own = ["--data", "own", "--data-option", "image_size=8", "--data-option", "grey=true"]
    assert main(["train", ARCH, *TRAIN, *own, "--set", "batch_size=4", "--out", "run"]) == 0
    assert main(["export", "run", "net"]) == 0
    assert scores_of(capsys, "run", "--data", "own") == scores_of(capsys, "net", "--data", "own")
    line, notes = scores_of(capsys, "net", "--data", "bright")
    assert (line, notes) == scores_of(capsys, "run", "--data", "bright") and notes == ""
    bright = gl.load_data("./bright", image_size=8, grey=True)
    told = gl.read_exported("net")
    every = ImageSet(*(torch.cat([getattr(part, what) for part in (bright.train, bright.evaluation["test"])])
                       for what in ("images", "labels")))
    assert len(every) == 24                     # none of them was trained on
    score = evaluate(gl.load_exported("net"), every, replace(bright, mean=told.mean, std=told.std))
    assert f"accuracy {score.accuracy:.2f}%, loss {score.loss:.4f}" in line
    assert "note: the classes of others, ('cow', 'dog'), were called otherwise in the training, ('cat', 'dog')" in \
        scores_of(capsys, "run", "--data", "others")[1]
    assert "classes=2, but digits has 10" in refused(capsys, "evaluate", "run", "--data", "digits")


def test_a_streamed_export_reads_other_pictures_as_it_was_shown_them(capsys):
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for label in ("cat", "dog"):
            (Path("streamed") / part / label).mkdir(parents=True)
            for index in range(6):
                Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(
                    Path("streamed") / part / label / f"{index}.png")
    data = ["--data", "streamed", *(word for option in ("streamed=true", "image_size=16", "num_workers=0")
                                    for word in ("--data-option", option))]
    assert main(["train", ARCH, *TRAIN, *data, "--set", "batch_size=4", "--out", "run"]) == 0
    assert main(["export", "run", "net"]) == 0
    assert scores_of(capsys, "net", "--data", "streamed") == scores_of(capsys, "run", "--data", "streamed")
    assert "say where they are with --data" in refused(capsys, "evaluate", "run")
    scores = scores_of(capsys, "run", "--data", "streamed")
    assert scores_of(capsys, "run", "--data-root", "streamed") == scores
    assert "num_workers must be at least 0" in refused(
        capsys, "evaluate", "run", "--data", "streamed", "--data-option", "num_workers=-1")
    assert "digits does not take these options: streamed=True is for" in refused(capsys, "evaluate", "run", "--data", "digits")
    content = bare(json.loads(Path("net/network.json").read_text()))
    content["data"]["name"] = "imagenet"
    Path("net/network.json").write_text(json.dumps(content))
    assert scores_of(capsys, "net", "--data", "streamed") == scores


def test_help_names_all_data_sets_and_their_options(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "9999")       # a line is not broken within a name
    with pytest.raises(SystemExit):
        main(["search", "--help"])
    told = set(re.findall(r"[\w-]+", capsys.readouterr().out))
    assert {*DATA_SETS, *TEXT_SETS, *values.DATA_OPTIONS} <= told


@pytest.mark.parametrize("words", [["--epochs", "5"], ["--batch_size", "64"], ["--layers", "8"]], ids=str)
def test_options_of_other_kits_are_told_where_the_field_is(words, capsys):
    with pytest.raises(SystemExit):
        main([*SEARCH, *words])
    assert "set by --set epochs=5, those of a space or network by --with cells=8" in capsys.readouterr().err


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")])
def test_a_full_memory_is_a_sentence(error, monkeypatch, capsys):
    def find_cell(_):
        raise error
    monkeypatch.setattr("gdas_lite.reproduction.cli.show.find_cell", find_cell)
    assert "the memory is full; take a smaller batch" in refused(capsys, "info", ARCH)
