"""Figures of a table: their titles say what was computed, and what is drawn is what was given."""

from __future__ import annotations

import base64

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import gdas_lite as gl
from gdas_lite.benchmark import baselines
from gdas_lite.benchmark.landscape import climb, main_effects
from gdas_lite.benchmark.table import Table
from gdas_lite.visual import tables as figures
from gdas_lite.visual.comparison import operation_counts
from tests.benchmark.test_baselines import table_from
from tests.visual.test_plots import assert_readable


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """No figure in pyplot, no setting changed."""
    before = matplotlib.rcParams.copy()
    yield
    assert plt.get_fignums() == [] and matplotlib.rcParams == before


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return {"first": table_from(0), "second": table_from(1)}


def is_small_picture(figure) -> bool:
    bundle = figure._repr_mimebundle_()
    assert_readable(figure)
    png = base64.b64decode(bundle["image/png"])
    return png.startswith(b"\x89PNG") and len(png) < 60_000 and bundle["text/plain"] == figure.claim != ""


def test_distribution_counts_every_cell_and_marks_what_it_is_told(tables):
    scores = {name: table.values("toy_test_9") for name, table in tables.items()}
    figure = figures.distribution(scores, {"second": {"mine": 42.0}})
    assert is_small_picture(figure) and len(figure.axes) == 2
    for axes, values in zip(figure.axes, scores.values()):
        assert sum(bar.get_height() for bar in axes.patches) == len(values)
    assert [text.get_text() for text in figure.axes[1].texts] == ["mine 42.0"] and not figure.axes[0].texts
    near = 100 * sum(value >= scores["first"].max() - 1 for value in scores["first"]) / 15_625
    assert figure.claim.splitlines()[0] == (f"first: best {scores['first'].max():.2f} %, median "
                                            f"{np.median(scores['first']):.1f} %, {near:.1f} % of the cells within 1 point "
                                            f"of the best")


def test_cost_shows_medians_and_a_front_that_nothing_beats(tables):
    accuracy = tables["first"].values("toy_test_9")
    cost = np.array([cell.count("conv_3x3") * 9 + cell.count("conv_1x1") for cell in tables["first"].cells])
    figure = figures.against_cost(accuracy, {"parameters": cost, "multiply-adds": cost * 64})
    assert is_small_picture(figure)
    dots, median, front = figure.axes[0].lines
    assert len(dots.get_xdata()) == 15_625
    for level, value in zip(*median.get_data()):
        assert value == np.median(accuracy[cost == level])
    for level, value in zip(*front.get_data()):
        assert value == accuracy[cost <= level].max()
    assert "rank correlation with parameters: 0." in figure.claim
    below = (accuracy < figure.axes[0].get_ylim()[0]).sum()
    assert f"{below:,} cells lie below" in figure.axes[0].get_ylabel() and below == (accuracy < np.quantile(accuracy, 0.05)).sum()
    assert accuracy.max() < figure.axes[0].get_ylim()[1]


def test_effects_print_every_number_and_name_the_extremes(tables):
    effects = {name: main_effects(table) for name, table in tables.items()}
    figure = figures.effects(effects)
    assert is_small_picture(figure)
    for axes, values in zip(figure.axes, effects.values()):
        assert [text.get_text() for text in axes.texts] == [f"{value:+.1f}" for value in values.ravel()]
    planted = np.zeros((6, 5))
    planted[5, 3], planted[0, 0] = 2.0, -3.0
    assert figures.effects({"t": planted}).claim == ("t: conv 3×3 on 2→3 is worth most (+2.0), none on 0→1 least (-3.0)")


def test_climbs_show_each_optimum_with_its_share(tables):
    values, ascent = tables["first"].values("toy_test_9"), climb(tables["first"], "toy_test_9")
    figure = figures.climbs({"first": (values, ascent)})
    assert is_small_picture(figure)
    dots = figure.axes[0].lines[0]
    np.testing.assert_allclose(dots.get_xdata(), values.max() - values[ascent.optima])
    np.testing.assert_allclose(dots.get_ydata(), 100 * ascent.basins / 15_625)
    assert f"{len(ascent.optima):,} cells have no better neighbour" in figure.claim


def test_early_prediction_draws_what_it_is_given_down_to_negative_values():
    figure = figures.early_prediction({"accuracy": {1: -0.2, 2: 0.5, 3: 0.9}, "loss": {1: 0.1, 3: 0.8}}, "the end")
    assert is_small_picture(figure)
    assert figure.axes[0].lines[0].get_ydata().tolist() == [-0.2, 0.5, 0.9] and figure.axes[0].get_ylim()[0] <= -0.2
    assert figure.claim == ("accuracy after epoch 1: -0.20, after epoch 3: 0.90; loss after epoch 1: 0.10, after epoch "
                            "3: 0.80")


def test_regret_curves_are_means_and_quantiles_of_the_runs(tables):
    searches = (baselines.random_search, baselines.regularised_evolution, baselines.reinforce)
    runs = {name: [search(table, 30, runs=20) for search in searches] for name, table in tables.items()}
    exact = {"first": tables["first"].random_search_curve(30, score="toy_valid_9")}
    figure = figures.regret_curves(runs, exact=exact)
    assert is_small_picture(figure)
    for axes, name in zip(figure.axes, tables):
        for line, result in zip(axes.lines, runs[name]):
            np.testing.assert_allclose(line.get_ydata(), result.regret().mean(0))
            assert line.get_label() == f"{result.algorithm} (n=20)"
            assert to_hex(line.get_color()) == figures.COLOURS[result.algorithm].lower()
    assert len(figure.axes[0].lines) == 4 and len(figure.axes[1].lines) == 3
    np.testing.assert_allclose(figure.axes[0].lines[3].get_ydata(), exact["first"].regret)
    best = min(runs["first"], key=lambda result: result.regret()[:, -1].mean())
    assert figure.claim.startswith(f"first, after 30 evaluations: {best.algorithm} {best.regret()[:, -1].mean():.2f}, ")
    shorter = baselines.random_search(tables["first"], 10, runs=20)
    assert figures.regret_curves({"first": [runs["first"][1], shorter]}).claim.startswith("first, after the last evaluation of each")
    other = figures.regret_curves({"first": runs["first"]}, column={"first": "toy_valid_9"})
    np.testing.assert_allclose(other.axes[0].lines[0].get_ydata(), runs["first"][0].regret("toy_valid_9").mean(0))


def test_regret_over_epochs_draws_seeds_means_and_levels():
    gdas, darts = np.array([[9.0, 4.0, 2.0], [7.0, 6.0, 4.0]]), np.array([[5.0, 5.0, 5.0]])
    figure = figures.regret_over_epochs({"GDAS": gdas, "DARTS": darts}, {"random search, 10 cells": 3.25})
    assert is_small_picture(figure)
    lines = figure.axes[0].lines
    assert [line.get_ydata().tolist() for line in lines[:3]] == [*gdas.tolist(), [8.0, 5.0, 3.0]]
    assert [line.get_ydata().tolist() for line in lines[3:5]] == [[5.0, 5.0, 5.0]] * 2
    assert set(lines[5].get_ydata()) == {3.25}
    assert figure.claim == "regret in points after the last epoch: GDAS: 3.0 ± 1.4; DARTS: 5.0"
    with pytest.raises(ValueError, match=r"regret_over_epochs: GDAS must be .seeds, epochs., got shape .3,."):
        figures.regret_over_epochs({"GDAS": gdas[0]})


def test_searches_look_alike_in_all_figures_over_epochs():
    names = [f"search {number}" for number in range(8)]
    skips = operation_counts(dict.fromkeys(names, gl.recorded("darts-v1-cifar10-0")))
    regret = figures.regret_over_epochs({name: np.ones((1, 3)) for name in names})
    looks = [{line.get_label(): (line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines
              if line.get_label() in names} for figure in (skips, regret)]
    assert looks[0] == looks[1] and len(set(looks[0].values())) == len(names)
