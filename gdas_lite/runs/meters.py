"""What updates report, added up over an epoch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepResult:
    """What a loss function finds on a batch, and what an update reports of it: scalars on the device.

    loss: what is minimised, mean over the batch, nats. correct: the number of right answers. hidden: the state after a
    window of text, (B, H); None for images. recorded: the loss to report where that is another (without
    regularisation). count: of the answers, where processes share a batch.
    """

    loss: Tensor
    correct: Tensor
    hidden: Tensor | None = None
    recorded: Tensor | None = None
    count: int = 1

    def reported(self) -> Self:
        """Returns what an update keeps of it: without the graph, whose memory is for the next pass."""
        return StepResult((self.loss if self.recorded is None else self.recorded).detach(), self.correct, self.hidden)


class AverageMeter:
    """An epoch's sums, kept on the device until its end. losses, correct, count: what is known already, a scalar a step
    and the number of images (or words) of all of them."""

    def __init__(self, losses: Iterable[Tensor] = (), correct: Iterable[Tensor] = (), count: int = 0) -> None:
        self.losses, self._correct, self._count = list(losses), list(correct), count

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
