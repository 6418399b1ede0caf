"""benchmarks/captured_search.py at a tiny size: that it works and what it prints. It measures nothing here."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from benchmarks import captured_floor, captured_search


@pytest.fixture(autouse=True)
def nowhere_near_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(captured_search, "RESULTS", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(captured_search, "checks", lambda device, space: {"captured search": 1e-7})     # test_captured.py's


def test_it_checks_and_keeps_a_table(capsys, tmp_path):
    captured_search.main(["--quick", "--algorithms", "gdas", "random", "--searches", "2", "--save", "tiny"])
    out = capsys.readouterr().out
    for words in ("error, captured search", "| gdas | reference |", "| gdas | captured |", "| random | 2 captured |"):
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


def test_it_measures_the_nasnet_space_too(capsys, monkeypatch):
    monkeypatch.setattr(captured_search, "kernels", lambda run, arguments: [])      # PyTorch's profiler takes ten seconds for it
    captured_search.main(["--quick", "--space", "nasnet", "--algorithms", "gdas"])
    sides = [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("| gdas | ")]
    assert sides == ["reference", "plain", "captured", "floor"]


def test_the_published_protocol_is_its_steps():
    row = {"space": "nasbench201", "algorithm": "darts-v1", "batch": 64,
           "ms": {"plain": [6.0, 12.0, 60.0], "captured": [1.2, 1.2, 1.0]}}
    text = captured_search.table(row)
    assert text == "| darts-v1 | plain | 12.00 | 1.0 | 3.9 min |\n| darts-v1 | captured | 1.20 | 10.0 | 0.4 min |"
    row = {"space": "nasnet", "algorithm": "gdas", "batch": 256, "ms": {"captured": [10.0]}}       # 240 epochs of 98 steps
    assert captured_search.table(row) == "| gdas | captured | 10.00 | 1.0 | 3.9 min |"


def test_the_floor_counts_every_map_of_a_step():
    """By hand: 8 channels at 32x32, 16 at 16x16, 32 at 8x8, batch 8; three nodes and twelve convolutions a cell of DARTS."""
    setting = SimpleNamespace(space="nasbench201", channels=8, cells=1, batch=8, size=32, precision="fp32")
    numbers = 8 * (8 * 1024 + 16 * 256 + 32 * 64)
    assert captured_floor.floor_bytes("darts-v1", setting) == 2 * 4 * 15 * numbers * 4
    assert captured_floor.floor_bytes("darts-v2", setting) == 5 * 4 * 15 * numbers * 4
    assert captured_floor.floor_bytes("gdas", setting) == pytest.approx(2 * 4 * 5.4 * numbers * 4)
    assert captured_floor.floor_bytes("random", setting) == pytest.approx(4 * 5.4 * numbers * 4)
    setting.precision = "bf16"
    assert captured_floor.floor_bytes("darts-v1", setting) == 2 * 4 * 15 * numbers * 2


def test_the_floor_of_a_nasnet_step():
    """By hand: three cells of 8 channels at 16x16, 16 at 8x8 and 32 at 4x4, the last two reductions."""
    setting = SimpleNamespace(space="nasnet", channels=8, cells=3, batch=4, size=16, precision="fp32")
    given = 2 * (8 * 256 + 16 * 256 + 32 * 64)
    maps = [8 * 256, 16 * 64, 32 * 16]
    normal, skips = 4 + 14 * 6 + 5 * 2, 8               # DARTS: nodes, convolutions, pooled maps; factorised reductions
    wanted = 2 * 4 * 4 * 4 * (given + normal * sum(maps) + skips * sum(maps[1:]))
    assert captured_floor.floor_bytes("darts-v1", setting) == wanted
    assert captured_floor.floor_bytes("gdas", setting) == pytest.approx(2 * 4 * 4 * 4 * (given + 18 * sum(maps) + sum(maps[1:])))
    assert captured_floor.floor_bytes("random", setting) < captured_floor.floor_bytes("gdas", setting) / 2
