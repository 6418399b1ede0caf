"""A matplotlib figure that shows itself once in a notebook and is small when stored there.

pyplot is not involved: no figure stays open, nothing is shown twice, and it works without a display and with any
backend.
"""

from __future__ import annotations

import base64
import functools
import io
import textwrap
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from .render import compact_png

DPI = 80            # pixels an inch in a notebook; `savefig(path, dpi=300)` for paper
WIDTH = 9.5         # inches: 760 pixels
STYLE = {
    "font.size": 9, "font.family": "sans-serif", "axes.titlesize": 9, "axes.labelsize": 9, "xtick.labelsize": 8,
    "ytick.labelsize": 8, "legend.fontsize": 8.5, "figure.titlesize": 10.5, "text.color": "#222222",
    "axes.labelcolor": "#222222",
    "axes.edgecolor": "#888888", "xtick.color": "#555555", "ytick.color": "#555555", "axes.titlecolor": "#222222",
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8, "axes.grid": False,
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "auto", "lines.linewidth": 1.3,
    "axes.titlelocation": "left", "text.usetex": False,
    "text.parse_math": False,       # names of classes and runs are no formulas, whatever dollar signs they have
}
P, R = ParamSpec("P"), TypeVar("R")


class NotebookFigure(Figure):
    """A figure whose title is a statement; the statement is also its text where pictures are not shown."""

    claim = ""

    def state(self, claim: str) -> None:
        """Set the statement that stands above the figure."""
        self.claim = claim
        letters = int(10.8 * self.get_figwidth())       # of the bold title, side by side
        lines = [part for line in claim.split("\n") for part in textwrap.wrap(line, letters)]
        self.suptitle("\n".join(lines), x=0.012, ha="left", weight="bold")

    def draw(self, renderer: Any) -> None:
        """As matplotlib's; the powers of ten on logarithmic axes are the only formulas."""
        for axis in (axis for axes in self.axes for axis in (axes.xaxis, axes.yaxis)):
            if isinstance(axis.get_major_formatter(), LogFormatter):
                for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                    tick.label1.set_parse_math(True)
        super().draw(renderer)

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """As matplotlib's; ticks are made only now, so our style holds here too."""
        with rc_context(STYLE):
            super().savefig(*args, **kwargs)

    def png(self) -> bytes:
        """The picture that a notebook stores."""
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=DPI)
        return compact_png(out.getvalue())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        return {"image/png": base64.b64encode(self.png()).decode(), "text/plain": self.claim or repr(self)}


def new_figure(height: float, width: float = WIDTH) -> NotebookFigure:
    """An empty figure of `width` x `height` inches that lays itself out."""
    return NotebookFigure(figsize=(width, height), dpi=DPI, layout="constrained")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in our style, whatever the user's matplotlib settings are, and leave those as they were."""
    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with rc_context(STYLE):
            return draw(*args, **kwargs)
    return drawn
