"""Searches beside each other, each in a thread: for compiled loops, which let go of Python's lock."""

import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

from ...runs.resumable import deferred_interrupt
from ...search.loop import Search

LOOKS_EVERY_S = 0.2     # how often the main thread looks for an interrupt
TURN_S = 0.001


def run_in_threads(searches: Sequence[Search], workers: int) -> None:
    """Do an epoch of each, see `Engine.run_together`. Interrupted, all stop at the end of their steps at hand."""
    stops, asked_before = threading.Event(), [search.interrupt_when for search in searches]

    def epoch_of(search: Search) -> None:
        if stops.is_set():
            raise KeyboardInterrupt
        search.run_epoch()

    try:
        for search in searches:
            search.interrupt_when = stops.is_set
        with _short_turns(), ThreadPoolExecutor(workers) as pool, deferred_interrupt() as interrupted:
            futures = [pool.submit(epoch_of, search) for search in searches]
            try:
                # a signal that another thread received is handled once the main thread wakes up
                while wait(futures, timeout=LOOKS_EVERY_S).not_done:
                    if interrupted():
                        stops.set()
            except BaseException:       # a second interrupt
                stops.set()
                raise
    finally:
        for search, before in zip(searches, asked_before, strict=True):
            search.interrupt_when = before
    problems = [problem for future in futures if (problem := future.exception()) is not None]
    others = [problem for problem in problems if not isinstance(problem, KeyboardInterrupt)]
    if problems:
        raise (others or problems)[0]
    if interrupted():
        raise KeyboardInterrupt


@contextmanager
def _short_turns() -> Iterator[None]:
    """Python's lock changes hands more often: a thread that comes back from a compiled loop waits for it as long as the
    other one may keep it, and Python's own five milliseconds are two steps of a small search."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
