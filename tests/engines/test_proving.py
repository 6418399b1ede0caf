"""Why kernels are not used on a GPU: every reason is a sentence."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
import torch

from gdas_lite.engines.cuda import nasbench201_kernels as gpu
from gdas_lite.engines.cuda import nasnet_kernels as gpu_nasnet
from gdas_lite.engines.cuda import proving

GPU = torch.device("cuda")


def fails(device: torch.device, dtype: torch.dtype) -> float:
    raise RuntimeError("no such instruction\nand much more")


def test_a_missing_triton_and_a_missing_gpu_are_said_before_anything_is_compiled(monkeypatch):
    monkeypatch.setattr(proving, "find_spec", lambda name: None)
    assert proving.obstacle_on(GPU, torch.float32, fails) == "Triton is not installed"
    monkeypatch.setattr(proving, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert proving.obstacle_on(GPU, torch.float32, fails) == f"torch {torch.__version__} sees no CUDA GPU"


@pytest.mark.parametrize("dtype, largest_error, said", [
    (torch.float32, fails, "the Triton kernels do not work here (RuntimeError: no such instruction)"),
    (torch.bfloat16, lambda device, dtype: 0.02, "the Triton kernels are wrong here: they differ from PyTorch by 0.02"),
    (torch.float32, lambda device, dtype: float("nan"), "the Triton kernels are wrong here: they differ from PyTorch by nan"),
    (torch.float32, lambda device, dtype: 2e-5, "the Triton kernels are wrong here: they differ from PyTorch by 2e-05"),
    (torch.bfloat16, lambda device, dtype: 2e-5, None),
    (torch.float32, lambda device, dtype: 1e-6, None)])
def test_kernels_are_used_only_if_they_compile_and_agree(monkeypatch, dtype, largest_error, said):
    monkeypatch.setattr(proving, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert proving.obstacle_on(GPU, dtype, largest_error) == said


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize("package", [gpu, gpu_nasnet], ids=lambda package: package.__name__)
def test_what_speaks_against_the_kernels_of_a_space_is_said(monkeypatch, package):
    for is_there, error, words in ((False, 0.0, "sees no CUDA GPU"), (True, 0.1, "they differ from PyTorch by 0.1"),
                                   (True, RuntimeError("no compiler"), "do not work here.*no compiler"), (True, 1e-7, None)):
        def largest_error(device, dtype, error=error):
            if isinstance(error, Exception):
                raise error
            return error

        package.obstacle.cache_clear()
        monkeypatch.setattr(torch.cuda, "is_available", lambda is_there=is_there: is_there)
        monkeypatch.setattr(f"{package.__name__}.check.largest_error", largest_error)
        found = package.obstacle(GPU)
        assert found is None if words is None else re.search(words, found)
    package.obstacle.cache_clear()
