"""The backward pass of a cell, node by node from the last to the first."""

from collections.abc import Sequence
from functools import partial
from itertools import zip_longest

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Chain, Term
from .compiled.launch import data_of, in_a_row, then
from .forward import ForwardPass, sources
from .layers import ConvOutput, Gradient, InputGradient, backward_layers
from .maps import ONE, LayerOutput, PoolOutput, mixing, pool_backward, project, weighted_sum

ROOM = 16       # numbers


def with_room_behind(like: Tensor) -> Tensor:
    """Returns an empty map of that size, behind which a few zeros can be read."""
    flat = torch.empty(like.numel() + ROOM, dtype=like.dtype, device="cpu")
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
    weight's and bias'. of_mixture: of the weights. of_last: what the last input's gradient is added to, elsewhere.
    ours: nodes whose gradients may be added to in place."""

    def __init__(self, state: ForwardPass, mixes: bool, inputs: Sequence[bool], learns: bool,
                 of_last: Tensor | None = None) -> None:
        self.state, self.learns = state, learns
        self.of_weights: dict = {}
        self.of_norms: dict[nn.BatchNorm2d, tuple[np.ndarray, np.ndarray]] = {}
        self.of_mixture = np.zeros(state.weights_shape) if mixes else None
        self.grads: list[Tensor | None] = [None] * len(state.values)
        self.grads[len(inputs) - 1], self.ours = of_last, set()
        self.needs = list(inputs)
        for terms in state.graph.sums:
            self.needs.append(any(self.needs[source] for source in sources(terms)) or any(
                (mixes and term.weight is not None) or (learns and isinstance(term, Chain)) for term in terms))
        # Of each node that is read: by a chain, its layers' outputs and the last one's gradient; by an identity, the
        # gradient and its factors, (1, C).
        self.of_chains: dict[int, list[tuple[list[ConvOutput], Gradient]]] = {}
        self.of_identities: dict[int, list[tuple[Tensor, np.ndarray]]] = {}
        # Of each pooled map the gradients of its uses, their factors (1 or B, 1), and sum and projection, (2, C).
        self.of_pools: dict[tuple[int, str], list[tuple[Tensor, np.ndarray, np.ndarray]]] = {}

    def run(self, grad: Tensor) -> None:
        """grad: of the result, dense."""
        graph, channels = self.state.graph, grad.shape[3] // len(self.state.graph.outputs)
        for place, node in enumerate(graph.outputs):
            self.grads[node] = part_of(grad, place * channels, channels, self.state.channels)
        with in_a_row():
            for node in reversed(range(len(self.grads))):
                self._layers_of(node)
                self._pools_of(node)
                if node >= graph.inputs and self.grads[node] is not None and self.needs[node]:
                    self._enter(node, graph.sums[node - graph.inputs])
        self.state.made.clear()

    def _enter(self, node: int, terms: Sequence[Term]) -> None:
        """Hands a node's gradient, which is complete now, on to its terms; those before it take it from there."""
        state, grad = self.state, self.grads[node]
        chains, pools, identities, scalars = state.graph.parts[node - state.graph.inputs]
        made = state.made[node - state.graph.inputs]
        normed: list[LayerOutput] = [layers[-1] for layers in made]
        normed += [state.pooled[term.source, term.kind] for term in pools]
        ordered, (images, *_, channels), count = [*chains, *pools], grad.shape, len(chains)
        if mixes := self.of_mixture is not None and terms[0].weight is not None:
            ordered += identities
        factors, totals = np.empty((count, 3, channels), np.float32), np.empty((1 + len(normed), 2, channels))
        scales = [None if state.mask_of(chain) is None else np.empty((images, channels), np.float32)
                  for chain in chains]
        at, mixture, of_map, in_all = (data_of(factors) if count else 0, data_of(self.of_mixture) if mixes else 0,
                                       factors.strides[0], data_of(totals))
        maps = [(None, mixing(None, data_of(ONE), 0), (0, 0, 0, in_all))]
        for index, (term, one) in enumerate(zip_longest(ordered, normed)):
            found = (at + of_map * index if index < count else 0,
                     data_of(scales[index]) if index < count and scales[index] is not None else 0,
                     mixture + 8 * term.weight if mixes else 0,
                     0 if one is None else in_all + totals.strides[0] * (1 + index))
            value = state.values[term.source] if one is None else one.out
            maps.append((value, state.mixing_of(term, one), found))
        project(grad, maps, (state, factors, scales, totals, self.of_mixture))
        if mixes and (places := [term.weight for term in scalars if term.weight is not None]):
            then(partial(self._of_scalars, places, totals))
        for _, one, sums in zip(chains, normed, totals[1:], strict=False):
            if one.norm.affine:
                self.of_norms[one.norm] = sums[1], sums[0]
        for chain, *one in zip(chains, made, factors, scales, strict=True):
            if self.learns or self.needs[chain.source]:
                self.of_chains.setdefault(chain.source, []).append((one[0], (grad, *one[1:])))
        for term, sums in zip(pools, totals[1 + count:], strict=True):
            if self.needs[term.source]:
                mask = state.mask_of(term)
                factor = state.weight_of(term) * (np.ones((1, 1)) if mask is None else mask[:, None])
                self.of_pools.setdefault((term.source, term.kind), []).append((grad, factor, sums))
        for term in identities:
            if self.needs[term.source]:
                factor = np.full((1, channels), state.weight_of(term), np.float32)
                self.of_identities.setdefault(term.source, []).append((grad, factor))

    def _of_scalars(self, places: Sequence[int], totals: np.ndarray) -> None:
        self.of_mixture.reshape(-1)[places] = totals[0, 0].sum()

    def _target(self, node: int) -> tuple[Tensor, Tensor | None]:
        """Where the node's gradient shall stand, and what is to be added to it."""
        before, like = self.grads[node], self.state.values[node]
        if node not in self.ours:       # else what is there may be a part of another gradient, however it is laid out
            self.grads[node] = with_room_behind(like) if node < self.state.graph.inputs else torch.empty_like(like)
            self.ours.add(node)
        return self.grads[node], before

    def _layers_of(self, node: int) -> None:
        """What chains and identities that read a node add to its gradient: second layers, then first layers."""
        chains, identities = self.of_chains.pop(node, []), self.of_identities.pop(node, [])
        groups, affine, at_first = [], {}, []
        for layers, at_last in chains:
            if len(layers) > 1:
                second = layers[1]
                norm, channels = second.given.norm, second.x.shape[3]
                factors = np.empty((5 if norm.affine else 3, channels), np.float32)
                wanted = InputGradient(torch.empty_like(second.x), factors=factors)
                groups.append((wanted, [(second, *at_last)]))
                at_last = wanted.target, factors, None
                if norm.affine:
                    affine[norm] = factors[3], factors[4]
            at_first.append((layers[0], *at_last))
        if groups:
            self.of_weights |= backward_layers(groups, self.learns, self.state.packed)
            self.of_norms |= affine
        target, addend = self._target(node) if self.needs[node] and (chains or identities) else (None, None)
        if chains:
            wanted = InputGradient(target, addend, identities)
            self.of_weights |= backward_layers([(wanted, at_first)], self.learns, self.state.packed)
        elif identities:
            grads, factors = zip(*identities, strict=True)
            weighted_sum(target, grads, np.concatenate([*factors, np.zeros_like(factors[0])]), addend)

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
        total, projection = sum(of_uses)
        (mean, inverse_std, _), norm = pooled.moments.astype(np.float64), pooled.norm
        gain = pooled.given_affine[0].numpy().astype(np.float64) if norm.affine else 1.0
        scale, count = gain * inverse_std, pooled.out.numel() // pooled.out.shape[3]
        slope = scale * np.square(inverse_std) * projection / -count
        factors[-2], factors[-1] = slope, -scale * total / count - slope * mean
        factors[:len(of_uses)] *= scale.astype(np.float32)
        if norm.affine:
            self.of_norms[norm] = inverse_std * projection, total
