"""The widgets that draw in the browser, without one: what they send, what stands without JavaScript, what they refuse."""

from __future__ import annotations

import itertools
import json
import re
from typing import ClassVar

import ipywidgets
import numpy as np
import pytest

import gdas_lite as gl
from gdas_lite.genotypes.labels import CellLabels
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.relaxation import hard_gumbel
from gdas_lite.visual.widgets import browser_values, temperature
from gdas_lite.visual.widgets.alpha_player import AlphaPlayer
from gdas_lite.visual.widgets.browser_widget import WIDGET_VIEW
from gdas_lite.visual.widgets.cell_builder import CellBuilder
from gdas_lite.visual.widgets.dashboard import Dashboard
from gdas_lite.visual.widgets.perfect_weights import PerfectWeightsExplorer
from gdas_lite.visual.widgets.temperature import TemperatureExplorer
from gdas_lite.visual.widgets.zoo_browser import ZooBrowser
from tests.visual.widgets.made_up_searches import FakeRun, made_up_history, made_up_table

SPACES = {"nasbench201": gl.NASBench201(), "nasnet": gl.NASNet(), "recurrent": gl.Recurrent()}
CELL = NASBench201Genotype.parse("|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")
SMALL = {"channels": 4, "cells_per_stage": 1, "image_channels": 1, "image_size": 8}


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def every_widget():
    histories = {name: made_up_history(SPACES["nasbench201"], epochs) for name, epochs in (("GDAS", 3), ("DARTS", 2))}
    return {"temperature": TemperatureExplorer(), "builder": CellBuilder(**SMALL), "zoo": ZooBrowser(),
            "player": AlphaPlayer(histories["GDAS"]), "players": AlphaPlayer(histories),
            "perfect": PerfectWeightsExplorer(seeds=2, steps=10)}


# ---- what all share

@pytest.mark.parametrize("name", ["temperature", "builder", "player", "players", "zoo", "perfect"])
def test_a_widget_is_stored_with_a_picture_and_a_line(name):
    bundle = every_widget()[name]._repr_mimebundle_()
    assert bundle[WIDGET_VIEW]["model_id"]
    assert len(bundle["text/plain"]) < 240 and "object at 0x" not in bundle["text/plain"]
    assert ("<svg" in bundle.get("image/svg+xml", "")) != ("image/png" in bundle)


@pytest.mark.parametrize("name", ["temperature", "builder", "player", "players", "zoo", "perfect"])
def test_the_page_is_one_file_that_asks_for_nothing(name, tmp_path):
    page = every_widget()[name].to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    addresses = {address for address in re.findall(r"https?://[^\s\"'<]+", page) if "www.w3.org" not in address}
    assert not addresses and "@import" not in page
    assert "default-src 'none'" in page and "<noscript><" in page
    assert page.count("<script") == page.count("</script>") == 2


def test_a_name_cannot_close_the_script(tmp_path):
    widget = TemperatureExplorer([0.0, 1.0], ["</script><b>x</b>", "none"])
    page = widget.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    state = re.search(r'id="state">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(state)["styles"][0]["name"] == "</script><b>x</b>"
    assert page.count("</script>") == 2


def test_a_page_needs_its_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="the folder .* does not exist"):
        TemperatureExplorer().to_html(tmp_path / "no" / "page.html")


def test_an_error_in_a_callback_stands_in_the_widget_and_goes_away():
    explorer = TemperatureExplorer()

    def fails_below_one(change):
        if change["new"] < 1:
            raise RuntimeError("tau is too small for me")

    explorer.observe(fails_below_one, names="tau")
    with pytest.raises(RuntimeError):
        explorer.tau = 0.5
    assert explorer.error == "RuntimeError: tau is too small for me"
    explorer.tau = 2.0
    assert explorer.error == ""


def test_an_error_after_a_message_of_the_browser_stands_in_the_widget():
    explorer = TemperatureExplorer()
    explorer.observe(lambda change: 1 / 0, names="tau")
    with pytest.raises(ZeroDivisionError):      # what a kernel logs where nobody looks
        explorer.set_state({"tau": 0.5})
    assert explorer.error.startswith("ZeroDivisionError")


def test_exposed_by_the_package():
    assert gl.TemperatureExplorer is TemperatureExplorer and gl.CellBuilder is CellBuilder and gl.AlphaPlayer is AlphaPlayer


def test_the_modules_import_nothing():
    for name, widget in every_widget().items():
        script = str(widget._esm)
        assert not re.search(r"^\s*import\b|\bimport\(|fetch\(|eval\(|innerHTML", script, re.MULTILINE), name
        assert script.count("export default { render };") == 1


# ---- scenes

@pytest.mark.parametrize("space", SPACES)
def test_a_search_cell_is_laid_out_without_overlaps(space):
    for kind, labels in SPACES[space].labels.items():
        if kind == "recurrent":
            cell = SPACES[space].derive({kind: np.random.default_rng(0).normal(size=labels.shape)})
            scene = browser_values.genotype_scenes(cell)[0]
        else:
            scene = browser_values.supernet_scene(kind, labels)
            assert len(scene["chips"]) == len(labels.edges)
        check_scene(scene)


@pytest.mark.parametrize("name", ["GDAS_V1", "GDAS_F1", "DARTS_V2", "GDAS@recurrent", "all_idnt"])
def test_a_published_cell_is_laid_out_without_overlaps(name):
    for scene in browser_values.genotype_scenes(gl.zoo_genotype(name)):
        check_scene(scene)


def check_scene(scene):
    boxes = scene["nodes"] + scene["chips"]
    width, height = scene["size"]
    for box in boxes:
        assert box["w"] / 2 <= box["x"] <= width - box["w"] / 2 and box["h"] / 2 <= box["y"] <= height - box["h"] / 2
    for one, other in itertools.combinations(boxes, 2):
        assert (abs(one["x"] - other["x"]) >= (one["w"] + other["w"]) / 2 - 0.1
                or abs(one["y"] - other["y"]) >= (one["h"] + other["h"]) / 2 - 0.1), (one["title"], other["title"])
    for place in range(len(scene["chips"])):
        assert [bool(line["head"]) for line in scene["lines"] if line["chip"] == place] == [False, True]
    json.dumps(scene, allow_nan=False)


# ---- temperature

def slow_mulberry32(seed, count):
    """The generator as its author gives it, on Python's unlimited integers."""
    mask, out = 0xFFFFFFFF, []
    for _ in range(count):
        seed = (seed + 0x6D2B79F5) & mask
        t = ((seed ^ (seed >> 15)) * (seed | 1)) & mask
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & mask)) & mask
        out.append((((t ^ (t >> 14)) & mask) + 0.5) / 2**32)
    return out


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_noise_is_that_of_the_generator(seed):
    assert temperature.uniforms(seed, 200).tolist() == slow_mulberry32(seed, 200)


def test_hard_samples_follow_softmax_and_are_those_of_the_relaxation():
    import torch
    alpha = np.array([0.5, -1.0, 0.0])
    noisy = temperature.noisy_logits(alpha, 3, 5000)
    shares = np.bincount(noisy.argmax(-1), minlength=3) / len(noisy)
    expected = temperature.softmax(alpha)
    assert np.abs(shares - expected).max() < 4 * np.sqrt(0.25 / len(noisy))
    gumbel = torch.as_tensor(noisy - np.log(expected))
    for tau in (0.1, 10.0):
        hard = hard_gumbel(torch.as_tensor(alpha).expand(len(noisy), 3), tau, gumbel)
        assert (hard.argmax(-1).numpy() == noisy.argmax(-1)).all()


def test_the_size_of_the_gradient_is_that_of_differences():
    import torch
    alpha, tau = torch.tensor([0.5, -1.0, 0.0, 0.2], dtype=torch.float64), 0.7
    noisy = temperature.noisy_logits(alpha.numpy(), 3, 6)
    gumbel = torch.as_tensor(noisy) - alpha.log_softmax(-1)
    jacobian = torch.autograd.functional.jacobian(lambda a: ((a.log_softmax(-1) + gumbel) / tau).softmax(-1), alpha)
    np.testing.assert_allclose(temperature.gradient_sizes(noisy, tau), jacobian.flatten(1).norm(dim=1), rtol=1e-12)


def test_the_explorer_takes_alpha_in_any_form():
    import torch
    alpha = [0.0, 0.25, -0.5, 1.0, 0.5]
    for form in (np.array(alpha), torch.tensor(alpha), torch.nn.Parameter(torch.tensor(alpha)), tuple(alpha)):
        assert TemperatureExplorer(form).alpha == alpha


@pytest.mark.parametrize("wrong", [{"alpha": [0.0, 1.0]}, {"alpha": [0.0], "ops": ["none"]}, {"tau": 0.0}, {"tau": float("nan")},
                                   {"seed": -1}, {"draws": 3}, {"alpha": [float("inf"), 0, 0, 0, 0]}])
def test_the_explorer_refuses_what_has_no_meaning(wrong):
    with pytest.raises(ValueError):
        TemperatureExplorer(**wrong)


def test_the_explorers_values_can_be_set():
    explorer = TemperatureExplorer()
    explorer.alpha = [1, 0, 0, 0, 0]
    assert explorer.alpha == [1.0, 0.0, 0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="5 finite numbers"):
        explorer.alpha = [1.0, 0.0]


# ---- alpha player

@pytest.mark.parametrize("space", SPACES)
def test_the_player_sends_the_histories_probabilities_and_cells(space):
    history = made_up_history(SPACES[space])
    player = AlphaPlayer(history)
    for part in player.runs[0]["parts"]:
        labels = history.labels[part["kind"]]
        sent = np.frombuffer(part["probabilities"], "<f4").reshape(len(history), *labels.shape)
        np.testing.assert_array_equal(sent, history.op_probs[part["kind"]])
        for epoch, record in enumerate(history):
            cell = gl.parse_genotype(record.genotype)
            chosen = {(*labels.edges[row], labels.candidates[k]) for row, ks in enumerate(part["kept"][epoch]) for k in ks}
            assert chosen == edges_by_hand(cell, part["kind"])
            rows = part["scenes"][part["scene_of"][epoch]]["rows"]
            assert {labels.edges[row] for row in rows} >= {edge[:2] for edge in chosen}
    player.epoch = 5
    assert str(player.genotype) == history[5].genotype
    assert player.runs[0]["cells"][player.runs[0]["epochs"][5]["cell"]]["text"] == history[5].genotype


def edges_by_hand(cell, kind):
    if kind == "cell":
        return set(zip((0, 0, 1, 0, 1, 2), (1, 2, 2, 3, 3, 3), cell.ops))
    if kind == "recurrent":
        return {(src, i + 1, op) for i, (op, src) in enumerate(cell.steps)}
    nodes = cell.normal if kind == "normal" else cell.reduce
    return {(src, i + 2, op) for i, pairs in enumerate(nodes) for op, src in pairs}


def test_the_player_shows_both_operations_that_share_an_edge():
    space = gl.NASNet(deriving="two_best_pairs")
    alphas = {kind: np.zeros(labels.shape, np.float32) for kind, labels in space.labels.items()}
    alphas["normal"][0, 4:6] = 3.0
    history = made_up_history(space, 2)
    history[-1].alphas, history[-1].genotype = alphas, str(space.derive(alphas))
    assert AlphaPlayer(history).runs[0]["parts"][0]["kept"][-1][0] == [4, 5]


def test_the_player_knows_accuracy_and_rank_from_a_table(table):
    history = made_up_history(SPACES["nasbench201"])
    for cell in AlphaPlayer(history, table, "toy_valid_1").runs[0]["cells"]:
        assert f"rank {table.rank(cell['text'], 'toy_valid_1'):,} of 15,625" in cell["score"]
        assert f"{table.accuracy(cell['text'], 'toy_valid_1'):.2f} %" in cell["score"]


@pytest.mark.parametrize("space", ["nasbench201", "recurrent"])
def test_a_search_that_derives_at_its_end_can_be_played(space):
    player = AlphaPlayer(made_up_history(SPACES[space], 3, derives=False))
    run = player.runs[0]
    assert player.genotype is None and run["cells"] == [] and "image/png" in player.static_twin()
    assert player.truth == {}           # the page draws a plot of whatever is there
    assert run["parts"][0]["scene_of"] == [0 if space == "nasbench201" else -1] * 3


def test_the_fixed_reduction_cell_has_no_part():
    player = AlphaPlayer(made_up_history(gl.NASNet(fixed_reduction=True), 3))
    assert [part["kind"] for part in player.runs[0]["parts"]] == ["normal"] and "<svg" in player.static_twin()["image/svg+xml"]


def test_the_player_refuses_what_it_cannot_play(table):
    history = made_up_history(SPACES["nasnet"], 3)
    with pytest.raises(ValueError, match="no epoch yet"):
        AlphaPlayer(history[:0])
    with pytest.raises(ValueError, match="leave the table out"):
        AlphaPlayer(history, table)
    player = AlphaPlayer(history)
    with pytest.raises(ValueError, match="epoch must be 0 to 2"):
        player.epoch = 3


def test_the_player_opens_at_its_end_and_stores_that_with_accuracy_and_rank(table):
    history = made_up_history(SPACES["nasbench201"])
    player = AlphaPlayer(history, table)
    assert player.epoch == 11 and str(player.genotype) == history[-1].genotype
    twin = player.static_twin()["image/svg+xml"]
    assert "after epoch 12 of 12" in twin
    cell = player.genotype
    assert f"{table.accuracy(cell):.2f} % in toy_test_1, rank {table.rank(cell):,} of 15,625" in twin
    player.epoch = 2
    assert "after epoch 3 of 12" in player.static_twin()["image/svg+xml"]


def test_a_recorded_search_is_played_with_the_accuracy_of_each_epoch():
    history, table = gl.recorded("gdas-published-thumbnails-0"), gl.tabular("digits")
    truth = AlphaPlayer(history, table).truth
    assert truth["top"] == 100 and len(truth["lines"]) == 1
    known = [table.accuracy(record.genotype) for record in history]
    np.testing.assert_allclose(truth["lines"][0]["values"], known, atol=1e-4)
    assert AlphaPlayer(history, None).truth == {}


def test_the_player_says_how_far_an_unfinished_search_is_and_refuses_what_is_none():
    history = made_up_history(SPACES["nasbench201"], 6)
    history.about |= {"unfinished": True, "config": {"recipe": {"epochs": 50}}}
    assert repr(AlphaPlayer(history, None)).startswith("AlphaPlayer at epoch 6 of 50: ")
    for wrong in (3, {"GDAS": 3}, gl.History):
        with pytest.raises(ValueError, match=r"history must be a search's .*, got "):
            AlphaPlayer(wrong)


def test_several_searches_share_a_slider(table):
    long, short = made_up_history(SPACES["nasbench201"], 6), made_up_history(SPACES["nasbench201"], 4, seed=1)
    player = AlphaPlayer({"GDAS": long, "DARTS": short}, table)
    assert player.epoch == 5 and {name: str(cell) for name, cell in player.genotype.items()} == {
        "GDAS": long[5].genotype, "DARTS": short[3].genotype}
    assert repr(player).startswith(f"AlphaPlayer at epoch 6 of 6: GDAS {long[5].genotype}, DARTS {short[3].genotype}")
    lines = {line["name"]: line["values"] for line in player.truth["lines"]}
    assert lines["DARTS"][4:] == [None, None] and len(lines["GDAS"]) == 6
    assert lines["DARTS"][3] == pytest.approx(table.accuracy(short[3].genotype), abs=1e-4)
    twin = player.static_twin()["image/svg+xml"]
    assert "GDAS, after epoch 6 of 6" in twin and "DARTS, after epoch 4 of 4" in twin and twin.count("<svg") == 3
    beside = AlphaPlayer({"GDAS": long, "random": made_up_history(SPACES["nasbench201"], 4, derives=False)}, table)
    assert [line["name"] for line in beside.truth["lines"]] == ["GDAS"]
    assert "GDAS, after epoch 6 of 6" in beside.static_twin()["image/svg+xml"]
    with pytest.raises(ValueError, match="same kinds of cells"):
        AlphaPlayer({"images": long, "text": made_up_history(SPACES["recurrent"], 3)})
    for nothing in ({}, {"GDAS": long, "none yet": short[:0]}):
        with pytest.raises(ValueError, match="no epoch yet"):
            AlphaPlayer(nothing)


def test_of_every_nth_epoch_each_keeps_its_number(table):
    history = made_up_history(SPACES["nasbench201"], 12)
    player = AlphaPlayer(history[1::5], table)
    assert [epoch["done"] for epoch in player.runs[0]["epochs"]] == [2, 7, 12] and player.runs[0]["name"] == ""
    player.epoch = 1
    assert repr(player).startswith("AlphaPlayer at epoch 7 of 12: ") and str(player.genotype) == history[6].genotype
    assert "after epoch 7 of 12" in player.static_twin()["image/svg+xml"]
    with pytest.raises(ValueError, match="and the same epochs"):
        AlphaPlayer({"all": history, "some": history[::5]})
    assert AlphaPlayer({"long": history[::5], "short": history[:6:5]}).epoch == 2


class Row(gl.NASBench201):
    """As in notebook 12: three edges, and the cell is one of NAS-Bench-201, which has three more, without alpha."""

    labels: ClassVar[dict] = {"cell": CellLabels(((0, 1), (1, 2), (2, 3)), ("none", "skip_connect", "nor_conv_3x3"))}

    def derive(self, alphas):
        first, second, third = (self.labels["cell"].candidates[column] for column in alphas["cell"].argmax(-1))
        return NASBench201Genotype((first, "none", second, "none", "none", third))


def test_a_cell_with_edges_without_alpha_is_stored_without_probabilities():
    own, other = made_up_history(Row(), 4), made_up_history(SPACES["nasbench201"], 4)
    board = Dashboard(FakeRun(Row()))
    board.start()
    assert board.wait(timeout=60) and not board.error
    for widget in (AlphaPlayer(own), AlphaPlayer({"own": own, "other": other}), board):
        assert "conv 3" in widget._repr_mimebundle_()["image/svg+xml"]


@pytest.mark.parametrize("order", [1, -1])
def test_searches_of_which_one_is_of_an_unknown_space_have_no_table(order):
    histories = {"own": made_up_history(Row(), 4), "other": made_up_history(SPACES["nasbench201"], 4)}
    player = AlphaPlayer(dict(list(histories.items())[::order]))
    assert player.truth == {} and player.without == "" and not any(cell["score"] for run in player.runs for cell in run["cells"])


# ---- perfect weights

def test_the_explorer_shows_what_the_public_search_finds():
    explorer = PerfectWeightsExplorer("darts", seeds=3, steps=200)
    for rule, tau in (("darts", (10.0, 0.1)), ("gdas", (2.0, 0.5))):
        explorer.rule, explorer.tau_first, explorer.tau_last = rule, *tau
        runs = gl.perfect_weights.search(rule, seeds=range(3), steps=200, tau=tau, every=2)
        regrets = gl.tabular("nasbench201").values("c10_test_200").max() - runs.accuracy("c10_test_200")
        for name, values in {"mean": regrets.mean(0), "low": np.quantile(regrets, 0.25, 0),
                             "high": np.quantile(regrets, 0.75, 0)}.items():
            np.testing.assert_allclose(explorer.result[name], values, atol=5.1e-5)
        assert explorer.result["of"] == [rule, *tau] and explorer.about["records"] == runs.records.tolist()
        last = regrets[:, -1]
        assert f"regret is {last.mean():.2f} ± {last.std(ddof=1):.2f} over 3 seeds" in explorer.result["words"]
        assert explorer.result["arch"] in map(str, runs.genotypes)
        assert [op["name"] for op in explorer.result["ops"]] == list(gl.parse_genotype(explorer.result["arch"]).ops)


def test_values_that_the_browser_sends_together_are_searched_once(monkeypatch):
    explorer, search, asked = PerfectWeightsExplorer("darts", seeds=2, steps=10), gl.perfect_weights.search, []
    monkeypatch.setattr(gl.perfect_weights, "search", lambda *given, **options: asked.append(given) or search(*given, **options))
    explorer.set_state({"rule": "gdas", "tau_first": 2.0, "tau_last": 1.0})         # as its reset does
    assert asked == [("gdas",)] and explorer.result["of"] == ["gdas", 2.0, 1.0]


def test_the_explorer_shows_the_error_of_a_temperature_that_is_not_positive():
    explorer = PerfectWeightsExplorer(seeds=2, steps=10)
    before = explorer.result
    with pytest.raises(ValueError):
        explorer.set_state({"tau_last": 0.0})       # from the browser
    assert explorer.error.startswith("ValueError: steps, every, tau") and explorer.result is before
    explorer.tau_last = 0.2
    assert explorer.error == "" and explorer.result["of"][2] == 0.2
    for wrong in ({"seeds": 0}, {"rule": "guess"}, {"tau": (1.0, -1.0)}):
        with pytest.raises(ValueError):
            PerfectWeightsExplorer(**({"seeds": 2, "steps": 10} | wrong))


# ---- cell builder

def test_costs_add_up_over_the_edges_also_of_cells_that_lead_nowhere():
    builder, rng = CellBuilder(**SMALL), np.random.default_rng(0)
    cells = [NASBench201Genotype.random(rng) for _ in range(8)]
    cells += [NASBench201Genotype(("none",) * 6),
              NASBench201Genotype(("none", "none", "nor_conv_3x3", "none", "none", "nor_conv_1x1"))]
    for cell in cells:
        cost = gl.cost_of(gl.network(cell, channels=4, cells_per_stage=1, image_channels=1), (1, 8, 8))
        for what in ("parameters", "multiply_adds"):
            shown = builder.cost[what]["base"] + sum(builder.cost[what]["edge"][NASBENCH201_OPS.index(op)] for op in cell.ops)
            assert shown == getattr(cost, what), cell


def test_ranks_and_accuracies_are_the_tables(table):
    builder = CellBuilder(table, **SMALL)
    ranks, accuracies = np.frombuffer(builder.ranks, "<u2"), np.frombuffer(builder.accuracies, "<u2") / 100
    cells = list(NASBench201Genotype.all())
    for place in np.random.default_rng(1).integers(len(cells), size=50):
        assert ranks[place] == table.rank(cells[place])
        assert accuracies[place] == pytest.approx(table.accuracy(cells[place]), abs=0.0051)


def test_the_builders_cell_can_be_read_and_set():
    builder = CellBuilder(cell=str(CELL), **SMALL)
    assert builder.genotype == CELL
    builder.genotype = other = CELL.neighbours()[3]
    assert builder.ops == list(other.ops)
    with pytest.raises(ValueError, match="six operations"):
        builder.ops = ["none"]
    with pytest.raises(ValueError, match="nor_conv_3x3"):
        builder.ops = ["none"] * 5 + ["nor_conv_3x4"]


def test_the_stored_builder_has_accuracy_and_rank(table):
    twin = CellBuilder(table, cell=CELL, **SMALL).static_twin()["image/svg+xml"]
    assert f"{table.accuracy(CELL):.2f} % in toy_test_1, rank {table.rank(CELL):,} of 15,625" in twin
    assert "rank" not in CellBuilder(None, cell=CELL, **SMALL).static_twin()["image/svg+xml"]


def test_the_builder_prints_an_accuracy_as_all_else_does():
    table, builder = gl.tabular("nasbench201"), CellBuilder(**SMALL)
    sent = np.frombuffer(builder.accuracies, "<u2")
    for place, cell in list(enumerate(NASBench201Genotype.all()))[::97]:
        assert f"{sent[place] / 100:.2f}" == f"{table.accuracy(cell):.2f}"


def test_without_a_table_of_ones_own_accuracy_and_rank_are_those_on_cifar10(monkeypatch):
    monkeypatch.delenv("GDAS_LITE_DATA", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    known, history = gl.tabular("nasbench201"), made_up_history(SPACES["nasbench201"], 3)
    builder = CellBuilder(cell=str(CELL), **SMALL)
    assert builder.about["column"] == "CIFAR-10 (test, 200 epochs)"
    accuracies = np.frombuffer(builder.accuracies, "<u2") / 100
    assert accuracies.max() == pytest.approx(94.37) and accuracies.min() == pytest.approx(9.71, abs=0.3)
    for cell in AlphaPlayer(history).runs[0]["cells"]:
        assert cell["score"] == (f"{known.accuracy(cell['text']):.2f} % in CIFAR-10 (test, 200 epochs), "
                                 f"rank {known.rank(cell['text']):,} of 15,625")
    skips = {cell["name"]: cell["score"] for cell in ZooBrowser().cells}
    assert skips["all_idnt"].startswith("54.30 % in CIFAR-10") and skips["GDAS_V1"] == ""
    assert AlphaPlayer(history, None).runs[0]["cells"][0]["score"] == "" and CellBuilder(None, **SMALL).ranks == b""
    assert AlphaPlayer(made_up_history(SPACES["nasnet"], 3)).runs[0]["cells"][0]["score"] == ""       # of another space: none


def test_the_builder_refuses_an_unknown_column(table):
    with pytest.raises(KeyError, match="unknown column"):
        CellBuilder(table, "toy_test_2", **SMALL)


def test_no_trait_of_ours_is_one_of_ipywidgets():
    for widget in every_widget().values():
        assert not set(widget.page_state()) & set(ipywidgets.DOMWidget.class_trait_names())
        assert "error" in widget.page_state()
