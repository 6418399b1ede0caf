"""The exercises of the course, by number."""

from ..runs.printing import say
from . import (
    building,
    cells,
    darts_step,
    deriving,
    failing,
    gdas_step,
    gumbel,
    landscape,
    large_runs,
    own_pictures,
    second_order,
    stepping,
    training_recipe,
)
from .exercise import Exercise, Function

EXERCISES: dict[str, Exercise] = {
    exercise.number: exercise
    for module in (cells, gumbel, gdas_step, building, stepping, darts_step, second_order, deriving, training_recipe,
                   landscape, failing, own_pictures, large_runs)
    for exercise in module.EXERCISES}


def check(number: str, function: Function) -> str:
    """Returns what to say to a learner's function: right, still open, or what is wrong.

    Raises KeyError for an unknown exercise, and whatever the learner's own code raises.
    """
    if number not in EXERCISES:
        raise KeyError(f"there is no exercise {number!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[number].verdict(function)


def use(number: str, function: Function | None = None) -> Function:
    """Returns the learner's function if it is right and can run in the cells that follow, else the solution.

    Prints which of them goes on. function: None for the solution, where another notebook asked. Raises KeyError for an
    unknown exercise.
    """
    solution, reason = EXERCISES[number].solution, ""
    is_right = function is not None and function is not solution and check(number, function).endswith(": right")
    if is_right and (misfit := EXERCISES[number].misfit(function)):
        reason = f"your function is right, but {misfit}; "
    is_used = is_right and not reason
    say(f"exercise {number}: {reason}from here on {'your function' if is_used else 'the solution'} runs")
    return function if is_used else solution
