"""The backward pass of a cell, node by node from the last to the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Chain, Term
from .forward import ForwardPass, sources, split
from .layers import ConvOutput, Gradient, InputGradient, backward_layers
from .maps import LayerOutput, affine_of, moments_of, norm_factors, pool_backward, project, weighted_sum


class BackwardPass:
    """grads: of each node, (B, H, W, C) or None. of_weights: of each convolution. of_norms: of each affine norm its
    weight's and bias'. of_mixture: of the weights."""

    def __init__(self, state: ForwardPass, mixes: bool, inputs: Sequence[bool], learns: bool) -> None:
        self.state, self.learns = state, learns
        self.of_weights: dict = {}
        self.of_norms: dict[nn.BatchNorm2d, tuple[np.ndarray, np.ndarray]] = {}
        self.of_mixture = torch.zeros(state.weights_shape) if mixes else None
        self.grads: list[Tensor | None] = [None] * len(state.values)
        self.needs = list(inputs)
        for terms in state.graph.sums:
            self.needs.append(any(self.needs[source] for source in sources(terms)) or any(
                (mixes and term.weight is not None) or (learns and isinstance(term, Chain)) for term in terms))
        # Of each pooled map the gradients of its uses, their factors (1 or B, 1), and the sums and projections.
        self.of_pools: dict[tuple[int, str], list[tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]]] = {}

    def run(self, grad: Tensor) -> None:
        """grad: of the result, dense."""
        graph, channels = self.state.graph, grad.shape[3] // len(self.state.graph.outputs)
        for place, node in enumerate(graph.outputs):
            part, value = grad[..., place * channels:(place + 1) * channels], self.state.values[node]
            missing = 0 if value is None else value.shape[3] - channels
            self.grads[node] = F.pad(part, (0, missing)) if missing else part
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
        found, of_images = project(grad, kept)
        total, projections = found[0], found[1:]
        weights, masks = state.factors(ordered), state.masks_of(ordered)
        totals = np.broadcast_to(total, (len(ordered), len(total)))
        if masks is not None:
            totals = (masks[:, :, None] * of_images[:1]).sum(1, dtype=np.float64)
            projections = (masks[:len(projections), :, None] * of_images[1:]).sum(1, dtype=np.float64)
        moments = moments_of(normed) if normed else None
        if mixes:
            scaled = projections.sum(1)
            scaled[:len(normed)] = (projections[:len(normed)] * (1 if moments is None else moments[:, 1])).sum(1)
            of_mixture = self.of_mixture.view(-1).numpy()
            of_mixture[[term.weight for term in ordered]] = scaled
            of_mixture[[term.weight for term in scalars if term.weight is not None]] = total.sum()
        for place, term in enumerate(pools, start=len(chains)):
            if self.needs[term.source]:
                mask = np.ones((1, 1)) if masks is None else masks[place][:, None]
                self.of_pools.setdefault((term.source, term.kind), []).append(
                    (grad, weights[place] * mask, weights[place] * totals[place], weights[place] * projections[place]))
        identity = {term.source: np.full((1, grad.shape[3]), weights[len(normed) + place, 0], np.float32)
                    for place, term in enumerate(identities)}
        if chains:
            at_last = self._at_last(chains, normed[:len(chains)], grad, weights[:len(chains)], totals[:len(chains)],
                                    projections[:len(chains)], masks)
            self._chains(chains, made, at_last, identity)
        for source, factor in identity.items():
            if self.needs[source]:
                target, addend = self._target(source)
                weighted_sum(target, [grad], np.concatenate([factor, np.zeros_like(factor)]), addend)

    def _at_last(self, chains: Sequence[Chain], made: Sequence[LayerOutput], grad: Tensor, weights: np.ndarray,
                 totals: np.ndarray, projections: np.ndarray, masks: np.ndarray | None) -> list[Gradient]:
        """The gradients of the chains' last layers; takes down those of their norms' parameters."""
        moments, (gains, _) = moments_of(made), affine_of(made)
        factors = norm_factors(weights * gains, moments, totals, projections, grad.numel() // grad.shape[3])
        for index, norm in enumerate(one.norm for one in made):
            if norm.affine:
                self.of_norms[norm] = (weights[index] * moments[index, 1] * projections[index],
                                       weights[index] * totals[index])
        scales = [None] * len(chains) if masks is None else factors[:, :1] * masks[:len(chains), :, None]
        return [(grad, *each) for each in zip(factors, scales, strict=True)]

    def _target(self, node: int) -> tuple[Tensor, Tensor | None]:
        """Where the node's gradient shall stand, and what is to be added to it."""
        before = self.grads[node]
        if before is None or not before.is_contiguous():
            self.grads[node] = torch.empty_like(self.state.values[node])
        return self.grads[node], before

    def _chains(self, chains: Sequence[Chain], made: Sequence[list[ConvOutput]], at_last: Sequence[Gradient],
                identity: dict[int, np.ndarray]) -> None:
        """Second layers, then first layers; takes the identities out of `identity` that stand beside one."""
        at_first, grad = list(at_last), at_last[0][0]
        deeper = [index for index, layers in enumerate(made)
                  if len(layers) > 1 and (self.learns or self.needs[chains[index].source])]
        if deeper:
            groups, affine = [], {}
            for index in deeper:
                second = made[index].pop()
                norm, channels = second.given.norm, second.x.shape[3]
                factors = np.empty((5 if norm.affine else 3, channels), np.float32)
                wanted = InputGradient(torch.empty_like(second.x), factors=factors)
                groups.append((wanted, [(second, *at_last[index])]))
                at_first[index] = wanted.target, factors, None
                if norm.affine:
                    affine[norm] = factors[3:]
            self.of_weights |= backward_layers(groups, self.learns, self.state.packed)
            self.of_norms |= {norm: tuple(gradients) for norm, gradients in affine.items()}
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
            maps, norm = [grad for grad, _, _, _ in uses], pooled.norm
            images, channels = max(len(weight) for _, weight, _, _ in uses), pooled.out.shape[3]
            factors = np.zeros((len(uses) + 1 + (norm is not None), images, channels), np.float32)
            for index, (_, weight, _, _) in enumerate(uses):
                factors[index] = weight
            if norm is not None:
                total, projection = (sum(use[part] for use in uses) for part in (2, 3))
                moments, (gains, _) = moments_of([pooled]), affine_of([pooled])
                scale, factors[-2], factors[-1] = norm_factors(gains, moments, total[None], projection[None],
                                                               pooled.out.numel() // channels)[0]
                factors[:len(uses)] *= scale
                maps.append(pooled.out)
                if norm.affine:
                    self.of_norms[norm] = moments[0, 1] * projection, total
            pool_backward(pooled, maps, factors[:, 0] if images == 1 else factors, *self._target(node))
