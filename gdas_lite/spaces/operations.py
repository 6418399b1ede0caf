"""Drop path: in training, whole operations are left out for single images.

Source: GDAS and DARTS codes: with probability `rate` an operation's output is zero for an image, otherwise it is divided by
1 - rate; identities are never dropped; the rate grows linearly with the epochs.

A map that several edges leave, and what their candidates share.

Candidate operations of the image spaces.

Each candidate is a module with `forward(x, weight=None)`: the operation's output times a scalar. The candidate itself
does the multiplication where it costs least: batch norm without affine takes the weight as its scale, pooling folds it
into its normalisation. So a weighted sum over candidates needs no product maps, and alpha's gradient is a by-product.

Sources: GDAS paper, section 4.1; NAS-Bench-201 paper, section 2; AutoDL-Projects' and quark0/darts' operations.

Candidate operations of the NASNet space: separable and dilated convolutions, pooling, factorised reduction.

Like the other candidates each is a module with `forward(x, weight=None)`, the output times a scalar; those that begin with
a ReLU have `from_rectified(relu(x), weight)`, so that all candidates that leave one node share it.

Sources: DARTS paper, section 3.1, and quark0/darts (names, definitions); AutoDL-Projects for the other `LayerStyle`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..engines.layers.convolutions import DepthwiseConv2d, pointwise_norm, pointwise_norm_depthwise, zeros_of
from ..engines.layers.maps import concatenate
from ..engines.layers.pooling import MaxPool3x3
from ..genotypes.notation import NASBENCH201_OPS, NASNET_GENOTYPE_OPS


def run_plain(cell, *inputs: Tensor, **options) -> Tensor:
    """Returns what a cell makes of its inputs: a model calls its cells through this, and an engine puts its own in its place."""
    return cell(*inputs, **options)


@dataclass(frozen=True)
class DropPath:
    """What a forward pass in training may use to drop paths.

    rate: probability, 0 <= rate < 1. generator: on the CPU, the only source of chance, so that a seed means the same masks
    on every device.
    """

    rate: float
    generator: torch.Generator

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"the drop path rate must be in 0 <= rate < 1, got {self.rate}")

    def masks(self, count: int, like: Tensor) -> Tensor:
        """`count` masks for the batch of `like` (B, C, H, W), entries 0 or 1/(1-rate): (count, B, 1, 1, 1)."""
        kept = torch.rand(count, like.shape[0], generator=self.generator) >= self.rate
        return (kept.to(like.dtype) / (1 - self.rate)).to(like.device)[:, :, None, None, None]


def drop_path_at(largest: float, epoch: int, epochs: int) -> float:
    """Rate of the 0-based epoch: largest * epoch / epochs, set once an epoch; `largest` itself is never reached."""
    return largest * epoch / epochs


class Source:
    """A node or a cell's output: its value (B, C, H, W), None if nothing reaches it.

    Its ReLU and the map of any module without weights (pooling) are computed when first asked for, then shared by all
    edges that leave it.
    """

    def __init__(self, value: Tensor | None) -> None:
        self.value = value
        self._rectified: Tensor | None = None
        self._maps: dict[nn.Module, Tensor] = {}

    @property
    def rectified(self) -> Tensor:
        """relu(value)."""
        if self._rectified is None:
            self._rectified = F.relu(self.value)
        return self._rectified

    def through(self, candidate: nn.Module, weight: Tensor | None = None) -> Tensor:
        """weight * candidate(value)."""
        if candidate.takes_rectified:
            return candidate.from_rectified(self.rectified, weight)
        return candidate(self.value, weight)

    def shared(self, module: nn.Module) -> Tensor:
        """module(value), computed once for all edges."""
        if module not in self._maps:
            self._maps[module] = module(self.value)
        return self._maps[module]


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
