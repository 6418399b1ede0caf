"""A module's parameters laid into one flat array, so that a compiled loop takes the whole SGD step."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from . import loops


class FlatParameters:
    """Moves the parameters of a module on the CPU into one array; the module goes on with views of it. Raises
    ValueError for parameters that share memory, which they would not afterwards.

    theta, gradient, velocity: (parameters,) float32, in the order of module.parameters(). all_params, all_momentum:
    theta and velocity as PyTorch's. reached: (number of parameters,), which of them the last backward pass gave a
    gradient; `views` says where to write it.
    """

    def __init__(self, module: nn.Module) -> None:
        named = list(module.named_parameters())
        self.params = [param for _, param in named]
        if len({param.data_ptr() for param in self.params}) < len(named):
            raise ValueError("two parameters share their memory, which the compiled loops would part: make them one "
                             "parameter, or search with engine='plain'")
        self._held = [(where, name) for one in module.modules() for where in (one._parameters, one._buffers)
                      for name, number in where.items() if number is not None]
        ends = np.cumsum([param.numel() for param in self.params])
        self.starts = np.concatenate([[0], ends]).astype(np.int64)
        self._index = {param: index for index, param in enumerate(self.params)}
        flat = torch.cat([param.detach().reshape(-1) for param in self.params])
        for param, start, end in zip(self.params, self.starts[:-1], ends, strict=True):
            param.data = flat[start:end].view(param.shape)
        self._flat_velocity = torch.zeros_like(flat)
        self.theta, self.velocity = flat.numpy(), self._flat_velocity.numpy()
        self.all_params, self.all_momentum = nn.Parameter(flat), self._flat_velocity
        self.gradient = np.zeros_like(self.theta)
        self.reached = np.zeros(len(named), np.bool_)
        self._known = np.zeros(len(named), np.bool_)
        self._addresses = self._found_at()

    def _found_at(self) -> list[int]:
        return [where[name].data_ptr() for where, name in self._held]

    def is_in_place(self, optimizer: torch.optim.SGD) -> bool:
        """Returns whether the module's numbers and the optimiser's momentum are still where they were: a copy, a
        conversion or a checkpoint may have put others in their place."""
        found = [optimizer.state.get(param, {}).get("momentum_buffer") for param in self.params]
        wanted = self._flat_velocity.data_ptr() + 4 * self.starts[:-1]
        return self._found_at() == self._addresses and [0 if one is None else one.data_ptr() for one in found] == list(
            np.where(self._known, wanted, 0))

    def views(self, param: nn.Parameter, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns a parameter and its gradient as arrays of that shape; what is written there is the parameter's."""
        index = self._index[param]
        place = slice(self.starts[index], self.starts[index + 1])
        return self.theta[place].reshape(shape), self.gradient[place].reshape(shape)

    def places(self, *params: nn.Parameter | None) -> np.ndarray:
        """Returns where these stand in `reached`; None is left out."""
        return np.array([self._index[param] for param in params if param is not None], np.int64)

    def load_optimizer_state(self, optimizer: torch.optim.SGD) -> None:
        """Take over the momentum that an optimiser (of a checkpoint) has; it holds views from now on."""
        for index, param in enumerate(self.params):
            buffer = optimizer.state.get(param, {}).get("momentum_buffer")
            self._known[index] = buffer is not None
            if buffer is not None:
                self._momentum(index).copy_(buffer)
                optimizer.state[param]["momentum_buffer"] = self._momentum(index)

    def leave_gradients(self) -> None:
        """Before a plain step: what had a gradient once has one of zeros, and moves on with the recipe's "decay"."""
        for index in np.flatnonzero(self._known):
            if self.params[index].grad is None:
                self.params[index].grad = torch.zeros_like(self.params[index])

    def clear(self) -> None:
        """Before a backward pass."""
        self.gradient.fill(0)
        self.reached.fill(False)

    def step(self, optimizer: torch.optim.SGD, clip_norm: float | None, unsampled_decays: bool,
             also: Sequence[torch.Tensor] = ()) -> None:
        """One SGD step with the optimiser's settings, as clip_grad_norm_ and torch.optim.SGD would take it.

        unsampled_decays: parameters that the last pass did not reach, but an earlier one did, have a gradient of zeros;
        else they are left alone. also: gradients that enter the clipped norm and are clipped, too.
        """
        group = optimizer.param_groups[0]
        for index in np.flatnonzero(self.reached & ~self._known):
            optimizer.state[self.params[index]]["momentum_buffer"] = self._momentum(index)
        self._known |= self.reached
        if clip_norm is not None:
            norm = math.sqrt(loops.dot(self.gradient, self.gradient) + sum(one.square().sum().item() for one in also))
            if not norm + 1e-6 <= clip_norm:        # NaN too, as in PyTorch
                for gradient in (self.gradient, *also):
                    gradient *= np.float32(clip_norm / (norm + 1e-6))
        loops.sgd(self.theta, self.velocity, self.gradient, self.starts,
                  self._known if unsampled_decays else self.reached,
                  np.float32(group["lr"]), np.float32(group["momentum"]), np.float32(group["weight_decay"]),
                  group["nesterov"])

    def _momentum(self, index: int) -> torch.Tensor:
        return self._flat_velocity[self.starts[index]:self.starts[index + 1]].view(self.params[index].shape)
