"""A cell graph as a picture, by the first way that works: pygraphviz (in this process), the `dot` program, matplotlib.

A missing program never raises: matplotlib is a core dependency, and what it draws has a layout of our own (layout.py).
"""

import contextlib
import io
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from html import escape
from itertools import chain
from typing import Any

import graphviz
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from .cell_graph import Box, CellGraph, Flow, Panel
from .layout import Layout, Point, curves, layout
from .palette import INK, text_on

FONT_SIZE, PAD, TITLE = 11.0, 9.0, 20.0        # points
PNG_DPI = 96            # pixels an inch; SVG's points are 72 an inch, browsers show them at 96
PAGE_PT = 630.0         # widest SVG, 840 pixels: what JupyterLab and GitHub have room for
_GRAPHVIZ_LOCK = threading.Lock()       # the Graphviz libraries keep global state


def render(source: str, graph: CellGraph, flow: Flow, kind: str) -> bytes:
    """Returns the picture as "svg" (without XML prolog), "png" or "pdf".

    source: DOT text, for Graphviz. graph, flow: the same cell and where its output lies, for machines without it.
    """
    if kind == "png":
        source = re.sub(r"\{\n", f"{{\n\tgraph [dpi={PNG_DPI}]\n", source, count=1)
    dot = graphviz.Source(source)
    picture = by_pygraphviz(dot, kind) or by_dot_program(dot, kind) or draw(graph, flow, kind, PNG_DPI)
    if kind == "svg":
        return _slim_svg(picture.decode(), graph.words).encode()
    return compact_png(picture, notes={"Description": graph.words}) if kind == "png" else picture


def compact_png(png: bytes, colours: int = 128, notes: Mapping[str, str] | None = None) -> bytes:
    """The same picture with a palette of `colours`, a third to a fifth of the size: notebooks keep every picture.

    notes: what is kept with it as PNG text, by keyword ("Description": what stands for it where it is not seen).
    """
    from PIL import Image, PngImagePlugin  # comes with matplotlib
    texts = PngImagePlugin.PngInfo()
    for keyword, text in (notes or {}).items():
        texts.add_itxt(keyword, text)
    with Image.open(io.BytesIO(png)) as picture:
        full = picture.convert("RGBA")
        if full.getextrema()[3][0] == 255:      # opaque everywhere
            full = full.convert("RGB")
        small = full.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        out = io.BytesIO()
        small.save(out, "png", optimize=True, dpi=picture.info.get("dpi", (PNG_DPI, PNG_DPI)), pnginfo=texts)
    return out.getvalue()


def by_pygraphviz(dot: graphviz.Source, kind: str) -> bytes | None:
    """Drawn by the Graphviz libraries that come with pygraphviz 2; None if they are missing or refuse."""
    try:
        import pygraphviz
    except (ImportError, OSError):      # OSError: the package is there, a shared library is not
        return None
    with _GRAPHVIZ_LOCK, _without_font_warnings():
        try:
            return pygraphviz.AGraph(string=dot.source).draw(format=kind, prog="dot")
        except (OSError, ValueError, RuntimeError):     # pygraphviz 1 looks for a `dot` program of its own
            return None


def by_dot_program(dot: graphviz.Source, kind: str) -> bytes | None:
    """Drawn by the `dot` program; None if it is missing or fails."""
    try:
        return dot.pipe(format=kind, quiet=True)
    except (graphviz.ExecutableNotFound, subprocess.CalledProcessError, OSError):
        return None


def _slim_svg(text: str, words: str) -> str:
    """Only the <svg> element, named, fitted, without comments and node names; subscripts as all browsers lower them,
    paths to a tenth of a point."""
    text = text[text.index("<svg"):]
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' (d|points)="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), text)
    text = fitted(re.sub(r"<title>[^<]*</title>\s*", "", text)).replace('baseline-shift="sub"', 'dy="2.5"')
    return text.replace("<svg ", f'<svg {named(words)} ', 1).strip()


def named(words: str) -> str:
    """The attributes of an <svg> that fits its page and says what it shows."""
    return f'role="img" aria-label="{escape(words)}" style="max-width:100%;height:auto"'


def fitted(svg: str) -> str:
    """The SVG no wider than a notebook's page: its viewers show an SVG at the size that it says, and scroll."""
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    if size is None or float(size[1]) <= PAGE_PT:
        return svg
    height = float(size[2]) * PAGE_PT / float(size[1])
    return svg.replace(size[0], f'width="{PAGE_PT:g}pt" height="{height:.1f}pt"', 1)


@contextlib.contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Keep fontconfig's complaints about the system's font files out of notebooks; pass on all else written to stderr.

    The library writes straight to file descriptor 2, which a notebook kernel stores as the cell's output.
    """
    try:
        saved = os.dup(2)
    except OSError:             # no standard error at all, nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            caught.seek(0)
            for line in caught:
                if b"fontconfig" not in line.lower():
                    os.write(2, line)


def draw(graph: CellGraph, flow: Flow, kind: str, dpi: int) -> bytes:
    """The picture of all panels side by side, as "svg", "png" or "pdf". flow: "right" or "down"."""
    with rc_context({"svg.hashsalt": "gdas-lite"}):     # the same drawing gives the same bytes
        plans = [(panel, _sizes(panel)) for panel in graph.panels]
        layouts = [layout(panel, sizes if flow == "right" else {name: size[::-1] for name, size in sizes.items()})
                   for panel, sizes in plans]
        spans = [(plan.length, plan.breadth) if flow == "right" else (plan.breadth, plan.length) for plan in layouts]
        title = graph.title.split("\n") if graph.title else []
        top = TITLE * len(title)
        framed = TITLE if any(panel.title for panel, _ in plans) else 0.0
        height = top + max(span[1] for span in spans) + framed + 2 * PAD
        cells_width = sum(span[0] + 2 * PAD for span in spans) + PAD * (len(spans) - 1)
        width = max([cells_width, *(1.15 * _width(line, FONT_SIZE + 1) for line in title)])
        figure = Figure(figsize=((width + 2) / 72, (height + 2) / 72))
        figure.patch.set_alpha(0)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(-1, width + 1), ylim=(height + 1, -1))       # one unit is one point
        axes.set_axis_off()
        for row, line in enumerate(title):
            _title(axes, line, (width / 2, TITLE * (row + 0.5)), weight="normal" if row else "bold")
        left = (width - cells_width) / 2
        for (panel, sizes), plan, span in zip(plans, layouts, spans):
            if panel.title:
                _frame(axes, panel.title, (left, top), span[0] + 2 * PAD, span[1] + 2 * PAD + TITLE)
            _panel(axes, panel, plan, sizes, (left + PAD, top + PAD + (TITLE if panel.title else 0)), flow)
            left += span[0] + 3 * PAD
        out = io.BytesIO()
        figure.savefig(out, format=kind, dpi=dpi, transparent=True, metadata={"svg": {"Date": None}}.get(kind))
    return out.getvalue()


def _shown(label: str) -> str:
    return f"${label}$" if "_{" in label else label


def _sizes(panel: Panel) -> dict[str, Point]:
    """(width, height) of each box, in points, so that its text fits."""
    sizes = {}
    for box in panel.boxes:
        lines = _shown(box.label).split("\n")
        wide = max(_width(line, FONT_SIZE) for line in lines)
        size = (wide + 8, len(lines) * (FONT_SIZE + 2) + 4)
        sizes[box.name] = (max(size), max(size)) if box.role == "node" else size
    return sizes


def _width(line: str, size: float) -> float:
    return TextPath((0, 0), line, size=size).get_extents().width


def _frame(axes: Any, title: str, corner: Point, width: float, height: float) -> None:
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=8", fill=False,
                                  ec=INK, lw=1))
    _title(axes, title, (corner[0] + width / 2, corner[1] + TITLE / 2 + 3))


def _title(axes: Any, text: str, centre: Point, weight: str = "normal") -> None:
    axes.text(*centre, text, color=INK, size=FONT_SIZE + 1, weight=weight, ha="center", va="center", parse_math=False)


def _panel(axes: Any, panel: Panel, plan: Layout, sizes: dict[str, Point], origin: Point, flow: str) -> None:
    def at(point: Point) -> Point:
        x, y = point if flow == "right" else point[::-1]
        return origin[0] + x, origin[1] + y

    for arrow, route in zip(panel.arrows, plan.routes):
        points = [at(point) for point in (route[0], *chain.from_iterable(curves(route)))]
        line = Path(points, [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1))
        axes.add_patch(FancyArrowPatch(path=line, arrowstyle="-|>" if arrow.has_head else "-",
                                       mutation_scale=9, color=arrow.colour, lw=arrow.width, shrinkA=0, shrinkB=0,
                                       ls=":" if arrow.is_dotted else "-", capstyle="butt", joinstyle="miter"))
    for box in panel.boxes:
        _box(axes, box, at(plan.centres[box.name]), sizes[box.name])


def _box(axes: Any, box: Box, centre: Point, size: Point) -> None:
    look = {"ec": box.colour, "lw": 1, "fc": "none" if box.is_faint else box.colour, "ls": ":" if box.is_faint else "-"}
    if box.role == "node":
        axes.add_patch(Circle(centre, size[0] / 2, **look))
    else:
        corner = (centre[0] - size[0] / 2, centre[1] - size[1] / 2)
        axes.add_patch(FancyBboxPatch(corner, *size, boxstyle="round,pad=0,rounding_size=4", **look))
    axes.text(*centre, _shown(box.label), color=INK if box.is_faint else text_on(box.colour), size=FONT_SIZE,
              ha="center", va="center_baseline" if "\n" not in box.label else "center", linespacing=1.05)
