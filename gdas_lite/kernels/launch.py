"""Starts a pass on the threads that PyTorch's own operations use, so that the two never compete for the cores."""

from __future__ import annotations

import ctypes
import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np
import torch

from . import table as t
from .passes import work
from .simd import address_of
from .winograd import PLANES, TOGETHER

MOST_BLOCKS = 16        # of a batch; sums over it are made block by block. It must not depend on the machine.
_local = threading.local()


def fingerprint() -> str:
    """Changes whenever a kernel's source does; numba's cache on disk is keyed by it."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def entry() -> object:
    """The compiled `work`. The first call on a machine compiles some seconds, later ones read numba's cache."""
    version = fingerprint()

    def run(head):
        if len(version) == 0:       # part of the cache's key: what a function closes over
            return
        work(address_of(head))

    signature = numba.types.void(numba.types.voidptr)
    try:
        return numba.cfunc(signature, nopython=True, cache=True)(run)
    except RuntimeError:            # no folder that could be written to
        return numba.cfunc(signature, nopython=True)(run)


def blocks_of(images: int) -> int:
    """Into how many blocks a batch is divided."""
    return min(images, MOST_BLOCKS)


def launch(kind: int, images: int, groups: Sequence[Sequence[int]], jobs: Sequence[Sequence[int]]) -> None:
    """Runs a pass over `images` images; rows as in `table.py`."""
    head = np.zeros(t.HEAD, np.int64)
    group_table, job_table = np.array(groups, np.int64), np.array(jobs, np.int64)
    head[t.KIND], head[t.GROUPS], head[t.BLOCKS], head[t.IMAGES] = kind, len(groups), blocks_of(images), images
    head[t.GROUP_STEP] = group_table.strides[0]
    head[t.GROUP_TABLE], head[t.JOB_TABLE] = group_table.ctypes.data, job_table.ctypes.data
    threads = max(1, min(torch.get_num_threads(), len(groups) * blocks_of(images)))
    if job_table.shape[1] > t.WIDTH:
        head[t.AT_SPREAD], head[t.AT_DEPTH], head[t.AT_SHARE], head[t.AT_PULL], head[t.AT_TILES], size = _scratch_plan(job_table)
        scratch = _scratch(threads * size)
        head[t.SCRATCH], head[t.SCRATCH_SIZE] = scratch.data_ptr(), size
    _run_on_threads(head, threads)


def _scratch_plan(jobs: np.ndarray) -> tuple[int, ...]:
    """Where in a thread's scratch memory each intermediate map of an image stands, and the size of all, bytes."""
    size, border = 4 * jobs[:, t.CHANNELS_IN], jobs[:, t.BORDER]
    spread = (jobs[:, t.SEEN_HEIGHT] + 2 * border) * (jobs[:, t.SEEN_WIDTH] + 2 * border) + 32
    depth_grad = np.where(jobs[:, t.KERNEL] > 0, spread, 0)
    pixels = jobs[:, t.OUT_HEIGHT] * jobs[:, t.OUT_WIDTH] + 16
    pull = (jobs[:, t.HEIGHT] + 4) * (jobs[:, t.WIDTH] + 16) + 32
    columns = (jobs[:, t.OUT_WIDTH] + 1) // 2
    tiles = jobs[:, t.DENSE] * PLANES * np.maximum(TOGETHER, columns) * (size + 4 * jobs[:, t.CHANNELS_OUT])
    sizes = (depth_grad * size, spread * size, pixels * size, pixels * 4 * jobs[:, t.CHANNELS_OUT], pull * size, tiles)
    ends = np.cumsum([int(part.max()) for part in sizes])
    return tuple(int(end) for end in ends)


def _scratch(size: int) -> torch.Tensor:
    """Memory that this thread's launches use again; zeros at first, so that what is read beyond an edge is a number."""
    held = getattr(_local, "scratch", None)
    if held is None or held.numel() < size:
        held = _local.scratch = torch.zeros(size, dtype=torch.uint8)
    return held


def _run_on_threads(head: np.ndarray, threads: int) -> None:
    code, data = entry(), ctypes.c_void_p(head.ctypes.data)
    if threads == 1:
        code.ctypes(data)
    elif (parallel := _openmp()) is not None:
        parallel(ctypes.c_void_p(code.address), data, threads, 0)
    else:
        list(_pool(threads).map(code.ctypes, [data] * threads))


@lru_cache(maxsize=1)
def _openmp() -> Callable | None:
    """OpenMP's "run this on n threads" from the library that PyTorch itself is linked to; None where it has none."""
    try:
        parallel = ctypes.CDLL(str(Path(torch.__path__[0]) / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None
    parallel.argtypes, parallel.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return parallel


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)
