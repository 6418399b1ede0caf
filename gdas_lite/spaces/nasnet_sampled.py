"""A NASNet search cell under a draw that stays on the device, by the Triton kernels of kernels/gpu_nasnet.

Which launches a cell is does not depend on what was drawn. The plain twin is `SearchCell.forward` with the mixture of that draw.
"""

from __future__ import annotations

from collections.abc import Collection
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..kernels.gpu_nasnet.cell import CellOnGPU
from ..kernels.gpu_nasnet.terms import Drawn
from ..kernels.graph import Conv, Graph
from ..nasnet_primitives import NASNET_CANDIDATES
from ..relaxation import Mixture
from .nasnet_graph import GIVEN, candidate_of, chain_of
from .nasnet_supernet import EDGES, INCOMING, NODES

_PLANNED: WeakKeyDictionary[nn.Module, dict[object, CellOnGPU]] = WeakKeyDictionary()


def sampled_cell(cell: nn.Module, older: Tensor, newer: Tensor, index: Tensor, weights: Tensor | None,
                 learning: Collection[Conv] | None = None) -> Tensor:
    """The cell's output (B, 4C, H, W). index: (edges,) int64, the drawn columns. weights: (edges,), 1 in value; None: just 1.

    learning: convolutions whose weights get gradients. None: all, zeros for those that were not drawn; an optimizer with
    momentum or weight decay moves them then, unless it is told what was drawn.
    Raises ValueError for a cell that keeps running estimates.
    """
    if not cell.exact_zero:
        raise ValueError("the Triton kernels keep no running estimates; build the space with track_running_stats=False")
    planned, weighs = _PLANNED.setdefault(cell, {}), weights is not None
    if ("drawn", weighs) not in planned:
        planned["drawn", weighs] = CellOnGPU(drawn_graph_of(cell, weighs))
    return planned["drawn", weighs]((older, newer), weights, index, learning)


def cell_on_gpu(cell: nn.Module, older: Tensor, newer: Tensor, mixture: Mixture, graph: Graph) -> Tensor:
    """The cell's output with this mixture, of which `graph` is what it computes. Mixtures of one candidate an edge are the same
    launches whichever it is."""
    weights = mixture.weights if mixture.weighs else None
    if all(len(columns) == 1 for columns in mixture.active):
        index = torch.tensor([column for column, in mixture.active], device=older.device)
        drawn = None if weights is None else weights.to(older.device).gather(1, index[:, None])[:, 0]
        return sampled_cell(cell, older, newer, index, drawn, frozenset(graph.convs()))
    planned, key = _PLANNED.setdefault(cell, {}), (mixture.active, weights is None)
    if key not in planned:
        planned[key] = CellOnGPU(graph)
    return planned[key]((older, newer), None if weights is None else weights.to(older.device))


def drawn_graph_of(cell: nn.Module, weighs: bool) -> Graph:
    """The cell with all candidates on every edge, of which `index` will say the drawn one."""
    sums = [(chain_of(cell.inputs.older, 0),), (chain_of(cell.inputs.newer, 1),)]
    for node in NODES:
        sums.append(tuple(Drawn(
            GIVEN + EDGES[row][0], tuple(candidate_of(cell, row, EDGES[row][0], name) for name in NASNET_CANDIDATES),
            row, row if weighs else None) for row in INCOMING[node]))
    return Graph(GIVEN, tuple(sums), tuple(GIVEN + node for node in NODES))
