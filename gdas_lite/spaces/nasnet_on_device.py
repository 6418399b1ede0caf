"""A NASNet search cell under a mixture that stays on the device: by Triton kernels where they run, else by PyTorch's operations.

The plain twin of both is `SearchCell.forward`. PyTorch's operations do what the kernels do, for tests: of an edge every candidate
is computed, and which one was drawn is data.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..dense import concatenate
from ..kernels.gpu import runs_on
from ..nasnet_primitives import NASNET_CANDIDATES, POOLING
from ..relaxation import DeviceMixture, Mixture
from .nasnet_graph import graph_of
from .nasnet_supernet import EDGES, INCOMING, NODES, NUM_INPUTS, SearchCell
from .source import Source


def cell_on_device(cell: SearchCell, older: Tensor, newer: Tensor, mixture: DeviceMixture) -> Tensor:
    """The cell's output (B, 4C, H, W). What was not drawn gets gradients of zeros.

    older, newer: outputs of cells k-2 and k-1. Raises ValueError for a cell that keeps running estimates, and for a mixture that
    adds the scalars of what was not drawn (variant N of GDAS).
    """
    if not cell.exact_zero:
        raise ValueError("a NASNet cell with running estimates takes no draw on the device; build the space with "
                         "track_running_stats=False")
    if mixture.adds_undrawn:
        raise ValueError("a NASNet cell takes no draw of GDAS' variant N on the device; use variant 'P'")
    on_kernels = runs_on(older.device)
    if on_kernels:
        from .nasnet_sampled import cell_on_gpu, sampled_cell  # Triton is there where it runs
    if mixture.index is None:
        edges, candidates = mixture.weights.shape
        every = Mixture(mixture.weights, (tuple(range(candidates)),) * edges)
        if on_kernels:
            return cell_on_gpu(cell, older, newer, every, graph_of(cell, every, EDGES, NASNET_CANDIDATES))
        return cell(Source(older), Source(newer), every)
    weights = mixture.weights.gather(1, mixture.index[:, None])[:, 0] if mixture.weights.requires_grad else None
    return (sampled_cell if on_kernels else drawn_cell)(cell, older, newer, mixture.index, weights)


def drawn_cell(cell: SearchCell, older: Tensor, newer: Tensor, index: Tensor, weights: Tensor | None) -> Tensor:
    """As nasnet_sampled.sampled_cell, by PyTorch's operations."""
    nodes = list(cell.inputs(Source(older), Source(newer)))
    for dst in NODES:
        total: Tensor | float = 0.0
        for row in INCOMING[dst]:
            drawn = torch.stack(_candidates(cell, row, nodes[EDGES[row][0]])).index_select(0, index[row:row + 1])[0]
            total = total + (drawn if weights is None else weights[row] * drawn)
        nodes.append(Source(total))
    return concatenate([node.value for node in nodes[NUM_INPUTS:]])


def _candidates(cell: SearchCell, row: int, source: Source) -> list[Tensor]:
    """What each candidate of an edge makes of its source, in the order of alpha's columns."""
    made = [source.shared(cell.pooling[EDGES[row][0]][name]) if name in POOLING else source.through(cell.edges[row][column])
            for column, name in enumerate(NASNET_CANDIDATES) if name != "none"]
    return [torch.zeros_like(made[0]), *made]           # the first is `none`
