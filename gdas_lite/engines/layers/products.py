"""Matrix products by oneDNN, which PyTorch keeps for fused layers: on AMD's processors MKL, which `torch.mm` calls,
leaves half of the arithmetic units idle (measured: 100 against 210 GFLOP/s of one core)."""

import platform
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


@cache
def _linear() -> Callable[..., Tensor] | None:
    """oneDNN's x @ weight.T + bias; None where PyTorch has none that is called, and answers, like this one."""
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
        return None
    x = torch.arange(6.0, device="cpu").view(2, 3)
    try:        # it is no public function of PyTorch's, so it may change
        found = torch.ops.mkldnn._linear_pointwise.default
        answers = (found(x, weight, None, "none", [], "")
                   for weight in (x, torch.ops.mkldnn._reorder_linear_weight(x, 2)))
        return found if all(torch.equal(answer, x @ x.t()) for answer in answers) else None
    except (AttributeError, RuntimeError, TypeError):
        return None


def _fits(matrix: Tensor) -> bool:
    # an exported program must run where PyTorch has no oneDNN
    return (matrix.dtype == torch.float32 and matrix.device.type == "cpu" and matrix.numel() > 0
            and not torch.compiler.is_compiling() and _linear() is not None)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns x @ weight.T + bias, (M, N), not differentiable. Shapes: x (M, K), weight (N, K), bias (N,).

    `weight` is contiguous, or a contiguous matrix transposed, or it takes longer.
    """
    if not _fits(x) or weight.numel() == 0:
        if torch.is_autocast_enabled(x.device.type):    # which would make bfloat16 of it, that no caller reads
            with torch.autocast(x.device.type, enabled=False):
                return product(x, weight, bias)
        return x @ weight.t() if bias is None else torch.addmm(bias, x, weight.t())
    # it reads a bias as if it had no gaps
    return _linear()(x, weight, None if bias is None else bias.contiguous(), "none", [], "")


def packed(weight: Tensor, rows: int) -> Tensor:
    """Returns `weight` in the order that products with `rows` rows of x read fastest; only for `product`."""
    if not _fits(weight) or rows == 0:
        return weight
    return torch.ops.mkldnn._reorder_linear_weight(weight, rows)
