"""How a derived network trains: every hyper-parameter as one value with its source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

SIZES = ("smoke", "lesson", "paper-12", "paper")


@dataclass(frozen=True)
class TrainingRecipe:
    """Defaults are NAS-Bench-201's full training (NAS-Bench-201 paper, section 2.3; AutoDL-Projects): 200 epochs.

    epochs: passes over the training images. batch_size: images a step.
    learning_rate, learning_rate_end: SGD, cosine, set once an epoch; the end value itself is never reached.
    grad_clip_norm: largest gradient norm, None for no clipping. cutout: side of the erased square, pixels, 0 for none.
    Crop and flip are the data set's own.
    """

    epochs: int = 200
    batch_size: int = 256
    learning_rate: float = 0.1
    learning_rate_end: float = 0.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    grad_clip_norm: float | None = None
    cutout: int = 0
    name: str = "paper"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise ValueError(f"a training needs epochs >= 1 and batch_size >= 2 (batch norm), got {self.epochs} and "
                             f"{self.batch_size}")
        if not 0 <= self.learning_rate_end <= self.learning_rate:
            raise ValueError(f"the learning rate falls: 0 <= learning_rate_end <= learning_rate, got "
                             f"{self.learning_rate_end} and {self.learning_rate}")


def training_recipe(size: str, space: str, **changes: Any) -> TrainingRecipe:
    """The recipe of a size for the networks of a space.

    "paper": 200 epochs, "paper-12": 12 epochs (what NAS-Bench-201's cheap baselines look at), "lesson": minutes on two
    cores, "smoke": seconds. changes: fields to replace. Raises ValueError for an unknown size or space.
    """
    if size not in SIZES:
        raise ValueError(f"unknown recipe {size!r}; there are {', '.join(SIZES)}")
    if space != "nasbench201":
        raise ValueError(f"no training recipe for the space {space!r}")
    paper = TrainingRecipe()
    recipes = {
        "paper": paper,
        "paper-12": replace(paper, epochs=12, name="paper-12"),
        # Small data sets need small batches: as many steps as possible in the time of a lesson.
        "lesson": replace(paper, epochs=20, batch_size=64, name="lesson"),
        "smoke": replace(paper, epochs=2, batch_size=64, name="smoke"),
    }
    return replace(recipes[size], **changes)
