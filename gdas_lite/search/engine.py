"""What computes a search. The plain engine is the code as it stands in this room; others put functions of their own in its place.

    run.supernet.run_cell     how a cell is run
    run.state.updates         the two updates of a step
    Engine.steps              the steps of a whole epoch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..runs.engine import ENGINES, engine_for, register

__all__ = ["ENGINES", "Engine", "SearchSpec", "engine_for", "register"]


@dataclass(frozen=True)
class SearchSpec:
    """What an engine is asked to compute.

    recipe: a `SearchRecipe`. image_size: pixels on a side, None for texts. precision: "fp32" or "bf16". stacked:
    whether it is one of several searches at once.
    """

    space: Any
    algorithm: Any
    recipe: Any
    device: torch.device
    image_size: int | None = None
    precision: str = "fp32"
    stacked: bool = False

    @property
    def map_elements(self) -> int:
        """Numbers in a batch's map of the first cell of a space of images."""
        return self.recipe.batch_size * self.space.channels * self.image_size**2


class Engine:
    """The plain engine of a `Search`. Another one inherits from it what it leaves as it is, and must never raise for what
    it does not know: it says so in `obstacle`, or runs that cell plainly."""

    name: str = "plain"
    device: str | None = None       # type of the devices it runs on; None: any

    def obstacle(self, asked: SearchSpec) -> str | None:
        """Why it cannot compute this search, in one sentence, or None."""
        return None

    def pays(self, asked: SearchSpec) -> str | None:
        """Why "auto" passes it by although it can, in one sentence, or None."""
        return None

    def trial(self, asked: SearchSpec) -> str | None:
        """What a trial on this machine finds against it, in one sentence, or None. Asked last: it may take a while."""
        return None

    def attach_network(self, network: nn.Module) -> None:
        """Run the cells of a derived network, which is to be trained, from now on."""

    def attach(self, search: Any) -> None:
        """Take over the search from now on, whose state may be a checkpoint's."""

    def steps(self, search: Any, epoch: int) -> Iterator[int] | None:
        """The steps of an epoch as `Search.begin_epoch` yields them; None: the search's own."""
        return None

    def workers(self, searches: Sequence[Any], asked: int | None) -> int:
        """How many of several searches run at a time. asked: at most, None: as many as pay."""
        return 1

    def run_together(self, searches: Sequence[Any], workers: int) -> None:
        """Do an epoch of each. An interrupt takes effect at the end of each search's step at hand; what stops one search is
        raised when the others have done the epoch."""
        for search in searches:
            search.run_epoch()


register(Engine())
