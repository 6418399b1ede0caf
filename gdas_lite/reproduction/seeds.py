"""Several independent searches in one process, seed by seed: what a lesson about spread needs."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..runs.config import path_of
from ..runs.engine import ENGINES
from ..runs.resumable import EpochByEpoch
from ..runs.schema import python_number
from ..search.algorithms import Algorithm
from ..search.history import EpochRecord
from ..search.loop import Search
from ..search.tasks import ImageTask, Task


class StackedSearch(EpochByEpoch):
    """One search for each seed. Iterate it epoch by epoch or call `run`; `searches` are ordinary ones.

        stack = gl.searches(gl.NASBench201(4, 1), gl.load_data("digits"), gl.GDAS(), seeds=range(8)).run()
        stack.alphas["cell"]        # (seeds, epochs, edges, candidates)
        [str(genotype) for genotype in stack.genotypes]

    Each is the search of its own seed: the same draws, the same batches, and bit for bit the result of a single
    `Search` on the same engine. They run in turn, unless the engine knows better.

    seeds: different integers. out: a folder in which each search has its run folder, seed-0 and so on; the same call
    goes on with what is there. workers: searches at a time, at most (None: as many as pay). The other options are those
    of `Search`. on_step: called after each step with (seed, epoch, step, steps), perhaps from several threads.
    Raises ValueError for seeds that are none or not different, and what `Search` raises.
    """

    def __init__(self, space: Any, data: Any, algorithm: Algorithm, seeds: Iterable[int] = range(8), *,
                 out: str | Path | None = None, workers: int | None = None, **options: Any) -> None:
        self.seeds = python_number(tuple(seeds)) if isinstance(seeds, Iterable) else (seeds,)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or not isinstance(seeds, Iterable):
            raise ValueError(f"seeds must be one or more different integers, got {list(self.seeds)}")
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self._workers = workers
        self.on_step: Callable[[int, int, int, int], None] | None = None
        self.searches: list[Search] = []
        try:
            for seed in self.seeds:
                folder = None if out is None else path_of(out) / f"seed-{seed}"
                self.searches.append(_Member(self, space, data, algorithm, seed=seed, out=folder, **options))
        except BaseException:
            self.close()
            raise
        self.total_epochs = self.searches[0].total_epochs

    def __len__(self) -> int:
        return len(self.searches)

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
    def workers(self) -> int:
        """Searches at a time."""
        engines = {search.engine for search in self.searches}
        return engines.pop().workers(self.searches, self._workers) if len(engines) == 1 else 1

    def run_epoch(self) -> list[EpochRecord]:
        """Does (or finishes) one epoch of every search that is not ahead of the others; returns the records of those.

        Interrupts and errors as in `Engine.run_together`; call again to go on.
        """
        epoch, workers = self.epochs_done, self.workers
        behind = [search for search in self.searches if not search.is_finished and search.epochs_done == epoch]
        (behind[0].engine if workers > 1 else ENGINES["plain"]).run_together(behind, workers)
        return [search.history[epoch] for search in self.searches if search.epochs_done > epoch]

    @property
    def genotypes(self) -> list[Any]:
        """The cell of each search, by seed."""
        return [search.genotype for search in self.searches]

    @property
    def history(self) -> NoReturn:
        raise AttributeError("a stack has no history; each of stack.searches has one, and gl.watch shows a single "
                             "search")

    @property
    def alphas(self) -> dict[str, np.ndarray]:
        """By kind of cell: alpha after each epoch that all searches have, (seeds, epochs, edges, candidates)."""
        epochs = min(len(search.history) for search in self.searches)
        each = [search.history[:epochs].alphas for search in self.searches]
        return {kind: np.stack([alphas[kind] for alphas in each]) for kind in each[0]}

    def close(self) -> None:
        """Lets go of the run folders."""
        for search in self.searches:
            search.close()

    def __repr__(self) -> str:
        seeds = ", ".join(map(str, self.seeds))
        return f"{len(self)} searches, seeds {seeds}, {self.workers} at a time, as {self.searches[0]}"


searches = StackedSearch        # as a notebook calls it: gl.searches(...)


class _Member(Search):
    """A search that shares its images with the others of a stack and tells the stack of its steps."""

    is_stacked = True

    def __init__(self, stack: StackedSearch, *arguments: Any, **options: Any) -> None:
        self._stack = stack
        super().__init__(*arguments, **options)
        self.on_step = lambda *step: stack.on_step(self.seed, *step) if stack.on_step else None

    def _task(self, data: Any) -> Task:
        first = self._stack.searches[0].task if self._stack.searches else None
        return first if isinstance(first, ImageTask) else super()._task(data)       # a text's carries hidden states
