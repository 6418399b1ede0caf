"""The house's order: imports run downwards only, and importing the package costs little."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "gdas_lite"

# Rooms from the ground up; what stands in one may import from its own and from those before it.
FLOORS = (
    {"labels", "notation", "wellformed", "isomorphism", "genotype", "cell_contents", "device", "evaluating", "precision",
     "tablefile", "natsbench", "order_statistics"},
    {"relaxation", "primitives", "nasnet_primitives", "depthwise", "dense", "max_pool", "pointwise", "drop_path", "kernels",
     "cost", "data", "runs", "zoo", "published", "tables", "tabular", "cells", "lessons"},
    {"baselines", "landscape"},
    {"spaces", "language_model", "word_loss"},
    {"resumable"},
    {"search"},
    {"training"},
    {"reopen", "export", "predicting", "groundtruth"},
    {"plots", "diagrams", "drawing", "widgets"},
    {"cli", "reproduction"},
)
READERS = {"plots", "diagrams", "drawing", "widgets"}


def imports_of(file: Path) -> set[str]:
    """Rooms of the package that a file imports while it is itself imported (not inside functions)."""
    inside = len(file.relative_to(PACKAGE).parts) - 1
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module and node.module.startswith("gdas_lite."):
                found.add(node.module.split(".")[1])
            elif node.level == inside + 1:      # from the root of the package
                found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names} - {"__version__"}
    return found


def files_of(room: str) -> list[Path]:
    return [file for file in (PACKAGE / f"{room}.py",) if file.exists()] + sorted((PACKAGE / room).rglob("*.py"))


def test_imports_run_downwards():
    below: set[str] = set()
    for floor in FLOORS:
        below |= floor
        for room in sorted(floor):
            for file in files_of(room):
                upwards = imports_of(file) - below
                assert not upwards, f"{file.name} imports {sorted(upwards)}, which stand above it"


def test_what_draws_imports_nothing_that_trains():
    for room in sorted(READERS):
        for file in files_of(room):
            assert not imports_of(file) & {"training", "resumable", "reopen", "spaces", "data", "runs"}, file


def test_importing_the_package_loads_no_torch_and_no_plotting():
    code = ("import sys, gdas_lite; "
            "print([name for name in ('torch', 'torchvision', 'matplotlib', 'sklearn', 'IPython') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


def test_every_exported_name_exists():
    import gdas_lite
    for name in gdas_lite.__all__:
        assert getattr(gdas_lite, name) is not None
    assert callable(gdas_lite.benchmark.table) and callable(gdas_lite.genotypes.zoo) and callable(gdas_lite.genotypes.published)


def test_nothing_is_evaluated_or_unpickled_in_the_package():
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), file
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                assert (target, node.func.attr) not in (("torch", "load"), ("pickle", "load"), ("pickle", "loads")), file
