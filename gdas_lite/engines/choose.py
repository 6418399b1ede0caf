"""Which engine computes a search, "plain" (PyTorch's operations) or "fused" (compiled kernels), and why.

| space | engine "fused" | "auto" takes it |
|---|---|---|
| NASNet | kernels/ on the CPU | where maps are large enough |
| NASNet | captured.py, kernels/gpu_nasnet/ on an NVIDIA GPU: a step is one CUDA graph | never: it has not run on a GPU yet |
| NASNet | kernels/gpu_nasnet/ alone, where a step cannot be captured | never |
| NAS-Bench-201 | kernels/ on the CPU | where maps are large enough |
| NAS-Bench-201 | kernels/small/ on the CPU, for a few channels and small images | for stacked searches of such a size |
| NAS-Bench-201 | captured.py, kernels/gpu/ on an NVIDIA GPU: a step is one CUDA graph | never: it has not run on a GPU yet |
| recurrent | none | |

The engines' results agree to float32's rounding, not to the bit.

Which engine computes the cells of a search on the CPU: "plain" (PyTorch's operations) or "fused".

    from gdas_lite.engines import choose as kernels
    kernels.use("plain")            # or "fused", "auto" (the default); the environment variable GDAS_LITE_ENGINE likewise
    print(chosen())         # fused: kernels compiled by numba, half a minute the first time

"auto" takes the fused kernels where numba is installed and the maps are large enough to pay for them. The engines' results
agree to float32's rounding, not to the bit: a run that is to be resumed bit for bit needs the same engine.

Fast paths on the CPU, each with a plain twin that it must equal. See `engine.py` for who chooses.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from ..search.algorithms import DARTS, GDAS
from ..spaces.nasbench201 import NASBench201
from ..spaces.nasnet import NASNet
from ..spaces.operations import run_plain
from .cuda.draws import CAPTURED
from .graph import LANES

if TYPE_CHECKING:
    from ..search.recipes import SearchRecipe
    from ..search.tasks import Task
    from ..search.updates import Bilevel

LARGEST = 2**16         # elements of a batch's map in the first cell up to which the compiled loops are quicker


def engine_for(space: Any, algorithm: Any, recipe: SearchRecipe, device: torch.device, image_size: int | None,
               asked: str = "auto", stacked: bool = False, precision: str = "fp32") -> Engine:
    """The engine of a search and the reason, which for "plain" says what stands against the other.

    asked: "auto", "plain" or "fused"; "auto" means what `kernels.use` and GDAS_LITE_ENGINE say. image_size: pixels, None
    for texts. stacked: whether it is one of several searches at once. precision: "fp32" or "bf16".
    Raises ValueError for an unknown engine.
    """
    if asked not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {asked!r}")
    asked_for = wanted() if asked == "auto" else asked
    if asked_for == "plain":
        return Engine("plain", "it was asked for")
    if device.type == "cuda" and isinstance(space, (NASBench201, NASNet)):
        return _on_gpu(space, algorithm, recipe, device, asked_for, precision)
    if (against := _obstacle(space, algorithm, recipe, device, image_size, precision)) is not None:
        return Engine("plain", against)
    elements = recipe.batch_size * space.channels * image_size**2
    if isinstance(space, NASNet):
        return chosen(elements, asked_for)
    if (missing := obstacle()) is not None:
        return Engine("plain", missing)
    against = {"loops": _against_loops(space, algorithm, recipe, image_size, precision), "cells": _against_cells(space.channels)}
    by = next(by for by in (("loops", "cells") if elements <= LARGEST else ("cells", "loops")) if against[by] is None)
    if by == "cells":
        return chosen(elements, asked_for)
    if asked_for == "fused" or (stacked and elements <= LARGEST):
        return Engine("fused", "loops compiled by numba", "loops")
    if elements > LARGEST:
        return Engine("plain", f"maps of {elements:,} numbers are too large for the compiled loops to pay; they end at "
                               f"{LARGEST:,}")
    return Engine("plain", "a single search; engine='fused' compiles it, once half a minute, then some four times as fast")


def _obstacle(space: Any, algorithm: Any, recipe: SearchRecipe, device: torch.device, image_size: int | None,
              precision: str) -> str | None:
    """What rules the engine "fused" out whatever is installed, on the CPU; None for nothing."""
    if not isinstance(space, (NASBench201, NASNet)):
        return f"the space {space.name} has one engine only"
    if device.type != "cpu":
        return f"the compiled kernels run on the CPU only, not on {device.type}"
    against_cells = _against_cells(space.channels)
    if isinstance(space, NASNet):
        return against_cells
    against_loops = _against_loops(space, algorithm, recipe, image_size, precision)
    return None if against_cells is None or against_loops is None else f"{against_cells}; {against_loops}"


def _against_cells(channels: int) -> str | None:
    return None if channels % LANES == 0 else f"channels must be a multiple of {LANES} for the kernels, here are {channels}"


def _against_loops(space: NASBench201, algorithm: Any, recipe: SearchRecipe, image_size: int, precision: str) -> str | None:
    if precision == "bf16":
        return "the compiled loops compute in float32 only, this search in bfloat16"
    if space.track_running_stats:
        return "the compiled loops do not keep running estimates in the search cells (track_running_stats)"
    if isinstance(algorithm, DARTS) and algorithm.order == 2:
        return "the compiled loops do not have the second-order gradient of DARTS"
    if recipe.clip_scope != "weights":
        return f"the compiled loops clip the weights' gradients alone, the recipe says clip_scope {recipe.clip_scope!r}"
    if image_size < 4 or image_size % 4:
        return f"the compiled loops need images whose side is a multiple of 4, these have {image_size} pixels"
    return None


def _on_gpu(space: NASBench201 | NASNet, algorithm: Any, recipe: SearchRecipe, device: torch.device, wanted: str,
            precision: str) -> Engine:
    """Whoever asks for "fused" waits for the kernels to be compiled and checked; "auto" does not."""
    from .cuda import nasbench201_kernels as gpu
    from .cuda import nasnet_kernels as gpu_nasnet
    on_nasnet, uncaptured = isinstance(space, NASNet), _against_graphs(algorithm, recipe)
    against = _against_gpu_kernels(space, algorithm) or (None if on_nasnet else uncaptured)
    if against is None and wanted == "auto":
        against = "captured steps and their kernels have not run on a GPU yet; engine='fused' checks and takes them"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    against = against or (gpu_nasnet if on_nasnet else gpu).obstacle(device, dtype)
    if against is not None:
        return Engine("plain", against)
    if uncaptured is None:
        from .cuda import selftest as captured_check
        uncaptured = captured_check.obstacle(device, space.name)
    if uncaptured is None:
        return Engine("fused", "steps captured as CUDA graphs, checked against plain ones before", "graphs")
    if on_nasnet:       # its kernels can be had without
        return Engine("fused", f"Triton kernels, checked against PyTorch before, launched one by one: {uncaptured}")
    return Engine("plain", uncaptured)


def _against_gpu_kernels(space: NASBench201 | NASNet, algorithm: Any) -> str | None:
    if isinstance(space, NASBench201):
        largest = 4 * space.channels
        return None if largest <= 128 else f"the Triton kernels take at most 128 channels, the last stage has {largest}"
    if space.track_running_stats:
        return "the Triton kernels of NASNet cells do not keep running estimates (track_running_stats)"
    if isinstance(algorithm, GDAS) and (algorithm.variant or space.gdas_variant) == "N":
        return "the Triton kernels of NASNet cells do not add what GDAS' variant N adds for candidates that were not drawn"
    return _against_cells(space.channels)


def _against_graphs(algorithm: Any, recipe: SearchRecipe) -> str | None:
    if not isinstance(algorithm, CAPTURED):
        return f"captured steps make the draws of GDAS, DARTS and random search beforehand, not those of {algorithm.name}"
    if recipe.momentum == 0:
        return "captured steps need momentum: its buffers say which weights were ever drawn"
    return None


def start(engine: Engine, state: Bilevel, task: Task, algorithm: Any, space: Any) -> None:
    """Let the engine compute this search from now on. The state is the checkpoint's, if there was one."""
    if engine.by in ("loops", "graphs"):
        if state.compiled is not None:
            return
        if engine.by == "graphs":
            from .cuda.steps import CapturedSteps
            CapturedSteps(state, task, algorithm, space)        # says so in the state
        else:
            from .cpu.small.updates import CompiledUpdates
            state.compiled = CompiledUpdates(state, task.image_size)
    elif hasattr(state.supernet, "run_cell"):
        from . import cpu, cuda, layers
        on_gpu = next(state.supernet.parameters()).is_cuda
        state.supernet.run_cell = run_plain if on_gpu and engine.name == "plain" else (
            layers if engine.name == "plain" else cuda if on_gpu else cpu).run_cell
        state.sgd.is_compiled = engine.by == "cells"


ENGINES = ("auto", "plain", "fused")


SMALLEST = 2**18        # elements of a batch's map in the first cell from which the kernels are quicker


_wanted: str | None = None


@dataclass(frozen=True)
class Engine:
    """name: "plain" or "fused". reason: one sentence. by: what computes "fused": "cells" (kernels of a search cell), "loops"
    (a compiled small network with its whole update), "graphs" (captured steps on a GPU); "" for plain,
    and for a GPU's kernels that the host launches."""

    name: str
    reason: str
    by: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def use(engine: str) -> None:
    """From now on, in this process. Raises ValueError for an unknown engine, or if "fused" cannot be."""
    global _wanted
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "fused" and (missing := obstacle()) is not None:
        raise ValueError(f"engine 'fused' is not to be had: {missing}")
    _wanted = engine


def wanted() -> str:
    """What was asked for: by `use`, else by GDAS_LITE_ENGINE, else "auto"."""
    if _wanted is not None:
        return _wanted
    named = os.environ.get("GDAS_LITE_ENGINE", "auto")
    if named not in ENGINES:
        raise ValueError(f"GDAS_LITE_ENGINE must be one of {', '.join(ENGINES)}, it is {named!r}")
    return named


def chosen(elements: int | None = None, engine: str | None = None) -> Engine:
    """The engine and why. elements: of a batch's map in the first cell, if known (B * C * H * W). engine: what is asked
    for, None: what `use` or the environment ask for."""
    engine = engine or wanted()
    if engine == "plain":
        return Engine("plain", "it was asked for")
    if (missing := obstacle()) is not None:
        return Engine("plain", missing)
    if engine == "auto" and elements is not None and elements < SMALLEST:
        return Engine("plain", f"maps of {elements:,} numbers are too small for the kernels to pay; they begin at {SMALLEST:,}")
    return Engine("fused", "kernels compiled by numba, half a minute the first time", "cells")


def obstacle() -> str | None:
    """Why no compiled kernel can run here, or None."""
    return _numba_obstacle()


@lru_cache(maxsize=1)
def _numba_obstacle() -> str | None:
    """Why the kernels cannot run here, or None. Does not compile."""
    if find_spec("numba") is None:
        return "numba is not installed; pip install 'gdas-lite[fast]' makes searches faster on the CPU"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from .cpu.compiled import launch  # noqa: F401
    except Exception as error:      # an installed numba that does not fit numpy or Python says so in many ways
        return f"numba is installed but does not work here ({type(error).__name__}: {str(error).splitlines()[0]})"
    return None


__all__ = ["ENGINES", "Engine", "chosen", "obstacle", "use", "wanted"]
