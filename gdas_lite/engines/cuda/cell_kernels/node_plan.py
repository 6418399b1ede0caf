"""A node's terms as the kernels' rows: which map each makes, from what, and where it and its statistics stand.

A term is a `SampledEdge`: the operations that an edge may run, of which one is computed. An operation that is known, a
term of a `Graph`, is a choice of one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import torch
import triton
from torch import Tensor

from ...graph import Chain, Conv, Graph, Identity, Pool, Scalar, Term
from . import job_table as t
from .job_table import Choice, Row, job
from .launch_plan import BUFFER, WEIGHTS, Arena, Slot

BLOCK_P = 64            # pixels of a program


@dataclass(frozen=True)
class SampledEdge:
    """An edge of a sampled cell: of `terms`, one a column of alpha (`none`: None), the drawn one is computed.

    edge: whose draw, a place in `index`. weight: a place in the flat weights. All terms make maps of one size.
    """

    source: int
    terms: tuple[Term | None, ...]
    edge: int | None = None
    weight: int | None = None

    def known(self) -> Iterator[Term]:
        return (term for term in self.terms if term is not None)


def as_sampled(term: Term | SampledEdge) -> SampledEdge:
    """Returns a known term as the one choice of an edge; a scalar's source has no meaning."""
    if isinstance(term, SampledEdge):
        return term
    return SampledEdge(0 if isinstance(term, Scalar) else term.source, (term,), None, term.weight)


def convs_of(graph: Graph) -> Iterator[Conv]:
    """Yields the convolutions of every term that may be drawn, in order."""
    for term in (one for terms in graph.sums for drawn in terms for one in as_sampled(drawn).known()):
        if isinstance(term, Chain):
            for layer in term.layers:
                yield from layer.convs


def weights_of(conv: Conv) -> tuple[Tensor | None, Tensor]:
    """Returns depth-wise (C, 1, k, k) or None, point-wise (C_out, C_in, 1, 1), dense (C_out, C_in, 3, 3)."""
    return None if conv.depthwise is None else conv.depthwise.weight, conv.pointwise.weight


@dataclass
class Steps:
    """One operation's rows. maps: for each layer one a convolution (factorised reduction has two), or a pooling's one.
    norms: for each layer, where its statistics go. end: the map that the node sums."""

    maps: list[list[Row]] = field(default_factory=list)
    norms: list[Row] = field(default_factory=list)
    end: Row = field(default_factory=dict)


@dataclass
class Made:
    """What a term makes: as `Steps`, of all its operations side by side."""

    term: SampledEdge
    maps: list[list[Choice]]
    norms: list[Choice]
    end: Choice


def blocks_of(pixels: int) -> int:
    return triton.cdiv(pixels, BLOCK_P)


@dataclass
class _Buffer:
    """Arena for a map and its statistics, as fields of rows."""

    map: Slot
    row: Row
    norm: Row
    positions: int = 0


class Planner:
    """Writes down what a node's terms make. weighs: whether there are weights of a mixture."""

    def __init__(self, arena: Arena, weighs: bool) -> None:
        self.arena, self.weighs = arena, weighs
        self._pooled: dict[tuple[int, str], Row] = {}

    def make(self, drawn: SampledEdge, value: Slot) -> Made:
        """Returns what a term makes. value: the source's map."""
        buffers: dict[tuple, _Buffer] = {}      # the operations of an edge share their memory: one of them is computed
        steps = [self._steps(term, value, buffers, drawn.edge is None) for term in drawn.terms]
        if self.weighs and drawn.weight is not None:
            for one in steps:
                if one.end:
                    one.end["weight"] = (WEIGHTS << BUFFER.value) + 4 * drawn.weight
        maps = [[Choice([row or {} for row in slot], drawn.edge)
                 for slot in zip_longest(*(layer or [] for layer in layers))]
                for layers in zip_longest(*(one.maps for one in steps))]
        norms = [Choice([row or {} for row in rows], drawn.edge) for rows in zip_longest(*(one.norms for one in steps))]
        return Made(drawn, maps, norms, Choice([one.end for one in steps], drawn.edge))

    def _steps(self, term: Term | None, value: Slot, buffers: dict[tuple, _Buffer], is_known: bool) -> Steps:
        if isinstance(term, Chain):
            return self._chain(term, value, buffers)
        if isinstance(term, Pool):
            return self._pool(term, value, buffers, is_known)
        if isinstance(term, Identity):
            fields = window(value, value.shape, side=1)
            return Steps(end=job(t.IDENTITY, **fields | {"out": value.address, "out_step": value.step}))
        return Steps(end=job(t.SCALAR)) if isinstance(term, Scalar) else Steps()

    def _chain(self, chain: Chain, value: Slot, buffers: dict[tuple, _Buffer]) -> Steps:
        steps, norm = Steps(), {}
        for depth, layer in enumerate(chain.layers):
            height, width = (layer.convs[0].size_out(side) for side in value.shape[1:3])
            made = self._buffer(depth, (value.shape[0], height, width, layer.channels), value, buffers)
            steps.maps.append([_conv_row(conv, value, made) | norm for conv in layer.convs])
            steps.norms.append(job(t.CONV, **made.row, **made.norm))
            value, norm = made.map, made.norm
        steps.end = job(t.CONV, **made.row, **made.norm)
        return steps

    def _pool(self, pool: Pool, value: Slot, buffers: dict[tuple, _Buffer], is_known: bool) -> Steps:
        """Edges that are known to pool one source alike share the pooled map."""
        if is_known and (pool.source, pool.kind) in self._pooled:
            return Steps(end=dict(self._pooled[pool.source, pool.kind]))
        size = (value.shape[0], pool.size_out(value.shape[1]), pool.size_out(value.shape[2]), value.shape[3])
        made = self._buffer(0, size, value, buffers)
        if not made.positions and pool.kind == "max":
            made.positions = self.arena.take(*size, real=torch.int8).address
        row = job(t.MAX if pool.kind == "max" else t.AVG,
                  **window(value, size, side=3, stride=pool.stride, start=-1) | made.row, positions=made.positions)
        if pool.norm is None:
            row["moments"] = 0
            steps = Steps([[row]], [], dict(row))
        else:
            steps = Steps([[row]], [row | made.norm], row | made.norm)
        if is_known:
            self._pooled[pool.source, pool.kind] = dict(steps.end)
        return steps

    def _buffer(self, depth: int, size: tuple[int, ...], like: Slot, buffers: dict[tuple, _Buffer]) -> _Buffer:
        if (depth, size) not in buffers:
            pixels, channels = size[0] * size[1] * size[2], size[3]
            made, moments = self.arena.take(*size, real=like.real), self.arena.take(blocks_of(pixels), 2, channels)
            row = {"out": made.address, "out_step": channels, "pixels": pixels, "channels_out": channels,
                   "moments": moments.address, "count": blocks_of(pixels)}
            norm = {name: self.arena.take(channels).address for name in ("mean", "inverse_std", "variance")}
            buffers[depth, size] = _Buffer(made, row, norm)
        return buffers[depth, size]


def window(value: Slot, size: Sequence[int], side: int, stride: int = 1, dilation: int = 1, start: int = 0) -> Row:
    """Fields of a window on a source (B, H, W, C) whose output has `size`."""
    return {"x": value.address, "x_step": value.step, "height": value.shape[1], "width": value.shape[2],
            "channels_in": value.shape[3], "channels_out": size[3], "out_height": size[1], "out_width": size[2],
            "pixels": size[0] * size[1] * size[2], "side": side, "stride": stride, "dilation": dilation, "start": start}


def _conv_row(conv: Conv, value: Slot, made: _Buffer) -> Row:
    """A convolution that writes its channels of a layer's map."""
    side, first = 3 if conv.is_dense else max(conv.kernel, 1), conv.first_channel
    fields = window(value, made.map.shape, side, conv.stride * conv.seen_every, conv.dilation * conv.seen_every,
                    conv.offset - side // 2 * conv.dilation * conv.seen_every)
    weight = conv.pointwise.weight
    return job(t.CONV, **fields | made.row | {
        "channels_out": conv.pointwise.out_channels, "pointwise": weight.data_ptr(), "matrices": weight[0, 0].numel(),
        "taps": 0 if conv.depthwise is None else conv.depthwise.weight.data_ptr(),
        "pointwise_step": weight.stride(1), "matrix_step": weight.stride(3),
        "out": made.row["out"] + first * made.map.real.itemsize, "moments": made.row["moments"] + 4 * first})
