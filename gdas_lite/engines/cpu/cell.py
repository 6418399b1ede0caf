"""What the forward and the backward pass of a node share: its terms by kind, sums of maps, projections, batch norm's factors.

A whole cell as one differentiable function, made of the passes of `passes.py`.

Between a node and the next nothing is stored but the maps in front of batch norms; normalisation, weight and sum over all
candidates of all incoming edges are one pass, and so is their backward pass. The plain twin is the cell's own forward.

The backward pass of a fused cell, node by node from the last to the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Chain, Graph, Identity, Pool, Scalar, Term, own
from .compiled import job_table as t
from .compiled.launch import launch
from .compiled.sums import RUN
from .layers import (
    REAL,
    Made,
    MadeLayer,
    Pooled,
    Turned,
    Wanted,
    address,
    backward_layers,
    forward_layers,
    image_step,
    is_half,
    pixel_step,
    pool_backward,
    pool_forward,
)


def split(terms: Sequence[Term]) -> tuple[list[Chain], list[Pool], list[Identity], list[Scalar]]:
    return tuple([term for term in terms if isinstance(term, kind)] for kind in (Chain, Pool, Identity, Scalar))


def sources(terms: Sequence[Term]) -> set[int]:
    return {term.source for term in terms if not isinstance(term, Scalar)}


def moments_of(made: Sequence[Made]) -> np.ndarray:
    """Mean, inverse standard deviation and variance, (maps, 3, C), float64."""
    return np.array([one.moments for one in made], np.float64)


def affine_of(made: Sequence[Made]) -> tuple[np.ndarray, np.ndarray]:
    """The norms' weights and biases, (maps, C) each, float64; 1 and 0 where there are none."""
    width, norms = made[0].out.shape[3], [one.norm for one in made]
    ones, zeros = np.ones(width), np.zeros(width)
    is_affine = [norm is not None and norm.affine for norm in norms]
    return tuple(np.array([getattr(norm, name).detach().numpy() if affine else other
                           for norm, affine in zip(norms, is_affine, strict=True)], np.float64)
                 for name, other in (("weight", ones), ("bias", zeros)))


def weighted_sum(out: Tensor, maps: Sequence[Tensor], factors: np.ndarray, addend: Tensor | None = None,
                 copy: Tensor | None = None) -> None:
    """out = copy = (addend +) sum of factors[i] * maps[i] and, after them, constants; maps (B, H, W, C), factors
    (maps + 1, C), or (maps + 1, B, C) where images differ."""
    images, height, width, channels = out.shape
    size, at, between, step = channels * REAL, factors.ctypes.data, factors.strides[0], image_step(factors)
    jobs = [(one.data_ptr(), at + between * index, pixel_step(one), 0, 0, step) for index, one in enumerate(maps)]
    row = (0, len(jobs), 0, out.data_ptr(), height * width, size, pixel_step(out), address(addend), pixel_step(addend),
           at + between * len(jobs), step, address(copy), pixel_step(copy))
    launch(t.SUM, images, [row], jobs, max(RUN, size), is_half(out))


def project(grad: Tensor, maps: Sequence[tuple[Tensor | None, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Sum over pixels and images of grad * (map - mean), without a map of grad: (maps, C), float64; and of each image,
    (maps, B, C). mean: an address, 0: none."""
    images, height, width, channels = grad.shape
    of_images, whole = torch.empty(len(maps), images, channels), np.empty((len(maps), channels))
    at, whole_at, size = of_images.data_ptr(), whole.ctypes.data, images * channels * REAL
    jobs = [(address(one), mean, channels * REAL, at + index * size, whole_at + index * channels * 8, 0)
            for index, (one, mean) in enumerate(maps)]
    row = (0, len(jobs), 0, grad.data_ptr(), height * width, channels * REAL, pixel_step(grad)) + (0,) * 6
    launch(t.PROJECT, images, [row], jobs, halves=is_half(grad))
    return whole, of_images.numpy()


def norm_factors(weight: np.ndarray, moments: np.ndarray, total: np.ndarray, projection: np.ndarray, count: int) -> np.ndarray:
    """Batch norm's backward pass as factors (layers, 3, C) of gradient, map and 1, times `weight` (layers, 1 or C).

    moments: (layers, 3, C). total: sum of the gradient (layers or 1, C). projection: of gradient * (map - mean), (layers, C).
    """
    scale = weight * moments[:, 1]
    factors = np.empty(moments.shape)
    factors[:, 0] = scale
    factors[:, 1] = scale * np.square(moments[:, 1]) * projection / -count
    factors[:, 2] = -scale * total / count - factors[:, 1] * moments[:, 0]
    return factors.astype(np.float32)


def run_graph(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None = None, masks: np.ndarray | None = None) -> Tensor:
    """The graph's result (B, sum of C, H, W) from inputs (B, C, H, W). weights: any shape, read flat, float32. masks: of drop
    path, (terms that can be dropped, B).

    The inputs are float32, or bfloat16: then so are all maps that are stored, and gradients of maps; sums and what lies between
    are float32. Raises ValueError for inputs of other types.
    """
    kinds = {x.dtype for x in inputs}
    if len(kinds) > 1 or not kinds <= {torch.float32, torch.bfloat16}:
        raise ValueError(f"the kernels need maps of float32, or all of bfloat16, these are {sorted(map(str, kinds))}")
    return _Fused.apply(graph, masks, weights, *inputs, *graph.parameters())


def dense(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C); no copy of a channels_last map."""
    return x.detach().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)


class _Fused(torch.autograd.Function):

    @staticmethod
    def forward(ctx, graph: Graph, masks: np.ndarray | None, weights: Tensor | None, *tensors: Tensor | None) -> Tensor:
        state = State(graph, weights, [dense(x) for x in tensors[:graph.inputs]], masks)
        ctx.graph, ctx.state = graph, state if any(ctx.needs_input_grad) else None
        ctx.set_materialize_grads(False)
        return state.forward().permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad is None:            # the loss does not depend on this cell
            return (None,) * len(ctx.needs_input_grad)
        graph, state = ctx.graph, ctx.state
        if state is None:
            raise RuntimeError("a fused cell's backward pass can run once only; use engine 'plain' for more")
        ctx.state = None
        needs = ctx.needs_input_grad[2:]
        backward = Backward(state, needs[0], needs[1:1 + graph.inputs], any(needs[1 + graph.inputs:]))
        backward.run(dense(grad))
        inputs = [None if grad is None else grad.permute(0, 3, 1, 2) for grad in backward.grads[:graph.inputs]]
        found = []
        for conv in graph.convs():
            taps, pointwise = backward.of_weights.get(conv, (None, None))
            bias = conv.pointwise.bias
            found += [_without_padding(taps, conv.depthwise), _without_padding(pointwise, conv.pointwise),
                      None if bias is None or pointwise is None else torch.zeros_like(bias)]
        for norm in graph.norms():
            found += [None if gradient is None else torch.from_numpy(gradient[:own(norm).num_features].astype(np.float32))
                      for gradient in backward.of_norms.get(norm, (None, None))]
        return None, None, backward.of_mixture, *inputs, *found


def _without_padding(gradient: Tensor | None, module: nn.Module) -> Tensor | None:
    if gradient is None or own(module) is module:
        return gradient
    rows, columns = own(module).weight.shape[:2]
    return gradient[:rows, :columns].contiguous()


class State:
    """A forward pass: the nodes' values and everything made on the way."""

    def __init__(self, graph: Graph, weights: Tensor | None, inputs: list[Tensor], masks: np.ndarray | None = None) -> None:
        self.graph, self.masks = graph, masks
        self.weights = None if weights is None else weights.detach().reshape(-1).double().numpy()
        self.weights_shape = None if weights is None else weights.shape
        self.values: list[Tensor | None] = list(inputs)
        self.made: list[list[list[MadeLayer]]] = []     # of each sum, of each chain, of each layer
        self.pooled: dict[tuple[int, str], Pooled] = {}
        self.turned = Turned(graph.convs(), is_half(inputs[0]))
        self.sources = set().union(*map(sources, graph.sums))
        self.result: Tensor | None = None

    def forward(self) -> Tensor:
        graph = self.graph
        for node, terms in enumerate(graph.sums, start=graph.inputs):
            self.values.append(self._sum(node, terms))
        for place, node in enumerate(graph.outputs):
            if node < graph.inputs or not sources(graph.sums[node - graph.inputs]):
                part, value = self._part(place), self.values[node]
                part.zero_() if value is None else part.copy_(value[..., :part.shape[3]])
        return self.result

    def _part(self, place: int, like: Tensor | None = None) -> Tensor:
        """The output of that place in the result, whose maps are all of one size (`like`, where it is not there yet)."""
        if self.result is None:
            like = next(value for value in self.values[self.graph.inputs:] if value is not None) if like is None else like
            width = self.graph.width or like.shape[3]
            self.result = like.new_empty(*like.shape[:3], width * len(self.graph.outputs))
        channels = self.result.shape[3] // len(self.graph.outputs)
        return self.result[..., place * channels:(place + 1) * channels]

    def factors(self, terms: Sequence[Term]) -> np.ndarray:
        """The terms' weights, (terms, 1), float64."""
        if self.weights is None or not terms or terms[0].weight is None:
            return np.ones((len(terms), 1))
        return self.weights[[term.weight for term in terms]][:, None]

    def masks_of(self, terms: Sequence[Term]) -> np.ndarray | None:
        """What drop path multiplies each term's images with, (terms, B), or None where nothing is dropped."""
        if self.masks is None or all(term.mask is None for term in terms):
            return None
        ones = np.ones(self.masks.shape[1], np.float32)
        return np.stack([ones if term.mask is None else self.masks[term.mask] for term in terms])

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
        normed: list[Made] = [layers[-1] for layers in self.made[-1]]
        normed += [self.pooled[term.source, term.kind] for term in pools]
        maps = [one.out for one in normed] + [self.values[term.source] for term in identities]
        factors = np.zeros((len(maps) + 1, maps[0].shape[3]))       # the last row is the constant
        ordered = [*chains, *pools, *identities]
        factors[:-1] = self.factors(ordered)
        shifts = np.zeros((0, maps[0].shape[3]))
        if normed:
            moments, (gains, biases) = moments_of(normed), affine_of(normed)
            shifts = factors[:len(normed)] * biases
            factors[:len(normed)] *= moments[:, 1] * gains
            shifts -= factors[:len(normed)] * moments[:, 0]
        masks = self.masks_of(ordered)
        if masks is not None:
            factors = factors[:, None] * np.concatenate([masks, masks[:1]])[:, :, None]
            shifts = shifts[:, None] * masks[:len(normed), :, None]
        factors[-1] = shifts.sum(0)
        return self._weighted(node, maps, factors.astype(np.float32))

    def _weighted(self, node: int, maps: Sequence[Tensor], factors: np.ndarray) -> Tensor | None:
        """The node's value; where it is an output, it stands in the result as well, and there alone if no edge leaves it."""
        is_output = node in self.graph.outputs
        part = self._part(self.graph.outputs.index(node), maps[0]) if is_output else None
        if part is None or part.shape[3] != maps[0].shape[3]:
            value = torch.empty_like(maps[0])
            weighted_sum(value, maps, factors)
            if is_output:
                part.copy_(value[..., :part.shape[3]])
            return value
        value = torch.empty_like(maps[0]) if node in self.sources else None
        weighted_sum(part if value is None else value, maps, factors, copy=None if value is None else part)
        return value

    def _run(self, chains: Sequence[Chain]) -> list[list[MadeLayer]]:
        if not chains:
            return []
        by_source: dict[int, list[int]] = {}
        for index, chain in enumerate(chains):
            by_source.setdefault(chain.source, []).append(index)
        made: list[list[MadeLayer]] = [[] for _ in chains]
        order = [index for indices in by_source.values() for index in indices]
        groups = [(self.values[source], None, [chains[index].layers[0] for index in indices])
                  for source, indices in by_source.items()]
        for index, one in zip(order, forward_layers(groups, self.turned), strict=True):
            made[index].append(one)
        deeper = [index for index in order if len(chains[index].layers) > 1]
        if deeper:
            groups = [(made[index][0].out, made[index][0], [chains[index].layers[1]]) for index in deeper]
            for index, one in zip(deeper, forward_layers(groups, self.turned), strict=True):
                made[index].append(one)
        return made


class Backward:
    """grads: of each node, (B, H, W, C) or None. of_weights: of each convolution. of_norms: of each affine norm, weight and bias.
    of_mixture: of the weights."""

    def __init__(self, state: State, mixes: bool, inputs: Sequence[bool], learns: bool) -> None:
        self.state, self.learns = state, learns
        self.of_weights: dict = {}
        self.of_norms: dict[nn.BatchNorm2d, tuple[np.ndarray, np.ndarray]] = {}
        self.of_mixture = torch.zeros(state.weights_shape) if mixes else None
        self.grads: list[Tensor | None] = [None] * len(state.values)
        self.needs = list(inputs)
        for terms in state.graph.sums:
            self.needs.append(any(self.needs[source] for source in sources(terms)) or any(
                (mixes and term.weight is not None) or (learns and isinstance(term, Chain)) for term in terms))
        self.of_pools: dict[tuple[int, str], list[tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]]] = {}     # see `_pools_of`

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
        normed: list[Made] = [layers[-1] for layers in made] + [state.pooled[term.source, term.kind] for term in pools]
        kept = [(None, 0)] + [(one.out, one.address) for one in normed]
        mixes = self.of_mixture is not None and terms[0].weight is not None
        if mixes:
            kept += [(state.values[term.source], 0) for term in identities]
        found, of_images = project(grad, kept)
        total, projections = found[0], found[1:]
        weights, masks, scales = state.factors(ordered), state.masks_of(ordered), [None] * len(chains)
        totals = np.broadcast_to(total, (len(ordered), len(total)))
        if masks is not None:
            totals = (masks[:, :, None] * of_images[:1]).sum(1, dtype=np.float64)
            projections = (masks[:len(projections), :, None] * of_images[1:]).sum(1, dtype=np.float64)
        moments, gains = (moments_of(normed), affine_of(normed)[0]) if normed else (None, None)
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
            count, last = len(chains), [chain.layers[-1].norm for chain in chains]
            factors = norm_factors(weights[:count] * gains[:count], moments[:count], totals[:count], projections[:count],
                                   grad.numel() // grad.shape[3])
            for index, norm in enumerate(last):
                if norm.affine:
                    self.of_norms[norm] = (weights[index] * moments[index, 1] * projections[index], weights[index] * totals[index])
            if masks is not None:
                scales = list(factors[:, :1] * masks[:count, :, None])
            self._chains(chains, made, [(grad, *each) for each in zip(factors, scales, strict=True)], identity)
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

    def _chains(self, chains: Sequence[Chain], made: Sequence[list[MadeLayer]],
                at_last: Sequence[tuple[Tensor, np.ndarray, np.ndarray | None]], identity: dict[int, np.ndarray]) -> None:
        """Second layers, then first layers; takes the identities out of `identity` that stand beside one. at_last: of each
        chain's output the gradient, factors and scales, see `backward_layers`."""
        at_first, grad, affine = list(at_last), at_last[0][0], []
        deeper = [index for index, layers in enumerate(made)
                  if len(layers) > 1 and (self.learns or self.needs[chains[index].source])]
        if deeper:
            groups = []
            for index in deeper:
                second = made[index].pop()
                is_affine = second.given.norm.affine
                wanted = Wanted(torch.empty_like(second.x),
                                factors=np.empty((5 if is_affine else 3, second.x.shape[3]), np.float32))
                groups.append((wanted, [(second, *at_last[index])]))
                at_first[index] = wanted.target, wanted.factors, None
                if is_affine:
                    affine.append((second.given.norm, wanted.factors[3:]))
            self.of_weights |= backward_layers(groups, self.learns, self.state.turned)
            self.of_norms |= {norm: tuple(rows) for norm, rows in affine}
            del groups, second
        by_source: dict[int, list[int]] = {}
        for index, chain in enumerate(chains):
            if self.learns or self.needs[chain.source]:
                by_source.setdefault(chain.source, []).append(index)
        groups = []
        for source, indices in by_source.items():
            wanted = Wanted()
            if self.needs[source]:
                wanted.target, wanted.addend = self._target(source)
                wanted.identity = identity.pop(source, None)
                wanted.through = None if wanted.identity is None else grad
            groups.append((wanted, [(made[index][0], *at_first[index]) for index in indices]))
        if groups:
            self.of_weights |= backward_layers(groups, self.learns, self.state.turned)

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
