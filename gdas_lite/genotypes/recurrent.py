"""A recurrent cell as a plain value: one (activation, predecessor) pair a step (DARTS paper, section 3.2)."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from .notation import RECURRENT_ACTIVATIONS, Pair, checked_concat, checked_pair, fields_of, sequence


@dataclass(frozen=True)
class RecurrentGenotype:
    """A recurrent cell: step i makes state i + 1 from an earlier state by one activation.

    Source: DARTS paper, section 3.2. `steps` holds (activation, input state) pairs; state 0 is made of the
    word and the previous hidden state. The cell's output is the mean of the states in `concat`.
    Raises ValueError with one sentence that names the step.
    """

    steps: tuple[Pair, ...]
    concat: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)

    space: ClassVar[str] = "recurrent"

    def __post_init__(self) -> None:
        given = sequence(self.steps, "Recurrent cell", "a list of (activation, input) pairs",
                         "(activation, input) step")
        steps = tuple(checked_pair(step, RECURRENT_ACTIVATIONS, i, f"Recurrent cell, step {i}")
                      for i, step in enumerate(given))
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "concat", checked_concat(self.concat, 1, len(steps), "recurrent cell"))

    def __str__(self) -> str:
        return json.dumps(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns {"space": "recurrent", "steps": [[activation, input], ...], "concat": [states]}."""
        return {"space": self.space, "steps": [list(step) for step in self.steps], "concat": list(self.concat)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Returns the inverse of `to_json`; a "concat" that is left out is (1, 2, ..., 8)."""
        return cls(**fields_of(data, cls.space, required=("steps",), optional=("concat",)))
