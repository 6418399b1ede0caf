"""A live view of a search or training: `for record in gl.watch(search): pass`.

In a notebook it shows a progress line, the cell of the moment and alpha of every edge, each in one place that is
updated, so nothing flickers and the stored notebook keeps the last state alone. Elsewhere it prints a line an epoch.
Progress is text and HTML: stored widget progress bars make GitHub refuse a notebook.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from ...genotypes.parse import parse_genotype
from ...runs.printing import counted, duration
from ...runs.schema import check_has
from .screens import NotebookDisplay, Status, TerminalDisplay, in_notebook

UPDATES_PER_SECOND = 5
PICTURE_SHARE = 0.1         # of the time may go into drawing while the search runs


class LiveView:
    """Shows how far a run is. Call `step` and `epoch` as it goes, then `finished`, `interrupted` or `failed`.

    total_epochs: of the whole run. title: what runs. screen: None picks notebook or terminal. clock: seconds.
    Steps are shown at most five times a second. Pictures are drawn anew after an epoch as long as drawing takes less
    than a tenth of the time, and always at the end.
    """

    def __init__(self, total_epochs: int, title: str = "search", *, screen: Any = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.total_epochs, self.title, self.clock = total_epochs, title, clock
        self.screen = screen or (NotebookDisplay() if in_notebook() else TerminalDisplay())
        self._next_step = self._next_pictures = float("-inf")
        self._numbers, self._latest = "", None

    def resumed(self, history: Any, genotype: Any = None) -> None:
        """The run goes on from `history`: show what there is at once, not only after the next epoch."""
        self._latest, self._numbers = (history, genotype), numbers_of(history[-1])
        done = len(history)
        self._show(f"going on after epoch {done} of {self.total_epochs}", done / self.total_epochs, None)
        self._draw()

    def step(self, epoch: int, step: int, steps: int, seconds_left: float | None = None) -> None:
        """Step `step` (from 1) of `steps` in epoch `epoch` (from 0) is done."""
        now = self.clock()
        if now < self._next_step:
            return
        self._next_step = now + 1 / UPDATES_PER_SECOND
        part = (epoch + step / steps) / self.total_epochs
        self._show(f"epoch {epoch + 1} of {self.total_epochs}, step {step} of {steps}", part, seconds_left)

    def epoch(self, history: Any, genotype: Any = None, seconds_left: float | None = None) -> None:
        """An epoch is done: `history` ends with its record; `genotype` is the cell of the moment (None: not drawn)."""
        self._latest, self._numbers = (history, genotype), numbers_of(history[-1])
        done = len(history)
        self._show(f"epoch {done} of {self.total_epochs} done", done / self.total_epochs, seconds_left)
        self.screen.epoch_line(f"epoch {done}/{self.total_epochs}", self._numbers, seconds_left)
        if self.clock() >= self._next_pictures:
            self._draw()

    def interrupted(self, epochs_done: int) -> None:
        """The run was stopped by hand after so many whole epochs; what is shown stays."""
        self._end(f"interrupted after epoch {epochs_done} of {self.total_epochs}, {self.screen.how_to_go_on}",
                  epochs_done)

    def failed(self, epochs_done: int, error: BaseException) -> None:
        """The run ended with an error, which is raised as well."""
        self._end(f"stopped by {type(error).__name__} after epoch {epochs_done} of {self.total_epochs}", epochs_done)

    def finished(self, history: Any, genotype: Any = None) -> None:
        """The run is at its end. genotype: the result, drawn; None where there is none."""
        self._latest = (history, genotype)
        self._numbers = numbers_of(history[-1]) if len(history) else ""
        why = getattr(history[-1], "stopped", None) if len(history) else None
        done, took = len(history), duration(sum(record.seconds for record in history))
        self._end(f"stopped early after epoch {done} of {self.total_epochs} ({why}), {took}" if why else
                  f"finished: {counted(done)} in {took}", done)

    def _end(self, text: str, epochs_done: int) -> None:
        self._draw()
        self._show(text, epochs_done / max(1, self.total_epochs), None, is_last=True)

    def _show(self, where: str, part: float, seconds_left: float | None, is_last: bool = False) -> None:
        left = "" if seconds_left is None or is_last else f"{duration(seconds_left)} left"
        self.screen.status(Status(self.title, where, part, left, self._numbers, is_last))

    def _draw(self) -> None:
        if self._latest is None or not len(self._latest[0]):
            return
        started = self.clock()
        self.screen.pictures(*self._latest)
        self._next_pictures = started + (self.clock() - started) / PICTURE_SHARE


def watch(run: Any, view: LiveView | None = None, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Any]:
    """Iterate a search or training and show how it goes; yields its records.

        for record in gl.watch(search):
            pass

    An interrupt (the notebook's stop button) ends the loop without an error and leaves the last state on the screen;
    run the same cell again to go on. An error of the run is shown and raised. run: iterable over epochs, with
    `total_epochs`, `history`, `genotype` (searches) and an attribute `on_step`.
    """
    check_has(run, "on_step", "run", "a search or a training")
    view = view or LiveView(run.total_epochs, title_of(run), clock=clock)
    run.on_step = mine = OnStep(run, view.step, clock)
    try:
        if 0 < len(run.history) < run.total_epochs and not getattr(run.history[-1], "stopped", None):
            view.resumed(run.history, genotype_of(run.history[-1]))
        for record in run:
            mine.come_to(len(run.history))
            view.epoch(run.history, genotype_of(record), mine.seconds_left)
            yield record
        view.finished(run.history, genotype_of(run.history[-1]) if len(run.history) else None)
    except (KeyboardInterrupt, GeneratorExit) as stop:      # GeneratorExit: the loop was left by `break`
        view.interrupted(len(run.history))
        if isinstance(stop, GeneratorExit):
            raise
    except BaseException as error:
        view.failed(len(run.history), error)
        raise
    finally:
        if run.on_step is mine:
            run.on_step = mine.before


class OnStep:
    """The `run.on_step` while a run is watched: calls show(epoch, step, steps, seconds left), then what was there.

    seconds_left: by the time that the steps seen here have taken.
    """

    def __init__(self, run: Any, show: Callable[[int, int, int, float | None], None], clock: Callable[[], float]
                 ) -> None:
        self.show, self.clock, self.total_epochs, self.before = show, clock, run.total_epochs, run.on_step
        if isinstance(self.before, OnStep):     # left by a loop whose body failed: its view is over
            self.before = self.before.before
        self._first: tuple[float, float] | None = None      # (time, epochs) when first seen
        self.seconds_left: float | None = None

    def come_to(self, epochs: float) -> None:
        """So many epochs are done by now; the first call only starts the watch."""
        now = self.clock()
        if self._first is None:
            self._first = (now, epochs)
        elif epochs > self._first[1]:
            self.seconds_left = (now - self._first[0]) / (epochs - self._first[1]) * (self.total_epochs - epochs)

    def __call__(self, epoch: int, step: int, steps: int) -> None:
        self.come_to(epoch + step / steps)
        self.show(epoch, step, steps, self.seconds_left)
        if self.before:
            self.before(epoch, step, steps)


def title_of(run: Any) -> str:
    """What runs, in a few words: the algorithm of a search, else the class."""
    algorithm = getattr(run, "algorithm", None)
    return f"{type(algorithm).__name__} search" if algorithm is not None else type(run).__name__.lower()


def genotype_of(record: Any) -> Any:
    """The genotype that an epoch's record keeps as text; None if it has none."""
    text = getattr(record, "genotype", None)
    return parse_genotype(text) if text else None


def numbers_of(record: Any) -> str:
    """An epoch's losses, accuracies and temperature in one line, with their units; what a record lacks is left out."""
    parts = []
    for half in ("train", "valid"):
        loss, accuracy = getattr(record, f"{half}_loss", None), getattr(record, f"{half}_accuracy", None)
        if loss is not None and loss == loss:               # NaN: the algorithm has no such step
            is_scored = accuracy is not None and accuracy == accuracy       # language models have no accuracy
            parts.append(f"{half} loss {loss:.3f}" + (f", accuracy {accuracy:.1f}%" if is_scored else ""))
    parts += [f"{name} accuracy {score['accuracy']:.1f}%" for name, score in getattr(record, "evaluation", {}).items()]
    if getattr(record, "tau", None) is not None:
        parts.append(f"tau {record.tau:.2f}" if record.tau >= 0.1 else f"tau {record.tau:.2g}")
    return " · ".join([*parts, f"{record.seconds:.1f} s an epoch"])
