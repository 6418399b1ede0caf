"""When the GPU's kernels and captured steps are taken. They have not run on a GPU yet, so they prove themselves there first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from ...runs.resumable import deferred_interrupt
from ...search.engine import Engine, SearchSpec
from . import run_cell

if TYPE_CHECKING:
    from ...search.loop import Search

LANES = 8               # channels of NASNet's kernels come in eights


class CudaEngine(Engine):
    """Searches in the image spaces: steps captured as CUDA graphs, or in the NASNet space kernels alone where that cannot be.

    proves: whether kernels and captured steps are compiled and compared before they are taken. False is for those who compare
    them themselves, on any device.
    """

    name = "cuda"

    def __init__(self, proves: bool = True) -> None:
        self._proves = proves
        self.device = "cuda" if proves else None

    def obstacle(self, asked: SearchSpec) -> str | None:
        from ...spaces.nasbench201 import NASBench201
        from ...spaces.nasnet import NASNet
        if type(asked.space) is NASBench201:
            largest = 4 * asked.space.channels
            if largest > 128:
                return f"the Triton kernels take at most 128 channels, the last stage has {largest}"
            return against_graphs(asked)
        if type(asked.space) is NASNet:
            return _against_nasnet_kernels(asked)
        return f"the Triton kernels know no cell of the space {asked.space.name}"

    def pays(self, asked: SearchSpec) -> str | None:
        return "captured steps and their kernels have not run on a GPU yet; engine='cuda' checks and takes them"

    def trial(self, asked: SearchSpec) -> str | None:
        if not self._proves:
            return None
        from . import nasbench201_kernels, nasnet_kernels
        dtype = torch.bfloat16 if asked.precision == "bf16" else torch.float32
        if asked.space.name == "nasnet":
            return nasnet_kernels.obstacle(asked.device, dtype)
        return nasbench201_kernels.obstacle(asked.device, dtype) or self.uncaptured(asked)

    def uncaptured(self, asked: SearchSpec) -> str | None:
        """Why the steps of this search cannot be captured, so that kernels are launched one by one, or None."""
        if (against := against_graphs(asked)) is not None or not self._proves:
            return against
        from .selftest import obstacle
        return obstacle(asked.device, asked.space.name)

    def attach(self, search: Search) -> None:
        search.state.supernet.run_cell = run_cell
        if self.uncaptured(search.spec) is None:
            from .steps import CapturedSteps
            search.state.updates = CapturedSteps(search.state, search.task, search.algorithm, search.space)

    def steps(self, search: Search, epoch: int) -> Iterator[int] | None:
        from .steps import CapturedSteps
        updates = search.state.updates
        return updates.epoch(search, epoch) if isinstance(updates, CapturedSteps) else None

    def workers(self, searches: Sequence[Search], asked: int | None) -> int:
        """Captured searches all at a time: a step is only launched, on its search's own stream, so they overlap."""
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


def _against_nasnet_kernels(asked: SearchSpec) -> str | None:
    from ...search.algorithms import GDAS
    space, algorithm = asked.space, asked.algorithm
    if space.track_running_stats:
        return "the Triton kernels of NASNet cells do not keep running estimates (track_running_stats)"
    if isinstance(algorithm, GDAS) and (algorithm.variant or space.gdas_variant) == "N":
        return "the Triton kernels of NASNet cells do not add what GDAS' variant N adds for candidates that were not drawn"
    return None if space.channels % LANES == 0 else (
        f"channels must be a multiple of {LANES} for the kernels, here are {space.channels}")


def against_graphs(asked: SearchSpec) -> str | None:
    """Why the steps of such a search cannot be captured anywhere, or None."""
    from .draws import chance_of_step
    if asked.recipe.momentum == 0:
        return "captured steps need momentum: its buffers say which weights were ever drawn"
    try:
        chance_of_step(asked.algorithm, asked.space, asked.recipe)
    except Exception:       # whatever an algorithm does that is not foreseen
        return f"captured steps draw an epoch's chance beforehand and cannot tell what {asked.algorithm.name} needs of it"
    return None
