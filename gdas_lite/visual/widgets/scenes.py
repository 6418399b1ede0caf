"""Cells laid out for the browser: where each node, chip and line stands, as values that JSON can hold.

The layout is that of layout.py, the colours those of palette.py. The browser draws a scene once and then only
changes colours, widths and texts, which takes a millisecond or two. Lengths are CSS pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ...genotypes.labels import CellLabels
from ..cell_graph import Box, Panel, Probabilities, cell_graph, nasnet_panel, plain_panel
from ..layout import layout
from ..palette import style_of, text_on

LETTER, LINE, PAD, HEAD = 7.0, 14.0, 6.0, 7.0       # mean width of a letter, line height, margin, arrow head
Point = tuple[float, float]


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
    plan = layout(panel, sizes.__getitem__)
    centres = {name: (x + PAD, y + PAD) for name, (x, y) in plan.centres.items()}
    chips = [box for box in panel.boxes if box.role == "operation"]
    number = {box.name: place for place, box in enumerate(chips)}
    widths = {name: arrow.width for arrow in panel.arrows for name in (arrow.src, arrow.dst) if name in number}
    lines = []
    for arrow, ways in zip(panel.arrows, plan.routes):
        start = centres[arrow.src][0] + sizes[arrow.src][0] / 2, centres[arrow.src][1]
        end = centres[arrow.dst][0] - sizes[arrow.dst][0] / 2, centres[arrow.dst][1]
        tip = (end[0] - HEAD, end[1]) if arrow.has_head else end
        points = [start, *((x + PAD, y + PAD) for x, y in ways), tip]
        chip = number.get(arrow.src, number.get(arrow.dst))
        lines.append({"d": _curve(points), "chip": chip, "colour": arrow.colour, "width": arrow.width,
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


def _curve(points: Sequence[Point]) -> str:
    """A smooth line through the points that leaves and meets every one of them along the flow."""
    text = "M{:.1f} {:.1f}".format(*points[0])
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        middle = (x0 + x1) / 2
        text += f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return text
