"""A NAS-Bench-201 search cell for the compiled kernels: what a mixture makes it run, and that as a `Graph`.

The graph names the cell's own modules, so there is one set of weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ...genotypes.notation import NASBENCH201_OPS
from ...relaxation import Mixture
from ...spaces.nasbench201 import EDGES, INCOMING, NUM_NODES, SearchCell
from ...spaces.operations import AvgPool3x3, ReLUConvBN
from ...spaces.operations import Identity as IdentityModule
from ..graph import LANES, Chain, Conv, Graph, Identity, Layer, Pool, Scalar, Term
from ..layers.cells import useful_nodes


def search_cell(cell: SearchCell, x: Tensor, mixture: Mixture) -> Tensor:
    """Returns the cell's output from x (B, C, H, W), by compiled kernels."""
    from .cell import run_graph  # which needs numba
    graph = graph_of(cell.edges, mixture, _plan(mixture), estimates=cell.keeps_estimates)
    if graph is None:
        return torch.zeros_like(x)
    return run_graph(graph, (x,), mixture.weights if mixture.weighs else None)


def fits(cell: SearchCell) -> bool:
    """Returns whether the kernels can compute this cell: the space's candidates, channels in eights."""
    candidates = [module for edge in cell.edges
                  for module, name in zip(edge, NASBENCH201_OPS, strict=True) if name != "none"]
    return all(type(module) in (AvgPool3x3, IdentityModule, ReLUConvBN) for module in candidates) and all(
        module.norm.num_features % LANES == 0 and not module.norm.affine for module in candidates
        if isinstance(module, ReLUConvBN))


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


_LATEST: list[tuple[Mixture | None, Plan | None]] = [(None, None)]


def _plan(mixture: Mixture) -> Plan:
    """Returns the plan of a mixture, made once for all cells of a pass."""
    latest = _LATEST[0]         # read once: there may be several threads
    if latest[0] is not mixture:
        latest = _LATEST[0] = mixture, Plan(mixture)
    return latest[1]


def graph_of(edges: nn.ModuleList, mixture: Mixture, plan: Plan, estimates: bool = False) -> Graph | None:
    """Returns the graph of a cell with these edges. plan: of the mixture. estimates: batch norm keeps running
    estimates, so every convolution that is drawn runs, also where its input is zeros or its output reaches nothing.
    None where the cell's output is zeros that nobody asks a gradient of."""
    weighs, mixes = mixture.weighs, mixture.weights.requires_grad
    sums: list[tuple[Term, ...]] = []
    for dst in range(1, NUM_NODES):
        runs = _drawn(mixture, dst) if estimates else [run[:2] for run in plan.runs[dst]]
        terms = [_term(edges[row][column], column, EDGES[row][0], _place(mixture, row, column) if weighs else None)
                 for row, column in runs if EDGES[row][0] == 0 or sums[EDGES[row][0] - 1]]          # else zeros
        scalars = [Scalar(_place(mixture, row, column)) for row, column in plan.unsampled[dst]
                   if mixes and (estimates or dst in plan.useful)]
        sums.append((*terms, *scalars) or ((Scalar(None),) if estimates else ()))
    return Graph(1, tuple(sums), (NUM_NODES - 1,)) if sums[-1] else None


def _drawn(mixture: Mixture, dst: int) -> list[tuple[int, int]]:
    """(row, column) of what runs on the edges into `dst`, `none` left out."""
    return [(row, column) for row in INCOMING[dst]
            for column in mixture.active[row] if NASBENCH201_OPS[column] != "none"]


def _place(mixture: Mixture, row: int, column: int) -> int:
    """Returns the index of a weight among the mixture's, read flat."""
    return row * mixture.weights.shape[1] + column


def _term(candidate: nn.Module, column: int, source: int, weight: int | None) -> Term:
    if NASBENCH201_OPS[column] == "skip_connect":
        return Identity(source, weight)
    if NASBENCH201_OPS[column] == "avg_pool_3x3":
        return Pool(source, "avg", 1, None, weight)
    return Chain(source, (Layer((Conv(candidate.conv),), candidate.norm),), weight)
