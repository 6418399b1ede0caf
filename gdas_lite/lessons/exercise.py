"""An exercise of the course: what it asks, and a check that takes the learner's function and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Function = Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """number: "2.1", notebook and place in it. minutes: what it may take.

    check: called with the learner's function; raises AssertionError with a sentence that teaches.
    solution: passes. wrong: typical mistakes, each with words that the check's sentence holds.
    """

    number: str
    title: str
    minutes: int
    check: Callable[[Function], None]
    solution: Function
    wrong: tuple[tuple[Function, str], ...] = field(default=())

    def verdict(self, function: Function) -> str:
        """One line: right, still open, or what is wrong. Errors of the learner's own code are raised as they are."""
        try:
            self.check(function)
        except NotImplementedError:
            return f"exercise {self.number} is still open"
        except AssertionError as reason:
            return f"exercise {self.number}: not yet. {reason}"
        return f"exercise {self.number}: right"


def number_of(value: Any, what: str) -> float:
    """A learner's result as a float. Raises AssertionError where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise AssertionError(f"{what} should be a number, got {type(value).__name__}") from None


def array_of(value: Any, shape: tuple[int, ...], what: str) -> Any:
    """A learner's result as a detached float64 tensor of `shape`. Raises AssertionError where it is none."""
    import torch

    assert value is not None, f"{what} should be a tensor of shape {shape}, got None: is there a `return`?"
    try:
        result = torch.as_tensor(value).detach().to(torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{what} should be a tensor of shape {shape}, got {type(value).__name__}") from None
    assert tuple(result.shape) == shape, f"{what} should have the shape {shape}, got {tuple(result.shape)}"
    return result
