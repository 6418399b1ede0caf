"""The exercises of the course. A notebook imports `check` and says `print(check("2.1", my_function))`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from ..runs.printing import say

if TYPE_CHECKING:
    from .exercise import Exercise, Function

_MODULES = ("cells", "gumbel", "gdas_step", "building", "stepping", "darts_step", "second_order", "deriving",
            "training_recipe", "landscape", "failing", "own_pictures", "large_runs")


@cache
def _exercises() -> dict[str, Exercise]:
    """By number. Their modules need PyTorch and come late, because `recorded` beside them is opened without it."""
    modules = (import_module(f".{name}", __package__) for name in _MODULES)
    return {exercise.number: exercise for module in modules for exercise in module.EXERCISES}


def __getattr__(name: str) -> dict[str, Exercise]:
    if name != "EXERCISES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _exercises()


def check(number: str, function: Function) -> str:
    """Returns what to say to a learner's function: right, still open, or what is wrong.

    Raises KeyError for an unknown exercise, and whatever the learner's own code raises.
    """
    if number not in _exercises():
        raise KeyError(f"there is no exercise {number!r}; there are {', '.join(_exercises())}")
    return _exercises()[number].verdict(function)


def use(number: str, function: Function | None = None) -> Function:
    """Returns the learner's function if it is right, else the solution, and prints which of them goes on.

    function: None for the solution, where another notebook asked. Raises KeyError for an unknown exercise.
    """
    is_right = function is not None and check(number, function).endswith(": right")
    say(f"exercise {number}: from here on {'your function' if is_right else 'the solution'} runs")
    return function if is_right else _exercises()[number].solution
