"""A NAS-Bench-201 search cell for the compiled kernels: what a mixture makes it run, and that as a `Graph`.

The graph names the cell's own modules, so there is one set of weights.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...genotypes.notation import NASBENCH201_OPS
from ...relaxation import Mixture
from ...spaces.nasbench201 import EDGES, INCOMING, NONE, NUM_NODES, SearchCell
from ..graph import Graph, Scalar, Term
from ..layers.cells import useful_nodes
from .terms import all_fit, term_of


def search_cell(cell: SearchCell, x: Tensor, mixture: Mixture) -> Tensor:
    """Returns the cell's output from x (B, C, H, W), by compiled kernels."""
    from .cell import run_graph  # which needs numba
    graph = graph_of(cell, mixture)
    if graph is None:
        return torch.zeros_like(x)
    return run_graph(graph, (x,), mixture.weights if mixture.weighs else None)


def fits(cell: SearchCell) -> bool:
    """Returns whether the kernels can compute this cell."""
    return all_fit(module for edge in cell.edges for column, module in enumerate(edge) if column != NONE)


class Run(NamedTuple):
    """A candidate that runs: its edge and column, and the number that its output is multiplied with."""

    row: int
    column: int
    weight: np.float32


class Plan:
    """What a mixture runs in every cell.

    useful: nodes from which the output is reached. runs: by node, only into useful ones, no convolution of zeros;
    everything where batch norm keeps running estimates (`estimates`), which see all that is drawn. unsampled: by node,
    (row, column) whose scalar of value 0 is added (variant N).
    """

    def __init__(self, mixture: Mixture, estimates: bool = False) -> None:
        weights = mixture.weights.detach().cpu().numpy()
        self.useful = useful_nodes(mixture.active)
        self.runs: list[list[Run]] = [[] for _ in range(NUM_NODES)]
        is_zero = [False] * NUM_NODES
        for dst in range(1, NUM_NODES):
            running = [Run(row, column, weights[row, column]) for row in INCOMING[dst] for column in mixture.active[row]
                       if NASBENCH201_OPS[column] != "none"]
            is_zero[dst] = all(is_zero[EDGES[run.row][0]] for run in running)
            if estimates:
                self.runs[dst] = running
            elif dst in self.useful:
                self.runs[dst] = [run for run in running
                                  if not (is_zero[EDGES[run.row][0]]
                                          and NASBENCH201_OPS[run.column].startswith("nor_conv"))]
        self.unsampled = [[(row, column) for row in INCOMING[dst] for column in range(len(NASBENCH201_OPS))
                           if mixture.adds_unsampled and column not in mixture.active[row]] for dst in range(NUM_NODES)]

    @property
    def reaches_input(self) -> bool:
        """Whether anything leads from a cell's input to its output."""
        return 0 in self.useful


_LATEST: list[tuple[tuple[Mixture, bool] | None, Plan | None]] = [(None, None)]


def _plan(mixture: Mixture, estimates: bool) -> Plan:
    """Returns the plan of a mixture, made once for all cells of a pass."""
    key, plan = _LATEST[0]      # read once: there may be several threads
    if key is None or key[0] is not mixture or key[1] != estimates:
        plan = Plan(mixture, estimates)
        _LATEST[0] = (mixture, estimates), plan
    return plan


def _place(mixture: Mixture, row: int, column: int) -> int:
    """Returns the index of a weight among the mixture's, read flat."""
    return row * mixture.weights.shape[1] + column


def graph_of(cell: SearchCell, mixture: Mixture) -> Graph | None:
    """Returns what a cell computes; None where that is zeros that nobody asks a gradient of. With running estimates
    every convolution that is drawn runs, also where its input is zeros or its output reaches nothing."""
    estimates, weighs = cell.keeps_estimates, mixture.weighs
    plan = _plan(mixture, estimates)
    sums: list[tuple[Term, ...]] = []
    for dst in range(1, NUM_NODES):
        terms = [term_of(cell.edges[row][column], EDGES[row][0], _place(mixture, row, column) if weighs else None)
                 for row, column, _ in plan.runs[dst] if EDGES[row][0] == 0 or sums[EDGES[row][0] - 1]]     # else zeros
        scalars = [Scalar(_place(mixture, row, column)) for row, column in plan.unsampled[dst]
                   if mixture.weights.requires_grad and (estimates or dst in plan.useful)]
        sums.append((*terms, *scalars) or ((Scalar(None),) if estimates else ()))
    return Graph(1, tuple(sums), (NUM_NODES - 1,)) if sums[-1] else None
