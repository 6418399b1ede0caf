"""Every notebook: the stored one may be committed, and a fresh one runs to its end at the smoke size."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from builder import __main__ as command_line
from builder import execution, gates, pairing

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LIMIT_S = 300  # against a notebook that hangs; the smoke size takes seconds
NOT_LEFT_BEHIND = {"__pycache__", ".ipynb_checkpoints"}

every_notebook = pytest.mark.parametrize("name", command_line.names_in(NOTEBOOKS))


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and not NOT_LEFT_BEHIND & set(path.parts)}


def outputs_of(notebook) -> list:
    return [output for cell in pairing.code_cells(notebook) for output in cell.outputs]


def has_figure(notebook) -> bool:
    kinds = {kind for output in outputs_of(notebook) for kind in output.get("data", {})}
    return bool(kinds & {"image/png", "image/svg+xml"})


def has_text(notebook) -> bool:
    return any(output.output_type == "stream" and output.text.strip() for output in outputs_of(notebook))


def test_the_stored_notebooks_may_be_committed():
    assert command_line.check_all(NOTEBOOKS) == []


@every_notebook
def test_the_stored_notebook_shows_figures_and_text(name):
    stored = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert has_figure(stored) and has_text(stored)


@every_notebook
def test_it_runs_at_the_smoke_size(name, tmp_path):
    notebook = pairing.with_recipe(pairing.read_source(NOTEBOOKS / "src" / f"{name}.py"), "smoke")
    before = files_in(NOTEBOOKS)
    try:
        execution.execute(notebook, NOTEBOOKS, limit_s=LIMIT_S)
    finally:
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")  # kept by pytest, to look at when it fails
    execution.tidy(notebook)
    assert gates.bad_outputs(notebook) == []
    assert has_figure(notebook) and has_text(notebook)
    assert files_in(NOTEBOOKS) - before == set(), "a notebook must leave nothing behind beside itself"
