"""Where a live view is shown: in a notebook, or as lines in a terminal or log file.

A live view needs of such a place `status` and `pictures`, which stand in place of those before, `epoch_line`, one
lasting line where lines last, and `how_to_go_on`.
"""

import html
import shutil
import sys
from dataclasses import dataclass
from typing import Any, TextIO

from ...runs.printing import duration, say

BAR = 24        # characters of the bar that is text


@dataclass(frozen=True)
class Status:
    """One state of a run. part: of the whole run, 0..1. left, numbers: text, may be empty. is_last: nothing follows."""

    title: str
    where: str
    part: float
    left: str
    numbers: str
    is_last: bool = False

    def text(self) -> str:
        """For viewers without HTML."""
        full = round(BAR * self.part)
        head = ", ".join(filter(None, [f"{self.title}: {self.where}", self.left]))
        line = f"[{'#' * full}{'.' * (BAR - full)}] {self.part:4.0%}  {head}"
        return f"{line}\n{self.numbers}" if self.numbers else line

    def page(self) -> str:
        """The same as HTML; in a dark notebook it takes that one's colours."""
        left = f" · {html.escape(self.left)}" if self.left else ""
        return (f'<div style="max-width:760px;line-height:1.5"><b>{html.escape(self.title)}</b> · '
                f"{html.escape(self.where)}{left}<br>"
                f'<progress value="{self.part:.4f}" max="1" style="width:100%;height:10px">{self.part:.0%}</progress>'
                f'<br><span style="font-size:90%">{html.escape(self.numbers)}</span></div>')


class NotebookDisplay:
    """Three outputs of one cell, each updated in place: the state, the cell, the curves.

    `display` with a `display_id` keeps only the last state in the stored notebook and does not flicker.
    """

    how_to_go_on = "run this cell again to go on"

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    def status(self, status: Status) -> None:
        self._show("status", {"text/html": status.page(), "text/plain": status.text()})

    def epoch_line(self, head: str, numbers: str, seconds_left: float | None) -> None:
        """Nothing: the state is in the status already."""

    def pictures(self, history: Any, genotype: Any) -> None:
        from ..diagrams import mimebundle
        if genotype is not None:
            self._show("cell", mimebundle(genotype))
        self._show("curves", curves(history)._repr_mimebundle_())

    def _show(self, name: str, bundle: dict[str, str]) -> None:
        from IPython.display import display
        if name in self._handles:
            self._handles[name].update(bundle, raw=True)
        else:
            self._handles[name] = display(bundle, raw=True, display_id=True)


def curves(history: Any) -> Any:
    """The figure of a run that is under way: alpha of a search, loss and accuracy of a training."""
    from .. import plots
    return plots.alpha_evolution(history) if hasattr(history, "labels") else plots.training_curves(history)


class TerminalDisplay:
    """One line an epoch; on a terminal also a line that is written over as the steps go by. stream: None is stdout."""

    how_to_go_on = "run it again to go on"

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stdout
        self._is_terminal, self._width = self.stream is not None and self.stream.isatty(), 0

    def status(self, status: Status) -> None:
        if status.is_last:
            self._line(f"{status.title}: {status.where}")
        elif self._is_terminal:
            line, room = status.text().split("\n")[0], shutil.get_terminal_size().columns - 1
            line = (line if len(line) <= room else line[BAR + 3:])[:room]      # none that wraps can be written over
            say("\r" + line.ljust(self._width), self.stream, end="")
            self._width = len(line)

    def epoch_line(self, head: str, numbers: str, seconds_left: float | None) -> None:
        self._line(" · ".join([head, numbers, *([] if seconds_left is None else [f"{duration(seconds_left)} left"])]))

    def pictures(self, history: Any, genotype: Any) -> None:
        """Nothing: a terminal shows no pictures."""

    def _line(self, text: str) -> None:
        say(("\r" + " " * self._width + "\r" if self._width else "") + text, self.stream)
        self._width = 0


def in_notebook() -> bool:
    """True in a Jupyter kernel (JupyterLab, Colab, VS Code); false in a terminal, also in IPython's."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython
    return getattr(get_ipython(), "kernel", None) is not None
