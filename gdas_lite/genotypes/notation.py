"""Text of any notation as plain lists, and the checks that the genotype classes share.

Two foreign notations become plain dictionaries here, which the classes then give their meaning: JSON text, the notation
of this package; and the Python text that the DARTS code prints, `Genotype(normal=[('sep_conv_3x3', 1), ...], ...)`,
also with the pairs grouped by node, with a third number (the strength), with positional fields, or as the dictionary
that AutoDL-Projects prints; scalars may look as NumPy 2 prints them, `np.float32(0.148)`. Text is parsed into literals,
never evaluated: any other call, a name or an operator in it is an error.

Each check returns the value in its canonical form (tuples, plain strings and ints) or raises ValueError with one
sentence that says where in the cell something is wrong, what was expected and what came.
"""

import ast
import difflib
import itertools
import json
import operator
import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ..runs.schema import once, said

NASBENCH201_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
BENCHMARK_OPS = NASBENCH201_OPS[:5]     # those of the benchmark's 15,625 cells; a candidate of one's own stands behind
NASNET_GENOTYPE_OPS = (     # the seven candidates that can be chosen, then three of published cells only
    "skip_connect", "max_pool_3x3", "avg_pool_3x3", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5", "sep_conv_7x7", "conv_7x1_1x7", "conv_3x1_1x3",
)
RECURRENT_ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")
ALL_OPS = (*NASBENCH201_OPS, *NASNET_GENOTYPE_OPS, *RECURRENT_ACTIVATIONS)
AUTODL_NAMES = {        # operation names of AutoDL-Projects' search code -> those of the DARTS code
    "dua_sepc_3x3": "sep_conv_3x3", "dua_sepc_5x5": "sep_conv_5x5", "dil_sepc_3x3": "dil_conv_3x3",
    "dil_sepc_5x5": "dil_conv_5x5"}
MAX_TEXT = 100_000      # characters; a genotype has some hundreds
MAX_RANGE = 64          # entries a `range(...)` in a genotype may have
DICTIONARIES = "dict|OrderedDict|(?:Simple)?[nN]amespace"       # what Python prints instead of `Genotype`
_MOST_NAMED = 20
_SCALARS = re.compile(r"((np|numpy|torch)\.)?(str_?|u?int\d*_?|float\d*_?|array|tensor|list|tuple)", re.ASCII)
_POSITIONAL = {2: ("recurrent", "concat"), 4: ("normal", "normal_concat", "reduce", "reduce_concat")}
Pair = tuple[str, int]              # (operation, input)
Cell = tuple[tuple[Pair, Pair], ...]


def nearest(name: object, known: Iterable[str]) -> str:
    """Returns what to try instead of an unknown name: the nearest known ones, or all of them if none is near.

    Example: nearest("sep_conv_3x4", ["sep_conv_3x3", "none"]) == "did you mean sep_conv_3x3?"
    """
    names = list(known)
    lowered = {known_name.lower(): known_name for known_name in names}
    close = difflib.get_close_matches(str(name)[:200].lower(), lowered, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(lowered[match] for match in close)}?"
    more = len(names) - _MOST_NAMED
    return f"known are {', '.join(names[:_MOST_NAMED])}" + f" and {more} more" * (more > 0)


def check_length(text: str) -> None:
    """Raises TypeError if `text` is not a string, ValueError if it is far too long to be a genotype."""
    if not isinstance(text, str):
        raise TypeError(f"Genotype: expected text, got {type(text).__name__}")
    if len(text) > MAX_TEXT:
        raise ValueError(f"Genotype: {len(text)} characters are too many for a genotype (at most {MAX_TEXT})")


def read_json_object(text: str) -> dict[str, Any]:
    """Returns the dictionary of a JSON text that begins with "{". Raises ValueError for anything else."""
    try:
        return json.loads(re.sub(r",(?=\s*[]}])", "", text), object_pairs_hook=once)
    except RecursionError:
        raise ValueError("Genotype: the JSON text is nested too deeply to be a genotype") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"Genotype: not JSON, {error.msg} at line {error.lineno}, column {error.colno}") from None
    except KeyError as name:
        raise ValueError(f"Genotype: the JSON text has the field {name} twice") from None
    except ValueError:      # a number with more digits than Python converts
        raise ValueError("Genotype: the JSON text holds a number with too many digits") from None


def read_darts_text(text: str) -> dict[str, Any]:
    """Returns the DARTS code's `Genotype(...)` text as a dictionary of lists, strings and numbers.

    Source of the notation: `Genotype` in the DARTS code (cnn/genotypes.py, rnn/genotypes.py).
    `normal` and `reduce` come back grouped: one list of [operation, input] pairs for each node. Fields without a name
    are those of the DARTS code, in its order. AutoDL-Projects' `connectN=None, connects=None` is left out.
    Raises ValueError if the text is not one call of Genotype, or one dictionary, of literals.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")      # what Python would warn about is not a genotype either
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError, Warning):
        raise ValueError(f"Genotype: cannot read {said(text)} as Genotype(normal=[...], ...)") from None
    if isinstance(tree, ast.Dict):
        pairs = [(key.value if isinstance(key, ast.Constant) else None, value)
                 for key, value in zip(tree.keys, tree.values)]
    elif not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and
              re.fullmatch(f"Genotype|{DICTIONARIES}", tree.func.id)):
        raise ValueError(f"Genotype: expected the text Genotype(...), got {said(text)}")
    elif len(tree.args) == 1 and isinstance(tree.args[0], ast.List) and tree.func.id != "Genotype":
        pairs = [(getattr(pair.elts[0], "value", None), pair.elts[1]) for pair in tree.args[0].elts
                 if isinstance(pair, (ast.Tuple, ast.List)) and len(pair.elts) == 2]
    elif tree.args and (tree.keywords or len(tree.args) not in _POSITIONAL):
        raise ValueError("Genotype text: fields are written name=value, this one has a value without a name")
    else:
        pairs = [*zip(_POSITIONAL.get(len(tree.args), ()), tree.args), *((key.arg, key.value) for key in tree.keywords)]
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if not isinstance(name, str) or name in fields:
            raise ValueError("Genotype text: each field has a name and is written once")
        fields[name] = _literal(value)
    return grouped({name: value for name, value in fields.items()
                    if name not in ("connectN", "connects") or value is not None})


def _literal(node: ast.expr) -> Any:
    """Lists, tuples, strings, numbers, None and range(...) of an expression tree; ValueError for the rest."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(element) for element in node.elts]
    if isinstance(node, ast.Constant) and (node.value is None or type(node.value) in (str, int, float)):
        return node.value
    if isinstance(node, ast.Name) and node.id in ("nan", "inf"):        # a strength
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):     # a negative strength or input
        value = _literal(node.operand)
        if type(value) in (int, float):
            return -value
    if isinstance(node, ast.Call):
        options, owner = {key.arg for key in node.keywords}, getattr(node.func, "value", node.func)
        # np.str_('...'), np.int64(1), tensor(0.1, device='cuda:0'): one value, with its type around it
        if len(node.args) == 1 and options <= {"dtype", "device"} and isinstance(owner, ast.Name) and \
                _SCALARS.fullmatch(ast.unparse(node.func)):
            return _literal(node.args[0])
        if owner is node.func and isinstance(owner, ast.Name) and owner.id == "range" and not options:
            bounds = [_literal(argument) for argument in node.args]
            if len(bounds) in (1, 2) and all(type(bound) is int and 0 <= bound <= MAX_RANGE for bound in bounds):
                return list(range(*bounds))
            raise ValueError(f"Genotype text: expected range(first, last + 1) with numbers 0..{MAX_RANGE}, got range "
                             f"of {said(bounds)}")
    raise ValueError("Genotype text: it may hold only lists, tuples, strings, numbers, None and range(...)")


def grouped(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields, pairs of `normal` and `reduce` two for each node and without their third entry, a strength.

    Raises ValueError where they are no pairs.
    """
    cells = {name: fields[name] for name in ("normal", "reduce") if fields.get(name) is not None}
    return fields | {name: _by_node(cell, name) for name, cell in cells.items()}


def _by_node(entries: Any, kind: str) -> list[Any]:
    if not isinstance(entries, list):
        raise ValueError(f"Genotype text, {kind} cell: expected a list of (operation, input) pairs, got "
                         f"{said(entries)}")
    if entries and all(_is_pair(entry) for entry in entries):
        if len(entries) % 2:
            raise ValueError(f"Genotype text, {kind} cell: {len(entries)} (operation, input) pairs do not make two for "
                             "each node")
        entries = [entries[i:i + 2] for i in range(0, len(entries), 2)]
    return [[pair[:2] if _is_pair(pair) else pair for pair in node] if isinstance(node, list) else node
            for node in entries]


def _is_pair(entry: Any) -> bool:
    """(operation, input) or (operation, input, strength); what starts with a list is a node, not a pair."""
    return isinstance(entry, list) and len(entry) in (2, 3) and not isinstance(entry[0], list)


def fields_of(data: Any, space: str, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    """Returns the fields of a JSON object without "space". Raises ValueError if one is missing, unknown or wrong."""
    if not isinstance(data, dict):
        raise ValueError(f"Genotype: expected a JSON object, got {said(data)}")
    if data.get("space", space) != space:
        raise ValueError(f"Genotype: expected space {space}, got {said(data['space'])}")
    fields = {name: value for name, value in data.items() if name != "space"}
    for name in required:
        if name not in fields:
            raise ValueError(f"Genotype ({space}): the field {name} is missing")
    for name in fields:
        if name not in required + optional:
            raise ValueError(f"Genotype ({space}): unknown field {said(name)}, {nearest(name, required + optional)}")
    return fields


def sequence(value: Any, where: str, expected: str, entry: str = "") -> tuple[Any, ...]:
    """Returns a list as a tuple. entry: what it must have at least one of; "" for nothing. Raises ValueError."""
    if not isinstance(value, (list, tuple, range)):
        raise ValueError(f"{where}: expected {expected}, got {said(value)}")
    if entry and not value:
        raise ValueError(f"{where}: expected at least one {entry}, got none")
    return tuple(value)


def check_name(name: Any, known: tuple[str, ...], where: str) -> None:
    """Raises ValueError unless `name` is a known operation."""
    if name is None or name == "":
        raise ValueError(f"{where}: the operation is missing; {nearest('', known)}")
    if not isinstance(name, str):
        raise ValueError(f"{where}: expected the name of an operation, got {said(name)}")
    if name == "none" and "none" not in known:
        raise ValueError(f"{where}: none is a candidate of the search, not an operation of a found cell; choose "
                         "another")
    if name not in known:
        raise ValueError(f"{where}: unknown operation {said(name)}, {nearest(name, known)}")


def checked_cell(cell: Any, kind: str) -> Cell:
    """Returns the nodes of a cell, two (operation, input) pairs each. Raises ValueError."""
    found = []
    for index, node in enumerate(sequence(cell, f"Genotype, {kind} cell", "a list of nodes", "node"), 2):
        where = f"Genotype, {kind} cell, node {index}"
        pairs = sequence(node, where, "two (operation, input) pairs")
        if len(pairs) != 2:
            count = {0: "no input", 1: "one input", 3: "three inputs"}.get(len(pairs), f"{len(pairs)} inputs")
            raise ValueError(f"{where}: it has {count}; a node has exactly two (operation, input) pairs")
        found.append(tuple(checked_pair(pair, NASNET_GENOTYPE_OPS, index - 1, where) for pair in pairs))
    return tuple(found)


def checked_pair(pair: Any, known: tuple[str, ...], last_input: int, where: str) -> Pair:
    """Returns an (operation, input) pair with a known operation and an input in 0..last_input. Raises ValueError."""
    entries = sequence(pair, where, "an (operation, input) pair")
    if len(entries) != 2:
        raise ValueError(f"{where}: expected an (operation, input) pair, got {said(pair)}")
    name, source = entries
    if isinstance(source, str) and not isinstance(name, str):
        raise ValueError(f"{where}: expected (operation, input), got {said(pair)}; swap the two")
    name = AUTODL_NAMES.get(name, name) if isinstance(name, str) else name
    check_name(name, known, where)
    index = _index(source, f"{where}: the input")
    if not 0 <= index <= last_input:
        raise ValueError(f"{where}: input {said(index)} does not exist{' yet' if index > 0 else ''}; inputs must be "
                         f"0..{last_input}")
    return name, index


def checked_concat(concat: Any, first: int, last: int, where: str) -> tuple[int, ...]:
    """Returns indices that rise and lie in first..last, as a tuple. Raises ValueError."""
    where = f"Genotype, {where}, concat"
    indices = tuple(_index(entry, f"{where}: an entry") for entry in sequence(concat, where, "a list of nodes", "node"))
    for index in indices:
        if not first <= index <= last:
            raise ValueError(f"{where}: node {said(index)} does not exist; it can hold {first}..{last}")
    if any(a >= b for a, b in itertools.pairwise(indices)):
        raise ValueError(f"{where}: each node stands once and in rising order, got {said(indices)}")
    return indices


def _index(value: Any, what: str) -> int:
    with suppress(TypeError):
        if not isinstance(value, bool):
            return operator.index(value)
    raise ValueError(f"{what} must be a whole number, got {said(value)}")


def edges_into(node: int, group: str) -> list[tuple[str, int]]:
    """Returns (operation, input) of each edge in `|op~0|op~1|`, the text of one node. Raises ValueError."""
    where = f"NAS-Bench-201 cell, node {node}"
    if len(group) < 2 or group[0] != "|" or group[-1] != "|":
        raise ValueError(f"{where}: expected |op~input|...| between bars, got {said(group)}")
    if group == "||":
        raise ValueError(f"{where}: it has no edge; write |none~0| for a node without input")
    edges: list[tuple[str, int]] = []
    for part in group[1:-1].split("|"):
        match = re.fullmatch(r"(\w+)~([0-9]{1,3})", part, flags=re.ASCII)
        if match is None:
            raise ValueError(f"{where}: expected operation~input such as nor_conv_3x3~0, got {said(part)}")
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
