"""Joining, splitting and adding maps (B, C, H, W).

PyTorch's gradients of joined maps are views with gaps; batch norm's backward pass is ten times as slow on those.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

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


def sum_of(terms: Iterable[Tensor | None]) -> Tensor | None:
    """Returns the sum of a node's terms, those that are None left out; None if there are none."""
    terms = [term for term in terms if term is not None]
    return reduce(add, terms) if terms else None


def add_scalar(total: Tensor | None, scalar: Tensor | None, like: Tensor) -> Tensor | None:
    """Adds, for variant N, a scalar of value 0 for its gradient; a node that nothing reaches becomes zeros."""
    if scalar is None:
        return total
    return (torch.zeros_like(like) if total is None else total) + (scalar - scalar.detach())


def dense(x: Tensor) -> Tensor:
    """Returns (B, C, H, W) as (B, H, W, C), by strides that hold for maps of one pixel, too; no copy of a channels_last
    map."""
    batch, channels, height, width = x.shape
    return x.detach().contiguous(memory_format=torch.channels_last).as_strided(
        (batch, height, width, channels), (height * width * channels, width * channels, channels, 1))


class _Concatenate(torch.autograd.Function):

    @staticmethod
    def forward(ctx, *maps: Tensor) -> Tensor:
        ctx.channels = [part.shape[1] for part in maps]
        ctx.set_materialize_grads(False)        # what does not reach the loss has no gradient, instead of zeros
        return torch.cat(maps, 1)

    @staticmethod
    def backward(ctx, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * len(ctx.channels)
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in grad.split(ctx.channels, 1))


class _EvenAndOdd(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.size = x.shape
        ctx.set_materialize_grads(False)
        even = x[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last)
        odd = torch.zeros_like(even)
        odd[:, :, :x.shape[2] // 2, :x.shape[3] // 2] = x[:, :, 1::2, 1::2]
        return even, odd

    @staticmethod
    def backward(ctx, grad_even: Tensor | None, grad_odd: Tensor | None) -> Tensor | None:
        if grad_even is None and grad_odd is None:
            return None
        height, width = ctx.size[2:]
        grad = zeros_of(ctx.size, grad_odd if grad_even is None else grad_even)
        if grad_even is not None:
            grad[:, :, ::2, ::2] = grad_even
        if grad_odd is not None:
            grad[:, :, 1::2, 1::2] = grad_odd[:, :, :height // 2, :width // 2]
        return grad
