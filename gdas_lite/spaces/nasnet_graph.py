"""A search cell's forward pass as a `kernels.graph.Graph`, for the fused engine. Names the cell's own modules."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from torch import nn

from ..kernels.graph import LANES, Chain, Conv, Graph, Identity, Layer, Pool, Term
from ..nasnet_primitives import (
    NASNET_CANDIDATES,
    POOLING,
    DilatedConv,
    FactorisedReduction,
    Pooling,
    SeparableConv,
)
from ..primitives import Identity as IdentityModule
from ..primitives import ReLUConvBN
from ..relaxation import Mixture

_LAYERS: WeakKeyDictionary[nn.Module, tuple[Layer, ...]] = WeakKeyDictionary()      # with the rows that each one keeps
_GRAPHS: WeakKeyDictionary[nn.Module, tuple[object, Graph | None]] = WeakKeyDictionary()     # the latest of each cell
GIVEN = 2       # the outputs of cells k-2 and k-1 are nodes 0 and 1 of the graph, the cell's own nodes follow


def chain_of(module: nn.Module, source: int, weight: int | None = None) -> Chain:
    """A candidate, or what brings an input to the cell's channels. Raises TypeError for a module that is no such chain."""
    if module not in _LAYERS:
        _LAYERS[module] = _layers_of(module)
    return Chain(source, _LAYERS[module], weight)


def _layers_of(module: nn.Module) -> tuple[Layer, ...]:
    if isinstance(module, SeparableConv):
        return tuple(Layer((Conv(half.pointwise, half.depthwise),), half.norm) for half in (module.first, module.second))
    if isinstance(module, DilatedConv):
        return (Layer((Conv(module.pointwise, module.depthwise),), module.norm),)
    if isinstance(module, FactorisedReduction):
        even, odd = Conv(module.even, every=2), Conv(module.odd, every=2, offset=1, first_channel=module.even.out_channels)
        return (Layer((even, odd), module.norm),)
    if isinstance(module, ReLUConvBN) and module.conv.kernel_size == (1, 1):
        return (Layer((Conv(module.conv),), module.norm),)
    raise TypeError(f"{type(module).__name__} is no chain of ReLU, convolutions and batch norm")


def graph_of(cell: nn.Module, mixture: Mixture, edges: Sequence[tuple[int, int]], candidates: Sequence[str]) -> Graph | None:
    """The cell with this mixture; None where the fused engine cannot compute it (a node of zeros that must be normalised)."""
    key = mixture.active, mixture.weighs
    if _GRAPHS.get(cell, (None, None))[0] != key:
        _GRAPHS[cell] = key, _graph_of(cell, *key, edges, candidates)
    return _GRAPHS[cell][1]


def _graph_of(cell: nn.Module, active: Sequence[Sequence[int]], weighs: bool, edges: Sequence[tuple[int, int]],
              candidates: Sequence[str]) -> Graph | None:
    sums: list[tuple[Term, ...]] = [(chain_of(cell.inputs.older, 0),), (chain_of(cell.inputs.newer, 1),)]
    nodes = range(2, 2 + len({dst for _, dst in edges}))
    for node in nodes:
        terms: list[Term] = []
        for row, (src, dst) in enumerate(edges):
            if dst != node or not sums[src]:
                continue
            for column in active[row]:
                weight = row * len(candidates) + column if weighs else None
                if (term := candidate_of(cell, row, src, candidates[column], weight)) is not None:
                    terms.append(term)
        sums.append(tuple(terms))
    if not any(sums[2:]) or not (cell.exact_zero or all(sums)):
        return None
    return Graph(GIVEN, tuple(sums), tuple(GIVEN + node for node in nodes))


def candidate_of(cell: nn.Module, row: int, src: int, name: str, weight: int | None = None) -> Term | None:
    """A candidate of an edge from node src; None for `none`."""
    if name == "none":
        return None
    if name in POOLING:
        module: Pooling = cell.pooling[src][name]
        return Pool(GIVEN + src, "max" if name.startswith("max") else "avg", module.stride, module.norm, weight)
    module = cell.edges[row][NASNET_CANDIDATES.index(name)]
    if isinstance(module, IdentityModule):
        return Identity(GIVEN + src, weight)
    return chain_of(module, GIVEN + src, weight)


def fits(cell: nn.Module) -> bool:
    """Whether the kernels can compute this cell: channels in eights, no affine parameters. Costs a walk through it."""
    norms = [module for module in cell.modules() if isinstance(module, nn.BatchNorm2d)]
    widths = {norm.num_features for norm in norms}
    for module in cell.modules():
        if isinstance(module, FactorisedReduction):
            widths |= {module.even.out_channels, module.odd.out_channels, module.even.in_channels}
        elif isinstance(module, ReLUConvBN):
            widths.add(module.conv.in_channels)
    return not any(norm.affine for norm in norms) and all(width % LANES == 0 for width in widths)
