"""Matrix products by oneDNN, which PyTorch keeps for fused layers: on AMD's processors MKL, which `torch.mm` calls,
leaves half of the arithmetic units idle (measured: 100 against 210 GFLOP/s of one core)."""

from __future__ import annotations

import torch
from torch import Tensor

_LINEAR = torch.ops.mkldnn._linear_pointwise.default if torch.backends.mkldnn.is_available() else None


def _fits(matrix: Tensor) -> bool:
    return _LINEAR is not None and matrix.dtype == torch.float32 and matrix.device.type == "cpu"


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns x @ weight.T + bias, (M, N), not differentiable. Shapes: x (M, K), weight (N, K), bias (N,).

    `weight` is contiguous, or a contiguous matrix transposed.
    """
    if not _fits(x):
        return x @ weight.t() if bias is None else torch.addmm(bias, x, weight.t())
    return _LINEAR(x, weight, bias, "none", [], "")


def packed(weight: Tensor, rows: int) -> Tensor:
    """Returns `weight` in the order that products with `rows` rows of x read fastest; only for `product`."""
    if not _fits(weight):
        return weight
    return torch.ops.mkldnn._reorder_linear_weight(weight, rows)
