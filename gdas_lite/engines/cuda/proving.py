"""Kernels that have not run where they are to be used: compiled and compared there first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from math import exp, log
from statistics import fmean

import torch
from torch import Tensor

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}        # of maps; see stored.py


def obstacle_on(device: torch.device, dtype: torch.dtype, largest_error: Callable[[torch.device, torch.dtype], float]
                ) -> str | None:
    """Why Triton kernels cannot be used on this GPU for maps of this type, or None. largest_error: compiles them there and says
    by how much they differ from PyTorch's operations."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no CUDA GPU"
    try:
        error = largest_error(device, dtype)
    except Exception as problem:        # a compiler fails in many ways
        return f"the Triton kernels do not work here ({first_line(problem)})"
    return None if error < TOLERANCE[dtype] else f"the Triton kernels are wrong here: they differ from PyTorch by {error:.1g}"


def relative(found: Tensor, wanted: Tensor) -> float:
    """Length of the difference over length."""
    wanted = wanted.double()
    return ((found.double() - wanted).norm() / wanted.norm().clamp_min(1e-6)).item()


def geometric_mean(errors: Iterable[float]) -> float:
    """Of those that are not 0."""
    return exp(fmean(log(error) for error in errors if error))


def first_line(problem: Exception) -> str:
    """Kind and first line of an error; compilers print pages."""
    return f"{type(problem).__name__}: {(str(problem).splitlines() or ['no message'])[0]}"
