"""`gdas-lite bench`: every protocol parses, measurements are scaled as said, failures are sentences. No clock is looked at."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.reproduction.cli.tables import Line, as_json, bench, measured, protocols, run_bench, table
from gdas_lite.reproduction.cli.values import protocol
from gdas_lite.reproduction.costs import _search
from gdas_lite.reproduction.published import rows
from gdas_lite.runs.device import peak_resident

FOUND = {"items": 1000, "per_second": 10.0, "batch": 16, "device": "CPU, 2 threads", "memory": 1.3e9}


def runner(found=None, returncode=0, stderr="", seen=None):
    """As subprocess.run, of a child that prints `found`."""
    def run(words, **options):
        if seen is not None:
            seen.append(words)
        return SimpleNamespace(returncode=returncode, stdout=f"noise\n{json.dumps(found or FOUND)}\n", stderr=stderr)
    return run


def test_every_protocol_is_a_command_of_the_papers_recipe():
    for name, asked in protocols().items():
        assert asked.recipe.name.startswith("paper") and asked.config["recipe"], name
    sizes = {name: asked.recipe.batch_size for name, asked in protocols().items()}
    assert sizes["NAS-Bench-201, GDAS"] == 64 and sizes["NASNet space, GDAS"] == 256 and sizes["GDAS_V1, ImageNet"] == 128
    assert set(protocols(quick=True)) < set(protocols())


def test_a_protocol_that_is_called_published_is_that_of_a_published_number():
    """Whoever runs its command for days shall find it in `gdas-lite reproduce`."""
    published = {row.protocol.command for row in rows() if row.protocol}
    others = {name for name, asked in protocols().items() if asked.command not in published}
    assert others == {"recurrent, DARTS-V2 on PTB",         # of which the days alone are published
                      "NAS-Bench-201 network, CIFAR-10"}    # one of 15,625


def test_a_measurement_is_scaled_to_the_protocols_batch():
    seen = []
    names = ("NASNet space, GDAS", "NASNet space, DARTS-V1", "GDAS_V1, CIFAR-10")
    line, *_ = bench({name: protocols()[name] for name in names}, device="cpu", steps=3, run=runner(seen=seen))
    assert seen[0][-3:] == ["64", "12", "cpu"] and seen[0][-4] == protocols()[names[0]].command      # it draws: more steps
    assert [words[-3:-1] for words in seen[1:]] == [["64", "3"], ["16", "3"]]
    assert (line.batch, line.measured_batch) == (256, 16)
    assert line.step_s == pytest.approx(25.6)               # 256 images at 10 a second
    assert line.protocol_s == pytest.approx(100)
    assert line.memory == 1.3e9


@pytest.mark.parametrize("batch, steps, expected", [
    (32, [(16, 1), (32, 3)], 900 + 2 * 100),        # 100 more with 16 images: the next 32 want 200
    (64, [(64, 3)], 900)])                          # the protocol's own batch
def test_memory_grows_with_the_batch_but_not_what_the_program_holds(batch, steps, expected, monkeypatch):
    done, sizes = [], iter((500, 800, 900) if batch < 64 else (500, 900))

    def estimate(asked, *, batch, steps, device):
        done.append((batch, steps))
        return SimpleNamespace(items=1, per_second=1.0, batch=batch, device="CPU", memory=None)

    monkeypatch.setattr("gdas_lite.reproduction.cli.tables.estimate", estimate)
    monkeypatch.setattr("gdas_lite.reproduction.cli.tables.peak_resident", lambda: next(sizes))
    found = measured(protocols()["NAS-Bench-201, GDAS"], batch, 3, "cpu")
    assert done == steps and found["memory"] == expected


def test_a_step_of_text_counts_words_and_pictures_are_measured_four_at_a_time():
    seen = []
    names = ("recurrent, GDAS on PTB", "GDAS_V1, ImageNet")
    words, _ = bench({name: protocols()[name] for name in names}, device="cpu", run=runner(seen=seen))
    recipe = protocols()[names[0]].recipe
    assert words.step_s == pytest.approx(recipe.batch_size * recipe.bptt / 10)
    assert [call[-3] for call in seen] == [str(recipe.batch_size), "4"]


def test_what_fails_is_said_and_the_others_go_on():
    def slow(*_, **options):
        raise subprocess.TimeoutExpired("python", options["timeout"])

    commands = dict(list(protocols().items())[:2])
    for run, words in ((slow, "more than 7 s"), (runner(returncode=-9), "want of memory"),
                       (runner(returncode=1, stderr="Traceback\nValueError: no"), "ValueError: no")):
        lines = list(bench(commands, limit_s=7, device="cpu", run=run))
        assert len(lines) == 2 and all(words in line.problem and line.step_s is None for line in lines)
        assert "not measured" in list(table(lines))[1]


def test_table_and_json_say_the_same():
    line = Line("GDAS", "gdas-lite search ...", 64, 16, 0.5, 7200.0, 1.26e9, "CPU")
    head, row = table([line])
    assert "a step" in head and "0.50 s" in row and "2 h 00 min" in row and "1.3 GB" in row and "16 of 64, scaled" in row
    [found] = json.loads(as_json([line]))
    assert found["step_s"] == 0.5 and found["memory"] == 1.26e9 and found["command"] == "gdas-lite search ..."


def test_a_protocol_is_measured_in_this_process():
    asked = protocol("gdas-lite search nasbench201 --data digits --channels 2 --cells-per-stage 1 --recipe smoke")
    found = measured(asked, 8, 1, "cpu")
    assert found["items"] == 701 * 2 and found["batch"] == 8 and found["per_second"] > 0
    assert found["memory"] > 0 or peak_resident() == 0


def test_the_command_prints_a_table_or_json(capsys, monkeypatch):
    monkeypatch.setattr("gdas_lite.reproduction.cli.tables.bench", lambda asked, **options: bench(asked, run=runner(), **options))
    arguments = SimpleNamespace(words=["nasnet", "gdas"], quick=False, json=False, device="cpu", limit=60.0)
    assert run_bench(arguments) == 0
    out = capsys.readouterr().out
    assert out.count("NASNet space, GDAS") == 2 and "DARTS" not in out
    arguments.json = True
    assert run_bench(arguments) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["NASNet space, GDAS", "NASNet space, GDAS-FRC"]
    arguments.words = ["transformer"]
    with pytest.raises(ValueError, match="no protocol has 'transformer' in its name; there are NAS-Bench-201, GDAS"):
        run_bench(arguments)


@pytest.mark.skipif(numba_obstacle() is not None, reason=f"engine cpu: {numba_obstacle()}")
def test_a_few_images_are_measured_on_the_engine_of_the_whole_batch():
    asked = protocol("gdas-lite search nasbench201 --algorithm gdas --data cifar10")
    assert _search(asked, 2, 1, torch.device("cpu")).engine.name == "cpu"
    assert gl.Search(gl.NASBench201(8, 1), gl.load_data("digits"), gl.GDAS()).engine.name == "layers"
