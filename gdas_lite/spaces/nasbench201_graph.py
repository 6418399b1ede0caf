"""A NAS-Bench-201 search cell's forward pass as a `kernels.graph.Graph`, for the fused engine. Names the cell's own modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..kernels.graph import Chain, Conv, Graph, Identity, Layer, Pool, Scalar, Term
from ..relaxation import Mixture
from ..wellformed import NASBENCH201_OPS
from .nasbench201 import EDGES, INCOMING, NUM_NODES, OUTPUT_NODE, SearchCell
from .nasbench201_plan import Plan


def graph_of(edges: nn.ModuleList, mixture: Mixture, plan: Plan, estimates: bool = False) -> Graph | None:
    """edges: of a `SearchCell`. plan: of the mixture. estimates: batch norm keeps running estimates, so every convolution that
    is drawn runs, also where its input is zeros or its output reaches nothing. None where the cell's output is zeros that nobody
    asks a gradient of."""
    weighs, mixes = mixture.weighs, mixture.weights.requires_grad
    sums: list[tuple[Term, ...]] = []
    for dst in range(1, NUM_NODES):
        runs = _drawn(mixture, dst) if estimates else [run[:2] for run in plan.runs[dst]]
        terms = [_term(edges[row][column], column, EDGES[row][0], _place(mixture, row, column) if weighs else None)
                 for row, column in runs if EDGES[row][0] == 0 or sums[EDGES[row][0] - 1]]          # else zeros
        scalars = [Scalar(_place(mixture, row, column)) for row, column in plan.undrawn[dst]
                   if mixes and (estimates or dst in plan.useful)]
        sums.append((*terms, *scalars) or ((Scalar(None),) if estimates else ()))
    return Graph(1, tuple(sums), (OUTPUT_NODE,)) if sums[-1] else None


def fused_cell(cell: SearchCell, x: Tensor, mixture: Mixture, plan: Plan) -> Tensor:
    """The cell's output from x (B, C, H, W), by compiled kernels; its plain twin is `SearchCell.forward`."""
    graph = graph_of(cell.edges, mixture, plan, estimates=not cell.exact_zero)
    if graph is None:
        return torch.zeros_like(x)
    from ..kernels.fused import run_graph
    return run_graph(graph, (x,), mixture.weights if mixture.weighs else None)


def _drawn(mixture: Mixture, dst: int) -> list[tuple[int, int]]:
    """(row, column) of what runs on the edges into `dst`, `none` left out."""
    return [(row, column) for row in INCOMING[dst] for column in mixture.active[row] if NASBENCH201_OPS[column] != "none"]


def _place(mixture: Mixture, row: int, column: int) -> int:
    """Of a weight among the mixture's, read flat."""
    return row * mixture.weights.shape[1] + column


def _term(candidate: nn.Module, column: int, source: int, weight: int | None) -> Term:
    if NASBENCH201_OPS[column] == "skip_connect":
        return Identity(source, weight)
    if NASBENCH201_OPS[column] == "avg_pool_3x3":
        return Pool(source, "avg", 1, None, weight)
    return Chain(source, (Layer((Conv(candidate.conv),), candidate.norm),), weight)
