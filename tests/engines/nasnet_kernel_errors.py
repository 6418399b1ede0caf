"""A cell by PyTorch's operations, term by term as it is defined, and how far the Triton kernels are from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import exp, log
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdas_lite.engines.cuda.cell_kernels.cell import CellOnGPU
from gdas_lite.engines.cuda.cell_kernels.node_plan import SampledEdge, as_sampled, convs_of, weights_of
from gdas_lite.engines.cuda.selftest import relative
from gdas_lite.engines.graph import Chain, Conv, Graph, Identity, Layer, Pool, Scalar, Term
from tests.engines.stored import stored

KINDS = ("output", "inputs", "mixture", "weights")


def geometric_mean(errors: Iterable[float]) -> float:
    """Of those that are not 0."""
    return exp(fmean(log(error) for error in errors if error))


def plain_graph(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None, index: Tensor | None,
                parameters: dict[Tensor, Tensor], stores: torch.dtype | None = None,
                moments: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
    """As `CellOnGPU`. parameters: what stands for each weight of the graph, of the inputs' type.

    stores: a type to which maps and gradients are rounded where the kernels store them. moments: takes those of all
    chains, one layer after the other.
    """
    moments = [] if moments is None else moments
    values = [stored(x, stores) for x in inputs]
    for terms in graph.sums:
        total: Tensor | float = 0.0
        for drawn in map(as_sampled, terms):
            term = drawn.terms[0 if drawn.edge is None else int(index[drawn.edge])]
            if term is None:
                value = 0.0 * _after(next(drawn.known()), values[drawn.source], parameters, stores, []).detach()
            elif isinstance(term, Scalar):
                value = torch.ones_like(values[0])
            else:
                value = _after(term, values[drawn.source], parameters, stores, moments)
            is_weighed = weights is not None and drawn.weight is not None
            total = total + (weights.reshape(-1)[drawn.weight] * value if is_weighed else value)
        values.append(stored(total, stores))
    return torch.cat([values[node] for node in graph.outputs], 1)


def _after(term: Term, x: Tensor, parameters: dict[Tensor, Tensor], stores: torch.dtype | None,
           moments: list[tuple[Tensor, Tensor]]) -> Tensor:
    if isinstance(term, Chain):
        for depth, layer in enumerate(term.layers):
            x = stored(x, stores if depth else None, value=False)       # between two layers a gradient is stored
            made = torch.cat([_convolved(conv, F.relu(x), parameters, stores) for conv in layer.convs], 1)
            made = stored(made, stores, gradient=False)
            moments.append(torch.var_mean(made.detach(), (0, 2, 3), correction=0)[::-1])
            x = F.batch_norm(made, None, None, training=True)
    if isinstance(term, Pool):
        pool = F.max_pool2d if term.kind == "max" else partial(F.avg_pool2d, count_include_pad=False)
        x = stored(pool(x, 3, term.stride, 1), stores, gradient=False)
        x = x if term.norm is None else F.batch_norm(x, None, None, training=True)
    return x


def _convolved(conv: Conv, x: Tensor, parameters: dict[Tensor, Tensor], stores: torch.dtype | None) -> Tensor:
    if conv.offset:
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, conv.offset:, conv.offset:]
    x = x[:, :, ::conv.every, ::conv.every]
    if conv.depthwise is not None:
        geometry = conv.depthwise.stride, conv.depthwise.padding, conv.depthwise.dilation
        x = F.conv2d(x, parameters[conv.depthwise.weight], None, *geometry, groups=x.shape[1])
    return F.conv2d(stored(x, stores, value=False), parameters[conv.pointwise.weight], padding=int(conv.is_dense))


def errors(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None = None, index: Tensor | None = None
           ) -> dict[str, float]:
    """Of the kernels' result and gradients beside `plain_graph` in float64, the largest of each kind, relative. In
    bfloat16 `plain_graph` rounds where the kernels do, so that what is seen is theirs."""
    leaves = _leaves(graph, inputs, weights)
    stores = None if inputs[0].dtype == torch.float32 else inputs[0].dtype
    wanted = _found(_plain(graph, index, stores), [[x.detach().double() for x in group] for group in leaves])
    return _apart(_found(_ours(graph, index), leaves), wanted)


def beside_autocast(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None = None, index: Tensor | None = None
                    ) -> dict[str, tuple[float, float]]:
    """What bfloat16 costs: relative errors of the kernels, and of PyTorch's operations under autocast, beside float64.

    inputs: bfloat16. Geometric means over the tensors of a kind: a ReLU that rounding switches makes single ones large.
    """
    leaves = _leaves(graph, inputs, weights)
    wanted = _found(_plain(graph, index), [[x.detach().double() for x in group] for group in leaves])
    ours = _found(_ours(graph, index), leaves)
    with torch.autocast(inputs[0].device.type, torch.bfloat16):
        usual = _found(_plain(graph, index), leaves)
    return {name: tuple(geometric_mean(map(relative, found, exact)) for found in sides)
            for name, *sides, exact in zip(KINDS, ours, usual, wanted, strict=True)}


def _leaves(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None) -> list[list[Tensor]]:
    """Given maps, weights of the mixture, weights of the convolutions."""
    return [[x.detach() for x in inputs], [] if weights is None else [weights.detach()], weights_in(graph)]


def weights_in(graph: Graph) -> list[Tensor]:
    return [weight for conv in convs_of(graph) for weight in weights_of(conv) if weight is not None]


def _plain(graph: Graph, index: Tensor | None, stores: torch.dtype | None = None) -> Callable[..., Tensor]:
    return lambda inputs, weights, parameters: plain_graph(
        graph, inputs, weights, index, dict(zip(weights_in(graph), parameters, strict=True)), stores)


def _ours(graph: Graph, index: Tensor | None) -> Callable[..., Tensor]:
    return lambda inputs, weights, parameters: CellOnGPU(graph)(inputs, weights, index)


def _apart(found: Sequence[Sequence[Tensor]], wanted: Sequence[Sequence[Tensor]]) -> dict[str, float]:
    """The largest relative error of each kind."""
    return {name: max(map(relative, ours, exact), default=0.0) for name, ours, exact in
            zip(KINDS, found, wanted, strict=True)}


def _found(function: Callable[..., Tensor], leaves: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Output and gradients of the three groups of leaves, zeros where there is none."""
    inputs, weights, parameters = groups = [[x.requires_grad_() for x in group] for group in leaves]
    out = function(inputs, *weights or [None], parameters)
    slope = torch.randn(out.shape, generator=torch.Generator().manual_seed(7)).to(torch.bfloat16).to(out)
    found = [[out.detach()]]
    grads = iter(torch.autograd.grad(out, [*inputs, *weights, *parameters], slope, allow_unused=True))
    for group in groups:
        found.append([torch.zeros_like(x) if (grad := next(grads)) is None else grad for x in group])
    return found


def conv_of(channels: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> Conv:
    depthwise = None if not kernel else nn.Conv2d(
        channels, channels, kernel, stride, dilation * (kernel // 2), dilation, channels, bias=False)
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
    reduction = Chain(source, (layer_of(Conv(even, every=2), Conv(odd, None, 2, 1, half)),))
    skip = Identity(source) if stride == 1 else reduction
    separable = (Chain(source, (layer_of(conv_of(channels, channels, kernel, stride)),
                                layer_of(conv_of(channels, channels, kernel)))) for kernel in (3, 5))
    dilated = (Chain(source, (layer_of(conv_of(channels, channels, kernel, stride, 2)),)) for kernel in (3, 5))
    return None, pool("max"), pool("avg"), skip, *separable, *dilated


def example(channels: int, stride: int, device: torch.device) -> tuple[Graph, Tensor, Tensor]:
    """A cell whose middle node has eight drawn edges, each of which draws another candidate, and known terms beside
    them that share a pooled map; weights and index of it. From 8 channels."""
    torch.manual_seed(0)
    drawn = tuple(SampledEdge(1, candidates_of(1, channels, stride), edge, edge) for edge in range(8))
    known = (Chain(1, (layer_of(conv_of(channels, channels, 3, stride)),), 8), Pool(1, "max", stride, None, 9))
    last = Pool(2, "avg", 1, None, 10), Pool(1, "max", stride, None, 11), Identity(2)
    graph = Graph(1, ((Chain(0, (layer_of(conv_of(8, channels, 0)),)),), (*drawn, *known), last), (2, 3))
    for conv in convs_of(graph):
        for module in (conv.pointwise, conv.depthwise):
            if module is not None:
                module.to(device)
    return graph, torch.linspace(0.5, 1.5, 12, device=device), torch.tensor([3, 0, 7, 4, 1, 6, 2, 5], device=device)
