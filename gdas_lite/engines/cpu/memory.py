"""Freed memory stays with the process, since the next pass needs it again, and is in large pages."""

import ctypes
import os
import platform
from functools import lru_cache

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3      # malloc.h of glibc
LARGEST_MAP, MOST_KEPT = 2**25, 2**31 - 1       # the most that each takes
TOP_PAD, IN_LARGE_PAGES = 2**17, 2**30          # glibc's own; how much of what is yet to be used
MADV_HUGEPAGE = 14                              # mman.h of Linux
SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Lets glibc keep what is freed, up to 2 GB, and returns whether it does.

    Else it gives a pass's maps back to the system, which fills every page with zeros before the next pass gets it: 8 %
    of a NASNet search step. The peak stays what it is; between steps the process holds what it held at the peak. The
    next GB is in pages of 2 MB where Linux gives such: with small ones it is up to chance how a pass fits the caches
    (3 to 5 % of a step). A user's own settings of malloc (environment variables, see `SETTINGS`) and other C libraries
    are left alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in SETTINGS):
        return False
    try:
        libc = ctypes.CDLL(None)
        mallopt, sbrk = libc.mallopt, libc.sbrk
    except (OSError, AttributeError):
        return False
    if not (mallopt(M_MMAP_THRESHOLD, LARGEST_MAP) and mallopt(M_TRIM_THRESHOLD, MOST_KEPT)):
        return False
    libc.malloc.restype = sbrk.restype = ctypes.c_void_p
    sbrk.argtypes, before = (ctypes.c_ssize_t,), sbrk(0)
    mallopt(M_TOP_PAD, IN_LARGE_PAGES)
    libc.free(ctypes.c_void_p(libc.malloc(ctypes.c_size_t(LARGEST_MAP - 2**16))))      # the heap grows by the pad, too
    mallopt(M_TOP_PAD, TOP_PAD)
    first = -(-before // 2**21) * 2**21
    libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(max(sbrk(0) - first, 0)), MADV_HUGEPAGE)
    return True
