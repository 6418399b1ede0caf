"""The widgets in JupyterLab with a kernel: keyboard, values that travel both ways, errors that are seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.lab_server import running_lab

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyterlab")
FOLDER = Path(__file__).parent
CELLS = [f"""\
import sys
sys.path.insert(0, {str(FOLDER.parent / "widgets")!r})
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
"""]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_widgets_answer_in_jupyterlab(browser, tmp_path, pictures, theme):
    from playwright.sync_api import expect
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS], metadata={
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    with running_lab(tmp_path / "lab", theme) as lab:
        nbformat.write(notebook, lab.root / "widgets.ipynb")
        page = browser.new_page(viewport={"width": 1440, "height": 2300})
        page.set_default_timeout(60_000)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(lab.url("widgets.ipynb"))
        # 'Run All' pressed before the kernel is connected opens a 'Select Kernel' dialog instead.
        expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle", timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        told = page.locator(".told")
        explorer, player, builder = (page.get_by_label(name, exact=True)
                                     for name in ("temperature explorer", "alpha player", "cell builder"))
        expect(builder).to_be_visible(timeout=90_000)
        page.screenshot(path=pictures / f"lab_{theme}.png")

        explorer.locator("input[name=tau]").focus()         # from the browser to Python
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        expect(told).to_contain_text("tau is 1.259, alpha [0.0, 0.3, -0.4, 1.2, 0.6]")
        explorer.locator("input[name=alpha-1]").focus()
        page.keyboard.press("ArrowRight")
        expect(told).to_contain_text("alpha [0.0, 0.4,")
        page.get_by_role("button", name="tau to five").click()      # and back
        expect(explorer.locator('[data-name="gradient"]')).to_contain_text("At tau 5.00")

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

        builder.locator("select[name=edge-5]").select_option(label="none")
        expect(builder.locator('[data-name="arch"]')).to_contain_text("none~2|")
        expect(told).to_have_text(builder.locator('[data-name="arch"]').inner_text())
        page.screenshot(path=pictures / f"lab_{theme}_after.png")
        page.close()
    assert all(url.startswith((lab.base, "data:", "blob:")) for url in asked)
