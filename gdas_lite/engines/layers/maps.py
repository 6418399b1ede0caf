"""Joining and averaging maps such that gradients come back as dense channels_last maps.

PyTorch's own give views with gaps; batch norm's backward pass is ten times as slow on those.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def concatenate(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, C_i, H, W) side by side along the channels: (B, sum of C_i, H, W)."""
    return _Concatenate.apply(*maps)


def global_average(x: Tensor) -> Tensor:
    """Mean over the pixels: (B, C, H, W) to (B, C)."""
    return _GlobalAverage.apply(x)


class _Concatenate(torch.autograd.Function):

    @staticmethod
    def forward(ctx, *maps: Tensor) -> Tensor:
        ctx.channels = [part.shape[1] for part in maps]
        return torch.cat(maps, 1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in grad.split(ctx.channels, 1))


class _GlobalAverage(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.size = x.shape
        return x.mean((2, 3))

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        height, width = ctx.size[2:]
        spread = (grad / (height * width))[:, :, None, None].expand(ctx.size)
        return spread.contiguous(memory_format=torch.channels_last)
