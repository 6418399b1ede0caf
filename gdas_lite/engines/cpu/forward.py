"""The forward pass of a cell, node by node: what it makes of the maps and keeps for the backward pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..graph import Chain, Graph, Scalar, Term
from .compiled.launch import in_a_row, then
from .layers import ConvOutput, forward_layers
from .maps import LayerOutput, PoolOutput, affine_of, is_half, moments_of, pool_forward, weighted_sum
from .packed_weights import PackedWeights


def sources(terms: Sequence[Term]) -> set[int]:
    return {term.source for term in terms if not isinstance(term, Scalar)}


class ForwardPass:
    """A forward pass: the nodes' values and everything made on the way."""

    def __init__(self, graph: Graph, weights: Tensor | None, inputs: list[Tensor], masks: np.ndarray | None = None
                 ) -> None:
        self.graph, self.masks = graph, masks
        self.weights = None if weights is None else weights.detach().reshape(-1).double().numpy()
        self.weights_shape = None if weights is None else weights.shape
        self.values: list[Tensor | None] = list(inputs)
        self.made: list[list[list[ConvOutput]]] = []     # of each sum, of each chain, of each layer
        self.pooled: dict[tuple[int, str], PoolOutput] = {}
        self.packed = PackedWeights(graph.convs, is_half(inputs[0]))
        self.sources = set().union(*map(sources, graph.sums))
        self.result: Tensor | None = None
        self.channels = 0       # of an output, with those of zeros that the result leaves out

    def forward(self) -> Tensor:
        graph = self.graph
        with in_a_row():
            for node, terms in enumerate(graph.sums, start=graph.inputs):
                self.values.append(self._sum(node, terms))
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

    def factors(self, terms: Sequence[Term]) -> np.ndarray:
        """Returns the terms' weights, (terms, 1), float64."""
        if self.weights is None or not terms or terms[0].weight is None:
            return np.ones((len(terms), 1))
        return self.weights[[term.weight for term in terms]][:, None]

    def masks_of(self, terms: Sequence[Term]) -> np.ndarray | None:
        """Returns what drop path multiplies each term's images with, (terms, B); None where nothing is dropped."""
        if self.masks is None or all(term.mask is None for term in terms):
            return None
        ones = np.ones(self.masks.shape[1], np.float32)
        return np.stack([ones if term.mask is None else self.masks[term.mask] for term in terms])

    def _sum(self, node: int, terms: Sequence[Term]) -> Tensor | None:
        chains, pools, identities, _ = self.graph.parts[node - self.graph.inputs]
        self.made.append(self._run(chains))
        fresh = {(term.source, term.kind): term for term in pools if (term.source, term.kind) not in self.pooled}
        if fresh:
            made = pool_forward([(term, self.values[term.source]) for term in fresh.values()])
            self.pooled |= dict(zip(fresh, made, strict=True))
        if not terms:
            return None
        if isinstance(terms[0], Scalar):
            return torch.zeros_like(self.values[0])
        normed: list[LayerOutput] = [layers[-1] for layers in self.made[-1]]
        normed += [self.pooled[term.source, term.kind] for term in pools]
        maps = [one.out for one in normed] + [self.values[term.source] for term in identities]
        ordered = [*chains, *pools, *identities]
        masks = self.masks_of(ordered)
        images = () if masks is None else masks.shape[1:]
        made = np.empty((len(maps) + 1, *images, maps[0].shape[3]), np.float32)
        then(lambda: self._fill(made, ordered, normed, masks))
        return self._weighted(node, maps, made)

    def _fill(self, made: np.ndarray, ordered: Sequence[Term], normed: Sequence[LayerOutput], masks: np.ndarray | None
              ) -> None:
        """Puts the terms' factors there, those of each image where `masks` are given, and behind them the constant."""
        factors, count = np.zeros((len(made), made.shape[-1])), len(normed)
        factors[:-1] = self.factors(ordered)
        shifts = np.zeros((0, made.shape[-1]))
        if normed:
            moments, (gains, biases) = moments_of(normed), affine_of(normed)
            shifts = factors[:count] * biases
            factors[:count] *= moments[:, 1] * gains
            shifts -= factors[:count] * moments[:, 0]
        if masks is not None:
            shifts = shifts[:, None] * masks[:count, :, None]
            factors = factors[:, None] * np.concatenate([masks, masks[:1]])[:, :, None]
        factors[-1] = shifts.sum(0)
        made[...] = factors

    def _weighted(self, node: int, maps: Sequence[Tensor], factors: np.ndarray) -> Tensor | None:
        """The node's value; an output stands in the result as well, and there alone if no edge leaves it."""
        part = self._part(self.graph.outputs.index(node), maps[0]) if node in self.graph.outputs else None
        value = torch.empty_like(maps[0]) if part is None or node in self.sources else None
        weighted_sum(part if value is None else value, maps, factors, copy=None if value is None else part)
        return value

    def _run(self, chains: Sequence[Chain]) -> list[list[ConvOutput]]:
        if not chains:
            return []
        by_source: dict[int, list[int]] = {}
        for index, chain in enumerate(chains):
            by_source.setdefault(chain.source, []).append(index)
        made: list[list[ConvOutput]] = [[] for _ in chains]
        order = [index for indices in by_source.values() for index in indices]
        groups = [(self.values[source], None, [chains[index].layers[0] for index in indices])
                  for source, indices in by_source.items()]
        for index, one in zip(order, forward_layers(groups, self.packed), strict=True):
            made[index].append(one)
        deeper = [index for index in order if len(chains[index].layers) > 1]
        if deeper:
            groups = [(made[index][0].out, made[index][0], [chains[index].layers[1]]) for index in deeper]
            for index, one in zip(deeper, forward_layers(groups, self.packed), strict=True):
                made[index].append(one)
        return made
