"""3x3 max pooling that keeps little for its backward pass: a position an output pixel, in the smallest integers that do.

PyTorch's keeps its input and eight bytes a pixel, three times as much as a convolution keeps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaxPool3x3(nn.MaxPool2d):
    """max_pool_3x3: padding 1, stride 1 or 2. (B, C, H, W) to (B, C, ceil(H/stride), ceil(W/stride))."""

    def __init__(self, stride: int) -> None:
        super().__init__(3, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return _MaxPool.apply(x, self.stride) if x.device.type == "cpu" else super().forward(x)


class _MaxPool(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, stride: int) -> Tensor:
        pooled, positions = torch.ops.aten.max_pool2d_with_indices(x, (3, 3), (stride, stride), (1, 1))
        ctx.size, ctx.stride = x.shape, stride
        if ctx.needs_input_grad[0]:
            pixels = x.shape[2] * x.shape[3]        # a position is row * W + column
            ctx.save_for_backward(positions.to(torch.int16 if pixels <= 2**15 else torch.int32))
        return pooled

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        positions, = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        x = torch.empty(ctx.size, dtype=grad.dtype, memory_format=torch.channels_last)      # only its size is read
        stride = (ctx.stride, ctx.stride)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            grad, x, (3, 3), stride, (1, 1), (1, 1), False, positions.to(torch.int64)), None
