"""The forward pass of a cell, node by node: what it makes of the maps and keeps for the backward pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..graph import Chain, Graph, Identity, Pool, Scalar, Term
from .layers import ConvOutput, forward_layers
from .maps import LayerOutput, PoolOutput, is_half, moments_of, pool_forward, weighted_sum
from .packed_weights import PackedWeights


def split(terms: Sequence[Term]) -> tuple[list[Chain], list[Pool], list[Identity], list[Scalar]]:
    return tuple([term for term in terms if isinstance(term, kind)] for kind in (Chain, Pool, Identity, Scalar))


def sources(terms: Sequence[Term]) -> set[int]:
    return {term.source for term in terms if not isinstance(term, Scalar)}


class ForwardPass:
    """A forward pass: the nodes' values and everything made on the way."""

    def __init__(self, graph: Graph, weights: Tensor | None, inputs: list[Tensor]) -> None:
        self.graph = graph
        self.weights = None if weights is None else weights.detach().reshape(-1).double().numpy()
        self.weights_shape = None if weights is None else weights.shape
        self.values: list[Tensor | None] = list(inputs)
        self.made: list[list[list[ConvOutput]]] = []     # of each sum, of each chain, of each layer
        self.pooled: dict[tuple[int, str], PoolOutput] = {}
        self.packed = PackedWeights(graph.convs(), is_half(inputs[0]))
        self.sources = set().union(*map(sources, graph.sums))
        self.result: Tensor | None = None

    def forward(self) -> Tensor:
        graph = self.graph
        for node, terms in enumerate(graph.sums, start=graph.inputs):
            self.values.append(self._sum(node, terms))
        for place, node in enumerate(graph.outputs):
            if node < graph.inputs or not sources(graph.sums[node - graph.inputs]):
                part, value = self._part(place), self.values[node]
                part.zero_() if value is None else part.copy_(value)
        return self.result

    def _part(self, place: int, like: Tensor | None = None) -> Tensor:
        """The output of that place in the result, all of one size (`like`, where it is not there yet)."""
        if self.result is None:
            like = next(value for value in self.values[self.graph.inputs:]
                        if value is not None) if like is None else like
            self.result = like.new_empty(*like.shape[:3], like.shape[3] * len(self.graph.outputs))
        channels = self.result.shape[3] // len(self.graph.outputs)
        return self.result[..., place * channels:(place + 1) * channels]

    def factors(self, terms: Sequence[Term]) -> np.ndarray:
        """Returns the terms' weights, (terms, 1), float64."""
        if self.weights is None or not terms or terms[0].weight is None:
            return np.ones((len(terms), 1))
        return self.weights[[term.weight for term in terms]][:, None]

    def _sum(self, node: int, terms: Sequence[Term]) -> Tensor | None:
        chains, pools, identities, _ = split(terms)
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
        factors = np.zeros((len(maps) + 1, maps[0].shape[3]))       # the last row is the constant
        factors[:-1] = self.factors([*chains, *pools, *identities])
        if normed:
            moments = moments_of(normed)
            factors[:len(normed)] *= moments[:, 1]
            factors[-1] = -(factors[:len(normed)] * moments[:, 0]).sum(0)
        return self._weighted(node, maps, factors.astype(np.float32))

    def _weighted(self, node: int, maps: Sequence[Tensor], factors: np.ndarray) -> Tensor | None:
        """The node's value; an output stands in the result as well, and there alone if no edge leaves it."""
        if node not in self.graph.outputs:
            value = torch.empty_like(maps[0])
            weighted_sum(value, maps, factors)
            return value
        part = self._part(self.graph.outputs.index(node), maps[0])
        value = torch.empty_like(maps[0]) if node in self.sources else None
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
