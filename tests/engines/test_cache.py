"""Who waits for the compiler is told so in one line, and nobody else is. Nothing is compiled here."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("numba", reason="the compiled kernels need numba (extra `fast`)")

from numba import config
from numba.core.caching import FunctionCache

from gdas_lite.engines.cpu.compiled import cache

WHAT, OTHER = "the loops of small networks, once some ten seconds", "the kernels of image cells"


class Compiler:
    """In numba's place: asks its cache, else compiles and keeps."""

    def __init__(self, function, what: str = WHAT) -> None:
        self._cache, self.compiled = None, 0
        cache.keep(self, function, what)

    def __call__(self, kinds: str) -> None:
        if self._cache.load_overload(kinds, None) is None:
            self.compiled += 1
            self._cache.save_overload(kinds, "machine code")


def one() -> None: ...


def another() -> None: ...


@pytest.fixture(autouse=True)
def disk(tmp_path, monkeypatch):
    """A cache folder whose files a fake numba writes and reads; returns how a new process begins."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(FunctionCache, "load_overload", lambda self, kinds, _: (
        json.loads(place(self, kinds).read_text()) if place(self, kinds).exists() else None))
    monkeypatch.setattr(FunctionCache, "save_overload", lambda self, kinds, code: (
        place(self, kinds).write_text(json.dumps(code))))

    def place(self, kinds):
        folder = tmp_path / self._py_func.__name__
        folder.mkdir(exist_ok=True)
        return folder / kinds

    def in_a_new_process() -> None:
        monkeypatch.setattr(cache, "_TOLD", set())

    in_a_new_process()
    return in_a_new_process


def test_an_empty_cache_gives_one_line_for_all_that_is_compiled_together_and_a_warm_one_none(disk, capsys, tmp_path):
    functions = Compiler(one), Compiler(another)
    for compiler in functions:
        compiler("float32")
        compiler("float64")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"compiling {WHAT}; kept for the next time\n")
    Compiler(one, OTHER)("int64")
    assert capsys.readouterr().err == f"compiling {OTHER}; kept for the next time\n"
    disk()
    again = Compiler(one), Compiler(another)
    for compiler in again:
        compiler("float32")
    assert [compiler.compiled for compiler in (*functions, *again)] == [2, 2, 0, 0] and capsys.readouterr().err == ""
    next((tmp_path / "one").glob("float32")).write_text("cut off")          # a damaged file is compiled anew
    Compiler(one)("float32")
    assert capsys.readouterr().err == f"compiling {WHAT}; kept for the next time\n"


def test_without_a_folder_that_can_be_written_to_the_line_says_how_to_get_one(disk, capsys, monkeypatch):
    def nowhere(*_given) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(cache, "Cache", nowhere)
    for compiler in (Compiler(one), Compiler(another)):
        compiler("float32")
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compiling {WHAT}; in every process") and "NUMBA_CACHE_DIR" in line


def test_both_kinds_of_compiled_code_say_what_they_are(monkeypatch):
    from gdas_lite.engines.cpu.compiled import launch
    from gdas_lite.engines.cpu.small import loops
    assert loops.dot._cache._what == WHAT

    def refuse(compiled, run, what: str) -> None:
        raise LookupError(what)

    monkeypatch.setattr(launch, "keep", refuse)
    with pytest.raises(LookupError, match="the kernels of image cells, 8 channels at a time in bfloat16, once half a min"):
        launch._compile(8, True)
