"""The exercises of the course, recorded searches, and the figures of single lessons.

A notebook imports `check` and `use`, which are loaded when first asked for: a recorded search opens without PyTorch.
"""

from __future__ import annotations

from typing import Any

__all__ = ["EXERCISES", "check", "use"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import course
    return getattr(course, name)
