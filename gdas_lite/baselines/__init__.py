"""Searches that ask a table what a cell reaches: random search, regularised evolution (REA), REINFORCE.

Each proposes a cell, looks its validation accuracy up, and goes on; what it holds at any time (the incumbent) is the
cell with the highest one so far. A table makes an evaluation free, so hundreds of runs take seconds: all runs go side by
side as rows of arrays. Every evaluation counts, that of a cell seen before as well. Add one of your own: a class with `propose`
and `learn` (algorithms.py), handed to `run`.

    runs = gl.baselines.regularised_evolution("nasbench201", evaluations=200, runs=100)
    runs.regret().mean(0)               # percentage points below the best cell, after each evaluation

Source: NAS-Bench-201 paper, section 5, and AutoDL-Projects' RANDOM.py, R_EA.py, reinforce.py; REA is aging evolution
(Real et al., AAAI 2019).
"""

from __future__ import annotations

from typing import Literal

from gdas_lite.baselines.algorithms import (
    MUTATED_EDGE,
    AgingEvolution,
    Algorithm,
    SoftmaxPolicy,
    UniformDraws,
)
from gdas_lite.baselines.loop import Runs, run
from gdas_lite.tabular import Table

__all__ = ["Algorithm", "Runs", "random_search", "regularised_evolution", "reinforce", "run"]


def random_search(table: Table | str = "nasbench201", evaluations: int | None = None, *, runs: int = 100, seed: int = 0,
                  score: str | None = None, seconds: float | None = None) -> Runs:
    """Cells drawn uniformly, `none` included, with replacement.

    table: a table or its name; by default NAS-Bench-201's, where regret is that of CIFAR-10's test accuracy after 200 epochs.
    evaluations, seconds: the budget, at least one of the two; a run stops before the sum of its training seconds (column
    <data set>_train_seconds_<epochs>; a shorter training costs its share) would pass `seconds`. score: a validation column
    of the table, after the last epoch or an early one; None: the table's `search_column`. seed: of all runs together.
    Raises ValueError for a budget that allows no evaluation, a score that is no validation accuracy, and seconds where
    the table has no times; KeyError for an unknown column. The same holds for the other algorithms.
    """
    return run(UniformDraws(runs), table, evaluations, runs=runs, seed=seed, score=score, seconds=seconds, name="random search")


def regularised_evolution(table: Table | str = "nasbench201", evaluations: int | None = None, *, runs: int = 100, seed: int = 0,
                          score: str | None = None, seconds: float | None = None, population: int = 10,
                          tournament: int = 3, mutation: Literal["edge", "node"] = "edge") -> Runs:
    """REA: the best of `tournament` members, drawn with replacement, gets a child with one edge changed; the oldest goes.

    population: random cells to begin with, and from then on the size. The child's edge gets one of the four other
    operations. mutation: which edge; "edge": each as likely; "node": as AutoDL-Projects, a node first, then one of the
    edges into it. Budget, score and seed as in `random_search`.
    """
    if mutation not in MUTATED_EDGE:
        raise ValueError(f"mutation must be one of {', '.join(MUTATED_EDGE)}, got {mutation!r}")
    if population < 1 or tournament < 1:
        raise ValueError(f"population and tournament must be at least 1, got {population} and {tournament}")
    algorithm = AgingEvolution(runs, population, tournament, MUTATED_EDGE[mutation])
    return run(algorithm, table, evaluations, runs=runs, seed=seed, score=score, seconds=seconds, name="regularised evolution")


def reinforce(table: Table | str = "nasbench201", evaluations: int | None = None, *, runs: int = 100, seed: int = 0,
              score: str | None = None, seconds: float | None = None, learning_rate: float = 0.001,
              momentum: float = 0.9) -> Runs:
    """REINFORCE: alpha (6, 5); each edge draws from softmax(alpha), and Adam follows -log p(cell) * (score - baseline).

    baseline: moving average of the scores with `momentum`, divided by its sum of weights, the present score included (so
    the first step is none). learning_rate: 0.001 as in AutoDL-Projects' script; its description names 0.5, with which the
    policy tries hardly anything new after some 50 evaluations. Budget, score and seed as in `random_search`.
    """
    if learning_rate <= 0 or not 0 <= momentum < 1:
        raise ValueError(f"learning_rate must be > 0 and momentum in [0, 1), got {learning_rate} and {momentum}")
    algorithm = SoftmaxPolicy(runs, learning_rate, momentum)
    return run(algorithm, table, evaluations, runs=runs, seed=seed, score=score, seconds=seconds, name="REINFORCE")
