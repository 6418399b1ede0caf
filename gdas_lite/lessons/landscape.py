"""Exercises of notebook 8: random search as an order statistic, the mutation of regularised evolution."""

from __future__ import annotations

import numpy as np

from ..benchmark.random_search import best_of_draws
from ..genotypes.notation import NASBENCH201_OPS
from .exercise import Exercise, Function, number_of

# --- 8.1: the test accuracy of the best of k by validation accuracy ---

def chosen_test(valid, test, k):
    _, level, counts = np.unique(valid, return_inverse=True, return_counts=True)
    F = np.cumsum(counts) / len(valid)
    return (np.diff(F**k, prepend=0) * np.bincount(level, test) / counts).sum()


def _sees_test(valid, test, k):
    levels, counts = np.unique(test, return_counts=True)
    return (np.diff((np.cumsum(counts) / len(test))**k, prepend=0) * levels).sum()


def _forgets_ties(valid, test, k):
    order = np.argsort(valid, kind="stable")
    return (np.diff((np.arange(1, len(valid) + 1) / len(valid))**k, prepend=0) * test[order]).sum()


def check_chosen_test(function: Function) -> None:
    valid, test = np.array([2.0, 5.0, 5.0, 1.0]), np.array([30.0, 10.0, 20.0, 40.0])
    found = number_of(function(valid, test, 1), "the mean")
    assert np.isclose(found, 25), f"with k = 1 any cell is as likely: expected the mean of test, 25, got {found:.4f}"
    found = number_of(function(valid, test, 2), "the mean")
    assert not np.isclose(found, 31.25), "31.25 is the best *test* of two draws; the search cannot see test accuracy"
    assert not np.isclose(found, [20, 18.75]).any(), "the two cells with valid 5 are one level: F jumps there once, by 2/4"
    assert np.isclose(found, 19.375), f"two draws of four cells, two of them with equal valid: expected 19.375, got {found:.4f}"
    rng = np.random.default_rng(0)
    valid = np.round(rng.uniform(0, 100, 400))
    test = valid + rng.normal(0, 5, 400)
    wanted = float(best_of_draws(valid, test, [50], (0.5,))[0][0])
    found = number_of(function(valid, test, 50), "the mean")
    assert np.isclose(found, wanted), f"400 cells, 50 draws: expected {wanted:.4f}, got {found:.4f}"


# --- 8.2: a child with exactly one change ---

def mutate(parent, rng):
    child, edge = list(parent), rng.integers(6)
    others = [op for op in NASBENCH201_OPS if op != parent[edge]]
    child[edge] = others[rng.integers(4)]
    return child


def _in_place(parent, rng):
    edge = rng.integers(6)
    parent[edge] = next(op for op in NASBENCH201_OPS if op != parent[edge])
    return parent


def _may_repeat(parent, rng):
    child = list(parent)
    child[rng.integers(6)] = NASBENCH201_OPS[rng.integers(5)]
    return child


def _two_edges(parent, rng):
    return ["none", "none", *parent[2:]]


def _node_first(parent, rng):
    child, node = list(parent), rng.integers(3)
    child[(0, 1, 3)[node] + rng.integers(node + 1)] = ("none", *NASBENCH201_OPS[2:])[rng.integers(4)]
    return child


def _always_none(parent, rng):
    child = list(parent)
    child[rng.integers(6)] = "none"
    return child


def check_mutate(function: Function) -> None:
    parent, rng, children = ["skip_connect"] * 6, np.random.default_rng(0), []
    for _ in range(3000):
        child = function(parent, rng)
        assert isinstance(child, list | tuple) and len(child) == 6, "return the child: a list of six operations"
        assert parent == ["skip_connect"] * 6, "the parent has changed: it is still in the population, copy it first"
        children.append(list(child))
    changes = [sum(op != "skip_connect" for op in child) for child in children]
    assert min(changes) > 0, "a child is equal to its parent: the new operation must be another one"
    assert max(changes) == 1, f"a child differs on {max(changes)} edges, only one may change"
    edges = np.bincount([next(e for e in range(6) if child[e] != "skip_connect") for child in children], minlength=6)
    assert np.ptp(edges) < 200, f"the edges were changed {edges.tolist()} times; each should be as likely"
    new = [next(op for op in child if op != "skip_connect") for child in children]
    counts = [new.count(op) for op in NASBENCH201_OPS if op != "skip_connect"]
    assert min(counts) > 600, f"of 3,000 children each other operation should be in about 750, got {counts}"


EXERCISES = (
    Exercise("8.1", "the expected best of k", 15, check_chosen_test, chosen_test,
             ((_sees_test, "cannot see test accuracy"), (_forgets_ties, "are one level"))),
    Exercise("8.2", "a child with exactly one change", 10, check_mutate, mutate,
             ((_in_place, "the parent has changed"), (_may_repeat, "equal to its parent"), (_two_edges, "differs on 2 edges"),
              (_node_first, "each should be as likely"), (_always_none, "in about 750"))),
)
