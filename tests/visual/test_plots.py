"""Figures of searches: what they say is computed from the data, they fit any space, and a notebook shows each once."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import tempfile
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.nasnet import NASNetGenotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS, NASNET_GENOTYPE_OPS, RECURRENT_ACTIVATIONS
from gdas_lite.genotypes.recurrent import RecurrentGenotype
from gdas_lite.search.history import CellLabels, EpochRecord, History
from gdas_lite.search.stopping import StableRanking
from gdas_lite.training.history import TrainingHistory, TrainingRecord
from gdas_lite.visual import plots
from gdas_lite.visual.alpha import chosen_operations, claim_of, value_range
from gdas_lite.visual.figure import new_figure
from gdas_lite.visual.palette import style_of

ROOT = Path(__file__).resolve().parents[2]
INTO_EARLIER = {first: tuple((src, dst) for dst in range(first, last + 1) for src in range(dst))
                for first, last in ((2, 5), (1, 8))}        # by the first node that has inputs
LABELS = {
    "nasbench201": {"cell": CellLabels(NASBench201Genotype.EDGES, NASBENCH201_OPS)},
    "nasnet": dict.fromkeys(("normal", "reduce"), CellLabels(INTO_EARLIER[2], ("none", *NASNET_GENOTYPE_OPS[:7]))),
    "recurrent": {"recurrent": CellLabels(INTO_EARLIER[1], ("none", *RECURRENT_ACTIVATIONS))},
}
NODES = ((("skip_connect", 0), ("skip_connect", 1)), (("skip_connect", 0), ("sep_conv_5x5", 2)),
         (("sep_conv_3x3", 3), ("skip_connect", 0)), (("sep_conv_5x5", 4), ("dil_conv_3x3", 3)))
GENOTYPES = {"nasbench201": str(NASBench201Genotype(("nor_conv_3x3",) * 6)),
             "nasnet": str(NASNetGenotype(NODES, NODES)),
             "recurrent": str(RecurrentGenotype((("relu", 0),) * 8))}


def made_history(space="nasbench201", epochs=12, seed=0, step=0.1, tau=True, genotype=True):
    rng, labels = np.random.default_rng(seed), LABELS[space]
    alphas = {kind: 1e-3 * rng.normal(size=cell.shape) for kind, cell in labels.items()}
    history = History(labels)
    for epoch in range(epochs):
        alphas = {kind: alpha + step * rng.normal(size=alpha.shape) for kind, alpha in alphas.items()}
        history.append(EpochRecord(epoch, 10 / (epoch + 1) if tau else None, 0.025, 2.3 / (epoch + 1), 50 + epoch,
                                   2.5 / (epoch + 1), 40 + epoch, 3.0, alphas, GENOTYPES[space] if genotype else None))
    return history


def one_epoch(alpha, genotype=None):
    """A NAS-Bench-201 history of one epoch with these alphas."""
    record = EpochRecord(0, 10.0, 0.1, 1.0, 50.0, 1.0, 50.0, 1.0, {"cell": np.asarray(alpha, dtype=float)}, genotype)
    return History(LABELS["nasbench201"], [record])


ONE_HISTORY = {name: getattr(plots, name) for name in
               ("alpha_evolution", "alpha_heatmap", "losses", "temperature", "entropy", "search_overview")}

ALL = ONE_HISTORY | {"cell_contents": plots.cell_contents,
                     "operation_counts": lambda history: plots.operation_counts({"fine": made_history(), "a": history})}


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """No figure in pyplot, no setting changed."""
    before = matplotlib.rcParams.copy()
    yield
    assert plt.get_fignums() == []
    assert matplotlib.rcParams == before


# --- every figure, every space ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("space", LABELS)
@pytest.mark.parametrize("name", ONE_HISTORY)
def test_figure_is_small_and_fits_its_page(name, space):
    figure = ONE_HISTORY[name](made_history(space))
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"} and bundle["text/plain"] == figure.claim != ""
    png = base64.b64decode(bundle["image/png"])
    assert len(png) < 100_000
    assert_readable(figure)
    height, width, _ = pixels_of(png).shape
    assert 300 < width <= 760 and height < 1200
    assert_text_inside(figure)
    if name in ("alpha_evolution", "search_overview"):
        assert_colours_kept(pixels_of(png), space)


def pixels_of(png):
    from PIL import Image
    with Image.open(io.BytesIO(png)) as picture:
        whole = picture.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB"))


def assert_readable(figure):
    """On its page: named, letters large enough, nothing cut, no ground of its own, a title of two lines at most."""
    from builder.pictures import describe, faults
    from nbformat.v4 import new_output
    output = new_output("display_data", figure._repr_mimebundle_())
    describe(output)
    assert faults(output) == [] and output.metadata["image/png"]["alt"] == figure.claim
    raw = [text for text in figure.findobj(Text) if "mathdefault" in text.get_text() and not text.get_parse_math()]
    assert not [text for text in raw if text.get_visible()]
    title = figure._suptitle.get_text()
    assert title.count("\n") <= 1 and (figure.claim.replace("\n", " ").startswith(title.replace("\n", " ")))


@pytest.mark.parametrize("claim", ["short", "one; " * 60 + "end", "first line\nsecond line\n" + "third; " * 30, "word " * 24])
def test_a_title_has_two_lines_of_whole_clauses_and_the_text_for_it_has_all(claim):
    figure = new_figure(2.0, 5.0)
    figure.state(claim)
    assert_readable(figure)


def test_small_letters_are_told():
    figure = new_figure(2.0, 5.0)
    figure.state("small")
    figure.text(0.5, 0.5, "tiny", fontsize=6)
    assert figure.smallest_text() == pytest.approx(6 * 80 / 72)
    with pytest.raises(AssertionError):
        assert_readable(figure)


def assert_colours_kept(pixels, space):
    """The small palette of a stored picture has not merged the candidates' colours."""
    flat = pixels.reshape(-1, 3).astype(int)
    for name in {name for labels in LABELS[space].values() for name in labels.candidates}:
        wanted = [int(style_of(name).colour[i:i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(flat - wanted).max(axis=1) <= 16).sum() > 20, f"{name} has lost its colour"


def assert_text_inside(figure):
    """No visible text is cut off at the border, and titles of neighbouring panels do not overlap."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    titles = [axes.title for axes in figure.get_axes() if axes.get_visible() and axes.title.get_text()]
    titles += [axes._left_title for axes in figure.get_axes() if axes.get_visible() and axes._left_title.get_text()]
    boxes = [title.get_window_extent(renderer) for title in titles] + [figure._suptitle.get_window_extent(renderer)]
    for box in boxes:
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("name", ONE_HISTORY)
def test_one_epoch_and_no_temperature_are_drawn(name):
    figure = ONE_HISTORY[name](made_history(epochs=1, tau=False, genotype=False))
    assert pixels_of(figure.png()).shape[1] > 300


def test_a_search_without_accuracies_says_so():
    nan = float("nan")
    history = History(LABELS["recurrent"], [dataclasses.replace(record, train_accuracy=nan, valid_accuracy=nan)
                                            for record in made_history("recurrent", epochs=3)])
    figure = plots.losses(history)
    assert figure.claim == "valid loss 2.50 → 0.83 nats in 3 epochs"
    assert [text.get_text() for text in figure.get_axes()[1].texts] == ["this search\nhas no accuracy"]
    figure.png()


@pytest.mark.parametrize("given", [None, "runs/a", TrainingHistory(), StableRanking()], ids=lambda given: type(given).__name__)
def test_a_run_or_another_value_in_a_historys_place_is_told_what_is_meant(given):
    for draw in ALL.values():
        with pytest.raises(ValueError, match=r"history must be a search's: search\.history, or .*, got "):
            draw(given)
    with pytest.raises(ValueError, match=r"history must be a training's: training\.history, got "):
        plots.training_curves(None if isinstance(given, TrainingHistory) else given)


@pytest.mark.parametrize("name", ALL)
def test_an_empty_history_is_refused(name):
    with pytest.raises(ValueError, match="no epoch yet, there is nothing to draw; run the search first"):
        ALL[name](History(LABELS["nasbench201"]))


def test_the_users_settings_do_not_change_the_picture():
    before = plots.losses(made_history()).png()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9}):
        assert plots.losses(made_history()).png() == before


@pytest.mark.parametrize("name", ["alpha_evolution", "alpha_heatmap", "entropy"])
def test_an_unknown_kind_is_refused(name):
    with pytest.raises(KeyError, match="no cell kind 'reduce' in this history; there are cell"):
        ONE_HISTORY[name](made_history(), kind="reduce")


def test_one_kind_of_two():
    both, one = (plots.alpha_evolution(made_history("nasnet"), kind=kind) for kind in (None, "reduce"))
    assert len(both.subfigs) == 2 and len(one.subfigs) == 1
    assert "normal" not in one.claim and "reduction cell:" in one.claim


# --- what the titles claim -------------------------------------------------------------------------------------------

def test_claim_counts_the_leaders_and_their_lead():
    alpha = np.zeros((6, 5))
    alpha[:4, 3] = 1        # nor_conv_3x3 leads on four edges, skip_connect on two
    alpha[4:, 1] = 2
    claim = claim_of(one_epoch(alpha), "cell")
    leads = [np.e - 1, np.e - 1, np.e - 1, np.e - 1, np.e ** 2 - 1, np.e ** 2 - 1]
    sums = [4 + np.e] * 4 + [4 + np.e ** 2] * 2
    median = np.median(np.divide(leads, sums))
    assert claim == f"nor_conv_3x3 leads on 4 of 6 edges after 1 epoch (median lead {median:.3f})"


def test_claims_where_nothing_leads_say_so():
    flat = one_epoch(np.zeros((6, 5)))
    assert claim_of(flat, "cell") == "no candidate leads on any edge after 1 epoch (median lead 0.000)"
    assert plots.entropy(flat).claim == "mean entropy 1.609 of at most 1.609 nats"
    alpha = np.zeros((6, 5))
    alpha[0, 3] = 1
    assert claim_of(one_epoch(alpha), "cell").startswith("nor_conv_3x3 leads on 1 of 6 edges after 1 epoch")


def test_claim_names_all_who_lead_on_as_many_edges():
    alpha = np.zeros((6, 5))
    alpha[range(6), [1, 1, 3, 3, 0, 2]] = 1
    assert claim_of(one_epoch(alpha), "cell").startswith("skip_connect and nor_conv_3x3 each lead on 2 of 6 edges")


def test_losses_and_temperature_state_first_and_last():
    history = made_history(epochs=5)
    assert plots.losses(history).claim == (
        "valid loss 2.50 → 0.50 nats in 5 epochs; search accuracy 44.0% on the valid half")
    assert plots.temperature(history).claim == "temperature 10 → 2 in 5 epochs"
    assert plots.temperature(made_history(tau=False)).claim == "no temperature in this search"


def test_losses_begin_where_the_alpha_steps_do():
    """As the recipe laptop has it; a claim with `nan` in it says nothing."""
    nan = float("nan")
    history = History(LABELS["nasbench201"], [
        dataclasses.replace(record, valid_loss=nan, valid_accuracy=nan) if record.epoch < 2 else record
        for record in made_history(epochs=5)])
    assert plots.losses(history).claim == (
        "valid loss 0.83 → 0.50 nats in 3 epochs; search accuracy 44.0% on the valid half")
    assert plots.losses(history[:2]).claim == (
        "train loss 2.30 → 1.15 nats in 2 epochs; search accuracy 51.0% on the train half")
    assert [name for name, draw in ONE_HISTORY.items() if "nan" in draw(history).claim] == []


def test_entropy_against_a_slow_sum():
    history = made_history(epochs=3, step=1.0)
    sums = [-sum(p * np.log(p) for p in row) for row in history.op_probs["cell"][-1]]
    src, dst = NASBench201Genotype.EDGES[int(np.argmin(sums))]
    assert plots.entropy(history).claim == (
        f"mean entropy {np.mean(sums):.3f} of at most {np.log(5):.3f} nats, {src}→{dst} most decided")


# --- what the panels show --------------------------------------------------------------------------------------------

def panels(figure):
    return [axes for axes in figure.get_axes() if axes.get_visible()]


def test_each_edge_has_its_panel_with_all_candidates_and_the_uniform_line():
    history = made_history()
    shown = panels(plots.alpha_evolution(history))
    assert len(shown) == 6
    for row, axes in enumerate(shown):
        lines = [line for line in axes.get_lines() if len(line.get_xdata()) == len(history)]
        colours = [style_of(name).colour.lower() for name in NASBENCH201_OPS]
        assert [to_hex(line.get_color()) for line in lines] == colours
        for column, line in enumerate(lines):
            np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
            np.testing.assert_allclose(line.get_ydata(), history.op_probs["cell"][:, row, column])
        assert any(np.allclose(line.get_ydata(), 0.2) for line in axes.get_lines())


def test_panels_stand_in_a_triangle_by_source_and_destination():
    shown = panels(plots.alpha_evolution(made_history("recurrent")))
    places = {axes._left_title.get_text().split()[0]: axes.get_position() for axes in shown}
    assert len(places) == 36
    assert places["0→8"].x0 == pytest.approx(places["0→1"].x0) and places["0→8"].y0 < places["0→1"].y0
    assert places["7→8"].x0 > places["6→8"].x0 and places["7→8"].y0 == pytest.approx(places["0→8"].y0)


def test_the_derived_operation_is_marked_not_the_largest():
    alpha = np.zeros((6, 5))
    alpha[:, 0] = 1         # none leads, but the genotype says otherwise
    genotype = NASBench201Genotype(("skip_connect",) * 3 + ("nor_conv_1x1",) * 3)
    figure = plots.alpha_evolution(one_epoch(alpha, str(genotype)))
    titles = [axes._left_title.get_text() for axes in panels(figure)]
    assert titles == [f"{src}→{dst}  {style_of(op).label}" for src, dst, op in genotype.edges]
    for axes, op in zip(panels(figure), genotype.ops):
        widest = max((line for line in axes.get_lines() if len(line.get_xdata()) == 1), key=lambda line: line.get_lw())
        assert to_hex(widest.get_color()) == style_of(op).colour.lower()


def test_edges_that_the_genotype_does_not_use_are_said_to_be_so():
    history = made_history("nasnet")
    chosen = dict(zip(INTO_EARLIER[2], chosen_operations(history, "normal")))
    assert {edge: op for edge, op in chosen.items() if op} == {
        (0, 2): "skip_connect", (1, 2): "skip_connect", (0, 3): "skip_connect", (2, 3): "sep_conv_5x5",
        (3, 4): "sep_conv_3x3", (0, 4): "skip_connect", (4, 5): "sep_conv_5x5", (3, 5): "dil_conv_3x3"}
    titles = [axes._left_title.get_text() for axes in panels(plots.alpha_evolution(history, "normal"))]
    assert sum(title.endswith("not used") for title in titles) == 6


def test_without_genotype_the_largest_alpha_is_marked():
    alpha = np.eye(6, 5)
    assert chosen_operations(one_epoch(alpha), "cell") == [*NASBENCH201_OPS, "none"]


def test_the_axis_is_the_same_for_all_edges_and_says_that_it_is_cut():
    figure = plots.alpha_evolution(made_history(step=0.01))
    limits = {axes.get_ylim() for axes in panels(figure)}
    assert len(limits) == 1 and 0.1 < limits.pop()[0] < 0.19
    assert "axis from 0.1" in figure.subfigs[0]._supylabel.get_text()
    wide = plots.alpha_evolution(made_history(step=2.0))
    assert "axis" not in wide.subfigs[0]._supylabel.get_text()


@pytest.mark.parametrize("spread", [1e-4, 0.01, 0.1])
def test_value_range_holds_all_values_and_does_not_blow_up_noise(spread):
    values = 0.2 + spread * np.array([[-1, 0, 1, 0.5, -0.5]])
    low, high = value_range(values)
    assert low <= min(values.min(), 0.18) and high >= max(values.max(), 0.22)
    assert high - low < 1.2 * max(0.04, 2 * spread)


def test_heatmap_prints_every_value_and_frames_the_largest():
    history = made_history(epochs=4)
    figure = plots.alpha_heatmap(history, epoch=1)
    table = history.op_probs["cell"][1]
    axes = figure.get_axes()[0]
    assert [text.get_text() for text in axes.texts] == [f"{value:.3f}"[1:] for value in table.ravel()]
    frames = [(round(patch.get_x() + 0.5), round(patch.get_y() + 0.5)) for patch in axes.patches]
    assert frames == [(column, row) for row, column in enumerate(table.argmax(1))]
    assert "after 2 epochs" in figure.claim
    with pytest.raises(IndexError, match="the history has 4 epochs, there is no position 4"):
        plots.alpha_heatmap(history, epoch=4)


def test_bars_show_mean_deviation_and_every_seed():
    figure = plots.bars(["searched", "random", "published"], [[97.0, 96.0, 98.0], [90.0, 96.0], 93.2],
                        [None, None, 0.4])
    axes, = figure.get_axes()
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["97.0 ± 1.0 (n=3)", "93.0 ± 4.2 (n=2)", "93.2 ± 0.4"]
    seeds = [line.get_xdata() for line in axes.get_lines() if line.get_marker() == "o"]
    assert [list(points) for points in seeds] == [[97, 96, 98], [90, 96]]
    assert figure.claim == "searched has the highest mean, 3.8 above published"
    assert axes.get_xlim()[0] > 50 and "axis not from 0" in axes.get_xlabel()
    assert plots.bars(["a"], [90.0], from_zero=True).get_axes()[0].get_xlim()[0] == 0
    assert_text_inside(figure)


def test_bars_do_not_claim_what_is_within_the_spread():
    claim = plots.bars(["a", "b"], [[90.0, 92.0], [90.5, 92.5]]).claim
    assert claim == "b has the highest mean, 0.5 above a: within the spread of seeds"


@pytest.mark.parametrize(("arguments", "message"), [
    ((["a"], [1.0, 2.0]), "got 1 labels, 2 values, 2 spreads"),
    (([], []), "got 0 labels"),
    ((["a"], [[]]), "'a' has no number"),
    ((["a"], [float("nan")]), "'a' has no number"),
    ((["a"], [[1.0, 2.0]], [0.1]), "'a' has 2 seeds, so its spread is computed"),
])
def test_bars_refuse_what_they_cannot_draw(arguments, message):
    with pytest.raises(ValueError, match=message):
        plots.bars(*arguments)


def test_training_curves_show_evaluations_where_they_were():
    history = TrainingHistory(
        TrainingRecord(epoch, 0.1, 2 / (epoch + 1), 50.0 + epoch, 3.0, 100.0,
                       {"test": {"loss": 1.0, "accuracy": 60.0 + epoch, "count": 10}} if epoch in (1, 3) else {})
        for epoch in range(4))
    figure = plots.training_curves(history)
    assert figure.claim == "train loss 2.00 → 0.50 nats in 4 epochs; accuracy train 53.0%, test 63.0%"
    test_line = next(line for line in figure.get_axes()[1].get_lines() if line.get_label() == "test")
    np.testing.assert_array_equal(test_line.get_ydata(), [np.nan, 61, np.nan, 63])
    with pytest.raises(ValueError, match="run the training first"):
        plots.training_curves(TrainingHistory())
    part = history[2:]      # as of a search's history: the later epochs, to look closer
    assert part.column("train_loss").tolist() == history.column("train_loss")[2:].tolist() and part[-1] is history[3]
    assert plots.training_curves(part).claim == "train loss 0.67 → 0.50 nats in 2 epochs; accuracy train 53.0%, test 63.0%"


# --- in a kernel -----------------------------------------------------------------------------------------------------

def test_a_kernel_shows_each_figure_exactly_once(tmp_path):
    """As the last value of a cell, by display(), and not at all when it is neither; with pyplot in use or not."""
    from builder.execution import kernel_environment, local_sockets
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook
    file = tmp_path / "history.jsonl"
    history = made_history(epochs=3)
    lines = [{"labels": {kind: labels.to_json() for kind, labels in history.labels.items()}},
             *(record.to_json() for record in history)]
    file.write_text("\n".join(map(json.dumps, lines)))
    sources = [f"from gdas_lite import plots\nfrom gdas_lite.search.history import History\n"
               f"history = History.read({str(file)!r})",
               "plots.losses(history)", "figure = plots.losses(history)", "display(figure)",
               "import matplotlib.pyplot as plt", "plots.search_overview(history)", "figure = plots.losses(history)"]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    with tempfile.TemporaryDirectory(prefix="gdas-lite-kernel-") as folder:
        NotebookClient(notebook, kernel_name="python3", config=local_sockets(folder), timeout=120,
                       resources={"metadata": {"path": str(ROOT)}}).execute(env=kernel_environment(folder))
    shown = [[output.output_type for output in cell.outputs] for cell in notebook.cells]
    assert shown == [[], ["execute_result"], [], ["display_data"], [], ["execute_result"], []]
    data = notebook.cells[5].outputs[0].data
    assert set(data) == {"image/png", "text/plain"} and "after 3 epochs" in data["text/plain"]
    assert len(data["image/png"]) < 60_000
