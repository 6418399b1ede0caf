"""Accuracy of a trained network on images that training never saw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ..data.images import Batches, ImageData, ImageSet


@dataclass(frozen=True)
class Score:
    """loss: mean cross entropy, nats. accuracy: percent. count: number of images."""

    loss: float
    accuracy: float
    count: int

    def to_json(self) -> dict[str, float]:
        return {"loss": self.loss, "accuracy": self.accuracy, "count": self.count}


def evaluate(network: nn.Module, images: ImageSet, data: ImageData, batch_size: int = 256) -> Score:
    """Score of `network` on `images`, not augmented, in evaluation mode; the network is left in the mode it was in.

    data: whose mean and std normalise.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    loss, correct = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)
    try:
        with torch.no_grad():
            for x, y in Batches(images, data, batch_size, augmentation=None, device=device).epoch(shuffle=False):
                logits = network(x)
                loss += F.cross_entropy(logits, y, reduction="sum")
                correct += (logits.argmax(-1) == y).sum()
    finally:
        network.train(was_training)
    return Score(loss.item() / len(images), 100 * correct.item() / len(images), len(images))
