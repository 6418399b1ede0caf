"""The backward pass of a cell, planned as its forward pass: node by node from the last, then launched together.

A node's gradient is gathered in one launch from all edges that leave it, and goes through the terms that it sums in a
few: projections and factors, second layers, first layers.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import triton
from torch import Tensor

from ...graph import Chain, Conv
from . import gradient_kernels as gradients
from . import job_table as t
from . import node_kernels as sums
from .forward_plan import Forward, spread
from .job_table import Choice, Row, job, tile
from .launch_plan import BACK_MEMORY, BUFFER, GRAD, OF_INPUTS, OF_WEIGHTS, Arena, LaunchPlan, Slot
from .node_plan import Made, blocks_of, weights_of, window

SPLITS = 128            # into how many parts a sum over pixels is cut at most
BLOCK = 256             # numbers of a weight's gradient that a program adds up
TAPS_MOST = 25


class Backward:
    """grads: of each node, its slot or None. of_weights: (taps or None, point-wise) of each convolution reached.

    mixture: how many of its weights want gradients. needs, learns: whether each given map, the weights want some.
    """

    def __init__(self, forward: Forward, mixture: int, needs: Sequence[bool], learns: bool) -> None:
        self.forward, self.graph, self.learns, self.mixes = forward, forward.graph, learns, mixture > 0
        self.options = forward.options
        self.plan, self.arena, self.weight_gradients, self.of_inputs = (
            LaunchPlan(forward.device), Arena(BACK_MEMORY), Arena(OF_WEIGHTS), Arena(OF_INPUTS))
        self.of_mixture = self.weight_gradients.take(mixture)
        self.of_weights: dict[Conv, tuple[Slot | None, Slot]] = {}
        self.needs = list(needs)
        for made in forward.made:
            self.needs.append(any(self.needs[one.term.source] or (mixture and one.term.weight is not None)
                                  or (learns and any(isinstance(term, Chain) for term in one.term.known()))
                                  for one in made))
        self.grads: list[Slot | None] = [None] * len(forward.values)
        # of each node: what sends gradients to it
        self.readers: list[list[Choice]] = [[] for _ in forward.values]
        grad = replace(forward.result, address=GRAD << BUFFER.value)
        channels = grad.shape[3] // len(self.graph.outputs)
        parts = [grad.part(place * channels, channels) for place in range(len(self.graph.outputs))]
        for node, part in zip(self.graph.outputs, parts, strict=True):
            reads = window(part, part.shape, side=1) | {"grad": part.address, "grad_step": part.step}
            self.readers[node].append(Choice([job(t.IDENTITY, **reads)]))       # without change, as the result does
        for node in reversed(range(len(self.grads))):
            self._arrive(node, [part for place, part in enumerate(parts) if self.graph.outputs[place] == node])
            if node >= self.graph.inputs and self.grads[node] is not None:
                self._leave(forward.made[node - self.graph.inputs], self.grads[node])

    def run(self, memory: dict[int, Tensor | None], grad: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns memory of the weights' and the given maps' gradients. memory: the forward pass's. grad: dense."""
        # what was not drawn keeps its zeros
        weight_gradients = self.weight_gradients.make(self.forward.device).zero_()
        of_inputs = self.of_inputs.make(self.forward.device)
        self.plan.run(memory | {GRAD: grad, BACK_MEMORY: self.arena.make(self.forward.device),
                                OF_WEIGHTS: weight_gradients, OF_INPUTS: of_inputs}, index)
        return weight_gradients, of_inputs

    def _arrive(self, node: int, parts: Sequence[Slot]) -> None:
        """The gradient of a node's value, from all that read it."""
        value, readers = self.forward.values[node], self.readers[node]
        if value is None or not (self.needs[node] and readers):
            return
        if len(readers) == len(parts) == 1 and node >= self.graph.inputs:
            self.grads[node] = parts[0]
            return
        arena = self.arena if node >= self.graph.inputs else self.of_inputs
        self.grads[node] = arena.take(*value.shape, real=value.real)
        head = job(t.CONV, **window(value, value.shape, side=1), target=self.grads[node].address,
                   target_step=value.shape[3])
        self._to_sources([[Choice([head]), *readers]])

    def _to_sources(self, targets: Sequence[Sequence[Choice]]) -> None:
        heads = [row for head, *_ in targets for row in head.rows if row]
        if heads:
            channels = max(row["channels_in"] for row in heads)
            self.plan.launch(gradients.to_source, [choice for target in targets for choice in target],
                             blocks_of(max(row["pixels"] for row in heads)), triton.cdiv(channels, tile(channels)),
                             together=len(targets[0]), rows=len(targets[0]), BLOCK_C=tile(channels), **self.options)

    def _leave(self, made: Sequence[Made], grad: Slot) -> None:
        """From a node's gradient to those of its terms, and to the readers of their sources."""
        ends = self._project(made, grad)
        inner = self._second_layers(made, ends)
        maps: list[Choice] = []
        for one, end, deeper in zip(made, ends, inner, strict=True):
            if not (self.learns or self.needs[one.term.source]):
                continue
            slots = [self._to_map(one, 0, slot, end, deeper) for slot in range(len(one.maps[0]) if one.maps else 0)]
            maps += slots
            if self.needs[one.term.source]:
                self.readers[one.term.source] += _read_by(end, slots)
        self._convolutions(maps)

    def _project(self, made: Sequence[Made], grad: Slot) -> list[Choice]:
        """Each term's map with the node's gradient and its factors, which two launches find."""
        channels, pixels = grad.shape[3], grad.pixels
        splits, each = split(pixels)
        ends = []
        for one in made:
            parts, factors = self.arena.take(splits, 2, channels), self.arena.take(4, channels)
            is_mixed = self.mixes and one.term.weight is not None
            weight_grad = self.of_mixture.address + 4 * one.term.weight if is_mixed else 0
            fields = {"grad": grad.address, "grad_step": grad.step, "pixels": pixels, "channels_out": channels,
                      "parts": parts.address, "count": splits, "factors": factors.address, "factor_step": channels,
                      "weight_grad": weight_grad}
            ends.append(Choice([row and row | fields for row in one.end.rows], one.end.edge))
        self.plan.launch(sums.project, ends, splits, spread(ends)[1], each=each, **self.options)
        self.plan.launch(sums.through_norm, ends, 1)
        return ends

    def _second_layers(self, made: Sequence[Made], ends: Sequence[Choice]) -> list[Choice | None]:
        """Back through second layers: of each term, rows that say gradient and factors of its first layer's map."""
        found: list[Choice | None] = [None] * len(made)
        deeper = [place for place, one in enumerate(made)
                  if len(one.maps) > 1 and (self.learns or self.needs[one.term.source])]
        maps = [self._to_map(made[place], 1, 0, ends[place], None) for place in deeper]
        self._convolutions(maps)
        for place, choice in zip(deeper, maps, strict=True):
            buffers: dict[object, Slot] = {}
            found[place] = Choice([self._inner(row, buffers) if row else {} for row in choice.rows], choice.edge)
        self._to_sources([[found[place], _from_depth(choice)] for place, choice in zip(deeper, maps, strict=True)])
        self.plan.launch(sums.through_norm, [found[place] for place in deeper], 1)
        return found

    def _inner(self, row: Row, buffers: dict[object, Slot]) -> Row:
        """What stands between two layers: the normalised map that `row` reads, its gradient, sums and factors."""
        channels = row["channels_in"]
        pixels = row["pixels"] // (row["out_height"] * row["out_width"]) * row["height"] * row["width"]
        grad = self._once(buffers, "grad", pixels, channels, real=self.forward.real)
        parts = self._once(buffers, "parts", blocks_of(pixels), 2, channels)
        factors = self._once(buffers, "factors", 4, channels)
        return {name: row[name] for name in ("kind", "x", "x_step", "mean", "inverse_std", "height", "width",
                                             "channels_in")} | {
            "channels_out": channels, "pixels": pixels, "target": grad.address, "target_step": channels,
            "parts": parts.address, "count": blocks_of(pixels), "factors": factors.address, "factor_step": channels,
            "grad": grad.address, "grad_step": channels}

    def _to_map(self, made: Made, layer: int, slot: int, end: Choice, deeper: Choice | None) -> Choice:
        """A layer's convolutions with the gradient of their map: the node's, or that of the layer behind, `deeper`."""
        choice, buffers, rows = made.maps[layer][slot], {}, []
        for place, (row, term) in enumerate(zip(choice.rows, made.term.terms, strict=True)):
            if not (row and isinstance(term, Chain)):
                rows.append({})
                continue
            behind = deeper.rows[place] if deeper is not None and deeper.rows[place] else end.rows[place]
            conv = term.layers[layer].convs[slot]
            first = conv.first_channel
            depth = self._once(buffers, "depth", row["pixels"], row["channels_in"], real=self.forward.real)
            rows.append(row | self._memory_of(conv, row, buffers) | {
                "grad": behind["grad"] + first * depth.real.itemsize, "grad_step": behind["grad_step"],
                "factors": behind["factors"] + 4 * first, "factor_step": behind["factor_step"], "depth": depth.address})
        return Choice(rows, choice.edge)

    def _memory_of(self, conv: Conv, row: Row, buffers: dict[object, Slot]) -> Row:
        """Where the gradients of a convolution's weights are made and stand."""
        if not self.learns:
            return {}
        taps, pointwise = self.of_weights[conv] = tuple(
            None if weight is None else self.weight_gradients.take(*weight.permute(0, 2, 3, 1).shape)
            for weight in weights_of(conv))
        splits = split(row["pixels"])[0]
        parts = self._once(buffers, "parts", splits, row["channels_out"], row["matrices"], row["channels_in"])
        taps_parts = self._once(buffers, "taps", splits, TAPS_MOST, row["channels_in"])
        return {"parts": parts.address, "count": splits, "taps_parts": taps_parts.address,
                "grad_taps": 0 if taps is None else taps.address, "grad_pointwise": pointwise.address}

    def _convolutions(self, maps: Sequence[Choice]) -> None:
        """Gradients of depth-wise outputs and, if they learn, of the weights."""
        rows = [row for choice in maps for row in choice.rows if row]
        if not rows:
            return
        wide, pixels = max(row["channels_in"] for row in rows), max(row["pixels"] for row in rows)
        tiles = triton.cdiv(wide, tile(max(row["channels_out"] for row in rows)))
        exactly = self.options | {"PRECISION": self.forward.precision}
        self.plan.launch(gradients.to_depth, maps, blocks_of(pixels), tiles, **exactly)
        if self.learns:
            splits, each = split(pixels)
            self.plan.launch(gradients.to_pointwise, maps, splits, tiles, each=each, **exactly)
            self.plan.launch(gradients.to_taps, maps, splits, tiles, each=each, **self.options)
            size = max(row["channels_in"] * max(row["channels_out"] * row["matrices"], TAPS_MOST) for row in rows)
            self.plan.launch(gradients.add_parts, maps, triton.cdiv(size, BLOCK), BLOCK=BLOCK)

    def _once(self, buffers: dict[object, Slot], name: str, *shape: int, real: torch.dtype = torch.float32) -> Slot:
        """Returns memory, the same for all operations of an edge that need as much, since one of them is computed."""
        if (name, shape) not in buffers:
            buffers[name, shape] = self.arena.take(*shape, real=real)
        return buffers[name, shape]


def split(pixels: int) -> tuple[int, int]:
    """Returns into how many parts a sum over pixels is cut, and how many blocks each has."""
    each = triton.cdiv(blocks_of(pixels), SPLITS)
    return triton.cdiv(blocks_of(pixels), each), each


def _from_depth(choice: Choice) -> Choice:
    """Convolutions as readers of their source: what reaches it is their DEPTH as it is, pixel by pixel if dense."""
    return Choice([row and row | {"grad": row["depth"], "grad_step": row["channels_in"], "factors": 0, "out": 0} | (
        {"side": 1, "start": 0} if row["matrices"] > 1 else {}) for row in choice.rows], choice.edge)


def _read_by(end: Choice, slots: Sequence[Choice]) -> list[Choice]:
    """A term as readers of its source: its convolutions, or the pooling or identity that its end is."""
    no_map = {t.MAX.value: {}, t.AVG.value: {}, t.IDENTITY.value: {"out": 0}}
    others = Choice([row | no_map[row["kind"]] if row and row["kind"] in no_map else {} for row in end.rows], end.edge)
    first, *more = [_from_depth(choice) for choice in slots] or [others]
    return [Choice([row or other for row, other in zip(first.rows, others.rows, strict=True)], end.edge), *more]
