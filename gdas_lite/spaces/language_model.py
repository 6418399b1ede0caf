"""A word language model around a recurrent cell: embedding, dropouts whose masks stay the same in time, tied output.

Source: DARTS paper, appendix A.2.2; quark0/darts, rnn (which follows the AWD-LSTM of Merity et al., 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import call
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runs.schema import Share, check_sizes


@dataclass(frozen=True)
class Dropout:
    """The rates of a recipe of texts, 0 <= rate < 1. Defaults: quark0/darts' search on PTB.

    dropout_output: of the cell's outputs before the output layer. dropout_hidden: of every state before it meets a
    weight matrix. dropout_cell_input: of the cell's input. dropout_embedded_input: of the embedded words. dropout_word:
    of whole rows of the embedding, so that a word that is dropped is dropped wherever it stands.
    """

    dropout_output: Share = 0.75
    dropout_hidden: Share = 0.25
    dropout_cell_input: Share = 0.75
    dropout_embedded_input: Share = 0.2
    dropout_word: Share = 0.0


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


NO_MASKS = Masks()


def draw_masks(rates: Dropout, model: LanguageModel, batch_size: int, generator: torch.Generator) -> Masks:
    """Returns the masks of one sequence. All chance comes from the CPU `generator`, whatever the device."""
    like = model.embedding

    def mask(rate: float, *shape: int) -> Tensor | None:
        if rate == 0:
            return None
        kept = torch.empty(shape, dtype=like.dtype).bernoulli_(1 - rate, generator=generator)
        return kept.div_(1 - rate).to(like.device, non_blocking=True)

    size, hidden = model.embedding_size, model.hidden_size
    return Masks(mask(rates.dropout_word, model.vocabulary, 1), mask(rates.dropout_embedded_input, batch_size, size),
                 mask(rates.dropout_cell_input, batch_size, size), mask(rates.dropout_hidden, batch_size, hidden),
                 mask(rates.dropout_output, batch_size, hidden))


class WordLoss(NamedTuple):
    """loss: mean cross entropy, nats a word. correct: how often no other word was more probable than the target."""

    loss: Tensor
    correct: Tensor


def word_loss(outputs: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor, targets: Tensor) -> WordLoss:
    """Returns the cross entropy of softmax((outputs * mask) @ weight.T + bias), averaged over all words.

    Shapes: outputs (T, B, H), mask (B, H) or None, weight (V, H), bias (V,), targets int64 (T, B).
    """
    logits = F.linear(outputs if mask is None else outputs * mask, weight, bias)        # (T, B, V)
    chosen = logits.gather(-1, targets[..., None])
    return WordLoss(F.cross_entropy(logits.flatten(0, 1), targets.flatten()),
                    (chosen == logits.amax(-1, keepdim=True)).sum())


class LanguageModel(nn.Module):
    """Embedding (V, E), a recurrent cell (in subclasses: `cell`), and the output layer, tied to the embedding.

    vocabulary: V, number of different words. hidden: H. embedding: E, None for H. tied: the output layer is the
    embedding itself and a bias; else it has weights (V, H) of its own. run_cell: calls the cell; an engine puts its own
    function here. Raises ValueError if a size is not positive, or if E differs from H while they are tied.
    """

    run_cell = staticmethod(call)
    word_loss = staticmethod(word_loss)

    def __init__(self, vocabulary: int, hidden: int, embedding: int | None = None, tied: bool = True) -> None:
        super().__init__()
        size = hidden if embedding is None else embedding
        check_sizes(vocabulary=vocabulary, hidden=hidden, embedding=embedding)
        if tied and size != hidden:
            raise ValueError(f"the output layer is tied to the embedding, so their sizes must agree, got "
                             f"embedding={size} and hidden={hidden}; make them equal or say tied=False")
        self.vocabulary, self.hidden_size, self.embedding_size, self.is_tied = vocabulary, hidden, size, tied
        self.embedding = nn.Parameter(torch.empty(vocabulary, size))
        self.output = None if tied else nn.Parameter(torch.empty(vocabulary, hidden))
        self.bias = nn.Parameter(torch.empty(vocabulary))

    def reset_parameters(self, init_range: float = 0.04) -> None:
        """Draws new weights: uniform in +-init_range for all matrices (0.04 in quark0/darts), zero for the bias."""
        for name, param in self.named_parameters():
            nn.init.zeros_(param) if name == "bias" else nn.init.uniform_(param, -init_range, init_range)

    def cell(self, embedded: Tensor, hidden: Tensor, masks: Masks, *arguments: object) -> Tensor:
        """Returns the outputs (T, B, H) for embedded words (T, B, E), from a hidden state (B, H)."""
        raise NotImplementedError

    def start_state(self, batch_size: int) -> Tensor:
        """Returns the hidden state before the first word: zeros, (B, H)."""
        return self.embedding.new_zeros(batch_size, self.hidden_size)

    def states(self, words: Tensor, hidden: Tensor, *arguments: object, masks: Masks = NO_MASKS) -> Tensor:
        """Returns the cell's output after each word, (T, B, H), before output dropout; one goes on with the last.

        words: int64 (T, B). hidden: (B, H). arguments: what the cell takes besides (a supernet: mixtures).
        Raises ValueError if a word's number does not fit the embedding (on a GPU, which cannot be asked without waiting
        for it, the trainings compare the sizes of vocabulary and embedding before they begin).
        """
        try:
            embedded = F.embedding(words, self.embedding)                   # (T, B, E)
        except IndexError:
            raise ValueError(f"the model's embedding has {self.vocabulary:,} words, numbers 0..{self.vocabulary - 1}, "
                             f"but the text holds {int(words.min())}..{int(words.max())}; build the model for the "
                             "vocabulary of this text") from None
        of_words = None if masks.words is None else masks.words[words]      # (T, B, 1)
        for mask in (of_words, masks.embedded_input, masks.cell_input):
            embedded = embedded if mask is None else embedded * mask
        return self.cell(embedded, hidden, masks, *arguments)

    def forward(self, words: Tensor, *arguments: object, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns logits of the next word (T, B, V) and the hidden state after the last one (B, H); no dropout."""
        outputs = self.states(words, self.start_state(words.shape[1]) if hidden is None else hidden, *arguments)
        return F.linear(outputs, self.output_weight, self.bias), outputs[-1]

    def loss(self, outputs: Tensor, targets: Tensor, masks: Masks = NO_MASKS) -> WordLoss:
        """Returns the mean cross entropy (nats a word) of `targets` (T, B) given the cell's outputs (T, B, H), and how
        many of the most probable words were right."""
        return self.word_loss(outputs, masks.output, self.output_weight, self.bias, targets)

    @property
    def output_weight(self) -> Tensor:
        """The weights of the output layer, (V, H)."""
        return self.embedding if self.is_tied else self.output


def temporal_activation(outputs: Tensor) -> Tensor:
    """Returns the mean of (h_{t+1} - h_t)^2 over raw outputs (T, B, H): AWD-LSTM's "TAR". 0 for a single word."""
    return (outputs[1:] - outputs[:-1]).pow(2).mean() if len(outputs) > 1 else outputs.new_zeros(())
