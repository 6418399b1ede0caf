"""Which weights of a NAS-Bench-201 supernet a drawn cell gives a gradient, as a table that a device can look up.

SGD needs to know: what was never drawn is left alone, and so is, with the recipe's undrawn="skip", what was not drawn now.
Weights that learn together form a group: 0 always, 1 where the output depends on a cell's input, then a group for each
convolution on each edge (of all cells).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor, nn

from ..relaxation import DeviceMixture
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


class Learning:
    """Of a supernet: `learning` of all 15,625 cells, looked up on the device.

    groups: of each parameter, in their order, the number of its group. params_in_use: what a pass on the device uses of them, not
    the biases in front of a batch norm.
    """

    def __init__(self, supernet: Supernet) -> None:
        named = dict(supernet.named_parameters())
        self.groups = [group_of(name) for name in named]
        self.params_in_use: list[nn.Parameter] = [
            param for name, param in named.items() if not (name.startswith("stages.") and name.endswith("conv.bias"))]
        device = self.params_in_use[0].device
        self._table = _all_cells(supernet.stages[0][0].exact_zero).to(device)
        self._places = len(NASBENCH201_OPS) ** torch.arange(len(EDGES) - 1, -1, -1).to(device)

    def of(self, mixtures: Mapping[str, DeviceMixture]) -> Tensor | None:
        """(groups,) bool, whether each learns; None: all do, since all candidates run."""
        index = mixtures["cell"].index
        return None if index is None else self._table.index_select(0, (index * self._places).sum().reshape(1))[0]


@lru_cache(maxsize=2)
def _all_cells(exact_zero: bool) -> Tensor:
    return learning(torch.tensor(list(product(range(len(NASBENCH201_OPS)), repeat=len(EDGES)))), exact_zero)
