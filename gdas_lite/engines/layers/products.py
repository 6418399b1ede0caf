"""Matrix products by oneDNN, which PyTorch keeps for fused layers: on AMD's processors MKL, which `torch.mm` calls,
leaves half of the arithmetic units idle (measured: 100 against 210 GFLOP/s of one core)."""

from __future__ import annotations

import platform

import torch
from torch import Tensor

_HAS_ONEDNN = platform.machine() in ("x86_64", "AMD64") and torch.backends.mkldnn.is_available()
_LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if _HAS_ONEDNN else None


def _fits(matrix: Tensor) -> bool:
    # an exported program must run where PyTorch has no oneDNN
    return (_LINEAR is not None and matrix.dtype == torch.float32 and matrix.device.type == "cpu"
            and matrix.numel() > 0 and not torch.compiler.is_compiling())


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns x @ weight.T + bias, (M, N), not differentiable. Shapes: x (M, K), weight (N, K), bias (N,).

    `weight` is contiguous, or a contiguous matrix transposed.
    """
    if not _fits(x) or weight.numel() == 0:
        return x @ weight.t() if bias is None else torch.addmm(bias, x, weight.t())
    return _LINEAR.default(x, weight, bias, "none", [], "")


def packed(weight: Tensor, rows: int) -> Tensor:
    """Returns `weight` in the order that products with `rows` rows of x read fastest; only for `product`."""
    if not _fits(weight) or rows == 0:
        return weight
    return torch.ops.mkldnn._reorder_linear_weight(weight, rows)
