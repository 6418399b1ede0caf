"""The one way in which an exercise of the course is checked: random inputs, fresh copies, a sentence that teaches."""

import copy
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import torch

from .guarding import Refused, guarded

Function = Callable[..., Any]
Trials = Callable[[np.random.Generator], Iterable[tuple[Any, ...]]]
RTOL, ATOL = 1e-4, 1e-5         # what float32 may lose; a wrong formula misses by far more


@dataclass(frozen=True)
class Exercise:
    """A function that a learner writes.

    number: "2.1", notebook and place in it. minutes: what it may take. what: the result in words.
    mistakes: (wrong function, sentence) pairs; who has that function's results in all trials reads it.
    trials: tuples of inputs, from a generator with a fixed seed; the smallest first, for a refusal that can be checked
    by hand. They come twice, with other numbers; floating tensors as float64, then as float32.
    also: functions whose results are as right as those of the solution. reminder: follows "expected ..., got ...".
    probe: what is compared, from a function and the inputs, where that is more than its value: gradients, calls.
    judge: for what has no single right result; called with the learner's function, made safe, after the trials.
    """

    number: str
    title: str
    minutes: int
    solution: Function
    what: str = "the result"
    mistakes: tuple[tuple[Function, str], ...] = ()
    trials: Trials = lambda rng: ()
    also: tuple[Function, ...] = ()
    explain: Callable[..., str | None] | None = None
    reminder: str = ""
    tolerance: float = RTOL
    probe: Callable[..., Any] = lambda function, *inputs: function(*inputs)
    judge: Callable[[Function], None] | None = None

    def verdict(self, function: Function) -> str:
        """Returns one line: right, still open, or what is wrong. Raises what the learner's own code raises."""
        try:
            self._refuse_what_cannot_be_called(function)
            with guarded(function) as careful:
                self._try_all(careful)
                if self.judge:
                    self.judge(lambda *inputs: self._ask(careful, inputs, copy.deepcopy(inputs)))
        except Refused as reason:
            return f"exercise {self.number}: not yet. {reason}"
        except NotImplementedError as error:        # PyTorch raises it too, e.g. for `True - tensor`: not a stub
            if not re.search(rf"\bexercise {re.escape(self.number)}(?![\d.]*\d)", str(error)):
                raise
            return f"exercise {self.number} is still open"
        return f"exercise {self.number}: right"

    def _refuse_what_cannot_be_called(self, function: Function) -> None:
        asked = ", ".join(inspect.signature(self.solution).parameters)
        if not callable(function):
            raise Refused(f"hand over the function itself, `{self.solution.__name__}`, not a {type(function).__name__}")
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):             # some built-in functions have none
            return
        try:
            signature.bind(*asked.split(", "))
        except TypeError:
            raise Refused(f"the function is called with ({asked}), yours takes {signature}") from None

    def _try_all(self, function: Function) -> None:
        mixed = []                                  # a constant of the learner's need not have both precisions
        for seed, dtype in enumerate((torch.float64, torch.float32)):
            try:
                self._try(function, [_cast(inputs, dtype) for inputs in self.trials(np.random.default_rng(seed))])
            except RuntimeError as error:
                if isinstance(error, NotImplementedError) or not re.search(r"dtype|scalar type", str(error)):
                    raise
                mixed.append(error)
        if len(mixed) == 2:
            raise mixed[0]

    def _try(self, function: Function, trials: list[tuple[Any, ...]]) -> None:
        fits, reason, results, changes = list(self.mistakes), None, [], False
        for inputs in trials:
            given = copy.deepcopy(inputs)
            try:
                found = self._ask(function, inputs, given)
            except Exception:
                if reason is None:
                    raise
                break
            results.append(shown(found) if isinstance(found, int) else str(found))
            with np.errstate(all="ignore"):
                fits = [(mistake, sentence) for mistake, sentence in fits
                        if same(found, self.probe(mistake, *copy.deepcopy(inputs)), self.tolerance)]
            right = [self.probe(answer, *copy.deepcopy(inputs)) for answer in (self.solution, *self.also)]
            if reason is None and not any(same(found, wanted, self.tolerance) for wanted in right):
                reason = self._reason(found, right[0], inputs)
            if reason is None:
                again = self._ask(function, inputs, given)
                changes |= not any(same(again, wanted, self.tolerance) for wanted in right)
        if reason is None and changes:
            raise Refused("the first answer is right, a second call with the same input gives another: what is kept?")
        if reason is not None and not fits and len(results) > 2 and found is not None and len({*results}) == 1:
            reason += " (It is the same for every input: does your function read its arguments?)"
        if reason is not None:
            raise Refused(fits[0][1] if fits else reason)

    def _ask(self, function: Function, inputs: tuple[Any, ...], given: tuple[Any, ...]) -> Any:
        """Returns the answer for `given`, copies of the inputs. Raises Refused where it has changed one of them."""
        try:
            found = self.probe(function, *given)
        except Exception as error:
            if not isinstance(error, Refused | NotImplementedError):
                error.add_note(f"Exercise {self.number} called your function for {self._shown(inputs)}.")
            raise
        for name, before, after in zip(self._names(), inputs, given):
            refuse_change(name, before, after)
        return found

    def _names(self) -> list[str]:
        """Names of the inputs: of the probe's, where it has its own."""
        names = [*inspect.signature(self.probe).parameters][1:]
        return [*inspect.signature(self.solution).parameters] if names == ["inputs"] else names

    def _shown(self, inputs: tuple[Any, ...]) -> str:
        return ", ".join(f"{name} = {shown(value)}" for name, value in zip(self._names(), inputs))

    def misfit(self, function: Function) -> str | None:
        """Returns why a right function cannot run in the place of the solution in cells that follow, or None."""
        inputs, results = next(iter(self.trials(np.random.default_rng(0))), ()), []
        for each in (self.solution, function) if inputs else ():
            given = copy.deepcopy(inputs)
            for value in given:
                if isinstance(value, torch.Tensor) and value.is_floating_point() and (not results or _carries(results)):
                    value.requires_grad_()
            try:
                results.append(self.probe(each, *given))
            except Exception as error:
                return f"raises a {type(error).__name__} where its inputs have gradients"
        return _misfit(*results[::-1]) if results else None

    def _reason(self, found: Any, wanted: Any, inputs: tuple[Any, ...]) -> str:
        is_whole = self.probe is Exercise.probe or not isinstance(wanted, tuple)    # else what it gives stands first
        sentence = complaint(*((found, wanted) if is_whole else (found and found[0], wanted[0])), self.what)
        if found is None and sentence and is_whole:
            sentence += f" The inputs were {self._shown(inputs)}"
        if sentence is None and self.explain:
            sentence = self.explain(found, wanted, *inputs)
        if sentence is None:
            sentence = f"for {self._shown(inputs)}: expected {shown(wanted)}, got {shown(found)}"
            sentence += _factor(found, wanted) + (f"; {self.reminder}" if self.reminder else "")
        return sentence


def normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Returns an input of normally distributed numbers, float64."""
    return torch.from_numpy(rng.normal(size=shape))


def numbers(value: Any) -> np.ndarray:
    """Returns a learner's tensor, array, list or number as float64. Raises TypeError or ValueError where it is none."""
    if isinstance(value, torch.Tensor):
        value = (value.double() if value.is_floating_point() else value).detach().cpu().numpy()
    if isinstance(value, list | tuple) or getattr(value, "dtype", None) == np.dtype("O"):       # of Fractions
        value = [numbers(entry) for entry in value]
    if isinstance(value, Real | Decimal):
        value = float(np.inf if isinstance(value, int) and abs(value) > 1e300 else value)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"no numbers: {type(value).__name__}")
    return array.astype(float)


def same(found: Any, wanted: Any, tolerance: float = RTOL) -> bool:
    """Returns whether a learner's result says what is wanted: any kind of array, list or number, in any precision."""
    if wanted is None or isinstance(wanted, str):
        return isinstance(found, type(wanted)) and (wanted is None or str.__eq__(found, wanted))
    if complaint(found, wanted, ""):
        return False
    if isinstance(wanted, list | tuple):
        return all(same(a, b, tolerance) for a, b in zip(found, wanted))
    a, b = numbers(found), numbers(wanted)
    scale = np.abs(b[np.isfinite(b)]).max(initial=0)
    return bool(np.allclose(a.reshape(b.shape), b, rtol=0, atol=ATOL + tolerance * scale, equal_nan=True))


def complaint(found: Any, wanted: Any, what: str) -> str | None:
    """Returns what is wrong with the type or the shape of a learner's result, or None."""
    if wanted is None:
        return None
    if found is None:
        instead = shown(wanted)
        return f"{what} is None{f', not {instead}' if len(instead) < 50 else ''}: is there a `return`?"
    if isinstance(wanted, str):
        return None if isinstance(found, str) else f"{what} should hold names, got {type(found).__name__}"
    if isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple) and not getattr(found, "shape", ()):
            return f"{what} should be a list or tuple of {len(wanted)}, got {type(found).__name__}"
        if len(found) != len(wanted):
            return f"{what.removesuffix(',')}: expected {len(wanted)} of them, got {len(found)}"
        entry = f"an entry of {what.removeprefix('an entry of ')}"
        return next((sentence for pair in zip(found, wanted) if (sentence := complaint(*pair, entry))), None)
    shape = numbers(wanted).shape
    kind = f"an array of shape {shape}" if shape else "a number"
    try:
        array = numbers(found)
    except (TypeError, ValueError):
        return f"{what} should be {kind}, got {type(found).__name__}"
    if array.shape == shape or (not shape and array.size == 1 and not isinstance(found, list | tuple)):
        return None
    return f"{what} should be {kind}, got {'one' if shape else type(found).__name__} of shape {array.shape}"


def shown(value: Any) -> str:
    """Returns a value for a sentence, on one line, to four places, large ones by their shape."""
    try:
        array = numbers(value)
    except (TypeError, ValueError):
        if isinstance(value, list) and any(isinstance(part, torch.Tensor) for part in value):
            return "tensors of shapes " + ", ".join(str(tuple(part.shape)) for part in value)
        text = "a function" if callable(value) else " ".join(str(value).split())
        return text if len(text) <= 160 else text[:157] + "..."
    if not array.shape:
        return f"{value:,}" if isinstance(value, int) and abs(value) < 1e15 else f"{float(array):.6g}"
    if np.isfinite(array).all() and (array % 1 == 0).all():
        array = array.astype(int)
    return str(array.round(4).tolist()) if array.size <= 16 else f"numbers of shape {array.shape}"


def _factor(found: Any, wanted: Any) -> str:
    """Says by what factor a learner's array is wrong, if by one, or how far away what looks the same is."""
    if wanted is None or isinstance(wanted, str | list | tuple):
        return ""
    a, b = (numbers(value).ravel() for value in (found, wanted))
    factor = (a @ b) / ((b @ b) or 1)
    is_one = a.size > 1 and abs(factor) > 1e-9 and np.allclose(a, factor * b, rtol=1e-3, atol=1e-9)
    if (is_one and f"{factor:.4g}" == "1") or (a.size <= 16 and shown(found) == shown(wanted)):
        return f", {np.abs(a - b).max():.1g} away: is something rounded?"
    return f", {factor:.4g} times that" if is_one else ""


def refuse_change(name: str, before: Any, after: Any) -> None:
    """Raises Refused where a learner's function has changed one of its inputs."""
    if not unchanged(before, after):
        copied = f"`{name}.{'clone' if isinstance(before, torch.Tensor) else 'copy'}()`"
        if isinstance(before, list | tuple) and any(isinstance(part, torch.Tensor) for part in before):
            copied = "copies"
        raise Refused(f"your function has changed its input `{name}`, which others need: work on {copied}")


def unchanged(before: Any, after: Any) -> bool:
    """Returns whether two inputs are the same; weights that were moved and put back may differ in the last digits."""
    if isinstance(before, torch.Tensor | np.ndarray):
        a, b = numbers(before), numbers(after)
        last = 4e-6 if str(before.dtype).endswith("float32") else 1e-12
        return a.shape == b.shape and np.allclose(a, b, rtol=0, atol=last * max(1, np.abs(a).max(initial=0)))
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(unchanged, before, after))
    return not isinstance(before, int | float | str) or before == after


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_cast(part, dtype) for part in value)
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _carries(value: Any) -> bool:
    return any(map(_carries, value)) if isinstance(value, list | tuple) else getattr(value, "requires_grad", False)


def _misfit(found: Any, wanted: Any) -> str | None:
    if isinstance(wanted, list | tuple):
        return next((reason for pair in zip(found, wanted) if (reason := _misfit(*pair))), None)
    if wanted is None or isinstance(wanted, str):
        return None
    if not getattr(wanted, "shape", ()):
        kinds = int | float | np.generic | np.ndarray | torch.Tensor
        return None if isinstance(found, kinds) and not getattr(found, "shape", ()) else "gives no plain number"
    if not isinstance(found, type(wanted)):
        return f"gives a {type(found).__name__} and no {type(wanted).__name__}"
    if found.dtype != wanted.dtype:
        return f"gives {found.dtype} for {wanted.dtype}"
    return "passes no gradient on" if _carries(wanted) and not _carries(found) else None
