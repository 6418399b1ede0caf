"""`python -m builder build|check|page`, in the folder notebooks; `run.py build-notebooks` is `build`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from builder import execution

NOTEBOOKS = Path(__file__).resolve().parents[1]
FAILED = NOTEBOOKS.parent / "out" / "failed"
LIMIT_S = 1800
say = partial(print, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="builder", description="Build, check and show the notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "build", help="notebooks/src/NN_name.py -> notebooks/NN_name.ipynb, with outputs"
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="such as 00_quickstart; none: all")
    command.add_argument("--force", action="store_true", help="execute even if no code cell has changed")
    commands.add_parser("check", help="say what is wrong with the built notebooks")
    command = commands.add_parser("page", help="execute a notebook elsewhere and make an HTML page of it")
    command.add_argument("name", metavar="NAME")
    command.add_argument("out", metavar="FOLDER", type=Path)
    chosen = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="replace")  # a notebook's text may hold what an old console cannot show
    sys.stderr.reconfigure(errors="replace")
    if chosen.command == "build":
        return build_all(NOTEBOOKS, chosen.names, force=chosen.force)
    if chosen.command == "check":
        return report(check_all(NOTEBOOKS))
    return show(NOTEBOOKS, chosen.name, chosen.out)


def names_in(folder: Path) -> list[str]:
    """The notebooks that have a text source, in order."""
    return sorted(path.stem for path in (folder / "src").glob("[0-9]*.py"))


def build_all(folder: Path, names: list[str], *, force: bool) -> int:
    """Build some notebooks or all; return the exit status."""
    known = names_in(folder)
    chosen = [name.removesuffix(".ipynb").removesuffix(".py") for name in names] or known
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        return report(
            [f"no text source {folder / 'src' / unknown[0]}.py; there are: {', '.join(known) or 'none'}"]
        )
    return max([report(build(folder, name, force=force)) for name in chosen], default=0)


def build(folder: Path, name: str, *, force: bool) -> list[str]:
    """Build one notebook and return what is wrong with it; it is written only if nothing is."""
    from builder import gates, opening, pairing

    text_file, built_file = folder / "src" / f"{name}.py", folder / f"{name}.ipynb"
    text = text_file.read_text(encoding="utf-8")
    filled = opening.fill_in(text, name)
    if filled != text:
        text_file.write_text(filled, encoding="utf-8", newline="\n")
        say(f"{name}: filled in the Colab link and the set-up cell of {text_file.name}")
    source = pairing.from_text(filled)
    notebook = None
    if built_file.exists() and not force:
        notebook = pairing.with_old_outputs(source, nbformat.read(built_file, as_version=4))
    if notebook is None:
        notebook = pairing.from_text(filled)
        failure = run(notebook, folder, name)
        if failure:
            return [failure]
        execution.tidy(notebook)
    found = gates.problems(notebook, source, name)
    if found:
        keep_failed(notebook, name)
        return found
    nbformat.write(notebook, built_file)
    say(f"{name}: {built_file.stat().st_size / 1000:.0f} kB")
    return []


def run(notebook: NotebookNode, folder: Path, name: str) -> str | None:
    """Execute in `folder` with progress; return None, or what went wrong (all of it: out/failed)."""
    start = time.monotonic()
    try:
        execution.execute(notebook, folder, limit_s=LIMIT_S, say=say)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        kept = keep_failed(notebook, name)
        reason = (
            f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error).strip()
        )
        return f"{name} stopped after {time.monotonic() - start:.0f} s: {reason} (as far as it came: {kept})"
    say(f"{name}: ran in {time.monotonic() - start:.0f} s")
    return None


def keep_failed(notebook: NotebookNode, name: str) -> Path:
    """Write a notebook that may not be committed where one can look at it."""
    FAILED.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, FAILED / f"{name}.ipynb")
    return FAILED / f"{name}.ipynb"


def check_all(folder: Path) -> list[str]:
    """What is wrong with the built notebooks of a folder, each and together."""
    from builder import gates, pairing

    names, built = names_in(folder), {path.stem: path for path in folder.glob("*.ipynb")}
    found = [f"{name}: no text source src/{name}.py" for name in sorted(built.keys() - set(names))]
    found += [f"{name}: not built yet" for name in names if name not in built]
    for name in sorted(built.keys() & set(names)):
        source = pairing.read_source(folder / "src" / f"{name}.py")
        found += gates.problems(nbformat.read(built[name], as_version=4), source, name)
    together_kb = sum(path.stat().st_size for path in built.values()) / 1000
    if together_kb > gates.LIMIT_TOGETHER_KB:
        found.append(f"all notebooks together: {together_kb:.0f} kB, at most {gates.LIMIT_TOGETHER_KB}")
    return found


def show(folder: Path, name: str, out: Path) -> int:
    """Execute the stored notebook `name`; write it with its fresh outputs, and as a page, to `out`."""
    from builder.page import html_page

    stored = folder / f"{name}.ipynb"
    if not stored.exists():
        return report([f"there is no notebook {stored}"])
    notebook = nbformat.read(stored, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    failure = run(notebook, folder, name)
    if failure:
        return report([failure])
    execution.tidy(notebook)
    out.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, out / f"{name}.ipynb")
    (out / f"{name}.html").write_text(html_page(notebook, name), encoding="utf-8")
    return 0


def report(found: list[str]) -> int:
    """Print what is wrong; return the exit status."""
    for problem in found:
        print(problem, file=sys.stderr, flush=True)
    return 1 if found else 0


def script(arguments: list[str] | None = None) -> None:
    """Run one command and leave with its status; Ctrl-C leaves with one sentence."""
    try:
        sys.exit(main(arguments))
    except KeyboardInterrupt:
        logging.disable()  # asyncio would tell of the task that waited for the kernel
        sys.exit("Stopped; nothing was written.")


if __name__ == "__main__":
    script()
