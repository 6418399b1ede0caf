"""Exercises of notebook 8: random search as an order statistic, the mutation of regularised evolution, and perfect
weights, a table of all cells as a function that a gradient can climb.
"""

import numpy as np

from ..genotypes.notation import BENCHMARK_OPS
from .exercise import Exercise, Function, complaint
from .guarding import Refused


def chosen_test(valid, test, k):
    _, level, counts = np.unique(valid, return_inverse=True, return_counts=True)
    F = np.cumsum(counts) / len(valid)
    return (np.diff(F**k, prepend=0) * np.bincount(level, test) / counts).sum()


def mutate(parent, rng):
    child, edge = list(parent), rng.integers(6)
    others = [op for op in BENCHMARK_OPS if op != parent[edge]]
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
    counts = np.zeros((5, 6, 5), int)               # parents, edges, operations
    for number in range(6000):
        parent = [BENCHMARK_OPS[(edge // 2 + number) % 5] for edge in range(6)]     # three of the five operations
        child = function(parent, np.random.default_rng(number))
        if sentence := complaint(child, parent, "the child, its six operations,"):
            raise Refused(sentence)
        child = [str(op) for op in child]
        if strange := set(child) - set(BENCHMARK_OPS):
            raise Refused(f"{strange.pop()!r} is no operation of this space: {', '.join(BENCHMARK_OPS)}")
        changed = [edge for edge in range(6) if child[edge] != parent[edge]]
        if not changed:
            raise Refused("a child is equal to its parent: the new operation must be another one")
        if len(changed) > 1:
            raise Refused(f"a child differs on {len(changed)} edges, only one may change")
        if number < 20 and [str(op) for op in function(parent, np.random.default_rng(number))] != child:
            raise Refused("an `rng` in the same state gave two children: draw from `rng` and nothing else")
        counts[number % 5, changed, BENCHMARK_OPS.index(child[changed[0]])] += 1
    if np.ptp(edges := counts.sum((0, 2))) > 250:   # 1,000 each, give or take 29
        raise Refused(f"the edges were changed {edges.tolist()} times; each should be as likely")
    for (number, edge, k), seen in np.ndenumerate(counts):
        op, other = BENCHMARK_OPS[(edge // 2 + number) % 5], BENCHMARK_OPS[k]
        if op != other and not 22 < seen < 82:      # 50, give or take 7
            raise Refused(f"each of the other operations should be as likely; but {op} on edge {edge} became {other} "
                          f"{seen} times where about 50 are expected")


def relaxed_accuracy(table, h):
    for row in h:
        table = np.tensordot(row, table, 1)         # the first edge of those that are left
    return table


def slopes(table, h):
    gradient = np.zeros_like(h)
    for edge, k in np.ndindex(h.shape):
        chosen = h.copy()
        chosen[edge] = np.eye(h.shape[1])[k]        # operation k, whole, on this edge
        gradient[edge, k] = relaxed_accuracy(table, chosen)
    return gradient


def alpha_slopes(table, alpha):
    p = np.exp(alpha) / np.exp(alpha).sum(1, keepdims=True)
    g = slopes(table, p)
    return p * (g - (p * g).sum(1, keepdims=True))


def _softmax(alpha, axis=1):
    return np.exp(alpha) / np.exp(alpha).sum(axis, keepdims=True)


def _alphas(rng):
    """Tables of 1 to 4 edges with 2 to 5 operations, each with alpha; some rows of its softmax are nearly one-hot.

    Some tables have values below zero."""
    for mean, edges, operations in ((60, 2, 2), (60, 2, 3), (0, 1, 4), (60, 3, 2), (0, 3, 5), (60, 4, 3), (0, 2, 2)):
        alpha = rng.normal(scale=rng.choice([0.5, 2, 6]), size=(edges, operations))
        yield rng.normal(mean, 20, (operations,) * edges), alpha


def _tables(rng):
    """h with rows that sum to 1; in every third trial any numbers."""
    return [(table, 2 * np.tanh(alpha) if trial % 3 == 2 else _softmax(alpha))
            for trial, (table, alpha) in enumerate(_alphas(rng))]


def _slopes_with(p_of=_softmax, mean=lambda p, g: (p * g).sum(1, keepdims=True)):
    """A wrong gradient towards alpha, by what is exchanged."""
    def gradient(table, alpha):
        p = p_of(alpha)
        g = slopes(table, p)
        return p * (g - mean(p, g))
    return gradient


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
    ), _accuracies, reminder="the winner's level is an order statistic of valid; its test is the mean over its cells"),
    Exercise("8.2", "a child with exactly one change", 10, mutate, judge=check_mutate),
    Exercise("8.3", "a table as a function", 15, relaxed_accuracy, "f(h)", (
        (lambda table, h: relaxed_accuracy(table.T, h),
         "the edges are taken in the wrong order: row e of h belongs to axis e of the table"),
        (lambda table, h: table[tuple(h.argmax(1))],
         "that is the accuracy of one cell, the most probable; f mixes all"),
        (lambda table, h: table.mean(), "h has no effect"),
        (lambda table, h: sum(np.tensordot(row, table.mean(tuple(a for a in range(len(h)) if a != e)), 1)
                              for e, row in enumerate(h)) / len(h),
         "a mean over edges forgets how they act together: each cell counts by the *product* of its entries"),
        (lambda table, h: relaxed_accuracy(table, h) / table.size, "the products sum to 1 over all cells: no mean"),
        (lambda table, h: relaxed_accuracy(table, h / h.sum(1, keepdims=True)),
         "f is defined for any h, also where a row does not sum to 1: a sum, no weighted mean"),
    ), _tables,
        reminder="the sum over all cells of accuracy times the product over edges of h[e, the cell's operation on e]"),
    Exercise("8.4", "the slope at a relaxed cell", 10, slopes, "the gradient", (
        (lambda table, h: slopes(table, h) - relaxed_accuracy(table, h),
         "that is how much f changes if the edge is set to k; the derivative is f with k, whole, on that edge"),
        (lambda table, h: h * slopes(table, h), "do not multiply by h: the entry that is differentiated drops out"),
        (lambda table, h: slopes(table, h) / len(h), "each entry is a derivative by itself: no mean over edges"),
        (lambda table, h: slopes(table, np.eye(h.shape[1])[h.argmax(1)]),
         "the other edges stay as they are, soft: do not round them to one operation"),
        (lambda table, h: slopes(table, np.full_like(h, 1 / h.shape[1])), "h has no effect on your slopes"),
    ), _tables, reminder="entry (e, k) is f with row e of h replaced by a 1 at k and zeros elsewhere"),
    Exercise("8.5", "DARTS with perfect weights", 10, alpha_slopes, "the gradient towards alpha", (
        (lambda table, a: slopes(table, _softmax(a)),
         "that is the gradient towards h; the chain rule through the softmax is missing"),
        (lambda table, a: -alpha_slopes(table, a), "here accuracy rises: the gradient itself, not its negative"),
        (lambda table, a: alpha_slopes(table, a) / _softmax(a), "p stands in front of the bracket, too"),
        (_slopes_with(mean=lambda p, g: 0), "a row must sum to 0: the mean of its slopes under p is taken off"),
        (_slopes_with(mean=lambda p, g: g.mean(1, keepdims=True)), "the mean is weighted by p: a row must sum to 0"),
        (_slopes_with(lambda a: _softmax(a, None), mean=lambda p, g: (p * g).sum()),
         "each edge has a softmax of its own: `keepdims`, `axis=1`"),
        (_slopes_with(mean=lambda p, g: (p * g).sum()), "the mean is that of the row, not of all edges"),
    ), _alphas, reminder="on each row p times (slope minus the row's mean of the slopes under p), as in exercise 2.2"),
)
