"""Exercises of notebook 9: how far two rankings agree, when an early-stopping rule fires."""

from __future__ import annotations

import numpy as np

from .exercise import Exercise, Function, number_of

# --- 9.1: how far two rankings agree ---

def rank_agreement(first, second):
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return np.corrcoef(ranks[0], ranks[1])[0, 1]


def _values_themselves(first, second):
    return np.corrcoef(first, second)[0, 1]


def _sorts_once(first, second):
    return np.corrcoef(np.argsort(first), np.argsort(second))[0, 1]


def _share_in_place(first, second):
    return np.mean(np.argsort(np.argsort(first)) == np.argsort(np.argsort(second)))


def _one_backwards(first, second):
    return np.corrcoef(np.argsort(np.argsort(first)), np.argsort(-np.argsort(second)))[0, 1]


def slow_agreement(first, second) -> float:
    """Spearman's formula for values without ties: 1 - 6 sum d^2 / (n^3 - n)."""
    places = [[sum(other < value for other in values) for value in values] for values in (first, second)]
    n = len(places[0])
    return 1 - 6 * sum((a - b) ** 2 for a, b in zip(*places)) / (n**3 - n)


def check_rank_agreement(function: Function) -> None:
    first = np.array([10.0, 90.0, 30.0, 20.0])
    found = number_of(function(first, np.exp(first / 10)), "the agreement")
    assert np.isclose(found, 1), f"both put the four cells in the same order: expected 1, got {found:.3f}. Only the order counts"
    rng = np.random.default_rng(0)
    first, second = rng.permutation(8).astype(float), rng.permutation(8).astype(float)
    found = number_of(function(first, second), "the agreement")
    assert not np.isclose(found, _sorts_once(first, second)), \
        "argsort gives the cells in order, not the place of each cell: sort the order once more"
    wanted = slow_agreement(first, second)
    assert np.isclose(found, wanted), f"expected {wanted:.3f} for {first.tolist()} and {second.tolist()}, got {found:.3f}"
    found = number_of(function(first, -first), "the agreement")
    assert np.isclose(found, -1), f"the order is turned round: expected -1, got {found:.3f}"


# --- 9.2: the epoch at which the skip rule fires ---

def first_stop(skips, limit, after):
    for done, count in enumerate(skips, 1):
        if done > after and count >= limit:
            return done
    return None


def _strictly_more(skips, limit, after):
    return next((done for done, count in enumerate(skips, 1) if done > after and count > limit), None)


def _index_of_the_epoch(skips, limit, after):
    return next((epoch for epoch, count in enumerate(skips) if epoch >= after and count >= limit), None)


def _adds_up(skips, limit, after):
    return next((done for done, total in enumerate(np.cumsum(skips), 1) if done > after and total >= limit), None)


def _looks_at_once(skips, limit, after):
    return next((done for done, count in enumerate(skips, 1) if count >= limit), None)


def _last_epoch(skips, limit, after):
    return next((done for done, count in enumerate(skips, 1) if done > after and count >= limit), len(skips))


def check_first_stop(function: Function) -> None:
    assert function([0, 1, 1, 0, 1], 2, 0) is None, \
        "no cell has two skips, so the search is never stopped: return None (each epoch's count is for its own cell)"
    found = function([0, 1, 2, 1, 3], 2, 0)
    assert found is not None, "the third cell has two skips and the limit is 2: expected 3, got None (is there a `return`?)"
    found = number_of(found, "the number of epochs")
    assert found != 5, "expected 3, got 5: two skips reach the limit 2 already"
    assert found != 2, "expected 3, got 2: count the epochs that are done, the first epoch makes 1"
    assert found == 3, f"counts 0, 1, 2, 1, 3 with limit 2: expected 3, got {found:g}"
    found = function([3, 2, 0, 2], 2, 2)
    assert found == 4, f"counts 3, 2, 0, 2 with after = 2: the first two epochs are not looked at; expected 4, got {found}"


EXERCISES = (
    Exercise("9.1", "do two rankings agree?", 10, check_rank_agreement, rank_agreement,
             ((_values_themselves, "Only the order counts"), (_sorts_once, "the place of each cell"),
              (_share_in_place, "expected 0."), (_one_backwards, "expected 1"))),
    Exercise("9.2", "when the rule fires", 10, check_first_stop, first_stop,
             ((_strictly_more, "reach the limit 2 already"), (_index_of_the_epoch, "the first epoch makes 1"),
              (_adds_up, "for its own cell"), (_looks_at_once, "are not looked at"), (_last_epoch, "return None"))),
)
