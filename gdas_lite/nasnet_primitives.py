"""Candidate operations of the NASNet space: separable and dilated convolutions, pooling, factorised reduction.

Like the other candidates each is a module with `forward(x, weight=None)`, the output times a scalar; those that begin with
a ReLU have `from_rectified(relu(x), weight)`, so that all candidates that leave one node share it.

Sources: DARTS paper, section 3.1, and quark0/darts (names, definitions); AutoDL-Projects for the other `LayerStyle`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dense import concatenate
from .depthwise import DepthwiseConv2d, zeros_of
from .max_pool import MaxPool3x3
from .pointwise import pointwise_norm, pointwise_norm_depthwise
from .primitives import AvgPool3x3, Identity, ReLUConvBN, ScaledIdentity, WeightedBatchNorm2d
from .wellformed import NASNET_GENOTYPE_OPS

# Columns of the alpha matrices, in the order of the DARTS code and of the original GDAS code, for every layout of the
# space. (AutoDL-Projects' search code orders and names them otherwise; order matters in exact ties alone.)
NASNET_CANDIDATES = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
                     "dil_conv_3x3", "dil_conv_5x5")
POOLING = ("max_pool_3x3", "avg_pool_3x3")


@dataclass(frozen=True)
class LayerStyle:
    """What surrounds a convolution; code bases differ in it.

    affine: batch norm has scale and shift. bias: convolutions directly before a batch norm have a bias (depth-wise ones
    never). track_running_stats: batch norm keeps estimates for evaluation mode. pool_norm: pooling is followed by a batch
    norm without affine.
    """

    affine: bool = True
    bias: bool = False
    track_running_stats: bool = True
    pool_norm: bool = False

    def norm(self, channels: int) -> WeightedBatchNorm2d:
        return WeightedBatchNorm2d(channels, affine=self.affine, track_running_stats=self.track_running_stats)

    def relu_conv_norm(self, channels_in: int, channels_out: int) -> ReLUConvBN:
        """ReLU, 1x1 convolution, batch norm: brings a cell's input to the cell's channels."""
        return ReLUConvBN(channels_in, channels_out, 1, affine=self.affine, bias=self.bias,
                          track_running_stats=self.track_running_stats)


class Rectified(nn.Module):
    """A candidate that begins with a ReLU."""

    takes_rectified = True

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        return self.from_rectified(F.relu(x), weight)


class DilatedConv(Rectified):
    """dil_conv: ReLU, depth-wise convolution (dilation 2), point-wise convolution, batch norm.

    k*k*C + C*C weights, + 2*C affine, + C with bias. Dilation 1 makes it a half of SeparableConv.
    """

    def __init__(self, channels: int, kernel: int, stride: int, style: LayerStyle, dilation: int = 2) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(channels, kernel, stride, dilation)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=style.bias)
        self.norm = style.norm(channels)

    def from_rectified(self, rectified: Tensor, weight: Tensor | None = None) -> Tensor:
        return pointwise_norm(self.depthwise(rectified), self.pointwise, self.norm, weight)


class SeparableConv(Rectified):
    """sep_conv: twice ReLU, depth-wise convolution, point-wise convolution, batch norm; the stride is in the first half."""

    def __init__(self, channels: int, kernel: int, stride: int, style: LayerStyle) -> None:
        super().__init__()
        self.first = DilatedConv(channels, kernel, stride, style, dilation=1)
        self.second = DilatedConv(channels, kernel, 1, style, dilation=1)

    def from_rectified(self, rectified: Tensor, weight: Tensor | None = None) -> Tensor:
        first, second = self.first, self.second
        depth = pointwise_norm_depthwise(first.depthwise(rectified), first.pointwise, first.norm, second.depthwise)
        return pointwise_norm(depth, second.pointwise, second.norm, weight)


class RectangularConv(Rectified):
    """conv_7x1_1x7 (AmoebaNet) and conv_3x1_1x3 (SETN): ReLU, convolution 1xk, convolution kx1, batch norm.

    2*k*C*C + 2*C weights. Each of the two has the stride along its long side.
    """

    def __init__(self, channels: int, kernel: int, stride: int, style: LayerStyle) -> None:
        super().__init__()
        half = kernel // 2
        self.along_row = nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, half), bias=False)
        self.along_column = nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (half, 0), bias=style.bias)
        self.norm = style.norm(channels)

    def from_rectified(self, rectified: Tensor, weight: Tensor | None = None) -> Tensor:
        return self.norm(self.along_column(self.along_row(rectified)), weight)


class FactorisedReduction(Rectified):
    """skip_connect with stride 2: ReLU, then one half of the channels from the even pixels and the other half from the
    odd ones, each by a 1x1 convolution; batch norm.

    C_in*C_out weights, + 2*C_out affine, + C_out with bias. An odd side is filled up with zeros (AutoDL-Projects; the DARTS
    code needs even sides, where both agree). An odd C_out gives its extra channel to the odd pixels.
    Raises ValueError for fewer than two channels.
    """

    def __init__(self, channels_in: int, channels_out: int, style: LayerStyle) -> None:
        super().__init__()
        if channels_out < 2:
            raise ValueError(f"a factorised reduction makes its channels in two halves and needs at least 2, "
                             f"got {channels_out}")
        half = channels_out // 2
        self.even = nn.Conv2d(channels_in, half, 1, bias=style.bias)
        self.odd = nn.Conv2d(channels_in, channels_out - half, 1, bias=style.bias)
        self.norm = style.norm(channels_out)

    def from_rectified(self, rectified: Tensor, weight: Tensor | None = None) -> Tensor:
        even, odd = EvenAndOdd.apply(rectified)                         # (B, C_in, H/2, W/2) each
        return self.norm(concatenate([self.even(even), self.odd(odd)]), weight)


class EvenAndOdd(torch.autograd.Function):
    """The pixels with both indices even, and those with both odd; a missing last odd row or column is zero.

    (B, C, H, W) to twice (B, C, ceil(H/2), ceil(W/2)).
    """

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


class Pooling(nn.Module):
    """max_pool_3x3 and avg_pool_3x3: padding 1, pixels outside the image not counted; batch norm if the style says so.

    No weights. Where several edges leave one node they share one such module and its map.
    """

    takes_rectified = False

    def __init__(self, name: str, channels: int, stride: int, style: LayerStyle) -> None:
        super().__init__()
        self.stride = stride
        self.pool = self._pool(name, stride)
        self.norm = WeightedBatchNorm2d(channels, affine=False, track_running_stats=style.track_running_stats) \
            if style.pool_norm else None

    @staticmethod
    def _pool(name: str, stride: int) -> nn.Module:
        if name == "max_pool_3x3":
            return MaxPool3x3(stride)
        return AvgPool3x3() if stride == 1 else nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        pooled = self.pool(x)
        if self.norm is not None:
            return self.norm(pooled, weight)
        return pooled if weight is None else ScaledIdentity.apply(pooled, weight)


def nasnet_operation(name: str, channels: int, stride: int, style: LayerStyle) -> nn.Module:
    """An operation by its name in genotypes, C to C channels, stride 1 or 2. Raises KeyError for an unknown name."""
    if name in POOLING:
        return Pooling(name, channels, stride, style)
    if name == "skip_connect":
        return Identity() if stride == 1 else FactorisedReduction(channels, channels, style)
    makers = {"sep_conv_3x3": (SeparableConv, 3), "sep_conv_5x5": (SeparableConv, 5), "sep_conv_7x7": (SeparableConv, 7),
              "dil_conv_3x3": (DilatedConv, 3), "dil_conv_5x5": (DilatedConv, 5),
              "conv_7x1_1x7": (RectangularConv, 7), "conv_3x1_1x3": (RectangularConv, 3)}
    if name not in makers:
        raise KeyError(f"unknown operation {name!r}; the NASNet space has {', '.join(NASNET_GENOTYPE_OPS)}")
    maker, kernel = makers[name]
    return maker(channels, kernel, stride, style)
