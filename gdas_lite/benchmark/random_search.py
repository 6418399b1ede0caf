"""What random search reaches on a table, exactly: the best of k draws is an order statistic.

If a share F(s) of the cells scores at most s, the best score of k independent draws is at most s with probability
F(s)^k. So no run of random search is needed to know its mean curve and its spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RandomSearchCurve:
    """The accuracy (percent) of the cell that random search holds after 1, 2, ... evaluations; arrays of equal length.

    mean, std: over all ways to draw. low, high: the quantiles `band` of them. best: the best accuracy in the table.
    """

    column: str
    score: str
    evaluations: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    band: tuple[float, float]
    best: float

    @property
    def regret(self) -> np.ndarray:
        """Mean distance to the best cell, percentage points."""
        return self.best - self.mean


def best_of_draws(scores: np.ndarray, values: np.ndarray, evaluations: Sequence[int], quantiles: Sequence[float]
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and quantiles of the value of the best-scored of k uniform draws with replacement.

    scores, values: (cells,); of equal scores the first drawn counts, so each of them is as likely. evaluations: the k.
    Results: (len(evaluations),) twice, and (len(evaluations), len(quantiles)); a quantile q is the smallest value that
    is reached or undercut with probability q or more.
    """
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)     # groups by rising score
    share = np.cumsum(sizes) / len(scores)                                          # F
    share[-1] = 1.0
    by_value = np.argsort(values, kind="stable")
    rising, group_of = values[by_value], group[by_value]
    means, deviations, bounds = [], [], []
    for k in evaluations:
        chance = np.diff(share**k, prepend=0.0) / sizes             # of one cell of each group
        weights = chance[group_of]                                  # (cells,), sum 1
        mean = float(weights @ rising)
        means.append(mean)
        deviations.append(float(weights @ (rising - mean) ** 2) ** 0.5)
        places = np.searchsorted(np.cumsum(weights), np.asarray(quantiles) - 1e-12)
        bounds.append(rising[np.minimum(places, len(rising) - 1)])
    return np.array(means), np.array(deviations), np.array(bounds).reshape(len(means), len(quantiles))
