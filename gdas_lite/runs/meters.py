"""What updates report, added up over an epoch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepResult:
    """The loss (mean over the batch, nats) and the number of correct answers of one update; scalars on the device.

    hidden: the state after a window of text, (B, H); None for images.
    """

    loss: Tensor
    correct: Tensor
    hidden: Tensor | None = None


class AverageMeter:
    """An epoch's sums, kept on the device until the epoch's end.

    losses, correct, count: what is known already, a scalar a step and the number of images (or words) of all of them.
    """

    def __init__(self, losses: Iterable[Tensor] = (), correct: Iterable[Tensor] = (), count: int = 0) -> None:
        self.losses: list[Tensor] = list(losses)
        self._correct: list[Tensor] = list(correct)
        self._count = count

    def add(self, result: StepResult | None, count: int) -> None:
        """Counts an update's result on `count` images; None is no update."""
        if result:
            self.losses.append(result.loss)
            self._correct.append(result.correct)
            self._count += count

    @property
    def mean_loss(self) -> float:
        """The mean over steps, nats; NaN without steps."""
        return torch.stack(self.losses).mean().item() if self.losses else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of correct answers, percent; NaN without steps."""
        return 100 * torch.stack(self._correct).sum().item() / self._count if self.losses else float("nan")
