"""A run in a thread of its own: start, pause, stop, wait. It stops only where a step is whole, so nothing is lost."""

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from .live import OnStep

BUSY = ("running", "pausing", "stopping")       # states in which the thread is alive
LEAVING_S = 5           # at the interpreter's end: for the step at hand


class BackgroundRun:
    """Drives a search or training, the same steps with the same numbers as `for record in run`.

    state: "ready", "running", "pausing" (until the step at hand is whole), "paused", "stopping", "stopped", "finished"
    or "failed". A paused run keeps its run folder; a stopped one lets go of it, so that another process can go on.
    error: what the run failed with, None otherwise.
    step: called in the thread after each step with (epoch, step, steps, seconds left or None).
    changed: called, from whichever thread it happens in, when the state changed or an epoch ended.
    All methods may be called from any thread.
    """

    def __init__(self, run: Any, *, step: Callable[[int, int, int, float | None], None] = lambda *_: None,
                 changed: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic) -> None:
        import torch
        self.run, self.step, self.changed, self.clock = run, step, changed, clock
        self.state = "finished" if run.is_finished else "ready"
        self.error: BaseException | None = None
        self._threads = torch.get_num_threads()     # of whoever made this: a new thread may see another number
        self._news = threading.Condition()          # its lock guards state, error and the two below
        self._alive, self._told = 0, run.epochs_done        # threads; epochs of which `changed` has told
        _all.add(self)

    def start(self) -> None:
        """Begin, or go on with the next step. Does nothing to a run that is running or finished."""
        with self._news:
            if self.state in ("running", "finished"):
                return
            has_thread, self.state, self.error = self.state in BUSY, "running", None
            if folder := getattr(self.run, "folder", None):
                folder.is_kept = True       # a pause keeps it, too
            if not has_thread:          # else a request to pause or stop is taken back
                self._alive += 1
                threading.Thread(target=self._work, name=f"gdas_lite {self.run.noun}", daemon=True).start()
        self.changed()

    def pause(self) -> None:
        """Ask for a pause at the end of the step at hand; returns at once."""
        self._ask("pausing", ("running", "stopping"))

    def stop(self) -> None:
        """Ask for the thread's end at the end of the step at hand; returns at once. `start` goes on all the same."""
        with self._news:
            is_idle = self.state in ("ready", "paused", "failed")
            if is_idle:
                self.run.close()
                self.state = "stopped"
        if is_idle:
            self.changed()
        else:
            self._ask("stopping", ("running", "pausing"))

    def _ask(self, request: str, states: tuple[str, ...]) -> None:
        with self._news:
            if self.state not in states:
                return
            self.state = request
        self.changed()

    def wait(self, epochs: int | None = None, timeout: float | None = None) -> bool:
        """Wait until so many epochs are done in all, or the thread is at rest. False if `timeout` seconds passed first.

        `changed` has told of all that by then.
        """
        with self._news:
            return self._news.wait_for(
                lambda: self._alive == 0 or (epochs is not None and self._told >= epochs), timeout)

    def _work(self) -> None:
        import torch
        torch.set_num_threads(self._threads)        # so that sums are made in the same order as in the caller's thread
        before = self.run.on_step, self.run.interrupt_when
        self.run.on_step = OnStep(self.run, self.step, self.clock)
        self.run.interrupt_when = lambda: self.state != "running"
        while True:
            error = self._until_asked()
            with self._news:
                if error is None and self.state == "running" and not self.run.is_finished:
                    continue        # the request was taken back before the step was whole
                self.run.on_step, self.run.interrupt_when = before
                self._rest(error)
                break
        self._tell(threads_less=1)

    def _tell(self, threads_less: int = 0) -> None:
        epochs = self.run.epochs_done
        self.changed()
        with self._news:
            self._told = epochs
            self._alive -= threads_less
            self._news.notify_all()

    def _until_asked(self) -> BaseException | None:
        """Steps until a request, the end, or an error, which is returned."""
        try:
            while self.state == "running" and not self.run.is_finished:
                self.run.run_epoch()
                self._tell()
        except KeyboardInterrupt:
            return None
        except BaseException as error:
            return error
        return None

    def _rest(self, error: BaseException | None) -> None:
        if error is not None:
            self.state, self.error = "failed", error
        elif self.run.is_finished:
            self.state = "finished"
        else:
            self.state = {"pausing": "paused", "stopping": "stopped"}[self.state]
        if self.state != "paused":
            self.run.close()


_all: weakref.WeakSet[BackgroundRun] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """End the threads while Python is still whole; a thread that computes on during its end can crash the process."""
    running = [each for each in _all if each.state in BUSY]
    for each in running:
        each.stop()
    for each in running:
        each.wait(timeout=LEAVING_S)
