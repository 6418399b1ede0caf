"""Searches that ask a table what a cell reaches: random search, regularised evolution (REA), REINFORCE.

Each proposes a cell, looks its validation accuracy up, and goes on; what it holds at any time (the incumbent) is the
cell with the highest one so far. A table makes an evaluation free, so hundreds of runs take seconds: all runs go side
by side, the first axis of every array is the run. Every evaluation counts, that of a cell seen before as well. Add one
of your own: a class with `propose` and `learn` (see `Proposer`), handed to `run`.

    runs = gl.baselines.regularised_evolution("nasbench201", evaluations=200, runs=100)
    runs.regret().mean(0)               # percentage points below the best cell, after each evaluation

Source: NAS-Bench-201 paper, section 5, and AutoDL-Projects' RANDOM.py, R_EA.py, reinforce.py; REA is aging evolution
(Real et al., AAAI 2019).
"""

import re
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ..genotypes.nasbench201 import NASBench201Genotype
from ..runs.schema import said
from .files import by_epoch
from .landscape import NUM_EDGES, NUM_OPS, PLACES, rows_by_position
from .table import Table, opened

__all__ = ["Proposer", "Runs", "random_search", "regularised_evolution", "reinforce", "run"]

# Chance of each edge to be changed. AutoDL-Projects draws a node first, then one of its edges, which favours 0 -> 1.
MUTATED_EDGE = {"edge": np.full(6, 1 / 6), "node": np.array([1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9])}


class Proposer(Protocol):
    """`propose` gives one cell for each run, `learn` is told their scores; in turns, until the budget is spent.

    choices: (runs, 6) positions in NASBENCH201_OPS. scores: (runs,) percent. rng: the only source of chance.
    """

    def propose(self, rng: np.random.Generator) -> np.ndarray: ...

    def learn(self, choices: np.ndarray, scores: np.ndarray) -> None: ...


class UniformDraws:
    def __init__(self, runs: int) -> None:
        self.runs = runs

    def propose(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(NUM_OPS, size=(self.runs, NUM_EDGES))

    def learn(self, choices: np.ndarray, scores: np.ndarray) -> None:
        """Random search learns nothing."""


class AgingEvolution:
    """The population as a ring: the newest takes the oldest's place."""

    def __init__(self, runs: int, population: int, tournament: int, edge_chances: np.ndarray) -> None:
        self.members = np.zeros((runs, population, NUM_EDGES), dtype=int)
        self.scores = np.zeros((runs, population))
        self.tournament, self.edge_chances, self.born = tournament, edge_chances, 0

    def propose(self, rng: np.random.Generator) -> np.ndarray:
        runs, population = self.scores.shape
        if self.born < population:
            return rng.integers(NUM_OPS, size=(runs, NUM_EDGES))
        every = np.arange(runs)
        drawn = rng.integers(population, size=(runs, self.tournament))
        winner = drawn[every, self.scores[every[:, None], drawn].argmax(1)]        # of equal ones the first drawn
        child = self.members[every, winner].copy()
        edge = rng.choice(NUM_EDGES, size=runs, p=self.edge_chances)
        child[every, edge] = (child[every, edge] + rng.integers(1, NUM_OPS, size=runs)) % NUM_OPS
        return child

    def learn(self, choices: np.ndarray, scores: np.ndarray) -> None:
        oldest = self.born % self.scores.shape[1]
        self.members[:, oldest], self.scores[:, oldest] = choices, scores
        self.born += 1


class Adam:
    """Adam on plain arrays (Kingma and Ba 2015), with PyTorch's defaults."""

    def __init__(self, shape: tuple[int, ...], learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.learning_rate, self.betas, self.steps = learning_rate, betas, 0
        self.mean, self.square = np.zeros((2, *shape))

    def step(self, gradient: np.ndarray) -> np.ndarray:
        """Returns how far to go along a gradient, in its shape."""
        self.steps += 1
        self.mean += (1 - self.betas[0]) * (gradient - self.mean)
        self.square += (1 - self.betas[1]) * (gradient**2 - self.square)
        mean, square = self.mean / (1 - self.betas[0]**self.steps), self.square / (1 - self.betas[1]**self.steps)
        return self.learning_rate * mean / (np.sqrt(square) + 1e-8)


def softmax(x: np.ndarray) -> np.ndarray:
    """Returns softmax over the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class SoftmaxPolicy:
    """alpha (runs, 6, 5) and Adam on it; the moving average as numerator and denominator."""

    def __init__(self, runs: int, learning_rate: float, momentum: float) -> None:
        self.shape, self.momentum, self.alpha = (runs, NUM_EDGES, NUM_OPS), momentum, None
        self.adam, self.sum, self.weight = Adam(self.shape, learning_rate), np.zeros(runs), 0.0

    def propose(self, rng: np.random.Generator) -> np.ndarray:
        if self.alpha is None:
            self.alpha = 1e-3 * rng.standard_normal(self.shape)
        return (rng.random((*self.shape[:2], 1)) > softmax(self.alpha).cumsum(-1)[:, :, :-1]).sum(-1)

    def learn(self, choices: np.ndarray, scores: np.ndarray) -> None:
        self.sum = self.momentum * self.sum + (1 - self.momentum) * scores
        self.weight = self.momentum * self.weight + 1 - self.momentum
        advantage = scores - self.sum / self.weight
        gradient = (softmax(self.alpha) - np.eye(NUM_OPS)[choices]) * advantage[:, None, None]  # of -log p * advantage
        self.alpha = self.alpha - self.adam.step(gradient)


@dataclass(frozen=True)
class Runs:
    """Independent runs of one algorithm. rows: (runs, evaluations), the row in the table of each cell evaluated.

    score: the column the runs chose by. seconds: (runs, evaluations), what was spent up to and with each evaluation,
    None if the table has no times. counts: (runs,), evaluations that were paid for; a run that ended earlier than
    others repeats its last one.
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
        return self.table.values(column)[self.incumbents]

    def regret(self, column: str | None = None) -> np.ndarray:
        """(runs, evaluations) distance of the incumbent to the best cell of the table, percentage points."""
        return self.table.values(column).max() - self.accuracy(column)

    def regret_at(self, seconds: np.ndarray, column: str | None = None) -> np.ndarray:
        """(runs, len(seconds)) regret when so many seconds are spent; not a number before the first evaluation ends.

        Raises ValueError if the table has no times.
        """
        if self.seconds is None:
            raise ValueError(f"Table {self.table.name} has no training seconds for {self.score}")
        done = np.array([np.searchsorted(spent[:count], seconds, side="right")
                         for spent, count in zip(self.seconds, self.counts)])
        return np.where(done == 0, np.nan, np.take_along_axis(self.regret(column), np.maximum(done - 1, 0), axis=1))

    def found(self) -> tuple[NASBench201Genotype, ...]:
        """The cell each run ends with."""
        return tuple(NASBench201Genotype.parse(self.table.cells[row]) for row in self.incumbents[:, -1])


def run(algorithm: Proposer, table: Table | str = "nasbench201", evaluations: int | None = None, *, runs: int = 100,
        seed: int = 0, score: str | None = None, seconds: float | None = None, name: str = "") -> Runs:
    """Proposals, look-ups, learning, until the budget of every run is spent; also for an algorithm of your own.

    algorithm: a `Proposer` for so many `runs`. name: for figures, "": its class's name. The rest: `random_search`.
    Raises ValueError for proposals that are no cells, one a run, too.
    """
    table = opened(table)
    score = _score_of(table, score)
    cost = training_seconds(table, score)
    _check_budget(table, score, evaluations, runs, seconds, cost)
    scores = table.values(score)
    row_at = rows_by_position(table)
    rng, rows, spent = np.random.default_rng(seed), [], []
    is_open, total, counts = np.ones(runs, dtype=bool), np.zeros(runs), np.zeros(runs, dtype=int)
    while is_open.any() and (evaluations is None or len(rows) < evaluations):
        choices = np.asarray(algorithm.propose(rng))
        is_known = choices.dtype.kind in "iu" and ((choices >= 0) & (choices < NUM_OPS)).all()
        if choices.shape != (runs, NUM_EDGES) or not is_known:      # 5 on one edge would be another cell
            raise ValueError(f"propose must return ({runs}, {NUM_EDGES}) positions 0..{NUM_OPS - 1} of operations, a "
                             f"row a run, got {said(choices.tolist())}")
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


def training_seconds(table: Table, score: str) -> np.ndarray | None:
    """What it costs to train a cell up to the accuracy column `score`, seconds; None if no column says it.

    The column <data set>_train_seconds_<epochs> of the same or, in proportion, of the next longer training.
    """
    parts = re.match(r"([A-Za-z0-9]+)_(?:valid|test)_(\d+)", score)
    if parts is None:
        return None
    epochs = int(parts[2])
    trainings = by_epoch(table.columns, f"{parts[1]}_train_seconds")
    longer = min((length for length in trainings if length >= epochs), default=None)
    return None if longer is None else table.values(trainings[longer]) * (epochs / longer)


def _check_budget(table: Table, score: str, evaluations: int | None, runs: int, seconds: float | None,
                  cost: np.ndarray | None) -> None:
    if evaluations is None and seconds in (None, np.inf):
        raise ValueError("give a budget: evaluations, seconds or both")
    if runs < 1 or (evaluations is not None and evaluations < 1) or (seconds is not None and not seconds > 0):
        raise ValueError(f"runs, evaluations and seconds must be positive, got {runs}, {evaluations} and {seconds}")
    if seconds is not None and cost is None:
        raise ValueError(f"Table {table.name} has no training seconds for {score}; give the budget in evaluations")
    if seconds is not None and cost.min() <= 0:
        raise ValueError(f"Table {table.name}: training seconds must be above 0, some are {cost.min():g}")


def random_search(table: Table | str = "nasbench201", evaluations: int | None = None, *, runs: int = 100, seed: int = 0,
                  score: str | None = None, seconds: float | None = None) -> Runs:
    """Cells drawn uniformly, `none` included, with replacement.

    table: a table or its name; by default NAS-Bench-201's, where regret is that of CIFAR-10's test accuracy after 200
    epochs. evaluations, seconds: the budget, at least one of the two; a run stops before the sum of its training
    seconds (column <data set>_train_seconds_<epochs>; a shorter training costs its share) would pass `seconds`. score:
    a validation column of the table, after the last epoch or an early one; None: the table's `search_column`. seed: of
    all runs together. Raises ValueError for a budget that allows no evaluation, a score that is no validation accuracy,
    and seconds where the table has no times; KeyError for an unknown column. The same holds for the other algorithms.
    """
    return run(UniformDraws(runs), table, evaluations, runs=runs, seed=seed, score=score, seconds=seconds,
               name="random search")


def regularised_evolution(table: Table | str = "nasbench201", evaluations: int | None = None, *, runs: int = 100,
                          seed: int = 0, score: str | None = None, seconds: float | None = None, population: int = 10,
                          tournament: int = 3, mutation: Literal["edge", "node"] = "edge") -> Runs:
    """REA: the best of `tournament` members, drawn with replacement, has a child, one edge changed; the oldest goes.

    population: random cells to begin with, and from then on the size. The child's edge gets one of the four other
    operations. mutation: which edge; "edge": each as likely; "node": as AutoDL-Projects, a node first, then one of the
    edges into it. Budget, score and seed as in `random_search`.
    """
    if mutation not in MUTATED_EDGE:
        raise ValueError(f"mutation must be one of {', '.join(MUTATED_EDGE)}, got {mutation!r}")
    if population < 1 or tournament < 1:
        raise ValueError(f"population and tournament must be at least 1, got {population} and {tournament}")
    algorithm = AgingEvolution(runs, population, tournament, MUTATED_EDGE[mutation])
    return run(algorithm, table, evaluations, runs=runs, seed=seed, score=score, seconds=seconds,
               name="regularised evolution")


def reinforce(table: Table | str = "nasbench201", evaluations: int | None = None, *, runs: int = 100, seed: int = 0,
              score: str | None = None, seconds: float | None = None, learning_rate: float = 0.001,
              momentum: float = 0.9) -> Runs:
    """REINFORCE: alpha (6, 5); each edge draws from softmax(alpha), and Adam follows -log p(cell) * (score - baseline).

    baseline: moving average of the scores with `momentum`, divided by its sum of weights, the present score included
    (so the first step is none). learning_rate: 0.001 as in AutoDL-Projects' script; its description names 0.5, with
    which the policy tries hardly anything new after some 50 evaluations. Budget, score and seed as in `random_search`.
    """
    if learning_rate <= 0 or not 0 <= momentum < 1:
        raise ValueError(f"learning_rate must be > 0 and momentum in [0, 1), got {learning_rate} and {momentum}")
    algorithm = SoftmaxPolicy(runs, learning_rate, momentum)
    return run(algorithm, table, evaluations, runs=runs, seed=seed, score=score, seconds=seconds, name="REINFORCE")
