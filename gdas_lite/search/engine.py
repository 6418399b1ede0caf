"""What computes a search. The plain engine is the code of this room; others put functions of their own in its place:

    search.state.supernet.run_cell    how a cell is run
    search.state.updates              the two updates of a step
    Engine.steps                      the steps of a whole epoch
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..runs.engine import ENGINES, Engine, engine_for, register

__all__ = ["ENGINES", "Engine", "SearchSpec", "engine_for", "register"]


@dataclass(frozen=True)
class SearchSpec:
    """What an engine is asked to compute.

    recipe: a `SearchRecipe`. image_size: pixels on a side, None for texts. precision: "fp32" or "bf16". stacked:
    whether it is one of several searches at once. processes: so many share each batch; updates of an engine's own then
    average the gradients (`state.group.average`), or it has an obstacle. steps: of an epoch, 0 if that is not known.
    """

    space: Any
    algorithm: Any
    recipe: Any
    device: torch.device
    image_size: int | None = None
    precision: str = "fp32"
    stacked: bool = False
    processes: int = 1
    steps: int = 0

    @property
    def map_elements(self) -> int:
        """Numbers in a batch's map of the first cell of a space of images, or in this process's part of it."""
        return -(-self.recipe.batch_size // self.processes) * self.space.channels * self.image_size**2
