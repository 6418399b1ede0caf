"""The landscape of a table: what each operation is worth, which cells are one edit apart, how early accuracy tells.

Arrays over cells are in the order of `table.cells`; a "row" is a position in it. A table may be given by its name;
without one it is NAS-Bench-201's, and accuracy is that of CIFAR-10 after 200 epochs. Two cells are neighbours if they
differ on one edge: every cell has 24.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..genotypes.nasbench201 import NASBench201Genotype
from ..genotypes.notation import BENCHMARK_OPS
from .files import positions
from .table import Table, opened

NUM_EDGES, NUM_OPS = len(NASBench201Genotype.EDGES), len(BENCHMARK_OPS)
PLACES = NUM_OPS ** np.arange(NUM_EDGES)[::-1]      # position in NASBench201Genotype.all() = choices @ PLACES


def choices(table: Table | str = "nasbench201") -> np.ndarray:
    """Returns for each cell and edge the position of its operation in BENCHMARK_OPS, (cells, 6)."""
    return np.array([positions()[cell] for cell in opened(table).cells])[:, None] // PLACES % NUM_OPS


def rows_by_position(table: Table) -> np.ndarray:
    """Returns the row of each cell of NASBench201Genotype.all(), (cells,): index it with choices @ PLACES."""
    return np.argsort(choices(table) @ PLACES)


def main_effects(table: Table | str = "nasbench201", column: str | None = None) -> np.ndarray:
    """Returns the mean accuracy of the cells with operation k on edge e, minus that of all; (6, 5), percentage points.

    The table holds every combination once, so these are also the coefficients of the best additive model.
    """
    values, chosen = opened(table).values(column), choices(table)
    sums = np.stack([np.bincount(chosen[:, edge], values, NUM_OPS) for edge in range(NUM_EDGES)])
    return sums / (len(values) // NUM_OPS) - values.mean()


def additive_share(table: Table | str = "nasbench201", column: str | None = None) -> float:
    """Returns the share of the accuracies' variance that `main_effects` explain, 0..1; the rest is interaction."""
    predicted = main_effects(table, column)[np.arange(NUM_EDGES), choices(table)].sum(1)
    return float(predicted.var() / opened(table).values(column).var())


def neighbours(table: Table | str = "nasbench201") -> np.ndarray:
    """Returns the rows of the cells one edit away, (cells, 24), by edge, then in the order of BENCHMARK_OPS."""
    table = opened(table)
    chosen = choices(table)
    steps = np.arange(NUM_OPS) - chosen[:, :, None]                         # (cells, 6, 5), one 0 an edge
    steps = steps[steps != 0].reshape(len(table), NUM_EDGES, NUM_OPS - 1)
    position = (chosen @ PLACES)[:, None, None] + steps * PLACES[:, None]
    return rows_by_position(table)[position.reshape(len(table), -1)]


@dataclass(frozen=True)
class Climb:
    """Where steepest ascent ends. ends: (cells,), the row at which a climb from each row stops. steps: (cells,).

    optima: rows without a better neighbour, the best first; basins: how many climbs end at each of them.
    """

    ends: np.ndarray
    steps: np.ndarray
    optima: np.ndarray
    basins: np.ndarray


def climb(table: Table | str = "nasbench201", column: str | None = None) -> Climb:
    """Goes from every cell to its best neighbour (of equal ones the first) as long as that is strictly better."""
    values, around = opened(table).values(column), neighbours(table)
    best = np.take_along_axis(around, values[around].argmax(1)[:, None], 1)[:, 0]
    onward = np.where(values[best] > values, best, np.arange(len(values)))
    ends, steps = np.arange(len(values)), np.zeros(len(values), dtype=int)
    while (onward[ends] != ends).any():
        steps += onward[ends] != ends
        ends = onward[ends]
    optima = np.flatnonzero(onward == np.arange(len(values)))
    optima = optima[np.argsort(-values[optima], kind="stable")]
    return Climb(ends, steps, optima, np.bincount(ends, minlength=len(values))[optima])


def trajectory(history: Any, table: Table | str = "nasbench201", column: str | None = None) -> np.ndarray:
    """Returns the accuracy of the cell that a search would return after each epoch, percent, (epochs,).

    history: of a search in the NAS-Bench-201 space (`search.history`, `gl.recorded(...)`). An epoch without a cell is
    NaN. Raises ValueError for a search of another space.
    """
    if "cell" not in history.labels:
        raise ValueError(f"a table knows the cells of the NAS-Bench-201 space only, this search has "
                         f"{' and '.join(history.labels)} cells")
    return _looked_up(opened(table), (record.genotype for record in history), column)


def regrets(table: Table | str, cells: Iterable[NASBench201Genotype | str | None], column: str | None = None
            ) -> np.ndarray:
    """Returns how far each cell lies below the best, percentage points, (cells,); NaN where a cell is None.

    Of a search, epoch by epoch: regrets(table, [record.genotype for record in search.history]).
    """
    return opened(table).values(column).max() - _looked_up(opened(table), cells, column)


def _looked_up(table: Table, cells: Iterable[NASBench201Genotype | str | None], column: str | None) -> np.ndarray:
    return np.array([np.nan if cell is None else table.accuracy(cell, column) for cell in cells], dtype=float)


def ranks(values: np.ndarray) -> np.ndarray:
    """Returns ranks from 1 for the smallest; equal values get the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[group]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Returns Spearman's correlation, that of the ranks, -1..1. Raises ValueError if one of the two is constant, or
    holds NaN as a column of a history does for epochs without alpha steps."""
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("rank_correlation: NaN has no rank; leave these places out of both")
    a, b = ranks(np.asarray(first)), ranks(np.asarray(second))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise ValueError("rank_correlation: all values of one of the two are equal, so they have no order")
    return float(np.corrcoef(a, b)[0, 1])


def pareto(cost: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the positions of those that no other beats, by rising cost: each is above all that cost no more."""
    order = np.lexsort((-values, cost))
    highest = np.maximum.accumulate(values[order])
    return order[np.concatenate([[True], highest[1:] > highest[:-1]])]


def aligned(table: Table, other: Table, column: str) -> np.ndarray:
    """Returns a column of another table in the order of this one's cells, (cells,)."""
    return other.values(column)[[other.row(cell) for cell in table.cells]]
