"""A NASNet search cell under a draw that stays on the device, by the Triton kernels of kernels/gpu_nasnet.

Which launches a cell is does not depend on what was drawn. The plain twin is `SearchCell.forward` with the mixture of that draw.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..kernels.gpu_nasnet.cell import run_graph_on_gpu
from ..kernels.gpu_nasnet.terms import Drawn
from ..kernels.graph import Graph
from ..nasnet_primitives import NASNET_CANDIDATES
from .nasnet_graph import GIVEN, candidate_of, chain_of
from .nasnet_supernet import EDGES, INCOMING, NODES


def sampled_cell(cell: nn.Module, older: Tensor, newer: Tensor, index: Tensor, weights: Tensor | None) -> Tensor:
    """The cell's output (B, 4C, H, W). index: (edges,) int64, the drawn columns. weights: (edges,), 1 in value; None: just 1.

    Candidates that were not drawn get gradients of zeros, not none: an optimizer with momentum or weight decay moves them, unless
    it is told what was drawn. cell: without running estimates. Raises ValueError if it has some.
    """
    if not cell.exact_zero:
        raise ValueError("the Triton kernels keep no running estimates; build the space with track_running_stats=False")
    return run_graph_on_gpu(drawn_graph_of(cell, weights is not None), (older, newer), weights, index)


def drawn_graph_of(cell: nn.Module, weighs: bool) -> Graph:
    """The cell with all candidates on every edge, of which `index` will say the drawn one."""
    sums = [(chain_of(cell.inputs.older, 0),), (chain_of(cell.inputs.newer, 1),)]
    for node in NODES:
        sums.append(tuple(Drawn(
            GIVEN + EDGES[row][0], tuple(candidate_of(cell, row, EDGES[row][0], name) for name in NASNET_CANDIDATES),
            row, row if weighs else None) for row in INCOMING[node]))
    return Graph(GIVEN, tuple(sums), tuple(GIVEN + node for node in NODES))
