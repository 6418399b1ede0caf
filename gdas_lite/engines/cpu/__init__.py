"""The CPU engine: search cells by kernels that numba compiles, small searches by compiled loops."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def run_cell(cell: nn.Module, *inputs: Tensor, **options: Any) -> Tensor:
    """Returns cell(*inputs, **options); by compiled kernels where they can, else by the functions of `engines.layers`."""
    from .cells import run_cell as by_kernels  # it builds on this package
    return by_kernels(cell, *inputs, **options)
