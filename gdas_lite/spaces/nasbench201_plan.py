"""What a mixture makes the cells of a NAS-Bench-201 supernet run: read once for all of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..relaxation import Mixture
from ..wellformed import NASBENCH201_OPS
from .nasbench201 import EDGES, INCOMING, NUM_NODES, useful_nodes


class Run(NamedTuple):
    """A candidate that runs: its edge and column, and the number that its output is multiplied with."""

    row: int
    column: int
    weight: np.float32


class Plan:
    """What a mixture runs in every cell. runs: by node, only into nodes from which the output is reached, no convolution of
    zeros. undrawn: by node, (row, column) whose scalar of value 0 is added (variant N)."""

    def __init__(self, mixture: Mixture) -> None:
        weights = mixture.weights.detach().cpu().numpy()
        self.useful = useful_nodes(mixture.active)
        self.runs: list[list[Run]] = [[] for _ in range(NUM_NODES)]
        is_zero = [False] * NUM_NODES
        for dst in range(1, NUM_NODES):
            running = [Run(row, column, weights[row, column]) for row in INCOMING[dst] for column in mixture.active[row]
                       if NASBENCH201_OPS[column] != "none"]
            is_zero[dst] = all(is_zero[EDGES[run.row][0]] for run in running)
            if dst in self.useful:
                self.runs[dst] = [run for run in running
                                  if not (is_zero[EDGES[run.row][0]] and NASBENCH201_OPS[run.column].startswith("nor_conv"))]
        self.undrawn = [[(row, column) for row in INCOMING[dst] for column in range(len(NASBENCH201_OPS))
                         if mixture.adds_undrawn and column not in mixture.active[row]] for dst in range(NUM_NODES)]

    @property
    def reaches_input(self) -> bool:
        """Whether anything leads from a cell's input to its output."""
        return 0 in self.useful
