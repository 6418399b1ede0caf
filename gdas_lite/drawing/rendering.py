"""DOT to a picture, by the first that works: pygraphviz (in this process), the `dot` program, matplotlib.

A missing program never raises: matplotlib is a core dependency, and its drawing needs no layout engine
(layered_layout.py, cell_painter.py).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import graphviz

if TYPE_CHECKING:
    from gdas_lite.diagrams import CellDot

PNG_DPI = 96            # pixels an inch; SVG's points are 72 an inch, browsers show them at 96
PAGE_PT = 630.0         # widest SVG, 840 pixels: what JupyterLab and GitHub have room for

_GRAPHVIZ_LOCK = threading.Lock()       # the Graphviz libraries keep global state


def render(dot: CellDot, kind: str) -> bytes:
    """The picture of `dot` as "svg" (without XML prolog), "png" or "pdf"."""
    for renderer in (by_pygraphviz, by_dot_program):
        picture = renderer(_with_resolution(dot, kind), kind)
        if picture is not None:
            break
    else:
        picture = by_matplotlib(dot, kind)
    if kind == "svg":
        return _slim_svg(picture.decode()).encode()
    return compact_png(picture) if kind == "png" else picture


def compact_png(png: bytes, colours: int = 128) -> bytes:
    """The same picture with a palette of `colours`, a third to a fifth of the size: notebooks keep every picture."""
    from PIL import Image  # comes with matplotlib
    with Image.open(io.BytesIO(png)) as picture:
        full = picture.convert("RGBA")
        if full.getextrema()[3][0] == 255:      # opaque everywhere
            full = full.convert("RGB")
        small = full.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        out = io.BytesIO()
        small.save(out, "png", optimize=True, dpi=picture.info.get("dpi", (PNG_DPI, PNG_DPI)))
    return out.getvalue()


def by_pygraphviz(dot: graphviz.Digraph, kind: str) -> bytes | None:
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


def by_dot_program(dot: graphviz.Digraph, kind: str) -> bytes | None:
    """Drawn by the `dot` program; None if it is missing or fails."""
    try:
        return dot.pipe(format=kind, quiet=True)
    except (graphviz.ExecutableNotFound, subprocess.CalledProcessError, OSError):
        return None


def by_matplotlib(dot: CellDot, kind: str) -> bytes:
    """Drawn from the plain graph behind `dot`, with our own layout."""
    from gdas_lite.drawing.cell_painter import draw
    return draw(dot.cell, dot.flow, kind, PNG_DPI)


def _with_resolution(dot: graphviz.Digraph, kind: str) -> graphviz.Digraph:
    if kind != "png":
        return dot
    sharp = dot.copy()
    sharp.attr(dpi=str(PNG_DPI))
    return sharp


def _slim_svg(text: str) -> str:
    """Only the <svg> element, without comments and node names, never wider than the page it stands in."""
    text = text[text.index("<svg"):]
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = fitted(re.sub(r"<title>[^<]*</title>\s*", "", text))
    return text.replace("<svg ", '<svg role="img" style="max-width:100%;height:auto" ', 1).strip()


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
