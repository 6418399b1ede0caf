"""The notebook builder, on tiny notebooks that are right, or wrong in one way each: every gate is seen to fail."""

from __future__ import annotations

import base64
import copy
import io
import os
import subprocess
import sys

import nbformat
import pytest
from builder import __main__ as command_line
from builder import execution, gates, opening, pairing
from builder.page import html_page
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image, PngImagePlugin

GOOD = """\
# %% [markdown]
# # A tiny notebook
#
# It shows one number and one figure.
# [Open in Colab]()

# %% tags=["setup"]

# %% tags=["parameters"]
recipe = "lesson"

# %% [markdown]
# ## The number

# %%
print("the recipe is", recipe)
6 * 7
"""


@pytest.fixture(autouse=True)
def small_setup_cell(monkeypatch):
    """A set-up cell that imports nothing, so that a kernel costs one second."""
    monkeypatch.setattr(opening, "SETUP_TEMPLATE", 'print("set up from {repository} at {version}")')


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of notebooks with one source, 01_tiny."""
    (tmp_path / "notebooks" / "src").mkdir(parents=True)
    monkeypatch.setattr(command_line, "FAILED", tmp_path / "out" / "failed")
    write(tmp_path / "notebooks", GOOD)
    return tmp_path / "notebooks"


def write(folder, text):
    (folder / "src" / "01_tiny.py").write_text(text)


def built(folder):
    return nbformat.read(folder / "01_tiny.ipynb", as_version=4)


def good_pair():
    """A notebook as a build would leave it, without running anything, and its source."""
    source = pairing.from_text(opening.fill_in(GOOD, "01_tiny"))
    done = copy.deepcopy(source)
    for count, cell in enumerate(pairing.code_cells(done), start=1):
        cell.execution_count = count
    pairing.code_cells(done)[-1].outputs = [
        new_output("stream", name="stdout", text="the recipe is lesson\n")
    ]
    return done, source


# --- the whole way: build, change, build again ---


def test_a_build_runs_fills_in_and_passes_its_own_gates(folder, capsys):
    assert command_line.build_all(folder, [], force=False) == 0
    text = (folder / "src" / "01_tiny.py").read_text()
    assert opening.course_map("01_tiny") in text.replace("\n# ", "\n") and opening.setup_source() in text
    notebook = built(folder)
    last = pairing.code_cells(notebook)[-1]
    assert [output.output_type for output in last.outputs] == ["stream", "execute_result"]
    assert last.outputs[0].text == "the recipe is lesson\n" and last.outputs[1].data["text/plain"] == "42"
    assert command_line.check_all(folder) == []
    assert "[3/3] The number" in capsys.readouterr().out


def test_a_changed_sentence_keeps_outputs_and_a_changed_line_of_code_runs_again(folder, monkeypatch):
    command_line.build(folder, "01_tiny", force=False)
    before = built(folder)
    ran = []
    real = execution.execute
    monkeypatch.setattr(execution, "execute", lambda *a, **k: (ran.append(1), real(*a, **k)))

    text = (folder / "src" / "01_tiny.py").read_text()
    write(folder, text.replace("one number", "just one number"))
    assert command_line.check_all(folder) == [
        "01_tiny: cell 1 is not the text source's; build it again: python3 run.py build-notebooks"
    ]
    assert command_line.build(folder, "01_tiny", force=False) == [] and ran == []
    after = built(folder)
    assert [cell.id for cell in after.cells[1:]] == [cell.id for cell in before.cells[1:]]
    assert (
        pairing.code_cells(after) == pairing.code_cells(before) and "just one number" in after.cells[0].source
    )

    write(folder, text.replace("6 * 7", "6 * 8"))
    assert command_line.build(folder, "01_tiny", force=False) == [] and ran == [1]
    assert pairing.code_cells(built(folder))[-1].outputs[1].data["text/plain"] == "48"
    assert command_line.build(folder, "01_tiny", force=True) == [] and ran == [1, 1]


def test_two_builds_give_the_same_file(folder):
    command_line.build(folder, "01_tiny", force=False)
    first = (folder / "01_tiny.ipynb").read_bytes()
    command_line.build(folder, "01_tiny", force=True)
    assert (folder / "01_tiny.ipynb").read_bytes() == first


def test_a_failing_notebook_is_not_written_but_kept_elsewhere(folder, capsys):
    write(folder, GOOD + "\n# %%\nraise RuntimeError('the supernet is empty')\n")
    assert command_line.build_all(folder, ["01_tiny"], force=False) == 1
    assert not (folder / "01_tiny.ipynb").exists()
    kept = nbformat.read(command_line.FAILED / "01_tiny.ipynb", as_version=4)
    assert kept.cells[-1].outputs[0].evalue == "the supernet is empty"
    told = capsys.readouterr()
    assert "RuntimeError: the supernet is empty" in told.err and "FAILED" in told.out


def test_a_notebook_that_fails_a_gate_is_not_written(folder, capsys):
    write(folder, GOOD + "\n# %%\nimport sys\nprint('careful', file=sys.stderr)\n")
    assert command_line.build_all(folder, ["01_tiny"], force=False) == 1
    assert not (folder / "01_tiny.ipynb").exists()
    assert "cell 6 writes to stderr: careful" in capsys.readouterr().err


def test_a_notebook_of_another_name_is_refused(folder, capsys):
    assert command_line.build_all(folder, ["07_nothing"], force=False) == 1
    assert "no text source" in capsys.readouterr().err


def test_notebooks_without_a_source_and_sources_without_a_notebook_are_seen(folder):
    nbformat.write(good_pair()[0], folder / "02_orphan.ipynb")
    assert command_line.check_all(folder) == [
        "02_orphan: no text source src/02_orphan.py",
        "01_tiny: not built yet",
    ]


def test_all_notebooks_together_have_a_limit(folder, monkeypatch):
    command_line.build(folder, "01_tiny", force=False)
    monkeypatch.setattr(gates, "LIMIT_TOGETHER_KB", 0.1)
    assert command_line.check_all(folder) == [
        f"all notebooks together: {(folder / '01_tiny.ipynb').stat().st_size / 1000:.0f} kB, at most 0.1"
    ]


def test_a_page_shows_fresh_outputs_and_leaves_the_stored_notebook_alone(folder, tmp_path):
    command_line.build(folder, "01_tiny", force=False)
    before = (folder / "01_tiny.ipynb").read_bytes()
    assert command_line.show(folder, "01_tiny", tmp_path / "out") == 0
    page = (tmp_path / "out" / "01_tiny.html").read_text(encoding="utf-8")
    assert "the recipe is lesson" in page and "<title>01_tiny</title>" in page
    assert (folder / "01_tiny.ipynb").read_bytes() == before
    assert (tmp_path / "out" / "01_tiny.ipynb").exists()
    assert command_line.show(folder, "09_nothing", tmp_path / "out") == 1


# --- running ---


def notebook_of(*sources):
    return new_notebook(cells=[new_code_cell(source) for source in sources])


def test_a_failing_cell_raises_and_later_cells_do_not_run(tmp_path):
    notebook = notebook_of("1", "1 / 0", "print('never')")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execution.execute(notebook, tmp_path, limit_s=100)
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, None]


def test_a_kernel_that_dies_is_told_with_its_last_words(tmp_path):
    notebook = notebook_of("import os\nos.write(2, b'out of luck')\nos._exit(9)")
    with pytest.raises(DeadKernelError, match="ended by itself. .*out of luck"):
        execution.execute(notebook, tmp_path, limit_s=100)


def test_a_hanging_notebook_is_stopped_by_the_limit_on_the_whole(tmp_path):
    notebook = notebook_of("import os; print(os.getpid(), flush=True)", "while True: pass")
    with pytest.raises(CellTimeoutError):
        execution.execute(notebook, tmp_path, limit_s=3)
    pid = int(notebook.cells[0].outputs[0].text)
    with pytest.raises(ProcessLookupError):  # no kernel is left behind
        os.kill(pid, 0)


@pytest.mark.skipif(os.name == "nt", reason="signals to a group of processes")
def test_ctrl_c_ends_the_kernel_and_is_told_in_one_sentence(folder):
    waiting = (
        "import os\nfrom pathlib import Path\nPath('pid').write_text(str(os.getpid()))\nwhile True: pass"
    )
    write(folder, f"# %%\n{waiting}\n")
    script = (
        "import threading, os, signal; from pathlib import Path; from builder import __main__ as m\n"
        f"m.NOTEBOOKS = Path({str(folder)!r}); m.FAILED = m.NOTEBOOKS\n"
        "def press():\n"
        "    while not (pid := Path(m.NOTEBOOKS, 'pid')).exists() or not pid.read_text(): pass\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=press, daemon=True).start()\n"
        "m.script(['build'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=command_line.NOTEBOOKS,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1 and done.stderr == "Stopped; nothing was written.\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_a_kernel_gets_its_folder_inline_figures_and_no_user_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "mine"))
    names = ["MPLBACKEND", "PYTHONHASHSEED", "IPYTHONDIR"]
    notebook = notebook_of(
        f"import os\nprint(os.getcwd(), *[os.environ[name] for name in {names}], sep='\\n')"
    )
    execution.execute(notebook, tmp_path, limit_s=100)
    where, backend, seed, ipython = notebook.cells[0].outputs[0].text.splitlines()
    assert os.path.realpath(where) == os.path.realpath(tmp_path)
    assert "inline" in backend and seed == "0" and "gdas-lite-kernel" in ipython


def test_a_slow_cell_reports_its_newest_line(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "HEARTBEAT_S", 0.01)
    told = []
    waiting = (
        "from pathlib import Path\nprint('epoch 3/25', flush=True)\nwhile not Path('seen').exists(): pass"
    )

    def say(line):
        told.append(line)
        if "epoch 3/25" in line:
            (tmp_path / "seen").touch()  # the cell goes on once its line was told

    execution.execute(notebook_of(waiting), tmp_path, limit_s=100, say=say)
    assert any("so far" in line and line.endswith("epoch 3/25") for line in told)
    assert told[-1].startswith("[1/1] from pathlib import Path") and "so far" not in told[-1]


def test_another_recipe_is_set_after_the_parameters(tmp_path):
    stored, _ = good_pair()
    changed = pairing.with_recipe(stored, "smoke")
    assert len(changed.cells) == len(stored.cells) + 1 and changed.cells[3].source == "recipe = 'smoke'"
    execution.execute(changed, tmp_path, limit_s=100)
    assert changed.cells[-1].outputs[0].text == "the recipe is smoke\n"


@pytest.mark.parametrize("tags", [[], ["parameters", "parameters"]])
def test_another_recipe_needs_one_place_to_set_it(tags):
    notebook = new_notebook(cells=[new_code_cell("recipe = 1", metadata={"tags": [tag]}) for tag in tags])
    with pytest.raises(ValueError, match=f"found {len(tags)}"):
        pairing.with_recipe(notebook, "smoke")


def test_tidy_takes_out_widgets_and_chatter_and_nothing_else():
    view = {execution.WIDGET_VIEW: {"model_id": "1"}, "text/plain": "VBox()"}
    warning = "Fontconfig warning: line 5\ncompiling the loops of small networks\n"
    cell = new_code_cell("x")
    cell.outputs = [
        new_output("stream", name="stderr", text=warning),
        new_output("stream", name="stderr", text=warning + "a real one\n"),
        new_output("display_data", data=dict(view)),
        new_output("display_data", data={**view, "image/svg+xml": "<svg/>"}),
        new_output("display_data", data={"image/png": "abc", "text/plain": "Figure"}),
    ]
    notebook = new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    execution.tidy(notebook)
    assert "widgets" not in notebook.metadata
    assert cell.outputs[0].text == "a real one\n"
    assert [set(output.data) for output in cell.outputs[1:]] == [
        {"image/svg+xml", "text/plain"},
        {"image/png", "text/plain"},
    ]


def test_a_page_fetches_nothing_but_mathjax():
    page = html_page(notebook_of("1"), "tiny")
    assert "require" not in page.split("<body")[0] and "MathJax" in page


# --- the gates, each with what it must refuse ---


def test_a_good_notebook_has_no_problems():
    assert gates.problems(*good_pair(), "01_tiny") == []


def plant_output(**fields):
    kind = fields.pop("output_type")

    def plant(notebook):
        pairing.code_cells(notebook)[-1].outputs.append(new_output(kind, **fields))

    return plant


def drawing(text="", **svg):
    size = {"width": "100pt", "viewBox": "0 0 100 50", "aria-label": "Cell: conv 3x3, node 0 to node 1"} | svg
    attributes = " ".join(f'{name}="{value}"' for name, value in size.items() if value)
    return {"image/svg+xml": f"<svg {attributes}>{text}</svg>"}


def figure_png(edge=False, ground=(0, 0, 0, 0), width=200, **notes):
    """A figure as gdas_lite stores one: transparent, ink inside its border, notes in the file."""
    picture = Image.new("RGBA", (width, 50), ground)
    picture.paste((80, 80, 80, 255), (0 if edge else 10, 10, 60, 20))
    texts, out = PngImagePlugin.PngInfo(), io.BytesIO()
    for keyword, text in ({"Description": "GDAS finds it", "Smallest text": "9.4 px"} | notes).items():
        if text:
            texts.add_itxt(keyword, text)
    picture.save(out, "png", pnginfo=texts)
    return {"image/png": base64.b64encode(out.getvalue()).decode()}


def plant_picture(data):
    """A displayed picture as the build stores it."""
    def plant(notebook):
        plant_output(output_type="display_data", data=data)(notebook)
        execution.tidy(notebook)

    return plant


def change(cell, key, value):
    return lambda notebook: notebook.cells[cell].__setitem__(key, value)


PLANTED = {
    "source edited in the notebook": (change(0, "source", "# Another"), "cell 1 is not the text source's"),
    "id of an old build": (change(3, "id", "deadbeef"), "cell 4 is not the text source's"),
    "tag lost": (change(2, "metadata", {}), "cell 3 is not the text source's"),
    "cell lost": (lambda notebook: notebook.cells.pop(), "4 cells, but 5 in the text source"),
    "kernel of one machine": (
        lambda nb: nb.metadata.kernelspec.update(name="conda-env"),
        "its metadata is not",
    ),
    "never run": (change(4, "execution_count", None), "execution counts are [1, 2, None]"),
    "run out of order": (change(4, "execution_count", 7), "execution counts are [1, 2, 7], not [1, 2, 3]"),
    "error": (
        plant_output(output_type="error", ename="KeyError", evalue="'tau'", traceback=[]),
        "cell 5 ends in KeyError: 'tau'",
    ),
    "stderr": (
        plant_output(output_type="stream", name="stderr", text="UserWarning: x"),
        "writes to stderr: UserW",
    ),
    "home folder in text": (
        plant_output(output_type="stream", name="stdout", text="saved to /home/ann/runs/a"),
        "path of this machine: /home/ann/runs/a",
    ),
    "path in HTML": (
        plant_output(output_type="display_data", data={"text/html": "<b>C:\\Users\\ann</b>"}),
        "path of this machine: C:\\Users\\ann",
    ),
    "path of this checkout": (
        plant_output(output_type="stream", name="stdout", text=f"see {opening.ROOT}"),
        f"path of this machine: {opening.ROOT}",
    ),
    "path in a result": (
        plant_output(
            output_type="execute_result", data={"text/plain": "PosixPath('/tmp/run')"}, execution_count=3
        ),
        "path of this machine: /tmp/run",
    ),
    "widget state": (lambda nb: nb.metadata.update(widgets={"state": {}}), "widget state is stored"),
    "widget view": (
        plant_output(output_type="display_data", data={execution.WIDGET_VIEW: {"model_id": "1"}}),
        "stores a view of a widget",
    ),
    "too large": (
        plant_output(output_type="display_data", data={"image/png": "A" * 500_000}),
        "kB, at most 500",
    ),
    "long cell": (change(4, "source", "x = 1\n" * 26), "26 lines of code, at most 25"),
    "heading in code": (
        change(4, "source", "x = 1\n#\n# ## The space\n"),
        "cell 5 is code and holds the heading '# ## The space'",
    ),
    "drawing without text": (plant_picture(drawing(**{"aria-label": ""})), "a drawing without alternative text"),
    "figure without text": (plant_picture(figure_png(Description="")), "a picture without alternative text"),
    "HTML image without text": (plant_picture({"text/html": '<img src="a.png">'}), "an <img> without alternative text"),
    "image in prose without text": (change(0, "source", "# A\n![](a.png)"), "has an image without alternative text"),
    "small letters": (plant_picture(figure_png(**{"Smallest text": "8.9 px"})), "text of 8.9 pixels, at least 9"),
    "small letters in a wide figure": (plant_picture(figure_png(width=1520)), "text of 4.7 pixels"),
    "small letters in a drawing": (plant_picture(drawing('<text font-size="6.00">a</text>')), "text of 8.0 pixels"),
    "small letters in a wide drawing": (
        plant_picture(drawing('<text font-size="11.00">a</text>', width="1140pt", viewBox="0 0 1140 50")),
        "text of 7.3 pixels",
    ),
    "size of letters unknown": (plant_picture(figure_png(**{"Smallest text": ""})), "does not say how large its text is"),
    "white slab": (plant_picture(figure_png(ground=(255, 255, 255, 255))), "with a ground of its own"),
    "cut off": (plant_picture(figure_png(edge=True)), "a picture that is cut off"),
    "no picture": (plant_picture({"image/png": "abc"}), "a picture that cannot be read"),
    "other recipe stored": (change(2, "source", 'recipe = "paper"'), 'hold the line `recipe = "lesson"`'),
    "no parameters": (change(2, "metadata", {}), "exactly one code cell must be tagged `parameters`"),
    "other set-up cell": (change(1, "source", "%pip install torch"), "must be the set-up cell"),
    "no set-up cell": (change(1, "metadata", {}), "must be the set-up cell"),
    "link of another notebook": (
        lambda nb: nb.cells[0].update(source=nb.cells[0].source.replace("03_gdas.ipynb", "04_darts.ipynb")),
        "the first cell must be text with the line",
    ),
    "no link": (change(0, "source", "# A tiny notebook"), "the first cell must be text with the line"),
}


@pytest.mark.parametrize(("plant", "complaint"), PLANTED.values(), ids=PLANTED.keys())
def test_a_gate_refuses(plant, complaint):
    notebook, source = good_pair()
    plant(notebook)
    found = gates.problems(notebook, source, "01_tiny")
    assert any(complaint in problem for problem in found), found
    assert all(problem.startswith("01_tiny: ") for problem in found)


def test_every_gate_has_something_that_it_alone_refuses():
    """Each of the nine gates complains about some planted fault when it is asked by itself."""
    notebook, source = good_pair()
    silent = {
        "disagreements",
        "wrong_opening",
        "wrong_parameters",
        "wrong_counts",
        "headings_in_code",
        "bad_outputs",
        "traces_of_this_machine",
        "excess",
        "unreadable_pictures",
    }
    for plant, _ in PLANTED.values():
        mutant = copy.deepcopy(notebook)
        plant(mutant)
        for gate in set(silent):
            extra = {"disagreements": (source,), "wrong_opening": ("01_tiny",)}.get(gate, ())
            if getattr(gates, gate)(mutant, *extra):
                silent.remove(gate)
    assert not silent


def test_an_error_that_is_the_lesson_and_a_picture_that_spells_a_path_may_stay(monkeypatch):
    notebook, source = good_pair()
    for each in (notebook, source):
        each.cells[4].metadata = {"tags": [pairing.EXPECTED_ERROR]}
    plant_output(output_type="error", ename="ValueError", evalue="tau must be > 0", traceback=[])(notebook)
    monkeypatch.setattr(gates, "faults", lambda output: [])     # of a picture whose text spells a path, no real one
    plant_output(output_type="display_data", data={"image/png": "AAA+/tmp/AAA"})(notebook)
    plant_output(
        output_type="display_data", data={"text/html": '<img src="data:image/png;base64,AA+/tmp/AA=">'}
    )(notebook)
    assert gates.problems(notebook, source, "01_tiny") == []


def test_pictures_that_can_be_read_may_stay():
    notebook, source = good_pair()
    for data in (figure_png(), drawing('<text font-size="11.00">a</text>'), {"text/html": '<img alt="a cell" src="a.png">'},
                 figure_png() | drawing()):
        plant_picture(data)(notebook)
    assert gates.problems(notebook, source, "01_tiny") == []
    page = html_page(notebook, "tiny")
    assert page.count('alt="GDAS finds it"') == 1 and page.count('alt="Cell: conv 3x3, node 0 to node 1"') == 2


# --- the set-up cell ---

STUBS = {
    "IPython.py": """
from pathlib import Path
class Shell:
    def run_line_magic(self, name, line):
        print("magic", name, line)
        Path("gdas_lite.py").write_text("__version__ = '0.1.0'")
def get_ipython(): return Shell()
""",
    "torch.py": """
__version__ = "2.11.0"
class cuda:
    is_available = staticmethod(lambda: False)
""",
}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Run the real set-up cell, twice, on a machine without gdas_lite; `before` is what stands before the cell."""
    monkeypatch.undo()
    for name, text in STUBS.items():
        (tmp_path / name).write_text(text)

    def run_cell(before=""):
        script = tmp_path / "cells.py"
        script.write_text("\n".join([before, opening.setup_source(), opening.setup_source()]))
        environment = {
            "PYTHONPATH": str(tmp_path),
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-S", str(script)]  # -S: none of the installed packages
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run_cell


def owned(monkeypatch, address="https://github.com/somebody/gdas-lite"):
    """As if pyproject.toml named a repository."""
    real = opening.project()
    monkeypatch.setattr(opening, "project", lambda: real | {"urls": {"Repository": address}})


def test_the_setup_cell_installs_on_colab_once_and_touches_nothing_else(elsewhere, monkeypatch):
    owned(monkeypatch)
    done = elsewhere("import sys\nsys.modules['google.colab'] = sys")
    assert done.returncode == 0, done.stderr
    magic, *versions = done.stdout.splitlines()
    address = f"git+https://github.com/somebody/gdas-lite@v{opening.project()['version']}"
    assert magic == f"magic pip install -q --no-deps {address}"
    assert versions == ["gdas_lite 0.1.0 | torch 2.11.0 | CPU"] * 2


def test_without_a_repository_the_setup_cell_on_colab_says_how_to_install_an_upload(elsewhere, monkeypatch):
    owned(monkeypatch, "https://github.com/OWNER/gdas-lite")
    done = elsewhere("import sys\nsys.modules['google.colab'] = sys")
    assert done.returncode == 1 and "magic" not in done.stdout
    assert done.stderr.splitlines()[-1].endswith("run `%pip install --no-deps gdas-lite.zip`")


def test_the_setup_cell_elsewhere_says_what_to_do_and_installs_nothing(elsewhere):
    done = elsewhere()
    assert done.returncode == 1 and "magic" not in done.stdout
    assert (
        done.stderr.splitlines()[-1]
        == "ModuleNotFoundError: no gdas_lite here: in the checkout run `python3 run.py lab`"
    )


def test_the_map_links_every_other_notebook_the_glossary_and_colab_once_there_is_a_repository(monkeypatch):
    folder = opening.ROOT / "notebooks"
    assert set(opening.COURSE) == {path.stem for path in (folder / "src").glob("*.py")}
    assert (folder / "glossary.md").is_file()
    owned(monkeypatch, "https://github.com/OWNER/gdas-lite")
    text = opening.course_map("03_gdas")
    assert "**3 GDAS**" in text and "03_gdas.ipynb" not in text and "Colab" not in text
    assert all(f"({name}.ipynb)" in text for name in opening.COURSE if name != "03_gdas")
    owned(monkeypatch)
    assert "(https://colab.research.google.com/github/somebody/gdas-lite/blob/main/notebooks/03_gdas.ipynb)" in (
        opening.course_map("03_gdas"))


def test_filling_in_twice_changes_nothing_and_a_link_to_nobody_is_seen(monkeypatch):
    once = opening.fill_in(GOOD, "01_tiny")
    assert opening.fill_in(once, "01_tiny") == once and '"source_hidden": true' in once
    done, source = good_pair()
    for notebook in (done, source):
        notebook.cells[0].source += "\n[here](https://github.com/OWNER/gdas-lite)"
    assert any("links to a repository of OWNER" in problem for problem in gates.problems(done, source, "01_tiny"))


def test_the_setup_cell_is_short(monkeypatch):
    monkeypatch.undo()
    assert len(opening.setup_source().splitlines()) <= 10
