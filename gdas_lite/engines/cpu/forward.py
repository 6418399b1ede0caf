"""The forward pass of a cell, node by node: what it makes of the maps and keeps for the backward pass."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from ..graph import Graph, Scalar, Term, side_for
from .compiled.launch import data_of, in_a_row
from .layers import ConvOutput, forward_layers
from .maps import ONE, LayerOutput, PoolOutput, is_half, mixing, pool_forward, weighted_sum
from .packed_weights import PackedWeights


def sources(terms: Sequence[Term]) -> set[int]:
    return {term.source for term in terms if not isinstance(term, Scalar)}


class ForwardPass:
    """A forward pass: the nodes' values and everything made on the way."""

    def __init__(self, graph: Graph, weights: Tensor | None, inputs: list[Tensor], masks: np.ndarray | None = None
                 ) -> None:
        self.graph, self.masks = graph, None if masks is None else np.ascontiguousarray(masks, np.float32)
        self.weights = None if weights is None else weights.detach().reshape(-1).double().numpy()
        self._weights_at, self._ones = 0 if weights is None else data_of(self.weights), data_of(ONE)
        self.weights_shape = None if weights is None else weights.shape
        self.values: list[Tensor | None] = list(inputs)
        self.made: list[list[list[ConvOutput]]] = [      # of each sum, of each chain, of each layer
            [[] for _ in chains] for chains, *_ in graph.parts]
        self.pooled: dict[tuple[int, str], PoolOutput] = {}
        self.packed = PackedWeights(graph.convs, is_half(inputs[0]), side_for(*inputs[0].shape[1:3]))
        self.sources = set().union(*map(sources, graph.sums))
        self.result: Tensor | None = None
        self.channels = 0       # of an output, with those of zeros that the result leaves out

    def forward(self) -> Tensor:
        graph = self.graph
        with in_a_row():
            for node in range(graph.inputs + len(graph.sums)):
                if node >= graph.inputs:
                    self.values.append(self._sum(node, graph.sums[node - graph.inputs]))
                self._run(node)
        for place, node in enumerate(graph.outputs):
            if node < graph.inputs or not sources(graph.sums[node - graph.inputs]):
                part, value = self._part(place), self.values[node]
                part.zero_() if value is None else part.copy_(value[..., :part.shape[3]])
        return self.result

    def _part(self, place: int, like: Tensor | None = None) -> Tensor:
        """The output of that place in the result, all of one size (`like`, where it is not there yet)."""
        if self.result is None:
            like = next(value for value in self.values[self.graph.inputs:]
                        if value is not None) if like is None else like
            self.channels = like.shape[3]
            width = self.graph.width or self.channels
            self.result = like.new_empty(*like.shape[:3], width * len(self.graph.outputs))
        channels = self.result.shape[3] // len(self.graph.outputs)
        return self.result[..., place * channels:(place + 1) * channels]

    def weight_of(self, term: Term) -> float:
        return 1.0 if self.weights is None or term.weight is None else float(self.weights[term.weight])

    def mask_of(self, term: Term) -> np.ndarray | None:
        """Returns what drop path multiplies a term's images with, (B,); None where nothing is dropped."""
        return None if self.masks is None or term.mask is None else self.masks[term.mask]

    def mixing_of(self, term: Term, made: LayerOutput | None = None) -> tuple[int, ...]:
        """Returns the `mixing` of a term's map."""
        mask = None if self.masks is None else self.mask_of(term)
        weight = self._ones if self.weights is None or term.weight is None else self._weights_at + 8 * term.weight
        return mixing(made, weight, 0 if mask is None else data_of(mask))

    def _sum(self, node: int, terms: Sequence[Term]) -> Tensor | None:
        chains, pools, identities, _ = self.graph.parts[node - self.graph.inputs]
        if not terms:
            return None
        if isinstance(terms[0], Scalar):
            return torch.zeros_like(self.values[0])
        normed: list[LayerOutput] = [layers[-1] for layers in self.made[node - self.graph.inputs]]
        normed += [self.pooled[term.source, term.kind] for term in pools]
        maps = [one.out for one in normed] + [self.values[term.source] for term in identities]
        ordered = [*chains, *pools, *identities]
        is_masked = self.masks is not None and any(self.mask_of(term) is not None for term in ordered)
        images = self.masks.shape[1:] if is_masked else ()
        factors = np.empty((len(maps) + 1, *images, maps[0].shape[3]), np.float32)
        # an output stands in the result as well, and there alone if no edge leaves it
        part = self._part(self.graph.outputs.index(node), maps[0]) if node in self.graph.outputs else None
        shapes = {tuple(one.shape) for one in maps} | (set() if part is None else {(*part.shape[:3], maps[0].shape[3])})
        if len(shapes) > 1:
            raise ValueError(f"maps (B, H, W, C) that this cell adds up or joins differ in size: {sorted(shapes)}")
        value = torch.empty_like(maps[0]) if part is None or node in self.sources else None
        weighted_sum(part if value is None else value, maps, factors, None, None if value is None else part,
                     [self.mixing_of(*pair) for pair in zip_longest(ordered, normed)])
        return value

    def _run(self, node: int) -> None:
        """Runs all layers and pools that begin at a node, so that its value is read once."""
        chains, value = self.graph.chains_from.get(node, ()), self.values[node]
        layers = [(self.made[index][place], chain.layers) for index, place, chain in chains]
        if layers:
            groups = [(value, None, [first for _, (first, *_) in layers])]
            for (made, _), one in zip(layers, forward_layers(groups, self.packed), strict=True):
                made.append(one)
        if deeper := [(made, rest) for made, (_, *rest) in layers if rest]:
            groups = [(made[0].out, made[0], rest) for made, rest in deeper]
            for (made, _), one in zip(deeper, forward_layers(groups, self.packed), strict=True):
                made.append(one)
        pools = {(node, term.kind): term for _, terms, *_ in self.graph.parts for term in terms if term.source == node}
        if pools:
            made = pool_forward([(term, value) for term in pools.values()])
            self.pooled |= dict(zip(pools, made, strict=True))
