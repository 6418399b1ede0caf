"""When the GPU's kernels and captured steps are taken. They never ran on a GPU, so they prove themselves first."""

import torch

from ...runs.engine import SearchSpec
from ...spaces.nasbench201 import NASBench201
from ...spaces.nasnet import NASNet
from ..graph import LANES
from .capturing import CapturingEngine


class CudaEngine(CapturingEngine):
    """Searches in the image spaces: steps captured as CUDA graphs; NASNet's kernels alone where that cannot be."""

    device = "cuda"

    def obstacle(self, asked: SearchSpec) -> str | None:
        if type(asked.space) is NASBench201:
            return against_graphs(asked)
        if type(asked.space) is NASNet:
            return _against_nasnet_kernels(asked)
        return f"the Triton kernels know no cell of the space {asked.space.name}"

    def pays(self, asked: SearchSpec) -> str | None:
        return "captured steps and their kernels have not run on a GPU yet; engine='cuda' checks and takes them"

    def trial(self, asked: SearchSpec) -> str | None:
        from . import selftest
        dtype = torch.bfloat16 if asked.precision == "bf16" else torch.float32
        against = selftest.kernels_obstacle(asked.device, asked.space.name, dtype)
        return against if asked.space.name == "nasnet" else against or self.uncaptured(asked)

    def uncaptured(self, asked: SearchSpec) -> str | None:
        """Returns why the steps of this search cannot be captured, so that kernels are launched one by one, or None."""
        from . import selftest
        return against_graphs(asked) or selftest.steps_obstacle(asked.device, asked.space.name)


def _against_nasnet_kernels(asked: SearchSpec) -> str | None:
    from ...search.algorithms import GDAS
    space, algorithm = asked.space, asked.algorithm
    if space.track_running_stats:
        return "the Triton kernels of NASNet cells do not keep running estimates (track_running_stats)"
    if isinstance(algorithm, GDAS) and (algorithm.variant or space.gdas_variant) == "N":
        return "the Triton kernels of NASNet cells do not add what GDAS' variant N adds for undrawn candidates"
    return None if space.channels % LANES == 0 else (
        f"channels must be a multiple of {LANES} for the kernels, here are {space.channels}")


def against_graphs(asked: SearchSpec) -> str | None:
    """Returns why the steps of such a search cannot be captured anywhere, or None."""
    from .draws import chance_of_step
    if asked.recipe.momentum == 0:
        return "captured steps need momentum: its buffers say which weights were ever drawn"
    if asked.processes > 1:
        return f"captured steps do not average gradients over processes, here are {asked.processes}"
    if asked.recipe.alpha_start:
        return "captured steps train alpha from the first epoch on, the recipe says alpha_start"
    try:
        chance_of_step(asked.algorithm, asked.space, asked.recipe)
    except Exception:       # whatever an algorithm does that is not foreseen
        return f"captured steps draw all chance beforehand and cannot tell what {asked.algorithm.name} needs of it"
    return None
