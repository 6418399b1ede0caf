"""Joining, splitting, scaling and adding maps (B, C, H, W) with backward passes that keep little and give dense maps.

PyTorch's gradients of joined maps are views with gaps; batch norm's backward pass is ten times as slow on those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .convolutions import zeros_of


def concatenate(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, C_i, H, W) side by side along the channels: (B, sum of C_i, H, W)."""
    return _Concatenate.apply(*maps)


def even_and_odd(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the pixels with both indices even, and those with both odd; a missing last odd row or column is zero.

    (B, C, H, W) to twice (B, C, ceil(H/2), ceil(W/2)).
    """
    return _EvenAndOdd.apply(x)


def scaled(x: Tensor, weight: Tensor | None) -> Tensor:
    """Returns `x * weight` for a scalar weight, None for 1, without a map of products in the backward pass."""
    return x if weight is None else _Scaled.apply(x, weight)


def sum_of(terms: Iterable[Tensor]) -> Tensor | None:
    """Returns the sum of a node's terms, None if there are none. In place from the third on: the first sum is a fresh
    map, but a term may be another node's own value (skip_connect)."""
    total, is_fresh = None, False
    for term in terms:
        if total is None:
            total = term
        elif is_fresh:
            total.add_(term)
        else:
            total, is_fresh = total + term, True
    return total


def add_scalar(total: Tensor | None, scalar: Tensor | None, like: Tensor) -> Tensor | None:
    """Adds, for variant N, a scalar of value 0 for its gradient; a node that nothing reaches becomes zeros."""
    if scalar is None:
        return total
    return _AddZero.apply(torch.zeros_like(like) if total is None else total, scalar)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Returns <a, b> as a scalar; reads both maps once where their memory layouts agree."""
    if a.is_contiguous(memory_format=torch.channels_last) and b.is_contiguous(memory_format=torch.channels_last):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return torch.dot(a.reshape(-1), b.reshape(-1))


class _Concatenate(torch.autograd.Function):

    @staticmethod
    def forward(ctx, *maps: Tensor) -> Tensor:
        ctx.channels = [part.shape[1] for part in maps]
        return torch.cat(maps, 1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in grad.split(ctx.channels, 1))


class _EvenAndOdd(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.size = x.shape
        even = x[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last)
        odd = torch.zeros_like(even)
        odd[:, :, :x.shape[2] // 2, :x.shape[3] // 2] = x[:, :, 1::2, 1::2]
        return even, odd

    @staticmethod
    def backward(ctx, grad_even: Tensor, grad_odd: Tensor) -> Tensor:
        height, width = ctx.size[2:]
        grad = zeros_of(ctx.size, grad_even)
        grad[:, :, ::2, ::2] = grad_even
        grad[:, :, 1::2, 1::2] = grad_odd[:, :, :height // 2, :width // 2]
        return grad


class _Scaled(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x if weight.requires_grad else None, weight)
        return x * weight

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = grad * weight if ctx.needs_input_grad[0] else None
        return grad_x, inner(grad, x) if ctx.needs_input_grad[1] else None


class _AddZero(torch.autograd.Function):
    """`x + scalar` where the scalar's value is known to be 0: x forward, <G, 1> to the scalar backward."""

    @staticmethod
    def forward(ctx, x: Tensor, scalar: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad.sum()
