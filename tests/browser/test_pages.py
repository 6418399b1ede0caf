"""The widgets' pages in a real browser, from disk, with the network off: every number against NumPy, PyTorch or a table."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.visual.widgets import temperature
from gdas_lite.visual.widgets.temperature import TemperatureExplorer
from tests.visual.widgets.made_up_searches import FakeRun, made_up_history, made_up_table

SMALL = {"channels": 4, "cells_per_stage": 1, "image_channels": 1, "image_size": 8}
CELL = NASBench201Genotype.parse("|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def named(page, name):
    return page.locator(f'[data-name="{name}"]')


def matrix(page):
    rows = page.locator(".gl-matrix tbody tr").all()
    return np.array([[float(cell) for cell in row.locator("td").all_inner_texts()] for row in rows])


def column(page, name, count=5):
    return np.array([float(named(page, f"{name}-{k}").inner_text().split()[0].replace("\u2212", "-")) for k in range(count)])


# ---- temperature explorer

def gradient_sizes(alpha, seed, draws, tau):
    """Norms of the Jacobian of every soft sample, by autograd."""
    noise = torch.as_tensor(-np.log(-np.log(temperature.uniforms(seed, draws * len(alpha))))).reshape(draws, -1)

    def soft(a):
        return ((a.log_softmax(-1) + noise) / tau).softmax(-1)

    jacobian = torch.autograd.functional.jacobian(soft, torch.tensor(alpha, dtype=torch.float64))       # (draws, K, K)
    return jacobian.flatten(1).norm(dim=1).numpy()


def check_explorer(page, alpha, seed, tau, draws):
    probabilities = temperature.softmax(np.array(alpha))
    noisy = temperature.noisy_logits(np.array(alpha), seed, draws)
    shares = np.bincount(noisy.argmax(-1), minlength=len(alpha)) / draws
    np.testing.assert_allclose(column(page, "probability"), probabilities, atol=5.1e-4)
    np.testing.assert_allclose(column(page, "share"), shares, atol=5.1e-4)
    np.testing.assert_allclose(column(page, "noisy"), noisy[0], atol=5.1e-3)
    np.testing.assert_allclose(column(page, "soft"), temperature.softmax(noisy[0] / tau), atol=5.1e-4)
    assert column(page, "hard").argmax() == noisy[0].argmax() and column(page, "hard").sum() == 1
    sizes = gradient_sizes(alpha, seed, draws, tau)
    words = named(page, "gradient").inner_text()
    shown = [float(word.strip(",;.")) for word in words.split(":")[1].replace(";", " ").split() if word[0].isdigit()]
    shown = [number for number in shown if number != draws]
    np.testing.assert_allclose(shown, [sizes[0], sizes.mean(), np.median(sizes), sizes.max()], rtol=0.06, atol=6e-4)


def test_the_temperature_slider_by_keyboard(open_page):
    alpha = [0.0, 0.3, -0.4, 1.2, 0.6]
    page = open_page(TemperatureExplorer(alpha, draws=200))
    check_explorer(page, alpha, 0, 1.0, 200)
    before = {name: column(page, name) for name in ("probability", "share", "noisy", "hard", "soft")}
    strip = page.locator("figure svg").first.inner_html()
    slider = page.locator("input[name=tau]")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    check_explorer(page, alpha, 0, 10**0.4, 200)
    assert slider.get_attribute("aria-valuetext") == "2.51"
    for name in ("probability", "share", "noisy", "hard"):         # what tau does not change
        assert (column(page, name) == before[name]).all()
    assert (column(page, "soft") != before["soft"]).any() and page.locator("figure svg").first.inner_html() != strip
    page.keyboard.press("Home")
    check_explorer(page, alpha, 0, 0.1, 200)


def test_alpha_and_noise_by_keyboard(open_page):
    page = open_page(TemperatureExplorer([0.0] * 5, tau=0.5, draws=200))
    page.locator("input[name=alpha-3]").focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    check_explorer(page, [0, 0, 0, 0.7, 0], 0, 0.5, 200)
    page.get_by_role("button", name="draw again").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    check_explorer(page, [0, 0, 0, 0.7, 0], 2, 0.5, 200)


def test_values_beyond_a_slider_or_between_its_steps_are_shown_as_they_are(open_page):
    page = open_page(TemperatureExplorer([0.0, 5.0, -0.06, 0.0, 0.0], tau=0.05, draws=200))
    for name, shown in (("tau", "0.050"), ("alpha-1", "5.0"), ("alpha-2", "\u22120.1")):
        assert shown in page.locator(f"label:has(input[name={name}])").inner_text()
        assert page.locator(f"input[name={name}]").get_attribute("aria-valuetext") == shown
    check_explorer(page, [0, 5.0, -0.06, 0, 0], 0, 0.05, 200)


def test_an_error_is_shown_in_the_widget(open_page):
    class Broken(TemperatureExplorer):
        def page_state(self):
            return super().page_state() | {"alpha": [0.0]}

    page = open_page(Broken(), may_fail=True)
    assert "alpha must have 5 numbers" in page.get_by_role("alert").inner_text()


# ---- alpha player

def test_the_player_scrubs_and_plays(open_page, table):
    space = gl.NASBench201()
    history = made_up_history(space)
    page = open_page(gl.AlphaPlayer(history, table))

    def check(epoch):
        cell = gl.parse_genotype(history[epoch].genotype)
        assert named(page, "arch").inner_text() == str(cell)
        words = named(page, "derived").inner_text()
        assert f"epoch {epoch + 1}:" in words and f"rank {table.rank(cell):,} of 15,625" in words
        probabilities = history.op_probs["cell"][epoch]
        np.testing.assert_allclose(matrix(page), probabilities, atol=5.1e-4)
        assert page.locator("td.gl-kept").count() == 6
        widths = [float(path.get_attribute("stroke-width")) for path in page.locator("svg.gl-graph path[fill=none]").all()[1::2]]
        np.testing.assert_array_equal(np.argsort(widths), np.argsort(probabilities.max(-1)))

    check(11)           # it opens at the end
    slider = page.locator("input[name=epoch]")
    slider.focus()
    page.keyboard.press("Home")
    check(0)
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    check(4)
    page.keyboard.press("End")
    check(11)
    play = page.get_by_role("button", name="play")
    play.focus()
    page.keyboard.press("Enter")        # from the end it begins anew
    page.get_by_role("button", name="pause").wait_for()
    page.get_by_role("button", name="play").wait_for()
    check(11)


def test_the_player_plays_as_fast_as_it_is_told(open_page):
    page = open_page(gl.AlphaPlayer(made_up_history(gl.NASBench201(), 60)))
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    seen = {}
    for speed in ("0.25", "1", "4"):
        page.get_by_label("speed", exact=True).select_option(speed)
        page.locator("input[name=epoch]").press("Home")
        page.get_by_role("button", name="play").click()
        page.clock.run_for(1999)
        seen[speed] = int(page.locator("input[name=epoch]").input_value())
        page.get_by_role("button", name="pause").click()
    assert seen == {"0.25": 2, "1": 9, "4": 33}         # 200 ms an epoch; 60 ms is the shortest


def test_two_searches_side_by_side_with_the_accuracy_of_each_epochs_cell(open_page, table):
    histories = {"GDAS": made_up_history(gl.NASBench201(), 6), "DARTS": made_up_history(gl.NASBench201(), 4, seed=1)}
    player = gl.AlphaPlayer(histories, table)
    page = open_page(player)
    assert page.locator("h3").all_inner_texts() == ["GDAS", "DARTS"] * 2            # the cells, then their numbers
    tops = page.locator("h3").evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
    assert tops[0] == tops[1]               # at 1,000 px
    for epoch in (5, 4, 3, 1):
        page.locator("input[name=epoch]").fill(str(epoch))
        for i, history in enumerate(histories.values()):
            at = min(epoch, len(history) - 1)
            cell = history[at].genotype
            words = named(page, "derived").nth(i).inner_text()
            assert named(page, "arch").nth(i).inner_text() == cell and f"after epoch {at + 1}" in words
            assert (", its last" in words) == (at < epoch) and f"rank {table.rank(cell):,} of" in words
            reading = page.locator("figure:has-text('in the table') .gl-key .gl-num").nth(i).inner_text()
            assert reading == f"{table.accuracy(cell):.2f}"
    lines = page.locator("figure:has-text('in the table') path").evaluate_all(
        "all => all.map(one => one.getAttribute('d'))")
    for line, history in zip(lines, histories.values()):
        heights = np.array([float(point.split()[1]) for point in line[1:].split("L")])
        accuracies = np.array([table.accuracy(record.genotype) for record in history])
        np.testing.assert_allclose(heights, 6 + 104 * (1 - accuracies / 100), atol=0.051)     # the axis is 0 to 100


def test_one_probability_has_one_tint_in_player_and_dashboard_at_every_epoch(open_page):
    """The scale is fixed: opacity 150 / 255 at probability 1, whatever the largest probability of the search is."""
    board, history = paused_board(gl.NASBench201(), 7), made_up_history(gl.NASBench201(), 12)
    for widget, epochs in ((gl.AlphaPlayer(history), (0, 6, 11)), (board, (6,))):
        page = open_page(widget)
        for epoch in epochs:
            if widget is not board:
                page.locator("input[name=epoch]").fill(str(epoch))
            tints = page.locator(".gl-matrix td").evaluate_all(
                "all => all.map(one => Number(getComputedStyle(one).backgroundColor.split(',')[3].slice(0, -1)))")
            np.testing.assert_allclose(tints, history.op_probs["cell"][epoch].ravel() * 150 / 255, atol=0.004)


def test_an_edge_is_chosen_in_the_graph_and_in_the_matrix(open_page):
    page = open_page(gl.AlphaPlayer(made_up_history(gl.NASBench201())))
    page.locator(".gl-pick").nth(2).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert "Edge 0 \u2192 3" in page.locator("figcaption").last.inner_text()
    page.locator("button.gl-row").nth(1).click()
    assert "Edge 0 \u2192 2" in page.locator("figcaption").last.inner_text()
    assert page.locator(".gl-marked").get_attribute("aria-label").startswith("edge 0 \u2192 2: ")


@pytest.mark.parametrize("space", [gl.NASNet(), gl.Recurrent()], ids=["nasnet", "recurrent"])
def test_the_player_follows_the_other_spaces(open_page, space):
    history = made_up_history(space, 4)
    page = open_page(gl.AlphaPlayer(history))
    for kind in space.labels:
        if len(space.labels) > 1:
            page.get_by_label("cell", exact=True).select_option(label=f"{kind} cell")
        for epoch, key in ((3, "End"), (0, "Home")):
            page.locator("input[name=epoch]").focus()
            page.keyboard.press(key)
            assert named(page, "arch").inner_text() == history[epoch].genotype
            np.testing.assert_allclose(matrix(page), history.op_probs[kind][epoch], atol=5.1e-4)
            labels = page.locator("svg.gl-graph .gl-pick").evaluate_all("g => g.map(x => x.getAttribute('aria-label'))")
            assert sum("not in the derived cell" not in label for label in labels) == 8


class Views:
    """A page with so many views of a widget's model, which the page calls `model`."""

    def __init__(self, widget, count=1):
        self.widget, self.count = widget, count

    def to_html(self, path):
        file = self.widget.to_html(path)
        before, call, after = file.read_text(encoding="utf-8").partition("render({ model, el:")
        more = f"{call} document.querySelector('main').appendChild(document.createElement('div')) }});\n" * (self.count - 1)
        file.write_text(f"{before}window.model = model;\n{more}{call}{after}", encoding="utf-8")
        return file


def test_of_two_views_of_a_player_one_plays(open_page):
    page = open_page(Views(gl.AlphaPlayer(made_up_history(gl.NASBench201(), 60)), 2))
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    epochs, buttons = page.locator("input[name=epoch]"), page.locator(".gl-controls button")
    epochs.first.press("Home")
    for i in (0, 1):
        buttons.nth(i).click()
    page.clock.run_for(1999)            # 200 ms an epoch; the first view stops at the first step of the second
    assert [one.input_value() for one in epochs.all()] == ["10", "10"]
    assert buttons.all_inner_texts() == ["play", "pause"]
    buttons.nth(1).click()
    page.clock.run_for(1999)
    assert epochs.first.input_value() == "10" and buttons.all_inner_texts() == ["play", "play"]


def test_a_player_of_every_nth_epoch_says_which(open_page, table):
    page = open_page(gl.AlphaPlayer(made_up_history(gl.NASBench201(), 12)[1::5], table))
    for key, epoch in (("Home", 2), ("ArrowRight", 7), ("End", 12)):
        page.locator("input[name=epoch]").press(key)
        assert page.locator("output").inner_text() == f"{epoch} of 12"
        assert named(page, "derived").inner_text().startswith(f"Cell after epoch {epoch}:")
    for plot in page.locator(".gl-plot").all():
        assert {"epoch 2", "7", "12"} <= set(plot.locator("text").all_text_contents())
        assert "after 3 epochs" not in plot.get_attribute("aria-label")


# ---- cell builder and cell view

def test_a_cell_is_built(open_page, table):
    page = open_page(gl.CellBuilder(table, **SMALL))

    def check(cell):
        cost = gl.cost_of(gl.network(cell, channels=4, cells_per_stage=1, image_channels=1), (1, 8, 8))
        assert named(page, "arch").inner_text() == str(cell)
        assert named(page, "parameters").inner_text() == f"{cost.parameters:,}"
        assert named(page, "adds").inner_text() == f"{cost.multiply_adds:,}"
        assert named(page, "accuracy").inner_text() == f"{table.accuracy(cell):.2f} % (toy_test_1)"
        assert named(page, "rank").inner_text() == f"{table.rank(cell):,} of 15,625"
        better = [other for other in cell.neighbours() if table.accuracy(other) > table.accuracy(cell)]
        words = named(page, "better").inner_text()
        if not better:
            assert "local optimum" in words
            return None
        best = max(table.accuracy(other) for other in better)
        assert f": {best:.2f} %" in words and f"{len(better)} of 24 neighbours" in words
        return better

    for edge, op in enumerate(CELL.ops):
        page.locator(f"select[name=edge-{edge}]").select_option(label=op)
    assert check(CELL)
    words = page.locator(".gl-pick").nth(0).get_attribute("aria-label")
    assert words == "edge 0 \u2192 1: nor_conv_3x3, on no path from input to output"
    page.locator(".gl-pick").nth(2).focus()
    page.keyboard.press("Enter")        # the operation after none
    cell = NASBench201Genotype((*CELL.ops[:2], "skip_connect", *CELL.ops[3:]))
    assert check(cell)
    step = page.get_by_role("button", name="take that step")
    while step.is_enabled():
        before = table.accuracy(cell)
        step.click()
        cell = NASBench201Genotype.parse(named(page, "arch").inner_text())
        assert table.accuracy(cell) > before
    assert check(cell) is None


def test_the_builder_without_a_table_says_so(open_page):
    page = open_page(gl.CellBuilder(None, cell=CELL, **SMALL))
    assert named(page, "arch").inner_text() == str(CELL) and named(page, "rank").count() == 0
    assert "shown with a table" in page.locator(".gl-widget").inner_text()


def test_the_builder_takes_back_and_begins_again(open_page, table):
    page = open_page(gl.CellBuilder(table, cell=CELL, **SMALL))
    button = {name: page.get_by_role("button", name=name, exact=True)
              for name in ("undo", "reset", "no cell", "ResNet cell")}
    arch = named(page, "arch")
    assert button["undo"].is_disabled()
    shown = [str(CELL)]
    for name in ("no cell", "ResNet cell", "no cell"):
        button[name].press("Enter")
        shown.append(arch.inner_text())
    resnet = str(gl.zoo_genotype("resnet", "nasbench201"))
    assert shown[1:] == [shown[1], resnet, shown[1]] and shown[1].count("skip_connect~0|none~1|none~2|") == 1
    assert shown[1].count("none") == 5
    for before in shown[-2::-1]:
        button["undo"].click()
        assert arch.inner_text() == before
    assert button["undo"].is_disabled()
    page.locator("select[name=edge-5]").select_option(label="none")
    button["reset"].click()
    assert arch.inner_text() == str(CELL)
    button["undo"].click()                  # what reset threw away comes back, too
    assert arch.inner_text().endswith("none~2|")
    assert page.locator('td:has([data-name="better"])').get_by_role("button", name="take that step").count() == 1


@pytest.mark.parametrize(("cell", "dead"), [
    (CELL, "conv 3×3 on 0 → 1"), (gl.zoo_genotype("resnet", "nasbench201"), ""),
    (NASBench201Genotype(("nor_conv_3x3",) * 3 + ("none",) * 3),
     "conv 3×3 on 0 → 1, conv 3×3 on 0 → 2, conv 3×3 on 1 → 2")])
def test_the_builder_tells_live_operations_from_dead_ones(open_page, table, cell, dead):
    page = open_page(gl.CellBuilder(table, cell=cell, **SMALL))
    words = named(page, "live").inner_text()
    assert words.partition("; dead: ")[2] == dead
    dead_edges = {text.split(" on ")[1] for text in filter(None, dead.split(", "))}
    ops = ["none" if f"{src} → {dst}" in dead_edges else op for src, dst, op in cell.edges]
    live = gl.cost_of(gl.network(NASBench201Genotype(ops), channels=4, cells_per_stage=1, image_channels=1), (1, 8, 8))
    for name, value in (("live-parameters", live.parameters), ("live-adds", live.multiply_adds)):
        assert named(page, name).is_visible() == bool(dead)
        assert named(page, name).text_content() == f"{value:,}"
    chips = page.locator(".gl-pick rect").evaluate_all("all => all.map(one => one.getAttribute('stroke-dasharray'))")
    assert [dashes == "none" for dashes in chips] == [op != "none" for op in ops]


def test_the_edges_of_a_published_cell_are_read_by_keyboard(open_page):
    page = open_page(gl.ZooBrowser("GDAS_V1"))
    for name, kind in (("normal cell", "normal"), ("reduction cell", "reduce")):
        page.get_by_role("button", name=name).press("Enter")
        assert page.get_by_role("button", name=name).get_attribute("aria-pressed") == "true"
        page.locator(".gl-pick").first.focus()
        page.keyboard.press("ArrowDown")
        op, src = getattr(gl.zoo_genotype("GDAS_V1"), kind)[0][1]
        assert page.locator(".gl-reading").inner_text() == f"{op}, node {src} to node 2"


# ---- dashboard and zoo browser

def paused_board(space, epochs_done, table=None):
    run = FakeRun(space, 12)
    board = gl.Dashboard(run, table)
    run.on_step = lambda epoch, step, steps: board.pause() if (epoch, step) == (epochs_done, 1) else None
    board.start()
    assert board.wait(timeout=60) and board.state == "paused"
    return board


def test_the_page_of_a_dashboard_shows_the_run_where_it_was(open_page, table):
    board = paused_board(gl.NASBench201(), 7, table)
    history = board.history
    page = open_page(board)
    assert page.locator("button[name=main]").count() == 0           # nobody would hear it
    assert named(page, "where").inner_text() == "paused, epoch 8 of 12, step 1 of 2"
    assert float(page.locator("progress").get_attribute("value")) == pytest.approx(7.5 / 12, abs=1e-4)
    assert named(page, "arch").inner_text() == history[-1].genotype
    assert f"rank {table.rank(history[-1].genotype):,} of 15,625" in named(page, "derived").inner_text()
    np.testing.assert_allclose(matrix(page), history.op_probs["cell"][-1], atol=5.1e-4)
    plots = page.locator(".gl-panels svg[role=img]").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert plots[0] == f"loss (nats), train {history[-1].train_loss:.2f}, valid {history[-1].valid_loss:.2f} after 7 epochs"
    assert len(plots) == 3 and plots[2].startswith("the derived cell in the table (%), accuracy")
    # the loss falls by the same amount each epoch, so its seven points stand on a line down to the right
    points = np.array([[float(number) for number in point.split()] for point in
                       page.locator(".gl-panels figure").first.locator("path").first.get_attribute("d")[1:].split("L")])
    assert len(points) == 7 and np.ptp(np.diff(points, axis=0), axis=0).max() < 0.25 and (np.diff(points, axis=0) > 0).all()
    page.locator("button.gl-row").nth(3).click()
    assert "Edge 0 \u2192 3" in page.locator("figcaption").last.inner_text()


def test_what_begins_anew_may_be_a_longer_search_of_another_space(open_page):
    page = open_page(Views(paused_board(gl.NASBench201(), 7)))
    page.evaluate("""() => { for (const [name, value] of [["panels", []], ["parts", []], ["cell", {}], ["about",
        { title: "DARTS search", epochs: 60, kinds: ["normal", "reduce"], begins_anew: true }]]) model.set(name, value); }""")
    assert page.locator(".gl-controls b").inner_text() == "DARTS search" and page.locator("figure").count() == 0
    assert page.get_by_label("cell", exact=True).locator("option").all_inner_texts() == ["normal cell", "reduce cell"]
    assert page.get_by_text("are drawn after the first epoch").is_visible()
    page.evaluate("""() => { model.set("panels", [{ title: "loss (nats)", top: null,
        lines: [{ name: "train", values: Array(50).fill(1) }] }]); model.set("cell", { text: "" }); }""")
    assert "60" in page.locator(".gl-plot text").all_text_contents()


def test_both_cells_of_a_dashboard_can_be_seen(open_page):
    board = paused_board(gl.NASNet(), 2)
    page = open_page(board)
    page.get_by_label("cell", exact=True).select_option(label="reduce cell")
    np.testing.assert_allclose(matrix(page), board.history.op_probs["reduce"][-1], atol=5.1e-4)


def test_the_zoo_is_gone_through_by_keyboard(open_page):
    page = open_page(gl.ZooBrowser("DARTS_V1"))
    cells = page.get_by_label("published cells", exact=True)
    assert cells.input_value() == "DARTS_V1" and page.locator("svg.gl-graph").count() == 1
    cells.focus()
    page.keyboard.press("ArrowDown")
    check_published(page, "DARTS_V2")
    page.get_by_label("space", exact=True).select_option(value="recurrent")
    assert named(page, "count").inner_text() == "4 of 47 cells"
    check_published(page, "GDAS")           # the first in the list: what is shown is in it
    cells.focus()
    page.keyboard.press("End")
    check_published(page, "ENAS")
    page.get_by_label("space", exact=True).select_option(value="")
    page.get_by_label("filter", exact=True).fill("  CIFAR100 gdas run2")
    assert named(page, "count").inner_text() == "1 of 47 cells"
    assert cells.input_value() == "GDAS_found_on_cifar100_run2"         # what is shown is in the list
    check_published(page, "GDAS_found_on_cifar100_run2")
    assert "No results are published" in page.locator(".gl-detail").inner_text()


def check_published(page, name):
    entry = gl.zoo_entry(name)
    assert named(page, "name").inner_text() == f"{name} {entry.space}"
    assert named(page, "text").inner_text() == str(entry.genotype)
    with torch.device("meta"):
        assert named(page, "parameters").inner_text() == f"{gl.count_parameters(gl.network(entry.genotype)):,}"
    if not name.startswith("GDAS_found"):
        values = [result.number.split()[0] for result in gl.published(name, space=entry.space)]
        assert [text.split()[0] for text in page.locator(".gl-results td.gl-num").all_inner_texts()] == values


# ---- how it looks

WIDGETS = {
    "temperature": lambda table: TemperatureExplorer(tau=0.5),
    "builder": lambda table: gl.CellBuilder(table, cell=CELL, **SMALL),
    "zoo": lambda table: gl.ZooBrowser(), "perfect": lambda table: gl.PerfectWeightsExplorer(seeds=3, steps=100),
    "board": lambda table: paused_board(gl.NASBench201(), 7, table),
    "board_nasnet": lambda table: paused_board(gl.NASNet(), 3),
    "board_new": lambda table: gl.Dashboard(FakeRun(gl.NASBench201())),
    "player": lambda table: gl.AlphaPlayer(made_up_history(gl.NASBench201()), table),
    "player_nasnet": lambda table: gl.AlphaPlayer(made_up_history(gl.NASNet())),
    "player_recurrent": lambda table: gl.AlphaPlayer(made_up_history(gl.Recurrent())),
    "players": lambda table: gl.AlphaPlayer({"GDAS": made_up_history(gl.NASBench201(), 20),
                                             "DARTS": made_up_history(gl.NASBench201(), 8, seed=1)}, table)}
WIDTHS = (1440, 1000, 600)      # the last: what JupyterLab leaves of 1,000 px beside its file browser
SMALLEST = 9                    # px of a letter that can be read
FAULTS = (Path(__file__).parent / "page_faults.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", WIDGETS)
def test_nothing_is_cut_off_or_overlaps_and_dark_is_dark(open_page, pictures, table, name):
    page = open_page(WIDGETS[name](table))
    for width, scheme in itertools.product(WIDTHS, ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=pictures / f"{name}_{width}_{scheme}.png", full_page=True)
        assert page.evaluate(FAULTS, SMALLEST) == [], (width, scheme)
        ground, ink = page.evaluate("""() => [getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector('.gl-widget')).color].map(text => Number(text.match(/\\d+/)[0]))""")
        assert (ground > 200 and ink < 60) if scheme == "light" else (ground < 60 and ink > 200), (name, scheme)


def test_the_faults_of_a_page_are_seen(open_page):
    """What the product of widgets and widths asserts would be worth nothing if the eye were blind."""
    page = open_page(gl.AlphaPlayer(made_up_history(gl.NASBench201(), 3)))
    for code, words in (("document.querySelector('.gl-scroll.gl-snug').style.width = '200px'", "cut off: DIV"),
                        ("document.querySelector('.gl-graph').style.cssText = 'width: 150px; min-width: 0'",
                         "letters of"),
                        ("document.querySelector('.gl-plot text').setAttribute('x', -60)", "outside of its picture"),
                        ("document.querySelectorAll('.gl-plot text')[2].setAttribute('y', 95)", "overlaps text"),
                        ("document.querySelector('button').style.marginRight = '-140px'", "overlaps INPUT"),
                        ("for (const one of document.querySelectorAll('select')) { one.removeAttribute('aria-label');"
                         " if (one.labels.length) one.labels[0].replaceWith(one); }", "without a name"),
                        ("document.querySelector('.gl-arch').style.color = '#eee'", "contrast of")):
        assert not [fault for fault in page.evaluate(FAULTS, SMALLEST) if words in fault], words
        page.evaluate(code)
        assert [fault for fault in page.evaluate(FAULTS, SMALLEST) if words in fault], words
