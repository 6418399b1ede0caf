"""Figures of the lessons on training: what they draw, and that their claims are computed."""

from __future__ import annotations

import numpy as np
import pytest

from gdas_lite.lessons.estimators import toy_paths
from gdas_lite.lessons.figures import costs_by_width, epoch_choice, learning_rates, pictures
from gdas_lite.visual.tables import early_prediction


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_show_each_image_in_its_row_with_one_range_of_brightness(channels):
    images = np.zeros((2, channels, 3, 5))
    images[0, :, 0, 0], images[1, :, 2, 4] = -1, 3
    figure = pictures({"one": images, "two": images[:1]}, "a claim")
    assert figure.claim == "a claim"
    drawn = [axes.get_images() for axes in figure.axes]
    assert [len(found) for found in drawn] == [1, 1, 1, 0]          # the second row is shorter
    first, second = drawn[0][0].get_array(), drawn[1][0].get_array()
    assert first.shape[:2] == (3, 5) and np.all(first[0, 0] == 0) and np.allclose(first[1, 1], 0.25)
    assert np.all(second[2, 4] == 1) and figure.axes[0].get_ylabel() == "one"
    assert figure.png()[:4] == b"\x89PNG"


def test_pictures_refuse_what_is_no_row_of_images():
    for row in (np.zeros((2, 2, 3, 3)), np.zeros((0, 1, 3, 3)), np.zeros((3, 3))):
        with pytest.raises(ValueError, match="row 'x': expected images"):
            pictures({"x": row}, "")


def test_the_claim_about_learning_rates_is_computed():
    figure = learning_rates({"steady": [0.1] * 8, "halved": [0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05]})
    assert figure.claim.endswith("steady 100.0 %; halved 25.0 %")
    assert [line.get_ydata().max() for line in figure.axes[0].get_lines()] == [1, 1]
    assert figure.png()[:4] == b"\x89PNG"


def test_the_widest_network_below_the_limit_is_named():
    figure = costs_by_width({"a": [(8, 4_000_000), (2, 1_000_000), (4, 2_000_000)], "b": [(6, 1_500_000)]}, 3e6)
    assert figure.claim == "Widest below 3 million multiply-adds: a 4 channels, b 6 channels"
    assert figure.axes[0].get_lines()[0].get_ydata().tolist() == [1, 2, 4]
    with pytest.raises(ValueError, match="b: no width stays below 1 million multiply-adds, the smallest has 2"):
        costs_by_width({"b": [(6, 2_000_000)]}, 1e6)


def test_the_best_epoch_is_ringed_and_the_gain_is_the_mean():
    figure = epoch_choice({"calm": [[1, 2, 3], [2, 4, 4]], "restless": [[1, 9, 3], [5, 4, 1]]})
    assert figure.claim.endswith("calm +0.0, restless +5.0")
    rings = [line for line in figure.axes[1].get_lines() if line.get_markersize() == 10]
    assert [(ring.get_xdata()[0], ring.get_ydata()[0]) for ring in rings] == [(2, 9), (1, 5)]
    assert all(tick == int(tick) for axes in figure.axes for tick in axes.get_xticks())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["calm", "restless"]
    assert figure.png()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="'empty' has no training"):
        epoch_choice({"empty": []})
    with pytest.raises(ValueError, match="'short' has no training, or one without an epoch"):
        epoch_choice({"short": [[]]})


@pytest.mark.parametrize("draw", [
    lambda names: learning_rates({name: [0.1, 0.05] for name in names}),
    lambda names: costs_by_width({name: [(4, 2_000_000)] for name in names}, 3e6),
    lambda names: epoch_choice({name: [[1, 2]] for name in names}),
    lambda names: early_prediction({name: {1: 0.2, 2: 0.9} for name in names}, "the end"),
    lambda names: toy_paths([0.01 * number for number in range(len(names))], 3)])
def test_a_figure_draws_all_that_it_is_given_however_many(draw):
    few, many = (draw([f"<{number}>" for number in range(count)]) for count in (2, 9))
    each = sum(len(axes.lines) for axes in few.axes) // 2           # whatever belongs to no entry is one line at most
    assert sum(len(axes.lines) for axes in many.axes) >= 9 * each
    if "<1>" in few.claim:
        assert all(f"<{number}>" in many.claim for number in range(9))
