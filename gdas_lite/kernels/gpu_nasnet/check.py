"""A cell by PyTorch's operations, term by term as it is defined, and how far the kernels are from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Chain, Conv, Graph, Identity, Layer, Pool, Term
from .cell import run_graph_on_gpu
from .terms import Drawn, as_drawn, convs_of, weights_of


def plain_graph(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None, index: Tensor | None,
                parameters: dict[Tensor, Tensor], stores: Callable | None = None) -> Tensor:
    """As `run_graph_on_gpu`. parameters: what stands for each weight of the graph, of the inputs' type.

    stores: rounds a map as the kernels do when they store it, which decides on which side of a ReLU its numbers fall.
    """
    values: list[Tensor] = list(inputs)
    for terms in graph.sums:
        total: Tensor | float = 0.0
        for drawn in map(as_drawn, terms):
            term = drawn.terms[0 if drawn.edge is None else int(index[drawn.edge])]
            if term is None:
                value = 0.0 * _after(next(drawn.known()), values[drawn.source], parameters, stores).detach()
            else:
                value = _after(term, values[drawn.source], parameters, stores)
            total = total + (value if weights is None or drawn.weight is None else weights.reshape(-1)[drawn.weight] * value)
        values.append(_stored(total, stores))
    return torch.cat([values[node] for node in graph.outputs], 1)


def _after(term: Term, x: Tensor, parameters: dict[Tensor, Tensor], stores: Callable | None) -> Tensor:
    if isinstance(term, Chain):
        for layer in term.layers:
            made = torch.cat([_convolved(conv, F.relu(x), parameters) for conv in layer.convs], 1)
            x = F.batch_norm(_stored(made, stores), None, None, training=True)
    if isinstance(term, Pool):
        pool = F.max_pool2d if term.kind == "max" else partial(F.avg_pool2d, count_include_pad=False)
        x = _stored(pool(x, 3, term.stride, 1), stores)
        x = x if term.norm is None else F.batch_norm(x, None, None, training=True)
    return x


def _stored(x: Tensor, stores: Callable | None) -> Tensor:
    """The gradient passes as it is."""
    return x if stores is None else x + (stores(x) - x).detach()


def _convolved(conv: Conv, x: Tensor, parameters: dict[Tensor, Tensor]) -> Tensor:
    if conv.offset:
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, conv.offset:, conv.offset:]
    x = x[:, :, ::conv.every, ::conv.every]
    if conv.depthwise is not None:
        geometry = conv.depthwise.stride, conv.depthwise.padding, conv.depthwise.dilation
        x = F.conv2d(x, parameters[conv.depthwise.weight], None, *geometry, groups=x.shape[1])
    return F.conv2d(x, parameters[conv.pointwise.weight])


def errors(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None = None, index: Tensor | None = None,
           stores: Callable | None = None) -> dict[str, float]:
    """Of the kernels' result and gradients beside `plain_graph` in float64, the largest of each kind: length of the
    difference over length. stores: see `plain_graph`."""
    names = [weight for conv in convs_of(graph) for weight in weights_of(conv) if weight is not None]

    def plain(inputs: Sequence[Tensor], weights: Tensor | None, parameters: Sequence[Tensor]) -> Tensor:
        return plain_graph(graph, inputs, weights, index, dict(zip(names, parameters, strict=True)), stores)

    def ours(inputs: Sequence[Tensor], weights: Tensor | None, parameters: Sequence[Tensor]) -> Tensor:
        return run_graph_on_gpu(graph, inputs, weights, index)

    exact = [[x.detach().double() for x in group] for group in (inputs, [weights] if weights is not None else [], names)]
    here = [[x.detach() for x in inputs], [weights.detach()] if weights is not None else [], names]
    pairs = zip(_found(ours, *here), _found(plain, *exact), strict=True)
    return {name: max(map(relative, one, other), default=0.0) for name, (one, other) in
            zip(("output", "inputs", "mixture", "weights"), pairs, strict=True)}


def _found(function: Callable, inputs: Sequence[Tensor], weights: Sequence[Tensor], parameters: Sequence[Tensor]
           ) -> list[list[Tensor]]:
    """Output and gradients of three groups of leaves, zeros where there is none."""
    groups = [[x.requires_grad_() for x in group] for group in (inputs, weights, parameters)]
    out = function(groups[0], *groups[1] or [None], groups[2])
    slope = torch.randn(out.shape, generator=torch.Generator().manual_seed(7)).to(torch.bfloat16).to(out)
    found = [[out.detach()]]
    grads = iter(torch.autograd.grad(out, [*inputs, *weights, *parameters], slope, allow_unused=True))
    for group in groups:
        found.append([torch.zeros_like(x) if (grad := next(grads)) is None else grad for x in group])
    return found


def relative(found: Tensor, wanted: Tensor) -> float:
    wanted = wanted.double()
    return ((found.double() - wanted).norm() / wanted.norm().clamp_min(1e-6)).item()


def conv_of(channels: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> Conv:
    depthwise = nn.Conv2d(channels, channels, kernel, stride, dilation * (kernel // 2), dilation, channels, bias=False) \
        if kernel else None
    return Conv(nn.Conv2d(channels, out, 1, bias=False), depthwise)


def layer_of(*convs: Conv) -> Layer:
    out = sum(conv.pointwise.out_channels for conv in convs)
    return Layer(convs, nn.BatchNorm2d(out, affine=False, track_running_stats=False))


def candidates_of(source: int, channels: int, stride: int) -> tuple[Term | None, ...]:
    """The space's eight, in its order."""
    def pool(kind: str) -> Pool:
        return Pool(source, kind, stride, nn.BatchNorm2d(channels, affine=False, track_running_stats=False))

    half = channels // 2
    even, odd = (nn.Conv2d(channels, half, 1, bias=False) for _ in range(2))
    skip = Identity(source) if stride == 1 else Chain(source, (layer_of(Conv(even, every=2), Conv(odd, None, 2, 1, half)),))
    separable = (Chain(source, (layer_of(conv_of(channels, channels, kernel, stride)),
                                layer_of(conv_of(channels, channels, kernel)))) for kernel in (3, 5))
    dilated = (Chain(source, (layer_of(conv_of(channels, channels, kernel, stride, 2)),)) for kernel in (3, 5))
    return None, pool("max"), pool("avg"), skip, *separable, *dilated


def example(channels: int, stride: int, device: torch.device) -> tuple[Graph, Tensor, Tensor]:
    """A cell whose middle node has eight drawn edges, each of which draws another candidate, and known terms beside them that
    share a pooled map; weights and index of it. From 8 channels."""
    torch.manual_seed(0)
    drawn = tuple(Drawn(1, candidates_of(1, channels, stride), edge, edge) for edge in range(8))
    known = (Chain(1, (layer_of(conv_of(channels, channels, 3, stride)),), 8), Pool(1, "max", stride, None, 9))
    last = Pool(2, "avg", 1, None, 10), Pool(1, "max", stride, None, 11), Identity(2)
    graph = Graph(1, ((Chain(0, (layer_of(conv_of(8, channels, 0)),)),), (*drawn, *known), last), (2, 3))
    for conv in convs_of(graph):
        for module in (conv.pointwise, conv.depthwise):
            if module is not None:
                module.to(device)
    return graph, torch.linspace(0.5, 1.5, 12, device=device), torch.tensor([3, 0, 7, 4, 1, 6, 2, 5], device=device)


def largest_error(device: torch.device) -> float:
    """Of small cells with every candidate, in float32."""
    with torch.random.fork_rng(devices=[]):
        found = []
        for stride in (1, 2):
            graph, weights, index = example(16, stride, device)
            x = torch.randn(3, 8, 9, 7, generator=torch.Generator().manual_seed(0)).to(device)
            found.append(max(errors(graph, [x], weights, index).values()))
    return max(found)
