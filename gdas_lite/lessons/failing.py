"""Exercises of notebook 9: how far two rankings agree, when an early-stopping rule fires."""

from __future__ import annotations

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
    return [*trials, (first := trials[0][0], -first), (first, np.exp(first / 10))]


def _histories(rng):
    trials = [([0, 1, 2, 1, 3], 2, 0), ([3, 2, 0, 2], 2, 2), ([0, 1, 1, 0, 1], 2, 0), ([1, 0, 4, 2], 2, 1), ([0, 0], 1, 0), ([], 2, 0)]
    return trials + [(rng.integers(0, 5, rng.integers(1, 9)).tolist(), int(rng.integers(1, 5)), int(rng.integers(0, 4)))
                     for _ in range(40)]


def _first(rule):
    """The first epoch that a wrong rule takes. rule: (done, count, limit, after) -> bool."""
    return lambda skips, limit, after: next((done for done, count in enumerate(skips, 1) if rule(done, count, limit, after)), None)


def _pairs_in_order(first, second):
    pairs = [(a, b) for a in range(len(first)) for b in range(a)]
    return np.mean([np.sign((first[a] - first[b]) * (second[a] - second[b])) for a, b in pairs])


def _which_epoch(found, wanted, skips, limit, after):
    asked = f"counts {shown(skips)} with limit {limit} and after {after}"
    if wanted is None:
        return f"{asked}: no epoch that is looked at has {limit} skips, so the search is never stopped: return None, not {shown(found)}"
    return f"{asked}: expected {wanted}, the first epoch after {after} with a count of at least {limit}; got {shown(found)}"


EXERCISES = (
    Exercise("9.1", "do two rankings agree?", 10, rank_agreement, _orders, "the agreement", (
        (lambda a, b: np.corrcoef(a, b)[0, 1], "that is the correlation of the values themselves. Only the order counts"),
        (lambda a, b: np.corrcoef(np.argsort(a), np.argsort(b))[0, 1],
         "argsort gives the cells in order, not the place of each cell: sort the order once more"),
        (lambda a, b: np.mean(np.argsort(np.argsort(a)) == np.argsort(np.argsort(b))),
         "that is the share of cells with the same place; a cell one place off counts as nearly right"),
        (lambda a, b: -rank_agreement(a, b), "one of the orders is backwards: equal orders give 1"),
        (lambda a, b: abs(rank_agreement(a, b)), "opposite orders give -1, not 1: no absolute value"),
        (lambda a, b: rank_agreement(a, b) ** 2, "that is the square of the correlation"),
        (_pairs_in_order, "that is Kendall's tau, which counts pairs; asked is the correlation of the places"),
    ), reminder="the correlation of the places, 0 for the smallest"),
    Exercise("9.2", "when the rule fires", 10, first_stop, _histories, "the number of epochs", (
        (_first(lambda done, count, limit, after: done > after and count > limit), "`limit` skips reach the limit already: at least, not "
         "more than"),
        (_first(lambda done, count, limit, after: done > after and count == limit), "a count may jump over the limit: at least, not equal"),
        (_first(lambda done, count, limit, after: done > after and count >= 2), "the limit is not always 2: use `limit`"),
        (_first(lambda done, count, limit, after: count >= limit), "the first `after` epochs are not looked at"),
        (_first(lambda done, count, limit, after: done >= after and count >= limit), "with `after` = 2 the first two epochs are not "
         "looked at, and that includes the second"),
        (lambda skips, limit, after: next((epoch for epoch, count in enumerate(skips) if epoch >= after and count >= limit), None),
         "count the epochs that are done: the first epoch makes 1"),
        (lambda skips, limit, after: next((done for done, total in enumerate(np.cumsum(skips), 1) if done > after and total >= limit),
                                          None), "each epoch's count is for its own cell: do not add them up"),
        (lambda skips, limit, after: next((done for done, count in enumerate(skips, 1) if done > after and count >= limit), len(skips)),
         "where the rule never fires, return None"),
        (lambda skips, limit, after: next((done for done in range(len(skips), after, -1) if skips[done - 1] >= limit), None),
         "that is the last such epoch; the search stops at the first"),
    ), explain=_which_epoch),
)
