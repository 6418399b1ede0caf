"""benchmarks/captured_search.py at a tiny size: that it works and what it prints. It measures nothing here."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import captured_search


def test_it_checks_and_keeps_a_table(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(captured_search, "RESULTS", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(captured_search, "checks", lambda device: {"captured search": 1e-7})        # test_captured.py runs them
    captured_search.main(["--quick", "--algorithms", "gdas", "random", "--searches", "2", "--save", "tiny"])
    out = capsys.readouterr().out
    for words in ("largest error, captured search", "| gdas | reference |", "| gdas | captured |", "| random | 2 captured |"):
        assert words in out
    rows = json.loads((tmp_path / "tiny.json").read_text())["rows"]
    assert list(rows[0]["ms"]) == ["reference", "plain", "captured", "2 captured"]
    assert list(rows[1]["ms"]) == ["plain", "captured", "2 captured"]
    with pytest.raises(SystemExit):
        captured_search.main([])
    assert "PyTorch sees none" in capsys.readouterr().err


def test_the_published_protocol_is_its_steps():
    text = captured_search.table({"algorithm": "darts-v1", "ms": {"plain": [6.0, 12.0, 60.0], "captured": [1.2, 1.2, 1.0]}})
    assert text == "| darts-v1 | plain | 12.00 | 1.0 | 3.9 min |\n| darts-v1 | captured | 1.20 | 10.0 | 0.4 min |"
