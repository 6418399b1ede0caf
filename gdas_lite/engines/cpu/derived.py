"""The cells of derived networks for the compiled kernels, as a `Graph` each, made once.

They differ from search cells in affine batch norms, drop path, and widths that fill no whole vectors (padding.py).
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...spaces import nasbench201, nasnet_cells
from ...spaces.nasbench201 import Cell as NASBench201Cell
from ...spaces.nasnet_cells import Cell as NASNetCell
from ...spaces.operations import FactorisedReduction
from ...spaces.operations import Identity as IdentityModule
from .. import layers
from ..graph import LANES, Graph, Scalar, Term, trained
from ..parts import made_of_modules
from .padding import PaddedConv, PaddedNorm, padded, padded_map, padded_width
from .terms import Unknown, term_of

Cell = NASBench201Cell | NASNetCell


@dataclass
class Plan:
    """A cell's graph. copies: padded layers, whose weights are to be taken before a pass. reduces: whether the older
    input is brought to the cell's channels by the functions of `engines.layers`."""

    graph: Graph | None = None
    reduces: bool = False
    copies: list[PaddedConv | PaddedNorm] = field(default_factory=list)

    def own(self, module: nn.Module | None) -> Any:
        """Returns the layer, or a padded copy of it. Raises Unknown for a norm over processes, and for a bias, which a
        copy has not."""
        if module is None:
            return None
        if not isinstance(module, nn.Conv2d) and type(module) is not nn.BatchNorm2d:
            raise Unknown
        found = padded(module)
        if found is not module:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                raise Unknown
            self.copies.append(found)
        return found

    def term(self, module: nn.Module, source: int, mask: int | None = None) -> Term:
        """Returns what an operation does to a node. Raises Unknown for one that the kernels do not know."""
        if type(module) is FactorisedReduction and not fits_in_halves(module):
            raise Unknown
        return term_of(module, source, None, mask, self.own)


def fits_in_halves(module: FactorisedReduction) -> bool:
    """Returns whether both convolutions write whole vectors, and nothing must be padded."""
    widths = module.even.in_channels, module.norm.num_features
    return module.even.out_channels % LANES == 0 and all(width == padded_width(width) for width in widths)


def _nasbench201(cell: NASBench201Cell) -> Plan:
    plan, sums = Plan(), []
    for dst in range(1, nasbench201.NUM_NODES):
        terms = [plan.term(cell.edges[str(row)], nasbench201.EDGES[row][0])
                 for row in nasbench201.INCOMING[dst] if str(row) in cell.edges]
        sums.append(tuple(terms) or (Scalar(None),))
    plan.graph = Graph(1, tuple(sums), (nasbench201.NUM_NODES - 1,))
    return plan


def _nasnet(cell: NASNetCell) -> Plan:
    plan, sums, masks = Plan(), [], iter(range(cell.num_masks))
    older, newer = cell.inputs.older, cell.inputs.newer
    plan.reduces = type(older) is FactorisedReduction and not fits_in_halves(older)
    nodes = [0] if plan.reduces else [2]        # of the cell's node its number in the graph, whose sums begin at 2
    if not plan.reduces:
        sums.append((plan.term(older, 0),))
    nodes.append(2 + len(sums))
    sums.append((plan.term(newer, 1),))
    for pair in cell.operands:
        terms = []
        for name, source in pair:
            module = cell.operations[name]
            mask = None if isinstance(module, IdentityModule) else next(masks)
            terms.append(plan.term(module, nodes[source], mask))
        nodes.append(2 + len(sums))
        sums.append(tuple(terms))
    plan.graph = Graph(2, tuple(sums), tuple(nodes[node] for node in cell.concat), newer.norm.num_features)
    return plan


_PLANS = made_of_modules()
MAKERS = {NASBench201Cell: _nasbench201, NASNetCell: _nasnet}


def plan_of(cell: Cell) -> Plan | None:
    """Returns the plan of a derived cell, made once; None where the kernels cannot compute it."""
    if cell not in _PLANS:
        try:
            _PLANS[cell] = MAKERS[type(cell)](cell)
        except Unknown:
            _PLANS[cell] = None
    return _PLANS[cell]


def fits(cell: Cell) -> bool:
    """Returns whether the kernels can compute this cell."""
    return plan_of(cell) is not None


def nasbench201_cell(cell: NASBench201Cell, x: Tensor) -> Tensor:
    """Returns the cell's output, of the size of x (B, C, H, W), by compiled kernels."""
    return _run(plan_of(cell), (x,))[:, :x.shape[1]]


def nasnet_cell(cell: NASNetCell, older: Tensor, newer: Tensor, drop: nasnet_cells.Drop | None = None) -> Tensor:
    """Returns the cell's output (B, concatenated nodes * C, H, W), by compiled kernels."""
    from .cell import handed_on  # which needs numba
    plan, older = plan_of(cell), handed_on(older)
    if plan.reduces:
        older = layers.cells.Node(older).through(cell.inputs.older)
    masks = None
    if drop is not None and cell.num_masks:
        one = torch.ones(len(newer), 1, 1, 1, device="cpu")
        masks = torch.stack([drop(one).reshape(len(newer)) for _ in range(cell.num_masks)]).float().numpy()
    return _run(plan, (older, newer), masks)


def _run(plan: Plan, inputs: tuple[Tensor, ...], masks: Any = None) -> Tensor:
    from .cell import run_graph  # which needs numba
    from .layers import check_widths
    for node, x in enumerate(inputs):       # before padding hides it
        for *_, chain in plan.graph.chains_from.get(node, ()):
            check_widths(trained(chain.layers[0].convs[0].pointwise).in_channels, x.shape[1])
    for copy in plan.copies:
        copy.refresh()
    given = [padded_map(x) for x in inputs]
    return run_graph(plan.graph, given, None, masks, len(given) > 1)
