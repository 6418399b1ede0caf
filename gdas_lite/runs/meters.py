"""Losses and correct answers of an epoch, added up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    pass

class Tally:
    """Sums of an epoch, kept on the device until the epoch's end. Begins with what is known: losses and correct answers of
    updates, on `count` images in all."""

    def __init__(self, losses: Iterable[Tensor] = (), correct: Iterable[Tensor] = (), count: int = 0) -> None:
        self.losses: list[Tensor] = list(losses)
        self._correct: list[Tensor] = list(correct)
        self._count = count

    def add(self, outcome: Outcome | None, count: int) -> None:
        """Count an update's outcome on `count` images; None is no update."""
        if outcome:
            self.losses.append(outcome.loss)
            self._correct.append(outcome.correct)
            self._count += count

    @property
    def mean_loss(self) -> float:
        """Mean over steps, NaN without steps."""
        return torch.stack(self.losses).mean().item() if self.losses else float("nan")

    @property
    def accuracy(self) -> float:
        """Percent, NaN without steps."""
        return 100 * torch.stack(self._correct).sum().item() / self._count if self.losses else float("nan")


@dataclass(frozen=True)
class Outcome:
    """Loss (mean over the batch, nats) and number of correct answers of one update; scalars on the device.

    hidden: the state after a window of text, (B, H); None for images.
    """

    loss: Tensor
    correct: Tensor
    hidden: Tensor | None = None
