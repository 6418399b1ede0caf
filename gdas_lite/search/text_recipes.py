"""How a search on text trains: the recurrent space's protocol.

Source: quark0/darts, rnn/train_search.py, and DARTS paper, appendix A.1.2. The GDAS paper (section 4.3) follows it but
for 200 epochs, batches of 128 and its own sampling; no search code for this space was released, and no temperature
schedule is given: that of its image searches is used. Its text names Adam with a rate of 20 for the weights, which is
surely SGD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..language_model import Dropout
from .recipes import SIZES, SearchRecipe


@dataclass(frozen=True)
class TextSearchRecipe(SearchRecipe):
    """Fields of `SearchRecipe` with this space's values, and those that only text has.

    batch_size: parallel streams of each text. learning_rate: for a window of `bptt` words; a shorter window's is
        proportionally smaller. Constant over the epochs.
    bptt: words of a window. short_window_probability: chance that a train window has half of them.
    dropout_*: see language_model.Dropout. temporal_activation: weight of the mean squared change of the hidden state
        (TAR) in the weight step's loss.
    """

    epochs: int = 50
    batch_size: int = 256
    learning_rate: float = 20.0
    learning_rate_end: float = 20.0
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 5e-7
    grad_clip_norm: float | None = 0.25
    alpha_learning_rate: float = 3e-3
    alpha_betas: tuple[float, float] = (0.9, 0.999)
    update_order: Any = "alpha_first"
    virtual_clip_norm: float | None = 0.25
    virtual_momentum: bool = False
    bptt: int = 35
    short_window_probability: float = 0.05
    dropout_output: float = 0.75
    dropout_hidden: float = 0.25
    dropout_cell_input: float = 0.75
    dropout_embedded_input: float = 0.2
    dropout_word: float = 0.0
    temporal_activation: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bptt < 2:
            raise ValueError(f"bptt must be at least 2 words, got {self.bptt}")
        if self.temporal_activation < 0:
            raise ValueError(f"temporal_activation must be at least 0, got {self.temporal_activation}")
        _ = self.dropout        # checks the rates

    @property
    def dropout(self) -> Dropout:
        """The five rates as one value."""
        return Dropout(self.dropout_output, self.dropout_hidden, self.dropout_cell_input, self.dropout_embedded_input,
                       self.dropout_word)


def text_search_recipe(size: str, algorithm: str, **changes: Any) -> TextSearchRecipe:
    """The recipe of a size for an algorithm. Raises ValueError for an unknown size or algorithm."""
    papers = {"gdas": {"epochs": 200, "batch_size": 128}, "darts-v1": {}, "darts-v2": {}, "random": {}}
    if algorithm not in papers:
        raise ValueError(f"no search recipe for the algorithm {algorithm!r}; there are {', '.join(papers)}")
    # Small texts and small cells need little dropout; a lesson has some 1,000 steps, so alpha takes larger ones.
    small = {"alpha_learning_rate": 0.01, "dropout_output": 0.1, "dropout_hidden": 0.1, "dropout_cell_input": 0.1,
             "dropout_embedded_input": 0.0}
    fields = {"paper": papers[algorithm], "lesson": {"epochs": 12, "batch_size": 64, "bptt": 20} | small,
              "smoke": {"epochs": 2, "batch_size": 256, "bptt": 20} | small}
    if size not in fields:
        raise ValueError(f"unknown recipe {size!r}; there are {', '.join(SIZES)}")
    return TextSearchRecipe(**{"name": size} | fields[size] | changes)
