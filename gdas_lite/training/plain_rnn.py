"""The yardstick of every recurrent cell: h_t = tanh([x_t, h_{t-1}] W), nothing else (Elman, 1990)."""

import math

import torch
from torch import Tensor, nn

from ..spaces.language_model import LanguageModel, Masks


class PlainRNN(LanguageModel):
    """A language model with a tanh cell; dropouts and output layer as those of the searched cells.

    hidden, vocabulary, embedding, tied: see LanguageModel. Weights of the cell: (embedding + H) * H.
    Raises ValueError if a size is not positive, or if embedding differs from H while the output layer is tied to it.
    """

    genotype = None

    def __init__(self, hidden: int = 850, vocabulary: int = 10_000, embedding: int | None = None, tied: bool = True
                 ) -> None:
        super().__init__(vocabulary, hidden, embedding, tied)
        self.weight = nn.Parameter(torch.empty(self.embedding_size + hidden, hidden))
        self.settings = {"hidden": hidden, "vocabulary": vocabulary, "embedding": embedding, "tied": tied}
        self.reset_parameters()

    def cell(self, embedded: Tensor, hidden: Tensor, masks: Masks) -> Tensor:
        size, mask, outputs = self.embedding_size, masks.hidden, []
        for from_word in embedded @ self.weight[:size]:                     # (B, H)
            hidden = torch.addmm(from_word, hidden if mask is None else hidden * mask, self.weight[size:]).tanh()
            outputs.append(hidden)
        return torch.stack(outputs)


def equally_large(parameters: int, vocabulary: int) -> int:
    """Returns the hidden size with which a tied PlainRNN has at most `parameters` weights: 2 H^2 + V H + V.

    Raises ValueError if not even H = 1 is small enough.
    """
    hidden = int((math.sqrt(vocabulary**2 + 8 * max(0, parameters - vocabulary)) - vocabulary) / 4)
    if hidden < 1:
        raise ValueError(f"no RNN with {vocabulary} words has as few as {parameters} weights")
    return hidden
