"""The command `gdas-lite`: the same calls as in the notebooks, from a shell, for long runs.

    parser.py   the words               values.py   from words to values, NAME=VALUE typed
    run.py      search, train, resume, evaluate, export
    show.py     info, draw, zoo         tables.py   reproduce, bench        doctor.py   doctor
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...runs.config import RunError
from ...runs.printing import say
from .parser import INTERRUPTED, build_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 2 after an error of the user's (one sentence on stderr), 130 after Ctrl-C.

    Wrong words on the command line end in SystemExit(2), as with any argparse program.
    """
    arguments = build_parser().parse_args(argv)
    try:
        os.getcwd()
    except FileNotFoundError:       # PyTorch's libraries would end the process, without a word of why
        say(f"gdas-lite {arguments.command}: this folder was deleted; cd to one that is there", sys.stderr)
        return 2
    try:
        with _warnings_as_sentences():
            if empty := [name for name, value in vars(arguments).items() if value in ("", [""]) and name != "title"]:
                raise ValueError(f"{empty[0]} is empty; give a value or leave it out")     # such as "$UNSET"
            return _command(arguments.command)(arguments)
    except KeyboardInterrupt:
        say("stopped", sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:     # the reader of our output has gone, as with `gdas-lite zoo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if (sentence := _sentence(error)) is None:
            raise
        process = f" (process {rank})" if (rank := os.environ.get("RANK", "0")) != "0" else ""
        say(f"gdas-lite {arguments.command}{process}: {sentence}", sys.stderr)
        return 2


def _command(name: str) -> Callable[[Any], int]:
    """The function of a command; what it needs is imported only now."""
    if name in ("info", "draw", "zoo"):
        from . import show as module
    elif name in ("reproduce", "bench"):
        from . import tables as module
    elif name == "doctor":
        from . import doctor as module
    else:
        from . import run as module
    return getattr(module, "run_bench" if name == "bench" else name)


def _sentence(error: Exception) -> str | None:
    """What to tell the user; None for an error that is a defect of the program and deserves its traceback."""
    if isinstance(error, KeyError):
        return str(error.args[0]) if error.args else "unknown name"     # str(KeyError) would add quotes
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError") or "allocate memory" in str(error):
        return "the memory is full; take a smaller batch (--set batch_size=...) or fewer channels"
    if isinstance(error, (ValueError, RunError, FloatingPointError, OSError, ImportError)):
        return " ".join(str(error).split())
    if type(error).__name__.startswith("Dist") or "gloo" in str(error):
        return "another process of this run has ended, and said why; the same command again goes on from the last save"
    return None


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """This package's own warnings as lines on stderr, without file names and source, each text once."""
    def show(message: Warning | str, category: type, *_: Any, **__: Any) -> None:
        say(f"note: {message}", sys.stderr)

    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=UserWarning, module=r"gdas_lite\b")
        warnings.showwarning = show
        yield
