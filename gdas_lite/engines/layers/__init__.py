"""Layers with backward passes of their own, by PyTorch's operations alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def run_cell(cell: nn.Module, *inputs: Any, **options: Any) -> Tensor:
    """A cell's output; one that this engine does not know is called as it is."""
    return cell(*inputs, **options)
