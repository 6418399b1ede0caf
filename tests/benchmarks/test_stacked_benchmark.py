"""benchmarks/stacked_search.py at a tiny size: that it works and what it prints. It measures nothing here."""

from __future__ import annotations

import json

import pytest

from benchmarks import stacked_search

pytest.importorskip("numba", reason="stacked searches are compiled by numba (extra `fast`)")


def test_it_prints_and_keeps_a_table(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(stacked_search, "RESULTS", tmp_path)
    stacked_search.main(["--searches", "2", "--channels", "2", "--rounds", "1", "--save", "tiny"])
    out = capsys.readouterr().out
    assert "engine cpu" in out and "| one, plain |" in out and "| one, cpu |" in out and "2 stacked over it" in out
    found = json.loads((tmp_path / "tiny.json").read_text())
    assert set(found["seconds"]) == set(found["processor"]) == {"stacked", "one, plain", "one, cpu"}
    assert (tmp_path / "tiny.md").read_text().startswith("| gdas |")


def test_the_ratio_is_that_of_the_medians():
    sides = {"stacked": [0.3, 0.2, 0.4], "one, plain": [0.1, 0.2, 0.3]}
    text = stacked_search.table({"algorithm": "gdas", "searches": 8, "steps": 10, "seconds": sides, "processor": sides})
    assert "| stacked | 30.0 | | 30.0 | |" in text
    assert "| one, plain | 20.0 | **1.50** (1.00 to 3.00) | 20.0 | **1.50** |" in text
