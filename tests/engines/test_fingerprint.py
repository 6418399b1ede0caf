"""What numba's cache on disk is keyed by: every file whose text ends up in a kernel."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytest.importorskip("numba")
from gdas_lite import engines
from gdas_lite.engines.cpu import compiled
from gdas_lite.engines.cpu.compiled.launch import fingerprint

FOLDER = Path(compiled.__file__).parent
SAYS = "gdas_lite/runs/printing.py"        # to who waits; in no kernel


def imported(file: Path) -> set[Path]:
    """The files of the package that a file takes names from, as relative imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            files = [file.parents[node.level - 1].joinpath(*name.split(".")).with_suffix(".py") for name in modules]
            found |= {one for one in files if one.is_file()}
    return found


def sources() -> list[Path]:
    own = sorted(FOLDER.glob("*.py"))
    others = set().union(*map(imported, own)) - set(own)
    return [*own, *sorted(one for one in others if not one.as_posix().endswith(SAYS))]


@pytest.mark.parametrize("file", sources(), ids=lambda file: file.name)
def test_another_text_is_another_fingerprint(file, monkeypatch):
    before, read = fingerprint(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b"#" if path.resolve() == file else b""))
    assert fingerprint() != before


def test_the_sizes_of_tiles_are_among_them():
    assert Path(engines.__file__).with_name("graph.py") in sources()
