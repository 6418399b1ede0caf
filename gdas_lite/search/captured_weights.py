"""The weights of a supernet in one flat tensor on the device, and SGD on them that never asks the host who was drawn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ALIGNMENT = 64          # numbers; kernels load aligned parameters faster


class FlatWeights:
    """Moves parameters into one tensor; the module and its optimiser go on with views of it, so checkpoints stay what they are.

    groups: of each parameter, the number of a group that is drawn together. What was never drawn has no momentum yet, and SGD
    leaves it alone, as PyTorch's does with parameters that never had a gradient.

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
            [_view(flat, param, start) for param, start in zip(self._params, starts, strict=True)]
            for flat in (self.velocity, self.gradient, self.theta))
        for param, place in zip(self._params, thetas, strict=True):
            param.data = place.copy_(param.detach())

    def adopt(self) -> None:
        """Take over the momentum that the optimiser (of a checkpoint) has. It has views from now on, of every parameter."""
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

    def settle(self) -> None:
        """Before a checkpoint: the optimiser forgets what was never drawn. Asks the device."""
        known = self.known.tolist()
        for param, group in zip(self._params, self._groups, strict=True):
            if not known[group]:
                del self._sgd.state[param]

    def step(self, gradients: Sequence[Tensor | None], learns: Tensor | None, rate: Tensor, *, clip_norm: float | None,
             also: Sequence[Tensor], undrawn_decays: bool) -> None:
        """One SGD step with the optimiser's settings, as clip_grad_norm_ and torch.optim.SGD take it.

        gradients: of each parameter, None for zeros. learns: (groups,) bool, None for all. rate: (). also: what
        else enters the clipped norm. undrawn_decays: momentum and decay go on where a group was drawn before.
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
            moves = (self.known if undrawn_decays else learns).index_select(0, self._group)
            velocity, theta = torch.where(moves, velocity, self.velocity), torch.where(moves, theta, self.theta)
        self.velocity.copy_(velocity)
        self.theta.copy_(theta)


def _view(flat: Tensor, param: nn.Parameter, start: int) -> Tensor:
    """A parameter's place in a flat tensor, in the parameter's own memory layout."""
    return torch.as_strided(flat, param.shape, param.stride(), start)
