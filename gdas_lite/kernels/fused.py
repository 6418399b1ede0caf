"""A whole cell as one differentiable function, made of the passes of `passes.py`.

Between a node and the next nothing is stored but the maps in front of batch norms; normalisation, weight and sum over all
candidates of all incoming edges are one pass, and so is their backward pass. The plain twin is the cell's own forward.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .convolving import Given, Made, Wanted, address, backward_layers, forward_layers
from .graph import Chain, Graph, Identity, Pool, Scalar, Term
from .launch import launch
from .pooling import Pooled, pool_backward, pool_forward
from .table import PROJECT, SUM


def run_graph(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None) -> Tensor:
    """The graph's result (B, sum of C, H, W) from inputs (B, C, H, W), float32. weights: any shape, read flat."""
    return _Fused.apply(graph, weights, *inputs, *graph.parameters())


def dense(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C); no copy of a channels_last map."""
    return x.detach().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)


class _Fused(torch.autograd.Function):

    @staticmethod
    def forward(ctx, graph: Graph, weights: Tensor | None, *tensors: Tensor | None) -> Tensor:
        state = _State(graph, weights, [dense(x) for x in tensors[:graph.inputs]])
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
        needs = ctx.needs_input_grad
        backward = _Backward(state, needs[1], needs[2:2 + graph.inputs], any(needs[2 + graph.inputs:]))
        backward.run(dense(grad))
        inputs = [None if grad is None else grad.permute(0, 3, 1, 2) for grad in backward.grads[:graph.inputs]]
        found = []
        for conv in graph.convs():
            taps, pointwise = backward.of_weights.get(conv, (None, None))
            bias = conv.pointwise.bias
            found += [taps, pointwise, None if bias is None or pointwise is None else torch.zeros_like(bias)]
        return None, backward.of_mixture, *inputs, *found


class _State:
    """A forward pass: the nodes' values and everything made on the way."""

    def __init__(self, graph: Graph, weights: Tensor | None, inputs: list[Tensor]) -> None:
        self.graph = graph
        self.weights = None if weights is None else weights.detach().reshape(-1).float()
        self.weights_shape = None if weights is None else weights.shape
        self.values: list[Tensor | None] = list(inputs)
        self.made: list[list[list[Made]]] = []          # of each sum, of each chain, of each layer
        self.pooled: dict[tuple[int, str], Pooled] = {}

    def forward(self) -> Tensor:
        for terms in self.graph.sums:
            self.values.append(self._sum(terms))
        parts = [self.values[node] for node in self.graph.outputs]
        some = next((part for part in parts if part is not None), None)
        parts = [torch.zeros_like(some) if part is None else part for part in parts]
        for node in self.graph.outputs:                 # they are in the result; the sources of edges stay
            if not any(node in sources(terms) for terms in self.graph.sums):
                self.values[node] = None
        return torch.cat(parts, 3) if len(parts) > 1 else parts[0]

    def factors(self, terms: Sequence[Chain | Identity | Pool]) -> Tensor:
        """The terms' weights, (terms, 1), float64."""
        if self.weights is None or not terms or terms[0].weight is None:
            return torch.ones(len(terms), 1, dtype=torch.float64)
        return self.weights[[term.weight for term in terms]].double()[:, None]

    def _sum(self, terms: Sequence[Term]) -> Tensor | None:
        chains, pools, identities, _ = split(terms)
        self.made.append(self._run(chains))
        for term in pools:
            if (term.source, term.kind) not in self.pooled:
                self.pooled[term.source, term.kind] = pool_forward(term, self.values[term.source])
        if not terms:
            return None
        if isinstance(terms[0], Scalar):
            return torch.zeros_like(self.values[0])
        normed = [layers[-1] for layers in self.made[-1]] + [self.pooled[term.source, term.kind] for term in pools]
        maps = [one.out for one in normed] + [self.values[term.source] for term in identities]
        scale = self.factors([*chains, *pools, *identities])
        total, channels = torch.empty_like(maps[0]), maps[0].shape[3]
        shift = torch.zeros(channels, dtype=torch.float64)
        if normed:
            inverse_std = torch.stack([one.inverse_std for one in normed]).double()
            mean = torch.stack([one.mean for one in normed]).double()
            scaled = scale[:len(normed)] * inverse_std
            shift = -(scaled * mean).sum(0)
            scale = torch.cat([scaled, scale[len(normed):].expand(-1, channels)])
        weighted_sum(total, maps, scale.expand(-1, channels).float().contiguous(), shift.float())
        return total

    def _run(self, chains: Sequence[Chain]) -> list[list[Made]]:
        if not chains:
            return []
        by_source: dict[int, list[int]] = {}
        for index, chain in enumerate(chains):
            by_source.setdefault(chain.source, []).append(index)
        made: list[list[Made]] = [[] for _ in chains]
        order = [index for indices in by_source.values() for index in indices]
        for index, one in zip(order, forward_layers([
                (Given(self.values[source]), [chains[index].layers[0] for index in indices])
                for source, indices in by_source.items()]), strict=True):
            made[index].append(one)
        deeper = [index for index in order if len(chains[index].layers) > 1]
        if deeper:
            groups = [(Given(made[index][0].out, made[index][0].mean, made[index][0].inverse_std), [chains[index].layers[1]])
                      for index in deeper]
            for index, one in zip(deeper, forward_layers(groups), strict=True):
                made[index].append(one)
        return made


def split(terms: Sequence[Term]) -> tuple[list[Chain], list[Pool], list[Identity], list[Scalar]]:
    return tuple([term for term in terms if isinstance(term, kind)] for kind in (Chain, Pool, Identity, Scalar))


def sources(terms: Sequence[Term]) -> set[int]:
    return {term.source for term in terms if not isinstance(term, Scalar)}


def weighted_sum(out: Tensor, maps: Sequence[Tensor], factors: Tensor, shift: Tensor, adds: bool = False) -> None:
    """out = (out +) shift + sum of factors[i] * maps[i]; maps (B, H, W, C), factors (maps, C), shift (C,)."""
    images, height, width, channels = out.shape
    jobs = [[one.data_ptr(), factors.data_ptr() + 4 * channels * index, 0] for index, one in enumerate(maps)]
    launch(SUM, images, [[0, len(jobs), out.data_ptr(), height * width, 4 * channels, adds, shift.data_ptr()]], jobs)


def project(grad: Tensor, maps: Sequence[tuple[Tensor | None, Tensor | None]]) -> Tensor:
    """Sum over pixels and images of grad * (map - mean), without a map of grad: (maps, C), float64."""
    images, height, width, channels = grad.shape
    found = torch.empty(len(maps), images, channels)
    jobs = [[address(one), address(mean), found[index].data_ptr()] for index, (one, mean) in enumerate(maps)]
    launch(PROJECT, images, [[0, len(jobs), grad.data_ptr(), height * width, 4 * channels, 0, 0]], jobs)
    return found.sum(1, dtype=torch.float64)


def norm_factors(weight: Tensor, inverse_std: Tensor, mean: Tensor, total: Tensor, projection: Tensor, count: int) -> Tensor:
    """Batch norm's backward pass as factors (layers, 3, C) of gradient, map and 1, times `weight` (layers, 1).

    total: sum of the gradient (layers or 1, C). projection: of gradient * (map - mean), (layers, C). float64 in.
    """
    scale = weight * inverse_std
    slope = -scale * inverse_std.square() * projection / count
    return torch.stack([scale.expand_as(slope), slope, -scale * total / count - slope * mean], 1).float().contiguous()


class _Backward:
    """grads: of each node, (B, H, W, C) or None. of_weights: of each convolution. of_mixture: of the weights."""

    def __init__(self, state: _State, mixes: bool, inputs: Sequence[bool], learns: bool) -> None:
        self.state, self.learns = state, learns
        self.of_weights: dict = {}
        self.of_mixture = torch.zeros(state.weights_shape) if mixes else None
        self.grads: list[Tensor | None] = [None] * len(state.values)
        self.needs = list(inputs)
        for terms in state.graph.sums:
            self.needs.append(any(self.needs[source] for source in sources(terms)) or any(
                (mixes and term.weight is not None) or (learns and isinstance(term, Chain)) for term in terms))
        self.of_pools: dict[tuple[int, str], list[tuple[Tensor, Tensor, Tensor, Tensor]]] = {}

    def run(self, grad: Tensor) -> None:
        graph, channels = self.state.graph, grad.shape[3] // len(self.state.graph.outputs)
        for place, node in enumerate(graph.outputs):
            self.grads[node] = grad[..., place * channels:(place + 1) * channels].contiguous()
        for node in reversed(range(len(self.grads))):
            self._pools_of(node)
            if node >= graph.inputs and self.grads[node] is not None and self.needs[node]:
                self._through(node, graph.sums[node - graph.inputs])
                self.state.made[node - graph.inputs] = None

    def _through(self, node: int, terms: Sequence[Term]) -> None:
        state, grad = self.state, self.grads[node]
        chains, pools, identities, scalars = split(terms)
        made = state.made[node - state.graph.inputs]
        normed = [layers[-1] for layers in made] + [state.pooled[term.source, term.kind] for term in pools]
        kept = [(one.out, one.mean) for one in normed]
        mixes = self.of_mixture is not None and terms[0].weight is not None
        if mixes:
            kept += [(state.values[term.source], None) for term in identities]
        found = project(grad, [(None, None), *kept])
        total, projections = found[0], found[1:]
        weights = state.factors([*chains, *pools, *identities])
        if normed:
            inverse_std = torch.stack([one.inverse_std for one in normed]).double()
            mean = torch.stack([one.mean for one in normed]).double()
        if mixes:
            if normed:
                scaled = torch.cat([projections[:len(normed)] * inverse_std, projections[len(normed):]])
            else:
                scaled = projections
            places = torch.tensor([term.weight for term in (*chains, *pools, *identities)], dtype=torch.int64)
            self.of_mixture.view(-1)[places] = scaled.sum(1).float()
            for term in scalars:
                if term.weight is not None:
                    self.of_mixture.view(-1)[term.weight] = total.sum().float()
        count = grad.shape[0] * grad.shape[1] * grad.shape[2]
        for place, term in enumerate(pools, start=len(chains)):
            if self.needs[term.source]:
                self.of_pools.setdefault((term.source, term.kind), []).append(
                    (grad, weights[place], total, projections[place]))
        identity = {term.source: weights[len(normed) + place].expand(grad.shape[3]).float().contiguous()
                    for place, term in enumerate(identities)}
        if chains:
            factors = norm_factors(weights[:len(chains)], inverse_std[:len(chains)], mean[:len(chains)], total,
                                   projections[:len(chains)], count)
            self._chains(chains, made, grad, factors, identity)
        for source, factor in identity.items():
            if self.needs[source]:
                target, adds = self._target(source)
                weighted_sum(target, [grad], factor[None], torch.zeros_like(factor), adds)

    def _target(self, node: int) -> tuple[Tensor, bool]:
        """The node's gradient, and whether there is something in it."""
        if self.grads[node] is not None:
            return self.grads[node], True
        self.grads[node] = torch.empty_like(self.state.values[node])
        return self.grads[node], False

    def _chains(self, chains: Sequence[Chain], made: Sequence[list[Made]], grad: Tensor, factors: Tensor,
                identity: dict[int, Tensor]) -> None:
        """Second layers, then first layers; takes the identities out of `identity` that stand beside one."""
        at_first = {index: (grad, factors[index]) for index in range(len(chains))}
        deeper = [index for index, layers in enumerate(made)
                  if len(layers) > 1 and (self.learns or self.needs[chains[index].source])]
        if deeper:
            wanted = [Wanted(torch.empty_like(made[index][0].out),
                             sums=torch.empty(2, grad.shape[0], made[index][0].out.shape[3])) for index in deeper]
            self.of_weights |= backward_layers(
                [(want, [(made[index][1], grad, factors[index])]) for want, index in zip(wanted, deeper, strict=True)],
                self.learns)
            total, projection = torch.stack([want.sums for want in wanted]).sum(2, dtype=torch.float64).unbind(1)
            first = [made[index][0] for index in deeper]
            count = grad.shape[0] * grad.shape[1] * grad.shape[2]
            inner = norm_factors(
                torch.ones(len(first), 1, dtype=torch.float64), torch.stack([one.inverse_std for one in first]).double(),
                torch.stack([one.mean for one in first]).double(), total, projection, count)
            for index, want, factor in zip(deeper, wanted, inner, strict=True):
                at_first[index] = want.target, factor
                made[index].pop()
        by_source: dict[int, list[int]] = {}
        for index, chain in enumerate(chains):
            if self.learns or self.needs[chain.source]:
                by_source.setdefault(chain.source, []).append(index)
        groups = []
        for source, indices in by_source.items():
            wanted = Wanted()
            if self.needs[source]:
                wanted.target, wanted.adds = self._target(source)
                wanted.identity = identity.pop(source, None)
                wanted.through = None if wanted.identity is None else grad
            groups.append((wanted, [(made[index][0], *at_first[index]) for index in indices]))
        if groups:
            self.of_weights |= backward_layers(groups, self.learns)

    def _pools_of(self, node: int) -> None:
        for kind in ("max", "avg"):
            uses = self.of_pools.pop((node, kind), None)
            if uses is None:
                continue
            pooled = self.state.pooled[node, kind]
            grads = [grad for grad, _, _, _ in uses]
            weights = torch.stack([weight for _, weight, _, _ in uses])
            channels = pooled.out.shape[3]
            total = sum(weight * total for _, weight, total, _ in uses)
            projection = sum(weight * projection for _, weight, _, projection in uses)
            if pooled.is_normed:
                count = pooled.out.shape[0] * pooled.out.shape[1] * pooled.out.shape[2]
                scale, slope, constant = norm_factors(
                    torch.ones(1, 1, dtype=torch.float64), pooled.inverse_std.double()[None], pooled.mean.double()[None],
                    total[None], projection[None], count)[0]
                factors = torch.cat([weights.float() * scale, slope[None]]).contiguous()
                maps = [*grads, pooled.out]
            else:
                factors, maps, constant = weights.float().expand(-1, channels).contiguous(), grads, torch.zeros(channels)
            through = torch.empty_like(pooled.out)
            weighted_sum(through, maps, factors, constant)
            back = pool_backward(pooled, through)
            if self.grads[node] is None:
                self.grads[node] = back
            else:
                self.grads[node] += back
