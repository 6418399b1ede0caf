"""torch.distributed's sum and broadcast, which return when nobody but the caller holds the tensor any more.

Gloo's threads drop a finished tensor a little after the call has returned, and for that they need Python. A process that
ends meanwhile has no Python left to give: the thread aborts it ("terminate called without an active exception"), and
torchrun calls a training that was complete a failed one.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

import torch.distributed as dist
from torch import Tensor

PATIENCE = 10_000      # looks; one is mostly enough. Whoever holds the tensor for another reason is not waited for


def all_reduce(values: Tensor) -> None:
    """Replace the values, on every process, by their elementwise sum over the processes."""
    _collective(dist.all_reduce, values)


def broadcast(values: Tensor) -> None:
    """Replace the values, on every process, by those of process 0."""
    _collective(lambda lent: dist.broadcast(lent, 0), values)


def _collective(communicate: Callable[[Tensor], object], values: Tensor) -> None:
    lent = values.detach()                  # the same memory, a tensor of its own
    communicate(lent)
    returned = weakref.ref(lent)
    del lent
    for _ in range(PATIENCE if values.device.type == "cpu" else 0):
        if returned() is None:
            break
        time.sleep(0)                       # lets the thread have Python
