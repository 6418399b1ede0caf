"""Every notebook: the stored one may be committed, and a fresh one runs to its end at the smoke size."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from builder import __main__ as command_line
from builder import execution, gates, pairing
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LIMIT_S = 300  # against a notebook that hangs; the smoke size takes seconds
NOT_COUNTED = {"__pycache__", ".ipynb_checkpoints"}

NAMES = command_line.names_in(NOTEBOOKS)

# What must have come out, at any size: patterns for the printed text.
CAME_OUT = {
    "00_quickstart": (
        r"ImageData thumbnails: 10 classes, colour images of 8 pixels",
        r"\d+ epochs, the first \d+ for the weights alone",
        r"seed 1: \|.+\|  +\d+\.\d\d %, rank [\d,]+",
        r"GDAS as published: 93\.61 ± 0\.09 %, as far as random search with \d+ cells",
        r"ResNet cell +\d+\.\d %\nno cell +\d+\.\d %",
    ),
    # the learner's search is the library's
    "03_gdas": (r"epoch +1: alpha between [^\n]+ differ by up to \de-1\d",),
    "04_darts": (r"epoch +1: alpha between [^\n]+ differ by up to \de-1\d",),
    "05_nasnet": (r"node 2: yours (\(.+\)), the library's \1\n", r"node 5: yours (\(.+\)), the library's \1\n"),
    "08_landscape": (
        r"f at uniform choices: yours (\d+\.\d+), the library's \1",
        r"step +\d+: \d\d\.\d\d %, rank",
        r"all cells: 5\.90 points.*\n.*100 best, by the others: 2\.73 points",  # good cells vary less
        r"CIFAR-10: 4\.6 steps on average; with the last look around, .* 135 neighbours",
        r"training that was chosen has 92\.11 % on average\n.*another training of its cell has 90\.29 %",
        r"one training a look-up: \{'random search': .*\ntwo: \{'random search'",
    ),
    "06_training": (
        r"p = 0\.2: values 0\.00 or 3\.75 +mean (2\.99|3\.0\d) +standard deviation 1\.(49|5\d)",  # the mean is kept
        r"auxiliary=False +[\d,]+ parameters, ([\d,]+) multiply-adds\nauxiliary=True +[\d,]+ parameters, \1 mult",
        r"cell 2 +\d\.\d+ +0\.\d*[1-9]\d*\n +cell 3 +\d\.\d+ +0\.000\n +classifier +\d\.\d+ +0\.000\n +auxiliary +0\.000",
        r"(plain|cutout 4|drop path 0\.2|constant rate) +test accuracy after the last epoch:( \d+\.\d){2,} ",
        r"auxiliary head +- one head: +[+-]\d+\.\d ± \d+\.\d points",
    ),
    "09_failures": (
        r"DARTS, seed 0 +50 epochs, \|skip_connect~0",
        r"GDAS, seed 0 +4 skips, 6 without weights; 84\.2 %, rank +13,478 of",
        r"batch +mean score 45\.\d %, agreement \+0\.5\d.*\nrunning +mean score 22\.\d %, agreement \+0\.0\d",
        r"DARTS, seed 0 +80\.5 % +epoch 2: 79\.5 % +epoch 6: 89\.9 % +epoch 17: 87\.5 %",
        r"GDAS, seed 0 +84\.2 % +epoch 1: 88\.1 % +epoch 6: 52\.3 % +epoch 14: 79\.8 %",
        r"finished: True after \d+ of \d+ epochs; .+\nits cell: \d+\.\d %, rank",
        r"ImageNet16-120 39\.40 \(rank 4,850\) 39\.40 \(rank 4,850\) 39\.40 \(rank 4,850\) +ResNet cell 44\.23",
        r"the cell of skips alone: 1 of the GDAS searches end there",
        r"variant N +\+\d+\.\d\d points of regret, +\+\d",
        r"the laptop recipe: the search drawn below is number 5 of 12, .*\nvariant N: .* number 5 of 6",  # not the best
    ),
    "10_own_pictures": (
        r"1 of \d+ pictures cannot be read: circle/cut_off\.png \(image file is truncated\); remove or replace",
        r"they are left out\nImageData shapes: 4 classes, colour images of 16 pixels",
        r"always saying 'circle' is right for \d\d %",
        r"found cell +\d+\.\d %, give or take \d+\.\d \(\d+ test pictures\)",
        r"same outputs: True \| \('circle', 'cross', 'square', 'triangle'\)",
        r"\(\d+, \d+\) → (circle|cross|square|triangle) \d+ %, ",
    ),
    "11_imagenet": (
        r"GDAS_V1 +C=50: 5\.35 M parameters, 581 M multiply-adds; published 5\.3 M, 581 M",
        r"c_\{k-1\}: \(50, 56, 56\) \(50, 28, 28\)",
        r"batch of 7, process 2 of 3: images 4 to 6, loss times 1\.286",
        r"process 0 of 2 did images \(0, 16\).*\nprocess 1 of 2 did images \(16, 32\)",
        r"resumed by one process +largest difference of a number in the network: 0e\+00",
        r"resumed by two processes +largest difference of a number in the network: \de[-+]\d\d",
        r"images/s; 250 epochs would take [\d,]+ days",
    ),
}


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and not NOT_COUNTED & set(path.parts)}


def shown(notebook: NotebookNode) -> set[str]:
    """Which of "figure" and "text" a notebook's outputs hold."""
    outputs = [output for cell in pairing.code_cells(notebook) for output in cell.outputs]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    found = {"figure"} if kinds & {"image/png", "image/svg+xml"} else set()
    if any(output.output_type == "stream" and output.text.strip() for output in outputs):
        found.add("text")
    return found


def missing_results(notebook: NotebookNode, patterns: tuple[str, ...]) -> list[str]:
    """One sentence for each pattern that the printed text of a notebook does not hold."""
    text = "".join(
        output.text for cell in pairing.code_cells(notebook) for output in cell.outputs if output.output_type == "stream"
    )
    return [f"nothing printed matches {pattern}" for pattern in patterns if not re.search(pattern, text)]


def smoke_problems(source: NotebookNode, folder: Path, kept: Path) -> list[str]:
    """Run a notebook at the smoke size in `folder` and say what is wrong; the executed copy is written to `kept`."""
    notebook = pairing.with_recipe(source, "smoke")
    before = files_in(folder)
    try:
        execution.execute(notebook, folder, limit_s=LIMIT_S)
    finally:
        nbformat.write(notebook, kept)
    execution.tidy(notebook)
    left = sorted(path.name for path in files_in(folder) - before)
    missing = {"figure", "text"} - shown(notebook)
    return (
        gates.bad_outputs(notebook)
        + [f"left behind in the notebooks' folder: {name}" for name in left]
        + [f"shows no {kind}" for kind in sorted(missing)]
    )


def test_the_stored_notebooks_may_be_committed():
    assert command_line.check_all(NOTEBOOKS) == []


@pytest.mark.parametrize("name", [name for name in NAMES if (NOTEBOOKS / f"{name}.ipynb").exists()])
def test_the_stored_notebook_shows_figures_and_text(name):
    assert shown(nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)) == {"figure", "text"}


@pytest.mark.parametrize("name", [name for name in NAMES if (NOTEBOOKS / f"{name}.ipynb").exists()])
def test_tables_and_other_html_leave_the_colours_to_the_page(name):
    outputs = [output for cell in pairing.code_cells(nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4))
               for output in cell.outputs]
    own = r"background|bgcolor|(?<![-\w])color\s*[:=]|<style"
    assert not [html for output in outputs if re.search(own, html := str(output.get("data", {}).get("text/html", "")))]


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_at_the_smoke_size(name, tmp_path):
    source = pairing.read_source(NOTEBOOKS / "src" / f"{name}.py")
    assert smoke_problems(source, NOTEBOOKS, tmp_path / f"{name}.ipynb") == []
    assert missing_results(nbformat.read(tmp_path / f"{name}.ipynb", as_version=4), CAME_OUT.get(name, ())) == []


@pytest.mark.parametrize("name", [name for name in CAME_OUT if (NOTEBOOKS / f"{name}.ipynb").exists()])
def test_the_stored_notebook_shows_what_must_come_out(name):
    assert missing_results(nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4), CAME_OUT[name]) == []


# --- the check itself, on tiny notebooks ---

HEAD = '# %% tags=["parameters"]\nrecipe = "lesson"\n\n# %%\n'
FIGURE = (
    "from IPython.display import SVG, display\ndisplay(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))\n"
)
TEXT = "print(recipe)\n"


@pytest.mark.parametrize(
    ("code", "problems"),
    [
        (FIGURE + TEXT + "assert recipe == 'smoke'", []),
        (TEXT, ["shows no figure"]),
        (FIGURE, ["shows no text"]),
        (FIGURE + TEXT + "import warnings\nwarnings.warn('old')", ["cell 3 writes to stderr: "]),
        (FIGURE + TEXT + "open('left.txt', 'w').close()", ["left behind in the notebooks' folder: left.txt"]),
    ],
    ids=["good", "no figure", "no text", "warning", "file left"],
)
def test_the_smoke_check_sees(code, problems, tmp_path):
    (tmp_path / "notebooks").mkdir()
    found = smoke_problems(pairing.from_text(HEAD + code), tmp_path / "notebooks", tmp_path / "kept.ipynb")
    assert len(found) == len(problems)
    assert all(one.startswith(start) for one, start in zip(found, problems, strict=True))


def test_a_result_that_did_not_come_out_is_missed():
    notebook = pairing.from_text(HEAD + "print(1)\n\n# %%\nprint(2)")
    for cell, text in zip(pairing.code_cells(notebook)[-2:], ("mean 3.00\n", "end\n"), strict=True):
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    assert missing_results(notebook, (r"mean 3\.0\d\nend",)) == []
    assert missing_results(notebook, (r"mean 3\.0\d", r"mean 4")) == ["nothing printed matches mean 4"]


def test_a_notebook_that_fails_at_the_smoke_size_is_kept(tmp_path):
    (tmp_path / "notebooks").mkdir()
    source = pairing.from_text(HEAD + "print('got this far')\nassert recipe == 'lesson'")
    with pytest.raises(CellExecutionError):
        smoke_problems(source, tmp_path / "notebooks", tmp_path / "kept.ipynb")
    assert nbformat.read(tmp_path / "kept.ipynb", as_version=4).cells[-1].outputs[0].text == "got this far\n"
