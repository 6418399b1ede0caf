"""What the browser needs, as values that JSON can hold: cells laid out, the search cell with its probabilities, curves.

The layout of a cell is that of layout.py, the colours those of palette.py. The browser draws a scene once and then only
changes colours, widths and texts, which takes a millisecond or two. Lengths are CSS pixels.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...benchmark.files import described
from ...benchmark.table import opened
from ...genotypes.contents import operation_edges
from ...genotypes.labels import CellLabels
from ...genotypes.nasbench201 import NASBench201Genotype
from ...genotypes.notation import BENCHMARK_OPS
from ...genotypes.parse import Genotype
from ..cell_graph import Box, Panel, Probabilities, cell_graph, nasnet_panel, plain_panel
from ..layout import Point, curves, layout
from ..palette import style_of, text_on

LETTER, LINE, PAD, HEAD = 7.0, 14.0, 6.0, 7.0       # mean width of a letter, line height, margin, arrow head
Curves = dict[str, Any]     # "title", "top" of a share, "lines": each "name" and "values", a number or None an epoch


def style_entry(op: str) -> dict[str, str]:
    """Name, short label, colour and colour of text on it of one primitive."""
    style = style_of(op)
    return {"name": op, "label": style.label, "colour": style.colour, "text": text_on(style.colour)}


def genotype_scenes(genotype: Any, probabilities: Probabilities | None = None) -> list[dict[str, Any]]:
    """One scene for each cell of a genotype; its chips are the genotype's edges in order (none is drawn dotted)."""
    return [scene(panel) for panel in cell_graph(genotype, probabilities, show_none=True).panels]


@lru_cache(maxsize=16)
def supernet_scene(kind: str, labels: CellLabels) -> dict[str, Any]:
    """All edges of a search cell; chip i is row i of alpha, wide enough for every candidate."""
    widest = max(labels.candidates, key=lambda op: len(style_of(op).label))
    edges, no_numbers = [(src, dst, widest) for src, dst in labels.edges], [0.0] * len(labels.edges)
    if kind not in ("normal", "reduce"):
        return scene(plain_panel(edges, no_numbers, True, kind))
    return scene(nasnet_panel(kind, f"{kind} cell", edges, sorted({dst for _, dst in labels.edges}), no_numbers))


def scene(panel: Panel) -> dict[str, Any]:
    """One laid-out cell: "size", "nodes", "chips", "lines" (each with the number of its chip, or null)."""
    sizes = {box.name: _size(box) for box in panel.boxes}
    plan = layout(panel, sizes)
    centres = {name: (x + PAD, y + PAD) for name, (x, y) in plan.centres.items()}
    chips = [box for box in panel.boxes if box.role == "operation"]
    number = {box.name: place for place, box in enumerate(chips)}
    widths = {name: arrow.width for arrow in panel.arrows for name in (arrow.src, arrow.dst) if name in number}
    lines = []
    for arrow, route in zip(panel.arrows, plan.routes):
        *points, end = ((x + PAD, y + PAD) for x, y in route)
        tip = (end[0] - HEAD, end[1]) if arrow.has_head else end
        chip = number.get(arrow.src, number.get(arrow.dst))
        lines.append({"d": _path([*points, tip]), "chip": chip, "colour": arrow.colour, "width": arrow.width,
                      "head": f"M{end[0]:.1f} {end[1]:.1f}l{-HEAD} {-HEAD / 2}v{HEAD}z" if arrow.has_head else ""})
    return {"title": panel.title or f"{panel.kind} cell", "kind": panel.kind,
            "size": [round(plan.length + 2 * PAD, 1), round(plan.breadth + 2 * PAD, 1)],
            "nodes": [_box(box, centres, sizes) for box in panel.boxes if box.role != "operation"],
            "chips": [_box(box, centres, sizes) | {"width": widths[box.name]} for box in chips], "lines": lines}


def _box(box: Box, centres: dict[str, Point], sizes: dict[str, Point]) -> dict[str, Any]:
    (x, y), (w, h) = centres[box.name], sizes[box.name]
    return {"x": round(x, 1), "y": round(y, 1), "w": round(w, 1), "h": h, "role": box.role,
            "lines": box.label.split("\n"), "colour": box.colour, "text": text_on(box.colour),
            "state": "dotted" if box.is_faint else "", "title": box.tooltip or box.label.replace("\n", " ")}


def _size(box: Box) -> Point:
    lines = box.label.split("\n")
    wide = LETTER * max(3 if "_{" in line else len(line) for line in lines) + 10
    size = (wide, LINE * len(lines) + 5)
    return (max(size), max(size)) if box.role == "node" else size


def _path(points: Sequence[Point]) -> str:
    """A smooth line through the points, in SVG's words."""
    pieces = [("M", points[:1]), *(("C", piece) for piece in curves(points))]
    return "".join(word + " ".join(f"{x:.1f} {y:.1f}" for x, y in piece) for word, piece in pieces)


def part(kind: str, labels: CellLabels, probabilities: np.ndarray, genotypes: list[Genotype | None]) -> dict[str, Any]:
    """Everything the browser needs of one kind of cell.

    probabilities: (epochs, edges, candidates). genotypes: of the epochs that are to be drawn.
    Of what is returned, "kept" holds by drawn epoch and edge the columns that the cell chose.
    """
    kept = [_kept(kind, labels, genotype) for genotype in genotypes]
    scenes, scene_of = _scenes(kind, labels, genotypes)
    return {"kind": kind, "edges": [list(edge) for edge in labels.edges],
            "candidates": [style_entry(op) for op in labels.candidates], "kept": kept, "scenes": scenes,
            "scene_of": scene_of, "nodes": _node_names(kind, labels), "is_nasbench201": in_table({kind: labels}),
            "probabilities": np.ascontiguousarray(probabilities, dtype="<f4").tobytes()}


def _node_names(kind: str, labels: CellLabels) -> list[str]:
    """As the drawing names them: in the NASNet space the rows of alpha count the two inputs as nodes 0 and 1."""
    count = max(dst for _, dst in labels.edges) + 1
    if kind in ("normal", "reduce"):
        return ["cₖ₋₂", "cₖ₋₁", *map(str, range(count - 2))]
    return [str(node) for node in range(count)]


def _kept(kind: str, labels: CellLabels, genotype: Genotype | None) -> list[list[int]]:
    chosen = [] if genotype is None else operation_edges(genotype).get(kind, ())
    return [list(dict.fromkeys(labels.candidates.index(op) for src, dst, op in chosen if (src, dst) == edge))
            for edge in labels.edges]


def _scenes(kind: str, labels: CellLabels, genotypes: list[Genotype | None]) -> tuple[list[dict[str, Any]], list[int]]:
    """Laid-out graphs with the row of alpha of each chip, and which one stands at each epoch (-1: none).

    A recurrent search cell has 36 edges, too many to draw, so there it is the derived cell that is laid out.
    """
    if kind != "recurrent":
        return [{"scene": supernet_scene(kind, labels), "rows": list(range(len(labels.edges)))}], [0] * len(genotypes)
    cells = list(dict.fromkeys(cell for cell in genotypes if cell is not None))
    scenes = []
    for cell in cells:
        edges = operation_edges(cell)[kind]
        scenes.append({"scene": genotype_scenes(cell, {kind: [0.0] * len(edges)})[0],
                       "rows": [labels.edges.index((src, dst)) for src, dst, _ in edges]})
    return scenes, [-1 if cell is None else cells.index(cell) for cell in genotypes]


def score(text: str, table: Any, column: str | None) -> str:
    """Accuracy and rank of a NAS-Bench-201 cell in a table, as a phrase; empty without a table."""
    if table is None:
        return ""
    cell = NASBench201Genotype.parse(text)
    return (f"{table.accuracy(cell, column):.2f} % in {described(column or table.default_column)}, "
            f"rank {table.rank(cell, column):,} of {len(table):,}")


def in_table(labels: Mapping[str, CellLabels]) -> bool:
    """Whether cells with these labels are NAS-Bench-201's. A space of one's own may have a kind "cell" as well."""
    return "cell" in labels and labels["cell"].edges == NASBench201Genotype.EDGES and (
        set(labels["cell"].candidates) <= set(BENCHMARK_OPS))


def table_for(table: Any, column: str | None, labels: Mapping[str, CellLabels] | None = None) -> Any:
    """Returns the table for cells with these labels (None: NAS-Bench-201's); None where a name stands beside others.

    Raises ValueError for a table beside a search of another space, KeyError for an unknown column.
    """
    is_known = labels is None or in_table(labels)
    if table is None or (not is_known and isinstance(table, str)):
        return None
    if is_known:
        table = opened(table)
        table.accuracy(table.cells[0], column)      # says what is wrong with the column, if something is
        return table
    raise ValueError(f"a table knows the cells of the NAS-Bench-201 space only, this search has "
                     f"{' and '.join(labels) or 'no'} cells; leave the table out")


def panels(history: Any, table: Any = None, column: str | None = None) -> list[Curves]:
    """Returns one panel for the losses, one for the accuracies, one for the table; those without a number are left out.

    history: of a search or a training. table, column: as of `truth_panel`.
    """
    search = hasattr(history, "labels")
    found = [_panel(f"{'search ' if search and what == 'accuracy' else ''}{what} ({unit})", _lines(history, what))
             for what, unit in (("loss", "nats"), ("accuracy", "%"))]
    return [panel for panel in (*found, truth_panel({"accuracy": history}, table, column)) if panel]


def _lines(history: Any, what: str) -> dict[str, Iterable[float]]:
    if len(history) == 0:
        return {}
    lines = {"train": history.column(f"train_{what}")}
    if hasattr(history, "labels"):
        return lines | {"valid": history.column(f"valid_{what}")}
    names = dict.fromkeys(name for record in history for name, score in record.evaluation.items() if what in score)
    return lines | {name.replace("_", " "): history.column(f"{name} {what}") for name in names}


def _panel(title: str, lines: dict[str, Iterable[float]]) -> Curves | None:
    """None where no line has a number."""
    all_of = {name: [round(float(value), 4) if math.isfinite(value) else None for value in values]
              for name, values in lines.items()}
    known = [{"name": name, "values": all_of[name]} for name in all_of if {*all_of[name]} - {None}]
    return {"title": title, "top": 100 if title.endswith("(%)") else None, "lines": known} if known else None


def truth_panel(histories: Mapping[str, Any], table: Any, column: str | None) -> Curves | None:
    """Returns the accuracy of each epoch's cell in a table, percent, a line a history; None without table or cell."""
    if table is None:
        return None
    longest = max(map(len, histories.values()))
    lines = {name: [table.accuracy(record.genotype, column) if record.genotype else math.nan for record in history]
             for name, history in histories.items()}
    return _panel("the derived cell in the table (%)", {
        name: values + [math.nan] * (longest - len(values)) for name, values in lines.items()})
