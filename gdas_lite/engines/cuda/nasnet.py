"""NASNet under mixtures that stay on the device: a search cell, and which weights of a supernet learn by a draw.

Which launches of Triton kernels a cell is does not depend on what was drawn. Without a GPU PyTorch's operations do the
same, for tests: of an edge every candidate is computed, and which one was drawn is data.

A convolution learns if its candidate was drawn, its edge leaves a node that something reaches, and the loss is reached
from its cell: every node of a cell is put out, but a cell whose edges from a given node all drew `none` passes nothing
on to it. Weights that learn together form a group.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from ...relaxation import Mixture
from ...spaces.nasnet_cells import EDGES, INCOMING, NODES, NONE, NUM_INPUTS, SearchCell
from ...spaces.nasnet_networks import Supernet
from ...spaces.operations import NASNET_CANDIDATES, POOLING
from .. import layers
from ..cpu.nasnet import candidate_of, graph_of
from ..cpu.terms import term_of
from ..graph import Conv, Graph
from ..layers.cells import Node, inputs_of
from ..layers.maps import concatenate
from .cell_kernels.cell import planned, runs_on
from .cell_kernels.node_plan import SampledEdge
from .draws import DeviceMixture

PARAMETRIC = tuple(column for column, name in enumerate(NASNET_CANDIDATES) if name != "none" and name not in POOLING)
CELL_INPUTS = ("older", "newer")
ALWAYS = 0              # a part that learns whatever was drawn, if what it belongs to is reached


class GradientMask:
    """Of a supernet. groups: of each parameter, in order, the number of its group. params_in_use: see nasbench201.py.

    A group is something that is reached by the loss, or not (the head: always; the stem, cell k), and a part of it that
    runs, or not: of a cell a candidate on an edge, or what brings a given map to its channels, together for a kind.
    """

    def __init__(self, supernet: Supernet) -> None:
        self.kinds = tuple(dict.fromkeys(cell.kind for cell in supernet.cells if isinstance(cell, SearchCell)))
        self.params_in_use: list[nn.Parameter] = list(supernet.parameters())
        places = [self._place(name, supernet) for name, _ in supernet.named_parameters()]
        found = {place: number for number, place in enumerate(dict.fromkeys(places))}
        self.groups = [found[place] for place in places]
        device = self.params_in_use[0].device
        self._whole, self._part = torch.tensor(list(found)).to(device).unbind(1)
        self._edges, self._reached = _edges_that_run().to(device), _reached(supernet, self.kinds).to(device)
        self._columns = torch.tensor(PARAMETRIC).to(device)
        self._places = (2 ** torch.arange(len(EDGES))).to(device)
        self._used_places = (2 ** torch.arange(len(self.kinds) * len(CELL_INPUTS))).to(device)
        self._always = torch.ones(1, dtype=torch.bool, device=device)

    def of(self, mixtures: Mapping[str, DeviceMixture]) -> Tensor | None:
        """Returns whether each group learns, (groups,) bool; None: all do, since all candidates run."""
        if mixtures[self.kinds[0]].index is None:
            return None
        index = torch.stack([mixtures[kind].index for kind in self.kinds])                          # (kinds, edges)
        found = self._edges.index_select(0, ((index != NONE) * self._places).sum(1))
        runs, used = found[:, :len(EDGES)], found[:, len(EDGES):].flatten()
        # (kinds, edges, PARAMETRIC)
        drawn = (index[:, :, None] == self._columns) & runs[:, :, None]
        parts = torch.cat([self._always, used, drawn.flatten()])
        reached = self._reached.index_select(0, (used * self._used_places).sum().reshape(1))[0]
        return reached.index_select(0, self._whole) & parts.index_select(0, self._part)

    def _place(self, name: str, supernet: Supernet) -> tuple[int, int]:
        """Returns for a parameter by its name the column of `_reached`, and place among the parts."""
        words = name.split(".")
        if words[0] != "cells":
            return int(words[0] == "stem"), ALWAYS
        whole, cell = 2 + int(words[1]), supernet.cells[int(words[1])]
        if not isinstance(cell, SearchCell):
            return whole, ALWAYS
        kind, used = self.kinds.index(cell.kind), 1 + len(self.kinds) * len(CELL_INPUTS)
        if words[2] == "inputs":        # cells.CELL.inputs.older.conv.weight
            return whole, 1 + kind * len(CELL_INPUTS) + CELL_INPUTS.index(words[3])
        # cells.CELL.edges.ROW.COLUMN.depthwise.weight
        row, column = int(words[3]), PARAMETRIC.index(int(words[4]))
        return whole, used + (kind * len(EDGES) + row) * len(PARAMETRIC) + column


@lru_cache(maxsize=1)
def _edges_that_run() -> Tensor:
    """Where edge e drew something other than `none` if bit e of the row's number is set, (2 ** edges, edges + 2) bool:
    whether what was drawn is given something, and whether the given maps are used."""
    drawn = (torch.arange(2 ** len(EDGES))[:, None] >> torch.arange(len(EDGES)) & 1).bool()
    runs, exists = torch.zeros_like(drawn), [torch.ones(len(drawn), dtype=torch.bool)] * NUM_INPUTS
    for dst in NODES:
        for row in INCOMING[dst]:
            runs[:, row] = drawn[:, row] & exists[EDGES[row][0]]
        exists.append(runs[:, list(INCOMING[dst])].any(1))
    used = [runs[:, [row for row, (src, _) in enumerate(EDGES) if src == given]].any(1) for given in range(NUM_INPUTS)]
    return torch.cat([runs, torch.stack(used, 1)], 1)


def _reached(supernet: Supernet, kinds: Sequence[str]) -> Tensor:
    """Whether the loss is reached from the head, the stem and each cell, (2 ** (2 kinds), 2 + cells) bool. The row's
    number says by its bits which given maps are used, kind by kind, older and newer."""
    uses = len(kinds) * len(CELL_INPUTS)
    bits = torch.arange(2 ** uses)[:, None] >> torch.arange(uses) & 1
    always, never = torch.ones(len(bits), dtype=torch.bool), torch.zeros(len(bits), dtype=torch.bool)
    used = {kind: bits[:, 2 * place:2 * place + 2].bool().unbind(1) for place, kind in enumerate(kinds)}
    # the stem's twice, then the cells'
    of_outputs = [never.clone() for _ in range(len(supernet.cells) + NUM_INPUTS)]
    of_outputs[-1] = always
    for place in reversed(range(len(supernet.cells))):
        cell, is_reached = supernet.cells[place], of_outputs[place + NUM_INPUTS]
        uses = used[cell.kind] if isinstance(cell, SearchCell) else (always, always)
        for output, is_used in zip((place, place + 1), uses, strict=True):
            of_outputs[output] = of_outputs[output] | is_used & is_reached
    return torch.stack([always, of_outputs[0] | of_outputs[1], *of_outputs[NUM_INPUTS:]], 1)


def cell_on_device(cell: SearchCell, older: Tensor, newer: Tensor, mixture: DeviceMixture) -> Tensor:
    """Returns the cell's output (B, 4C, H, W). What was not drawn gets gradients of zeros.

    older, newer: outputs of cells k-2 and k-1. Raises ValueError for a cell that keeps running estimates, and for a
    mixture that adds the scalars of what was not drawn (variant N of GDAS).
    """
    if cell.keeps_estimates:
        raise ValueError("a NASNet cell with running estimates takes no draw on the device; build the space with "
                         "track_running_stats=False")
    if mixture.adds_unsampled:
        raise ValueError("a NASNet cell takes no draw of GDAS' variant N on the device; use variant 'P'")
    on_kernels = runs_on(older.device)
    if mixture.index is None:
        edges, candidates = mixture.weights.shape
        every = Mixture(mixture.weights, (tuple(range(candidates)),) * edges)
        if on_kernels:
            return cell_on_gpu(cell, older, newer, every, graph_of(cell, every))
        return layers.run_cell(cell, older, newer, mixture=every)
    weights = mixture.weights.gather(1, mixture.index[:, None])[:, 0] if mixture.weights.requires_grad else None
    return (sampled_cell if on_kernels else drawn_cell)(cell, older, newer, mixture.index, weights)


def drawn_cell(cell: SearchCell, older: Tensor, newer: Tensor, index: Tensor, weights: Tensor | None) -> Tensor:
    """As `sampled_cell`, by PyTorch's operations."""
    nodes = inputs_of(cell.inputs, older, newer)
    for dst in NODES:
        total: Tensor | float = 0.0
        for row in INCOMING[dst]:
            drawn = torch.stack(_candidates(cell, row, nodes[EDGES[row][0]])).index_select(0, index[row:row + 1])[0]
            total = total + (drawn if weights is None else weights[row] * drawn)
        nodes.append(Node(total))
    return concatenate([node.value for node in nodes[NUM_INPUTS:]])


def _candidates(cell: SearchCell, row: int, node: Node) -> list[Tensor]:
    """What each candidate of an edge makes of its source, in the order of alpha's columns."""
    made = [node.through(cell.candidate(row, column)) for column in range(len(NASNET_CANDIDATES)) if column != NONE]
    return [torch.zeros_like(made[0]), *made]           # the first is `none`


def sampled_cell(cell: nn.Module, older: Tensor, newer: Tensor, index: Tensor, weights: Tensor | None,
                 learning: Collection[Conv] | None = None) -> Tensor:
    """Returns the cell's output (B, 4C, H, W). index: (edges,) int64, drawn columns. weights: (edges,), 1; None: 1.

    learning: convolutions whose weights get gradients. None: all, zeros for those that were not drawn; an optimizer
    with momentum or decay then moves them unless it is told. Raises ValueError for a cell that keeps running estimates.
    """
    if cell.keeps_estimates:
        raise ValueError("the Triton kernels keep no running estimates; build the space with track_running_stats=False")
    run = planned(cell, ("drawn", weights is not None), lambda: drawn_graph_of(cell, weights is not None))
    return run((older, newer), weights, index, learning)


def cell_on_gpu(cell: nn.Module, older: Tensor, newer: Tensor, mixture: Mixture, graph: Graph) -> Tensor:
    """Returns the cell's output with this mixture, of which `graph` is what it computes. Mixtures of one candidate an
    edge are the same launches whichever it is."""
    weights = mixture.weights if mixture.weighs else None
    if all(len(columns) == 1 for columns in mixture.active):
        index = torch.tensor([column for column, in mixture.active], device=older.device)
        drawn = None if weights is None else weights.to(older.device).gather(1, index[:, None])[:, 0]
        return sampled_cell(cell, older, newer, index, drawn, frozenset(graph.convs))
    run = planned(cell, (mixture.active, weights is None), lambda: graph)
    return run((older, newer), None if weights is None else weights.to(older.device))


def drawn_graph_of(cell: nn.Module, weighs: bool) -> Graph:
    """Returns the cell with all candidates on every edge, of which `index` will say the drawn one."""
    sums = [(term_of(cell.inputs.older, 0),), (term_of(cell.inputs.newer, 1),)]
    for node in NODES:
        sums.append(tuple(SampledEdge(
            NUM_INPUTS + EDGES[row][0],
            tuple(candidate_of(cell, row, column) for column in range(len(NASNET_CANDIDATES))),
            row, row if weighs else None) for row in INCOMING[node]))
    return Graph(NUM_INPUTS, tuple(sums), tuple(NUM_INPUTS + node for node in NODES))
