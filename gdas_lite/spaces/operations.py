"""What runs on the edges of image cells, in stock PyTorch: candidates, a node's value and its sum, drop path.

A candidate is a module from (B, C, H, W) to (B, C, H', W'); one that begins with a ReLU is a `ReluFirst`, so that all
edges that leave a node share its ReLU. Whoever adds a candidate adds it here and to the palette of genotypes.

Sources: GDAS paper, section 4.1; NAS-Bench-201 paper, section 2; DARTS paper, section 3.1; quark0/darts and
AutoDL-Projects for names, definitions and what surrounds a convolution (`LayerStyle`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..genotypes.notation import NASBENCH201_OPS, NASNET_GENOTYPE_OPS

POOLING = ("max_pool_3x3", "avg_pool_3x3")
# Columns of NASNet's alphas, in the order of the DARTS code and of the original GDAS code, for every layout of the
# space. (AutoDL-Projects' search code orders and names them otherwise; order matters in exact ties alone.)
NASNET_CANDIDATES = ("none", *POOLING, "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")


class NodeValue:
    """A node of a cell: its value (B, C, H, W); its ReLU and pooled maps are made once for all edges that leave it.

    is_zero: the value is zeros, of which batch statistics make zeros, so no convolution of it runs or learns.
    """

    def __init__(self, value: Tensor, is_zero: bool = False) -> None:
        self.value, self.is_zero = value, is_zero
        self._pooled: dict[nn.Module, Tensor] = {}

    @cached_property
    def relu(self) -> Tensor:
        return F.relu(self.value)

    def through(self, module: nn.Module, weight: Tensor | None = None) -> Tensor | None:
        """Returns weight * module(value), weight () or None for 1; None for a convolution of zeros."""
        if self.is_zero and isinstance(module, ReluFirst):
            return None
        out = self._run(module)
        return out if weight is None else out * weight

    def _run(self, module: nn.Module) -> Tensor:
        if isinstance(module, ReluFirst):
            return module.after_relu(self.relu)
        if not isinstance(module, Pooling):
            return module(self.value)
        if module not in self._pooled:
            self._pooled[module] = module(self.value)
        return self._pooled[module]


def add_terms(terms: Iterable[Tensor | None], scalar: Tensor | None, zeros: Tensor) -> Tensor:
    """Returns a node's value: the sum of its terms, those that are None left out; `zeros` where there are none.

    scalar: a number of value 0 that is added for its gradient's sake (variant N of GDAS), or None.
    """
    terms = [term for term in terms if term is not None]
    total = reduce(add, terms) if terms else zeros
    return total if scalar is None else total + scalar


@dataclass(frozen=True)
class LayerStyle:
    """What surrounds a convolution; code bases differ in it.

    affine: batch norm has scale and shift. bias: convolutions before a batch norm have one (depth-wise ones never).
    track_running_stats: batch norm keeps estimates for evaluation mode. pool_norm: one without affine follows pooling.
    """

    affine: bool = True
    bias: bool = False
    track_running_stats: bool = True
    pool_norm: bool = False

    def norm(self, channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, affine=self.affine, track_running_stats=self.track_running_stats)

    def conv(self, channels_in: int, channels_out: int, size: int | tuple[int, int] = 1, **geometry: Any) -> nn.Conv2d:
        """Returns the convolution in front of a batch norm. size: of its taps, pixels."""
        kind = nn.Conv2d if self.track_running_stats else CentredConv2d
        return kind(channels_in, channels_out, size, bias=self.bias, **geometry)


class CentredConv2d(nn.Conv2d):
    """A convolution in front of batch statistics, which take its bias off again: it is multiplied by 0.

    So a map of zeros stays zero exactly, in value and gradient; with its bias batch norm would blow rounding errors up
    300 times, layer after layer. As a parameter the bias stays, with gradient 0: AutoDL-Projects counts and decays it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight, None if self.bias is None else 0 * self.bias)


class ReluFirst(nn.Module):
    """A module that begins with a ReLU: `after_relu` is the rest of it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.after_relu(F.relu(x))


class ReLUConvBN(ReluFirst):
    """nor_conv_1x1 and nor_conv_3x3, and what brings a cell's input to its channels: ReLU, convolution, batch norm.

    k*k*C_in*C_out weights, + 2*C_out affine, + C_out with bias. size: k, odd, pixels.
    """

    def __init__(self, channels_in: int, channels_out: int, size: int, style: LayerStyle) -> None:
        super().__init__()
        self.conv = style.conv(channels_in, channels_out, size, padding=size // 2)
        self.norm = style.norm(channels_out)

    def after_relu(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


def depthwise_conv(channels: int, size: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Returns a size x size convolution of each channel by itself, size odd: (B, C, ceil(H/stride), ceil(W/stride))."""
    return nn.Conv2d(channels, channels, size, stride, dilation * (size // 2), dilation, groups=channels, bias=False)


class DilatedConv(ReluFirst):
    """dil_conv: ReLU, depth-wise convolution (dilation 2), point-wise convolution, batch norm.

    k*k*C + C*C weights, + 2*C affine, + C with bias. Dilation 1 makes it a half of SeparableConv.
    """

    def __init__(self, channels: int, size: int, stride: int, style: LayerStyle, dilation: int = 2) -> None:
        super().__init__()
        self.depthwise = depthwise_conv(channels, size, stride, dilation)
        self.pointwise = style.conv(channels, channels)
        self.norm = style.norm(channels)

    def after_relu(self, x: Tensor) -> Tensor:
        return self.norm(self.pointwise(self.depthwise(x)))


class SeparableConv(ReluFirst):
    """sep_conv: twice ReLU, depth-wise, point-wise convolution, batch norm; the stride is in the first half."""

    def __init__(self, channels: int, size: int, stride: int, style: LayerStyle) -> None:
        super().__init__()
        self.first = DilatedConv(channels, size, stride, style, dilation=1)
        self.second = DilatedConv(channels, size, 1, style, dilation=1)

    def after_relu(self, x: Tensor) -> Tensor:
        return self.second(self.first.after_relu(x))


class RectangularConv(ReluFirst):
    """conv_7x1_1x7 (AmoebaNet) and conv_3x1_1x3 (SETN): ReLU, convolution 1xk, convolution kx1, batch norm.

    2*k*C*C + 2*C weights. Each of the two has the stride along its long side.
    """

    def __init__(self, channels: int, size: int, stride: int, style: LayerStyle) -> None:
        super().__init__()
        half = size // 2
        self.along_row = nn.Conv2d(channels, channels, (1, size), (1, stride), (0, half), bias=False)
        self.along_column = style.conv(channels, channels, (size, 1), stride=(stride, 1), padding=(half, 0))
        self.norm = style.norm(channels)

    def after_relu(self, x: Tensor) -> Tensor:
        return self.norm(self.along_column(self.along_row(x)))


class FactorisedReduction(ReluFirst):
    """skip_connect with stride 2: ReLU, then one half of the channels from the even pixels and the other half from the
    odd ones, each by a 1x1 convolution; batch norm. (B, C_in, H, W) to (B, C_out, ceil(H/2), ceil(W/2)).

    C_in*C_out weights, + 2*C_out affine, + C_out with bias. An odd side is filled up with zeros (AutoDL-Projects; the
    DARTS code needs even sides, where both agree). An odd C_out gives its extra channel to the odd pixels.
    Raises ValueError for fewer than two channels.
    """

    def __init__(self, channels_in: int, channels_out: int, style: LayerStyle) -> None:
        super().__init__()
        if channels_out < 2:
            raise ValueError(f"a factorised reduction makes its channels in two halves and needs at least 2, "
                             f"got {channels_out}")
        self.even = style.conv(channels_in, channels_out // 2)
        self.odd = style.conv(channels_in, channels_out - channels_out // 2)
        self.norm = style.norm(channels_out)

    def after_relu(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return self.norm(torch.cat([self.even(x[:, :, ::2, ::2]), self.odd(x[:, :, 1::2, 1::2])], 1))


class Identity(nn.Identity):
    """skip_connect with stride 1."""


class AvgPool3x3(nn.AvgPool2d):
    """avg_pool_3x3: 3x3 mean, padding 1, stride 1 or 2; pixels outside the image are not counted in the mean."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__(3, stride, padding=1, count_include_pad=False)


class Pooling(nn.Module):
    """max_pool_3x3 and avg_pool_3x3 of the NASNet space: batch norm without affine behind it if the style says so.

    Edges that leave one node share one such module and its map.
    """

    def __init__(self, name: str, channels: int, stride: int, style: LayerStyle) -> None:
        super().__init__()
        self.stride = stride
        self.pool = nn.MaxPool2d(3, stride, padding=1) if name == "max_pool_3x3" else AvgPool3x3(stride)
        self.norm = nn.BatchNorm2d(channels, affine=False, track_running_stats=style.track_running_stats) \
            if style.pool_norm else None

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(x)
        return pooled if self.norm is None else self.norm(pooled)


class Zero(nn.Module):
    """Keeps a list of candidates aligned with the columns of alpha: `none`, or what stands elsewhere. Never called."""


def nasbench201_operation(name: str, channels: int, style: LayerStyle) -> nn.Module:
    """Returns an operation of NAS-Bench-201, C to C channels, stride 1. Raises KeyError for an unknown name."""
    if name not in NASBENCH201_OPS:
        raise KeyError(f"unknown operation {name!r}; NAS-Bench-201 has {', '.join(NASBENCH201_OPS)}")
    if name in ("nor_conv_1x1", "nor_conv_3x3"):
        return ReLUConvBN(channels, channels, 1 if name == "nor_conv_1x1" else 3, style)
    return {"none": Zero, "skip_connect": Identity, "avg_pool_3x3": AvgPool3x3}[name]()


def nasnet_operation(name: str, channels: int, stride: int, style: LayerStyle) -> nn.Module:
    """Returns an operation by its name in genotypes, C to C channels, stride 1 or 2. Raises KeyError for others."""
    if name in POOLING:
        return Pooling(name, channels, stride, style)
    if name == "skip_connect":
        return Identity() if stride == 1 else FactorisedReduction(channels, channels, style)
    makers = {"sep_conv_3x3": (SeparableConv, 3), "sep_conv_5x5": (SeparableConv, 5),
              "sep_conv_7x7": (SeparableConv, 7), "dil_conv_3x3": (DilatedConv, 3), "dil_conv_5x5": (DilatedConv, 5),
              "conv_7x1_1x7": (RectangularConv, 7), "conv_3x1_1x3": (RectangularConv, 3)}
    if name not in makers:
        raise KeyError(f"unknown operation {name!r}; the NASNet space has {', '.join(NASNET_GENOTYPE_OPS)}")
    maker, size = makers[name]
    return maker(channels, size, stride, style)


@dataclass(frozen=True)
class DropPath:
    """What a forward pass in training may use to drop paths: whole operations are left out for single images.

    With probability `rate`, 0 <= rate < 1, an operation's output is zero for an image, otherwise it is divided by
    1 - rate; identities are never dropped (GDAS and DARTS codes). generator: on the CPU, so that a seed means the same
    masks on every device. Raises ValueError for another rate.
    """

    rate: float
    generator: torch.Generator

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"the drop path rate must be in 0 <= rate < 1, got {self.rate}")

    def masks(self, count: int, like: Tensor) -> Tensor:
        """Returns `count` masks for the batch of `like` (B, C, H, W), entries 0 or 1/(1-rate): (count, B, 1, 1, 1)."""
        kept = torch.rand(count, like.shape[0], generator=self.generator) >= self.rate
        return (kept.to(like.dtype) / (1 - self.rate)).to(like.device)[:, :, None, None, None]
