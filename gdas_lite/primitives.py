"""Candidate operations of the image spaces.

Each candidate is a module with `forward(x, weight=None)`: the operation's output times a scalar. The candidate itself
does the multiplication where it costs least: batch norm without affine takes the weight as its scale, pooling folds it
into its normalisation. So a weighted sum over candidates needs no product maps, and alpha's gradient is a by-product.

Sources: GDAS paper, section 4.1; NAS-Bench-201 paper, section 2; AutoDL-Projects' and quark0/darts' operations.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .wellformed import NASBENCH201_OPS


class WeightedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose output can be multiplied by a scalar at no cost.

    Without affine parameters `weight * norm(x)` is batch norm with the scale `weight` in every channel; the scale's
    gradient, summed over channels, is the weight's. Shapes: x (B, C, H, W), weight () or None for 1.
    """

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        if weight is None:
            return super().forward(x)
        if self.affine:
            return super().forward(x) * weight
        self._check_input_dim(x)
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
        tracked = self.track_running_stats
        return F.batch_norm(
            x, self.running_mean, self.running_var, weight.expand(self.num_features).contiguous(), None,
            self.training or not tracked, self.momentum, self.eps)


class ReLUConvBN(nn.Module):
    """ReLU, convolution, batch norm: nor_conv_1x1 and nor_conv_3x3.

    affine=False (supernets) gives the convolution a bias, as AutoDL-Projects does: k*k*C_in*C_out + C_out weights;
    affine=True (networks) k*k*C_in*C_out + 2*C_out. bias: True or False where another code base does otherwise.
    """

    takes_rectified = True

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, *, affine: bool = True,
                 track_running_stats: bool = True, bias: bool | None = None) -> None:
        super().__init__()
        bias = not affine if bias is None else bias
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel - 1) // 2, bias=bias)
        self.norm = WeightedBatchNorm2d(channels_out, affine=affine, track_running_stats=track_running_stats)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        return self.from_rectified(F.relu(x), weight)

    def from_rectified(self, rectified: Tensor, weight: Tensor | None = None) -> Tensor:
        """The same, from relu(x): candidates that leave one node share its ReLU."""
        return self.norm(self.conv(rectified), weight)


class Identity(nn.Module):
    """skip_connect with stride 1."""

    takes_rectified = False

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        return x if weight is None else ScaledIdentity.apply(x, weight)


class AvgPool3x3(nn.Module):
    """avg_pool_3x3: 3x3 mean, stride 1, padding 1; pixels outside the image are not counted in the mean."""

    takes_rectified = False

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        if not x.is_cuda:
            return ScaledAvgPool.apply(x, weight)
        pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return pooled if weight is None else ScaledIdentity.apply(pooled, weight)


class ScaledIdentity(torch.autograd.Function):
    """`x * weight` for a scalar weight, without a map of products in the backward pass."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x if weight.requires_grad else None, weight)
        return x * weight

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = grad * weight if ctx.needs_input_grad[0] else None
        return grad_x, inner(grad, x) if ctx.needs_input_grad[1] else None


class ScaledAvgPool(torch.autograd.Function):
    """Weighted 3x3 mean as a box sum divided by the number of pixels inside the image.

    A box sum is its own adjoint, so the backward pass is one more box sum, and the weight's gradient is an inner product
    of that with x: the pooled map is never kept. On two cores this is four times as fast as `avg_pool2d` and its backward.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor | None) -> Tensor:
        keeps_x = weight is not None and weight.requires_grad
        ctx.save_for_backward(x if keeps_x else None, weight)
        pooled = box_sum(x).mul_(inverse_counts(x))
        return pooled if weight is None else pooled.mul_(weight)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        spread = box_sum(grad * inverse_counts(grad))
        grad_weight = inner(spread, x) if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[0]:
            return None, grad_weight
        return spread if weight is None else spread * weight, grad_weight


def box_sum(x: Tensor) -> Tensor:
    """Sum over each pixel's 3x3 neighbourhood, zeros outside. x and result (B, C, H, W)."""
    channels = x.shape[1]
    return F.conv2d(x, x.new_ones(()).expand(channels, 1, 3, 3), padding=1, groups=channels)


def inverse_counts(x: Tensor) -> Tensor:
    """One over the number of pixels of the 3x3 neighbourhood that lie inside the image: (1, 1, H, W)."""
    return _inverse_counts(x.shape[2], x.shape[3], x.dtype, x.device)


@lru_cache(maxsize=32)
def _inverse_counts(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    def along(size: int) -> Tensor:
        position = torch.arange(size, device=device)
        return (torch.minimum(position + 1, torch.tensor(size - 1)) - (position - 1).clamp_min(0) + 1).to(dtype)

    return (1 / (along(height)[:, None] * along(width)[None, :]))[None, None]


def inner(a: Tensor, b: Tensor) -> Tensor:
    """<a, b> as a scalar; reads both maps once where their memory layouts agree."""
    if a.is_contiguous(memory_format=torch.channels_last) and b.is_contiguous(memory_format=torch.channels_last):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return torch.dot(a.reshape(-1), b.reshape(-1))


def nasbench201_candidate(name: str, channels: int, *, affine: bool, track_running_stats: bool) -> nn.Module | None:
    """A NAS-Bench-201 candidate by name, C to C channels, stride 1; None for `none`, which is never computed.

    Raises KeyError for an unknown name.
    """
    if name not in NASBENCH201_OPS:
        raise KeyError(f"unknown operation {name!r}; NAS-Bench-201 has {', '.join(NASBENCH201_OPS)}")
    if name == "none":
        return None
    if name == "skip_connect":
        return Identity()
    if name == "avg_pool_3x3":
        return AvgPool3x3()
    kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name]
    return ReLUConvBN(channels, channels, kernel, affine=affine, track_running_stats=track_running_stats)
