"""The two updates of a step without asking the device anything: what `updates.weight_step` and Adam do, up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..spaces.nasbench201_learning import LearningTable, groups_of
from .captured_weights import FlatWeights
from .updates import alpha_gradient

if TYPE_CHECKING:
    from .updates import Bilevel, Mixtures, Outcome


class DeviceUpdates:
    """Of a `Bilevel` in the space NAS-Bench-201. What a step's schedules say is on the device too; `set_rates` before a step.

    Weights, momentum and Adam's moments stay where the supernet and the optimisers have them.
    """

    def __init__(self, state: Bilevel) -> None:
        self.weights = FlatWeights(state.sgd, groups_of(state.supernet))
        self._alpha, self._adam = state.alphas["cell"], state.adam
        self._learning = LearningTable(self._alpha.device, state.supernet.stages[0][0].exact_zero)
        self._last_gradient = torch.zeros_like(self._alpha)         # of alpha; enters the norm if clip_scope says so
        if self._alpha.grad is not None:
            self._last_gradient.copy_(self._alpha.grad)
        self._moments = [torch.zeros_like(self._alpha) for _ in range(2)]

    def adopt(self) -> int:
        """Take over what the optimisers (of a checkpoint) have. Returns the number of alpha steps so far."""
        self.weights.adopt()
        state = self._adam.state.get(self._alpha, {})
        for place, name in zip(self._moments, ("exp_avg", "exp_avg_sq"), strict=True):
            if name not in state:
                place.zero_()
            elif state[name].data_ptr() != place.data_ptr():
                place.copy_(state[name])
        return int(state.get("step", 0))

    def settle(self, alpha_steps: int) -> None:
        """Leave the optimisers as a checkpoint wants them."""
        self.weights.settle()
        if alpha_steps:
            self._adam.state[self._alpha] = {"step": torch.tensor(float(alpha_steps)), "exp_avg": self._moments[0],
                                             "exp_avg_sq": self._moments[1]}
            self._alpha.grad = self._last_gradient

    def changing(self) -> list[Tensor]:
        """All tensors that updates change, beside the supernet's buffers."""
        return [self.weights.theta, self.weights.velocity, self.weights.known, self._alpha.detach(), self._last_gradient,
                *self._moments]

    def set_rates(self, learning_rate: Tensor, alpha_size: Tensor, alpha_root: Tensor) -> None:
        """learning_rate: of SGD. alpha_size, alpha_root: see `adam_numbers`. Scalars on the device."""
        self._rate, self._alpha_size, self._alpha_root = learning_rate, alpha_size, alpha_root

    def weight_step(self, state: Bilevel, mixtures: Mixtures, batch: Any) -> Outcome:
        recipe, params = state.recipe, state.net_params
        judged = (state.weight_objective or state.objective)(state.supernet, mixtures, batch)
        clips_both = recipe.clip_scope == "weights_and_alpha"
        gradients = torch.autograd.grad(judged.loss, [*params, *([self._alpha] if clips_both else [])], allow_unused=True)
        index = mixtures["cell"].index
        learns = None if index is None else self._learning.of(index)
        self.weights.step(gradients[:len(params)], learns, self._rate, clip_norm=recipe.grad_clip_norm,
                          also=[self._alpha_gradient_with(gradients[-1])] if clips_both else [],
                          undrawn_decays=recipe.undrawn == "decay")
        return judged.outcome()

    def _alpha_gradient_with(self, gradient: Tensor | None) -> Tensor:
        """What PyTorch's backward pass adds up in alpha.grad: the last alpha step's and this one's, if there is one."""
        return self._last_gradient if gradient is None else self._last_gradient + gradient

    def alpha_gradient(self, state: Bilevel, mixtures: Mixtures, batch: Any) -> tuple[list[Tensor], Outcome]:
        return alpha_gradient(state, mixtures, batch)

    def apply_alpha_gradient(self, state: Bilevel, gradients: Sequence[Tensor]) -> None:
        """One Adam step on alpha."""
        (gradient,), setting = gradients, self._adam.param_groups[0]
        self._last_gradient.copy_(gradient)
        with torch.no_grad():
            decayed = gradient.add(self._alpha, alpha=setting["weight_decay"])
            mean, square = self._moments
            mean.lerp_(decayed, 1 - setting["betas"][0])
            square.mul_(setting["betas"][1]).addcmul_(decayed, decayed, value=1 - setting["betas"][1])
            self._alpha.sub_(self._alpha_size * mean / (square.sqrt() / self._alpha_root + setting["eps"]))


def adam_numbers(adam: torch.optim.Adam, step: int) -> tuple[float, float]:
    """What Adam's step of this number (from 1) multiplies the mean gradient with, and what it divides the root of the mean
    square by: its bias corrections, which need no device."""
    setting = adam.param_groups[0]
    first, second = (1 - beta**step for beta in setting["betas"])
    return setting["lr"] / first, second**0.5
