"""benchmarks/nasnet_step.py runs, and what it writes says where it was measured. (Its numbers are no test.)"""

from __future__ import annotations

import json

import pytest
from torch import nn

from benchmarks import nasnet_step
from benchmarks.nasnet_reference import ReferenceSearch

pytestmark = pytest.mark.usefixtures("threads_as_before")


def test_a_small_run_prints_and_keeps_a_table_with_machine_command_and_engine(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(nasnet_step, "RESULTS", tmp_path / "results")
    nasnet_step.main(["--layout", "autodl", "paper", "--batch", "2", "--rounds", "1", "--threads", "1", "--no-memory", "--save",
                      "here", "--json", str(tmp_path / "there.json")])
    printed = capsys.readouterr().out
    kept = json.loads((tmp_path / "results" / "here.json").read_text())
    assert kept == json.loads((tmp_path / "there.json").read_text())
    assert [(row["algorithm"], row["layout"]) for row in kept["rows"]] == [("gdas", "autodl"), ("gdas", "paper")]
    for row in kept["rows"]:
        reference, ours = (row["seconds"][side][0] for side in ("reference", "gdas_lite"))
        assert row["times_as_fast"] == pytest.approx(reference / ours) and row["peak_mib"] == {}
    assert kept["machine"]["engine"].startswith("plain: ")          # maps of two images are too small for the kernels
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(table) == 4 and len({line.count("|") for line in table}) == 1
    markdown = (tmp_path / "results" / "here.md").read_text()
    assert table[-1] in markdown and kept["machine"]["cpu"] in markdown and "--batch 2" in markdown


@pytest.mark.parametrize("algorithm, layout", [("gdas", "autodl"), ("darts-v1", "paper"), ("darts-v2", "paper")])
def test_the_sides_compute_the_same_loss(algorithm, layout, monkeypatch):
    monkeypatch.setattr(nasnet_step, "CHANNELS", 4)
    monkeypatch.setattr(nasnet_step, "SIDE", 8)
    monkeypatch.setattr(nasnet_step, "ReferenceSearch", lambda layout, algorithm: ReferenceSearch(layout, algorithm, 4))
    sides = [make(algorithm, layout, 4) for make in nasnet_step.SIDES.values()]
    nasnet_step.copy_weights(*sides)
    theirs, ours = (side.step() for side in sides)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_wrong_loss_is_not_timed(monkeypatch):
    monkeypatch.setattr(nasnet_step, "SIDES", {name: lambda *_, loss=loss: nasnet_step.Side(nn.Identity(), {}, lambda: loss)
                                               for name, loss in (("reference", 2.3), ("gdas_lite", 2.31))})
    with pytest.raises(SystemExit, match=r"gdas autodl: the losses of the first step are 2.3 \(reference\), 2.31 \(gdas_lite\)"):
        nasnet_step.main(["--batch", "2", "--no-memory", "--threads", "1"])
