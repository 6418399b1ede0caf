"""The forward pass of a cell: the launches that make its maps and sum them, node by node."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from ..graph import Chain, Graph, Pool, Term
from . import layers, sums
from . import table as t
from .table import Book, Choice, job, tile, triton_type
from .terms import BLOCK_P, Made, Planner, as_drawn, blocks_of, convs_of, weights_of


class Forward:
    """values: the nodes' maps (B, H, W, C), None for a node of no terms; those of output nodes stand in `result`.

    weights: flat, float32. Raises ValueError for what the kernels cannot compute, with the reason.
    """

    def __init__(self, graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None) -> None:
        self.graph, self.weights, self.values = graph, weights, list(inputs)
        self.real, self.device = inputs[0].dtype, inputs[0].device
        check(graph, inputs)
        self.eps = next(iter(epsilons(graph)), 0.0)
        sizes = sizes_of(graph, inputs)
        batch, height, width, channels = next(sizes[node] for node in graph.outputs if sizes[node] is not None)
        self.result = torch.zeros(batch, height, width, channels * len(graph.outputs), dtype=self.real, device=self.device)
        if self.result.numel() >= 2**31:
            raise ValueError("the Triton kernels count the numbers of a map in 32 bits; use a smaller batch")
        self.planner, self.book = Planner(weights), Book(self.device)
        self.made: list[list[Made]] = []
        for node, terms in enumerate(graph.sums, start=graph.inputs):
            self.values.append(self._place(node, sizes[node]))
            self.made.append([self.planner.make(as_drawn(term), self.values[term.source]) for term in terms])
            self._plan(self.made[-1], self.values[-1])

    def run(self, index: Tensor | None) -> Tensor:
        self.book.run(index)
        for place, node in enumerate(self.graph.outputs):
            if self.values[node] is not None and self.values[node].data_ptr() != self.output(place).data_ptr():
                self.output(place).copy_(self.values[node])         # a given node, or one that is put out twice
        return self.result

    def output(self, place: int) -> Tensor:
        """The part of the result that a node's value is."""
        channels = self.result.shape[3] // len(self.graph.outputs)
        return self.result[..., place * channels:(place + 1) * channels]

    def _place(self, node: int, size: tuple[int, ...] | None) -> Tensor | None:
        """Where a node's value shall stand."""
        if size is None or node in self.graph.outputs:
            return None if size is None else self.output(self.graph.outputs.index(node))
        return torch.empty(size, dtype=self.real, device=self.device)

    def _plan(self, made: Sequence[Made], value: Tensor | None) -> None:
        """A node's launches: first layers and poolings, second layers, each with its statistics, and the sum."""
        if value is None:
            return
        for depth in range(2):
            maps = [choice for one in made for slot in one.maps[depth:depth + 1] for choice in slot]
            norms = [choice for one in made for choice in one.norms[depth:depth + 1]]
            self.book.launch(layers.make_maps, maps, *spread(maps), **kernel_options(self.real), **precision(self.real))
            self.book.launch(layers.statistics, norms, 1, spread(norms)[1], eps=self.eps, BLOCK_P=BLOCK_P)
        pixels, channels = value.numel() // value.shape[3], value.shape[3]
        head = Choice([job(t.IDENTITY, out=value.data_ptr(), out_step=value.stride(2), pixels=pixels, channels_out=channels)])
        self.book.launch(sums.weighted_sum, [head, *(one.end for one in made)], *spread([head]), together=1 + len(made),
                         terms=len(made), **kernel_options(self.real))


def spread(jobs: Sequence[Choice]) -> tuple[int, int]:
    """Blocks of pixels and tiles of output channels that cover every job."""
    rows = [row for choice in jobs for row in choice.rows if row]
    if not rows:
        return 0, 0
    channels = max(row["channels_out"] for row in rows)
    return blocks_of(max(row["pixels"] for row in rows)), triton.cdiv(channels, tile(channels))


def kernel_options(real: torch.dtype) -> dict[str, object]:
    return {"REAL": triton_type(real), "BLOCK_P": BLOCK_P}


def precision(real: torch.dtype) -> dict[str, str]:
    """Of products: float32's own; TF32 is finer than what bfloat16 maps hold."""
    return {"PRECISION": "ieee" if real == torch.float32 else "tf32"}


def sizes_of(graph: Graph, inputs: Sequence[Tensor]) -> list[tuple[int, ...] | None]:
    """Of each node (B, H, W, C)."""
    sizes: list[tuple[int, ...] | None] = [tuple(x.shape) for x in inputs]
    for terms in graph.sums:
        found = {_size_after(term, *sizes[term.source]) for drawn in terms for term in as_drawn(drawn).known()}
        if len(found) > 1:
            raise ValueError(f"the terms of a node must make maps of one size, these make {sorted(found)}")
        sizes.append(next(iter(found), None))
    return sizes


def _size_after(term: Term, batch: int, height: int, width: int, channels: int) -> tuple[int, ...]:
    if isinstance(term, Pool):
        height, width = term.size_out(height), term.size_out(width)
    elif isinstance(term, Chain):
        for layer in term.layers:
            height, width, channels = layer.convs[0].size_out(height), layer.convs[0].size_out(width), layer.channels
    return batch, height, width, channels


def epsilons(graph: Graph) -> set[float]:
    terms = [term for terms in graph.sums for drawn in terms for term in as_drawn(drawn).known()]
    return {layer.norm.eps for term in terms if isinstance(term, Chain) for layer in term.layers} | {
        term.norm.eps for term in terms if isinstance(term, Pool) and term.norm is not None}


def check(graph: Graph, inputs: Sequence[Tensor]) -> None:
    """Raise ValueError for what the kernels cannot compute."""
    if len({x.dtype for x in inputs}) > 1 or inputs[0].dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"the Triton kernels take float32 or bfloat16 maps, these are {[str(x.dtype) for x in inputs]}")
    widths = {x.shape[3] for x in inputs}
    for conv in convs_of(graph):
        widths |= {conv.pointwise.in_channels, conv.pointwise.out_channels, conv.first_channel}
    if any(width % 8 for width in widths):
        raise ValueError(f"the Triton kernels need channels in eights, here are {sorted(widths)}; use engine 'plain'")
    if len(epsilons(graph)) > 1:
        raise ValueError(f"the Triton kernels need one epsilon for all batch norms, here are {sorted(epsilons(graph))}")
    weights = [weight for conv in convs_of(graph) for weight in weights_of(conv) if weight is not None]
    if any(weight.dtype != torch.float32 or not weight.is_contiguous() for weight in weights):
        raise ValueError("the Triton kernels need weights in float32, contiguous")
