"""Exercises of notebook 8 on perfect weights: a table of all cells as a function that a gradient can climb."""

from __future__ import annotations

import numpy as np

from .exercise import Exercise


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
    """Tables of 1 to 4 edges with 2 to 5 operations, each with alpha; some rows of its softmax are nearly one-hot."""
    for edges, operations in ((2, 3), (1, 4), (3, 2), (3, 5), (4, 3), (2, 2)):
        alpha = rng.normal(scale=rng.choice([0.5, 2, 6]), size=(edges, operations))
        yield rng.normal(60, 20, (operations,) * edges), alpha


def _tables(rng):
    return [(table, _softmax(alpha)) for table, alpha in _alphas(rng)]


def _slopes_with(p_of=_softmax, mean=lambda p, g: (p * g).sum(1, keepdims=True)):
    """A wrong gradient towards alpha, by what is exchanged."""
    def gradient(table, alpha):
        p = p_of(alpha)
        g = slopes(table, p)
        return p * (g - mean(p, g))
    return gradient


EXERCISES = (
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
        (_slopes_with(mean=lambda p, g: g.mean(1, keepdims=True)),
         "the mean is weighted by p: a row must sum to 0"),
        (_slopes_with(lambda a: _softmax(a, None), mean=lambda p, g: (p * g).sum()),
         "each edge has a softmax of its own: `keepdims`, `axis=1`"),
        (_slopes_with(mean=lambda p, g: (p * g).sum()), "the mean is that of the row, not of all edges"),
    ), _alphas, reminder="on each row p times (slope minus the row's mean of the slopes under p), as in exercise 2.2"),
)
