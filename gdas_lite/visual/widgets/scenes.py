"""Cells laid out for the browser: where each node, chip and line stands, as values that JSON can hold.

The layout is that of layout.py, the colours those of palette.py. The browser draws a scene once and then only
changes colours, widths and texts, which takes a millisecond or two. Lengths are CSS pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ...genotypes.labels import CellLabels
from ...genotypes.nasbench201 import NASBench201Genotype
from ..cell_graph import Box, Panel, Probabilities, cell_graph, nasbench201_panel, nasnet_panel
from ..layout import Point, curves, layout
from ..palette import style_of, text_on

LETTER, LINE, PAD, HEAD = 7.0, 14.0, 6.0, 7.0       # mean width of a letter, line height, margin, arrow head


def style_entry(op: str) -> dict[str, str]:
    """Name, short label, colour and colour of text on it of one primitive."""
    style = style_of(op)
    return {"name": op, "label": style.label, "colour": style.colour, "text": text_on(style.colour)}


def genotype_scenes(genotype: Any, probabilities: Probabilities | None = None) -> list[dict[str, Any]]:
    """One scene for each cell of a genotype; its chips are the genotype's edges in order (none is drawn dotted)."""
    return [scene(panel) for panel in cell_graph(genotype, probabilities, show_none=True).panels]


@lru_cache(maxsize=16)
def supernet_scene(kind: str, labels: CellLabels) -> dict[str, Any]:
    """All edges of a NAS-Bench-201 or NASNet search cell; chip i is row i of alpha, wide enough for every candidate."""
    widest = max(labels.candidates, key=lambda op: len(style_of(op).label))
    edges, no_numbers = [(src, dst, widest) for src, dst in labels.edges], [0.0] * len(labels.edges)
    if labels.edges == NASBench201Genotype.EDGES:
        return scene(nasbench201_panel(edges, no_numbers, show_none=True))
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
