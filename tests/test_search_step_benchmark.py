"""benchmarks/search_step.py runs, and what it writes says where it was measured. (Its numbers are no test.)"""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import search_step
from gdas_lite.spaces.nasbench201 import Supernet

pytestmark = pytest.mark.usefixtures("threads_as_before")


def test_a_quick_run_prints_and_keeps_a_table_with_machine_and_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(search_step, "RESULTS", tmp_path / "results")
    search_step.main(["--quick", "--algorithms", "gdas", "darts-v1", "--no-memory", "--save", "here"])
    printed = capsys.readouterr().out
    kept = json.loads((tmp_path / "results" / "here.json").read_text())
    assert [row["algorithm"] for row in kept["rows"]] == ["gdas", "darts-v1"]
    for row in kept["rows"]:
        assert all(len(values) == 2 and min(values) > 0 for values in row["seconds"].values())
        assert row["ratio_of_rounds"][0] <= row["times_as_fast"] * 1.0001 and row["peak_gb"] == {}
    assert kept["machine"]["torch"] == torch.__version__ and kept["machine"]["threads"] == 1
    assert kept["machine"]["command"].startswith("python benchmarks/search_step.py --quick --algorithms gdas darts-v1")
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(table) == 4 and len({line.count("|") for line in table}) == 1
    markdown = (tmp_path / "results" / "here.md").read_text()
    assert table[-1] in markdown and kept["machine"]["cpu"] in markdown


def test_both_sides_draw_the_same_candidates(monkeypatch):
    """Noise and alpha are equal, so the candidates that run are, step by step."""
    drawn = {"reference": [], "package": []}
    mixture, forward = search_step.ReferenceSearch.mixture, Supernet.forward

    def of_reference(self, alpha):
        weights, columns = mixture(self, alpha)
        drawn["reference"].append(tuple(columns))
        return weights, columns

    def of_package(self, x, mixtures):
        drawn["package"].append(tuple(column for column, in mixtures["cell"].active))
        return forward(self, x, mixtures)

    monkeypatch.setattr(search_step.ReferenceSearch, "mixture", of_reference)
    monkeypatch.setattr(Supernet, "forward", of_package)
    for make in search_step.SIDES.values():
        step = make("gdas", search_step.parse(["--quick"]))
        step(), step()
    assert drawn["package"] == drawn["reference"]
    assert len(set(drawn["package"])) == len(drawn["package"]) == 4


def test_peak_memory_comes_from_a_process_of_its_own():
    memory = search_step.peak_gb("gdas", "package", search_step.parse(["--quick", "--memory-steps", "1"]))
    assert 0.05 < memory["before"] <= memory["peak"] < 5
