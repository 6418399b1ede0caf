"""Genotypes as people paste them: inside a log line, in quotes, over several lines, with `NAME =` before, in colours,
after prompts, through a word processor or a web page, or as another kit writes them. Text is cut and matched, never
evaluated; what could mean two cells is refused.

* `Genotype(...)`, a dictionary or an architecture string anywhere in a text, as in `Structure(4 nodes with |...|+...)`.
* NNI: `{"normal/op_2_0": ..., "normal/input_2_0": ...}` (2.x), `{"normal_n2_p0": ..., "normal_n2_switch": ...}` (1.x)
  and `{"0_1": "conv_1x1", ...}` (its NAS-Bench-201 queries).
* NASLib: the six operation indices of a NAS-Bench-201 cell, `(4, 0, 3, 1, 4, 3)` or `403143`.
* NATS-Bench: the index of a cell in the order of the benchmark's files, `NATS-Bench index 1234`. Both also named so
  within a text, as in `arch=(4, 0, 3, 1, 4, 3), 93.2 %`.

Sources: microsoft/nni, nni/nas/hub/pytorch/nasnet.py and its DARTS example; automl/NASLib, nasbench201/conversions.py.
"""

import ast
import functools
import html
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import resources
from typing import Any

from ..runs.schema import said
from .notation import DICTIONARIES, NASBENCH201_OPS

NUM_CELLS = 15_625
MOST_RECORDS = 4        # log records around a genotype that are looked into
AROUND = " \t\r\n'\"`,;\ufeff"     # what is copied along with a text
STARTS = re.compile(
    rf"""(?<!class )\bGenotype\s*\(|\b(?:{DICTIONARIES})\s*\((?=[\[(\s]*['"]?(?:normal|recurrent|space|arch)\b)|\{{""")
# Signs that stand for others where a text went through a word processor, and some that nobody sees.
_LOOK_ALIKES = str.maketrans("\u2018\u2019\u201a\u201b\u2032\u201c\u201d\u201e\u201f\u2033\u2502\uff5c\u223c\uff5e×",
                             "\'" * 5 + '"' * 5 + "||~~x", "\u00ad\u200b\u200c\u200d\u2060\ufeff")
_MARKUP = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]|\[[0-9;]+m"                    # colours of a terminal
    r"|^[ \t]*(?:(?:> ?)+|\.\.\.:? ?|\+(?=\s*[A-Za-z#(\[]))"     # prompts, quoted mail, lines that a diff adds
    r"|\\(?=[_|~])|\\(?:texttt|mathtt|lstinline|code)\{"     # Markdown's and TeX's escapes
    r"|, *(?:requires_grad|grad_fn)=[<\w]+>?", re.MULTILINE)        # how PyTorch prints a number
_TEX = {"sim": "~", "textasciitilde": "~", "textbar": "|", "vert": "|", "mid": "|", "times": "x"}
_TEX_SIGN = re.compile(rf"\$?\\({'|'.join(_TEX)})\b(?:\{{\}}|\$| )?")
_TOKENS = re.compile(r"""'(?:\\.|[^'\\])*'?|"(?:\\.|[^"\\])*"?|#[^\n]*|[][(){}]""", re.DOTALL)     # quotes, comments
_GROUP = r"\|(?:\w+~[0-9]+\|)+"
_ARCH = re.compile(rf"""{_GROUP}(?:[\s"'\\()]*\+[\s"'\\()]*{_GROUP})*""", re.ASCII)
_OF_A_CELL = re.compile(
    r"""['"](?:\w+/)*(?:space|normal|recurrent|arch|ops|genotype|op_\d_\d|normal_n\d_p\d|0_1)['"]\s*:""")
_DIGITS = re.compile(r"(?P<label>[\w .:=(-]{0,60}?)"
                     r"(?:(?P<six>\d{6})|[\[(]\s*(?P<list>\d(?:(?:\s*,\s*|\s+)\d){5})\s*,?\s*[\])])\)?", re.ASCII)
_NUMBERS = re.compile(      # that are named within a text
    r"\b(?:op_?ind(?:ices|s)|naslib|arch(?:itecture)?|genotype|cell|spec)['\"]?[\s:=(-]{0,9}"
    r"(\d{6}\b|[\[(]\s*\d(?:(?:\s*,\s*|\s+)\d){5}\s*,?\s*[\])])"
    r"|\b((?:nats(?:[-_ ]?bench)?|nas-?bench-?201|nb201|arch(?:itecture)?)[-_ ]*(?:index|idx)[ \t:=#]{0,9}\d{1,5}\b)",
    re.IGNORECASE | re.ASCII)
_BESIDE = re.compile(r"(?:^|[ \t])(?:#|//)[ \t].*|^[ \t]*(?:```|~~~)?(?:python|py|json|text)?[ \t]*$", re.MULTILINE)
_OF_NASLIB = re.compile(r"op_?indices|arch|naslib|spec|hash|cell|tensor|array", re.IGNORECASE)
_INDEX = re.compile(r"(?P<label>(?:(?:nats(?:[-_ ]?bench)?|nas-?bench-?201|nb201|arch(?:itecture)?)[-_ ]*)?"
                    r"(?:index|idx)?[ \t]{0,9}[:=#]?)[ \t]{0,9}(?P<index>\d{1,5})", re.IGNORECASE | re.ASCII)
_NUMPY_INT = re.compile(r"(?:np|numpy)\.int\w*\((\d+)\)", re.ASCII)
NASLIB_OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
NASLIB_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))      # it counts nodes from 1
NNI_OPS = {     # of NNI 1.x, in the order of its candidates
    "maxpool": "max_pool_3x3", "avgpool": "avg_pool_3x3", "skipconnect": "skip_connect", "sepconv3x3": "sep_conv_3x3",
    "sepconv5x5": "sep_conv_5x5", "dilconv3x3": "dil_conv_3x3", "dilconv5x5": "dil_conv_5x5"}


def plain(text: str) -> str:
    """Returns a text without what is copied along: colours, prompts, escapes, curly quotes, quotes around the whole."""
    for _ in range(MOST_RECORDS):
        text = html.unescape(re.sub(r"[^\S\x00-\x7f]", " ", text.translate(_LOOK_ALIKES)))
        text = _TEX_SIGN.sub(lambda sign: _TEX[sign[1]], _MARKUP.sub("", text))
        with suppress(SyntaxError, ValueError, MemoryError, RecursionError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(inner := ast.literal_eval(text.strip()), str):
                text = inner
                continue
        break
    return text


def fragments(text: str, depth: int = 0) -> list[str]:
    """Returns the parts of a text that look like genotypes, each in its own notation; the text itself if there is none.

    depth: of log records around it.
    """
    whole, outside, found, end = text.strip(AROUND), [], [], 0
    for start, stop in _spans(whole):
        outside.append(whole[end:start])
        end = stop
        span = whole[start:stop]
        inside = fragments(span[1:-1], depth + 1) if depth < MOST_RECORDS and _holds_another(span) else []
        if inside and inside != [span[1:-1].strip(AROUND)]:
            found += inside
        elif span == whole or span[0] != "{" or _OF_A_CELL.search(span):
            found.append(span)
    outside.append(whole[end:])
    if found := [*found, *_arch_strings("\n".join(outside))]:
        return found
    numbers = [digits or index for digits, index in _NUMBERS.findall(whole)]
    return numbers or [_BESIDE.sub("", text).strip(AROUND)]        # comments, a fence around it


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each outermost `Genotype(...)` and `{...}`; one that is not closed goes to the end."""
    place = 0
    while match := STARTS.search(text, place):
        depth, place = 0, len(text)
        for token in _TOKENS.finditer(text, match.end() - 1):
            depth += (token[0] in "([{") - (token[0] in ")]}")
            if depth == 0:
                place = token.end()
                break
        yield match.start(), place


def _holds_another(span: str) -> bool:
    """Whether a dictionary is a log record around a genotype: it has one inside and names no space."""
    return span[0] == "{" and len(span) > 2 and not re.search(r"""['"]space['"]\s*:""", span) and (
        _ARCH.search(span) is not None or STARTS.search(span[1:]) is not None)


def _arch_strings(text: str) -> list[str]:
    """Architecture strings of a text, white space and quotes at the joints left out; also where lines were wrapped."""
    if "|" not in text or "~" not in text:
        return []
    for attempt in (text, "".join(line.strip(" \t\r\"'\\") for line in text.split("\n")),
                    re.sub(r"\s*([|~])\s*", r"\1", text)):
        matches = list(_ARCH.finditer(attempt))
        if matches and all(_is_whole(match, attempt) for match in matches):
            return [re.sub(r"[\s\"'\\()]", "", match[0]) for match in matches]
    return [text.strip(AROUND)]     # none, or none that is whole: the parser says what is wrong


def _is_whole(match: re.Match[str], text: str) -> bool:
    beside = text[max(0, match.start() - 1):match.start()] + text[match.end():match.end() + 1]
    return match[0].count("+") == 2 and not re.search(r"[\w~+|]", beside)


def naslib_ops(text: str) -> tuple[str, ...] | None:
    """Returns NASLib's six operation indices as operations of `NASBench201Genotype.EDGES`; None for another text.

    Raises ValueError for six digits that are no indices.
    """
    match = _DIGITS.fullmatch(_NUMPY_INT.sub(r"\1", text).strip(AROUND + "."))
    if match is None or (match["label"].strip(" :=(") and not _OF_NASLIB.search(match["label"])):
        return None
    digits = [int(digit) for digit in re.findall(r"\d", match["six"] or match["list"])]
    if max(digits) >= len(NASLIB_OPS):
        raise ValueError(f"Genotype: six digits are NASLib's operation indices, each 0..{len(NASLIB_OPS) - 1}, got "
                         f"{said(text)}")
    chosen = {edge: NASLIB_OPS[digit] for edge, digit in zip(NASLIB_EDGES, digits)}
    return tuple(chosen[edge] for edge in sorted(chosen, key=lambda edge: edge[::-1]))


def benchmark_index(text: str, is_named: bool = True) -> int | None:
    """Returns the index in `NATS-Bench index 1234`, `index=1234`; None for another text.

    is_named: False reads a bare number too. Raises ValueError for a number that no cell has.
    """
    match = _INDEX.fullmatch(text.strip(AROUND))
    if match is None or (is_named and not match["label"]):
        return None
    if (index := int(match["index"])) >= NUM_CELLS:
        raise ValueError(f"Genotype: an index of NATS-Bench is 0..{NUM_CELLS - 1}, got {index}")
    return index


def benchmark_ops(index: int) -> tuple[str, ...]:
    """Returns the operations of the cell with this index in the files of NATS-Bench and NAS-Bench-201."""
    position = _benchmark_order()[index]
    return tuple(NASBENCH201_OPS[position // 5**place % 5] for place in range(5, -1, -1))


@functools.cache
def _benchmark_order() -> list[int]:
    """By index of the benchmark: the position in NASBench201Genotype.all(). The packaged table holds the inverse."""
    import numpy as np
    table = resources.files(__package__.rpartition(".")[0]).joinpath("benchmark", "nasbench201.npz")
    with table.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return np.argsort(arrays["index"]).tolist()


def from_nni(data: Mapping[Any, Any]) -> dict[str, Any] | None:
    """Returns the fields of NNI's dictionary as ours, with "space"; None if it is no such dictionary.

    Raises ValueError if it lacks an edge or has other nodes than DARTS' cells.
    """
    named = {name: value for name, value in data.items() if isinstance(name, str)}
    if any(re.fullmatch(r"(?:\w+/)*normal/op_\d+_\d", name) for name in named):
        plain = {name[re.search(r"(normal|reduce)/|$", name).start():]: value for name, value in named.items()}
        return _nni_cells(plain, r"{kind}/op_(\d+)_\d", _pairs_of_2)
    if any(re.fullmatch(r"normal_n\d+_p\d+", name) for name in named):
        return _nni_cells(named, r"{kind}_n(\d+)_p\d+", _pairs_of_1)
    edges = {name.rpartition("/")[2]: op for name, op in named.items() if re.fullmatch(r"(?:\w+/)*[0-3]_[0-3]", name)}
    if "0_1" not in edges:
        return None
    wanted = ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")
    if lacking := [edge for edge in wanted if edge not in edges]:
        raise ValueError(f"Genotype: NNI's dictionary of a NAS-Bench-201 cell lacks the edge {lacking[0]}")
    return {"space": "nasbench201", "ops": [f"nor_{op}" if op in ("conv_1x1", "conv_3x3") else op
                                            for op in map(edges.get, wanted)]}


def _nni_cells(data: Mapping[str, Any], pattern: str, pairs_of: Callable[..., list[list[Any]]]) -> dict[str, Any]:
    cells: dict[str, Any] = {"space": "nasnet"}
    for kind in ("normal", "reduce"):
        matches = [re.fullmatch(pattern.format(kind=kind), name) for name in data]
        nodes = sorted({int(match[1]) for match in matches if match})
        if nodes != [2, 3, 4, 5]:      # others put out loose ends only, which the dictionary does not tell
            raise ValueError("Genotype: of NNI's cells those with the nodes 2, 3, 4, 5 are read (its DARTS space); the "
                             f"{kind} cell has {said(nodes)}")
        cells[kind] = [pairs_of(data, kind, node) for node in nodes]
    return cells


def _pairs_of_2(data: Mapping[str, Any], kind: str, node: int) -> list[list[Any]]:
    """NNI 2.x: an operation and an input by name, the input also as a list of one."""
    pairs = []
    for number in range(2):
        op, source = (data.get(f"{kind}/{what}_{node}_{number}") for what in ("op", "input"))
        pairs.append([op, source[0] if isinstance(source, list) and len(source) == 1 else source])
    return pairs


def _pairs_of_1(data: Mapping[str, Any], kind: str, node: int) -> list[list[Any]]:
    """NNI 1.x: an operation (name, number or a mark on each candidate) for each input; the switch names the chosen."""
    start, switch = f"{kind}_n{node}_p", data.get(f"{kind}_n{node}_switch")
    ops = {name: _nni_op(op) for name, op in data.items() if re.fullmatch(rf"{start}\d+", name)}
    has_names = isinstance(switch, list) and switch and all(isinstance(name, str) for name in switch)
    chosen = [name for name, op in ops.items() if (name in switch if has_names else op is not None)]
    return sorted(([ops[name], int(name.removeprefix(start))] for name in chosen), key=lambda pair: pair[1])


def _nni_op(value: Any) -> Any:
    names = list(NNI_OPS)
    if isinstance(value, list) and len(value) == len(names) and all(isinstance(mark, bool) for mark in value):
        value = [name for name, mark in zip(names, value) if mark]
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else value or None
    if type(value) is int and 0 <= value < len(names):
        value = names[value]
    return NNI_OPS.get(value, value) if isinstance(value, str) else value
