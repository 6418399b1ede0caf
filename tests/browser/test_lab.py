"""The widgets in JupyterLab with a kernel: keyboard, values that travel both ways, errors that are seen, a run in the background.

One server for all; each theme has its own page and kernel. The light one runs the quick start first, at the smoke size.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.lab_server import running_lab

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyterlab")
FOLDER = Path(__file__).parent
FAULTS = (FOLDER / "page_faults.js").read_text(encoding="utf-8")
QUICK_START = FOLDER.parents[1] / "notebooks" / "00_quickstart.ipynb"
CELLS = [f"""\
import sys
sys.path.insert(0, {str(FOLDER.parent / "visual" / "widgets")!r})
import gdas_lite as gl, ipywidgets
from made_up_searches import made_up_history, made_up_table
history, table = made_up_history(gl.NASBench201(), 8), made_up_table()
told, to_five = ipywidgets.Label("nothing yet"), ipywidgets.Button(description="tau to five")
told.add_class("told");
""", """\
explorer = gl.TemperatureExplorer(tau=1.0)
explorer.observe(lambda change: setattr(told, "value", f"tau is {explorer.tau}, alpha {explorer.alpha}"), ["tau", "alpha"])
to_five.on_click(lambda _: setattr(explorer, "tau", 5.0))
display(ipywidgets.HBox([told, to_five]))
explorer
""", """\
player = gl.AlphaPlayer(history, table)
def grumble(change):
    if change["new"] == 3:
        raise RuntimeError("epoch four is not for me")
player.observe(grumble, "epoch")
player
""", """\
builder = gl.CellBuilder(table, cell=history[0].genotype, channels=4, cells_per_stage=1)
builder.observe(lambda change: setattr(told, "value", str(builder.genotype)), "ops")
builder
""", """\
browser = gl.ZooBrowser()
browser.observe(lambda change: setattr(told, "value", f"{browser.name} has {len(browser.cells)} beside it"), "name")
browser
""", """\
gl.PerfectWeightsExplorer("gdas", seeds=4, steps=200)
""", """\
gl.AlphaPlayer({"GDAS": history, "DARTS": made_up_history(gl.NASBench201(), 5, seed=1)}, table)
""", """\
endless = gl.search_recipe("smoke", "nasbench201", "gdas", epochs=20_000)
board = gl.Dashboard(lambda: gl.Search(gl.NASBench201(4, 1), gl.load_data("digits"), gl.GDAS(), recipe=endless), table)
board
""", """\
import time
time.sleep(0.5)
print("the kernel answers while the search is", board.state)
"""]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with running_lab(tmp_path_factory.mktemp("lab") / "lab") as started:
        yield started


def notebook(with_quick_start):
    new = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    if with_quick_start:
        from builder import pairing
        new.cells = pairing.with_recipe(nbformat.read(QUICK_START, as_version=4), "smoke").cells
        for cell in pairing.code_cells(new):
            cell.outputs, cell.execution_count = [], None
    new.cells += [nbformat.v4.new_code_cell(source) for source in CELLS]
    return new


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_widgets_answer_in_jupyterlab(browser, lab, pictures, theme):
    from playwright.sync_api import expect
    nbformat.write(notebook(with_quick_start=theme == "light"), lab.root / f"{theme}.ipynb")
    lab.use_theme(theme)
    page = browser.new_page(viewport={"width": 1440, "height": 2300})
    page.set_default_timeout(60_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(lab.url(f"{theme}.ipynb"))
    # 'Run All' pressed before the kernel is connected opens a 'Select Kernel' dialog instead.
    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle", timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(page.get_by_text("the kernel answers while the search is ready")).to_be_visible(timeout=150_000)
    check_outputs(page)
    told = page.locator(".told")
    parts = {name: page.get_by_label(name, exact=True).first for name in
             ("temperature explorer", "alpha player", "cell builder", "zoo browser", "perfect weights explorer", "dashboard")}
    players = page.get_by_label("alpha player", exact=True)     # the quick start has one, too
    parts["alpha player"], parts["two searches"] = (players.nth(players.count() - left) for left in (2, 1))
    check_explorer(page, parts["temperature explorer"], told)
    check_player(page, parts["alpha player"])
    parts["cell builder"].locator("select[name=edge-5]").select_option(label="none")
    expect(parts["cell builder"].locator('[data-name="arch"]')).to_contain_text("none~2|")
    expect(told).to_have_text(parts["cell builder"].locator('[data-name="arch"]').inner_text())
    check_zoo(page, parts["zoo browser"], told)
    check_perfect_weights(page, parts["perfect weights explorer"])
    check_dashboard(page, parts["dashboard"])
    for width in (1440, 1000):
        page.set_viewport_size({"width": width, "height": 2300})
        assert page.evaluate(FAULTS, 9) == [], (width, theme)
        for name, part in parts.items():
            part.screenshot(path=pictures / f"lab_{name.replace(' ', '_')}_{width}_{theme}.png")
        page.screenshot(path=pictures / f"lab_{width}_{theme}.png")
    page.close()
    assert all(url.startswith((lab.base, "data:", "blob:")) for url in asked)


def check_outputs(page):
    """No cell failed or wrote to stderr (but for a compiler at work), and each ran once."""
    from playwright.sync_api import expect
    for kind in ("error", "stderr"):
        bad = page.locator(f'.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.{kind}"]')
        assert not [text for text in bad.all_inner_texts() if not text.startswith("compiling the ")]
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    expect(prompts.last).to_have_text(re.compile(r"\d"))         # its output comes before its number
    texts = [text.strip() for text in prompts.all_inner_texts()]
    assert texts.count("") <= 1         # a set-up cell that is folded away shows none
    assert all(text in ("", f"[{number}]:") for number, text in enumerate(texts, start=1)), texts


def check_explorer(page, explorer, told):
    from playwright.sync_api import expect
    before = explorer.locator("figure svg").first.inner_html()
    explorer.locator("input[name=tau]").focus()         # from the browser to Python
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(told).to_contain_text("tau is 1.259, alpha [0.0, 0.3, -0.4, 1.2, 0.6]")
    assert explorer.locator("figure svg").first.inner_html() != before
    explorer.locator("input[name=alpha-1]").focus()
    page.keyboard.press("ArrowRight")
    expect(told).to_contain_text("alpha [0.0, 0.4,")
    page.get_by_role("button", name="tau to five").click()      # and back
    expect(explorer.locator('[data-name="gradient"]')).to_contain_text("At tau 5.00")


def check_player(page, player):
    from playwright.sync_api import expect
    expect(player.locator("output")).to_have_text("8 of 8")         # it opens at the end
    player.locator("input[name=epoch]").press("Home")
    player.get_by_role("button", name="play").focus()
    page.keyboard.press("Enter")
    expect(player.locator("output")).to_have_text("8 of 8")
    expect(player.get_by_role("button", name="play")).to_be_visible()
    player.locator("input[name=epoch]").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    expect(player.get_by_role("alert")).to_have_text("RuntimeError: epoch four is not for me")
    page.keyboard.press("ArrowLeft")
    expect(player.get_by_role("alert")).to_be_hidden()


def check_zoo(page, zoo, told):
    from playwright.sync_api import expect
    zoo.get_by_label("published cells", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(zoo.locator('[data-name="name"]')).to_contain_text("GDAS_F1")
    expect(told).to_have_text("GDAS_F1 has 47 beside it")
    zoo.get_by_label("filter", exact=True).fill("enas recurrent")
    expect(zoo.locator('[data-name="count"]')).to_have_text("1 of 47 cells")


def check_perfect_weights(page, explorer):
    from playwright.sync_api import expect
    words, waits = explorer.locator('[data-name="words"]'), explorer.locator('[data-name="waits"]')
    first = words.inner_text()
    explorer.get_by_label("rule", exact=True).select_option("straight-through")
    expect(words).to_contain_text("straight-through: after 200 steps the regret is")
    expect(waits).to_have_text("")
    curve = explorer.locator(".gl-plot path:not(.gl-band)")
    before = curve.first.get_attribute("d")
    explorer.locator("input[name=tau_first]").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(explorer.locator("output").first).to_have_text("7.08")
    expect(curve.nth(1)).not_to_have_attribute("d", "")
    expect(curve.first).not_to_have_attribute("d", before)
    explorer.get_by_label("rule", exact=True).select_option("darts")
    expect(words).to_contain_text("darts: after")
    expect(explorer.locator("input[name=tau_first]")).to_be_disabled()          # it has no temperature
    explorer.get_by_role("button", name="reset").click()
    expect(words).to_have_text(first)


def halted(how: str) -> re.Pattern:
    """A run may halt within an epoch or between two."""
    return re.compile(rf"{how}, (?:after )?epoch \d")


def check_dashboard(page, board):
    from playwright.sync_api import expect
    where, main = board.locator('[data-name="where"]'), board.locator("button[name=main]")
    expect(main).to_have_text("start")
    main.focus()
    page.keyboard.press("Enter")
    expect(board.locator(".gl-matrix")).to_be_visible()         # after the first epoch
    expect(board.locator('[data-name="derived"]')).to_contain_text("of 15,625")
    last = page.locator(".jp-CodeCell").last
    last.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(last.get_by_text("the kernel answers while the search is running")).to_be_visible()
    main.focus()
    page.keyboard.press("Enter")
    expect(where).to_contain_text(halted("paused"))
    expect(main).to_have_text("resume")
    paused = where.inner_text()
    page.wait_for_timeout(300)                  # in which some epochs would pass
    assert where.inner_text() == paused
    page.keyboard.press("Enter")                # the focus is still there
    expect(main).to_have_text("pause")
    at = int(re.search(r"epoch (\d+)", paused)[1])
    expect(where).to_contain_text(re.compile(rf"epoch (?!{at}\b)\d+ of"))
    board.get_by_role("button", name="stop").press("Enter")
    expect(where).to_contain_text(halted("stopped"))
    last = int(re.search(r"epoch (\d+)", where.inner_text())[1])
    assert last > at
    board.get_by_role("button", name="start anew").press("Enter")
    expect(main).to_have_text("pause")
    board.get_by_role("button", name="stop").press("Enter")
    expect(where).to_contain_text(re.compile("stopped, (epoch|after epoch|before)"))
    assert "before" in where.inner_text() or int(re.search(r"epoch (\d+)", where.inner_text())[1]) < last
    expect(board.get_by_role("alert")).to_be_hidden()
