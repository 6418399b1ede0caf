"""The two updates of a step without asking the device anything: SGD on the weights of a supernet, which lie in one flat
tensor, and Adam on the alphas; what PyTorch's do, up to rounding.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...runs.meters import StepResult
from ...search.updates import Bilevel, Mixtures, Updates
from ...spaces import nasbench201, nasnet
from . import nasbench201 as nasbench201_on_device
from . import nasnet as nasnet_on_device

ALIGNMENT = 64          # numbers; kernels load aligned parameters faster


class FlatWeights:
    """Moves parameters into one tensor; module and optimiser go on with views of it, so checkpoints stay as they are.

    groups: of each parameter, the number of a group that is drawn together. What was never drawn has no momentum yet,
    and SGD leaves it alone, as PyTorch's does with parameters that never had a gradient.

    theta, velocity, gradient: (size,). known: (groups,) bool, whether a group was drawn so far.
    """

    def __init__(self, sgd: torch.optim.SGD, groups: Sequence[int]) -> None:
        self._sgd, self._groups = sgd, list(groups)
        self._params: list[nn.Parameter] = sgd.param_groups[0]["params"]
        starts, size = [], 0
        for param in self._params:
            starts.append(size)
            size += -(-param.numel() // ALIGNMENT) * ALIGNMENT
        self.theta = self._params[0].new_zeros(size)
        self.velocity, self.gradient = torch.zeros_like(self.theta), torch.zeros_like(self.theta)
        self.known = torch.zeros(max(groups) + 1, dtype=torch.bool, device=self.theta.device)
        self._group = torch.zeros(size, dtype=torch.int32)
        for param, start, group in zip(self._params, starts, groups, strict=True):
            self._group[start:start + param.numel()] = group
        self._group = self._group.to(self.theta.device)
        self._velocities, self._gradients, thetas = (
            [torch.as_strided(flat, param.shape, param.stride(), start)     # in the parameter's own memory layout
             for param, start in zip(self._params, starts, strict=True)]
            for flat in (self.velocity, self.gradient, self.theta))
        for param, place in zip(self._params, thetas, strict=True):
            param.data = place.copy_(param.detach())

    def load_optimizer_state(self) -> None:
        """Take over the momentum that the optimiser (of a checkpoint) has; it has views of it from now on."""
        known = [False] * len(self.known)
        for param, group, place in zip(self._params, self._groups, self._velocities, strict=True):
            buffer = self._sgd.state.get(param, {}).get("momentum_buffer")
            known[group] |= buffer is not None
            if buffer is None:
                place.zero_()
            elif buffer.data_ptr() != place.data_ptr():
                place.copy_(buffer)
            self._sgd.state[param]["momentum_buffer"] = place
        self.known.copy_(torch.tensor(known))

    def store_optimizer_state(self) -> None:
        """Before a checkpoint: the optimiser forgets what was never drawn. Asks the device."""
        known = self.known.tolist()
        for param, group in zip(self._params, self._groups, strict=True):
            if not known[group]:
                del self._sgd.state[param]

    def step(self, gradients: Sequence[Tensor | None], learns: Tensor | None, rate: Tensor, *, clip_norm: float | None,
             also: Sequence[Tensor], unsampled_decays: bool) -> None:
        """One SGD step with the optimiser's settings, as clip_grad_norm_ and torch.optim.SGD take it.

        gradients: of each parameter, None for zeros. learns: (groups,) bool, None for all. rate: (). also: what
        else enters the clipped norm. unsampled_decays: momentum and decay go on where a group was drawn before.
        """
        given = [(place, one) for place, one in zip(self._gradients, gradients, strict=True) if one is not None]
        self.gradient.zero_()
        torch._foreach_copy_(*map(list, zip(*given, strict=True)))
        setting, gradient = self._sgd.param_groups[0], self.gradient
        if clip_norm is not None:
            norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in (gradient, *also)]))
            gradient.mul_((clip_norm / (norm + 1e-6)).clamp(max=1))
        decayed = gradient.add(self.theta, alpha=setting["weight_decay"])
        velocity = torch.add(decayed, self.velocity, alpha=setting["momentum"])
        direction = decayed.add(velocity, alpha=setting["momentum"]) if setting["nesterov"] else velocity
        theta = torch.addcmul(self.theta, direction, rate, value=-1)
        if learns is None:
            self.known.fill_(True)
        else:
            self.known.logical_or_(learns)
            moves = (self.known if unsampled_decays else learns).index_select(0, self._group)
            velocity, theta = torch.where(moves, velocity, self.velocity), torch.where(moves, theta, self.theta)
        self.velocity.copy_(velocity)
        self.theta.copy_(theta)


GRADIENT_MASKS = {nasbench201.Supernet: nasbench201_on_device.GradientMask,
                  nasnet.Supernet: nasnet_on_device.GradientMask}


class DeviceUpdates(Updates):
    """Of a `Bilevel` whose supernet is one of `GRADIENT_MASKS`. Rates are on the device too: `set_rates` before a step.

    Weights, momentum and Adam's moments stay where the supernet and the optimisers have them.
    """

    def __init__(self, state: Bilevel) -> None:
        self._mask = GRADIENT_MASKS[type(state.supernet)](state.supernet)
        self._weights, self._adam = FlatWeights(state.sgd, self._mask.groups), DeviceAdam(state.adam)

    def params_in_use(self, state: Bilevel) -> list[nn.Parameter]:
        return self._mask.params_in_use

    def load_optimizer_state(self) -> int:
        """Take over what the optimisers (of a checkpoint) have. Returns the number of alpha steps so far."""
        self._weights.load_optimizer_state()
        return self._adam.load_optimizer_state()

    def store_optimizer_state(self, alpha_steps: int) -> None:
        """Leave the optimisers as a checkpoint wants them. alpha_steps: all so far."""
        self._weights.store_optimizer_state()
        self._adam.store_optimizer_state(alpha_steps)

    def changing(self) -> list[Tensor]:
        """Returns all tensors that updates change, beside the supernet's buffers."""
        return [self._weights.theta, self._weights.velocity, self._weights.known, *self._adam.changing()]

    def set_rates(self, learning_rate: Tensor, alpha_size: Tensor, alpha_root: Tensor) -> None:
        """learning_rate: of SGD. alpha_size, alpha_root: see `adam_numbers`. Scalars on the device."""
        self._rate, self._alpha_size, self._alpha_root = learning_rate, alpha_size, alpha_root

    def weight_step(self, state: Bilevel, mixtures: Mixtures, batch: Any) -> StepResult:
        recipe, params = state.recipe, state.net_params
        judged = (state.weight_objective or state.objective)(state.supernet, mixtures, batch)
        alphas = self._adam.alphas if recipe.clip_scope == "weights_and_alpha" else []
        gradients = torch.autograd.grad(judged.loss, [*params, *alphas], allow_unused=True)
        also = [last if one is None else last + one         # what PyTorch adds up in alpha.grad
                for last, one in zip(self._adam.last_gradients, gradients[len(params):], strict=False)]
        self._weights.step(gradients[:len(params)], self._mask.of(mixtures), self._rate,
                           clip_norm=recipe.grad_clip_norm, also=also, unsampled_decays=recipe.undrawn == "decay")
        return judged.reported()

    def apply(self, state: Bilevel, gradients: Sequence[Tensor]) -> None:
        self._adam.step(gradients, self._alpha_size, self._alpha_root)


class DeviceAdam:
    """Of the alphas of a search. Moments and last gradients lie at fixed places; the host counts the steps.

    last_gradients: what PyTorch has in alpha.grad.
    """

    def __init__(self, adam: torch.optim.Adam) -> None:
        self._adam = adam
        self.alphas: list[nn.Parameter] = adam.param_groups[0]["params"]
        self.last_gradients = [torch.zeros_like(alpha)
                               if alpha.grad is None else alpha.grad.clone() for alpha in self.alphas]
        self._means, self._squares = ([torch.zeros_like(alpha) for alpha in self.alphas] for _ in range(2))

    def load_optimizer_state(self) -> int:
        """Take over what the optimiser (of a checkpoint) has. Returns the number of its steps so far."""
        for alpha, *places in zip(self.alphas, self._means, self._squares, strict=True):
            state = self._adam.state.get(alpha, {})
            for place, name in zip(places, ("exp_avg", "exp_avg_sq"), strict=True):
                if name not in state:
                    place.zero_()
                elif state[name].data_ptr() != place.data_ptr():
                    place.copy_(state[name])
        return int(self._adam.state.get(self.alphas[0], {}).get("step", 0))

    def store_optimizer_state(self, steps: int) -> None:
        """Leave the optimiser as a checkpoint wants it. steps: all so far."""
        if steps:
            for alpha, gradient, mean, square in zip(self.alphas, self.last_gradients, self._means, self._squares,
                                                     strict=True):
                self._adam.state[alpha] = {"step": torch.tensor(float(steps)), "exp_avg": mean, "exp_avg_sq": square}
                alpha.grad = gradient

    def changing(self) -> list[Tensor]:
        """Returns all tensors that a step changes."""
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
    """Returns what Adam's step of this number (from 1) multiplies the mean gradient with, and what it divides the root
    of the mean square by: its bias corrections, which need no device."""
    setting = adam.param_groups[0]
    first, second = (1 - beta**step for beta in setting["betas"])
    return setting["lr"] / first, second**0.5
