"""The backward pass of a cell, planned as its forward pass: node by node from the last, then launched together.

A node's gradient is gathered in one launch from all edges that leave it, and goes through the terms that it sums in a few:
projections and factors, second layers, first layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from ..graph import Chain, Conv
from . import gradients, sums
from . import table as t
from .forward import Forward, kernel_options, precision, spread
from .table import Book, Choice, Row, job, tile
from .terms import Made, blocks_of, convs_of, weights_of, window

SPLITS = 128            # into how many parts a sum over pixels is cut at most
BLOCK = 256             # numbers of a weight's gradient that a program adds up
TAPS_MOST = 25


class Backward:
    """grads: of each node (B, H, W, C) or None. of_weights: of each convolution (taps or None, point-wise), zeros for those
    that were not drawn. of_mixture: of the flat weights.

    grad: of the forward's result, dense. needs: whether each input's gradient is wanted.
    """

    def __init__(self, forward: Forward, grad: Tensor, mixes: bool, needs: Sequence[bool], learns: bool) -> None:
        self.forward, self.graph, self.learns, self.book = forward, forward.graph, learns, Book(forward.device)
        self.of_mixture = torch.zeros_like(forward.weights) if mixes else None
        self.of_weights: dict[Conv, tuple[Tensor | None, Tensor]] = {}
        self.kept: list[Tensor] = [grad]
        self.zeros = _zeros_like(list(convs_of(self.graph))) if learns else {}
        self.needs = list(needs)
        for made in forward.made:
            self.needs.append(any(self.needs[one.term.source] or (mixes and one.term.weight is not None)
                                  or (learns and any(isinstance(term, Chain) for term in one.term.known())) for one in made))
        self.grads: list[Tensor | None] = [None] * len(forward.values)
        self.readers: list[list[Choice]] = [[] for _ in forward.values]         # of each node: what sends gradients to it
        channels = grad.shape[3] // len(self.graph.outputs)
        parts = [grad[..., place * channels:(place + 1) * channels] for place in range(len(self.graph.outputs))]
        for node, part in zip(self.graph.outputs, parts, strict=True):
            self.readers[node].append(Choice([_passes_on(part)]))
        for node in reversed(range(len(self.grads))):
            self._arrive(node, [part for place, part in enumerate(parts) if self.graph.outputs[place] == node])
            if node >= self.graph.inputs and self.grads[node] is not None:
                self._leave(forward.made[node - self.graph.inputs], self.grads[node])

    def run(self, index: Tensor | None) -> None:
        self.book.run(index)

    def _arrive(self, node: int, parts: Sequence[Tensor]) -> None:
        """The gradient of a node's value, from all that read it."""
        value, readers = self.forward.values[node], self.readers[node]
        if value is None or not (self.needs[node] and readers):
            return
        if len(readers) == len(parts) == 1:
            self.grads[node] = parts[0]
            return
        self.grads[node] = torch.empty(value.shape, dtype=value.dtype, device=value.device)
        head = job(t.CONV, x=value.data_ptr(), x_step=value.stride(2), height=value.shape[1], width=value.shape[2],
                   channels_in=value.shape[3], **_target(self.grads[node]))
        self._to_sources([[Choice([head]), *readers]])

    def _to_sources(self, targets: Sequence[Sequence[Choice]]) -> None:
        heads = [row for head, *_ in targets for row in head.rows if row]
        if heads:
            channels = max(row["channels_in"] for row in heads)
            self.book.launch(gradients.to_source, [choice for target in targets for choice in target],
                             blocks_of(max(row["pixels"] for row in heads)), triton.cdiv(channels, tile(channels)),
                             together=len(targets[0]), rows=len(targets[0]), BLOCK_C=tile(channels), **self._options())

    def _leave(self, made: Sequence[Made], grad: Tensor) -> None:
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

    def _project(self, made: Sequence[Made], grad: Tensor) -> list[Choice]:
        """Each term's map with the node's gradient and its factors, which two launches find."""
        channels, pixels = grad.shape[3], grad.numel() // grad.shape[3]
        splits, each = split(pixels)
        parts, factors = self._empty(len(made), splits, 2, channels), self._empty(len(made), 3, channels)
        ends = []
        for place, one in enumerate(made):
            mixes = self.of_mixture is not None and one.term.weight is not None
            ends.append(one.end.with_(
                grad=grad.data_ptr(), grad_step=grad.stride(2), pixels=pixels, channels_out=channels,
                parts=parts[place].data_ptr(), count=splits, factors=factors[place].data_ptr(), factor_step=channels,
                weight_grad=self.of_mixture.data_ptr() + 4 * one.term.weight if mixes else 0))
        self.book.launch(sums.project, ends, splits, spread(ends)[1], each=each, **self._options())
        self.book.launch(sums.through_norm, ends, 1)
        return ends

    def _second_layers(self, made: Sequence[Made], ends: Sequence[Choice]) -> list[Choice | None]:
        """Back through second layers: of each term, rows that say gradient and factors of its first layer's map."""
        found: list[Choice | None] = [None] * len(made)
        deeper = [place for place, one in enumerate(made) if len(one.maps) > 1 and (self.learns or self.needs[one.term.source])]
        maps = [self._to_map(made[place], 1, 0, ends[place], None) for place in deeper]
        self._convolutions(maps)
        for place, choice in zip(deeper, maps, strict=True):
            buffers: dict[object, Tensor] = {}
            found[place] = Choice([self._inner(row, buffers) if row else {} for row in choice.rows], choice.edge)
        self._to_sources([[found[place], _from_depth(choice)] for place, choice in zip(deeper, maps, strict=True)])
        self.book.launch(sums.through_norm, [found[place] for place in deeper], 1)
        return found

    def _inner(self, row: Row, buffers: dict[object, Tensor]) -> Row:
        """What stands between two layers: the normalised map that `row` reads, its gradient, sums and factors."""
        channels = row["channels_in"]
        pixels = row["pixels"] // (row["out_height"] * row["out_width"]) * row["height"] * row["width"]
        grad = self._empty(pixels, channels, real=self.forward.real, once=(buffers, "grad"))
        parts = self._empty(blocks_of(pixels), 2, channels, once=(buffers, "parts"))
        factors = self._empty(3, channels, once=(buffers, "factors"))
        return {name: row[name] for name in ("kind", "x", "x_step", "mean", "inverse_std", "height", "width", "channels_in")} | {
            "channels_out": channels, "pixels": pixels, "target": grad.data_ptr(), "target_step": channels,
            "parts": parts.data_ptr(), "count": len(parts), "factors": factors.data_ptr(), "factor_step": channels,
            "grad": grad.data_ptr(), "grad_step": channels}

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
            depth = self._empty(row["pixels"], row["channels_in"], real=self.forward.real, once=(buffers, "depth"))
            rows.append(row | self._memory_of(conv, row, buffers) | {
                "grad": behind["grad"] + first * depth.element_size(), "grad_step": behind["grad_step"],
                "factors": behind["factors"] + 4 * first, "factor_step": behind["factor_step"], "depth": depth.data_ptr()})
        return Choice(rows, choice.edge)

    def _memory_of(self, conv: Conv, row: Row, buffers: dict[object, Tensor]) -> Row:
        """Where the gradients of a convolution's weights are made and stand."""
        if not self.learns:
            return {}
        taps, pointwise = self.of_weights[conv] = self.zeros[conv]
        splits = split(row["pixels"])[0]
        parts = self._empty(splits, row["channels_out"], row["channels_in"], once=(buffers, "parts"))
        taps_parts = self._empty(splits, TAPS_MOST, row["channels_in"], once=(buffers, "taps"))
        return {"parts": parts.data_ptr(), "count": splits, "taps_parts": taps_parts.data_ptr(),
                "grad_taps": 0 if taps is None else taps.data_ptr(), "grad_pointwise": pointwise.data_ptr()}

    def _convolutions(self, maps: Sequence[Choice]) -> None:
        """Gradients of depth-wise outputs and, if they learn, of the weights."""
        rows = [row for choice in maps for row in choice.rows if row]
        if not rows:
            return
        wide, pixels = max(row["channels_in"] for row in rows), max(row["pixels"] for row in rows)
        tiles = triton.cdiv(wide, tile(max(row["channels_out"] for row in rows)))
        exactly = precision(self.forward.real)
        self.book.launch(gradients.to_depth, maps, blocks_of(pixels), tiles, **self._options(), **exactly)
        if self.learns:
            splits, each = split(pixels)
            self.book.launch(gradients.to_pointwise, maps, splits, tiles, each=each, **self._options(), **exactly)
            self.book.launch(gradients.to_taps, maps, splits, tiles, each=each, **self._options())
            size = max(row["channels_in"] * max(row["channels_out"], TAPS_MOST) for row in rows)
            self.book.launch(gradients.add_parts, maps, triton.cdiv(size, BLOCK), BLOCK=BLOCK)

    def _options(self) -> dict[str, object]:
        return kernel_options(self.forward.real)

    def _empty(self, *shape: int, real: torch.dtype = torch.float32, once: tuple | None = None) -> Tensor:
        """Memory; with `once`, the same for all operations of an edge that need as much, since one of them is computed."""
        if once is not None and (once[1], shape) in once[0]:
            return once[0][once[1], shape]
        self.kept.append(torch.empty(shape, dtype=real, device=self.forward.device))
        if once is not None:
            once[0][once[1], shape] = self.kept[-1]
        return self.kept[-1]


def split(pixels: int) -> tuple[int, int]:
    """Into how many parts a sum over pixels is cut, and how many blocks each has."""
    each = triton.cdiv(blocks_of(pixels), SPLITS)
    return triton.cdiv(blocks_of(pixels), each), each


def _zeros_like(convs: Sequence[Conv]) -> dict[Conv, tuple[Tensor | None, Tensor]]:
    """Zeros for the gradients of each convolution's weights, cut from one piece of memory."""
    weights = [weight for conv in convs for weight in weights_of(conv)]
    memory = torch.zeros(sum(weight.numel() for weight in weights if weight is not None), device=convs[0].pointwise.weight.device)
    cut = iter(memory.split([weight.numel() for weight in weights if weight is not None]))
    zeros = [None if weight is None else next(cut).view(weight.shape) for weight in weights]
    return dict(zip(convs, zip(zeros[::2], zeros[1::2], strict=True), strict=True))


def _target(grad: Tensor) -> Row:
    return {"target": grad.data_ptr(), "target_step": grad.stride(2), "pixels": grad.numel() // grad.shape[3]}


def _passes_on(grad: Tensor) -> Row:
    """Reads a node without change, as the result does."""
    return job(t.IDENTITY, **window(grad, grad.shape, side=1) | {"grad": grad.data_ptr(), "grad_step": grad.stride(2)})


def _from_depth(choice: Choice) -> Choice:
    """Convolutions as readers of their source: what reaches it is their DEPTH as it is."""
    return Choice([row and row | {"grad": row["depth"], "grad_step": row["channels_in"], "factors": 0, "out": 0}
                   for row in choice.rows], choice.edge)


def _read_by(end: Choice, slots: Sequence[Choice]) -> list[Choice]:
    """A term as readers of its source: its convolutions, or the pooling or identity that its end is."""
    no_map = {t.MAX.value: {}, t.AVG.value: {}, t.IDENTITY.value: {"out": 0}}
    others = Choice([row | no_map[row["kind"]] if row and row["kind"] in no_map else {} for row in end.rows], end.edge)
    first, *more = [_from_depth(choice) for choice in slots] or [others]
    return [Choice([row or other for row, other in zip(first.rows, others.rows, strict=True)], end.edge), *more]
