"""Text notations of genotypes, read without ever evaluating them.

Two foreign notations become plain dictionaries here; `genotype.py` gives them their meaning:

* JSON text, the notation of this package;
* the Python text that the DARTS code prints, `Genotype(normal=[('sep_conv_3x3', 1), ...], ...)`, also with
  the pairs grouped by node, with a third number (the strength), or as the dictionary
  `{'normal': [...], 'normal_concat': [...], ...}`, as AutoDL-Projects prints it.

Strings from elsewhere are parsed into literals; a call, a name or an operator in them is an error.
"""

from __future__ import annotations

import ast
import difflib
import json
import warnings
from collections.abc import Iterable
from typing import Any

MAX_TEXT = 100_000      # characters; a genotype has some hundreds
MAX_RANGE = 64          # entries a `range(...)` in a genotype may have

AUTODL_NAMES = {        # operation names of AutoDL-Projects' search code -> those of the DARTS code
    "dua_sepc_3x3": "sep_conv_3x3",
    "dua_sepc_5x5": "sep_conv_5x5",
    "dil_sepc_3x3": "dil_conv_3x3",
    "dil_sepc_5x5": "dil_conv_5x5",
}


def shown(value: object, limit: int = 80) -> str:
    """`repr` of a foreign value, cut to `limit` characters, so that an error stays one readable sentence."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(name: object, known: Iterable[str]) -> str:
    """What to try instead of an unknown name: the nearest known ones, or all of them if none is near.

    Example: nearest("sep_conv_3x4", ["sep_conv_3x3", "none"]) == "did you mean sep_conv_3x3?"
    """
    names = list(known)
    lowered = {known_name.lower(): known_name for known_name in names}
    close = difflib.get_close_matches(str(name)[:200].lower(), lowered, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(lowered[match] for match in close)}?"
    return f"known are {', '.join(names)}"


def read_json_object(text: str) -> dict[str, Any]:
    """JSON text of one object as a dictionary. Raises ValueError with one sentence for anything else."""
    check_length(text)
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("Genotype: the JSON text is nested too deeply to be a genotype") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"Genotype: not JSON, {error.msg} at {place}") from None
    except ValueError:      # a number with more digits than Python converts
        raise ValueError("Genotype: the JSON text holds a number with too many digits") from None
    if not isinstance(value, dict):
        raise ValueError(f"Genotype: expected a JSON object {{...}}, got {shown(value)}")
    return value


def read_darts_text(text: str) -> dict[str, Any]:
    """The DARTS code's `Genotype(...)` text as a dictionary of lists, strings and numbers.

    Source of the notation: `Genotype` in the DARTS code (cnn/genotypes.py, rnn/genotypes.py).
    `normal` and `reduce` come back grouped: one list of [operation, input] pairs for each node.
    Raises ValueError if the text is not one call of Genotype with keyword arguments that are literals, or one
    dictionary of literals.
    """
    fields: dict[str, Any] = {}
    for name, value in _named_values(_expression(text), text):
        if not isinstance(name, str) or name in fields:
            raise ValueError("Genotype text: each field has a name and is written once")
        fields[name] = _literal(value)
    for name in ("normal", "reduce"):
        if fields.get(name) is not None:
            fields[name] = _by_node(fields[name], name)
    return fields


def check_length(text: str) -> None:
    """Raises TypeError if `text` is not a string, ValueError if it is far too long to be a genotype."""
    if not isinstance(text, str):
        raise TypeError(f"Genotype: expected text, got {type(text).__name__}")
    if len(text) > MAX_TEXT:
        raise ValueError(f"Genotype: {len(text)} characters are too many for a genotype (at most {MAX_TEXT})")


def _expression(text: str) -> ast.expr:
    check_length(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")      # what Python would warn about is not a genotype either
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError, Warning):
        raise ValueError(f"Genotype: cannot read {shown(text)} as Genotype(normal=[...], ...)") from None


def _named_values(tree: ast.expr, text: str) -> list[tuple[Any, ast.expr]]:
    """(name, value) of each field of `Genotype(name=value)` or `{'name': value}`."""
    if isinstance(tree, ast.Dict):
        return [(key.value if isinstance(key, ast.Constant) else None, value)
                for key, value in zip(tree.keys, tree.values)]
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "Genotype"):
        raise ValueError(f"Genotype: expected the text Genotype(...), got {shown(text)}")
    if tree.args:
        raise ValueError("Genotype text: fields are written name=value, this one has a value without a name")
    return [(keyword.arg, keyword.value) for keyword in tree.keywords]


def _literal(node: ast.expr) -> Any:
    """Lists, tuples, strings, numbers, None and range(...) of an expression tree; ValueError for the rest."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(element) for element in node.elts]
    if isinstance(node, ast.Constant) and (node.value is None or type(node.value) in (str, int, float)):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):     # a negative strength or input
        value = _literal(node.operand)
        if type(value) in (int, float):
            return -value
    is_range = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"
    if is_range and not node.keywords:
        return _range([_literal(argument) for argument in node.args])
    raise ValueError("Genotype text: it may hold only lists, tuples, strings, numbers, None and range(...)")


def _range(bounds: list[Any]) -> list[int]:
    are_small = all(type(bound) is int and 0 <= bound <= MAX_RANGE for bound in bounds)
    if not (1 <= len(bounds) <= 2 and are_small):
        raise ValueError(f"Genotype text: expected range(first, last + 1) with numbers 0..{MAX_RANGE}, "
                         f"got range of {shown(bounds)}")
    return list(range(*bounds))


def _by_node(entries: Any, kind: str) -> list[Any]:
    """Group the flat list of pairs, two for each node; drop strengths, the third entry of a pair."""
    if not isinstance(entries, list):
        raise ValueError(f"Genotype text, {kind} cell: expected a list of (operation, input) pairs, "
                         f"got {shown(entries)}")
    if entries and all(_is_pair(entry) for entry in entries):
        if len(entries) % 2:
            raise ValueError(f"Genotype text, {kind} cell: {len(entries)} (operation, input) pairs do not "
                             f"make two for each node")
        entries = [entries[i:i + 2] for i in range(0, len(entries), 2)]
    return [[pair[:2] if _is_pair(pair) else pair for pair in node] if isinstance(node, list) else node
            for node in entries]


def _is_pair(entry: Any) -> bool:
    """(operation, input) or (operation, input, strength); what starts with a list is a node, not a pair."""
    return isinstance(entry, list) and len(entry) in (2, 3) and not isinstance(entry[0], list)
