"""Accuracy of a trained network on images that training never saw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ..data.images import ImageData, ImageSet
from ..data.loaders import evaluation_batches
from ..data.streaming import StreamedData, StreamedSet
from ..evaluating import evaluating
from .distributed import ALONE, Team

TOP = 5


@dataclass(frozen=True)
class Score:
    """loss: mean cross entropy, nats. accuracy: percent. count: number of images.

    top5: percent of the images whose class is among the five with the largest logits; None where there are no more
    than five classes, or in a record that is older than this number. ImageNet's results are top-1 and top-5 errors:
    100 - accuracy and 100 - top5.
    """

    loss: float
    accuracy: float
    count: int
    top5: float | None = None

    def to_json(self) -> dict[str, float]:
        numbers = {"loss": self.loss, "accuracy": self.accuracy, "count": self.count}
        return numbers if self.top5 is None else numbers | {"top5": self.top5}


def evaluate(network: nn.Module, images: ImageSet | StreamedSet, data: ImageData | StreamedData, batch_size: int = 256,
             team: Team = ALONE) -> Score:
    """Score of `network` on `images`, not augmented, in evaluation mode; the network's own mode is kept.

    data: whose mean and std normalise. team: processes that take whole batches in turn; the score is that of one
    process, bit for bit. Files that cannot be read are left out, and not counted, where `data` says so.
    """
    device = next(network.parameters()).device
    batches = evaluation_batches(images, data, batch_size, device=device, shard=team.shard)
    # for each batch: sum of the losses, right answers, images, right among five; the batches of others stay 0
    sums = torch.zeros(len(batches), 4, dtype=torch.float64, device=device)
    with evaluating(network):
        for number, x, y in batches.own_batches():
            if len(y):
                logits = network(x)
                sums[number, 0] = F.cross_entropy(logits, y, reduction="sum")
                sums[number, 1] = (logits.argmax(-1) == y).sum()
                if data.classes > TOP:
                    sums[number, 3] = (logits.topk(TOP).indices == y[:, None]).sum()
            sums[number, 2] = len(y)
    loss, correct, count, among_five = team.sum(sums).sum(0).tolist()
    if not count:
        raise ValueError(f"{data.name}: none of the {len(images)} images to evaluate on can be read")
    return Score(loss / count, 100 * correct / count, int(count), 100 * among_five / count if data.classes > TOP else None)
