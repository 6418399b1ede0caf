"""Freed memory stays with the process, since the next pass needs it again."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import lru_cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3     # malloc.h of glibc
LARGEST_MAP, MOST_KEPT = 2**25, 2**31 - 1       # the most that each takes
SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Lets glibc keep what is freed, up to 2 GB, and returns whether it does.

    Else it gives a pass's maps back to the system, which fills every page with zeros before the next pass gets it: 8 %
    of a NASNet search step. The peak stays what it is; between steps the process holds what it held at the peak. A
    user's own settings of malloc (environment variables, see `SETTINGS`) and other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_MAP)) and bool(mallopt(M_TRIM_THRESHOLD, MOST_KEPT))
