"""The dashboard: a search or training that runs while the kernel is free, with buttons to start, pause and stop it."""

import contextlib
import html
import threading
import time
from collections.abc import Callable
from typing import Any

import traitlets

from ...runs.printing import counted, duration
from .background import BUSY, BackgroundRun
from .browser_values import panels, part, score, table_for
from .browser_widget import BrowserWidget, drawing, figure, module
from .live import UPDATES_PER_SECOND, genotype_of, numbers_of, title_of
from .screens import curves

PICTURES_EVERY_S, SENDING_SHARE = 0.3, 0.1       # at most; and of the run's time that may go into sending them
NOTHING_YET = ('<svg xmlns="http://www.w3.org/2000/svg" width="520" height="30" role="img"><text x="4" y="20" '
               'fill="#6F7782" font-family="Helvetica,Arial,sans-serif" font-size="13">{text}</text></svg>')


class Dashboard(BrowserWidget):
    """A run in the background, under the reader's hands: progress, time left, losses, alpha, the cell of the moment.

    run: a search in any space, or a training, or a function that makes one: then the button *start anew* makes another,
    once the run is stopped or over. Nothing is computed before `start()` or its button. The kernel stays free.
    table: ground truth of the NAS-Bench-201 space (`gl.tabular(...)`, its name, or None), for accuracy and rank of the
    cell: by default the benchmark's on CIFAR-10; column: one of its accuracies, None for its default.
    `start`, `pause`, `stop`, `begin_anew` and `wait` do what the buttons do. Both pause and stop take effect when the
    step at hand is whole, and starting again goes on with the next step, so the result is bit for bit that of a run
    that was never stopped. A paused run keeps its run folder, a stopped one lets go of it. Errors of the run or of a
    callback stand in the widget; `exception` is the run's.
    While it runs, read `history` and `genotype` here; the run's own parts are being written to. Observers of the
    widget's traits and the run's `on_step` are called in the run's thread.
    Raises TypeError for no run, ValueError for a table beside a run of another space, KeyError for an unknown column.
    Example: gl.Dashboard(lambda: gl.Search(space, data, gl.GDAS()))
    """

    _esm = module("base.js", "cell_graph.js", "chart.js", "search_cell.js", "dashboard.js")
    title = "Dashboard"
    error_stays = True
    status = traitlets.Dict().tag(sync=True)
    panels = traitlets.List().tag(sync=True)
    parts = traitlets.List().tag(sync=True)
    cell = traitlets.Dict().tag(sync=True)
    about = traitlets.Dict().tag(sync=True)

    def __init__(self, run: Any, table: Any = "nasbench201", column: str | None = None, *,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._make = run if callable(run) and not hasattr(run, "run_epoch") else None
        run = self._make() if self._make else run
        if not hasattr(run, "run_epoch"):
            raise TypeError(f"a dashboard drives one search or training, got {type(run).__name__}; of several searches "
                            f"give one")
        self._given, self.column, self.clock = table, column, clock
        self._publishing, self._answered = threading.RLock(), 0
        super().__init__(about=self._take(run))
        self.on_msg(self._asked)
        self._changed()

    def _take(self, run: Any) -> dict[str, Any]:
        """Returns what the browser shows of a run as long as it is this one."""
        labels = getattr(run.history, "labels", {})
        self.table, self._labels = table_for(self._given, self.column, labels), labels
        self.run, self._place, self._seconds_left = run, None, None
        self._next_step = self._next_pictures = float("-inf")
        self._sent = -1         # epochs whose pictures were sent
        self._driver = BackgroundRun(run, step=self._step, changed=self._changed, clock=self.clock)
        return {"title": title_of(run), "epochs": run.total_epochs, "kinds": list(labels),
                "begins_anew": self._make is not None}

    def start(self) -> None:
        """Begin, or go on; returns at once."""
        self._publish(error="")
        self._seconds_left = None
        self._driver.start()

    def pause(self) -> None:
        """Ask for a pause at the end of the step at hand; returns at once."""
        self._driver.pause()

    def stop(self) -> None:
        """Ask for the end at the end of the step at hand, and let go of the run folder; returns at once."""
        self._driver.stop()

    def begin_anew(self) -> None:
        """Make another run with the function that was given, and start it; a run with a folder goes on from there.

        Raises RuntimeError without such a function, or while the run is at work.
        """
        if self._make is None:
            raise RuntimeError("this dashboard was given a run; with a function that makes one, "
                               "Dashboard(lambda: gl.Search(...)), it can start anew")
        if self.state in BUSY:
            raise RuntimeError(f"the {self.run.noun} is {self.state}; stop it first")
        self._driver.stop()
        about = self._take(self._make())
        self._publish(panels=[], parts=[], cell={}, about=about)
        self.start()

    def wait(self, epochs: int | None = None, timeout: float | None = None) -> bool:
        """Wait until so many epochs are done in all, or nothing runs. False if `timeout` seconds passed first."""
        return self._driver.wait(epochs, timeout)

    @property
    def state(self) -> str:
        """"ready", "running", "pausing", "paused", "stopping", "stopped", "finished" or "failed"."""
        return self._driver.state

    @property
    def exception(self) -> BaseException | None:
        """What the run failed with, None if it did not."""
        return self._driver.error

    @property
    def history(self) -> Any:
        """The whole epochs so far, a copy."""
        return self.run.history[:]

    @property
    def genotype(self) -> Any:
        """The cell of the last whole epoch; None if there is none yet."""
        return genotype_of(history[-1]) if len(history := self.history) else None

    def __repr__(self) -> str:
        return f"Dashboard: {title_of(self.run)}, {self._where()}"

    def static_twin(self) -> dict[str, str]:
        """The cell with its probabilities, as SVG; the curves where there is no cell; a line before the first epoch."""
        history, line = self.history, f"{title_of(self.run)}: {self._where()}"
        if len(history) == 0:
            return {"image/svg+xml": NOTHING_YET.format(text=html.escape(line))}
        if (cell := genotype_of(history[-1])) is None:
            return figure(curves(history))
        return drawing(cell, line, score(str(cell), self.table, self.column), history=history)

    def _asked(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A button was pressed in the browser."""
        try:
            self._answered = content["id"]
            actions = {"start": self.start, "pause": self.pause, "stop": self.stop, "begin_anew": self.begin_anew}
            actions[content["do"]]()
        except Exception as error:      # raised further, it would be logged where nobody looks
            self._publish(error=f"{type(error).__name__}: {error}")
        self._publish_status()

    def _step(self, epoch: int, step: int, steps: int, seconds_left: float | None) -> None:
        self._place = (epoch, step, steps)
        if (now := self.clock()) < self._next_step:
            return
        self._next_step, self._seconds_left = now + 1 / UPDATES_PER_SECOND, seconds_left
        self._publish_status()

    def _changed(self) -> None:
        """The state changed, or an epoch ended."""
        self._publish_status()
        if (now := self.clock()) >= self._next_pictures or self.state not in BUSY:
            try:
                self._send_pictures()
            except Exception as error:      # of a cell that cannot be drawn: the run goes on
                self._publish(error=f"{type(error).__name__}: {error}")
            self._next_pictures = self.clock() + max(PICTURES_EVERY_S, (self.clock() - now) / SENDING_SHARE)
        if self.exception is not None:
            self._publish(error=f"{type(self.exception).__name__}: {self.exception}")

    def _publish(self, **values: Any) -> None:
        with self._publishing:
            for name, value in values.items():
                with contextlib.suppress(Exception):    # an observer's: it stands in the widget, and the run goes on
                    setattr(self, name, value)

    def _publish_status(self) -> None:
        with self._publishing:          # what is written last was read last, whichever thread it came from
            self._publish(status=self._status())

    def _status(self) -> dict[str, Any]:
        done, total = len(self.run.history), self.run.total_epochs
        epoch, step, steps = self._place or (done, 0, 1)
        part = 1.0 if self.state == "finished" else max(done, epoch + step / steps) / total
        knows = self.state == "running" and self._seconds_left is not None
        return {"state": self.state, "where": self._where(), "part": round(part, 4), "answered": self._answered,
                "left": f"{duration(self._seconds_left)} left" if knows else "",
                "numbers": numbers_of(self.run.history[done - 1]) if done else ""}

    def _where(self) -> str:
        done, total, state = len(self.run.history), self.run.total_epochs, self.state
        if state == "finished":
            seconds = duration(sum(record.seconds for record in self.run.history))
            if why := getattr(self.run.history[-1], "stopped", None):
                return f"ended early, after epoch {done} of {total} ({why}), in {seconds}"
            return f"finished, {counted(done)} in {seconds}"
        epoch, step, steps = self._place or (-1, 0, 1)
        place = f"epoch {epoch + 1} of {total}, step {step} of {steps}" if epoch >= done else f"epoch {done} of {total}"
        if epoch < done:            # between two epochs
            place = f"after {place}" if done else "before the first step"
        return {"ready": f"not started, {place}" if done else "not started", "running": place,
                "failed": f"failed {place if epoch < done else f'in {place}'}"}.get(state, f"{state}, {place}")

    def _send_pictures(self) -> None:
        with self._publishing:
            history = self.history
            if len(history) in (0, self._sent):
                return
            self._sent = len(history)
            cell = genotype_of(history[-1])
            text = "" if cell is None else str(cell)
            self._publish(
                parts=[part(kind, labels, history.op_probs[kind], [cell]) for kind, labels in self._labels.items()],
                panels=panels(history, self.table, self.column),
                cell={"text": text, "epoch": len(history),
                      "score": score(text, self.table, self.column) if text else ""})
