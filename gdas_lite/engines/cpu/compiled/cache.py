"""Numba's cache on disk, as a help that a run does without where it is damaged, full or nowhere to be had.

Who waits for the compiler is told so, once for all that is compiled together.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, NullCache

from ....runs.printing import say

_TOLD: set[str] = set()


class Cache(FunctionCache):
    """A cache that reads what it can and is written anew where it cannot. Numba's own ends the program with EOFError,
    an unpickling error or OSError: it does not sync its files, so a power cut leaves them empty. what: see `keep`."""

    def __init__(self, function: Any, what: str) -> None:
        super().__init__(function)
        self._what = what

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = None
        with suppress(Exception):       # pickle and LLVM say in many ways that a file is damaged
            found = super().load_overload(sig, target_context)
        if found is None:
            _tell(f"{self._what}; kept for the next time")
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):     # no room, or read-only: compiled again in the next process
            try:
                super().save_overload(sig, data)
            except Exception:       # an index that cannot be read cannot be added to either
                self.flush()
                super().save_overload(sig, data)


class NoCache(NullCache):
    """Where there is no place for one."""

    def __init__(self, what: str) -> None:
        self._what = what

    def load_overload(self, sig: Any, target_context: Any) -> None:
        _tell(f"{self._what}; in every process, as no folder can be written to: set NUMBA_CACHE_DIR to one")


def keep(compiled: Any, function: Any, what: str) -> None:
    """Let a numba function find on disk what an earlier process compiled of `function`, where there is a place.

    what: is said before the first of what has this name is compiled, with about how long all of it takes.
    """
    try:
        compiled._cache = Cache(function, what)
    except RuntimeError:    # numba knows no folder that could be written to
        compiled._cache = NoCache(what)


def _tell(text: str) -> None:
    if text not in _TOLD:       # numba compiles in one thread at a time
        _TOLD.add(text)
        say(f"compiling {text}", sys.stderr)


def folder_of(function: Any) -> Path | None:
    """Returns where numba keeps what it compiles of a function's file, None where it has no place to write to."""
    with suppress(RuntimeError):
        return Path(FunctionCache(function).cache_path)
    return None
