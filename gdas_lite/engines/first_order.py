"""Backward passes that have no gradient of their own."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def first_order(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a backward pass refuse create_graph=True, with RuntimeError. PyTorch's `once_differentiable` does so only
    when one goes back through it, which `torch.autograd.grad` never does: it leaves that part of a gradient out."""
    @wraps(backward)
    def run(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError("the backward pass of an engine has no gradient itself (create_graph=True); for second "
                               "derivatives compute with engine 'plain'")
        return backward(ctx, *grads)
    return run
