"""Exercises of notebook 1: reading a cell, and how many there are."""

from __future__ import annotations

import math

from .exercise import Exercise, Function, number_of

# --- 1.1: read an architecture string ---

def incoming(arch: str, node: int) -> list[tuple[str, int]]:
    part = arch.split("+")[node - 1].strip("|")
    return [(op, int(source)) for op, source in (entry.split("~") for entry in part.split("|"))]


def _forgets_the_number(arch: str, node: int) -> list[tuple[str, str]]:
    part = arch.split("+")[node - 1].strip("|")
    return [tuple(entry.split("~")) for entry in part.split("|")]


def _counts_from_zero(arch: str, node: int) -> list[tuple[str, int]]:
    part = arch.split("+")[node % 3].strip("|")
    return [(op, int(source)) for op, source in (entry.split("~") for entry in part.split("|"))]


ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"


def check_incoming(function: Function) -> None:
    found = function(ARCH, 3)
    assert isinstance(found, list | tuple), f"return a list of (operation, node) pairs, got {type(found).__name__}"
    found = [tuple(pair) for pair in found]
    assert not any(isinstance(source, str) for _, source in found), "the node is a number: int('2'), not '2'"
    assert found == [("avg_pool_3x3", 0), ("none", 1), ("nor_conv_1x1", 2)], (
        f"into node 3 lead avg_pool_3x3 from 0, none from 1 and nor_conv_1x1 from 2, got {found}; the string's first part "
        "belongs to node 1, for nothing leads into node 0")
    assert [tuple(pair) for pair in function(ARCH, 1)] == [("nor_conv_3x3", 0)], (
        "into node 1 leads nor_conv_3x3 from 0, nothing else")


# --- 1.2: how many cells ---

def count_cells(nodes: int, operations: int) -> int:
    return math.prod(math.comb(inputs, 2) * operations**2 for inputs in range(2, 2 + nodes))


def _ordered_pairs(nodes: int, operations: int) -> int:
    return math.prod(inputs * (inputs - 1) * operations**2 for inputs in range(2, 2 + nodes))


def _one_operation_a_node(nodes: int, operations: int) -> int:
    return math.prod(math.comb(inputs, 2) * operations for inputs in range(2, 2 + nodes))


def check_count_cells(function: Function) -> None:
    first = number_of(function(1, 7), "the number of cells with one node")
    assert first != 7, "each of the two edges has an operation of its own: 7 for the one times 7 for the other"
    assert first != 98, "(input 0, input 1) and (input 1, input 0) are one choice: a sum does not know an order"
    assert first == 49, f"one node takes both inputs, with 7 operations on each: 49 cells, got {first:g}"
    second = number_of(function(2, 7), "the number of cells with two nodes")
    assert second == 49 * 3 * 49, (
        f"the second node chooses 2 of 3 (two inputs and the first node), 3 ways, times 49: {49 * 3 * 49:,} in all, got "
        f"{second:,.0f}")
    assert number_of(function(4, 7), "the number of cells") == count_cells(4, 7), (
        "right for one and two nodes, wrong for four: node i chooses 2 of i + 2 sources, i = 0, 1, 2, 3")


EXERCISES = (
    Exercise("1.1", "read an architecture string", 10, check_incoming, incoming,
             ((_forgets_the_number, "the node is a number"), (_counts_from_zero, "belongs to node 1"))),
    Exercise("1.2", "how many cells", 10, check_count_cells, count_cells,
             ((_ordered_pairs, "one choice"), (_one_operation_a_node, "an operation of its own"))),
)
