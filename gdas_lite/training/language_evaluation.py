"""Perplexity of a language model on a text that its training never saw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..data.streams import Streams
from ..evaluating import evaluating
from ..language_model import LanguageModel


@dataclass(frozen=True)
class TextScore:
    """loss: mean cross entropy, nats a predicted word. accuracy: percent of words that were the most probable. count:
    predicted words."""

    loss: float
    accuracy: float
    count: int

    @property
    def perplexity(self) -> float:
        """e^loss; infinite where that is too large a number."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def to_json(self) -> dict[str, float]:
        return {"loss": self.loss, "accuracy": self.accuracy, "count": self.count, "perplexity": self.perplexity}

    @classmethod
    def from_json(cls, data: dict[str, float]) -> TextScore:
        """The inverse of `to_json`."""
        return cls(data["loss"], data["accuracy"], int(data["count"]))


def evaluate_text(model: LanguageModel, text: Streams, bptt: int = 35) -> TextScore:
    """Score of a model on a text, without dropout; the hidden state is carried from window to window.

    The mean is over the predicted words. (quark0/darts divides by the words of the text, one more for each stream, so its
    perplexities are lower by less than a thousandth.) The model is left in the mode it was in.
    """
    device = text.rows.device
    loss, correct, count = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device), 0
    with evaluating(model):
        hidden = model.start_state(text.rows.shape[1])
        for words, targets, _ in text.in_order(bptt):
            outputs = model.states(words, hidden)
            found = model.loss(outputs, targets)
            loss += found.loss * targets.numel()
            correct += found.correct
            count += targets.numel()
            hidden = outputs[-1]
    return TextScore(loss.item() / count, 100 * correct.item() / count, count)
