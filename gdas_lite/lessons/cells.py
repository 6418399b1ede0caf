"""Exercises of notebook 1: reading a cell, and how many there are."""

from __future__ import annotations

import math

from ..genotypes.nasbench201 import NASBench201Genotype
from .exercise import Exercise


def incoming(arch: str, node: int) -> list[tuple[str, int]]:
    part = arch.split("+")[node - 1].strip("|")
    return [(op, int(source)) for op, source in (entry.split("~") for entry in part.split("|"))]


def count_cells(nodes: int, operations: int) -> int:
    return math.prod(math.comb(inputs, 2) * operations**2 for inputs in range(2, 2 + nodes))


def _random_strings(rng):
    return [(str(NASBench201Genotype.random(rng)), node) for _ in range(8) for node in (3, 1, 2)]


def _spaces(rng):
    return (1, 7), (2, 7), (4, 7), (3, 1), *(tuple(rng.integers((1, 2), (6, 10)).tolist()) for _ in range(8))


def _product(ways):
    """A wrong number of cells. ways: (maps to choose from, operations) -> choices of one node."""
    return lambda nodes, operations: math.prod(ways(inputs, operations) for inputs in range(2, 2 + nodes))


EXERCISES = (
    Exercise("1.1", "read an architecture string", 10, incoming, _random_strings, "the list of pairs", (
        (lambda arch, n: [(op, str(k)) for op, k in incoming(arch, n)], "the node is a number: int('2'), not '2'"),
        (lambda arch, n: incoming(arch, n % 3 + 1),
         "the string's first part belongs to node 1: nothing leads into node 0"),
        (lambda arch, n: [pair[::-1] for pair in incoming(arch, n)], "the operation stands first in each pair"),
        (lambda arch, n: [op for op, _ in incoming(arch, n)],
         "each operation comes with the node that it reads: pairs"),
        (lambda arch, n: [pair for pair in incoming(arch, n) if pair[0] != "none"],
         "`none` is an operation like the others"),
    ), reminder="the string's first part belongs to node 1"),
    Exercise("1.2", "how many cells", 10, count_cells, _spaces, "the number of cells", (
        (_product(lambda i, ops: i * (i - 1) * ops**2),
         "(0, 1) and (1, 0) are one choice: a sum does not know an order"),
        (_product(lambda i, ops: math.comb(i, 2) * ops),
         "each of the two edges has an operation of its own: 7 times 7"),
        (_product(lambda i, ops: i * i * ops**2), "the two maps of a node are different ones"),
        (_product(lambda i, ops: ops**2), "a node also chooses which two of the maps before it it takes"),
        (lambda nodes, ops: sum(math.comb(i + 2, 2) * ops**2 for i in range(nodes)),
         "nodes go together: multiply, do not add"),
    ), reminder="node i chooses 2 of i + 2 maps, i = 0, 1, ..."),
)
