"""Why kernels are not used on a GPU: every reason is a sentence."""

from __future__ import annotations

import pytest
import torch

from gdas_lite.kernels import proving

GPU = torch.device("cuda")


def fails(device: torch.device) -> float:
    raise RuntimeError("no such instruction\nand much more")


def test_a_missing_triton_and_a_missing_gpu_are_said_before_anything_is_compiled(monkeypatch):
    monkeypatch.setattr(proving, "find_spec", lambda name: None)
    assert proving.obstacle_on(GPU, fails) == "Triton is not installed"
    monkeypatch.setattr(proving, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert proving.obstacle_on(GPU, fails) == f"torch {torch.__version__} sees no CUDA GPU"


@pytest.mark.parametrize("largest_error, said", [
    (fails, "the Triton kernels do not work here (RuntimeError: no such instruction)"),
    (lambda device: 0.02, "the Triton kernels are wrong here: they differ from PyTorch by 0.02"),
    (lambda device: float("nan"), "the Triton kernels are wrong here: they differ from PyTorch by nan"),
    (lambda device: 1e-6, None)])
def test_kernels_are_used_only_if_they_compile_and_agree(monkeypatch, largest_error, said):
    monkeypatch.setattr(proving, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert proving.obstacle_on(GPU, largest_error) == said
