"""When the description of a cell is well formed: the checks that the genotype classes share.

Each check returns the value in its canonical form (tuples, plain strings and ints) or raises ValueError with
one sentence that says where in the cell something is wrong, what was expected and what came.
"""

from __future__ import annotations

import itertools
import operator
import re
from typing import Any

from gdas_lite.notation import AUTODL_NAMES, nearest, shown

NASBENCH201_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NASNET_GENOTYPE_OPS = (     # the seven candidates that can be chosen, then three of published cells only
    "skip_connect", "max_pool_3x3", "avg_pool_3x3", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5", "sep_conv_7x7", "conv_7x1_1x7", "conv_3x1_1x3",
)
RECURRENT_ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")

Pair = tuple[str, int]              # (operation, input)
Cell = tuple[tuple[Pair, Pair], ...]


def edges_into(node: int, group: str) -> list[tuple[str, int]]:
    """(operation, input) of each edge in `|op~0|op~1|`, the text of one node. Raises ValueError."""
    where = f"NAS-Bench-201 cell, node {node}"
    if len(group) < 2 or group[0] != "|" or group[-1] != "|":
        raise ValueError(f"{where}: expected |op~input|...| between bars, got {shown(group)}")
    if group == "||":
        raise ValueError(f"{where}: it has no edge; write |none~0| for a node without input")
    edges: list[tuple[str, int]] = []
    for part in group[1:-1].split("|"):
        match = re.fullmatch(r"(\w+)~([0-9]{1,3})", part, flags=re.ASCII)
        if match is None:
            raise ValueError(f"{where}: expected operation~input such as nor_conv_3x3~0, got {shown(part)}")
        op, src = match[1], int(match[2])
        check_name(op, NASBENCH201_OPS, where)
        if src >= node:
            raise ValueError(f"{where}: input {src} does not come before it; inputs must be 0..{node - 1}")
        if edges and src == edges[-1][1]:
            raise ValueError(f"{where}: input {src} stands twice; an edge has one operation")
        if edges and src < edges[-1][1]:
            raise ValueError(f"{where}: inputs must rise, got {src} after {edges[-1][1]}")
        edges.append((op, src))
    return edges


def checked_cell(cell: Any, kind: str) -> Cell:
    nodes = sequence(cell, f"Genotype, {kind} cell", "a list of nodes")
    if not nodes:
        raise ValueError(f"Genotype, {kind} cell: expected at least one node, got none")
    return tuple(checked_node(node, index, kind) for index, node in enumerate(nodes, 2))


def checked_node(node: Any, index: int, kind: str) -> tuple[Pair, Pair]:
    where = f"Genotype, {kind} cell, node {index}"
    pairs = sequence(node, where, "two (operation, input) pairs")
    if len(pairs) != 2:
        count = {0: "no input", 1: "one input", 3: "three inputs"}.get(len(pairs), f"{len(pairs)} inputs")
        raise ValueError(f"{where}: it has {count}; a node has exactly two (operation, input) pairs")
    first, second = (checked_pair(pair, NASNET_GENOTYPE_OPS, index - 1, where) for pair in pairs)
    return first, second


def checked_pair(pair: Any, known: tuple[str, ...], last_input: int, where: str) -> Pair:
    entries = sequence(pair, where, "an (operation, input) pair")
    if len(entries) != 2:
        raise ValueError(f"{where}: expected an (operation, input) pair, got {shown(pair)}")
    name, source = entries
    if isinstance(source, str) and not isinstance(name, str):
        raise ValueError(f"{where}: expected (operation, input), got {shown(pair)}; swap the two")
    name = AUTODL_NAMES.get(name, name) if isinstance(name, str) else name
    check_name(name, known, where)
    index = _index(source, f"{where}: the input")
    if index < 0:
        raise ValueError(f"{where}: input {index} does not exist; inputs must be 0..{last_input}")
    if index > last_input:
        raise ValueError(f"{where}: input {shown(index)} does not exist yet; inputs must be 0..{last_input}")
    return name, index


def checked_concat(concat: Any, first: int, last: int, where: str) -> tuple[int, ...]:
    """Indices that rise and lie in first..last, as a tuple. Raises ValueError."""
    where = f"Genotype, {where}, concat"
    entries = sequence(concat, where, "a list of nodes")
    indices = tuple(_index(entry, f"{where}: an entry") for entry in entries)
    if not indices:
        raise ValueError(f"{where}: expected at least one node, got none")
    for index in indices:
        if not first <= index <= last:
            raise ValueError(f"{where}: node {shown(index)} does not exist; it can hold {first}..{last}")
    if any(a >= b for a, b in itertools.pairwise(indices)):
        raise ValueError(f"{where}: each node stands once and in rising order, got {shown(indices)}")
    return indices


def check_name(name: Any, known: tuple[str, ...], where: str) -> None:
    if name is None or name == "":
        raise ValueError(f"{where}: the operation is missing; {nearest('', known)}")
    if not isinstance(name, str):
        raise ValueError(f"{where}: expected the name of an operation, got {shown(name)}")
    if name == "none" and "none" not in known:
        raise ValueError(f"{where}: none is a candidate of the search, not an operation of a found cell; "
                         f"choose another")
    if name not in known:
        raise ValueError(f"{where}: unknown operation {shown(name)}, {nearest(name, known)}")


def _index(value: Any, what: str) -> int:
    if isinstance(value, bool):
        raise ValueError(f"{what} must be a whole number, got {value}")
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{what} must be a whole number, got {shown(value)}") from None


def sequence(value: Any, where: str, expected: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple, range)):
        raise ValueError(f"{where}: expected {expected}, got {shown(value)}")
    return tuple(value)


def fields_of(data: Any, space: str, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a JSON object without "space". Raises ValueError if one is missing, unknown or wrong."""
    if not isinstance(data, dict):
        raise ValueError(f"Genotype: expected a JSON object, got {shown(data)}")
    if data.get("space", space) != space:
        raise ValueError(f"Genotype: expected space {space}, got {shown(data['space'])}")
    fields = {name: value for name, value in data.items() if name != "space"}
    for name in required:
        if name not in fields:
            raise ValueError(f"Genotype ({space}): the field {name} is missing")
    for name in fields:
        if name not in required + optional:
            raise ValueError(f"Genotype ({space}): unknown field {shown(name)}, "
                             f"{nearest(name, required + optional)}")
    return fields
