"""Every command under some code page, judged by comparison with what it prints where every sign can be shown."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from random import Random
from unittest import mock

import pytest

from gdas_lite.reproduction.cli import tables
from gdas_lite.runs.printing import printable
from tests.faults.injections import EQUAL, REFUSED, TRACEBACK, WRONG
from tests.runs.test_printing import COMMANDS, ENCODINGS, run
from tests.runs.test_printing import REFUSED as REFUSALS

WORDS = (*COMMANDS, *REFUSALS, ["--help"], ["search", "--help"], ["search", "größe·ж"])


def outputs(folder: Path, draw: Random) -> tuple[str, str]:
    """A command and a code page, and what came of it. folder: where runs were made by `prepare`."""
    words, encoding = draw.choice(WORDS), draw.choice(ENCODINGS)
    what = f"{' '.join(words)} under {encoding}"
    try:
        status, *texts = printed(folder, words, encoding)
        expected, *wide = whole(folder, tuple(words))
    except Exception as problem:
        return f"{what}: {problem!r:.200}", TRACEBACK
    stream = type("Stream", (), {"encoding": encoding, "errors": "strict"})()
    is_right = status == expected and texts == [measured(printable(text, stream)) for text in wide]
    return what, (REFUSED if status == 2 else EQUAL) if is_right else WRONG


def measured(text: str) -> str:
    """Without what another run of the same command measures otherwise: numbers, and the processor's state."""
    return re.sub(r"[\d.,]+( [a-z]+)?", "#", text)


def printed(folder: Path, words: list[str], encoding: str) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch, mock.patch.multiple(
            tables, bench=lambda asked, **_: [], table=lambda lines: ["GDAS on PTB · 3 ± 1 min"]):
        patch.chdir(folder)
        patch.delenv("GDAS_LITE_DATA", raising=False)
        patch.setenv("TORCH_HOME", str(folder / "nothing"))
        status, out, errors = run(words, encoding, patch)
        return status, measured(out), measured(errors)


@lru_cache
def whole(folder: Path, words: tuple[str, ...]) -> tuple[int, str, str]:
    """What it prints in UTF-8, before numbers are taken out."""
    with mock.patch(f"{__name__}.measured", str):
        return printed(folder, list(words), "utf-8")


def prepare(folder: Path) -> Path:
    """A folder in which every command has run once."""
    folder.mkdir()
    for words in COMMANDS:
        assert printed(folder, words, "utf-8")[0] == 0, words
    return folder
