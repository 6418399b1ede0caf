"""The two updates of a step without asking the device anything: what `updates.weight_step` and Adam do, up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..spaces import nasbench201, nasbench201_learning, nasnet, nasnet_learning
from .captured_alphas import DeviceAdam
from .captured_weights import FlatWeights
from .updates import alpha_gradient

if TYPE_CHECKING:
    from .updates import Bilevel, Mixtures, Outcome

LEARNING = {nasbench201.Supernet: nasbench201_learning.Learning, nasnet.Supernet: nasnet_learning.Learning}


class DeviceUpdates:
    """Of a `Bilevel` whose supernet is one of `LEARNING`. What a step's schedules say is on the device too; `set_rates` before a
    step.

    Weights, momentum and Adam's moments stay where the supernet and the optimisers have them.
    """

    def __init__(self, state: Bilevel) -> None:
        self._learning = LEARNING[type(state.supernet)](state.supernet)
        self._weights, self._adam = FlatWeights(state.sgd, self._learning.groups), DeviceAdam(state.adam)

    @property
    def params_in_use(self) -> list[nn.Parameter]:
        """The weights that a pass uses."""
        return self._learning.params_in_use

    def adopt(self) -> int:
        """Take over what the optimisers (of a checkpoint) have. Returns the number of alpha steps so far."""
        self._weights.adopt()
        return self._adam.adopt()

    def settle(self, alpha_steps: int) -> None:
        """Leave the optimisers as a checkpoint wants them. alpha_steps: all so far."""
        self._weights.settle()
        self._adam.settle(alpha_steps)

    def changing(self) -> list[Tensor]:
        """All tensors that updates change, beside the supernet's buffers."""
        return [self._weights.theta, self._weights.velocity, self._weights.known, *self._adam.changing()]

    def set_rates(self, learning_rate: Tensor, alpha_size: Tensor, alpha_root: Tensor) -> None:
        """learning_rate: of SGD. alpha_size, alpha_root: see `adam_numbers`. Scalars on the device."""
        self._rate, self._alpha_size, self._alpha_root = learning_rate, alpha_size, alpha_root

    def weight_step(self, state: Bilevel, mixtures: Mixtures, batch: Any) -> Outcome:
        recipe, params = state.recipe, state.net_params
        judged = (state.weight_objective or state.objective)(state.supernet, mixtures, batch)
        alphas = self._adam.alphas if recipe.clip_scope == "weights_and_alpha" else []
        gradients = torch.autograd.grad(judged.loss, [*params, *alphas], allow_unused=True)
        also = [self._in_grad(last, one) for last, one in zip(self._adam.last_gradients, gradients[len(params):], strict=False)]
        self._weights.step(gradients[:len(params)], self._learning.of(mixtures), self._rate, clip_norm=recipe.grad_clip_norm,
                           also=also, undrawn_decays=recipe.undrawn == "decay")
        return judged.outcome()

    @staticmethod
    def _in_grad(last: Tensor, gradient: Tensor | None) -> Tensor:
        """What PyTorch's backward pass adds up in alpha.grad: the last alpha step's and this one's, if there is one."""
        return last if gradient is None else last + gradient

    def alpha_gradient(self, state: Bilevel, mixtures: Mixtures, batch: Any) -> tuple[list[Tensor], Outcome]:
        return alpha_gradient(state, mixtures, batch)

    def apply_alpha_gradient(self, state: Bilevel, gradients: Sequence[Tensor]) -> None:
        """One Adam step on the alphas."""
        self._adam.step(gradients, self._alpha_size, self._alpha_root)
