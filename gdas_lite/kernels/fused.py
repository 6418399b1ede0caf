"""A whole cell as one differentiable function, made of the passes of `passes.py`.

Between a node and the next nothing is stored but the maps in front of batch norms; normalisation, weight and sum over all
candidates of all incoming edges are one pass, and so is their backward pass. The plain twin is the cell's own forward.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .convolving import Made, MadeLayer, Turned, forward_layers, is_half
from .fused_backward import Backward
from .graph import Chain, Graph, Scalar, Term
from .node import moments_of, sources, split, weighted_sum
from .pooling import Pooled, pool_forward


def run_graph(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None) -> Tensor:
    """The graph's result (B, sum of C, H, W) from inputs (B, C, H, W). weights: any shape, read flat, float32.

    The inputs are float32, or bfloat16: then so are all maps that are stored, and gradients of maps; sums and what lies between
    are float32. Raises ValueError for inputs of other types.
    """
    kinds = {x.dtype for x in inputs}
    if len(kinds) > 1 or not kinds <= {torch.float32, torch.bfloat16}:
        raise ValueError(f"the kernels need maps of float32, or all of bfloat16, these are {sorted(map(str, kinds))}")
    return _Fused.apply(graph, weights, *inputs, *graph.parameters())


def dense(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C); no copy of a channels_last map."""
    return x.detach().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)


class _Fused(torch.autograd.Function):

    @staticmethod
    def forward(ctx, graph: Graph, weights: Tensor | None, *tensors: Tensor | None) -> Tensor:
        state = State(graph, weights, [dense(x) for x in tensors[:graph.inputs]])
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
        backward = Backward(state, needs[1], needs[2:2 + graph.inputs], any(needs[2 + graph.inputs:]))
        backward.run(dense(grad))
        inputs = [None if grad is None else grad.permute(0, 3, 1, 2) for grad in backward.grads[:graph.inputs]]
        found = []
        for conv in graph.convs():
            taps, pointwise = backward.of_weights.get(conv, (None, None))
            bias = conv.pointwise.bias
            found += [taps, pointwise, None if bias is None or pointwise is None else torch.zeros_like(bias)]
        return None, backward.of_mixture, *inputs, *found


class State:
    """A forward pass: the nodes' values and everything made on the way."""

    def __init__(self, graph: Graph, weights: Tensor | None, inputs: list[Tensor]) -> None:
        self.graph = graph
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
                part.zero_() if value is None else part.copy_(value)
        return self.result

    def _part(self, place: int, like: Tensor | None = None) -> Tensor:
        """The output of that place in the result, whose maps are all of one size (`like`, where it is not there yet)."""
        if self.result is None:
            like = next(value for value in self.values[self.graph.inputs:] if value is not None) if like is None else like
            self.result = like.new_empty(*like.shape[:3], like.shape[3] * len(self.graph.outputs))
        channels = self.result.shape[3] // len(self.graph.outputs)
        return self.result[..., place * channels:(place + 1) * channels]

    def factors(self, terms: Sequence[Term]) -> np.ndarray:
        """The terms' weights, (terms, 1), float64."""
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
        normed: list[Made] = [layers[-1] for layers in self.made[-1]]
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
        """The node's value; where it is an output, it stands in the result as well, and there alone if no edge leaves it."""
        if node not in self.graph.outputs:
            value = torch.empty_like(maps[0])
            weighted_sum(value, maps, factors)
            return value
        part = self._part(self.graph.outputs.index(node), maps[0])
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
