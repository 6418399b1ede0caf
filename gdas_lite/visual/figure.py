"""A matplotlib figure that shows itself once in a notebook, is small when stored there, and reads on light and dark.

pyplot is not involved: no figure stays open, nothing is shown twice, and it works without a display and with any
backend. The ground is transparent; text, axes and lines without a colour of their own have mid-tones, at least 4 to 1
against white and near-black. Text has at least nine pixels. The statement above a figure is its alternative text too.
"""

import base64
import functools
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter, MaxNLocator

from .palette import GRID, INK, text_on
from .render import compact_png

DPI = 80            # pixels an inch in a notebook; `savefig(path, dpi=300)` for paper
WIDTH = 9.5         # inches: 760 pixels
SMALL, TITLE = 8.5, 11.0        # points, of the smallest text and of the statement; 8.5 points are 9.4 pixels
EXPONENT = 0.7      # size of an exponent in matplotlib's formulas, of the rest
REFERENCE = {"color": INK, "lw": 0.9, "ls": (0, (1, 2))}       # the look of a limit or level
STYLE = {
    "font.size": 9.5, "font.family": "sans-serif", "axes.titlesize": 9.5, "axes.labelsize": 9.5,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "legend.fontsize": SMALL, "legend.title_fontsize": SMALL,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.titlecolor": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
    "axes.grid": False, "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True, "legend.frameon": False,
    "legend.labelcolor": INK, "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "auto",
    "lines.linewidth": 1.3, "axes.titlelocation": "left", "text.usetex": False,
    "text.parse_math": False,       # names of classes and runs are no formulas, whatever dollar signs they have
}
P, R = ParamSpec("P"), TypeVar("R")


class NotebookFigure(Figure):
    """A figure whose title is a statement; the statement is also its text where pictures are not shown."""

    claim = ""

    def state(self, claim: str) -> Self:
        """Returns the figure under this statement, on two lines at most; all clauses stay in the alternative text."""
        self.claim = claim
        parts = claim.replace("\n", "\n;").split(";")
        for count, size in [(len(parts), TITLE), *((count, SMALL) for count in range(len(parts), 0, -1))]:
            text, letters = ";".join(parts[:count]).replace("\n;", "\n"), int(112 * self.get_figwidth() / size)
            lines = [line for part in text.split("\n") for line in textwrap.wrap(part, letters)]
            if len(lines) <= 2:
                break
        self.suptitle("\n".join(lines), x=0.012, ha="left", weight="bold", size=size)
        return self

    def draw(self, renderer: Any) -> None:
        """As matplotlib's; the powers of ten on logarithmic axes are the only formulas."""
        for axis in (axis for axes in self.axes for axis in (axes.xaxis, axes.yaxis)):
            if isinstance(axis.get_major_formatter(), LogFormatter):
                for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                    tick.label1.set_parse_math(True)
                    tick.label1.set_fontsize(SMALL / EXPONENT)
        super().draw(renderer)

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """As matplotlib's; ticks are made only now, so our style holds here too."""
        with rc_context(STYLE):
            super().savefig(*args, **kwargs)

    def smallest_text(self) -> float:
        """Returns the size of the smallest text, in pixels as a notebook shows the figure."""
        sizes = [text.get_fontsize() * (EXPONENT if text.get_parse_math() and "^" in text.get_text() else 1)
                 for text in self.findobj(Text) if text.get_visible() and text.get_text().strip()]
        return min(sizes, default=TITLE) * DPI / 72

    def png(self) -> bytes:
        """Returns the picture that a notebook stores, with its statement and the size of its smallest text as notes."""
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=DPI)
        notes = {"Description": self.claim, "Smallest text": f"{self.smallest_text():.1f} px"}
        return compact_png(out.getvalue(), 256, notes)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        return {"image/png": base64.b64encode(self.png()).decode(), "text/plain": self.claim or repr(self)}


def new_figure(height: float, width: float = WIDTH) -> NotebookFigure:
    """An empty figure of `width` x `height` inches that lays itself out."""
    return NotebookFigure(figsize=(width, height), dpi=DPI, facecolor="none", layout="constrained")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in our style, whatever the user's matplotlib settings are, and leave those as they were."""
    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with rc_context(STYLE):
            return draw(*args, **kwargs)
    return drawn


def subplots(height: float, width: float = WIDTH, columns: int = 1, **options: Any) -> tuple[NotebookFigure, Any]:
    """Returns a new figure and its axes, or a row of axes; options: of matplotlib's `subplots`."""
    figure = new_figure(height, width)
    return figure, figure.subplots(1, columns, **options)


def panels(height: float, items: Mapping[str, Any], width: float = WIDTH, **shared: Any) -> tuple[NotebookFigure, Any]:
    """Returns a figure with a panel an item, side by side, and (axes, name, item) of each; shared: as of `subplots`."""
    figure, row = subplots(height, width, len(items), squeeze=False, **shared)
    return figure, [(axes, name, item) for axes, (name, item) in zip(row[0], items.items())]


def whole_numbers(*axes: Any, **limits: Any) -> None:
    """Puts the ticks of each matplotlib axis at whole numbers; limits: more of MaxNLocator's arguments."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(**{"integer": True, "min_n_ticks": 1} | limits))


def note(axes: Any, text: str, at: tuple[Any, Any], offset: tuple[float, float] = (0, 2), **look: Any) -> None:
    """Writes small text beside a point. at: (x, y) in the axes' data; offset: from there, in points."""
    axes.annotate(text, at, xytext=offset, textcoords="offset points", **{"fontsize": SMALL} | look)


def draw_table(axes: Any, values: np.ndarray, texts: np.ndarray, rows: Sequence[str], columns: Sequence[str], *,
               slanted: bool = True, size: float | None = None, **colours: Any) -> Any:
    """Draws numbers as coloured cells, a text in each, and names rows and columns; returns the image. values, texts:
    (rows, columns). size: of the texts. colours: as of matplotlib's `imshow`."""
    image = axes.imshow(values, aspect="auto", **colours)
    for (row, column), text in np.ndenumerate(texts):
        if text:
            ink = text_on(to_hex(image.to_rgba(values[row, column])))
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
    slant = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(range(len(columns)), columns, **slant)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    return image
