"""Starts a pass on the threads that PyTorch's own operations use, so that the two never compete for the cores."""

import ctypes
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from itertools import accumulate
from pathlib import Path

import numba
import numpy as np
import torch
from numba.core import sigutils
from numba.core.ccallback import CFunc

from ... import graph
from . import job_table as t
from .cache import keep
from .passes import work
from .pointers import REAL, address_of
from .simd import FEWEST, lanes_of, widest

MOST_BLOCKS = 16        # of a batch; sums over it are made block by block. It must not depend on the machine.
SIZE_OF = {t.SUM: t.SIZE, t.PROJECT: t.SIZE, t.POOL: t.POOL_SIZE, t.UNPOOL: t.POOL_SIZE}
_BYTE = ctypes.c_char
_local = threading.local()
_entries: dict[tuple[int, bool], object] = {}


def fingerprint() -> str:
    """Changes whenever a kernel's source or a number in it does; numba's cache on disk is keyed by it."""
    digest = hashlib.sha256()
    for file in (*sorted(Path(__file__).parent.glob("*.py")), Path(graph.__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def entry(lanes: int, halves: bool) -> object:
    """Returns the compiled `work`, `lanes` channels at a time, on maps of bfloat16 or float32. The first call on a
    machine compiles half a minute, later ones read numba's cache."""
    if (lanes, halves) not in _entries:
        _entries[lanes, halves] = _compile(lanes, halves)
    return _entries[lanes, halves]


def _compile(lanes: int, halves: bool) -> object:
    version = fingerprint()

    def run(head):
        if len(version) == 0:       # part of the cache's key: what a function closes over
            return
        work(lanes_of(lanes, halves), address_of(head))

    compiled = CFunc(run, sigutils.normalize_signature(numba.types.void(numba.types.voidptr)), {}, {"nopython": True})
    maps = " in bfloat16" if halves else ""
    keep(compiled, run, f"the kernels of image cells, {lanes} channels at a time{maps}, once half a minute")
    compiled.compile()
    return compiled


def blocks_of(images: int) -> int:
    """Returns into how many blocks a batch is divided."""
    return min(images, MOST_BLOCKS)


@contextmanager
def in_a_row() -> Iterator[None]:
    """Lets all launches inside wait for its end, and what `then` is given; they run in order. A kernel empties the
    caches, and Python that follows each takes twice as long as Python in one go."""
    _local.waiting = waiting = []
    try:
        yield
    finally:
        _local.waiting = None
    for task, _ in waiting:
        task()


def then(task: Callable[[], object], held: object = None) -> None:
    """Runs a task after the launches that wait, now if none may. held: what it needs, kept until then."""
    waiting = getattr(_local, "waiting", None)
    if waiting is None:
        task()
    else:
        waiting.append((task, held))


def launch(kind: int, images: int, groups: Sequence[Sequence[int]], jobs: Sequence[Sequence[int]] = (),
           scratch: int = 0, halves: bool = False, held: object = None) -> None:
    """Runs a pass over `images` images; rows as in `job_table.py`. scratch: bytes that a thread needs, where rows do
    not say. halves: whether maps are bfloat16, not float32. held: what the rows' addresses belong to, see `in_a_row`.
    """
    head = np.zeros(t.HEAD, np.int64)
    group_table, of_layers = np.array(groups, np.int64), kind in (t.FORWARD, t.BACKWARD)
    # their rows are arrays, whose bytes are taken far faster than numbers
    job_table = np.frombuffer(bytearray().join(jobs), np.int64).reshape(-1, t.JOB) if of_layers else np.array(
        jobs, np.int64)
    head[t.KIND], head[t.GROUPS], head[t.BLOCKS], head[t.IMAGES] = kind, len(groups), blocks_of(images), images
    head[t.GROUP_TABLE], head[t.GROUP_STEP] = data_of(group_table), group_table.strides[0]
    threads = max(1, min(torch.get_num_threads(), len(groups) * blocks_of(images)))
    if jobs:
        head[t.JOB_TABLE] = data_of(job_table)
        if of_layers:
            ends = list(accumulate(np.maximum.reduce(job_table)[t.SIZES:].tolist()))
            head[t.AT_SPREAD:t.AT_TILES + 1], scratch = ends[:-1], ends[-1]
    room = _scratch(threads * scratch) if scratch else None
    if scratch:
        head[t.SCRATCH], head[t.SCRATCH_SIZE] = room.data_ptr(), scratch
    lanes = lanes_for(kind, group_table, job_table)
    there = [found for (count, _), found in _entries.items() if count == lanes and kind == t.STEP]      # reads no maps
    code = there[0] if there else entry(lanes, halves and kind != t.STEP)
    then(partial(run_on_threads, code, head, threads), (group_table, job_table, room, held))


def data_of(array: np.ndarray) -> int:
    """Returns the address of an array's numbers, contiguous and writable; numpy's own way takes far longer."""
    return ctypes.addressof(_BYTE.from_buffer(array))


def lanes_for(kind: int, groups: np.ndarray, jobs: np.ndarray) -> int:
    """Returns the most lanes, of which the channels of every row fill whole vectors."""
    most = widest()
    if most == FEWEST:
        return FEWEST
    if kind in (t.FORWARD, t.BACKWARD):
        counts, whole = jobs[:, t.CHANNELS_IN:t.CHANNELS_OUT + 1], most
    elif kind == t.TURN:
        counts, whole = groups[:, t.ROWS], most
    elif kind == t.STEP:        # sees to what is left by itself
        return most
    else:
        counts, whole = groups[:, SIZE_OF[kind]], most * REAL
    return FEWEST if np.bitwise_or.reduce(counts, None) % whole else most   # whole: a power of two


def _scratch(size: int) -> torch.Tensor:
    """Memory that this thread's launches use again; zeros at first, so that what is read beyond an edge is a number."""
    held = getattr(_local, "scratch", None)
    if held is None or held.numel() < size:
        held = _local.scratch = torch.zeros(size, dtype=torch.uint8, device="cpu")
    return held


def run_on_threads(code: object, head: np.ndarray, threads: int) -> None:
    data = ctypes.c_void_p(data_of(head))
    if threads == 1:
        _called(code)(data)
    elif (parallel := _openmp()) is not None:
        parallel(ctypes.c_void_p(code.address), data, threads, 0)
    else:
        list(_pool(threads).map(_called(code), [data] * threads))


@cache
def _called(code: object) -> Callable:
    """What Python calls; numba makes it anew every time that it is asked."""
    return code.ctypes


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
