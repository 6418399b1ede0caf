"""Every exercise: its solution passes, its stub does not, each typical mistake gets its sentence, the notebook shows it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gdas_lite.lessons import EXERCISES, check

SOURCES = {path.name.split("_")[0].lstrip("0"): path.read_text(encoding="utf-8")
           for path in (Path(__file__).resolve().parents[2] / "notebooks" / "src").glob("*.py")}
NUMBERS = tuple(EXERCISES)
MISTAKES = [(number, function, words) for number, exercise in EXERCISES.items() for function, words in exercise.wrong]


def stub(*arguments):
    raise NotImplementedError("still to be written")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_solution_is_right(number):
    assert check(number, EXERCISES[number].solution) == f"exercise {number}: right"


@pytest.mark.parametrize("number", NUMBERS)
def test_the_stub_is_open(number):
    assert check(number, stub) == f"exercise {number} is still open"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_function_without_return_is_told_so(number):
    verdict = check(number, lambda *arguments: None)
    assert verdict.startswith(f"exercise {number}: not yet.")


@pytest.mark.parametrize(("number", "function", "words"), MISTAKES, ids=[f"{n}-{f.__name__}" for n, f, _ in MISTAKES])
def test_a_typical_mistake_gets_a_sentence_that_helps(number, function, words):
    verdict = check(number, function)
    assert verdict.startswith(f"exercise {number}: not yet.")
    assert words in verdict


@pytest.mark.parametrize("number", NUMBERS)
def test_each_exercise_has_a_typical_mistake(number):
    assert EXERCISES[number].wrong


def text_of(function) -> str:
    """Source without annotations of types, so that the lesson's form and the library's can be compared."""
    source = inspect.getsource(function)
    source = re.sub(r":\s*(Tensor|float|int|str|AlphaGradient|(?:tuple|list)\[[^\]]*\])(?=[,)])", "", source)
    source = re.sub(r"\s*->[^:]*:", ":", source)
    return re.sub(r"\s+", " ", source).strip()


@pytest.mark.parametrize("number", [n for n in NUMBERS if n.split(".")[0] in SOURCES])
def test_the_notebook_asks_it_checks_it_and_folds_its_solution_away(number):
    text = SOURCES[number.split(".")[0]]
    exercise = EXERCISES[number]
    assert f"## Exercise {number}: {exercise.title}" in text
    assert f"{exercise.minutes} minutes" in text
    assert f'raise NotImplementedError("exercise {number}")' in text
    assert f'check("{number}", {exercise.solution.__name__})' in text
    folded = re.sub(r"\s+", " ", re.sub(r"^# ?", "", text, flags=re.MULTILINE))
    assert text_of(exercise.solution) in folded


def test_an_unknown_exercise_is_refused():
    with pytest.raises(KeyError, match="no exercise '9.9'"):
        check("9.9", stub)
