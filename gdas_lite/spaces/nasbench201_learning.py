"""Which weights of a NAS-Bench-201 supernet a drawn cell gives a gradient, as a table that a device can look up.

SGD needs to know: what was never drawn is left alone, and so is, with the recipe's undrawn="skip", what was not drawn now.
Weights that learn together form a group: 0 always, 1 where the output depends on a cell's input, then a group for each
convolution on each edge (of all cells).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import torch
from torch import Tensor

from ..wellformed import NASBENCH201_OPS
from .nasbench201 import EDGES, INCOMING, NUM_NODES, OUTPUT_NODE, Supernet

CONVOLUTIONS = tuple(column for column, name in enumerate(NASBENCH201_OPS) if name.startswith("nor_conv"))
NONE = NASBENCH201_OPS.index("none")
ALWAYS, REACHES_INPUT, FIRST = 0, 1, 2
GROUPS = FIRST + len(EDGES) * len(CONVOLUTIONS)


def group_of(name: str) -> int:
    """The group of a supernet's parameter, by its name in `named_parameters`."""
    place = name.split(".")
    if place[0] == "stages":            # stages.STAGE.CELL.edges.ROW.COLUMN.conv.weight
        return FIRST + int(place[4]) * len(CONVOLUTIONS) + CONVOLUTIONS.index(int(place[5]))
    return REACHES_INPUT if place[0] in ("stem", "reductions") else ALWAYS


def groups_of(supernet: Supernet) -> list[int]:
    """The group of each parameter, in the order of `parameters`."""
    return [group_of(name) for name, _ in supernet.named_parameters()]


def learning(index: Tensor, exact_zero: bool = True) -> Tensor:
    """Whether each group learns, (cells, GROUPS) bool, where `index` (cells, edges) was drawn.

    A convolution learns if the output is reached from it and, with `SearchCell.exact_zero`, its input is not zeros for certain.
    """
    count = len(index)
    useful = [torch.zeros(count, dtype=torch.bool) for _ in range(OUTPUT_NODE)] + [torch.ones(count, dtype=torch.bool)]
    for row in reversed(range(len(EDGES))):
        src, dst = EDGES[row]
        useful[src] = useful[src] | useful[dst] & (index[:, row] != NONE)
    is_zero = [torch.zeros(count, dtype=torch.bool)]
    for dst in range(1, NUM_NODES):
        is_zero.append(torch.stack([(index[:, row] == NONE) | is_zero[EDGES[row][0]] for row in INCOMING[dst]]).all(0))
    convolutions = [(index[:, row] == column) & useful[dst] & ~(is_zero[src] & exact_zero)
                    for row, (src, dst) in enumerate(EDGES) for column in CONVOLUTIONS]
    return torch.stack([torch.ones(count, dtype=torch.bool), useful[0], *convolutions], 1)


class LearningTable:
    """`learning` of all 15,625 cells on a device, looked up without the host."""

    def __init__(self, device: torch.device, exact_zero: bool = True) -> None:
        self._table = _all_cells(exact_zero).to(device)
        self._places = len(NASBENCH201_OPS) ** torch.arange(len(EDGES) - 1, -1, -1).to(device)

    def of(self, index: Tensor) -> Tensor:
        """(GROUPS,) bool for the drawn columns (edges,)."""
        return self._table.index_select(0, (index * self._places).sum().reshape(1))[0]


@lru_cache(maxsize=2)
def _all_cells(exact_zero: bool) -> Tensor:
    return learning(torch.tensor(list(product(range(len(NASBENCH201_OPS)), repeat=len(EDGES)))), exact_zero)
