"""What keeps a learner's function from changing what all code shares while it is checked."""

import contextlib
import io
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from ..runs.printing import say

SHARED = ("the gradient mode", "the default dtype")
FIRST_LINES = 40        # of what it prints; a check calls it hundreds of times


class Refused(Exception):
    """The sentence for an answer that is not right yet. No AssertionError: those may be the learner's own."""


class _FirstLines(io.TextIOBase):
    """A stream that passes the first lines on and counts the others."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.lines = stream, 0

    def write(self, text: str) -> int:
        room = max(FIRST_LINES - self.lines, 0)
        say("".join(text.splitlines(keepends=True)[:room]), self.stream, end="")
        self.lines += text.count("\n")
        return len(text)


def _random_states() -> tuple[Any, Any, Any]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()      # noqa: NPY002  learners may use it


def _bytes_of(python: Any, numpy: Any, pytorch: torch.Tensor) -> Any:
    return python, numpy[1].tobytes(), numpy[2:], pytorch.numpy().tobytes()


@contextlib.contextmanager
def guarded(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yields a function that puts gradient mode and default dtype back after each call; at the end also random numbers.

    Raises Refused at the end where the function has changed one of them. Of what it prints only the first lines show.
    """
    changed, states, printed = set(), _random_states(), _FirstLines(sys.stdout)

    def careful(*inputs: Any) -> Any:
        before = torch.is_grad_enabled(), torch.get_default_dtype()
        try:
            with np.errstate():
                return function(*inputs)
        finally:
            after = torch.is_grad_enabled(), torch.get_default_dtype()
            changed.update(what for what, a, b in zip(SHARED, before, after) if a != b)
            torch.set_grad_enabled(before[0])
            torch.set_default_dtype(before[1])

    try:
        with torch.enable_grad(), torch.device("cpu"), np.errstate(all="warn"), contextlib.redirect_stdout(printed):
            yield careful
        if _bytes_of(*_random_states()) != _bytes_of(*states):
            changed.add("the random numbers (it draws or seeds)")
        if changed:
            raise Refused(f"the results are right, but your function changes {min(changed)} for all code that follows")
    finally:
        for restore, state in zip((random.setstate, np.random.set_state, torch.set_rng_state), states):
            restore(state)
        if printed.lines > FIRST_LINES:
            say(f"... and {printed.lines - FIRST_LINES} more lines that your function printed")
