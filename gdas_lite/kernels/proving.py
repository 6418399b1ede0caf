"""Kernels that have not run where they are to be used: compiled and compared there first."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch

TOLERANCE = 1e-4


def obstacle_on(device: torch.device, largest_error: Callable[[torch.device], float]) -> str | None:
    """Why Triton kernels cannot be used on this GPU, or None. largest_error: compiles them there and says by how much they differ
    from PyTorch's operations."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no CUDA GPU"
    try:
        error = largest_error(device)
    except Exception as problem:        # a compiler fails in many ways
        return f"the Triton kernels do not work here ({first_line(problem)})"
    return None if error < TOLERANCE else f"the Triton kernels are wrong here: they differ from PyTorch by {error:.1g}"


def first_line(problem: Exception) -> str:
    """Kind and first line of an error; compilers print pages."""
    return f"{type(problem).__name__}: {(str(problem).splitlines() or ['no message'])[0]}"
