"""The GPU engine: Triton kernels, and search steps captured as CUDA graphs."""

from typing import Any

from torch import Tensor, nn


def run_cell(cell: nn.Module, *inputs: Tensor, **options: Any) -> Tensor:
    """Returns cell(*inputs, **options); mixtures that stay on the device and, on a GPU, NASNet's mixtures by Triton
    kernels, everything else by the functions of `engines.layers`."""
    from .cells import run_cell as by_kernels  # it builds on this package
    return by_kernels(cell, *inputs, **options)
