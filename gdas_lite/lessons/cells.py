"""Exercises of notebooks 0 and 1: rank and regret, reading a cell, and how many there are."""

import math

from ..genotypes.nasbench201 import NASBench201Genotype
from .exercise import Exercise


def incoming(arch: str, node: int) -> list[tuple[str, int]]:
    part = arch.split("+")[node - 1].strip("|")
    return [(op, int(source)) for op, source in (entry.split("~") for entry in part.split("|"))]


def count_cells(nodes: int, operations: int) -> int:
    return math.prod(math.comb(inputs, 2) * operations**2 for inputs in range(2, 2 + nodes))


def rank_and_regret(accuracies, accuracy):
    better = [other for other in accuracies if other > accuracy]
    return 1 + len(better), max(accuracies) - accuracy


def _rankings(rng):
    """Lists with equal and nearly equal values; the cell asked for is the best, the worst, in between."""
    for cells in (5, 1, 12, 30, 7):
        accuracies = rng.choice(rng.normal(80, 5, 1 + cells // 2), cells) + rng.choice([0, 1e-4, 0.01], cells)
        for accuracy in (accuracies.max(), accuracies.min(), accuracies[cells // 2]):
            yield accuracies.tolist(), float(accuracy)


def _product(ways):
    """A wrong number of cells. ways: (maps to choose from, operations) -> choices of one node."""
    return lambda nodes, operations: math.prod(ways(inputs, operations) for inputs in range(2, 2 + nodes))


EXERCISES = (
    Exercise("0.1", "rank and regret", 5, rank_and_regret, "the pair, rank and regret,", (
        (lambda all_, a: (1 + sum(x >= a for x in all_), max(all_) - a),
         "cells that are exactly as good do not count as better, and the cell itself does not"),
        (lambda all_, a: (sum(x > a for x in all_), max(all_) - a), "the best cell has rank 1, not 0"),
        (lambda all_, a: (1 + sum(x < a for x in all_), max(all_) - a), "rank 1 is the best cell, not the worst"),
        (lambda all_, a: (1 + sum(x > a for x in all_), a - max(all_)),
         "a regret is at least 0: the best minus this one"),
        (lambda all_, a: (1 + sum(x > a for x in all_), 100 - a),
         "the regret is against the best cell, not against 100 %"),
        (lambda all_, a: rank_and_regret(all_, a)[::-1], "the rank stands first, then the regret"),
        (lambda all_, a: (1 + sum(x > a for x in set(all_)), max(all_) - a),
         "of cells that are equally good each counts: no `set`"),
    ), _rankings, reminder="1 plus how many are strictly better, and the best minus this one"),
    Exercise("1.1", "read an architecture string", 10, incoming, "the list of pairs", (
        (lambda arch, n: [(op, str(k)) for op, k in incoming(arch, n)], "the node is a number: int('2'), not '2'"),
        (lambda arch, n: incoming(arch, n % 3 + 1),
         "the string's first part belongs to node 1: nothing leads into node 0"),
        (lambda arch, n: [pair[::-1] for pair in incoming(arch, n)], "the operation stands first in each pair"),
        (lambda arch, n: [op for op, _ in incoming(arch, n)],
         "each operation comes with the node that it reads: pairs"),
        (lambda arch, n: [pair for pair in incoming(arch, n) if pair[0] != "none"],
         "`none` is an operation like the others"),
    ), lambda rng: [(str(cell), node) for cell in map(NASBench201Genotype.random, [rng] * 8) for node in (3, 1, 2)],
        reminder="the string's first part belongs to node 1"),
    Exercise("1.2", "how many cells", 10, count_cells, "the number of cells", (
        (_product(lambda i, ops: i * (i - 1) * ops**2),
         "(0, 1) and (1, 0) are one choice: a sum does not know an order"),
        (_product(lambda i, ops: math.comb(i, 2) * ops),
         "each of the two edges has an operation of its own: 7 times 7"),
        (_product(lambda i, ops: i * i * ops**2), "the two maps of a node are different ones"),
        (_product(lambda i, ops: ops**2), "a node also chooses which two of the maps before it it takes"),
        (lambda nodes, ops: sum(math.comb(i + 2, 2) * ops**2 for i in range(nodes)),
         "nodes go together: multiply, do not add"),
    ), lambda rng: ((1, 7), (2, 7), (4, 7), (3, 1), *(tuple(rng.integers((1, 2), (6, 10)).tolist()) for _ in range(8))),
        reminder="node i chooses 2 of i + 2 maps, i = 0, 1, ..."),
)
