"""What a fused cell computes, as data: nodes that are weighted sums of operations on earlier nodes.

    node = sum over its terms of weights[term.weight] * operation(node term.source)

Only modules are named here, so that the plain cell and the fused one have the same weights.
"""

from array import array
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from .cpu.compiled import job_table as t

LANES = 8       # channels come in eights
# Sides of Winograd's tiles (winograd.py), and how many are worked on at a time.
SMALL, LARGE, TILES_TOGETHER = 4, 6, 16


def side_for(height: int, width: int) -> int:
    """Returns the side of Winograd's tiles for maps of that size: larger ones are fewer products, where an image has
    enough of them for a matrix."""
    return LARGE if height * width >= TILES_TOGETHER * (LARGE - 2)**2 else SMALL


@dataclass(frozen=True, eq=False)
class Conv:
    """ReLU, depth-wise (or none), point-wise convolution; or, in place of both, a 3x3 convolution (`pointwise` then).

    every, offset: which pixels of the source it sees, both ways. first_channel: its place in the layer's map.
    """

    pointwise: nn.Conv2d
    depthwise: nn.Conv2d | None = None
    every: int = 1
    offset: int = 0
    first_channel: int = 0
    _rows: dict[tuple[int, ...], array] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def is_dense(self) -> bool:
        """Whether it is a 3x3 convolution over all channels, stride 1."""
        return self.pointwise.kernel_size == (3, 3)

    def border(self, height: int, width: int, side: int) -> int:
        """Returns zeros that it needs about an image of that size."""
        if self.is_dense:
            return 1 + max(-height % (side - 2), -width % (side - 2))       # the last tile may reach further
        return self.dilation * (self.kernel // 2)

    @cached_property
    def kernel(self) -> int:
        return 0 if self.depthwise is None else self.depthwise.kernel_size[0]

    @property
    def seen_every(self) -> int:
        """A kernel with stride 2 and dilation 2 meets every other pixel only; then it has neither on those."""
        return 2 if self._skips else self.every

    @property
    def stride(self) -> int:
        return 1 if self.depthwise is None or self._skips else self.depthwise.stride[0]

    @property
    def dilation(self) -> int:
        return 1 if self.depthwise is None or self._skips else self.depthwise.dilation[0]

    @property
    def _skips(self) -> bool:
        return self.depthwise is not None and self.depthwise.stride[0] == 2 and self.depthwise.dilation[0] == 2

    def size_out(self, side: int) -> int:
        """Returns pixels of a side after it."""
        seen = -(-side // self.seen_every)
        return -(-seen // self.stride)

    def row_of(self, height: int, width: int, side: int, border: int | None = None) -> array:
        """Its row in a launch's table on maps of that size, but for addresses; made once. side: of Winograd's tiles.
        border: None for its own."""
        key = height, width, side, border
        if key not in self._rows:
            border = self.border(height, width, side) if border is None else border
            self._rows[key] = self._make_row(height, width, side if self.is_dense else 0, border)
        return self._rows[key]

    def _make_row(self, height: int, width: int, side: int, border: int) -> array:
        every, tall, wide = self.seen_every, self.size_out(height), self.size_out(width)
        seen = -(-height // every), -(-width // every)
        channels, channels_out = self.pointwise.in_channels, self.pointwise.out_channels
        row = [0] * t.JOB
        row[t.HEIGHT:t.OUT_WIDTH + 1] = [height, width, every, self.offset, *seen, self.kernel, self.stride,
                                         self.dilation, border, channels, channels_out, tall, wide]
        row[t.DENSE] = side
        row[t.INNER_IN:t.INNER_OUT + 1] = trained(self.pointwise).in_channels, trained(self.pointwise).out_channels
        spread = (seen[0] + 2 * border) * (seen[1] + 2 * border) + 32
        pixels, tiles = tall * wide + 16, max(TILES_TOGETHER, -(-wide // (side - 2))) if side else 0
        row[t.SIZES:] = [4 * channels * (spread if self.kernel else 0), 4 * channels * spread, 4 * channels * pixels,
                         4 * channels_out * pixels, 4 * channels * ((height + 6) * (width + 16) + 32),
                         side**2 * (4 * (channels + channels_out) * tiles + 192)]
        return array("q", row)


@dataclass(frozen=True, eq=False)
class Layer:
    """Convolutions side by side, then batch norm."""

    convs: tuple[Conv, ...]
    norm: nn.BatchNorm2d

    @property
    def channels(self) -> int:
        return self.norm.num_features

    def bias(self) -> Tensor | None:
        """Returns the convolutions' biases side by side, None where they have none."""
        found = [bias.detach() for conv in self.convs if (bias := conv.pointwise.bias) is not None]
        return torch.cat(found) if found else None


@dataclass(frozen=True)
class Chain:
    """One layer or two. weight: index into the flat weights, None for 1. mask: row among drop path's masks, or None."""

    source: int
    layers: tuple[Layer, ...]
    weight: int | None = None
    mask: int | None = None


@dataclass(frozen=True)
class Identity:
    source: int
    weight: int | None = None
    mask: None = None


@dataclass(frozen=True)
class Pool:
    """3x3, padding 1, pixels outside not counted; batch norm or none. mask: see `Chain`."""

    source: int
    kind: Literal["max", "avg"]
    stride: int
    norm: nn.BatchNorm2d | None
    weight: int | None = None
    mask: int | None = None

    def size_out(self, side: int) -> int:
        return -(-side // self.stride)


@dataclass(frozen=True)
class Scalar:
    """A number that is added to every pixel. It must be 0, so that it has a gradient only (GDAS, variant N); None: not
    even that, so that a node of nothing else is a map of zeros that can be read."""

    weight: int | None


Term = Chain | Identity | Pool | Scalar


@dataclass(frozen=True)
class Graph:
    """Nodes 0 .. inputs - 1 are given; `sums` are the others, in order, each a tuple of terms (none: nothing reaches
    it), scalars last. A node of nothing but scalars has the size of node 0.

    outputs: the nodes whose maps stand side by side in the result. width: channels of each that count; None: all.
    """

    inputs: int
    sums: tuple[tuple[Term, ...], ...]
    outputs: tuple[int, ...]
    width: int | None = None

    @cached_property
    def convs(self) -> tuple[Conv, ...]:
        """All convolutions, in order."""
        return tuple(conv for terms in self.sums for term in terms if isinstance(term, Chain)
                     for layer in term.layers for conv in layer.convs)

    @cached_property
    def parts(self) -> tuple[tuple[list[Chain], list[Pool], list[Identity], list[Scalar]], ...]:
        """Of each sum its terms by kind."""
        return tuple(
            tuple([term for term in terms if isinstance(term, kind)] for kind in (Chain, Pool, Identity, Scalar))
            for terms in self.sums)

    @cached_property
    def chains_from(self) -> dict[int, list[tuple[int, int, Chain]]]:
        """Of each node the chains that read it: index of the sum, place among its chains, and the chain."""
        found: dict[int, list[tuple[int, int, Chain]]] = {}
        for index, (chains, *_) in enumerate(self.parts):
            for place, chain in enumerate(chains):
                found.setdefault(chain.source, []).append((index, place, chain))
        return found

    @cached_property
    def norms(self) -> list[nn.BatchNorm2d]:
        """The affine batch norms, each once."""
        terms = [term for terms in self.sums for term in terms]
        norms = [layer.norm for term in terms if isinstance(term, Chain) for layer in term.layers]
        norms += [term.norm for term in terms if isinstance(term, Pool) and term.norm is not None]
        return [norm for norm in dict.fromkeys(norms) if norm.affine]

    def parameters(self) -> list[Tensor | None]:
        """Returns depth-wise weight, point-wise weight and bias of each convolution, None where it has none; then
        weight and bias of each affine norm."""
        return [None if module is None else getattr(module, name) for module, name in self._trained]

    @cached_property
    def read_again(self) -> list[int]:
        """Places of those `parameters` that a backward pass reads as well: all but biases."""
        return [at for at, (module, name) in enumerate(self._trained) if module is not None and name == "weight"]

    @cached_property
    def _trained(self) -> list[tuple[nn.Module | None, str]]:
        found: list[tuple[nn.Module | None, str]] = []
        for conv in self.convs:
            depthwise, pointwise = None if conv.depthwise is None else trained(conv.depthwise), trained(conv.pointwise)
            found += [(depthwise, "weight"), (pointwise, "weight"), (pointwise, "bias")]
        for norm in self.norms:
            found += [(trained(norm), "weight"), (trained(norm), "bias")]
        return found


def trained(module: nn.Module) -> nn.Module:
    """Returns the module whose parameters are trained: itself, or what it is a padded copy of (cpu/padding.py)."""
    return module if isinstance(module, nn.Module) else module.of
