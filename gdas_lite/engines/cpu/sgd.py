"""SGD for a supernet of some thousand small parameters, few of which a step reaches, by one launch."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class SGD(torch.optim.SGD):
    """torch.optim.SGD to rounding, by a compiled kernel, with its state and settings; unusual settings run as they are.

    `zero_grad(set_to_none=False)` fills nothing with zeros: gradients become None, and `step` takes those that were
    there for zeros. So backward passes need not add to what is zero.
    """

    _reached: frozenset[int] | set[int] = frozenset()       # ids of parameters that had a gradient
    _scale: Tensor | float = 1.0        # of the gradients, in the next step
    _pays: Callable[[], bool] | None = None

    @property
    def _compiles(self) -> bool:
        return (self._pays is None or self._pays()) and all(
            group["momentum"] != 0 and group["dampening"] == 0 and not group["maximize"]
            and not isinstance(group["lr"], Tensor) for group in self.param_groups)

    @classmethod
    def taking_over(cls, sgd: torch.optim.SGD, pays: Callable[[], bool] | None = None) -> torch.optim.SGD:
        """Returns one that shares groups, state and hooks, so that a checkpoint may be restored before or after; `sgd`
        itself where that is of another class, somebody's own. pays: whether the kernel shall run a step; None: it
        shall run all."""
        if type(sgd) not in (torch.optim.SGD, cls):
            return sgd
        taken = cls(sgd.param_groups, **sgd.defaults)
        taken.state, taken._pays = sgd.state, pays
        taken.__dict__ |= {name: kept for name, kept in vars(sgd).items() if name.endswith("_hooks")}
        return taken

    def clip_grad_norm_(self, params: Sequence[Tensor], limit: float) -> Tensor:
        """Clips as nn.utils.clip_grad_norm_, and returns the norm too; but gradients stay as they are: the next step
        scales them."""
        if not self._compiles:
            return nn.utils.clip_grad_norm_(params, limit)
        norms = [torch.linalg.vector_norm(param.grad) for param in params if param.grad is not None]
        norm = self._scale * torch.linalg.vector_norm(torch.stack(norms or [torch.zeros((), device="cpu")]))
        self._scale = self._scale * torch.clamp(limit / (norm + 1e-6), max=1.0)
        if norm.isnan():        # it makes NaN of zeros, too
            self._fill(params)
        return norm

    def _fill(self, params: Iterable[Tensor]) -> None:
        """Gives those whose gradient counts as zeros one."""
        for param in params:
            if param.grad is None and id(param) in self._reached:
                param.grad = torch.zeros_like(param)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self._scale = 1.0       # of gradients that no step will see
        self._reached = set() if set_to_none else self._reached
        if set_to_none or not self._compiles:
            return super().zero_grad(set_to_none)
        found = [param for group in self.param_groups for param in group["params"] if param.grad is not None]
        for param in found:
            param.grad = None
        self._reached = self._reached.union(map(id, found))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        if closure is not None or not self._compiles:
            self._fill(param for group in self.param_groups for param in group["params"])
            return super().step.__wrapped__(self, closure)      # without hooks, which are called around this method
        for group in self.param_groups:
            moved = [param for param in group["params"] if id(param) in self._reached or param.grad is not None]
            self._step_of(group, moved)
        self._scale = 1.0
        return None

    def _step_of(self, group: dict[str, Any], params: list[Tensor]) -> None:
        from .compiled.job_table import STEP
        from .compiled.launch import launch
        rate, momentum = group["lr"], group["momentum"]
        along, on = (-rate, -rate * momentum) if group["nesterov"] else (0.0, -rate)
        settings = torch.tensor([group["weight_decay"], momentum, along, on, float(self._scale)],
                                dtype=torch.float32, device="cpu")
        rows, address = [], settings.data_ptr()
        for param in params:
            state, grad = self.state[param], param.grad
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = torch.zeros_like(param)
            if _is_alike(param, velocity) and (grad is None or _is_alike(param, grad)):
                torch.autograd.graph.increment_version(param)       # a graph that is still to go back notices
                rows.append((param.data_ptr(), 0 if grad is None else grad.data_ptr(), velocity.data_ptr(),
                             4 * param.numel(), address))
            else:
                _plain_step(group, param, torch.zeros_like(param) if grad is None else grad * self._scale, velocity)
        if rows:
            launch(STEP, 1, rows)


def _is_alike(param: Tensor, other: Tensor) -> bool:
    """Whether both are float32 and lie in memory in the same order, without gaps."""
    if other.dtype != torch.float32 or param.dtype != torch.float32:
        return False
    if param.is_contiguous() and other.is_contiguous():
        return True
    return param.dim() == 4 and param.is_contiguous(memory_format=torch.channels_last) and other.is_contiguous(
        memory_format=torch.channels_last)


def _plain_step(group: dict[str, Any], param: Tensor, grad: Tensor, velocity: Tensor) -> None:
    slope = grad.add(param, alpha=group["weight_decay"])
    velocity.mul_(group["momentum"]).add_(slope)
    param.sub_(slope.add(velocity, alpha=group["momentum"]) if group["nesterov"] else velocity, alpha=group["lr"])
