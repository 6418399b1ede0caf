"""The loop that all searches on a table share, and the runs it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gdas_lite.baselines.algorithms import NUM_EDGES, NUM_OPS, Algorithm
from gdas_lite.genotype import NASBench201Genotype
from gdas_lite.tablefile import positions, training_seconds
from gdas_lite.tabular import Table, opened

PLACES = NUM_OPS ** np.arange(NUM_EDGES)[::-1]      # position in NASBench201Genotype.all() = choices @ PLACES


@dataclass(frozen=True)
class Runs:
    """Independent runs of one algorithm. rows: (runs, evaluations), the row in the table of each cell evaluated.

    score: the column the runs chose by. seconds: (runs, evaluations), what was spent up to and with each evaluation, None
    if the table has no times. counts: (runs,), evaluations that were paid for; a run that ended earlier than others
    repeats its last one.
    """

    algorithm: str
    table: Table
    score: str
    rows: np.ndarray
    seconds: np.ndarray | None
    counts: np.ndarray

    @property
    def incumbents(self) -> np.ndarray:
        """(runs, evaluations) rows of the cell held after each evaluation; of equal scores the first one stays."""
        scores = self.table.values(self.score)[self.rows]
        highest = np.maximum.accumulate(scores, axis=1)
        is_new = np.concatenate([np.ones((len(scores), 1), bool), highest[:, 1:] > highest[:, :-1]], axis=1)
        since = np.maximum.accumulate(np.where(is_new, np.arange(scores.shape[1]), 0), axis=1)
        return np.take_along_axis(self.rows, since, axis=1)

    def accuracy(self, column: str | None = None) -> np.ndarray:
        """(runs, evaluations) accuracy of the incumbent, percent; by default in the table's default column."""
        return self.table.values(self._accuracy(column))[self.incumbents]

    def regret(self, column: str | None = None) -> np.ndarray:
        """(runs, evaluations) distance of the incumbent to the best cell of the table, percentage points."""
        return self.table.values(self._accuracy(column)).max() - self.accuracy(column)

    def regret_at(self, seconds: np.ndarray, column: str | None = None) -> np.ndarray:
        """(runs, len(seconds)) regret when so many seconds are spent; not a number before the first evaluation ends.

        Raises ValueError if the table has no times.
        """
        if self.seconds is None:
            raise ValueError(f"Table {self.table.name} has no training seconds for {self.score}")
        done = [np.searchsorted(spent[:count], seconds, side="right") for spent, count in zip(self.seconds, self.counts)]
        regret = np.take_along_axis(self.regret(column), np.maximum(np.array(done) - 1, 0), axis=1)
        return np.where(np.array(done) == 0, np.nan, regret)

    def found(self) -> tuple[NASBench201Genotype, ...]:
        """The cell each run ends with."""
        return tuple(NASBench201Genotype.parse(self.table.cells[row]) for row in self.incumbents[:, -1])

    def _accuracy(self, column: str | None) -> str:
        return self.table.default_column if column is None else column


def run(algorithm: Algorithm, table: Table | str = "nasbench201", evaluations: int | None = None, *, runs: int = 100,
        seed: int = 0, score: str | None = None, seconds: float | None = None, name: str = "") -> Runs:
    """Proposals, look-ups, learning, until the budget of every run is spent; also for an algorithm of your own.

    algorithm: made for so many `runs`; see `Algorithm`. name: what figures call it; "": its class's name. The rest as in
    `random_search`.
    """
    table = opened(table)
    score = _score_of(table, score)
    cost = training_seconds(table.columns, score, table.values)
    _check_budget(table, score, evaluations, runs, seconds, cost)
    scores = table.values(score)
    row_at = np.empty(len(table), dtype=int)        # of each position in NASBench201Genotype.all()
    row_at[[positions()[cell] for cell in table.cells]] = np.arange(len(table))
    rng, rows, spent = np.random.default_rng(seed), [], []
    is_open, total, counts = np.ones(runs, dtype=bool), np.zeros(runs), np.zeros(runs, dtype=int)
    while is_open.any() and (evaluations is None or len(rows) < evaluations):
        choices = algorithm.propose(rng)
        row = row_at[choices @ PLACES]
        if cost is not None:
            is_open &= total + cost[row] <= (np.inf if seconds is None else seconds)
            total = np.where(is_open, total + cost[row], total)
        if not is_open.any():
            break
        counts += is_open
        rows.append(row if is_open.all() else np.where(is_open, row, rows[-1] if rows else row))
        spent.append(total)
        algorithm.learn(choices, scores[row])
    if not counts.all():
        raise ValueError(f"seconds={seconds:g} ends some runs before their first evaluation; one training takes up to "
                         f"{cost.max():.4g} s")
    name = name or type(algorithm).__name__
    return Runs(name, table, score, np.stack(rows, 1), None if cost is None else np.stack(spent, 1), counts)


def _score_of(table: Table, score: str | None) -> str:
    score = table.search_column if score is None else score
    if score is None:
        raise ValueError(f"Table {table.name} has no validation accuracy, by which a search could choose")
    table.values(score)         # an unknown column: KeyError with the nearest
    if score not in table.accuracy_columns or "_valid_" not in score:
        valid = [column for column in table.accuracy_columns if "_valid_" in column]
        raise ValueError(f"score must be a validation accuracy, got {score}; choose one of {', '.join(valid)} (test "
                         f"accuracy is for the end)")
    return score


def _check_budget(table: Table, score: str, evaluations: int | None, runs: int, seconds: float | None,
                  cost: np.ndarray | None) -> None:
    if evaluations is None and seconds is None:
        raise ValueError("give a budget: evaluations, seconds or both")
    if runs < 1 or (evaluations is not None and evaluations < 1) or (seconds is not None and not seconds > 0):
        raise ValueError(f"runs, evaluations and seconds must be positive, got {runs}, {evaluations} and {seconds}")
    if seconds is not None and cost is None:
        raise ValueError(f"Table {table.name} has no training seconds for {score}; give the budget in evaluations")
    if seconds is not None and cost.min() <= 0:
        raise ValueError(f"Table {table.name}: training seconds must be above 0, some are {cost.min():g}")
