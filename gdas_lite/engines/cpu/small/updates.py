"""The updates of a step on a compiled supernet: what the plain `Updates` do, up to rounding."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....runs.meters import StepResult
from ....search.updates import Bilevel, Mixtures, Updates, classification, gradients_of
from ...first_order import first_order
from .supernet import CompiledSupernet


def _or_plainly(update: Callable) -> Callable:
    """Makes an update the plain one where the loops would not compute the same."""
    @wraps(update)
    def run(self: Any, state: Bilevel, *given: Any) -> Any:
        network, is_as_built = self._network, self._network.is_as_built()
        if is_as_built and not network.flat.is_in_place(state.sgd):
            self.__init__(state, self._side)        # with the parameters of the supernet as it is now
        if (is_as_built and state.objective is classification and state.weight_objective is None
                and self._network.moves_alike(state.sgd) and all(self._fits(*batch) for batch in given[1:])):
            return update(self, state, *given)
        self._network.flat.leave_gradients()
        return getattr(Updates, update.__name__)(self, state, *given)
    return run


class CompiledUpdates(Updates):
    """Of a `Bilevel` whose supernet is NAS-Bench-201's, on the CPU, with images of `side` pixels. Weights and momentum
    stay where the supernet and its optimiser have them, so that checkpoints need not know of it."""

    def __init__(self, state: Bilevel, side: int) -> None:
        self._side, self._network = side, CompiledSupernet(state.supernet, side)
        self._network.flat.load_optimizer_state(state.sgd)

    def _fits(self, x: Tensor, y: Tensor) -> bool:
        """Whether the loops compute a batch; PyTorch sees to others, or says what is wrong with them."""
        return (x.dtype == torch.float32 and not x.requires_grad and x.shape[2:] == (self._side,) * 2
                and self._side * len(y) > 4 and y.dtype == torch.int64 and self._network.has_classes(y.numpy()))

    @_or_plainly
    def weight_step(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
        recipe, alpha = state.recipe, state.alphas["cell"]
        clips_alpha = recipe.clip_scope == "weights_and_alpha"
        outcome = self._forward(mixtures, batch)
        if clips_alpha and mixtures["cell"].weights.requires_grad:
            found = self._of_alpha(alpha, mixtures, self._network.mixture_gradient(learns=True))
            alpha.grad = found if alpha.grad is None else alpha.grad + found
        else:
            self._network.learn()
        also = [alpha.grad] if clips_alpha and alpha.grad is not None else []
        self._network.flat.step(state.sgd, recipe.grad_clip_norm, recipe.undrawn == "decay", also)
        return outcome

    @_or_plainly
    def alpha_gradient(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]
                       ) -> tuple[list[Tensor], StepResult]:
        """Returns the gradient of the valid loss with respect to alpha, as one gradient for each kind of cell."""
        outcome = self._forward(mixtures, batch)
        return [self._of_alpha(state.alphas["cell"], mixtures, self._network.mixture_gradient())], outcome

    @_or_plainly
    def loss(self, state: Bilevel, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
        """Returns the loss as a function of the mixture's weights and `params_in_use`; of the last call only."""
        outcome = self._forward(mixtures, batch)
        loss = _Loss.apply(self._network, mixtures["cell"].weights, self._network.flat.all_params, outcome.loss)
        return StepResult(loss, outcome.correct)

    @_or_plainly
    def params_in_use(self, state: Bilevel) -> list[nn.Parameter]:
        return [self._network.flat.all_params]

    @_or_plainly
    def momentum(self, state: Bilevel) -> list[Tensor | None]:
        return [self._network.flat.all_momentum]

    def _forward(self, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
        x, y = batch
        images_last = np.ascontiguousarray(x.permute(1, 2, 3, 0).reshape(-1, len(y)).numpy())
        loss, correct = self._network.forward(images_last, y.numpy(), mixtures["cell"])
        return StepResult(torch.tensor(loss / len(y), device="cpu"), torch.tensor(correct, device="cpu"))

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
    @first_order
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        _, mixes, learns, _ = ctx.needs_input_grad
        of_mixture = None
        if mixes:
            of_mixture = grad * torch.from_numpy(ctx.network.mixture_gradient(learns))
        else:
            ctx.network.learn()
        return None, of_mixture, grad * torch.from_numpy(ctx.network.flat.gradient) if learns else None, None
