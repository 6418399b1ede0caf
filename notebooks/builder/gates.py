"""What is wrong with a built notebook: one sentence for each thing, none if it may be committed."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from builder.execution import WIDGET_VIEW
from builder.opening import NOBODY, SETUP, course_map, setup_source
from builder.pairing import EXPECTED_ERROR, PARAMETERS, code_cells, has_tag
from builder.pictures import faults

LIMIT_KB = 500  # of one notebook file: each new picture stays in the repository's history
LIMIT_TOGETHER_KB = 5000
LONGEST_CELL = 25  # lines of code, so that a cell and what it shows fit on a screen
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.])(?:/home/|/Users/|/root/|/tmp/|/var/folders/|[A-Z]:\\)[\w.\\/-]*|site-packages"
)
EMBEDDED = re.compile(r"base64,[\w+/=\s]+")


def problems(built: NotebookNode, source: NotebookNode, name: str) -> list[str]:
    """Everything wrong with `built`, made from the text source `source`; `name`: such as "00_quickstart"."""
    found = [
        *disagreements(built, source),
        *wrong_opening(built, name),
        *wrong_parameters(built),
        *wrong_counts(built),
        *headings_in_code(built),
        *bad_outputs(built),
        *traces_of_this_machine(built),
        *excess(built),
        *unreadable_pictures(built),
    ]
    return [f"{name}: {problem}" for problem in found]


def disagreements(built: NotebookNode, source: NotebookNode) -> list[str]:
    """Cells, ids and metadata of the notebook that are not those of its text source."""
    rebuild = "build it again: python3 run.py build-notebooks"
    if built.metadata != source.metadata:
        return [f"its metadata is not what the build writes; {rebuild}"]
    if len(built.cells) != len(source.cells):
        return [f"{len(built.cells)} cells, but {len(source.cells)} in the text source; {rebuild}"]
    for number, (cell, wanted) in enumerate(zip(built.cells, source.cells, strict=True), start=1):
        keys = ("id", "cell_type", "source", "metadata")
        if [cell.get(key) for key in keys] != [wanted.get(key) for key in keys]:
            return [f"cell {number} is not the text source's; {rebuild}"]
    return []


def wrong_opening(built: NotebookNode, name: str) -> list[str]:
    """A missing or different map of the course or set-up cell, and links to a repository that nobody owns."""
    found = [f"cell {number} links to a repository of {NOBODY}" for number, cell in enumerate(built.cells, start=1)
             if f"/{NOBODY}/" in cell.source]
    first = built.cells[0] if built.cells else None
    if first is None or first.cell_type != "markdown" or course_map(name) not in first.source:
        found.append(
            "the first cell must be text with the line `[Open in Colab]()`, which the build fills in"
        )
    setups = [cell.source for cell in code_cells(built) if has_tag(cell, SETUP)]
    if setups != [setup_source()] or not has_tag(code_cells(built)[0], SETUP):
        found.append(
            f'the first code cell must be the set-up cell: write `# %% tags=["{SETUP}"]`, it is filled in'
        )
    return found


def wrong_parameters(built: NotebookNode) -> list[str]:
    """Not one cell in which the tests can set another recipe, or one that stores other than "lesson"."""
    cells = [cell.source for cell in code_cells(built) if has_tag(cell, PARAMETERS)]
    if len(cells) != 1 or 'recipe = "lesson"' not in cells[0].splitlines():
        return [f'exactly one code cell must be tagged `{PARAMETERS}` and hold the line `recipe = "lesson"`']
    return []


def headings_in_code(built: NotebookNode) -> list[str]:
    """Code cells that hold a heading: a line `# %% [markdown]` is missing, and a whole section is a comment."""
    return [f"cell {number} is code and holds the heading {found.group(0)!r}"
            for number, cell in enumerate(built.cells, start=1)
            if cell.cell_type == "code" and (found := re.search(r"^# #{1,4} \S.*", cell.source, re.MULTILINE))]


def wrong_counts(built: NotebookNode) -> list[str]:
    """Cells that did not run once each, from top to bottom, in one kernel."""
    counts = [cell.execution_count for cell in code_cells(built) if cell.source.strip()]
    wanted = list(range(1, len(counts) + 1))
    return (
        [] if counts == wanted else [f"execution counts are {counts}, not {wanted}: run from top to bottom"]
    )


def bad_outputs(built: NotebookNode) -> list[str]:
    """Errors that are not the lesson, and anything on stderr."""
    found = []
    for number, cell in enumerate(built.cells, start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "error" and not has_tag(cell, EXPECTED_ERROR):
                found.append(f"cell {number} ends in {output.ename}: {output.evalue}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {number} writes to stderr: {output.text.strip()[:200]}")
    return found


def traces_of_this_machine(built: NotebookNode) -> list[str]:
    """Absolute paths, and widgets' state or views, which nobody else can show."""
    found = ["widget state is stored in the metadata"] if "widgets" in built.metadata else []
    here = [str(Path.home()), str(Path(__file__).resolve().parents[2])]
    for number, cell in enumerate(built.cells, start=1):
        if any(WIDGET_VIEW in output.get("data", {}) for output in cell.get("outputs", [])):
            found.append(f"cell {number} stores a view of a widget")
        for text in [cell.source, *map(_text_of, cell.get("outputs", []))]:
            hit = ABSOLUTE_PATH.search(text)
            path = hit.group() if hit else next((path for path in here if path in text), None)
            if path:
                found.append(f"cell {number} holds a path of this machine: {path}")
    return found


def excess(built: NotebookNode) -> list[str]:
    """Too large a file, too long a cell."""
    size_kb = len(nbformat.writes(built).encode()) / 1000
    found = [f"{size_kb:.0f} kB, at most {LIMIT_KB}: fewer or smaller pictures"] if size_kb > LIMIT_KB else []
    for number, cell in enumerate(built.cells, start=1):
        lines = len(cell.source.splitlines())
        if cell.cell_type == "code" and lines > LONGEST_CELL:
            found.append(f"cell {number} has {lines} lines of code, at most {LONGEST_CELL}")
    return found


def unreadable_pictures(built: NotebookNode) -> list[str]:
    """Pictures without alternative text, with too small text, cut off, or with a ground that fits one theme only."""
    found = []
    for number, cell in enumerate(built.cells, start=1):
        unnamed = re.findall(r"!\[\s*\]\([^)]*\)", cell.source) if cell.cell_type == "markdown" else []
        found += [f"cell {number} has an image without alternative text: {picture}" for picture in unnamed]
        found += [f"cell {number} shows {fault}" for output in cell.get("outputs", []) for fault in faults(output)]
    return found


def _text_of(output: NotebookNode) -> str:
    """All text that an output shows; no pictures."""
    parts = [output.get("text", ""), *output.get("traceback", [])]
    parts += [
        str(data)
        for mime, data in output.get("data", {}).items()
        if not mime.startswith(("image/png", "image/jpeg"))
    ]
    return EMBEDDED.sub("", "\n".join(parts))
