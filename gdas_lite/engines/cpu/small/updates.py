"""The two updates of a step on a compiled supernet: what the plain `Updates` do, up to rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ....runs.meters import StepResult
from ....search.updates import Updates
from .supernet import CompiledSupernet

if TYPE_CHECKING:
    from ....search.updates import Bilevel, Mixtures


class CompiledUpdates(Updates):
    """Of a `Bilevel` whose supernet is NAS-Bench-201's, on the CPU, with images of `side` pixels. Weights and momentum
    stay where the supernet and its optimiser have them, so that checkpoints need not know of it."""

    def __init__(self, state: Bilevel, side: int) -> None:
        self._network = CompiledSupernet(state.supernet, side)
        self._network.flat.load_optimizer_state(state.sgd)

    def weight_step(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
        outcome = self._forward(mixtures, batch)
        self._network.learn()
        self._network.flat.step(state.sgd, state.recipe.grad_clip_norm, state.recipe.undrawn == "decay")
        return outcome

    def alpha_gradient(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]
                       ) -> tuple[list[Tensor], StepResult]:
        """Returns the gradient of the valid loss with respect to alpha, as one gradient for each kind of cell."""
        outcome = self._forward(mixtures, batch)
        gradient = torch.from_numpy(self._network.mixture_gradient())
        return list(torch.autograd.grad(mixtures["cell"].weights, [state.alphas["cell"]], gradient)), outcome

    def _forward(self, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
        x, y = batch
        images_last = np.ascontiguousarray(x.permute(1, 2, 3, 0).reshape(-1, len(y)).numpy())
        loss, correct = self._network.forward(images_last, y.numpy(), mixtures["cell"])
        return StepResult(torch.tensor(loss / len(y)), torch.tensor(correct))
