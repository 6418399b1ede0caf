"""When the compiled kernels of the CPU are taken, and how: kernels of cells, or loops for a whole small search; for a
text, kernels of the nodes of a word."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from ...runs.device import processors
from ...runs.engine import Engine, SearchSpec
from ...spaces.language_model import LanguageModel
from ...spaces.nasbench201 import NASBench201
from ...spaces.nasnet import NASNet
from ...spaces.recurrent import Recurrent
from .. import layers
from ..graph import LANES
from . import derived, run_cell
from .memory import keep_freed_memory

if TYPE_CHECKING:
    from ...search.loop import Search

SMALLEST = 2**18        # numbers in a batch's map of the first cell from which the kernels of cells are quicker
LARGEST = 2**16         # and up to which the loops are quicker than those
MOST_WORK = 2**20       # such numbers times channels up to which the loops are quicker than PyTorch's convolutions
COMPILE_S = 10          # that compiling the loops takes (measured: 6 to 8 of one core)
SAVED_S = 3e-3, 2e-3    # a pass over a batch, and for each cell of a stage (measured: 5 ms with one cell, 14 with five)
SAVED_A_WORD_S = 5e-4, 1e-6     # of a pass, and for each number of a state (measured: 0.6 ms with 512, 21 with 19,200)
IN_LOOPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


class CpuEngine(Engine):
    """Searches compiled by numba: by kernels of cells, small ones in NAS-Bench-201 by loops."""

    name = device = "cpu"

    def obstacle(self, asked: SearchSpec) -> str | None:
        against = _against_all(asked)
        return against if against is not None else numba_obstacle()

    def pays(self, asked: SearchSpec) -> str | None:
        if way(asked) == "words":
            return None if saved_seconds(asked) >= COMPILE_S else _too_short(asked)
        elements = asked.map_elements
        if way(asked) == "cells":
            return None if elements >= SMALLEST else (
                f"maps of {elements:,} numbers are too small for the kernels to pay; they begin at {SMALLEST:,}")
        most = MOST_WORK // asked.space.channels
        if elements > most:
            return f"maps of {elements:,} numbers are too large for the compiled loops to pay; they end at {most:,}"
        if asked.stacked or saved_seconds(asked) >= COMPILE_S:
            return None
        return _too_short(asked)

    def merit(self, asked: SearchSpec) -> str:
        return super().merit(asked) if way(asked) == "cells" or asked.stacked else _bill(asked)

    def attach_network(self, network: nn.Module) -> None:
        if isinstance(network, LanguageModel) and numba_obstacle() is None:
            from . import recurrent
            recurrent.attach_language_model(network, recurrent.SMALLEST)
        cells = [cell for cell in network.modules() if type(cell) in derived.MAKERS]
        if cells and numba_obstacle() is None:
            keep_freed_memory()
            network.run_cell = NetworkCells(cells[0])

    def optimizer(self, network: nn.Module, sgd: torch.optim.SGD) -> torch.optim.SGD:
        cells = getattr(network, "run_cell", None)
        if not isinstance(cells, NetworkCells):
            return sgd
        from .sgd import SGD
        return SGD.taking_over(sgd, lambda: cells.is_large)

    def attach(self, search: Search) -> None:
        state = search.state
        if way(search.spec) == "loops":
            from .small.supernet import knows
            from .small.updates import CompiledUpdates
            if knows(state.supernet):
                state.updates = CompiledUpdates(state, search.task.image_size)
            else:
                state.supernet.run_cell = layers.run_cell
        elif way(search.spec) == "words":
            from .recurrent import attach_language_model
            attach_language_model(state.supernet)
        else:
            from .sgd import SGD
            keep_freed_memory()
            state.supernet.run_cell = run_cell
            state.sgd = SGD.taking_over(state.sgd)

    def workers(self, searches: Sequence[Search], asked: int | None) -> int:
        """Returns one for each search in loops, threads that do not hold Python's lock. PyTorch's operations hold it,
        so those run in turn; the kernels of cells have threads of their own."""
        return min(len(searches), asked or processors()) if way(searches[0].spec) == "loops" else 1

    def run_together(self, searches: Sequence[Search], workers: int) -> None:
        from .threads import run_in_threads
        run_in_threads(searches, workers)


class NetworkCells:
    """What runs the cells of a derived network: the kernels for batches whose maps are large enough, else `layers`.

    first: the network's first cell, whose input decides for all of them.
    """

    def __init__(self, first: nn.Module) -> None:
        self.first, self.is_large = first, False

    def __call__(self, cell: nn.Module, *inputs: Tensor, **options: Any) -> Tensor:
        if cell is self.first:
            # An exported program takes every batch size, so it must not depend on this one's.
            self.is_large = not torch.compiler.is_compiling() and inputs[0].numel() >= SMALLEST
        return (run_cell if self.is_large else layers.run_cell)(cell, *inputs, **options)


def saved_seconds(asked: SearchSpec) -> float:
    """Returns what compiled code saves of a small search at least, compiling apart. By its length and size alone, so
    that the same search takes the same engine every time, whether numba's cache holds the code or not."""
    if way(asked) == "words":
        state = asked.recipe.batch_size * asked.space.hidden
        return _passes(asked) * asked.recipe.bptt * (SAVED_A_WORD_S[0] + SAVED_A_WORD_S[1] * state)
    return _passes(asked) * (SAVED_S[0] + SAVED_S[1] * asked.space.cells_per_stage)


def _passes(asked: SearchSpec) -> int:
    """Over a batch: one for each update, at least."""
    recipe = asked.recipe
    of_alpha = recipe.epochs - recipe.first_alpha_epoch if asked.algorithm.has_alpha_steps else 0
    return asked.steps * (recipe.epochs + of_alpha)


def _bill(asked: SearchSpec) -> str:
    what = "kernels" if way(asked) == "words" else "loops"
    return (f"compiled {what} save at least {saved_seconds(asked):,.0f} s in {_passes(asked):,} passes, and compiling "
            f"takes some {COMPILE_S} s, once")


def _too_short(asked: SearchSpec) -> str:
    return f"too short a search: {_bill(asked)}; engine='cpu' compiles it all the same"


def way(asked: SearchSpec) -> Literal["cells", "loops", "words"]:
    """Returns what computes a search that nothing stands against."""
    if type(asked.space) is Recurrent:
        return "words"
    if _against_cells(asked) is not None:
        return "loops"
    return "loops" if _against_loops(asked) is None and asked.map_elements <= LARGEST else "cells"


def _against_all(asked: SearchSpec) -> str | None:
    """What rules both out whatever is installed, or None."""
    if type(asked.space) is Recurrent:
        return None
    if type(asked.space) not in (NASBench201, NASNet):
        return f"the compiled kernels know no cell of the space {asked.space.name}"
    cells, loops = _against_cells(asked), _against_loops(asked)
    if type(asked.space) is NASNet or cells is None:
        return cells
    return None if loops is None else f"{cells}; {loops}"


def _against_cells(asked: SearchSpec) -> str | None:
    channels = asked.space.channels
    return None if channels % LANES == 0 else (
        f"channels must be a multiple of {LANES} for the kernels, here are {channels}")


def _against_loops(asked: SearchSpec) -> str | None:
    space = asked.space
    if type(space) is not NASBench201:
        return f"the compiled loops have no cell of the space {space.name}"
    if unknown := [name for name in space.labels["cell"].candidates if name not in IN_LOOPS]:
        return f"the compiled loops do not know the candidate {unknown[0]}"
    if asked.precision == "bf16":
        return "the compiled loops compute in float32 only, this search in bfloat16"
    if asked.processes > 1:
        return f"the compiled loops do not average gradients over processes, here are {asked.processes}"
    if asked.image_size < 4 or asked.image_size % 4:
        return f"the compiled loops need images whose side is a multiple of 4, these have {asked.image_size} pixels"
    return None


@lru_cache(maxsize=1)
def numba_obstacle() -> str | None:
    """Returns why no compiled kernel can run here, or None. Does not compile."""
    if find_spec("numba") is None:
        return "numba is not installed; pip install 'gdas-lite[fast]' makes searches faster on the CPU"
    try:
        with warnings.catch_warnings(action="ignore"):
            from .compiled.launch import numba
    except Exception as error:      # an installed numba that does not fit numpy or Python says so in many ways
        return f"numba is installed but does not work here ({type(error).__name__}: {str(error).splitlines()[0]})"
    # an older one cannot say of a load what is loaded, which only the first compilation would show
    return f"numba {numba.__version__} is older than 0.61" if numba.version_info.short < (0, 61) else None
