"""A NASNet search cell for the compiled kernels, as a `Graph` of the cell's own modules: one set of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ...relaxation import Mixture
from ...spaces.nasnet_cells import EDGES, NODES, NONE, NUM_INPUTS, SearchCell
from ...spaces.operations import (
    NASNET_CANDIDATES,
    DilatedConv,
    FactorisedReduction,
    Pooling,
    ReLUConvBN,
    SeparableConv,
)
from ...spaces.operations import Identity as IdentityModule
from ..graph import LANES, Chain, Conv, Graph, Identity, Layer, Pool, Term

_LAYERS: WeakKeyDictionary[nn.Module, tuple[Layer, ...]] = WeakKeyDictionary()      # with the rows that each one keeps
# The latest graph of each cell. The outputs of cells k-2 and k-1 are nodes 0 and 1 of it, the cell's own nodes follow.
_GRAPHS: WeakKeyDictionary[nn.Module, tuple[object, Graph | None]] = WeakKeyDictionary()


def search_cell(cell: SearchCell, older: Tensor, newer: Tensor, mixture: Mixture) -> Tensor | None:
    """Returns the cell's output (B, 4C, H, W), by compiled kernels; None where they cannot compute this mixture."""
    from .cell import handed_on, run_graph  # which needs numba
    graph = None if mixture.adds_unsampled else graph_of(cell, mixture)
    if graph is None:
        return None
    return run_graph(graph, (handed_on(older), newer), mixture.weights if mixture.weighs else None, None, True)


def chain_of(module: nn.Module, source: int, weight: int | None = None) -> Chain:
    """Returns a candidate, or what brings an input to the cell's channels. Raises TypeError for others."""
    if module not in _LAYERS:
        _LAYERS[module] = layers_of(module)
    return Chain(source, _LAYERS[module], weight)


def layers_of(module: nn.Module, own: Callable[[Any], Any] = lambda layer: layer) -> tuple[Layer, ...]:
    """Returns the layers of a chain. own: from a convolution or a norm (or None) to what stands for it in the graph.
    Raises TypeError for what is no chain."""
    if isinstance(module, SeparableConv):
        return tuple(Layer((Conv(own(half.pointwise), own(half.depthwise)),), own(half.norm))
                     for half in (module.first, module.second))
    if isinstance(module, DilatedConv):
        return (Layer((Conv(own(module.pointwise), own(module.depthwise)),), own(module.norm)),)
    if isinstance(module, FactorisedReduction):
        odd = Conv(module.odd, every=2, offset=1, first_channel=module.even.out_channels)   # side by side: never padded
        return (Layer((Conv(module.even, every=2), odd), own(module.norm)),)
    if isinstance(module, ReLUConvBN) and module.conv.kernel_size == (1, 1):
        return (Layer((Conv(own(module.conv)),), own(module.norm)),)
    raise TypeError(f"{type(module).__name__} is no chain of ReLU, convolutions and batch norm")


def graph_of(cell: SearchCell, mixture: Mixture) -> Graph | None:
    """Returns the graph of a cell; None for what the kernels cannot compute (a node of zeros to be normalised)."""
    key = mixture.active, mixture.weighs
    if _GRAPHS.get(cell, (None, None))[0] != key:
        _GRAPHS[cell] = key, _graph_of(cell, *key)
    return _GRAPHS[cell][1]


def _graph_of(cell: SearchCell, active: Sequence[Sequence[int]], weighs: bool) -> Graph | None:
    sums: list[tuple[Term, ...]] = [(chain_of(cell.inputs.older, 0),), (chain_of(cell.inputs.newer, 1),)]
    for node in NODES:
        sums.append(tuple(
            candidate_of(cell, row, column, row * len(NASNET_CANDIDATES) + column if weighs else None)
            for row, (src, dst) in enumerate(EDGES) if dst == node and sums[src]
            for column in active[row] if column != NONE))
    if not any(sums[NUM_INPUTS:]) or (cell.keeps_estimates and not all(sums)):
        return None
    return Graph(NUM_INPUTS, tuple(sums), tuple(NUM_INPUTS + node for node in NODES))


def candidate_of(cell: SearchCell, row: int, column: int, weight: int | None = None) -> Term | None:
    """Returns a candidate of an edge; None for `none`."""
    if column == NONE:
        return None
    source, module = NUM_INPUTS + EDGES[row][0], cell.candidate(row, column)
    if isinstance(module, Pooling):
        return Pool(source, "max" if isinstance(module.pool, nn.MaxPool2d) else "avg", module.stride, module.norm,
                    weight)
    if isinstance(module, IdentityModule):
        return Identity(source, weight)
    return chain_of(module, source, weight)


def fits(cell: SearchCell) -> bool:
    """Returns whether the kernels can compute a cell: the space's candidates, channels in eights, nothing affine."""
    used = [cell.candidate(row, column) for row in range(len(EDGES)) for column in range(len(NASNET_CANDIDATES))
            if column != NONE] + [cell.inputs.older, cell.inputs.newer]
    if not all(type(module) in KNOWN for module in used):
        return False
    norms = [module for module in cell.modules() if isinstance(module, nn.BatchNorm2d)]
    widths = {norm.num_features for norm in norms}
    for module in used:
        if isinstance(module, FactorisedReduction):
            widths |= {module.even.out_channels, module.odd.out_channels, module.even.in_channels}
        elif isinstance(module, ReLUConvBN):
            widths.add(module.conv.in_channels)
    return not any(norm.affine for norm in norms) and all(width % LANES == 0 for width in widths)


KNOWN = (DilatedConv, FactorisedReduction, IdentityModule, Pooling, ReLUConvBN, SeparableConv)
