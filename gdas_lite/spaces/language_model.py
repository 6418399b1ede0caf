"""A word language model around a recurrent cell: embedding, dropouts whose masks stay the same in time, tied output.

Source: DARTS paper, appendix A.2.2; quark0/darts, rnn (which follows the AWD-LSTM of Merity et al., 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..engines.layers.word_loss import WordLoss, dropped_word_loss, word_loss
from ..runs.schema import check_sizes

INIT_RANGE = 0.04
MOSTLY_DROPPED = 0.5    # share of kept units below which it pays to leave the others out


@dataclass(frozen=True)
class Dropout:
    """Rates, 0 <= rate < 1. Defaults: quark0/darts' search on PTB.

    output: of the cell's outputs before the output layer. hidden: of every state before it meets a weight matrix.
    cell_input: of the cell's input. embedded_input: of the embedded words. word: of whole rows of the embedding, so that
    a word that is dropped is dropped wherever it stands.
    """

    output: float = 0.75
    hidden: float = 0.25
    cell_input: float = 0.75
    embedded_input: float = 0.2
    word: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) < 1:
                raise ValueError(f"dropout {field.name} must be in 0 <= rate < 1, got {getattr(self, field.name)}")


NO_DROPOUT = Dropout(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Masks:
    """One sequence's masks: entries 0 or 1 / (1 - rate), the same at every word; None where nothing is dropped.

    words: (V, 1). embedded_input, cell_input: (B, E). hidden, output: (B, H).
    """

    words: Tensor | None = None
    embedded_input: Tensor | None = None
    cell_input: Tensor | None = None
    hidden: Tensor | None = None
    output: Tensor | None = None


def draw_masks(rates: Dropout, model: LanguageModel, batch_size: int, generator: torch.Generator) -> Masks:
    """The masks of one sequence. All chance comes from the CPU `generator`, so a seed means the same on every device."""
    like = model.embedding

    def mask(rate: float, *shape: int) -> Tensor | None:
        if rate == 0:
            return None
        kept = torch.empty(shape, dtype=like.dtype).bernoulli_(1 - rate, generator=generator)
        return kept.div_(1 - rate).to(like.device, non_blocking=True)

    size, hidden = model.embedding_size, model.hidden_size
    return Masks(mask(rates.word, model.vocabulary, 1), mask(rates.embedded_input, batch_size, size),
                 mask(rates.cell_input, batch_size, size), mask(rates.hidden, batch_size, hidden),
                 mask(rates.output, batch_size, hidden))


class LanguageModel(nn.Module):
    """Embedding (V, E), a recurrent cell (in subclasses: `cell`), and the output layer, tied to the embedding.

    vocabulary: V, number of different words. hidden: H. embedding: E, None for H. tied: the output layer is the
    embedding itself and a bias; else it has weights (V, H) of its own.
    Raises ValueError if a size is not positive, or if E differs from H while they are tied.
    """

    def __init__(self, vocabulary: int, hidden: int, embedding: int | None = None, tied: bool = True) -> None:
        super().__init__()
        size = hidden if embedding is None else embedding
        check_sizes(vocabulary=vocabulary, hidden=hidden, embedding=embedding)
        if vocabulary < 2 or hidden < 1 or size < 1:
            raise ValueError(f"a language model needs a vocabulary of at least 2 words and sizes of at least 1, got "
                             f"vocabulary={vocabulary}, hidden={hidden}, embedding={size}")
        if tied and size != hidden:
            raise ValueError(f"the output layer is tied to the embedding, so their sizes must agree, got embedding={size} "
                             f"and hidden={hidden}; make them equal or say tied=False")
        self.vocabulary, self.hidden_size, self.embedding_size, self.is_tied = vocabulary, hidden, size, tied
        self.embedding = nn.Parameter(torch.empty(vocabulary, size))
        self.output = None if tied else nn.Parameter(torch.empty(vocabulary, hidden))
        self.bias = nn.Parameter(torch.empty(vocabulary))

    def reset_parameters(self, init_range: float = INIT_RANGE) -> None:
        """Draw new weights: uniform in +-init_range for all matrices (0.04 in quark0/darts), zero for the bias."""
        for name, param in self.named_parameters():
            nn.init.zeros_(param) if name == "bias" else nn.init.uniform_(param, -init_range, init_range)

    def cell(self, embedded: Tensor, hidden: Tensor, masks: Masks | None, *arguments: object) -> Tensor:
        """Outputs (T, B, H) for embedded words (T, B, E) from hidden state (B, H)."""
        raise NotImplementedError

    def start_state(self, batch_size: int) -> Tensor:
        """The hidden state before the first word: zeros, (B, H)."""
        return self.embedding.new_zeros(batch_size, self.hidden_size)

    def states(self, words: Tensor, hidden: Tensor, *arguments: object, masks: Masks | None = None) -> Tensor:
        """Outputs of the cell after each word, (T, B, H), before output dropout; the last is the state to go on with.

        words: int64 (T, B). hidden: (B, H). arguments: what the cell takes besides (a supernet: mixtures).
        Raises ValueError if a word's number does not fit the embedding. (A GPU cannot be asked without waiting for it; there
        the trainings compare the sizes of vocabulary and embedding before they begin.)
        """
        try:
            embedded = F.embedding(words, self.embedding)                   # (T, B, E)
        except IndexError:
            raise ValueError(f"the model's embedding has {self.vocabulary:,} words, numbers 0..{self.vocabulary - 1}, but the "
                             f"text holds {int(words.min())}..{int(words.max())}; build the model for the vocabulary of this "
                             "text") from None
        if masks is not None:
            if masks.words is not None:
                embedded = embedded * masks.words[words]
            for mask in (masks.embedded_input, masks.cell_input):
                embedded = embedded if mask is None else embedded * mask
        return self.cell(embedded, hidden, masks, *arguments)

    def forward(self, words: Tensor, *arguments: object, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits of the next word (T, B, V) and the hidden state after the last one (B, H); no dropout."""
        outputs = self.states(words, self.start_state(words.shape[1]) if hidden is None else hidden, *arguments)
        return F.linear(outputs, self.output_weight, self.bias), outputs[-1]

    def loss(self, outputs: Tensor, targets: Tensor, masks: Masks | None = None) -> WordLoss:
        """Mean cross entropy (nats a word) of `targets` (T, B) given the cell's outputs (T, B, H), and how many of the
        most probable words were right."""
        mask = None if masks is None else masks.output
        if mask is not None:
            if mask.device.type == "cpu" and mask.count_nonzero() < MOSTLY_DROPPED * mask.numel():
                return dropped_word_loss(outputs, mask, self.output_weight, self.bias, targets)
            outputs = outputs * mask
        return word_loss(outputs.flatten(0, 1), self.output_weight, self.bias, targets.flatten())

    @property
    def output_weight(self) -> Tensor:
        """Weights of the output layer, (V, H)."""
        return self.embedding if self.is_tied else self.output


def temporal_activation(outputs: Tensor) -> Tensor:
    """Mean of (h_{t+1} - h_t)^2 over the raw outputs (T, B, H): slowness, AWD-LSTM's "TAR". 0 for a single word."""
    return (outputs[1:] - outputs[:-1]).pow(2).mean() if len(outputs) > 1 else outputs.new_zeros(())
