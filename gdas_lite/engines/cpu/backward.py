"""The backward pass of a cell, node by node from the last to the first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Chain, Term
from .compiled.launch import in_a_row, then
from .forward import ForwardPass, sources
from .layers import ConvOutput, Gradient, InputGradient, backward_layers
from .maps import LayerOutput, PoolOutput, affine_of, moments_of, norm_factors, pool_backward, project, weighted_sum

ROOM = 16       # numbers


def with_room_behind(like: Tensor) -> Tensor:
    """Returns an empty map of that size, behind which a few zeros can be read."""
    flat = torch.empty(like.numel() + ROOM, dtype=like.dtype)
    flat[like.numel():] = 0
    return flat[:like.numel()].view(like.shape)


def part_of(grad: Tensor, first: int, channels: int, width: int) -> Tensor:
    """Returns some channels of a dense map (B, H, W, C) and enough behind them for `width`, without a copy if there is
    something to be read. What stands there does not matter, as long as it is finite: it belongs to channels of zeros,
    whose norms have the weight 0."""
    start = grad.storage_offset() + first
    end = start + grad.numel() - grad.shape[3] + width
    if width == channels or end <= grad.untyped_storage().nbytes() // grad.element_size():
        return grad.as_strided((*grad.shape[:3], width), grad.stride(), start)
    return F.pad(grad[..., first:first + channels], (0, width - channels))


class BackwardPass:
    """grads: of each node, (B, H, W, C) or None. of_weights: of each convolution. of_norms: of each affine norm its
    weight's and bias'. of_mixture: of the weights. of_last: what the last input's gradient is added to, elsewhere."""

    def __init__(self, state: ForwardPass, mixes: bool, inputs: Sequence[bool], learns: bool,
                 of_last: Tensor | None = None) -> None:
        self.state, self.learns = state, learns
        self.of_weights: dict = {}
        self.of_norms: dict[nn.BatchNorm2d, tuple[np.ndarray, np.ndarray]] = {}
        self.of_mixture = torch.zeros(state.weights_shape, dtype=torch.float32) if mixes else None
        self.grads: list[Tensor | None] = [None] * len(state.values)
        self.of_last = self.grads[len(inputs) - 1] = of_last
        self.needs = list(inputs)
        for terms in state.graph.sums:
            self.needs.append(any(self.needs[source] for source in sources(terms)) or any(
                (mixes and term.weight is not None) or (learns and isinstance(term, Chain)) for term in terms))
        # Of each pooled map the gradients of its uses, their factors (1 or B, 1), and sum and projection, (2, C).
        self.of_pools: dict[tuple[int, str], list[tuple[Tensor, np.ndarray, np.ndarray]]] = {}

    def run(self, grad: Tensor) -> None:
        """grad: of the result, dense."""
        graph, channels = self.state.graph, grad.shape[3] // len(self.state.graph.outputs)
        for place, node in enumerate(graph.outputs):
            self.grads[node] = part_of(grad, place * channels, channels, self.state.channels)
        with in_a_row():
            for node in reversed(range(len(self.grads))):
                self._pools_of(node)
                if node >= graph.inputs and self.grads[node] is not None and self.needs[node]:
                    self._through(node, graph.sums[node - graph.inputs])
        self.state.made.clear()

    def _through(self, node: int, terms: Sequence[Term]) -> None:
        state, grad = self.state, self.grads[node]
        chains, pools, identities, _ = state.graph.parts[node - state.graph.inputs]
        ordered = [*chains, *pools, *identities]
        made = state.made[node - state.graph.inputs]
        normed: list[LayerOutput] = [layers[-1]
                                     for layers in made] + [state.pooled[term.source, term.kind] for term in pools]
        kept = [(None, 0)] + [(one.out, one.address) for one in normed]
        if self.of_mixture is not None and terms[0].weight is not None:
            kept += [(state.values[term.source], 0) for term in identities]
        weights, masks = state.factors(ordered), state.masks_of(ordered)
        factors = np.empty((len(chains), 3, grad.shape[3]), np.float32)
        scales = None if masks is None else np.empty((len(chains), *grad.shape[::3]), np.float32)
        projected, of_uses = project(grad, kept), np.empty((len(pools), 2, grad.shape[3]))
        then(lambda: self._take_down(node, terms, normed, *projected, weights, masks, factors, scales, of_uses))
        for place, term in enumerate(pools):
            if self.needs[term.source]:
                factor = weights[len(chains) + place] * (
                    np.ones((1, 1)) if masks is None else masks[len(chains) + place][:, None])
                self.of_pools.setdefault((term.source, term.kind), []).append((grad, factor, of_uses[place]))
        identity: dict[int, np.ndarray] = {}
        for term, weight in zip(identities, weights[len(normed):], strict=True):      # two may read one node
            identity[term.source] = identity.get(term.source, 0) + np.full((1, grad.shape[3]), weight, np.float32)
        if chains:
            each = factors, [None] * len(chains) if scales is None else scales
            self._chains(chains, made, [(grad, *one) for one in zip(*each, strict=True)], identity)
        for source, factor in identity.items():
            if self.needs[source]:
                target, addend = self._target(source)
                weighted_sum(target, [grad], np.concatenate([factor, np.zeros_like(factor)]), addend)

    def _take_down(self, node: int, terms: Sequence[Term], normed: Sequence[LayerOutput], found: np.ndarray,
                   of_images: np.ndarray, weights: np.ndarray, masks: np.ndarray | None, factors: np.ndarray,
                   scales: np.ndarray | None, of_uses: np.ndarray) -> None:
        """What follows from a node's projections, `found` and `of_images`: gradients of the mixture and of the norms of
        its chains' last layers, whose `factors` and `scales` it fills in, see `Gradient`; `of_uses` of pooled maps."""
        grad, (chains, pools, identities, scalars) = self.grads[node], self.state.graph.parts[
            node - self.state.graph.inputs]
        ordered = [*chains, *pools, *identities]
        total, projections = found[0], found[1:]
        totals = np.broadcast_to(total, (len(ordered), len(total)))
        if masks is not None:
            totals = (masks[:, :, None] * of_images[:1]).sum(1, dtype=np.float64)
            projections = (masks[:len(projections), :, None] * of_images[1:]).sum(1, dtype=np.float64)
        moments = moments_of(normed) if normed else None
        if self.of_mixture is not None and terms[0].weight is not None:
            scaled = projections.sum(1)
            scaled[:len(normed)] = (projections[:len(normed)] * (1 if moments is None else moments[:, 1])).sum(1)
            of_mixture = self.of_mixture.view(-1).numpy()
            of_mixture[[term.weight for term in ordered]] = scaled
            of_mixture[[term.weight for term in scalars if term.weight is not None]] = total.sum()
        here = slice(len(chains), len(chains) + len(pools))
        of_uses[:, 0], of_uses[:, 1] = weights[here] * totals[here], weights[here] * projections[here]
        if chains:
            count, last = len(chains), normed[:len(chains)]
            gains, _ = affine_of(last)
            factors[...] = norm_factors(weights[:count] * gains, moments[:count], totals[:count], projections[:count],
                                        grad.numel() // grad.shape[3])
            if scales is not None:
                np.multiply(factors[:, :1], masks[:count, :, None], out=scales)
            for index, norm in enumerate(one.norm for one in last):
                if norm.affine:
                    self.of_norms[norm] = (weights[index] * moments[index, 1] * projections[index],
                                           weights[index] * totals[index])

    def _target(self, node: int) -> tuple[Tensor, Tensor | None]:
        """Where the node's gradient shall stand, and what is to be added to it."""
        before = self.grads[node]
        if before is None or before is self.of_last or not before.is_contiguous():
            like = self.state.values[node]
            self.grads[node] = with_room_behind(like) if node < self.state.graph.inputs else torch.empty_like(like)
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
                second = made[index][1]
                norm, channels = second.given.norm, second.x.shape[3]
                factors = np.empty((5 if norm.affine else 3, channels), np.float32)
                wanted = InputGradient(torch.empty_like(second.x), factors=factors)
                groups.append((wanted, [(second, *at_last[index])]))
                at_first[index] = wanted.target, factors, None
                if norm.affine:
                    affine[norm] = factors[3:]
            self.of_weights |= backward_layers(groups, self.learns, self.state.packed)
            self.of_norms |= {norm: tuple(gradients) for norm, gradients in affine.items()}
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
            maps, norm = [grad for grad, _, _ in uses], pooled.norm
            images, channels = max(len(weight) for _, weight, _ in uses), pooled.out.shape[3]
            factors = np.zeros((len(uses) + 1 + (norm is not None), images, channels), np.float32)
            for index, (_, weight, _) in enumerate(uses):
                factors[index] = weight
            if norm is not None:
                maps.append(pooled.out)
                then(partial(self._through_norm, pooled, [sums for _, _, sums in uses], factors))
            pool_backward(pooled, maps, factors[:, 0] if images == 1 else factors, *self._target(node))

    def _through_norm(self, pooled: PoolOutput, of_uses: Sequence[np.ndarray], factors: np.ndarray) -> None:
        """Completes the `factors` of a pooled map's uses by those of the batch norm behind it."""
        (total, projection), (gains, _) = sum(of_uses), affine_of([pooled])
        moments, count = moments_of([pooled]), pooled.out.numel() // pooled.out.shape[3]
        scale, factors[-2], factors[-1] = norm_factors(gains, moments, total[None], projection[None], count)[0]
        factors[:len(of_uses)] *= scale
        if pooled.norm.affine:
            self.of_norms[pooled.norm] = moments[0, 1] * projection, total
