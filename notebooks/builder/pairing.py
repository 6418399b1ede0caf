"""The text source of a notebook (jupytext's percent format) as notebook cells.

Cell ids are made from the cells' text: building twice gives the same file, and a change shows where it is.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import jupytext
from nbformat import NotebookNode

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PARAMETERS = "parameters"  # papermill's tag: the cell that sets `recipe`
EXPECTED_ERROR = "raises-exception"  # Jupyter's tag: the cell's error is the lesson


def read_source(path: Path) -> NotebookNode:
    """The notebook that a text source describes: no outputs, our metadata, an id for each cell."""
    return from_text(path.read_text(encoding="utf-8"))


def from_text(text: str) -> NotebookNode:
    """As `read_source`, from the text itself."""
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata = NotebookNode(copy.deepcopy(METADATA))
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def has_tag(cell: NotebookNode, tag: str) -> bool:
    """Whether a cell carries `tag`."""
    return tag in cell.metadata.get("tags", [])


def with_old_outputs(notebook: NotebookNode, built: NotebookNode) -> NotebookNode | None:
    """`notebook` with the outputs of an earlier build, or None if a code cell has changed since.

    A change of prose needs no new run: every new picture would stay in the repository's history for good.
    """
    new, old = code_cells(notebook), code_cells(built)
    if [(cell.source, cell.metadata) for cell in new] != [(cell.source, cell.metadata) for cell in old]:
        return None
    result = copy.deepcopy(notebook)
    for cell, done in zip(code_cells(result), old, strict=True):
        cell.outputs, cell.execution_count = copy.deepcopy(done.outputs), done.execution_count
    return result


def with_recipe(notebook: NotebookNode, recipe: str) -> NotebookNode:
    """A copy in which the recipe is another one: a cell set in after the one tagged `parameters`.

    Raises ValueError unless exactly one code cell has that tag.
    """
    places = [
        i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and has_tag(cell, PARAMETERS)
    ]
    if len(places) != 1:
        raise ValueError(f"exactly one code cell must be tagged `{PARAMETERS}`, found {len(places)}")
    result = copy.deepcopy(notebook)
    injected = copy.deepcopy(result.cells[places[0]])
    injected.update(
        id="injected-recipe", source=f"recipe = {recipe!r}", metadata={"tags": ["injected-parameters"]}
    )
    result.cells.insert(places[0] + 1, NotebookNode(injected))
    return result
