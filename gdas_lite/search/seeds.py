"""Several independent searches in one process, seed by seed: what a lesson about spread needs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from ..data.images import ImageData
from ..data.text import TextData
from ..runs.config import path_of
from ..runs.device import Precision, pick_device
from ..runs.resumable import deferred_interrupt
from .algorithms import Algorithm
from .history import EpochRecord
from .loop import Search
from .recipes import SearchRecipe
from .stopping import StoppingRule
from .tasks import ImageTask, Task

LOOKS_EVERY_S = 0.2     # how often the main thread looks for an interrupt
TURN_S = 0.001


class StackedSearch:
    """One search for each seed. Iterate it epoch by epoch or call `run`; `searches` are ordinary ones.

        stack = gl.Search(gl.NASBench201(4, 1), gl.load_data("digits"), gl.GDAS(), seeds=range(8)).run()
        stack.alphas["cell"]        # (seeds, epochs, edges, candidates)
        [str(genotype) for genotype in stack.genotypes]

    Each is the search of its own seed: the same draws, the same batches, and bit for bit the result of a single `Search` on
    the same engine. Small searches in the space NAS-Bench-201 take the engine "fused" on the CPU, and run in threads there;
    captured ones on a GPU (engine "fused" too) take turns step by step, so that they overlap; anything else runs in turn.

    seeds: different integers. out: a folder in which each search has its run folder, seed-0 and so on; the same call goes on
    with what is there. workers: threads (None: one a core, where the engine is "fused"). The other arguments are those of
    `Search`. on_step: called after each step with (seed, epoch, step, steps), perhaps from several threads.
    Raises ValueError for seeds that are none or not different, and what `Search` raises.
    """

    def __init__(self, space: Any, data: ImageData | TextData, algorithm: Algorithm, *, seeds: Sequence[int],
                 recipe: str | SearchRecipe = "lesson", out: str | Path | None = None,
                 device: str | torch.device | None = None, stop_when: StoppingRule | None = None, engine: str = "auto",
                 precision: Precision = "fp32", workers: int | None = None) -> None:
        self.seeds = tuple(seeds)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be one or more different integers, got {list(self.seeds)}")
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self._workers = workers
        self._stops = threading.Event()
        self.on_step: Callable[[int, int, int, int], None] | None = None
        self.searches: list[Search] = []
        task = None
        try:
            for seed in self.seeds:
                member = _Member(task, space, data, algorithm, recipe=recipe, seed=seed, device=pick_device(device),
                                 out=None if out is None else path_of(out) / f"seed-{seed}", stop_when=stop_when, engine=engine,
                                 precision=precision)
                task = member.task if isinstance(member.task, ImageTask) else None
                member.on_step, member.interrupt_when = self._tell(seed), self._stops.is_set
                self.searches.append(member)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.searches)

    def __iter__(self) -> Iterator[list[EpochRecord]]:
        """Epoch by epoch, the records of all searches that did it."""
        while not self.is_finished:
            yield self.run_epoch()

    @property
    def is_finished(self) -> bool:
        """Whether every search is."""
        return all(search.is_finished for search in self.searches)

    @property
    def epochs_done(self) -> int:
        """Epochs that every search has done that did not stop before."""
        return min((search.epochs_done for search in self.searches if not search.is_finished),
                   default=max(search.epochs_done for search in self.searches))

    @property
    def total_epochs(self) -> int:
        return self.searches[0].total_epochs

    @property
    def workers(self) -> int:
        """Searches at a time: captured on a GPU all; else each in a thread. PyTorch's operations hold Python's lock, so those run
        in turn; the kernels of larger cells have threads of their own."""
        if self._interleaves:
            return len(self)
        if not all(search.engine.by == "loops" for search in self.searches):
            return 1
        return min(len(self), self._workers or os.cpu_count() or 1)

    @property
    def _interleaves(self) -> bool:
        return all(search.engine.by == "graphs" for search in self.searches)

    def run(self) -> StackedSearch:
        """Do all epochs that are left. Returns the stack itself."""
        for _ in self:
            pass
        return self

    def run_epoch(self) -> list[EpochRecord]:
        """Do (or finish) one epoch of every search that is not ahead of the others; the records of those, by seed.

        An interrupt takes effect at the end of each search's step at hand; call again to go on. What stops one search (a
        loss that is not finite) is raised when the others have done the epoch.
        """
        epoch = self.epochs_done
        behind = [search for search in self.searches if not search.is_finished and search.epochs_done == epoch]
        if self._interleaves:
            self._run_interleaved(behind)
        elif (workers := self.workers) == 1:
            for search in behind:
                search.run_epoch()
        else:
            self._run_in_threads(behind, workers)
        return [search.history[epoch] for search in self.searches if search.epochs_done > epoch]

    def _run_interleaved(self, searches: Sequence[Search]) -> None:
        """Step k of every search before step k + 1 of any. A step is only launched, on its search's own stream, so on a GPU
        those of several searches run beside each other."""
        running, problems = list(searches), {}
        with deferred_interrupt() as interrupted:
            while running:
                running = [search for search in running if self._does_step(search, problems)]
                if interrupted():
                    raise KeyboardInterrupt
        for search in searches:
            if search not in problems:
                search.run_epoch()
        for problem in problems.values():
            raise problem

    @staticmethod
    def _does_step(search: Search, problems: dict[Search, Exception]) -> bool:
        try:
            return search.do_step()
        except Exception as problem:
            problems[search] = problem
            return False

    def _run_in_threads(self, searches: Sequence[Search], workers: int) -> None:
        self._stops.clear()
        with _short_turns(), ThreadPoolExecutor(workers) as pool, deferred_interrupt() as interrupted:
            futures = [pool.submit(self._epoch_unless_stopped, search) for search in searches]
            try:
                _wait(futures, lambda: self._stops.set() if interrupted() else None)
            except BaseException:       # a second interrupt
                self._stops.set()
                raise
        problems = [problem for future in futures if (problem := future.exception()) is not None]
        others = [problem for problem in problems if not isinstance(problem, KeyboardInterrupt)]
        if problems:
            raise (others or problems)[0]
        if interrupted():
            raise KeyboardInterrupt

    def _epoch_unless_stopped(self, search: Search) -> None:
        if self._stops.is_set():
            raise KeyboardInterrupt
        search.run_epoch()

    def _tell(self, seed: int) -> Callable[[int, int, int], None]:
        def tell(epoch: int, step: int, steps: int) -> None:
            if self.on_step:
                self.on_step(seed, epoch, step, steps)

        return tell

    @property
    def genotypes(self) -> list[Any]:
        """The cell of each search, by seed."""
        return [search.genotype for search in self.searches]

    @property
    def history(self) -> NoReturn:
        """Says where the histories are; `gl.watch` and the like ask for one."""
        raise AttributeError("a stack has no history of its own; each of stack.searches has one, and gl.watch shows a single "
                             "search")

    @property
    def alphas(self) -> dict[str, np.ndarray]:
        """By kind of cell: alpha after each epoch that all searches have, (seeds, epochs, edges, candidates)."""
        epochs = min(len(search.history) for search in self.searches)
        each = [search.history[:epochs].alphas for search in self.searches]
        return {kind: np.stack([alphas[kind] for alphas in each]) for kind in each[0]}

    def close(self) -> None:
        """Let go of the run folders."""
        for search in self.searches:
            search.close()

    def __repr__(self) -> str:
        first = self.searches[0]
        return (f"{len(self)} searches, seeds {', '.join(map(str, self.seeds))}: {first.algorithm} in {first.space}, recipe "
                f"{first.recipe.name}; engine {first.engine}, {self.workers} at a time; epoch {self.epochs_done} of "
                f"{self.total_epochs}")


class _Member(Search):
    """A search that shares its images with the others of a stack."""

    is_stacked = True

    def __init__(self, task: Task | None, *arguments: Any, **options: Any) -> None:
        self._shared = task
        super().__init__(*arguments, **options)

    def _task(self, data: ImageData | TextData) -> Task:
        return self._shared or super()._task(data)


@contextmanager
def _short_turns() -> Iterator[None]:
    """Python's lock changes hands more often: a thread that comes back from a compiled loop waits for it as long as the other
    one may keep it, and Python's own five milliseconds are two steps of a small search."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _wait(futures: Sequence[Future], look: Callable[[], Any]) -> None:
    """Until all are done. A signal that another thread received is handled by the main thread only when that wakes up."""
    while wait(futures, timeout=LOOKS_EVERY_S).not_done:
        look()
