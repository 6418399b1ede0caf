"""Numba's cache on disk, as a help that a run does without where it is damaged, full or nowhere to be had."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache


class Cache(FunctionCache):
    """A cache that reads what it can and is written anew where it cannot. Numba's own ends the program with EOFError,
    an unpickling error or OSError: it does not sync its files, so a power cut leaves them empty."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:       # pickle and LLVM say in many ways that a file is damaged
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):     # no room, or read-only: compiled again in the next process
            try:
                super().save_overload(sig, data)
            except Exception:       # an index that cannot be read cannot be added to either
                self.flush()
                super().save_overload(sig, data)


def keep(compiled: Any, function: Any) -> None:
    """Let a numba function find on disk what an earlier process compiled of `function`, where there is a place."""
    with suppress(RuntimeError):    # numba knows no folder that could be written to
        compiled._cache = Cache(function)


def folder_of(function: Any) -> Path | None:
    """Returns where numba keeps what it compiles of a function's file, None where it has no place to write to."""
    with suppress(RuntimeError):
        return Path(FunctionCache(function).cache_path)
    return None
