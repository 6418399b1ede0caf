"""Searches whose steps are captured, one or several at a time. On the CPU the same steps run eagerly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...runs.engine import Engine, SearchSpec
from ...runs.resumable import deferred_interrupt
from . import run_cell

if TYPE_CHECKING:
    from ...search.loop import Search


class CapturingEngine(Engine):
    """Captures without asking whether that is right: for those who find out, and the base of `CudaEngine`."""

    name: str = "cuda"

    def uncaptured(self, asked: SearchSpec) -> str | None:
        """Returns why the steps of a search cannot be captured, or None."""
        return None

    def attach(self, search: Search) -> None:
        search.state.supernet.run_cell = run_cell
        if self.uncaptured(search.spec) is None:
            from .steps import CapturedSteps
            search.state.updates = CapturedSteps(search.state, search.task, search.algorithm, search.space)

    def steps(self, search: Search, epoch: int) -> Iterator[int] | None:
        captured = getattr(search.state.updates, "epoch", None)     # of `CapturedSteps`
        return None if captured is None else captured(search, epoch)

    def workers(self, searches: Sequence[Search], asked: int | None) -> int:
        """Returns all at a time: a captured step is only launched, on its search's own stream, so they overlap."""
        return len(searches) if self.uncaptured(searches[0].spec) is None else 1

    def run_together(self, searches: Sequence[Search], workers: int) -> None:
        """Step k of every search before step k + 1 of any."""
        running, problems = list(searches), {}
        with deferred_interrupt() as interrupted:
            while running:
                running = [search for search in running if _does_step(search, problems)]
                if interrupted():
                    raise KeyboardInterrupt
        for search in searches:
            if search not in problems:
                search.run_epoch()
        for problem in problems.values():
            raise problem


def _does_step(search: Search, problems: dict[Search, Exception]) -> bool:
    try:
        return search.do_step()
    except Exception as problem:
        problems[search] = problem
        return False
