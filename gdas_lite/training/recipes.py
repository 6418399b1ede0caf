"""How a derived network, or a derived recurrent cell, trains: every hyper-parameter as one value with its source."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Any, Literal

from ..data.text import WindowLengths
from ..runs.schedules import Schedule
from ..runs.schema import MOST_BATCH, MOST_BPTT, Epochs, Images, Positive, Range, Rate, Share, check, check_fields
from ..spaces import SPACES
from ..spaces.language_model import Dropout

Streams = Annotated[int, Range(1, MOST_BATCH, whole=True)]


@dataclass(frozen=True)
class TrainingRecipe:
    """How a network of images trains. Defaults: NAS-Bench-201's 200 epochs (its paper, section 2.3; AutoDL-Projects).

    epochs: passes over the training images, warm-up included. batch_size: images a step.
    learning_rate, learning_rate_end: SGD, from the one to the other by `schedule`; see schedules.py.
    schedule: "cosine" or "exponential", set once an epoch; "autodl_cosine": with `warm_up_epochs` before it.
    gamma: factor of each epoch in the exponential schedule.
    grad_clip_norm: largest gradient norm, None for no clipping. cutout: side of the erased square, pixels, 0 for none.
    auxiliary_weight: of the auxiliary head's loss, 0 leaves the head out. drop_path: rate that is approached linearly
        over the epochs, 0 <= rate < 1. label_smoothing: share of the target spread over all classes, in training only.
    restarts: epochs from which on schedule, warm-up and drop path begin anew, as where a training was made longer.
    Crop and flip are the data set's own. Raises ValueError for a value that no training can have.
    """

    epochs: Epochs = 200
    batch_size: Images = 256
    learning_rate: Rate = 0.1
    learning_rate_end: Rate = 0.0
    schedule: Schedule = "cosine"
    warm_up_epochs: Annotated[int, Range(0, whole=True)] = 0
    gamma: Annotated[float, Range(above=0, high=1)] = 0.97
    momentum: Share = 0.9
    nesterov: bool = True
    weight_decay: Rate = 5e-4
    grad_clip_norm: Positive | None = None
    cutout: Annotated[int, Range(0, 10_000, whole=True)] = 0
    auxiliary_weight: Rate = 0.0
    drop_path: Share = 0.0
    label_smoothing: Share = 0.0
    restarts: tuple[Epochs, ...] = field(default=(), metadata={"kept": "if set"})
    name: str = "paper"

    def __post_init__(self) -> None:
        check_fields(self)
        lengths = [after - before for before, after in pairwise((0, *self.restarts, self.epochs))]
        if min(lengths) < 1:
            raise ValueError(f"restarts must rise and lie in 1..{self.epochs - 1}, got {self.restarts}")
        if self.learning_rate_end > self.learning_rate:
            raise ValueError(f"the learning rate falls: 0 <= learning_rate_end <= learning_rate, got "
                             f"{self.learning_rate_end} and {self.learning_rate}")
        if self.warm_up_epochs >= min(lengths) or (self.warm_up_epochs and self.schedule != "autodl_cosine"):
            raise ValueError(f"warm_up_epochs must be in 0..{min(lengths) - 1}, and 0 unless schedule is "
                             f"autodl_cosine, got {self.warm_up_epochs} with schedule {self.schedule!r}")


def training_recipe(size: str, space: str, **changes: Any) -> TrainingRecipe:
    """Returns the recipe of a size for the networks of a space.

    NAS-Bench-201: "paper" 200 epochs, "paper-12" 12 epochs (what its cheap baselines look at).
    NASNet: "paper" 600 epochs on CIFAR, "paper-autodl" its cheaper variant with 300, "paper-darts" for DARTS' cells;
    "paper-imagenet", "paper-imagenet-autodl", "paper-imagenet-darts", 250 epochs. These want an auxiliary head.
    Both: "lesson", minutes on two cores for a small network, and "smoke", seconds. Another space: as NAS-Bench-201.
    changes: fields to replace. Raises ValueError for an unknown size or space, TypeError for an unknown field.
    """
    if space not in SPACES or SPACES[space].data_kind != "images":
        raise ValueError(f"no training recipe for the space {space!r}")
    recipes = _nasnet() if space == "nasnet" else _nasbench201()
    if size not in recipes:
        raise ValueError(f"unknown recipe {size!r}; for networks of the space {space} there are {', '.join(recipes)}")
    return replace(recipes[size], **{"name": size, **changes})


def _nasbench201() -> dict[str, TrainingRecipe]:
    paper = TrainingRecipe()
    return {
        "smoke": replace(paper, epochs=2, batch_size=64),
        # Small data sets need small batches to get some steps. Six epochs on purpose: trained to the end on the digits
        # most cells come out alike; stopped early, those that train fast stand out.
        "lesson": replace(paper, epochs=6, batch_size=64),
        "paper-12": replace(paper, epochs=12),
        "paper": paper,
    }


def _nasnet() -> dict[str, TrainingRecipe]:
    """Paper: the original GDAS code (nas-cifar-cos-cut, nas-imagenet-B128), which made the published logs. Variants:
    AutoDL-Projects (NAS-CIFAR, NAS-IMAGENET), whose results its authors call lower; quark0/darts (train.py,
    train_imagenet.py), whose rate falls to 0 on CIFAR."""
    cifar = TrainingRecipe(
        epochs=600, batch_size=96, learning_rate=0.025, learning_rate_end=1e-4, nesterov=False, weight_decay=3e-4,
        grad_clip_norm=5.0, cutout=16, auxiliary_weight=0.4, drop_path=0.2)
    imagenet = TrainingRecipe(
        epochs=250, batch_size=128, learning_rate=0.1, schedule="exponential", gamma=0.97, weight_decay=3e-5,
        grad_clip_norm=5.0, auxiliary_weight=0.4, label_smoothing=0.1)
    # Small networks on small images have neither an auxiliary head nor weights to spare.
    small = replace(cifar, batch_size=64, cutout=0, auxiliary_weight=0.0)
    return {
        "smoke": replace(small, epochs=2),
        "lesson": replace(small, epochs=20, drop_path=0.0),
        "paper": cifar,
        "paper-autodl": replace(cifar, epochs=300, warm_up_epochs=5, schedule="autodl_cosine", learning_rate_end=0.0,
                                nesterov=True, weight_decay=5e-4, grad_clip_norm=None),
        "paper-darts": replace(cifar, learning_rate_end=0.0),
        "paper-imagenet": imagenet,
        "paper-imagenet-autodl": replace(imagenet, batch_size=256, schedule="autodl_cosine", warm_up_epochs=5,
                                         grad_clip_norm=None),
        "paper-imagenet-darts": replace(imagenet, nesterov=False),
    }


@dataclass(frozen=True)
class LanguageRecipe(Dropout):
    """How a language model trains. Defaults: PTB (quark0/darts, rnn/train.py; DARTS paper, appendix A.2.2), 2,000
    epochs as in the GDAS paper (quark0/darts allows 8,000); as published the cell has 850 units there.

    epochs: passes over the train text. batch_size: parallel streams. bptt and windows: see data.text.WindowLengths.
    learning_rate: SGD without momentum, for a window of `bptt` words; a window's own is proportional to its length.
    init_range: initial weights are uniform in plus minus this. 0.04 suits hundreds of units; with a few dozen, hardly
        anything passes through eight steps at first, and training stands still for epochs.
    averaging_patience: NT-ASGD. When the validation loss is above the lowest of all but the last `averaging_patience`
        epochs, averaging begins: SGD goes on, and what is evaluated is the mean of the weights after every step since.
    averaging_trigger: "gdas" looks at the lowest of all epochs, as GDAS' code does; see language.starts_averaging.
    dropout_*: see language_model.Dropout. temporal_activation: weight of the mean squared change of the hidden state.
    valid_batch, test_batch: streams in evaluation; 1 reads a text as a whole.
    Raises ValueError for a value that no training can have.
    """

    epochs: Epochs = 2000
    batch_size: Streams = 64
    bptt: Annotated[int, Range(1, MOST_BPTT, whole=True)] = 35
    short_window_probability: Annotated[float, Range(0, 1)] = 0.05
    window_jitter: Rate = 5.0
    learning_rate: Positive = 20.0
    weight_decay: Rate = 8e-7
    grad_clip_norm: Positive | None = 0.25
    init_range: Positive = 0.04
    averaging_patience: Annotated[int, Range(1, whole=True)] = 5
    averaging_trigger: Literal["darts", "gdas"] = field(default="darts", metadata={"kept": "if set"})
    dropout_word: Share = 0.1
    temporal_activation: Rate = 1e-3
    valid_batch: Streams = 10
    test_batch: Streams = 1
    name: str = "paper"

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def window_lengths(self) -> WindowLengths:
        """How long a window is."""
        return WindowLengths(self.bptt, self.short_window_probability, self.window_jitter)


def language_recipe(size: str, data: str = "ptb", **changes: Any) -> LanguageRecipe:
    """Returns the recipe of a size ("smoke", "lesson", "paper") for a text, by its name.

    WikiText-2 has other published values than PTB; any other text gets PTB's. changes: fields to replace.
    Raises ValueError for an unknown size or what is no name, TypeError for an unknown field.
    """
    check(data, str, "data")
    paper, data = LanguageRecipe(), data.lower()        # as `load_data` reads a name
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
        raise ValueError(f"unknown recipe {size!r}; there are smoke, lesson, paper")
    return replace(paper, **{"name": size} | recipes[size] | changes)
