"""How a derived recurrent cell trains: every hyper-parameter as one value with its source."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ..data.streams import WindowLengths
from ..language_model import Dropout

SIZES = ("smoke", "lesson", "paper")


@dataclass(frozen=True)
class LanguageRecipe:
    """Defaults are those of PTB (quark0/darts, rnn/train.py; DARTS paper, appendix A.2.2), 2,000 epochs as in the GDAS
    paper (quark0/darts allows 8,000). As published the cell has 850 units there.

    epochs: passes over the train text. batch_size: parallel streams. bptt, short_window_probability, window_jitter: see
        data.streams.WindowLengths.
    learning_rate: SGD without momentum, for a window of `bptt` words; a window's own is proportional to its length.
    init_range: initial weights are uniform in plus minus this. 0.04 suits hundreds of units; with a few dozen, hardly
        anything passes through eight steps at first, and training stands still for epochs.
    averaging_patience: NT-ASGD. When the validation loss is above the lowest of all but the last `averaging_patience`
        epochs, averaging begins: SGD goes on, and what is evaluated is the mean of the weights after every step since.
    averaging_trigger: "gdas" looks at the lowest of all epochs instead, as the GDAS authors' code does; see
        language.starts_averaging.
    dropout_*: see language_model.Dropout. temporal_activation: weight of the mean squared change of the hidden state.
    valid_batch, test_batch: streams in evaluation; 1 reads a text as a whole.
    """

    epochs: int = 2000
    batch_size: int = 64
    bptt: int = 35
    short_window_probability: float = 0.05
    window_jitter: float = 5.0
    learning_rate: float = 20.0
    weight_decay: float = 8e-7
    grad_clip_norm: float | None = 0.25
    init_range: float = 0.04
    averaging_patience: int = 5
    averaging_trigger: Literal["darts", "gdas"] = "darts"
    dropout_output: float = 0.75
    dropout_hidden: float = 0.25
    dropout_cell_input: float = 0.75
    dropout_embedded_input: float = 0.2
    dropout_word: float = 0.1
    temporal_activation: float = 1e-3
    valid_batch: int = 10
    test_batch: int = 1
    name: str = "paper"

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "averaging_patience", "valid_batch", "test_batch"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        if self.averaging_trigger not in ("darts", "gdas"):
            raise ValueError(f"averaging_trigger must be 'darts' or 'gdas', got {self.averaging_trigger!r}")
        if self.init_range <= 0:
            raise ValueError(f"init_range must be > 0, got {self.init_range}")
        if self.learning_rate <= 0 or self.weight_decay < 0 or self.temporal_activation < 0:
            raise ValueError(f"learning_rate must be > 0, weight_decay and temporal_activation at least 0, got "
                             f"{self.learning_rate}, {self.weight_decay} and {self.temporal_activation}")
        if self.grad_clip_norm is not None and self.grad_clip_norm <= 0:
            raise ValueError(f"grad_clip_norm must be > 0, or None for no clipping, got {self.grad_clip_norm}")
        _ = self.dropout, self.window_lengths       # check their own fields

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as run folders hold them: those from before there was an `averaging_trigger` do not name it,
        so DARTS' one is not named."""
        fields = asdict(self)
        return {name: value for name, value in fields.items() if (name, value) != ("averaging_trigger", "darts")}

    @property
    def dropout(self) -> Dropout:
        """The five rates as one value."""
        return Dropout(self.dropout_output, self.dropout_hidden, self.dropout_cell_input, self.dropout_embedded_input,
                       self.dropout_word)

    @property
    def window_lengths(self) -> WindowLengths:
        """How long a window is."""
        return WindowLengths(self.bptt, self.short_window_probability, self.window_jitter)


def language_recipe(size: str, data: str = "ptb", **changes: Any) -> LanguageRecipe:
    """The recipe of a size ("smoke", "lesson", "paper") for a text, by its name.

    WikiText-2 has other published values than PTB; any other text gets PTB's. changes: fields to replace.
    Raises ValueError for an unknown size, TypeError for an unknown field.
    """
    paper = LanguageRecipe()
    if data == "wikitext-2":
        paper = replace(paper, epochs=3000, dropout_hidden=0.15, weight_decay=5e-7)
    # A few epochs with a small cell do not overfit; the strong dropout of the papers would only slow them down. A small
    # vocabulary makes a small model, for which steps of the published length are too long.
    light = {"dropout_output": 0.2, "dropout_hidden": 0.1, "dropout_cell_input": 0.2, "dropout_embedded_input": 0.0,
             "dropout_word": 0.0, "test_batch": 10}
    light |= {"init_range": 0.1} if data in ("ptb", "wikitext-2") else {"init_range": 0.2, "learning_rate": 5.0}
    recipes = {"paper": {}, "lesson": {"epochs": 8, "batch_size": 32} | light,
               "smoke": {"epochs": 2, "batch_size": 128} | light}
    if size not in recipes:
        raise ValueError(f"unknown recipe {size!r}; there are {', '.join(SIZES)}")
    return replace(paper, **{"name": size} | recipes[size] | changes)
