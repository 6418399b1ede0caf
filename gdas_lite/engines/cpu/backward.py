"""The backward pass of a cell, node by node from the last to the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..graph import Chain, Term
from .forward import ForwardPass, sources, split
from .layers import ConvOutput, InputGradient, backward_layers
from .maps import LayerOutput, moments_of, norm_factors, pool_backward, project, weighted_sum


class BackwardPass:
    """grads: of each node, (B, H, W, C) or None. of_weights: of each convolution. of_mixture: of the weights."""

    def __init__(self, state: ForwardPass, mixes: bool, inputs: Sequence[bool], learns: bool) -> None:
        self.state, self.learns = state, learns
        self.of_weights: dict = {}
        self.of_mixture = torch.zeros(state.weights_shape) if mixes else None
        self.grads: list[Tensor | None] = [None] * len(state.values)
        self.needs = list(inputs)
        for terms in state.graph.sums:
            self.needs.append(any(self.needs[source] for source in sources(terms)) or any(
                (mixes and term.weight is not None) or (learns and isinstance(term, Chain)) for term in terms))
        self.of_pools: dict[tuple[int, str], list[tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]]] = {}

    def run(self, grad: Tensor) -> None:
        """grad: of the result, dense."""
        graph, channels = self.state.graph, grad.shape[3] // len(self.state.graph.outputs)
        for place, node in enumerate(graph.outputs):
            self.grads[node] = grad[..., place * channels:(place + 1) * channels]
        for node in reversed(range(len(self.grads))):
            self._pools_of(node)
            if node >= graph.inputs and self.grads[node] is not None and self.needs[node]:
                self._through(node, graph.sums[node - graph.inputs])
                self.state.made[node - graph.inputs] = None

    def _through(self, node: int, terms: Sequence[Term]) -> None:
        state, grad = self.state, self.grads[node]
        chains, pools, identities, scalars = split(terms)
        ordered = [*chains, *pools, *identities]
        made = state.made[node - state.graph.inputs]
        normed: list[LayerOutput] = [layers[-1]
                                     for layers in made] + [state.pooled[term.source, term.kind] for term in pools]
        kept = [(None, 0)] + [(one.out, one.address) for one in normed]
        mixes = self.of_mixture is not None and terms[0].weight is not None
        if mixes:
            kept += [(state.values[term.source], 0) for term in identities]
        found = project(grad, kept)
        total, projections = found[0], found[1:]
        weights = state.factors(ordered)
        moments = moments_of(normed) if normed else None
        if mixes:
            scaled = projections.sum(1)
            scaled[:len(normed)] = (projections[:len(normed)] * (1 if moments is None else moments[:, 1])).sum(1)
            of_mixture = self.of_mixture.view(-1).numpy()
            of_mixture[[term.weight for term in ordered]] = scaled
            of_mixture[[term.weight for term in scalars if term.weight is not None]] = total.sum()
        for place, term in enumerate(pools, start=len(chains)):
            if self.needs[term.source]:
                self.of_pools.setdefault((term.source, term.kind), []).append(
                    (grad, weights[place], total, projections[place]))
        identity = {term.source: np.full((1, grad.shape[3]), weights[len(normed) + place, 0], np.float32)
                    for place, term in enumerate(identities)}
        if chains:
            factors = norm_factors(weights[:len(chains)], moments[:len(chains)], total, projections[:len(chains)],
                                   grad.numel() // grad.shape[3])
            self._chains(chains, made, grad, factors, identity)
        for source, factor in identity.items():
            if self.needs[source]:
                target, addend = self._target(source)
                weighted_sum(target, [grad], np.concatenate([factor, np.zeros_like(factor)]), addend)

    def _target(self, node: int) -> tuple[Tensor, Tensor | None]:
        """Where the node's gradient shall stand, and what is to be added to it."""
        before = self.grads[node]
        if before is None or not before.is_contiguous():
            self.grads[node] = torch.empty_like(self.state.values[node])
        return self.grads[node], before

    def _chains(self, chains: Sequence[Chain], made: Sequence[list[ConvOutput]], grad: Tensor, factors: np.ndarray,
                identity: dict[int, np.ndarray]) -> None:
        """Second layers, then first layers; takes the identities out of `identity` that stand beside one."""
        at_first = {index: (grad, factors[index]) for index in range(len(chains))}
        deeper = [index for index, layers in enumerate(made)
                  if len(layers) > 1 and (self.learns or self.needs[chains[index].source])]
        if deeper:
            groups = []
            for index in deeper:
                second = made[index].pop()
                wanted = InputGradient(torch.empty_like(second.x), factors=np.empty((3, second.x.shape[3]), np.float32))
                groups.append((wanted, [(second, grad, factors[index])]))
                at_first[index] = wanted.target, wanted.factors
            self.of_weights |= backward_layers(groups, self.learns, self.state.packed)
            del groups, second
        by_source: dict[int, list[int]] = {}
        for index, chain in enumerate(chains):
            if self.learns or self.needs[chain.source]:
                by_source.setdefault(chain.source, []).append(index)
        groups = []
        for source, indices in by_source.items():
            wanted = InputGradient()
            if self.needs[source]:
                wanted.target, wanted.addend = self._target(source)
                wanted.identity = identity.pop(source, None)
                wanted.through = None if wanted.identity is None else grad
            groups.append((wanted, [(made[index][0], *at_first[index]) for index in indices]))
        if groups:
            self.of_weights |= backward_layers(groups, self.learns, self.state.packed)

    def _pools_of(self, node: int) -> None:
        for kind in ("max", "avg"):
            uses = self.of_pools.pop((node, kind), None)
            if uses is None:
                continue
            pooled = self.state.pooled[node, kind]
            maps = [grad for grad, _, _, _ in uses]
            factors = np.zeros((len(uses) + 1 + pooled.is_normed, pooled.out.shape[3]), np.float32)
            factors[:len(uses)] = np.array([weight for _, weight, _, _ in uses])
            if pooled.is_normed:
                total = sum(weight * total for _, weight, total, _ in uses)
                projection = sum(weight * projection for _, weight, _, projection in uses)
                scale, factors[-2], factors[-1] = norm_factors(
                    np.ones((1, 1)), moments_of([pooled]), total[None], projection[None],
                    pooled.out.numel() // pooled.out.shape[3])[0]
                factors[:len(uses)] *= scale
                maps.append(pooled.out)
            pool_backward(pooled, maps, factors, *self._target(node))
