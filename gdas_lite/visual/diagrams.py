"""Drawings of the cells that a search finds: DOT built with the graphviz package, shown in notebooks and saved.

Nodes are dark boxes, each operation is a chip in its colour (palette.py) in the middle of its edge. Everything that has
to be read stands on a coloured ground, so the pictures are transparent and look right in light and dark notebooks.

    gl.diagrams.cell_dot(genotype)                      # a graphviz.Digraph; .source is the DOT text
    gl.diagrams.save(genotype, "cell.svg")              # or .png, .pdf, .dot
    gl.diagrams.CellDrawing(genotype, probabilities=gl.diagrams.edge_probabilities(genotype, search.history))
    gl.Gallery({name: entry.genotype for name, entry in gl.zoo("nasnet").items()})      # many in one picture
"""

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import graphviz

from ..genotypes.parse import Genotype
from ..runs.config import path_of, write_atomically
from .cell_graph import Box, CellGraph, Flow, Panel, Probabilities, cell_graph, edge_probabilities
from .palette import INK, text_on

__all__ = ["CellDot", "CellDrawing", "cell_dot", "edge_probabilities", "mimebundle", "render_png", "render_svg", "save"]

FONT = "Helvetica,Arial,sans-serif"
FORMATS = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot"}     # of `save`, by suffix

GAP = 14        # points between two drawings of a gallery; the PNG uses pixels of 1/96 inch
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
    frame = {"label": panel.title, "color": INK, "style": "rounded", "margin": "11", "tooltip": panel.title or " "}
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
    write_atomically(path, dot.source.encode() if kind == "dot" else _picture(dot, kind))
    return path


class Gallery:
    """Drawings in rows, as a cell's last value in a notebook: one SVG, and the same as PNG.

    genotypes: by the name that stands above. columns: drawings in a row. With one, NASNet cells run from left to right;
    with more, from top to bottom, which is narrower.
    Raises ValueError if there is no genotype or no column.
    Example: Gallery({"GDAS_V1": zoo_genotype("GDAS_V1"), "DARTS_V2": zoo_genotype("DARTS_V2")})
    """

    def __init__(self, genotypes: Mapping[str, Any], columns: int = 1) -> None:
        if not genotypes or columns < 1:
            raise ValueError(f"a gallery needs at least one genotype and one column, "
                             f"got {len(genotypes)} and {columns}")
        self.genotypes, self.columns = dict(genotypes), columns

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "image/png": base64.b64encode(self.png()).decode(),
                "text/plain": "\n".join(f"{name}: {genotype}" for name, genotype in self.genotypes.items())}

    def _dots(self) -> list[CellDot]:
        nasnet = {"nasnet": "down"} if self.columns > 1 else {}
        return [cell_dot(genotype, flow=nasnet.get(getattr(genotype, "space", ""), "right"), title=name)
                for name, genotype in self.genotypes.items()]

    def svg(self) -> str:
        """The drawings as one SVG text without XML prolog."""
        return composed([render_svg(dot) for dot in self._dots()], self.columns,
                        "Drawn cells: " + ", ".join(self.genotypes))

    def png(self) -> bytes:
        """The drawings as one PNG with transparent ground."""
        from PIL import Image

        from .render import compact_png
        pictures = [Image.open(io.BytesIO(render_png(dot))).convert("RGBA") for dot in self._dots()]
        corners, (width, height) = places([picture.size for picture in pictures], self.columns)
        whole = Image.new("RGBA", (round(width), round(height)))
        for picture, corner in zip(pictures, corners):
            whole.paste(picture, (round(corner[0]), round(corner[1])))
        out = io.BytesIO()
        whole.save(out, "png")
        return compact_png(out.getvalue(), colours=200)


def composed(svgs: Sequence[str], columns: int, words: str) -> str:
    """Returns drawings as one, in rows of so many; words: what they show."""
    from .render import fitted, named
    sizes = [tuple(float(number) for number in re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups())
             for svg in svgs]
    corners, (width, height) = places(sizes, columns)
    tiles = [_nested(svg, corner, f"t{number}-") for number, (svg, corner) in enumerate(zip(svgs, corners))]
    size = f'width="{width:.0f}pt" height="{height:.0f}pt" viewBox="0 0 {width:.1f} {height:.1f}"'
    return fitted(f'<svg {named(words)} {size} xmlns="http://www.w3.org/2000/svg" '
                  f'xmlns:xlink="http://www.w3.org/1999/xlink">{"".join(tiles)}</svg>')


def places(sizes: list[tuple[float, float]], columns: int) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Upper left corners of pictures of these (width, height), row by row, centred in their column; the size of all."""
    rows = [sizes[start:start + columns] for start in range(0, len(sizes), columns)]
    wide = [max(row[column][0] for row in rows if column < len(row)) for column in range(len(rows[0]))]
    corners, top = [], 0.0
    for row in rows:
        corners += [(sum(wide[:column]) + GAP * column + (wide[column] - width) / 2, top)
                    for column, (width, _) in enumerate(row)]
        top += max(height for _, height in row) + GAP
    return corners, (sum(wide) + GAP * (len(wide) - 1), top - GAP)


def _nested(svg: str, corner: tuple[float, float], prefix: str) -> str:
    """An <svg> to stand inside another: placed, its size in the outer one's units, its ids made unique."""
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", svg)
    svg = re.sub(r'width="([\d.]+)pt" height="([\d.]+)pt"', r'width="\1" height="\2"', svg, count=1)
    return svg.replace("<svg ", f'<svg x="{corner[0]:.1f}" y="{corner[1]:.1f}" ', 1)
