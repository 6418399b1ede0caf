"""benchmarks/captured_search.py at a tiny size: that it works and what it prints. It measures nothing here."""

from __future__ import annotations

import json
from types import SimpleNamespace

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
    for row in rows:
        assert row["kernels"] == sorted(row["kernels"], key=lambda one: -one["ms"]) and row["kernels"][0]["ms"] > 0
        assert f"| {row['algorithm']} | floor | {row['floor_ms']:.2f} |" in out
    assert list(rows[1]["ms"]) == ["plain", "captured", "2 captured"]
    with pytest.raises(SystemExit):
        captured_search.main([])
    assert "PyTorch sees none" in capsys.readouterr().err


def test_the_published_protocol_is_its_steps():
    text = captured_search.table({"algorithm": "darts-v1", "ms": {"plain": [6.0, 12.0, 60.0], "captured": [1.2, 1.2, 1.0]}})
    assert text == "| darts-v1 | plain | 12.00 | 1.0 | 3.9 min |\n| darts-v1 | captured | 1.20 | 10.0 | 0.4 min |"


def test_the_floor_counts_every_map_of_a_step():
    """By hand: 8 channels at 32x32, 16 at 16x16, 32 at 8x8, batch 8; three nodes and twelve convolutions a cell of DARTS."""
    setting = SimpleNamespace(channels=8, cells_per_stage=1, batch=8, size=32, precision="fp32")
    numbers = 8 * (8 * 1024 + 16 * 256 + 32 * 64)
    assert captured_search.floor_bytes("darts-v1", setting) == 2 * 4 * 15 * numbers * 4
    assert captured_search.floor_bytes("darts-v2", setting) == 5 * 4 * 15 * numbers * 4
    assert captured_search.floor_bytes("gdas", setting) == pytest.approx(2 * 4 * 5.4 * numbers * 4)
    assert captured_search.floor_bytes("random", setting) == pytest.approx(4 * 5.4 * numbers * 4)
    setting.precision = "bf16"
    assert captured_search.floor_bytes("darts-v1", setting) == 2 * 4 * 15 * numbers * 2
