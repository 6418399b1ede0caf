"""Triton kernels for NVIDIA GPUs: a NAS-Bench-201 search cell, with one drawn candidate an edge or with all.

    pieces.py     what the kernels share: layout, neighbourhoods, products
    forward.py, backward.py   the kernels; what was drawn is read on the device
    cell.py       the cell as a differentiable function
    plain.py      its plain twin
    check.py      the one against the other

They have run in Triton's interpreter on the CPU only, never on a GPU yet; so `obstacle` checks them where they are to be used.
"""

from __future__ import annotations

import os
from functools import lru_cache

import torch

from ..proving import obstacle_on


def runs_on(device: torch.device) -> bool:
    """Whether Triton kernels run on tensors of this device: on a GPU, and in Triton's interpreter."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


@lru_cache(maxsize=8)
def obstacle(device: torch.device, dtype: torch.dtype = torch.float32) -> str | None:
    """Why the kernels cannot be used on this GPU, or None. Compiles them and compares them with PyTorch's operations.

    dtype: of the maps, float32 or bfloat16.
    """
    return obstacle_on(device, dtype, _largest_error)


def _largest_error(device: torch.device, dtype: torch.dtype) -> float:
    from .check import largest_error
    return largest_error(device, dtype)
