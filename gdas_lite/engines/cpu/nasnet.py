"""A NASNet search cell for the compiled kernels, as a `Graph` of the cell's own modules: one set of weights."""

from collections.abc import Sequence

from torch import Tensor

from ...relaxation import Mixture
from ...spaces.nasnet_cells import EDGES, NODES, NONE, NUM_INPUTS, SearchCell
from ...spaces.operations import NASNET_CANDIDATES
from ..graph import Graph, Term
from ..parts import made_of_modules
from .terms import all_fit, term_of

# The latest graph of each cell. The outputs of cells k-2 and k-1 are nodes 0 and 1 of it, the cell's own nodes follow.
_GRAPHS = made_of_modules()


def search_cell(cell: SearchCell, older: Tensor, newer: Tensor, mixture: Mixture) -> Tensor | None:
    """Returns the cell's output (B, 4C, H, W), by compiled kernels; None where they cannot compute this mixture."""
    from .cell import handed_on, run_graph  # which needs numba
    graph = None if mixture.adds_unsampled else graph_of(cell, mixture)
    if graph is None:
        return None
    return run_graph(graph, (handed_on(older), newer), mixture.weights if mixture.weighs else None, None, True)


def graph_of(cell: SearchCell, mixture: Mixture) -> Graph | None:
    """Returns the graph of a cell; None for what the kernels cannot compute (a node of zeros to be normalised)."""
    key = mixture.active, mixture.weighs
    found = _GRAPHS.get(cell)       # read once: another thread may run the cell
    if found is None or found[0] != key:
        found = _GRAPHS[cell] = key, _graph_of(cell, *key)
    return found[1]


def _graph_of(cell: SearchCell, active: Sequence[Sequence[int]], weighs: bool) -> Graph | None:
    sums: list[tuple[Term, ...]] = [(term_of(cell.inputs.older, 0),), (term_of(cell.inputs.newer, 1),)]
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
    return None if column == NONE else term_of(cell.candidate(row, column), NUM_INPUTS + EDGES[row][0], weight)


def fits(cell: SearchCell) -> bool:
    """Returns whether the kernels can compute a cell."""
    candidates = [cell.candidate(row, column) for row in range(len(EDGES)) for column in range(len(NASNET_CANDIDATES))
                  if column != NONE]
    return all_fit([*candidates, cell.inputs.older, cell.inputs.newer])
