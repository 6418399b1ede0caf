"""How good a trained network is on images or texts that its training never saw.

Accuracy, top 5 and loss of images; which class is taken for which (an accuracy hides it, above all where classes are of
different size); perplexity of a text.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..data.batches import batches_of
from ..data.images import ImageData, ImageSet
from ..data.photos import StreamedData, StreamedSet
from ..data.text import Streams
from ..runs.device import evaluating
from ..runs.distributed import SINGLE_PROCESS, ProcessGroup
from ..spaces.language_model import LanguageModel

TOP = 5


@dataclass(frozen=True)
class Score:
    """A network's loss (mean cross entropy, nats), accuracy (percent) and the count of images.

    top5: percent of the images whose class is among the five with the largest logits; None where there are no more
    than five classes, or in an older record. ImageNet's top-1 and top-5 errors are 100 - accuracy and 100 - top5.
    """

    loss: float
    accuracy: float
    count: int
    top5: float | None = None

    def to_json(self) -> dict[str, float]:
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: dict[str, float]) -> Self:
        """Returns the inverse of `to_json`."""
        loss = math.nan if data["loss"] is None else data["loss"]
        return cls(loss, data["accuracy"], int(data["count"]), data.get("top5"))


@dataclass(frozen=True)
class TextScore(Score):
    """A model's loss (nats a predicted word), accuracy (percent of words that were the most probable), their count."""

    @property
    def perplexity(self) -> float:
        """The perplexity e^loss; infinite where that is too large a number."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def to_json(self) -> dict[str, float]:
        return super().to_json() | {"perplexity": self.perplexity}


def evaluate(network: nn.Module, images: ImageSet | StreamedSet, data: ImageData | StreamedData, batch_size: int = 256,
             group: ProcessGroup = SINGLE_PROCESS) -> Score:
    """Returns the score of `network` on `images`, not augmented, in evaluation mode; the network's own mode is kept.

    data: whose mean and std normalise. group: processes that take whole batches in turn; the score is that of one
    process, bit for bit. Raises ValueError for an empty set or, streamed, a file that cannot be read.
    """
    first, count = next(network.parameters()), len(images)
    batches = batches_of(images, data, batch_size, device=first.device, shard=group.shard)
    # for each batch: sum of the losses, right answers, right among five; the batches of others stay 0
    sums = torch.zeros(len(batches), 3, dtype=torch.promote_types(first.dtype, torch.float32), device=first.device)
    with evaluating(network):
        for number, x, y in batches.own_batches():
            logits = network(x)
            sums[number, 0] = F.cross_entropy(logits, y, reduction="sum")
            sums[number, 1] = (logits.argmax(-1) == y).sum()
            if data.classes > TOP:
                sums[number, 2] = (logits.topk(TOP).indices == y[:, None]).sum()
    loss, correct, among_five = group.sum(sums).cpu().double().sum(0).tolist()      # Apple's GPUs know no float64
    return Score(loss / count, 100 * correct / count, count, 100 * among_five / count if data.classes > TOP else None)


def confusion(network: nn.Module, images: ImageSet | StreamedSet, data: ImageData | StreamedData, batch_size: int = 256
              ) -> np.ndarray:
    """Returns how often each class (rows) was taken for each (columns): counts (classes, classes).

    As `evaluate`: not augmented, evaluation mode, its own mode is kept; the share on the diagonal is the accuracy.
    Raises ValueError for an empty set or, streamed, a file that cannot be read.
    """
    classes, device = len(data.class_names), next(network.parameters()).device
    counts = torch.zeros(classes * classes, dtype=torch.int64, device="cpu")
    with evaluating(network):
        for _, x, y in batches_of(images, data, batch_size, device=device).own_batches():
            counts += torch.bincount((classes * y + network(x).argmax(-1)).cpu(), minlength=classes * classes)
    return counts.view(classes, classes).numpy()


def evaluate_text(model: LanguageModel, text: Streams, bptt: int = 35) -> TextScore:
    """Returns the score of a model on a text, without dropout; the hidden state is carried from window to window.

    The mean is over the predicted words. (quark0/darts divides by the words of the text, one more for each stream, so
    its perplexities are lower by less than a thousandth.) The model is left in the mode it was in.
    """
    device, count = text.rows.device, 0
    with evaluating(model):
        loss, correct = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)
        hidden = model.start_state(text.rows.shape[1])
        for words, targets, _ in text.in_order(bptt):
            outputs = model.states(words, hidden)
            result = model.loss(outputs, targets)
            loss += result.loss * targets.numel()
            correct += result.correct
            count += targets.numel()
            hidden = outputs[-1]
    return TextScore(loss.item() / count, 100 * correct.item() / count, count)
