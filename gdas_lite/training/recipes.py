"""How a derived network trains: every hyper-parameter as one value with its source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .schedules import SCHEDULES, Schedule


@dataclass(frozen=True)
class TrainingRecipe:
    """Defaults are NAS-Bench-201's full training (NAS-Bench-201 paper, section 2.3; AutoDL-Projects): 200 epochs.

    epochs: passes over the training images, warm-up included. batch_size: images a step.
    learning_rate, learning_rate_end: SGD, from the one to the other by `schedule`; see schedules.py.
    schedule: "cosine" or "exponential", set once an epoch; "autodl_cosine": with `warm_up_epochs` before it.
    gamma: factor of each epoch in the exponential schedule.
    grad_clip_norm: largest gradient norm, None for no clipping. cutout: side of the erased square, pixels, 0 for none.
    auxiliary_weight: of the auxiliary head's loss, 0 leaves the head out. drop_path: rate that is approached linearly over
        the epochs, 0 <= rate < 1. label_smoothing: share of the target spread over all classes, in training only.
    Crop and flip are the data set's own.
    """

    epochs: int = 200
    batch_size: int = 256
    learning_rate: float = 0.1
    learning_rate_end: float = 0.0
    schedule: Schedule = "cosine"
    warm_up_epochs: int = 0
    gamma: float = 0.97
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    grad_clip_norm: float | None = None
    cutout: int = 0
    auxiliary_weight: float = 0.0
    drop_path: float = 0.0
    label_smoothing: float = 0.0
    name: str = "paper"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise ValueError(f"a training needs epochs >= 1 and batch_size >= 2 (batch norm), got {self.epochs} and "
                             f"{self.batch_size}")
        if not 0 <= self.learning_rate_end <= self.learning_rate:
            raise ValueError(f"the learning rate falls: 0 <= learning_rate_end <= learning_rate, got "
                             f"{self.learning_rate_end} and {self.learning_rate}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if not 0 <= self.warm_up_epochs < self.epochs or (self.warm_up_epochs and self.schedule != "autodl_cosine"):
            raise ValueError(f"warm_up_epochs must be in 0..{self.epochs - 1}, and 0 unless schedule is autodl_cosine, got "
                             f"{self.warm_up_epochs} with schedule {self.schedule!r}")
        for name, share in (("drop_path", self.drop_path), ("label_smoothing", self.label_smoothing)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be in 0 <= {name} < 1, got {share}")
        if self.auxiliary_weight < 0:
            raise ValueError(f"auxiliary_weight must be >= 0, got {self.auxiliary_weight}")


def training_recipe(size: str, space: str, **changes: Any) -> TrainingRecipe:
    """The recipe of a size for the networks of a space.

    NAS-Bench-201: "paper" 200 epochs, "paper-12" 12 epochs (what its cheap baselines look at).
    NASNet: "paper" 600 epochs on CIFAR, "paper-autodl" its cheaper variant with 300, "paper-darts" for DARTS' cells;
    "paper-imagenet", "paper-imagenet-autodl", "paper-imagenet-darts", 250 epochs. These want a network with auxiliary
    head.
    Both: "lesson", minutes on two cores for a small network, and "smoke", seconds.
    changes: fields to replace. Raises ValueError for an unknown size or space.
    """
    makers = {"nasbench201": _nasbench201, "nasnet": _nasnet}
    if space not in makers:
        raise ValueError(f"no training recipe for the space {space!r}")
    recipes = makers[space]()
    if size not in recipes:
        raise ValueError(f"unknown recipe {size!r}; for networks of the space {space} there are {', '.join(recipes)}")
    return replace(recipes[size], **{"name": size, **changes})


def _nasbench201() -> dict[str, TrainingRecipe]:
    paper = TrainingRecipe()
    return {
        "smoke": replace(paper, epochs=2, batch_size=64),
        # Small data sets need small batches to get some steps. Six epochs on purpose: trained to the end on the embedded
        # digits most cells come out alike; stopped early, those that train fast stand out.
        "lesson": replace(paper, epochs=6, batch_size=64),
        "paper-12": replace(paper, epochs=12),
        "paper": paper,
    }


def _nasnet() -> dict[str, TrainingRecipe]:
    """Paper: the original GDAS code (nas-cifar-cos-cut, nas-imagenet-B128), which made the published logs and leaves open
    nothing that the paper's section 4.2 does. Variants: AutoDL-Projects (NAS-CIFAR, NAS-IMAGENET), whose results its
    authors call lower; quark0/darts (train.py, train_imagenet.py), whose rate falls to 0 on CIFAR."""
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
