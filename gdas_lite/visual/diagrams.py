"""Drawings of the cells that a search finds: DOT built with the graphviz package, shown in notebooks and saved.

Nodes are dark boxes, each operation is a chip in its colour (palette.py) in the middle of its edge. Everything that has
to be read stands on a coloured ground, so the pictures are transparent and look right in light and dark notebooks.

    gl.diagrams.cell_dot(genotype)                      # a graphviz.Digraph; .source is the DOT text
    gl.diagrams.save(genotype, "cell.svg")              # or .png, .pdf, .dot
    gl.diagrams.CellDrawing(genotype, probabilities=gl.diagrams.edge_probabilities(genotype, search.history))
"""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

import graphviz

from ..genotypes.parse import Genotype
from ..runs.config import path_of
from .cell_graph import Box, CellGraph, Flow, Panel, Probabilities, cell_graph, edge_probabilities
from .palette import INK, text_on

__all__ = ["CellDot", "CellDrawing", "cell_dot", "edge_probabilities", "mimebundle", "render_png", "render_svg", "save"]

FONT = "Helvetica,Arial,sans-serif"
FORMATS = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot"}     # of `save`, by suffix

_RANKDIR = {"right": "LR", "down": "TB"}
_HTML_LABELS = {label: f'<<font point-size="13">{letter}</font><sub>{index}</sub>>'
                for label, letter, index in (("c_{k-2}", "c", "k−2"), ("c_{k-1}", "c", "k−1"),
                                             ("x_{t}", "x", "t"), ("h_{t-1}", "h", "t−1"))}


class CellDot(graphviz.Digraph):
    """A `graphviz.Digraph` that keeps the plain graph it was built from and shows itself without the `dot` program."""

    cell: CellGraph
    flow: Flow

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        return _pictures(self) | {"text/plain": self.source}


def cell_dot(genotype: Any, *, probabilities: Probabilities | None = None, show_none: bool = False,
             flow: Flow = "right", title: str = "") -> CellDot:
    """The DOT graph of a genotype of any space; normal and reduction cell stand side by side.

    probabilities: softmax(alpha) of each edge, by cell kind (`edge_probabilities`); written on the chips, and the width
    of the edges. show_none: NAS-Bench-201 edges without operation are drawn dotted instead of left out.
    flow: where a cell's output lies, "right" or "down" (two NASNet cells then fit a narrow page).
    title: text above the cells, the first line bold.
    Raises ValueError for anything that is not a genotype, or probabilities that do not fit it.
    """
    if flow not in _RANKDIR:
        raise ValueError(f"flow must be 'right' or 'down', got {flow!r}")
    graph = cell_graph(genotype, probabilities, show_none, title)
    dot = CellDot(
        graph_attr={"rankdir": _RANKDIR[flow], "bgcolor": "transparent", "nodesep": "0.1", "ranksep": "0.15",
                    "pad": "0.06", "fontname": FONT, "fontsize": "12", "fontcolor": INK, "tooltip": " ",
                    "remincross": "false"},
        node_attr={"shape": "box", "style": "rounded,filled", "fontname": FONT, "fontsize": "11", "height": "0.25",
                   "width": "0.3", "margin": "0.07,0.03"},
        edge_attr={"color": INK, "arrowsize": "0.6", "tooltip": " "},
    )
    dot.cell, dot.flow = graph, flow
    if title:
        first, *rest = html.escape(title.replace("\0", "")).split("\n")
        text = "<br/>".join([f"<b>{first}</b>", *rest])         # padded: a browser's letters may be wider than dot's
        table = f'<table border="0" cellborder="0" cellpadding="6"><tr><td>{text}</td></tr></table>'
        dot.attr(label=f"<{table}>", labelloc="t")
    for panel in graph.panels:
        _add_panel(dot, panel)
    if flow == "right":     # without these, the cells would stand one above the other
        for left, right in zip(graph.panels, graph.panels[1:]):
            for name in right.inputs:
                dot.edge(next(box.name for box in left.boxes if box.role == "output"), name, style="invis")
    return dot


def _add_panel(dot: CellDot, panel: Panel) -> None:
    frame = {"label": panel.title, "color": INK, "style": "rounded", "margin": "7", "tooltip": panel.title or " "}
    with dot.subgraph(name=f"cluster_{panel.kind}" if panel.title else panel.kind,
                      graph_attr=frame if panel.title else {}) as sub:
        with sub.subgraph(graph_attr={"rank": "same"}) as first:
            for box in panel.boxes:
                if box.name in panel.inputs:
                    _add_box(first, box)
            # Only this keeps c_{k-2} above c_{k-1}: dot stacks a rank of a framed cell from the bottom (seen, 14.1).
            order = panel.inputs[::-1] if panel.title and dot.flow == "right" else panel.inputs
            for before, after in zip(order, order[1:]):
                first.edge(before, after, style="invis")
        for box in panel.boxes:
            if box.name not in panel.inputs:
                _add_box(sub, box)
        for arrow in panel.arrows:
            look = ({} if arrow.has_head else {"arrowhead": "none"}) | ({"style": "dotted"} if arrow.is_dotted else {})
            sub.edge(arrow.src, arrow.dst, color=arrow.colour, penwidth=f"{arrow.width:.2f}", **look)
        for before, after in zip(panel.spine, panel.spine[1:]):
            sub.edge(before, after, style="invis")


def _add_box(dot: graphviz.Digraph, box: Box) -> None:
    look = {"fillcolor": box.colour, "color": box.colour, "fontcolor": text_on(box.colour)}
    if box.is_faint:
        look = {"fillcolor": "transparent", "color": box.colour, "fontcolor": INK, "style": "rounded,filled,dotted"}
    if box.role == "node":
        look |= {"shape": "circle", "margin": "0"}
    if box.role == "operation":
        look |= {"height": "0.2", "margin": "0.06,0.02"}
    dot.node(box.name, label=_HTML_LABELS.get(box.label, graphviz.escape(box.label).replace("\n", "\\n")),
             tooltip=box.tooltip or box.label.replace("\n", " "), **look)


def render_svg(digraph: CellDot) -> str:
    """The SVG text of a drawing, without XML prolog, ready to stand inside an HTML page."""
    return _picture(digraph, "svg").decode()


def render_png(digraph: CellDot) -> bytes:
    """The drawing as a PNG with transparent ground, 96 pixels an inch."""
    return _picture(digraph, "png")


def _picture(dot: CellDot, kind: str) -> bytes:
    from .render import render  # DOT text alone needs no matplotlib
    return render(dot.source, dot.cell, dot.flow, kind)


def mimebundle(genotype: Any, **options: Any) -> dict[str, str]:
    """What a notebook shows for a genotype: SVG, PNG (base64) for viewers without SVG, and the canonical text.

    options: those of `cell_dot`. A genotype of a space of one's own is its text.
    """
    if not isinstance(genotype, Genotype | str):
        return {"text/plain": str(genotype)}
    return _pictures(cell_dot(genotype, **options)) | {"text/plain": str(genotype)}


def _pictures(dot: CellDot) -> dict[str, str]:
    return {"image/svg+xml": render_svg(dot), "image/png": base64.b64encode(render_png(dot)).decode()}


class CellDrawing:
    """A genotype with drawing options (those of `cell_dot`), as a cell's last value in a notebook."""

    def __init__(self, genotype: Any, **options: Any) -> None:
        self.genotype, self.options = genotype, options
        self.dot = cell_dot(genotype, **options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        return _pictures(self.dot) | {"text/plain": str(self.genotype)}

    def save(self, path: str | Path) -> Path:
        """As `save(genotype, path)`, with this drawing's options."""
        return save(self.genotype, path, **self.options)


def save(genotype: Any, path: str | Path, **options: Any) -> Path:
    """Write the drawing of a genotype to `path`; the suffix says how: .svg, .png, .pdf or .dot (the DOT text).

    options: those of `cell_dot`. Raises ValueError for another suffix, FileNotFoundError if the folder does not exist.
    """
    path = path_of(path, "path")
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"cannot draw to {path.name!r}: the name must end in one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot draw to {path.name!r}: the folder {str(path.parent)!r} does not exist")
    dot, kind = cell_dot(genotype, **options), FORMATS[path.suffix.lower()]
    path.write_bytes(dot.source.encode() if kind == "dot" else _picture(dot, kind))
    return path
