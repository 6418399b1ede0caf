"""Why kernels are not used on a GPU: every reason is a sentence."""

from __future__ import annotations

import pytest
import torch

from gdas_lite.engines.cuda import selftest

GPU = torch.device("cuda")


@pytest.fixture
def obstacle(monkeypatch):
    """Returns what speaks against kernels whose check finds an error, or raises it."""
    monkeypatch.setattr(selftest, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def obstacle_of(error: float | Exception, space: str = "nasnet", dtype: torch.dtype = torch.float32) -> str | None:
        def kernel_error(device, asked, asked_dtype):
            assert (device, asked, asked_dtype) == (GPU, space, dtype)
            if isinstance(error, Exception):
                raise error
            return error

        monkeypatch.setattr(selftest, "kernel_error", kernel_error)
        selftest.kernels_obstacle.cache_clear()
        return selftest.kernels_obstacle(GPU, space, dtype)

    yield obstacle_of
    selftest.kernels_obstacle.cache_clear()


def test_a_missing_triton_and_a_missing_gpu_are_said_before_anything_is_compiled(monkeypatch, obstacle):
    fails = RuntimeError("compiled")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert obstacle(fails) == f"torch {torch.__version__} sees no CUDA GPU"
    monkeypatch.setattr(selftest, "find_spec", lambda name: None)
    assert obstacle(fails) == "Triton is not installed"


@pytest.mark.parametrize("space", ["nasbench201", "nasnet"])
@pytest.mark.parametrize("dtype, error, said", [
    (torch.float32, RuntimeError("no such instruction\nand much more"),
     "the Triton kernels do not work here (RuntimeError: no such instruction)"),
    (torch.bfloat16, 0.4, "the Triton kernels are wrong here: they differ from PyTorch by 0.4"),
    (torch.float32, float("nan"), "the Triton kernels are wrong here: they differ from PyTorch by nan"),
    (torch.float32, 2e-5, "the Triton kernels are wrong here: they differ from PyTorch by 2e-05"),
    (torch.bfloat16, 2e-2, None),
    (torch.float32, 1e-6, None)])
def test_kernels_are_used_only_if_they_compile_and_agree(obstacle, space, dtype, error, said):
    assert obstacle(error, space, dtype) == said


def test_the_check_knows_both_spaces():
    with pytest.raises(KeyError):
        selftest.kernel_error(torch.device("cpu"), "recurrent", torch.float32)


@pytest.mark.parametrize("kernel, low, high", [
    (lambda x: x.square(), 0, 1e-6),
    (lambda x: 1.01 * x.square(), 0.009, 0.02),
    (lambda x: x.square().detach() + 0 * x, 0.9, 1.1),                  # the value is right, the gradient is none
    (lambda x: x.square() * torch.tensor(float("nan")), float("nan"), float("nan"))])
def test_a_wrong_output_and_a_wrong_gradient_are_found(monkeypatch, kernel, low, high):
    def cells(noise, _device, _dtype):
        for function in (torch.square, kernel, torch.square):
            leaf = noise(3, 4)
            yield (function, [leaf]), (torch.square, [leaf.double()])

    monkeypatch.setattr(selftest, "_nasnet_cells", cells)
    error = selftest.kernel_error(torch.device("cpu"), "nasnet", torch.float32)
    assert low <= error <= high or (error != error and low != low)
