"""The figure of equal cost: every number behind it, counted in another way; and the figure shows them."""

from __future__ import annotations

import numpy as np
import pytest

import gdas_lite as gl
from gdas_lite.benchmark.equal_cost import METHODS, EqualCost, equal_cost, images_of
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.search.recipes import search_recipe
from tests.visual.test_landscape_figures import is_small_picture
from tests.visual.test_plots import assert_text_inside

BEST = 94.3733      # CIFAR-10's best cell


def search(algorithm: str, cells: list[str], data: str = "cifar10", space: str = "nasbench201") -> gl.History:
    """A made-up recorded search: one cell an epoch."""
    config = {"algorithm": {"name": algorithm}, "space": {"name": space}, "data": {"name": data}}
    return gl.History({}, [gl.EpochRecord(epoch, None, 0.1, 1, 1, 1, 1, 1.0, {}, cell) for epoch, cell in enumerate(cells)],
                      {"config": config})


@pytest.fixture(scope="module")
def comparison() -> EqualCost:
    return equal_cost(evaluations=60, runs=400)


def test_published_searches_stand_where_the_paper_says(comparison):
    """Value and spread as published; images from the protocols: 250 or 50 epochs, halves of 25,000."""
    expected = {"GDAS": (250 * 2 * 25_000, 93.61, 0.09), "DARTS-V1": (50 * 2 * 25_000, 54.30, 0.0),
                "random search, shared weights": (250 * 25_000, 87.66, 1.69)}
    for name, (images, accuracy, spread) in expected.items():
        point = comparison.point(name)
        assert (point.images, point.spread, point.runs) == (images, spread, 3)
        assert point.regret == pytest.approx(BEST - accuracy)
    assert comparison.one_cell == 200 * 50_000
    assert comparison.point("GDAS").images / comparison.one_cell == 1.25
    for algorithm, (*_, epochs) in METHODS.items():        # the room knows no recipe: the number is written down there
        assert epochs == search_recipe("paper", "nasbench201", algorithm).epochs


def test_cells_without_a_search(comparison):
    table = gl.tabular("nasbench201")
    point = comparison.point("no cell", "one cell")
    assert (point.images, point.regret) == (0, pytest.approx(BEST - 86.4533))
    skip = NASBench201Genotype(("none", "none", "none", "skip_connect", "none", "none"))
    assert NASBench201Genotype.EDGES[3] == (0, 3) and point.regret == table.regret(skip, "c10_test_200")
    assert comparison.point("ResNet cell", "one cell").regret == table.regret(gl.zoo_genotype("resnet"), "c10_test_200")


def test_an_evaluation_is_twelve_epochs_of_half_the_images(comparison):
    assert comparison.images[[0, 1, 59]].tolist() == [300_000, 600_000, 18_000_000]
    for images, evaluations in ((300_000, 1), (899_999, 2), (12_500_000, 41)):
        found = comparison.regret_at(images)
        assert list(found) == ["random search", "regularised evolution", "REINFORCE"]
        for runs in comparison.curves:
            assert runs.score == "c10_valid_12"
            assert found[runs.algorithm] == pytest.approx(BEST - runs.accuracy("c10_test_200")[:, evaluations - 1].mean())
    last = int(comparison.images[-1])
    assert comparison.regret_at(last + 299_999) == comparison.regret_at(last)
    for images in (299_999, last + 300_000):
        with pytest.raises(ValueError, match=f"the curves go from 300,000 to {last:,} images, asked for {images:,}"):
            comparison.regret_at(images)
    with pytest.raises(KeyError, match="no point 'GDAS', measured; there are no cell, one cell; .*GDAS, published"):
        comparison.point("GDAS", "measured")


def test_random_search_is_where_order_statistics_put_it(comparison):
    exact = gl.tabular("nasbench201").random_search_curve(60, "c10_test_200", "c10_valid_12")
    regret = comparison.curves[0].regret("c10_test_200")
    for evaluations in (1, 10, 41, 60):
        sigma = exact.std[evaluations - 1] / len(regret) ** 0.5
        assert abs(regret[:, evaluations - 1].mean() - exact.regret[evaluations - 1]) < 4 * sigma


def test_measured_searches_are_means_of_their_last_cells():
    table = gl.tabular("nasbench201")
    one, two, skips = str(table.top(100)[-1]), str(table.top(900)[-1]), str(gl.zoo_genotype("all_idnt"))
    searches = [search("gdas", [skips] * 9 + [one]), search("gdas", [skips] * 9 + [two]), search("darts-v1", [one, skips]),
                search("random", [None, None, two]), search("gdas", [one], data="digits"), search("gdas", [one], space="nasnet")]
    found = equal_cost(evaluations=2, runs=2, recorded=searches)
    accuracies = [table.accuracy(cell, "c10_test_200") for cell in (one, two)]
    gdas = found.point("GDAS", "measured")
    assert (gdas.images, gdas.runs) == (10 * 50_000, 2)
    assert gdas.regret == pytest.approx(BEST - sum(accuracies) / 2)
    assert gdas.spread == pytest.approx(abs(accuracies[0] - accuracies[1]) / 2 ** 0.5)
    darts, random = found.point("DARTS-V1", "measured"), found.point("random search, shared weights", "measured")
    assert (darts.images, darts.runs, np.isnan(darts.spread)) == (100_000, 1, True)
    assert (random.images, random.regret) == (75_000, pytest.approx(BEST - accuracies[1]))
    assert len(found.points) == 8
    assert images_of("random", 4) * 2 == images_of("darts-v2", 4) == 200_000


def test_a_table_with_other_columns_names_them():
    with pytest.raises(KeyError, match="Table digits: unknown column 'c10_test_200'"):
        equal_cost("digits")


def test_the_figure_shows_the_numbers():
    cell = str(gl.tabular("nasbench201").top(300)[-1])
    comparison = equal_cost(evaluations=60, runs=50, recorded=[search("gdas", [cell] * 250), search("darts-v1", [cell] * 50)])
    figure = gl.plots.equal_cost(comparison)
    assert is_small_picture(figure)
    assert_text_inside(figure)
    nothing, axes = figure.axes
    texts = " ".join(text.get_text() for each in figure.axes for text in each.texts)
    for point in comparison.points:
        assert f"{point.regret:.2f}" in texts
    curves = {line.get_label(): line for line in axes.lines if "(n=50)" in line.get_label()}
    for runs in comparison.curves:
        line = curves[f"{runs.algorithm} (n=50)"]
        assert np.array_equal(line.get_xdata(), comparison.images)
        assert np.array_equal(line.get_ydata(), runs.regret("c10_test_200").mean(0))
    drawn = {(line.get_xdata()[0], round(line.get_ydata()[0], 3)) for line in axes.lines if len(line.get_xdata()) == 1}
    assert {(point.images, round(point.regret, 3)) for point in comparison.points if point.images} <= drawn
    there = comparison.regret_at(12_500_000)
    assert figure.claim.startswith("one GDAS search trains 12.5 million images, 1.25 times as many as one cell takes to its end")
    assert all(f"{name} {regret:.2f}" in figure.claim for name, regret in there.items())
    short = gl.plots.equal_cost(equal_cost(evaluations=40, runs=5))     # 41 are as dear as the published search
    assert "one GDAS search trains 12.5 million" in short.claim and "regret there" not in short.claim
    by_itself = gl.plots.equal_cost(recorded=[search("gdas", [cell] * 250)])
    assert any("GDAS, measured" in text.get_text() for text in by_itself.axes[1].texts)
    assert min(text.get_fontsize() for each in figure.axes for text in (*each.texts, *each.get_xticklabels())) * 80 / 72 >= 9
