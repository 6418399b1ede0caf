"""Searches that come with the package: what is shipped, a round trip from a run folder, and one sentence for damage."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gdas_lite as gl
from benchmarks import record_search
from gdas_lite.lessons import recorded as shipped
from gdas_lite.reproduction.cli.main import main
from tests.runs.test_schema import bare
from tests.visual.test_plots import ONE_HISTORY
from tests.visual.widgets.made_up_searches import made_up_history

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "gdas-lite search nasbench201 --algorithm {} --data digits --channels 2 --cells-per-stage 1 --recipe smoke"
RECORDER = ROOT / "benchmarks" / "record_search.py"


def about_of(history, algorithm="gdas", space="nasbench201") -> dict:
    return {"config": {"space": {"name": space}, "algorithm": {"name": algorithm}, "recipe": {"epochs": len(history)}, "seed": 0,
                       "data": {"name": "cifar10"}},
            "command": "made up", "machine": {"processor": "none"}, "commit": None, "date": "2026-11-29"}


def content(name: str) -> dict:
    """What a shipped file holds, without its checksum."""
    return bare(json.loads(gzip.decompress((shipped.FOLDER / f"{name}.json.gz").read_bytes())))


@pytest.mark.parametrize("name", shipped.names())
def test_what_is_shipped(name):
    history, file = gl.recorded(name), shipped.FOLDER / f"{name}.json.gz"
    config = history.about["config"]
    assert file.stat().st_size <= 60_000 and name.endswith(f"-{config['data']['name']}-{config['seed']}")
    assert name.startswith(config["algorithm"]["name"]) and history.about["machine"]["processor"]
    assert {"torch", "python"} <= set(history.about["machine"]) and history.about["commit"] and history.about["command"]
    assert not re.search(r"/(home|root|work|tmp)\b", gzip.decompress(file.read_bytes()).decode())
    assert history[3:].about == history.about


def test_an_unknown_name_lists_those_there_are(tmp_path):
    says = "recorded: no search 'gdas-9'; there are .*gdas-published-thumbnails-0, gdas-published-thumbnails-1"
    with pytest.raises(ValueError, match=says) as caught:
        gl.recorded("gdas-9")
    assert "\n" not in str(caught.value)
    for folder in (tmp_path, str(tmp_path)):
        with pytest.raises(ValueError, match="there are none"):
            gl.recorded("a", folder)
    with pytest.raises(ValueError, match="no search '../recorded/gdas-published-thumbnails-0'"):
        gl.recorded("../recorded/gdas-published-thumbnails-0")


@pytest.mark.parametrize("algorithm", ["gdas", "random"])
def test_from_a_run_folder_into_the_package_and_back(algorithm, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = COMMAND.format(algorithm)
    assert main([*command.split()[1:], "--seed", "3", "--out", "run"]) == 0
    words = [sys.executable, RECORDER, "run", "tiny", "--command", command, "--commit", "abc", "--into", tmp_path]
    subprocess.run(words, check=True, capture_output=True)
    history, run = gl.recorded("tiny", tmp_path), gl.History.read("run")
    assert history.about["command"] == command and history.about["commit"] == "abc"
    assert history.about["config"] == json.loads(Path("run/config.json").read_text()) and history.about["config"]["seed"] == 3
    assert {"processor", "python", "torch", "numpy"} <= set(history.about["machine"])
    assert len(history) == len(run) and history.labels == run.labels
    for kept, record in zip(history, run):
        assert (kept.epoch, kept.genotype, kept.engine) == (record.epoch, record.genotype, record.engine)
        assert kept.tau == (None if record.tau is None else pytest.approx(record.tau, abs=1e-6))
        for field in ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "seconds", "learning_rate"):
            assert getattr(kept, field) == pytest.approx(getattr(record, field), abs=5.1e-7, nan_ok=True)
        np.testing.assert_allclose(kept.alphas["cell"], record.alphas["cell"], atol=6e-7)
    other = subprocess.run([*words[:5], COMMAND.format("darts-v1"), *words[6:]], capture_output=True, text=True)
    assert other.returncode == 1 and "its config.json says something else" in other.stderr


def test_the_real_accuracy_of_each_epochs_cell():
    table = gl.tabular("nasbench201")
    history = gl.recorded("darts-v1-thumbnails-0")
    slow = [table.query(record.genotype)["c10_test_200"] for record in history]
    assert gl.landscape.trajectory(history).tolist() == slow
    digits = gl.tabular("digits")
    assert gl.landscape.trajectory(history, "digits", "digits_valid_6").tolist() == [
        digits.accuracy(record.genotype, "digits_valid_6") for record in history]
    silent = made_up_history(gl.NASBench201(), 3, derives=False)
    silent[2].genotype = history[0].genotype            # random search derives at its end
    found = gl.landscape.trajectory(silent)
    assert np.isnan(found[:2]).all() and found[2] == slow[0]
    best = table.values("c10_test_200").max()
    np.testing.assert_array_equal(gl.landscape.regrets(table, [record.genotype for record in silent]), best - found)
    with pytest.raises(ValueError, match="this search has normal and reduce cells"):
        gl.landscape.trajectory(made_up_history(gl.NASNet(), 2))


def test_every_plot_and_the_player_take_a_recorded_search():
    history = gl.recorded("gdas-published-thumbnails-0")
    for draw in ONE_HISTORY.values():
        assert draw(history).claim
    from gdas_lite.visual.tables import regret_over_epochs
    seeds = [gl.recorded(f"gdas-published-thumbnails-{seed}") for seed in range(3)]
    table = gl.tabular("nasbench201")
    regret = np.stack([gl.landscape.regrets(table, [record.genotype for record in each]) for each in seeds])
    assert regret_over_epochs({"GDAS": regret}).claim
    player = gl.AlphaPlayer(history)
    run, = player.runs
    assert len(run["epochs"]) == len(history) and "CIFAR-10" in run["cells"][0]["score"]


def test_the_published_length_fits(tmp_path):
    history = made_up_history(gl.NASBench201(), 250)
    record_search.record(tmp_path / "long.json.gz", history, about_of(history))
    assert (tmp_path / "long.json.gz").stat().st_size <= 60_000
    assert len(gl.recorded("long", tmp_path)) == 250
    long = made_up_history(gl.NASNet(), 250)
    with pytest.raises(ValueError, match=r"huge.json.gz: .* bytes, more than 60,000"):
        record_search.record(tmp_path / "huge.json.gz", long, about_of(long, space="nasnet"))
    assert not (tmp_path / "huge.json.gz").exists()


def test_only_whole_searches_are_recorded(tmp_path):
    history = made_up_history(gl.NASBench201(), 5)
    about = about_of(history)
    with pytest.raises(ValueError, match="expected the epochs 0 to 4"):
        record_search.record(tmp_path / "a.json.gz", history[:4], about)
    history[3].stopped = "skip limit"
    record_search.record(tmp_path / "a.json.gz", history[:4], about)      # a search that stopped by itself is at its end
    record_search.record(tmp_path / "first.json.gz", history[:3], about | {"unfinished": True})
    first = gl.recorded("first", tmp_path)
    assert first.about["unfinished"] is True and repr(first) == "History of 3 of 5 epochs, cells: cell"
    assert (first.total_epochs, first[:2].total_epochs, history.total_epochs) == (5, 5, 5)
    players = gl.AlphaPlayer({"first": first, "whole": history}, None)
    assert [run["name"] for run in players.runs] == ["first, 3 of 5 epochs so far", "whole"]
    assert "first, after epoch 3 of 5" in gl.AlphaPlayer({"first": first, "whole": history}, None).static_twin()["image/svg+xml"]
    with pytest.raises(ValueError, match="expected the epochs 0 to 4"):        # one that is at its end does not say so
        record_search.record(tmp_path / "a.json.gz", made_up_history(gl.NASBench201(), 5), about | {"unfinished": True})
    close = made_up_history(gl.NASBench201(), 2)
    close[1].alphas["cell"][0] = [0, 1e-8, 0, 0, 0]
    close[1].genotype = str(gl.NASBench201().derive(close[1].alphas))
    with pytest.raises(ValueError, match="epoch 1: the cell is not that of its alphas"):
        record_search.record(tmp_path / "b.json.gz", close, about_of(close))


def spoil(data: dict, how: str) -> None:
    record = data["history"]["records"][3]
    if how == "format":
        data["format"] = "something else"
    elif how == "an epoch missing":
        del data["history"]["records"][3]
    elif how == "another cell":
        record["genotype"] = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    elif how == "shape of alpha":
        record["alphas"]["cell"].pop()
    elif how == "a field missing":
        del record["train_loss"]
    elif how == "no machine":
        del data["machine"]
    else:
        data["history"] = 3


@pytest.mark.parametrize(("how", "says"), [
    ("format", "its format is 'something else'"), ("an epoch missing", "expected the epochs 0 to"),
    ("another cell", "epoch 3: the cell is not that of its alphas"), ("shape of alpha", "finite numbers"),
    ("a field missing", "epoch 3.train_loss is missing"), ("no machine", "the field machine is missing"),
    ("no history", "history must be an object, got 3")])
def test_a_damaged_file_is_refused_in_one_sentence(how, says, tmp_path):
    data = content("gdas-published-thumbnails-0")
    spoil(data, how)
    (tmp_path / "spoilt.json.gz").write_bytes(gzip.compress(json.dumps(data).encode()))
    with pytest.raises(ValueError, match="spoilt.json.gz does not hold a recorded search") as refused:
        gl.recorded("spoilt", tmp_path)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_cut_is_refused(tmp_path):
    (tmp_path / "cut.json.gz").write_bytes((shipped.FOLDER / "gdas-published-thumbnails-0.json.gz").read_bytes()[:500])
    with pytest.raises(ValueError, match="install gdas_lite again"):
        gl.recorded("cut", tmp_path)


def test_a_recorded_search_opens_without_torch():
    code = ("import sys; sys.modules['torch'] = None\n"
            "import gdas_lite as gl\n"
            "print(len(gl.landscape.trajectory(gl.recorded('gdas-published-thumbnails-0'))))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "50\n"
