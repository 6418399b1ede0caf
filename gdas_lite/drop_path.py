"""Drop path: in training, whole operations are left out for single images.

Source: GDAS and DARTS codes: with probability `rate` an operation's output is zero for an image, otherwise it is divided by
1 - rate; identities are never dropped; the rate grows linearly with the epochs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DropPath:
    """What a forward pass in training may use to drop paths.

    rate: probability, 0 <= rate < 1. generator: on the CPU, the only source of chance, so that a seed means the same masks
    on every device.
    """

    rate: float
    generator: torch.Generator

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"the drop path rate must be in 0 <= rate < 1, got {self.rate}")

    def masks(self, count: int, like: Tensor) -> Tensor:
        """`count` masks for the batch of `like` (B, C, H, W), entries 0 or 1/(1-rate): (count, B, 1, 1, 1)."""
        kept = torch.rand(count, like.shape[0], generator=self.generator) >= self.rate
        return (kept.to(like.dtype) / (1 - self.rate)).to(like.device)[:, :, None, None, None]


def drop_path_at(largest: float, epoch: int, epochs: int) -> float:
    """Rate of the 0-based epoch: largest * epoch / epochs, set once an epoch; `largest` itself is never reached."""
    return largest * epoch / epochs
