"""Which weights of a NASNet supernet a draw gives a gradient, found on the device.

A convolution learns if its candidate was drawn, its edge leaves a node that something reaches, and the loss is reached from its
cell: every node of a cell is put out, but a cell whose edges from a given node all drew `none` passes nothing on to it. Weights
that learn together form a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from ..nasnet_primitives import NASNET_CANDIDATES, POOLING
from ..relaxation import DeviceMixture
from .nasnet_supernet import EDGES, INCOMING, NODES, NUM_INPUTS, SearchCell, Supernet

NONE = NASNET_CANDIDATES.index("none")
WEIGHTY = tuple(column for column, name in enumerate(NASNET_CANDIDATES) if name != "none" and name not in POOLING)
GIVEN = ("older", "newer")
ALWAYS = 0              # a part that learns whatever was drawn, if what it belongs to is reached


class Learning:
    """Of a supernet. groups: of each parameter, in their order, the number of its group. params_in_use: see nasbench201_learning.

    A group is something that is reached by the loss, or not (the head: always; the stem, cell k), and a part of it that runs, or
    not: of a cell a candidate on an edge, or what brings a given map to its channels. Cells of a kind have their parts together.
    """

    def __init__(self, supernet: Supernet) -> None:
        self.kinds = _kinds_of(supernet)
        self.params_in_use: list[nn.Parameter] = list(supernet.parameters())
        places = [self._place(name, supernet) for name, _ in supernet.named_parameters()]
        found = {place: number for number, place in enumerate(dict.fromkeys(places))}
        self.groups = [found[place] for place in places]
        device = self.params_in_use[0].device
        self._whole, self._part = torch.tensor(list(found)).to(device).unbind(1)
        self._edges, self._reached = _edges_that_run().to(device), _reached(supernet, self.kinds).to(device)
        self._columns = torch.tensor(WEIGHTY).to(device)
        self._places = (2 ** torch.arange(len(EDGES))).to(device)
        self._used_places = (2 ** torch.arange(len(self.kinds) * len(GIVEN))).to(device)
        self._always = torch.ones(1, dtype=torch.bool, device=device)

    def of(self, mixtures: Mapping[str, DeviceMixture]) -> Tensor | None:
        """(groups,) bool, whether each learns; None: all do, since all candidates run."""
        if mixtures[self.kinds[0]].index is None:
            return None
        index = torch.stack([mixtures[kind].index for kind in self.kinds])                          # (kinds, edges)
        found = self._edges.index_select(0, ((index != NONE) * self._places).sum(1))
        runs, used = found[:, :len(EDGES)], found[:, len(EDGES):].flatten()
        drawn = (index[:, :, None] == self._columns) & runs[:, :, None]                             # (kinds, edges, WEIGHTY)
        parts = torch.cat([self._always, used, drawn.flatten()])
        reached = self._reached.index_select(0, (used * self._used_places).sum().reshape(1))[0]
        return reached.index_select(0, self._whole) & parts.index_select(0, self._part)

    def _place(self, name: str, supernet: Supernet) -> tuple[int, int]:
        """Of a parameter by its name: column of `_reached`, and place among the parts."""
        words = name.split(".")
        if words[0] != "cells":
            return int(words[0] == "stem"), ALWAYS
        whole, cell = 2 + int(words[1]), supernet.cells[int(words[1])]
        if not isinstance(cell, SearchCell):
            return whole, ALWAYS
        kind, used = self.kinds.index(_kind_of(cell)), 1 + len(self.kinds) * len(GIVEN)
        if words[2] == "inputs":        # cells.CELL.inputs.older.conv.weight
            return whole, 1 + kind * len(GIVEN) + GIVEN.index(words[3])
        row, column = int(words[3]), WEIGHTY.index(int(words[4]))       # cells.CELL.edges.ROW.COLUMN.depthwise.weight
        return whole, used + (kind * len(EDGES) + row) * len(WEIGHTY) + column


def _kind_of(cell: SearchCell) -> str:
    return "reduce" if cell.is_reduction else "normal"


def _kinds_of(supernet: Supernet) -> Sequence[str]:
    return tuple(dict.fromkeys(_kind_of(cell) for cell in supernet.cells if isinstance(cell, SearchCell)))


@lru_cache(maxsize=1)
def _edges_that_run() -> Tensor:
    """Where edge e drew something other than `none` if bit e of the row's number is set, (2 ** edges, edges + 2) bool: whether
    what was drawn is given something, and whether the given maps are used."""
    drawn = (torch.arange(2 ** len(EDGES))[:, None] >> torch.arange(len(EDGES)) & 1).bool()
    runs, exists = torch.zeros_like(drawn), [torch.ones(len(drawn), dtype=torch.bool)] * NUM_INPUTS
    for dst in NODES:
        for row in INCOMING[dst]:
            runs[:, row] = drawn[:, row] & exists[EDGES[row][0]]
        exists.append(runs[:, list(INCOMING[dst])].any(1))
    used = [runs[:, [row for row, (src, _) in enumerate(EDGES) if src == given]].any(1) for given in range(NUM_INPUTS)]
    return torch.cat([runs, torch.stack(used, 1)], 1)


def _reached(supernet: Supernet, kinds: Sequence[str]) -> Tensor:
    """Whether the loss is reached from the head, the stem and each cell, (2 ** (2 kinds), 2 + cells) bool. The row's number
    says by its bits which given maps are used, kind by kind, older and newer."""
    bits = torch.arange(2 ** (len(kinds) * len(GIVEN)))[:, None] >> torch.arange(len(kinds) * len(GIVEN)) & 1
    always, never = torch.ones(len(bits), dtype=torch.bool), torch.zeros(len(bits), dtype=torch.bool)
    used = {kind: bits[:, 2 * place:2 * place + 2].bool().unbind(1) for place, kind in enumerate(kinds)}
    of_outputs = [never.clone() for _ in range(len(supernet.cells) + NUM_INPUTS)]         # the stem's twice, then the cells'
    of_outputs[-1] = always
    for place in reversed(range(len(supernet.cells))):
        cell, is_reached = supernet.cells[place], of_outputs[place + NUM_INPUTS]
        uses = used[_kind_of(cell)] if isinstance(cell, SearchCell) else (always, always)
        for output, is_used in zip((place, place + 1), uses, strict=True):
            of_outputs[output] = of_outputs[output] | is_used & is_reached
    return torch.stack([always, of_outputs[0] | of_outputs[1], *of_outputs[NUM_INPUTS:]], 1)
