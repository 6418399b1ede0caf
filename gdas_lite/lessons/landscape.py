"""Exercises of notebook 8: random search as an order statistic, the mutation of regularised evolution."""

from __future__ import annotations

import numpy as np

from ..genotypes.notation import NASBENCH201_OPS
from .exercise import Exercise, Function, Refused, complaint


def chosen_test(valid, test, k):
    _, level, counts = np.unique(valid, return_inverse=True, return_counts=True)
    F = np.cumsum(counts) / len(valid)
    return (np.diff(F**k, prepend=0) * np.bincount(level, test) / counts).sum()


def mutate(parent, rng):
    child, edge = list(parent), rng.integers(6)
    others = [op for op in NASBENCH201_OPS if op != parent[edge]]
    child[edge] = others[rng.integers(4)]
    return child


def _accuracies(rng):
    """Validation accuracies with ties, test accuracies that disagree with them in part."""
    trials = [(np.array([2.0, 5.0, 5.0, 1.0]), np.array([30.0, 10.0, 20.0, 40.0]), k) for k in (1, 2)]
    for cells, k in ((7, 3), (40, 5), (1, 4), (400, 50), (12, 2)):
        valid = rng.integers(0, 1 + cells // 2, cells).astype(float)
        trials.append((valid, valid + rng.normal(50, cells / 4, cells), k))
    return trials


def _forgets_ties(valid, test, k):
    places = np.arange(1, len(valid) + 1) / len(valid)
    return (np.diff(places**k, prepend=0) * test[np.argsort(valid, kind="stable")]).sum()


def check_mutate(function: Function) -> None:
    rng, edges, pairs = np.random.default_rng(0), np.zeros(6, int), np.zeros((5, 5), int)
    for number in range(4000):
        parent = rng.choice(NASBENCH201_OPS, 6).tolist()
        child = function(parent, np.random.default_rng(number))
        if sentence := complaint(child, parent, "the child, its six operations,"):
            raise Refused(sentence)
        child = [str(op) for op in child]
        if strange := set(child) - set(NASBENCH201_OPS):
            raise Refused(f"{strange.pop()!r} is no operation of this space: {', '.join(NASBENCH201_OPS)}")
        changed = [edge for edge in range(6) if child[edge] != parent[edge]]
        if not changed:
            raise Refused("a child is equal to its parent: the new operation must be another one")
        if len(changed) > 1:
            raise Refused(f"a child differs on {len(changed)} edges, only one may change")
        if number < 20 and [str(op) for op in function(parent, np.random.default_rng(number))] != child:
            raise Refused("an `rng` in the same state gave two children: draw from `rng` and nothing else")
        edges[changed] += 1
        pairs[NASBENCH201_OPS.index(parent[changed[0]]), NASBENCH201_OPS.index(child[changed[0]])] += 1
    if np.ptp(edges) > 200:                         # 667 each, give or take 24
        raise Refused(f"the edges were changed {edges.tolist()} times; each should be as likely")
    counts = pairs[~np.eye(5, dtype=bool)]
    if counts.min() < 130 or counts.max() > 275:    # 200 each, give or take 14
        op, other = np.unravel_index(np.abs(pairs - 200 * (1 - np.eye(5))).argmax(), (5, 5))
        raise Refused(f"each of the other operations should be as likely; but {NASBENCH201_OPS[op]} became "
                      f"{NASBENCH201_OPS[other]} {pairs[op, other]} times where about 200 are expected")


EXERCISES = (
    Exercise("8.1", "the expected best of k", 15, chosen_test, "the mean", (
        (lambda valid, test, k: chosen_test(test, test, k),
         "that is the best *test* of k draws; the search cannot see test accuracy"),
        (lambda valid, test, k: chosen_test(valid, valid, k),
         "that is validation accuracy; asked is the winner's *test*"),
        (_forgets_ties,
         "cells with equal valid are one level: F jumps there once, and its test is the mean over its cells"),
        (lambda valid, test, k: test.mean(), "k has no effect: with more draws better cells win"),
        (lambda valid, test, k: test[valid == valid.max()].mean(),
         "that is the best of all cells; k draws may miss it"),
    ), _accuracies,
        reminder="the winner's level is an order statistic of valid; its test is the mean over the cells of that "
                 "level"),
    Exercise("8.2", "a child with exactly one change", 10, mutate, judge=check_mutate),
)
