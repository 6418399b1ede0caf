"""3x3 pooling as a cell's node shares it among its edges, by PyTorch's operations; maps (B, H, W, C)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..primitives import box_sum, inverse_counts
from .convolving import move_estimates
from .graph import Pool


@dataclass
class Pooled:
    """A pooled map; mean 0 and inverse_std 1 (C,) where no batch norm follows. size: of what was pooled (B, C, H, W)."""

    pool: Pool
    out: Tensor
    mean: Tensor
    inverse_std: Tensor
    size: torch.Size
    positions: Tensor | None

    @property
    def is_normed(self) -> bool:
        return self.pool.norm is not None


def pool_forward(pool: Pool, value: Tensor) -> Pooled:
    x, stride, positions = value.permute(0, 3, 1, 2), (pool.stride, pool.stride), None
    if pool.kind == "max":
        out, positions = torch.ops.aten.max_pool2d_with_indices(x, (3, 3), stride, (1, 1))
        positions = positions.to(torch.int16 if x.shape[2] * x.shape[3] <= 2**15 else torch.int32)
    elif pool.stride == 1:
        out = box_sum(x).mul_(inverse_counts(x))
    else:
        out = torch.ops.aten.avg_pool2d(x, (3, 3), stride, (1, 1), False, False)
    channels, norm = x.shape[1], pool.norm
    mean, inverse_std = x.new_zeros(channels), x.new_ones(channels)
    if norm is not None:
        mean, inverse_std = _statistics(out, norm)
    out = out.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return Pooled(pool, out, mean, inverse_std, x.shape, positions)


def _statistics(x: Tensor, norm: torch.nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    count = x.numel() / x.shape[1]
    move_estimates(norm, mean, variance * (count / max(count - 1, 1)))
    return mean, (variance + norm.eps).rsqrt()


def pool_backward(pooled: Pooled, grad: Tensor) -> Tensor:
    """Gradient of what was pooled, from that of the pooled map."""
    pool, grad, stride = pooled.pool, grad.permute(0, 3, 1, 2), (pooled.pool.stride,) * 2
    x = torch.empty(pooled.size, dtype=grad.dtype, memory_format=torch.channels_last)      # only its size is read
    if pool.kind == "max":
        back = torch.ops.aten.max_pool2d_with_indices_backward(
            grad, x, (3, 3), stride, (1, 1), (1, 1), False, pooled.positions.to(torch.int64))
    elif pool.stride == 1:
        back = box_sum(grad.mul(inverse_counts(grad)))
    else:
        back = torch.ops.aten.avg_pool2d_backward(grad, x, (3, 3), stride, (1, 1), False, False, None)
    return back.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
