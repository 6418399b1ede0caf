"""benchmarks/nasnet_cells_gpu.py: its plain side, and what it says without a GPU. The kernels have tests of their own."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

if find_spec("triton") is None:
    pytest.skip("Triton is not installed: it comes with PyTorch's builds for NVIDIA GPUs on Linux", allow_module_level=True)

from types import SimpleNamespace

from benchmarks import nasnet_cells_gpu as benchmark
from gdas_lite.relaxation import fixed_mixture


def test_without_a_gpu_it_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        benchmark.main([])
    assert "PyTorch sees none; --quick" in capsys.readouterr().err


def test_the_plain_side_runs_the_drawn_candidates_and_is_timed():
    sizes = SimpleNamespace(channels=8, shape=(2, 8, 4, 4), real=torch.float32)
    cell, maps = benchmark.cell_and_maps(torch.device("cpu"), sizes)
    for draw in benchmark.DRAWS:
        mixture = fixed_mixture(draw, 8)
        out, older, newer, weights, *parameters = benchmark.run(benchmark.plain(mixture), cell, maps, mixture.weights)
        assert out.shape == (2, 32, 4, 4) and older.norm() > 0 and newer.norm() > 0
        assert len(parameters) == len([*cell.parameters()])
        assert bool((weights != 0)[mixture.weights == 0].any()) is False
    assert set(benchmark.measure({"one": lambda: None, "other": lambda: None}, rounds=2)) == {"one", "other"}
