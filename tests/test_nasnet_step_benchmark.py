"""benchmarks/nasnet_step.py runs, and what it writes says where it was measured. (Its numbers are no test.)"""

from __future__ import annotations

import json

import pytest

from benchmarks import nasnet_step

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
