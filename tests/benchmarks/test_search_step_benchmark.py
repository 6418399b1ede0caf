"""benchmarks/search_step.py runs, and what it writes says where it was measured. (Its numbers are no test.)"""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import search_step
from benchmarks.same_loss import check_same_loss
from gdas_lite.relaxation import Mixture
from gdas_lite.search import algorithms
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
        assert all(len(values) == 2 and min(values) >= 0 for values in row["processor_seconds"].values())
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
        step = make("gdas", search_step.parse(["--quick", "--engine", "layers"])).step      # goes by Supernet.forward
        step(), step()
    assert drawn["package"] == drawn["reference"]
    assert len(set(drawn["package"])) == len(drawn["package"]) == 4


@pytest.mark.parametrize("algorithm", search_step.ALGORITHMS)
def test_the_sides_compute_the_same_loss(algorithm):
    arguments = search_step.parse(["--quick"])
    sides = [make(algorithm, arguments) for make in search_step.SIDES.values()]
    search_step.copy_weights(*(side.net for side in sides))
    first, second = ([side.step() for side in sides] for _ in range(2))
    assert first[1] == pytest.approx(first[0], rel=1e-6) and second[1] == pytest.approx(second[0], rel=1e-3)


def test_a_wrong_loss_is_not_timed(monkeypatch):
    """Every candidate with weight 1, as the package once trained DARTS."""
    monkeypatch.setattr(algorithms, "soft_mixture", lambda alpha: Mixture(torch.ones_like(alpha), ((0, 1, 2, 3, 4),) * 6))
    with pytest.raises(SystemExit, match=r"darts-v1: the losses of the first step are .* \(reference\), .* \(package\)"):
        search_step.main(["--quick", "--algorithms", "darts-v1", "--no-memory"])


@pytest.mark.parametrize("losses", [(2.0, 2.001), (2.0, float("nan")), (float("nan"), 2.0)])
def test_losses_that_differ_or_are_none(losses):
    check_same_loss("x", {"a": 2.0, "b": 2.00001}, 1e-4)
    with pytest.raises(SystemExit, match="nothing is timed"):
        check_same_loss("x", dict(zip("ab", losses, strict=True)), 1e-4)


def test_peak_memory_comes_from_a_process_of_its_own():
    memory = search_step.peak_gb("gdas", "package", search_step.parse(["--quick", "--memory-steps", "1"]))
    assert 0.05 < memory["before"] <= memory["peak"] < 5
