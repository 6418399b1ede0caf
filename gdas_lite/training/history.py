"""What a training leaves behind: one record an epoch."""

import json
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from ..runs.schema import check, declared, said
from ..runs.shapes import COUNT, TRAINING_EPOCH


@dataclass
class TrainingRecord:
    """One epoch of a training.

    Losses in nats, accuracies in percent; train_*: in training mode, while the weights move. evaluation: by name of the
    set {"loss", "accuracy", "count"}, with more than five classes "top5"; empty in epochs without evaluation. seconds:
    time spent in the epoch's steps. processes: how many trained together.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    seconds: float
    images_per_second: float
    evaluation: dict[str, dict[str, float]] = field(default_factory=dict)
    processes: int = 1

    def to_json(self) -> dict[str, Any]:
        """Returns plain numbers; NaN and infinity become null."""
        return json.loads(json.dumps(vars(self)), parse_constant=lambda _: None)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Returns the inverse of `to_json`. Raises ValueError, naming the field, if one lacks, is unknown or wrong."""
        check(data, dict, "history record")
        names = {field.name for field in fields(cls)}
        if unknown := data.keys() - names:
            raise ValueError(f"history: unknown field {said(sorted(unknown)[0])}: not a record of this version")
        own = {f"{name}?": bool if declared(cls)[name] is bool else COUNT
               for name in names - TrainingRecord.__annotations__.keys()}
        check(data, TRAINING_EPOCH | own, f"history, epoch {said(data.get('epoch'))}")
        return cls(**data)


class TrainingHistory(list[TrainingRecord]):
    """The records of a training in order."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return TrainingHistory(found) if isinstance(index, slice) else found

    def column(self, name: str) -> np.ndarray:
        """Returns one number an epoch, (epochs,). name: a field, or "test accuracy" and the like for an evaluation set.

        Epochs without that evaluation give NaN. Raises KeyError for an unknown name.
        """
        if name in TrainingRecord.__annotations__ and name != "evaluation":
            return np.array([getattr(record, name) for record in self], dtype=float)
        part, _, measure = name.rpartition(" ")
        if not any(measure in record.evaluation.get(part, {}) for record in self):
            raise KeyError(f"no column {name!r} in a training history")
        return np.array([record.evaluation.get(part, {}).get(measure, np.nan) for record in self], dtype=float)
