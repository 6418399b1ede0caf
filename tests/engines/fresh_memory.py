"""Memory that nobody has written to yet is NaN, so that what reads it is seen; on most days it happens to be harmless."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils import deterministic


@contextmanager
def fresh_memory_is_nan() -> Iterator[None]:
    """torch.empty and its like, and np.empty and np.empty_like of Python code: NaN, or the largest integer."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    empty, empty_like, fills = np.empty, np.empty_like, deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = True
    np.empty, np.empty_like = (_filled(make) for make in (empty, empty_like))
    try:
        yield
    finally:
        np.empty, np.empty_like, deterministic.fill_uninitialized_memory = empty, empty_like, fills
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _filled(make):
    def filled(*given, **named):
        array = make(*given, **named)
        if array.dtype.kind == "f":
            array.fill(np.nan)
        elif array.dtype.kind in "iu":
            array.fill(np.iinfo(array.dtype).max)
        return array
    return filled
