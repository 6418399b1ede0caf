"""Every exercise: right answers pass however they are written, wrong ones get a sentence, errors stay the learner's own."""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import random
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from gdas_lite.lessons import EXERCISES, check, use
from gdas_lite.lessons.exercise import Exercise
from tests.lessons import (  # noqa: F401  they add
    answers_built,
    answers_fifth,
    answers_fourth,
    answers_hostile,
    answers_hostile_built,
    answers_mutants,
    answers_third,
)
from tests.lessons.answers import RIGHT, WRONG
from tests.lessons.answers_built import both, looped

SOURCES = {path.name.split("_")[0].lstrip("0") or "0": path.read_text(encoding="utf-8")
           for path in (Path(__file__).resolve().parents[2] / "notebooks" / "src").glob("*.py")}
NUMBERS = tuple(EXERCISES)
ALL_WRONG = [(number, function, words) for number in WRONG for function, words in WRONG[number]]
ALL_RIGHT = [(number, function) for number in RIGHT for function in RIGHT[number]]
KNOWN = [(number, *mistake) for number, exercise in EXERCISES.items() for mistake in exercise.mistakes]


def names(cases):
    return [f"{number}-line{function.__code__.co_firstlineno if hasattr(function, '__code__') else type(function)}"
            for number, function, *_ in cases]


def stub_of(number):
    def stub(*arguments):
        raise NotImplementedError(f"exercise {number}")
    return stub


@pytest.mark.parametrize("number", NUMBERS)
def test_the_solution_is_right_also_after_wrong_answers(number):
    for function, _ in WRONG[number]:
        check(number, function)
    assert check(number, EXERCISES[number].solution) == f"exercise {number}: right"


@pytest.mark.parametrize("number", NUMBERS)
def test_there_are_answers_of_both_kinds(number):
    assert len(WRONG[number]) >= 3 and len(RIGHT[number]) >= 3


@pytest.mark.filterwarnings("ignore")              # of what learners use
@pytest.mark.parametrize(("number", "function"), ALL_RIGHT, ids=names(ALL_RIGHT))
def test_a_right_answer_is_right_however_it_is_written(number, function):
    assert check(number, function) == f"exercise {number}: right"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("number", "function", "words"), ALL_WRONG, ids=names(ALL_WRONG))
def test_a_wrong_answer_gets_a_sentence_that_helps(number, function, words):
    verdict = check(number, function)
    assert verdict.startswith(f"exercise {number}: not yet. ") and "\n" not in verdict
    assert words in verdict


@pytest.mark.parametrize(("number", "function", "sentence"), KNOWN, ids=names(KNOWN))
def test_a_known_mistake_gets_its_own_sentence(number, function, sentence):
    verdict = check(number, function)
    assert sentence in verdict or "should be" in verdict or "should hold" in verdict


# --- what is said of functions that are no answer ---

@pytest.mark.parametrize("number", NUMBERS)
def test_only_its_own_stub_is_open(number):
    assert check(number, stub_of(number)) == f"exercise {number} is still open"
    with pytest.raises(NotImplementedError, match="of another"):
        check(number, lambda *arguments: stub_of(f"{number}0 of another")())


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("error", [NotImplementedError(), AssertionError("mine"), RuntimeError("mine")], ids=repr)
def test_the_learners_own_errors_are_shown_with_their_traceback(number, error):
    def answer(*arguments):
        raise error

    with pytest.raises(type(error)) as raised:
        check(number, answer)
    assert raised.value is error and raised.traceback[-1].name == "answer"


def test_pytorchs_own_not_implemented_error_is_no_stub():
    def double_loop(h_gradient, p, tau):
        return torch.stack([sum(h_gradient[k] * p[k] * (k == m).__rsub__(p[m]) for k in range(5)) / tau for m in range(5)])

    def softmax_of_bool(alpha, outputs):
        return (alpha > 0).softmax(-1) @ outputs

    for number, function in (("2.2", double_loop), ("4.1", softmax_of_bool)):
        with pytest.raises((NotImplementedError, TypeError, AttributeError, RuntimeError)):
            check(number, function)


@pytest.mark.parametrize("number", NUMBERS)
def test_no_return_no_function_and_other_arguments_get_a_sentence(number):
    assert "return" in check(number, lambda *arguments: None)
    assert "hand over the function itself" in check(number, 3)
    assert "is called with" in check(number, lambda: 3)


NO_ANSWERS = ["3", {}, [], [None], torch.zeros(0), float("nan"), print, 1j, [[1], [2, 3]], range(0)]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("value", NO_ANSWERS, ids=repr)
def test_any_value_that_is_no_answer_gets_a_sentence(number, value):
    assert check(number, lambda *arguments: value).startswith(f"exercise {number}: not yet. ")


async def later(found):
    return found


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("number", NUMBERS)
def test_a_right_value_in_a_list_of_one_in_a_generator_or_later_is_no_answer(number):
    """The sentence speaks of what was handed over, also where more than the value is compared."""
    solution, what = EXERCISES[number].solution, {"8.2": "the child"}.get(number, EXERCISES[number].what.removesuffix(","))
    for kind, wrap in (("list", lambda found: [found]), ("generator", lambda found: (found for _ in range(1))),
                       ("coroutine", later)):
        verdict = check(number, lambda *inputs, wrap=wrap: wrap(solution(*inputs)))
        assert verdict.startswith(f"exercise {number}: not yet. {what}")
        assert kind == "list" or verdict.endswith(f"got {kind}")


def test_an_answer_of_one_precision_is_tried_in_that():
    def mixes(alpha, outputs):
        return torch.eye(len(alpha)) @ alpha.softmax(-1) @ outputs         # float32 only

    def never(alpha, outputs):
        return torch.eye(len(alpha)).half() @ alpha @ outputs

    assert check("4.1", mixes) == "exercise 4.1: right"
    with pytest.raises(RuntimeError, match="dtype|scalar type"):
        check("4.1", never)


def test_every_call_gets_fresh_copies_and_each_kind_of_input_is_compared():
    seen = []

    def spoils(numbers, array, tensor, text):
        seen.append((list(numbers), array.tolist(), tensor.tolist(), text))
        {"list": lambda: numbers.append(1), "array": lambda: array.__isub__(1), "tensor": lambda: tensor.zero_(),
         "nothing": lambda: None}[kind]()
        return 1.0

    exercise = Exercise("0.0", "", 1, lambda numbers, array, tensor, text: 1.0,
                        trials=lambda rng: [([1, 2], np.ones(2), torch.ones(2), "a")] * 2)
    for spoilt, name in (("list", "numbers"), ("array", "array"), ("tensor", "tensor")):
        kind = spoilt
        assert f"has changed its input `{name}`" in exercise.verdict(spoils)
    kind = "nothing"
    assert exercise.verdict(spoils) == "exercise 0.0: right"
    assert all(inputs == ([1, 2], [1, 1], [1, 1], "a") for inputs in seen)


def test_a_check_leaves_what_all_code_shares_as_it_was():
    def meddles(epoch, epochs):
        torch.manual_seed(epoch)
        np.random.seed(epoch)                       # noqa: NPY002
        np.seterr(all="raise")
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return 10 - 9.9 * epoch / (epochs - 1)

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), np.geterr()   # noqa: NPY002
    for _ in range(2):
        assert "for all code that follows" in check("3.1", meddles)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), np.geterr())  # noqa: NPY002
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("number", NUMBERS)
def test_a_check_does_not_mind_what_a_notebook_has_set(number):
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")                # as "cuda", where the inputs are on the CPU
    errors = np.seterr(all="raise")
    try:
        assert check(number, EXERCISES[number].solution) == f"exercise {number}: right"
    finally:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        np.seterr(**errors)


def test_only_the_first_lines_that_a_function_prints_are_shown(capsys):
    def talks(epoch, epochs):
        print("epoch", epoch)
        print("of", epochs)
        return 10 - 9.9 * epoch / (epochs - 1)

    assert check("3.1", talks) == "exercise 3.1: right"
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["epoch 0", "of 2"] and len(printed) == 41
    assert re.fullmatch(r"... and \d+ more lines that your function printed", printed[-1])


def test_an_error_of_the_learners_comes_with_the_inputs():
    with pytest.raises(ZeroDivisionError) as raised:
        check("3.1", lambda epoch, epochs: 1 / epoch)
    assert raised.value.__notes__ == ["Exercise 3.1 called your function for epoch = 0, epochs = 2."]
    assert "x = numbers of shape (2, 6, 3), y" in check("4.5", lambda train_loss, weights, alpha, u: 0 * alpha)


def test_a_function_that_keeps_something_from_call_to_call_is_found():
    calls = itertools.count()
    assert "a second call" in check("3.1", lambda epoch, epochs: 10 - 9.9 * (epoch + next(calls) % 2) / (epochs - 1))
    assert "does your function read its arguments?" in check("2.2", lambda h_gradient, p, tau: torch.zeros(5))


def test_an_unknown_exercise_is_refused():
    with pytest.raises(KeyError, match="no exercise '9.9'"):
        check("9.9", print)


# --- the solutions against independent slow versions ---

def test_tau_of_a_search_of_one_epoch():
    assert EXERCISES["3.1"].solution(0, 1) == 10


def test_the_gradients_are_those_of_autograd():
    alpha = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = torch.arange(5.0, dtype=torch.float64) - 1.5
    p = (alpha / 0.7).softmax(-1)
    wanted, = torch.autograd.grad(p, alpha, gradient)
    torch.testing.assert_close(EXERCISES["2.2"].solution(gradient, p.detach(), 0.7), wanted)
    wanted, = torch.autograd.grad(alpha.softmax(-1) @ gradient, alpha)
    torch.testing.assert_close(EXERCISES["2.3"].solution(gradient, alpha.detach()), wanted)


def test_the_best_of_k_is_the_mean_over_all_draws():
    valid, test = np.array([2.0, 5.0, 5.0, 1.0]), np.array([30.0, 10.0, 20.0, 40.0])
    draws = list(itertools.product(range(4), repeat=3))
    winners = [[test[i] for i in draw if valid[i] == max(valid[list(draw)])] for draw in draws]
    assert math.isclose(EXERCISES["8.1"].solution(valid, test, 3), np.mean([np.mean(group) for group in winners]))


# --- the notebooks ---

def text_of(function) -> str:
    """Source without annotations and docstring, so that the lesson's form and the library's can be compared."""
    source = inspect.getsource(function).replace(f'    """{function.__doc__}"""\n', "")
    source = re.sub(r":\s*(Tensor|float|int|str|AlphaGradient|(?:Sequence|tuple|list)\[[^\]]*\])(?=[,)])", "", source)
    source = re.sub(r"\s*->[^:]*:", ":", source)
    return re.sub(r"\s+", " ", source).strip()


@pytest.mark.parametrize("number", NUMBERS)
def test_the_notebook_asks_it_checks_it_and_folds_its_solution_away(number):
    text = SOURCES[number.split(".")[0]]
    exercise = EXERCISES[number]
    assert f"## Exercise {number}: {exercise.title}" in text
    assert f"{exercise.minutes} minutes" in text
    assert f'raise NotImplementedError("exercise {number}")' in text
    assert f'check("{number}", {exercise.solution.__name__})' in text
    folded = re.sub(r"\s+", " ", re.sub(r"^# ?", "", text, flags=re.MULTILINE))
    assert text_of(exercise.solution) in folded


def test_every_exercise_of_a_notebook_is_checked_here():
    asked = {number for text in SOURCES.values() for number in re.findall(r"^# ## Exercise (\d+\.\d+)", text, re.MULTILINE)}
    assert asked == set(NUMBERS)


@pytest.mark.parametrize("number", sorted(SOURCES, key=int))
def test_folded_code_is_code(number):
    """A text that was wrapped anew once took the lines of a solution for a paragraph."""
    for block in re.findall(r"^# ```python\n(.*?)^# ```", SOURCES[number], re.MULTILINE | re.DOTALL):
        compile(re.sub(r"^# ?", "", block, flags=re.MULTILINE), number, "exec")


def test_there_are_thirty_exercises_and_ten_that_take_ten_minutes():
    assert len(EXERCISES) >= 30
    assert sum(exercise.minutes >= 10 for exercise in EXERCISES.values()) >= 10


def test_the_names_of_the_notebooks_are_the_spaces_own():
    import gdas_lite as gl
    from gdas_lite.lessons.deriving import CANDIDATES, NAMES

    assert gl.NASNet().labels["normal"].candidates == NAMES
    assert gl.Recurrent(hidden=4).labels["recurrent"].candidates == CANDIDATES


def test_the_lesson_goes_on_with_the_learners_function_if_it_is_right(capsys):
    mine = RIGHT["3.1"][0]
    assert use("3.1", mine) is mine
    assert use("3.1", WRONG["3.1"][0][0]) is use("3.1", stub_of("3.1")) is EXERCISES["3.1"].solution
    assert capsys.readouterr().out.split("\n")[:2] == ["exercise 3.1: from here on your function runs",
                                                       "exercise 3.1: from here on the solution runs"]


@pytest.mark.parametrize(("number", "function", "words"), [
    ("3.8", looped(both, keep=lambda alpha: alpha.detach().numpy().copy()), "a ndarray and no Tensor"),
    ("4.1", lambda alpha, outputs: np.exp(alpha.numpy()) @ outputs.numpy() / np.exp(alpha.numpy()).sum(), "RuntimeError"),
    ("4.1", lambda alpha, outputs: (alpha.softmax(0) @ outputs).tolist(), "a list and no Tensor"),
    ("4.1", lambda alpha, outputs: (alpha.softmax(0) @ outputs).detach(), "passes no gradient on"),
    ("4.2", lambda w, g, v, rate, m, decay: (w - rate * (m * v + g + decay * w)).float(), "float32 for torch.float64"),
    ("3.1", lambda epoch, epochs: Fraction(100 * (epochs - 1) - 99 * epoch, 10 * (epochs - 1)), "no plain number"),
])
def test_a_right_function_that_cannot_run_in_the_lesson_leaves_it_to_the_solution(number, function, words, capsys):
    assert check(number, function) == f"exercise {number}: right"
    assert use(number, function) is EXERCISES[number].solution
    said = capsys.readouterr().out
    assert words in said and "from here on the solution runs" in said


@pytest.mark.parametrize(("number", "function"), [
    ("3.8", looped(both, keep=copy.deepcopy)),              # of a leaf, as alpha is one in the lesson
    ("5.1", lambda alpha: EXERCISES["5.1"].solution(torch.tensor(alpha.numpy()))),
    ("7.2", lambda alpha: EXERCISES["7.2"].solution(torch.tensor(alpha.numpy()))),
])
def test_gradients_are_asked_for_only_where_the_solution_passes_them_on(number, function):
    assert use(number, function) is function


def test_a_name_that_now_holds_something_else_leaves_it_to_the_solution():
    for value in (np.ones(2), torch.ones(2), [1], "difference", 0):
        assert use("6.3", value) is EXERCISES["6.3"].solution


@pytest.mark.parametrize("number", NUMBERS)
def test_the_solutions_themselves_can_run_in_the_lesson(number):
    assert EXERCISES[number].misfit(EXERCISES[number].solution) is None


def test_the_cell_of_the_exercise_is_the_supernets():
    import gdas_lite as gl
    from gdas_lite.lessons.building import EDGES
    from gdas_lite.relaxation import gumbel_mixture

    assert gl.NASBench201.labels["cell"].edges == EDGES
    cell = gl.NASBench201(channels=4, cells_per_stage=1).supernet(10, 1).stages[0][0]
    operations = [[torch.zeros_like, *row[1:]] for row in cell.edges]
    x, generator = torch.randn(2, 4, 8, 8), torch.Generator().manual_seed(0)
    for _ in range(5):
        mixture = gumbel_mixture(torch.zeros(6, 5), 1.0, generator)
        torch.testing.assert_close(EXERCISES["3.5"].solution(x, mixture.weights, operations), cell(x, mixture))
