"""What maps lose where kernels keep them in bfloat16: the plain twins of such kernels lose it at the same places.

Else a comparison would show the type, not the kernels: a number that is rounded across a ReLU's kink changes gradients
by whole terms.
"""

from __future__ import annotations

import torch
from torch import Tensor


def stored(x: Tensor, stores: torch.dtype | None, value: bool = True, gradient: bool = True) -> Tensor:
    """x as it comes back from memory: its value, its gradient or both rounded to the type `stores`. None: x itself."""
    return x if stores is None else _Stored.apply(x, stores, value, gradient)


class _Stored(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, stores: torch.dtype, value: bool, gradient: bool) -> Tensor:
        ctx.stores = stores if gradient else None
        return x.to(stores).to(x.dtype) if value else x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return grad if ctx.stores is None else grad.to(ctx.stores).to(grad.dtype), None, None, None
