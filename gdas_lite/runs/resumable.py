"""The epoch loop that searches and trainings share: iterate, interrupt at a step's end, write, resume."""

import hashlib
import math
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from .config import plain_config
from .device import check_defaults, sensible_threads
from .distributed import SINGLE_PROCESS, ProcessGroup
from .folder import RunFolder

CHECK_EVERY = 50    # steps between looks at the loss on a GPU, where a look makes the host wait

DRAWING = threading.RLock()     # held by who draws from PyTorch's global CPU generator, which all threads share
if hasattr(os, "register_at_fork"):     # a reading process may be forked while another thread holds it
    os.register_at_fork(after_in_child=lambda: globals().update(DRAWING=threading.RLock()))
_taken: WeakKeyDictionary[nn.Module, object] = WeakKeyDictionary()    # each network's latest run, by its token


def generator_for(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """A CPU generator that depends on nothing but seed, epoch and purpose; so no random state need be saved."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, PyTorch's global CPU generator stands at `seed`, and no other thread is; outside it is as it was."""
    with DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class EpochByEpoch:
    """What has `is_finished` and `run_epoch`: `for record in run`, or `run.run()`."""

    def __iter__(self) -> Iterator[Any]:
        while not self.is_finished:
            yield self.run_epoch()

    def run(self) -> Self:
        """Do all epochs that are left. Returns the run itself."""
        for _ in self:
            pass
        return self


class ResumableRun(EpochByEpoch, ABC):
    """Epoch by epoch: `for record in run`, or `run.run()`.

    An interrupt (Ctrl-C, a notebook's stop button) takes effect at the end of the step at hand; iterating again goes on
    with the next step, and the result is the one of an uninterrupted run. A second interrupt waits for nothing but a
    save. With a folder, each epoch is kept on disk and the same call, or `resume`, goes on from there. An epoch counts
    when it is saved: where that fails, iterating again saves it first.

    on_step: called after each step with (epoch, step, steps); steps count from 1.
    interrupt_when: asked after each step; where it says True, the run stops there as by an interrupt
        (KeyboardInterrupt). With it another thread can stop the run; signals reach the main thread only.
    """

    total_epochs: int
    steps_per_epoch: int
    device: torch.device
    group: ProcessGroup = SINGLE_PROCESS
    map_elements: int | None = None     # of a batch's largest feature map, if there are maps
    noun: str   # "search" or "training", for messages
    _token: Any = None  # of a training whose network is in `_taken`
    _unsaved: Any = None    # the record of an epoch that is over and could not be saved yet

    def __new__(cls, *_arguments: Any, **_options: Any) -> Any:
        check_defaults()        # before weights are made
        return super().__new__(cls)

    def __init__(self, out: str | Path | None, head: Mapping[str, Any]) -> None:
        """Goes on from the newest good checkpoint in the folder `out`, if there is one; all processes from the same.

        out: None where nothing is to be kept. head: of the history. The folder is changed only when all of it was
        taken. Raises ValueError as `plain_config`, RunError as `RunFolder`.
        """
        config = plain_config(self.config)      # refused also where nothing is kept
        self.group.check_alike(config, self.noun)
        self.folder: RunFolder | None = self.group.on_writer(
            lambda: None if out is None else RunFolder(out, config, head))
        self.epochs_done, self._out = 0, out        # all processes know it, also those that have no folder
        self.on_step: Callable[[int, int, int], None] | None = None
        self.interrupt_when: Callable[[], bool] | None = None
        self._at_work = threading.Lock()
        self._steps: Iterator[int] | None = None
        self._seconds, self._is_torn = 0.0, False
        if self.folder:
            self.folder.at_work = self._at_work
        found = self.group.share(self.group.on_writer(lambda: self.folder.load() if self.folder else None))
        try:
            if found:
                self.restore(*found)
                self.epochs_done = int(found[1]["epochs_done"])
            if self.folder:
                self.folder.settle()
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def begin_epoch(self) -> Iterator[int]:
        """Do the steps of epoch `epochs_done`; yield the number of each when it is whole."""

    @abstractmethod
    def end_epoch(self, seconds: float) -> Any:
        """Append the epoch's record to the history and return it; it has `to_json`."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All state that the next epoch depends on, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any], records: list[dict[str, Any]]) -> None:
        """Put the state of a checkpoint back."""

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.epochs_done >= self.total_epochs

    def run_epoch(self) -> Any:
        """Do (or finish) one epoch and return its record.

        Raises FloatingPointError if the loss becomes NaN or infinite, RuntimeError if the run is finished, its state
        torn, or another thread at work on it.
        """
        with self._alone(), sensible_threads(self.device, self.map_elements), deferred_interrupt() as interrupted:
            while self._do_step():
                self._stop_if(interrupted)
            if self._unsaved is None:
                self._is_torn = True        # until the epoch's end is whole
                self._unsaved = self.end_epoch(max(self._seconds, 1e-9))
                self._steps, self._seconds, self._is_torn = None, 0.0, False
            interrupted.only_noted = True       # the second one as well, while a file is written
            record = self._save()
            self._stop_if(interrupted)
        return record

    def do_step(self) -> bool:
        """Do one step of the epoch at hand; False where none is left, and `run_epoch` has only the epoch's end to do.
        For those who do the steps of several runs in turn. Raises as `run_epoch` does."""
        with self._alone():
            return self._do_step()

    def take(self, network: nn.Module) -> None:
        """Makes the network this run's: one that had it before cannot go on with weights that are not its own."""
        _taken[network] = self._token = object()

    def check_network(self) -> None:
        """Raises RuntimeError if another run has taken the network since."""
        if self._token and _taken.get(self.network) is not self._token:
            raise RuntimeError(f"another {self.noun} has taken this one's network since, so its weights are not this "
                               f"one's any more; make a network for each {self.noun}: gl.network(...)")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Inside, this thread alone is at work on the run, whose state and folder are good."""
        if not self._at_work.acquire(blocking=False):
            raise RuntimeError(f"this {self.noun} runs in another thread already; stop it there first")
        try:
            check_defaults()
            self.check_network()
            if self._is_torn:
                raise RuntimeError(f"this {self.noun} was stopped inside a step or an epoch's end, its state in memory "
                                   f"is torn; {self._how_to_go_on()}")
            if self.folder:
                self.folder.claim()
            yield
        finally:
            self._at_work.release()

    def _save(self) -> Any:
        """Write the epoch that is over; then it counts."""
        if self.folder:
            self.folder.save(self.epochs_done + 1, self._unsaved.to_json(), self.tensors(),
                             {"torch": torch.__version__})
        self.epochs_done += 1
        record, self._unsaved = self._unsaved, None
        return record

    def _do_step(self) -> bool:
        if self._unsaved is not None:
            return False
        if self.is_finished:
            why = f" ({self.stopped})" if getattr(self, "stopped", None) else ""
            raise RuntimeError(f"this {self.noun} is finished: it stopped after epoch {self.epochs_done} of "
                               f"{self.total_epochs}{why}")
        started = time.perf_counter()
        if self._steps is None:
            self._steps = self.begin_epoch()
        self._is_torn = True        # until the step is whole
        step = next(self._steps, None)
        self._seconds += time.perf_counter() - started
        self._is_torn = False
        if step is None:
            return False
        if self.on_step:
            self.on_step(self.epochs_done, step, self.steps_per_epoch)
        return True

    def _stop_if(self, interrupted: Callable[[], bool]) -> None:
        if interrupted() or (self.interrupt_when and self.interrupt_when()):
            raise KeyboardInterrupt

    def check_finite(self, losses: list[Tensor], step: int) -> None:
        """Raise FloatingPointError at the first loss that is NaN or infinite. On a GPU looks only now and then."""
        latest = losses[-1]
        if latest.is_cuda and step % CHECK_EVERY and step != self.steps_per_epoch:
            return
        for position, loss in enumerate(losses[-CHECK_EVERY:], max(0, len(losses) - CHECK_EVERY) + 1):
            if not math.isfinite(loss.item()):
                raise FloatingPointError(
                    f"the loss of this {self.noun} became {loss.item()} in epoch {self.epochs_done + 1}, "
                    f"step {position}; {self._how_to_go_on()} A smaller learning rate is the usual cure.")

    def _how_to_go_on(self) -> str:
        if self._out is None:
            return "start it again (with out=... it would be kept on disk)."
        return f"the checkpoint after epoch {self.epochs_done} in {self._out} is good: resume from there." \
            if self.epochs_done else f"no epoch was finished yet; start it again in {self._out}."

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"a {self.noun} cannot be copied or pickled; with out=... it is kept in a folder, which may be "
                        "copied and resumed twice")

    def close(self) -> None:
        """Let go of the run folder, so that another process can go on with it."""
        if self.folder:
            self.folder.release()


class Interrupts:
    """What `deferred_interrupt` yields: called, it says whether an interrupt came."""

    def __init__(self) -> None:
        self._noted, self.only_noted = threading.Event(), False

    def __call__(self) -> bool:
        return self._noted.is_set()

    def note(self, _signal: int, _frame: Any) -> None:
        """Handle a signal: the second one strikes, if it need not wait."""
        if self._noted.is_set() and not self.only_noted:
            raise KeyboardInterrupt
        self._noted.set()


@contextmanager
def deferred_interrupt() -> Iterator[Interrupts]:
    """Inside, a first interrupt is only noted; the yielded function says whether one came. A second one strikes.

    Outside the main thread signals cannot be caught, so there nothing changes.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    previous = signal.signal(signal.SIGINT, interrupts.note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, previous)
