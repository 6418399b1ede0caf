"""The forward pass of a cell: the launches that make its maps and sum them, node by node."""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...graph import Chain, Graph, Identity, Pool, Term
from . import job_table as t
from . import layer_kernels as layers
from . import node_kernels as sums
from .job_table import Choice, job, tile
from .launch_plan import BUFFER, INPUTS, MEMORY, MOST_INPUTS, RESULT, WEIGHTS, Arena, LaunchPlan, Slot, view
from .node_plan import BLOCK_P, Made, Planner, as_sampled, blocks_of, convs_of, weights_of


class Forward:
    """values: the nodes' slots, None for a node of no terms; those of output nodes stand in `result`.

    shapes: of the given maps, (B, H, W, C). Raises ValueError for what the kernels cannot compute, with the reason.
    """

    def __init__(self, graph: Graph, shapes: Sequence[tuple[int, ...]], real: torch.dtype, device: torch.device,
                 weighs: bool) -> None:
        self.graph, self.real, self.device, self.weighs = graph, real, device, weighs
        check(graph, shapes, real)
        self.eps, self.precision = next(iter(epsilons(graph)), 0.0), precision(graph, real)
        self.sizes = sizes_of(graph, shapes)
        batch, height, width, channels = next(
            self.sizes[node] for node in graph.outputs if self.sizes[node] is not None)
        shape = batch, height, width, channels * len(graph.outputs)
        if torch.Size(shape).numel() >= 2**31:
            raise ValueError("the Triton kernels count the numbers of a map in 32 bits; use a smaller batch")
        self.result = Slot(RESULT << BUFFER.value, shape, shape[3], real)
        self.arena, self.plan = Arena(MEMORY), LaunchPlan(device)
        self.options = {"REAL": {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16}[real], "BLOCK_P": BLOCK_P}
        self.values = [Slot(INPUTS + number << BUFFER.value, size, size[3], real) for number, size in enumerate(shapes)]
        self.made: list[list[Made]] = []
        planner = Planner(self.arena, weighs)
        for node, terms in enumerate(graph.sums, start=graph.inputs):
            self.values.append(self._place(node))
            self.made.append([planner.make(drawn, self.values[drawn.source]) for drawn in map(as_sampled, terms)])
            self._plan(self.made[-1], self.values[-1])
        for place, node in enumerate(graph.outputs):        # a given node, or one that is put out twice
            if self.values[node] is not None and self.values[node] != self.output(place):
                self._plan([planner.make(as_sampled(Identity(node)), self.values[node])], self.output(place))

    def run(self, inputs: Sequence[Tensor], weights: Tensor | None, index: Tensor | None) -> dict[int, Tensor | None]:
        """Returns the buffers by number, RESULT among them."""
        make = torch.empty if all(self.sizes[node] is not None for node in self.graph.outputs) else torch.zeros
        memory = {MEMORY: self.arena.make(self.device), WEIGHTS: weights,
                  RESULT: make(self.result.shape, dtype=self.real, device=self.device),
                  **{INPUTS + number: x for number, x in enumerate(inputs)}}
        self.plan.run(memory, index)
        return memory

    def moments(self, memory: dict[int, Tensor | None]) -> list[tuple[Tensor, Tensor]]:
        """Returns mean and (biased) variance (C,) of each layer's map, in the order of the terms and of an edge's
        candidates; without meaning for what was not drawn."""
        rows = [row for made in self.made for one in made for choice in one.norms for row in choice.rows if row]
        return [tuple(view(memory[MEMORY], Slot(row[name], (row["channels_out"],), 1, torch.float32))
                      for name in ("mean", "variance")) for row in rows]

    def output(self, place: int) -> Slot:
        """Returns the part of the result that a node's value is."""
        channels = self.result.shape[3] // len(self.graph.outputs)
        return self.result.part(place * channels, channels)

    def _place(self, node: int) -> Slot | None:
        """Where a node's value shall stand."""
        if self.sizes[node] is None or node in self.graph.outputs:
            return None if self.sizes[node] is None else self.output(self.graph.outputs.index(node))
        return self.arena.take(*self.sizes[node], real=self.real)

    def _plan(self, made: Sequence[Made], value: Slot | None) -> None:
        """A node's launches: first layers and poolings, second layers, each with its statistics, and the sum."""
        if value is None:
            return
        for depth in range(2):
            maps = [choice for one in made for slot in one.maps[depth:depth + 1] for choice in slot]
            norms = [choice for one in made for choice in one.norms[depth:depth + 1]]
            self.plan.launch(layers.make_maps, maps, *spread(maps), **self.options, PRECISION=self.precision)
            self.plan.launch(layers.statistics, norms, 1, spread(norms)[1], eps=self.eps, BLOCK_P=BLOCK_P)
        head = job(t.IDENTITY, out=value.address, out_step=value.step, pixels=value.pixels, channels_out=value.shape[3])
        jobs = [Choice([head]), *(one.end for one in made)]
        self.plan.launch(sums.weighted_sum, jobs, *spread(jobs[:1]), together=len(jobs), terms=len(made),
                         **self.options)


def spread(jobs: Sequence[Choice]) -> tuple[int, int]:
    """Blocks of pixels and tiles of output channels that cover every job."""
    rows = [row for choice in jobs for row in choice.rows if row]
    if not rows:
        return 0, 0
    channels = max(row["channels_out"] for row in rows)
    return blocks_of(max(row["pixels"] for row in rows)), triton.cdiv(channels, tile(channels))


def precision(graph: Graph, real: torch.dtype) -> str:
    """Returns the precision of products: TF32, which is finer than what bfloat16 maps hold, and where PyTorch's
    convolutions take it for 3x3 convolutions of float32 maps; else float32's own."""
    is_rounded = torch.backends.cudnn.allow_tf32 and any(conv.is_dense for conv in convs_of(graph))
    return "ieee" if real == torch.float32 and not is_rounded else "tf32"


def sizes_of(graph: Graph, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...] | None]:
    """Returns the size of each node, (B, H, W, C)."""
    sizes: list[tuple[int, ...] | None] = list(shapes)
    for terms in graph.sums:
        found = {_size_after(term, *sizes[drawn.source]) for drawn in map(as_sampled, terms) for term in drawn.known()}
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
    terms = [term for terms in graph.sums for drawn in terms for term in as_sampled(drawn).known()]
    return {layer.norm.eps for term in terms if isinstance(term, Chain) for layer in term.layers} | {
        term.norm.eps for term in terms if isinstance(term, Pool) and term.norm is not None}


def check(graph: Graph, shapes: Sequence[tuple[int, ...]], real: torch.dtype) -> None:
    """Raise ValueError for what the kernels cannot compute."""
    if real not in (torch.float32, torch.bfloat16):
        raise ValueError(f"the Triton kernels take float32 or bfloat16 maps, these are {real}")
    if graph.inputs > MOST_INPUTS:
        raise ValueError(f"the Triton kernels take at most {MOST_INPUTS} given maps, here are {graph.inputs}")
    widths = {shape[3] for shape in shapes}
    for conv in convs_of(graph):
        widths |= {conv.pointwise.in_channels, conv.pointwise.out_channels, conv.first_channel}
    if any(width % 8 for width in widths):
        raise ValueError(f"the Triton kernels need channels in eights, here are {sorted(widths)}; use engine 'plain'")
    if len(epsilons(graph)) > 1:
        raise ValueError(f"the Triton kernels need one epsilon for all batch norms, here are {sorted(epsilons(graph))}")
    weights = [weight for conv in convs_of(graph) for weight in weights_of(conv) if weight is not None]
    if any(weight.dtype != torch.float32 or not (
            weight.is_contiguous() or weight.is_contiguous(memory_format=torch.channels_last)) for weight in weights):
        raise ValueError("the Triton kernels need weights in float32, contiguous")
