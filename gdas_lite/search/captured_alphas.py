"""Adam on the alphas without asking the device anything: what torch.optim.Adam does, up to rounding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DeviceAdam:
    """Of the alphas of a search. Moments and last gradients lie at fixed places; the number of a step is the host's to know.

    last_gradients: what PyTorch has in alpha.grad.
    """

    def __init__(self, adam: torch.optim.Adam) -> None:
        self._adam = adam
        self.alphas: list[nn.Parameter] = adam.param_groups[0]["params"]
        self.last_gradients = [torch.zeros_like(alpha) if alpha.grad is None else alpha.grad.clone() for alpha in self.alphas]
        self._means, self._squares = ([torch.zeros_like(alpha) for alpha in self.alphas] for _ in range(2))

    def adopt(self) -> int:
        """Take over what the optimiser (of a checkpoint) has. Returns the number of its steps so far."""
        for alpha, *places in zip(self.alphas, self._means, self._squares, strict=True):
            state = self._adam.state.get(alpha, {})
            for place, name in zip(places, ("exp_avg", "exp_avg_sq"), strict=True):
                if name not in state:
                    place.zero_()
                elif state[name].data_ptr() != place.data_ptr():
                    place.copy_(state[name])
        return int(self._adam.state.get(self.alphas[0], {}).get("step", 0))

    def settle(self, steps: int) -> None:
        """Leave the optimiser as a checkpoint wants it. steps: all so far."""
        if steps:
            for alpha, gradient, mean, square in zip(self.alphas, self.last_gradients, self._means, self._squares, strict=True):
                self._adam.state[alpha] = {"step": torch.tensor(float(steps)), "exp_avg": mean, "exp_avg_sq": square}
                alpha.grad = gradient

    def changing(self) -> list[Tensor]:
        """All tensors that a step changes."""
        return [*(alpha.detach() for alpha in self.alphas), *self.last_gradients, *self._means, *self._squares]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], size: Tensor, root: Tensor) -> None:
        """size, root: see `adam_numbers`, scalars on the device."""
        setting = self._adam.param_groups[0]
        (beta1, beta2), decay, eps = setting["betas"], setting["weight_decay"], setting["eps"]
        torch._foreach_copy_(self.last_gradients, list(gradients))
        for alpha, gradient, mean, square in zip(self.alphas, gradients, self._means, self._squares, strict=True):
            decayed = gradient.add(alpha, alpha=decay)
            mean.lerp_(decayed, 1 - beta1)
            square.mul_(beta2).addcmul_(decayed, decayed, value=1 - beta2)
            alpha.sub_(size * mean / (square.sqrt() / root + eps))


def adam_numbers(adam: torch.optim.Adam, step: int) -> tuple[float, float]:
    """What Adam's step of this number (from 1) multiplies the mean gradient with, and what it divides the root of the mean
    square by: its bias corrections, which need no device."""
    setting = adam.param_groups[0]
    first, second = (1 - beta**step for beta in setting["betas"])
    return setting["lr"] / first, second**0.5
