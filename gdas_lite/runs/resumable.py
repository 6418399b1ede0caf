"""The epoch loop that searches and trainings share: iterate, interrupt at a step's end, write, resume."""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .config import RunError
from .device import check_defaults, sensible_threads
from .folder import RunFolder, checkpoints

CHECK_EVERY = 50    # steps between looks at the loss on a GPU, where a look makes the host wait


def generator_for(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """Returns a CPU generator that depends on nothing but seed, epoch and purpose; so no random state need be saved."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


class ResumableRun(ABC):
    """Epoch by epoch: `for record in run`, or `run.run()`.

    An interrupt (Ctrl-C, a notebook's stop button) takes effect at the end of the step at hand; iterating again goes on
    with the next step, and the result is the one of an uninterrupted run. A second interrupt does not wait.
    With a folder, each epoch is kept on disk and the same call, or `resume`, goes on from there.

    on_step: called after each step with (epoch, step, steps); steps count from 1.
    interrupt_when: asked after each step; where it says True, the run stops there as by an interrupt (KeyboardInterrupt).
        With it another thread can stop the run; signals reach the main thread only.
    """

    total_epochs: int
    steps_per_epoch: int
    device: torch.device
    map_elements: int | None = None     # of a batch's largest feature map, if there are maps
    noun: str   # "search" or "training", for messages

    def __new__(cls, *_arguments: Any, **_options: Any) -> Any:
        check_defaults()        # before weights are made
        return super().__new__(cls)

    def __init__(self, folder: RunFolder | None) -> None:
        self.folder = folder
        self.epochs_done = 0
        self.on_step: Callable[[int, int, int], None] | None = None
        self.interrupt_when: Callable[[], bool] | None = None
        self._at_work, self._was_closed = threading.Lock(), False
        self._steps: Iterator[int] | None = None
        self._seconds = 0.0
        self._is_torn = False

    @abstractmethod
    def begin_epoch(self) -> Iterator[int]:
        """Does the steps of epoch `epochs_done`; yields the number of each when it is whole."""

    @abstractmethod
    def end_epoch(self, seconds: float) -> Any:
        """Appends the epoch's record to the history and returns it; it has `to_json`."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Returns all state that the next epoch depends on, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any], records: list[dict[str, Any]]) -> None:
        """Puts the state of a checkpoint back."""

    def __iter__(self) -> Iterator[Any]:
        while not self.is_finished:
            yield self.run_epoch()

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.epochs_done >= self.total_epochs

    def run(self) -> Any:
        """Does all epochs that are left. Returns the run itself."""
        for _ in self:
            pass
        return self

    def run_epoch(self) -> Any:
        """Does (or finishes) one epoch and returns its record.

        Raises FloatingPointError if the loss becomes NaN or infinite, RuntimeError if the state is torn or another thread
        is at work on this run.
        """
        with self._alone():
            return self._run_epoch()

    def do_step(self) -> bool:
        """Does one step of the epoch at hand, for those who do the steps of several runs in turn.

        Returns False where none is left, and `run_epoch` has only the epoch's end to do. Raises as `run_epoch` does.
        """
        with self._alone():
            self._check_can_go_on()
            started = time.perf_counter()
            try:
                return self._do_step()
            finally:
                self._seconds += time.perf_counter() - started

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._at_work.acquire(blocking=False):
            raise RuntimeError(f"this {self.noun} runs in another thread already; stop it there first")
        try:
            yield
        finally:
            self._at_work.release()

    def _check_can_go_on(self) -> None:
        check_defaults()
        if self._is_torn:
            raise RuntimeError(f"this {self.noun} was stopped inside a step, its state in memory is torn; "
                               f"{self._how_to_go_on()}")
        if self.folder:
            self.folder.claim()
            if self._was_closed:
                self._check_nobody_went_on(self.folder)

    def _run_epoch(self) -> Any:
        self._check_can_go_on()
        with sensible_threads(self.device, self.map_elements), deferred_interrupt() as interrupted:
            started = time.perf_counter()
            try:
                self._do_steps(interrupted)
            finally:
                self._seconds += time.perf_counter() - started
            record = self.end_epoch(self._seconds)
            self._steps, self._seconds = None, 0.0
            self.epochs_done += 1
            if self.folder:
                self.folder.save(self.epochs_done, record.to_json(), self.tensors(), {"torch": torch.__version__})
            self._stop_if(interrupted)
        return record

    def _do_steps(self, interrupted: Callable[[], bool]) -> None:
        while self._do_step():
            self._stop_if(interrupted)

    def _do_step(self) -> bool:
        if self._steps is None:
            self._steps = self.begin_epoch()
        try:
            step = next(self._steps)
        except StopIteration:
            return False
        except BaseException:
            self._is_torn = True
            raise
        if self.on_step:
            self.on_step(self.epochs_done, step, self.steps_per_epoch)
        return True

    def _stop_if(self, interrupted: Callable[[], bool]) -> None:
        if interrupted() or (self.interrupt_when and self.interrupt_when()):
            raise KeyboardInterrupt

    def check_finite(self, losses: list[Tensor], step: int) -> None:
        """Raises FloatingPointError at the first loss that is NaN or infinite. On a GPU looks only now and then."""
        latest = losses[-1]
        if latest.is_cuda and step % CHECK_EVERY and step != self.steps_per_epoch:
            return
        for position, loss in enumerate(losses[-CHECK_EVERY:], max(0, len(losses) - CHECK_EVERY) + 1):
            if not math.isfinite(loss.item()):
                raise FloatingPointError(
                    f"the loss of this {self.noun} became {loss.item()} in epoch {self.epochs_done}, step {position}; "
                    f"{self._how_to_go_on()} A smaller learning rate is the usual cure.")

    def _how_to_go_on(self) -> str:
        if self.folder is None:
            return "start it again (with out=... it would be kept on disk)."
        return f"the checkpoint after epoch {self.epochs_done - 1} in {self.folder.path} is good: resume from there." \
            if self.epochs_done else f"no epoch was finished yet; start it again in {self.folder.path}."

    def close(self) -> None:
        """Lets go of the run folder, so that another process can go on with it."""
        if self.folder:
            self.folder.release()
            self._was_closed = True

    def _check_nobody_went_on(self, folder: RunFolder) -> None:
        newest = max((int(file.stem[-5:]) for file in checkpoints(folder.path)), default=0)
        if newest > self.epochs_done:
            folder.release()
            raise RunError(f"{folder.path} was gone on with elsewhere, up to epoch {newest}, since this {self.noun} let go of it "
                           f"after epoch {self.epochs_done}; resume from there")
        self._was_closed = False

    def load_latest(self) -> None:
        """Goes on from the newest good checkpoint of the folder, if there is one."""
        if self.folder and (found := self.folder.load()):
            tensors, state, records = found
            self.restore(tensors, state, records)
            self.epochs_done = int(state["epochs_done"])


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Inside, a first interrupt is only noted; the yielded function says whether one came. A second one strikes.

    Outside the main thread signals cannot be caught, so there nothing changes.
    """
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted.is_set
        return

    previous = signal.getsignal(signal.SIGINT)

    def note(_signal: int, _frame: Any) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def folder_for(out: str | Path | None, config: Mapping[str, Any], head: Mapping[str, Any]) -> RunFolder | None:
    """Returns the run folder at `out`, None if nothing is to be kept."""
    return None if out is None else RunFolder(out, config, head)
