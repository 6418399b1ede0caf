"""The updates of a step on a compiled supernet: what the plain `Updates` do, up to rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ....runs.meters import StepResult
from ....search.updates import Updates, gradients_of
from .flat import FlatParameters
from .supernet import CompiledSupernet

if TYPE_CHECKING:
    from ....search.updates import Bilevel, Mixtures


class CompiledUpdates(Updates):
    """Of a `Bilevel` whose supernet is NAS-Bench-201's, on the CPU, with images of `side` pixels. Weights and momentum
    stay where the supernet and its optimiser have them, so that checkpoints need not know of it."""

    def __init__(self, state: Bilevel, side: int) -> None:
        self._side, self._network = side, CompiledSupernet(state.supernet, side)
        self._network.flat.load_optimizer_state(state.sgd)

    def _flat(self, state: Bilevel) -> FlatParameters:
        """The parameters of the supernet as it is now."""
        if not self._network.flat.is_in_place(state.sgd):
            self.__init__(state, self._side)
        return self._network.flat

    def weight_step(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
        recipe, alpha = state.recipe, state.alphas["cell"]
        clips_alpha = recipe.clip_scope == "weights_and_alpha"
        outcome = self._forward(state, mixtures, batch)
        if clips_alpha and mixtures["cell"].weights.requires_grad:
            found = self._of_alpha(alpha, mixtures, self._network.mixture_gradient(learns=True))
            alpha.grad = found if alpha.grad is None else alpha.grad + found
        else:
            self._network.learn()
        also = [alpha.grad] if clips_alpha and alpha.grad is not None else []
        self._network.flat.step(state.sgd, recipe.grad_clip_norm, recipe.undrawn == "decay", also)
        return outcome

    def alpha_gradient(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]
                       ) -> tuple[list[Tensor], StepResult]:
        """Returns the gradient of the valid loss with respect to alpha, as one gradient for each kind of cell."""
        outcome = self._forward(state, mixtures, batch)
        return [self._of_alpha(state.alphas["cell"], mixtures, self._network.mixture_gradient())], outcome

    def loss(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
        """Returns the loss as a function of the mixture's weights and `params_in_use`; of the last call only."""
        outcome = self._forward(state, mixtures, batch)
        loss = _Loss.apply(self._network, mixtures["cell"].weights, self._network.flat.all_params, outcome.loss)
        return StepResult(loss, outcome.correct)

    def params_in_use(self, state: Bilevel) -> list[nn.Parameter]:
        return [self._flat(state).all_params]

    def momentum(self, state: Bilevel) -> list[Tensor | None]:
        return [self._flat(state).all_momentum]

    def _forward(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
        x, y = batch
        self._flat(state)
        images_last = np.ascontiguousarray(x.permute(1, 2, 3, 0).reshape(-1, len(y)).numpy())
        loss, correct = self._network.forward(images_last, y.numpy(), mixtures["cell"])
        return StepResult(torch.tensor(loss / len(y)), torch.tensor(correct))

    @staticmethod
    def _of_alpha(alpha: Tensor, mixtures: Mixtures, of_mixture: np.ndarray) -> Tensor:
        return gradients_of((mixtures["cell"].weights * torch.from_numpy(of_mixture)).sum(), [alpha])[0]


class _Loss(torch.autograd.Function):
    """Of a compiled network that has just gone forward."""

    @staticmethod
    def forward(ctx, network: CompiledSupernet, weights: Tensor, params: Tensor, loss: Tensor) -> Tensor:
        ctx.network = network
        return loss.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        _, mixes, learns, _ = ctx.needs_input_grad
        of_mixture = None
        if mixes:
            of_mixture = grad * torch.from_numpy(ctx.network.mixture_gradient(learns))
        else:
            ctx.network.learn()
        return None, of_mixture, grad * torch.from_numpy(ctx.network.flat.gradient) if learns else None, None
