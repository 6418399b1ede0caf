"""Exercises of notebook 9: how far two rankings agree, when an early-stopping rule fires."""

import numpy as np

from .exercise import Exercise, shown


def rank_agreement(first, second):
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return np.corrcoef(ranks[0], ranks[1])[0, 1]


def first_stop(skips, limit, after):
    for done, count in enumerate(skips, 1):
        if done > after and count >= limit:
            return done
    return None


def _orders(rng):
    """Values of very different spread, also below zero: the order says another thing than the values."""
    trials = [(np.exp(rng.normal(0, 2, n)), rng.normal(0, 3, n) ** 3) for n in (8, 3, 5, 12, 2, 9)]
    return [*trials, trials[3][::-1], (first := trials[0][0], -first), (first, np.exp(first / 10))]


def _first(rule):
    """The first epoch that a wrong rule takes. rule: (epochs done, count, limit, after) -> bool."""
    return lambda skips, limit, after: next((n for n, k in enumerate(skips, 1) if rule(n, k, limit, after)), None)


def _pairs_in_order(first, second):
    pairs = [(a, b) for a in range(len(first)) for b in range(a)]
    return np.mean([np.sign((first[a] - first[b]) * (second[a] - second[b])) for a, b in pairs])


def _which_epoch(found, wanted, skips, limit, after):
    asked = f"counts {shown(skips)} with limit {limit} and after {after}"
    if wanted is None:
        return f"{asked}: the rule never fires, so return None, not {found!r}"
    return f"{asked}: expected {wanted}, the first epoch after {after} with at least {limit}; got {shown(found)}"


EXERCISES = (
    Exercise("9.1", "do two rankings agree?", 10, rank_agreement, "the agreement", (
        (lambda a, b: np.corrcoef(a, b)[0, 1],
         "that is the correlation of the values themselves. Only the order counts"),
        (lambda a, b: np.corrcoef(np.argsort(a), np.argsort(b))[0, 1],
         "argsort gives the cells in order, not the place of each cell: sort the order once more"),
        (lambda a, b: np.mean(np.argsort(np.argsort(a)) == np.argsort(np.argsort(b))),
         "that is the share of cells with the same place; near ones count, too"),
        (lambda a, b: -rank_agreement(a, b), "one of the orders is backwards: equal orders give 1"),
        (lambda a, b: abs(rank_agreement(a, b)), "opposite orders give -1, not 1: no absolute value"),
        (_pairs_in_order, "that is Kendall's tau, which counts pairs; asked is the correlation of the places"),
    ), _orders, reminder="the correlation of the places, 0 for the smallest"),
    Exercise("9.2", "when the rule fires", 10, first_stop, "the number of epochs", (
        (_first(lambda n, count, limit, after: n > after and count > limit),
         "`limit` skips reach the limit already: at least, not more than"),
        (_first(lambda n, count, limit, after: n > after and count == limit),
         "a count may jump over the limit: at least"),
        (_first(lambda n, count, limit, after: n > after and count >= 2), "the limit is not always 2: use `limit`"),
        (_first(lambda n, count, limit, after: count >= limit), "the first `after` epochs are not looked at"),
        (_first(lambda n, count, limit, after: n >= after and count >= limit),
         "with `after` = 2 the first two epochs are not looked at, and that includes the second"),
        (lambda skips, limit, after: next((n for n in range(after, len(skips)) if skips[n] >= limit), None),
         "count the epochs that are done: the first epoch makes 1"),
        (lambda skips, limit, after: first_stop(np.cumsum(skips), limit, after),
         "each epoch's count is for its own cell: do not add them up"),
        (lambda skips, limit, after: first_stop(skips, limit, after) or len(skips),
         "where the rule never fires, return None"),
        (lambda skips, limit, after: next((n for n in range(len(skips), after, -1) if skips[n - 1] >= limit), None),
         "that is the last such epoch; the search stops at the first"),
    ), lambda rng: [([0, 1, 2, 1, 3], 2, 0), ([3, 2, 0, 2], 2, 2),
                    *((rng.integers(0, 5, 1 + n % 8).tolist(), *rng.integers((1, 0), (5, 4)).tolist())
                      for n in range(40))],
        explain=_which_epoch),
)
