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


EXERCISES = (
    Exercise("1.1", "read an architecture string", 10, incoming, _random_strings, "the list of pairs", (
        (lambda arch, node: [(op, str(source)) for op, source in incoming(arch, node)], "the node is a number: int('2'), not '2'"),
        (lambda arch, node: incoming(arch, node % 3 + 1),
         "the string's first part belongs to node 1, for nothing leads into node 0"),
        (lambda arch, node: [(source, op) for op, source in incoming(arch, node)], "the operation stands first in each pair"),
        (lambda arch, node: [op for op, _ in incoming(arch, node)], "each operation comes with the node that it reads: pairs"),
        (lambda arch, node: [pair for pair in incoming(arch, node) if pair[0] != "none"],
         "`none` is an operation like the others, and stands in the list"),
    ), reminder="the string's first part belongs to node 1"),
    Exercise("1.2", "how many cells", 10, count_cells,
             lambda rng: ((1, 7), (2, 7), (4, 7), *((int(rng.integers(1, 6)), int(rng.integers(2, 10))) for _ in range(8)), (3, 1)),
             "the number of cells", (
        (lambda nodes, ops: math.prod(i * (i - 1) * ops**2 for i in range(2, 2 + nodes)),
         "(input 0, input 1) and (input 1, input 0) are one choice: a sum does not know an order"),
        (lambda nodes, ops: math.prod(math.comb(i, 2) * ops for i in range(2, 2 + nodes)),
         "each of the two edges has an operation of its own: 7 for the one times 7 for the other"),
        (lambda nodes, ops: math.prod(i * i * ops**2 for i in range(2, 2 + nodes)), "the two maps of a node are different ones"),
        (lambda nodes, ops: sum(math.comb(i, 2) * ops**2 for i in range(2, 2 + nodes)),
         "each choice of one node goes with each choice of the others: multiply, do not add"),
        (lambda nodes, ops: ops ** (2 * nodes), "a node also chooses which two of the maps before it it takes"),
        (lambda nodes, ops: ops**2 * math.prod(math.comb(i, 2) for i in range(2, 2 + nodes)),
         "the operations are chosen anew in every node: they belong into the product"),
    ), reminder="node i chooses 2 of i + 2 maps, i = 0, 1, ..."),
)
