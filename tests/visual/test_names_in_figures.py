"""A name is drawn as it is written: dollar signs, backslashes and braces of a class are no formula and end no picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

import gdas_lite as gl
from gdas_lite.lessons import figures
from gdas_lite.visual import comparison
from gdas_lite.visual.figure import new_figure, styled

NAMES = ["$\\frac$", "$", "$$", "$x$", "a\\$b$c$", "\\frac{", "{%s}", "100 %", "_under", "^", "$\\undefined$", "a_b"]


def figures_with(names):
    """Each figure that shows names, drawn."""
    count = len(names)
    yield comparison.confusion_table(np.eye(count, dtype=int) * 3 + 1, names)
    yield comparison.bars(names, [[float(row), row + 1.0] for row in range(count)], quantity=names[0])
    yield figures.picture_grid(np.zeros((count, 1, 4, 4), np.uint8), list(range(count)), names, each=1)
    history = gl.recorded("gdas-published-thumbnails-0")
    yield comparison.operation_counts(dict.fromkeys(names[:4], history[:3]))


def shown(figure):
    figure.png()
    return [text for text in figure.findobj(Text) if text.get_text()]


def test_names_are_drawn_as_they_are():
    for figure in figures_with(NAMES):
        texts = shown(figure)
        assert not any(text._preprocess_math(text.get_text())[1] for text in texts)
        written = "\n".join(text._preprocess_math(text.get_text())[0] for text in texts)
        assert NAMES[0] in written


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.sampled_from("$\\{}_^a1%&#~ "), min_size=1, max_size=8), min_size=2, max_size=3, unique=True))
def test_any_signs_in_a_class_name_can_be_drawn(names):
    comparison.confusion_table(np.ones((len(names), len(names)), int), names).png()
    figures.picture_grid(np.zeros((len(names), 1, 4, 4), np.uint8), list(range(len(names))), names, each=1).png()


@pytest.mark.parametrize("title", NAMES)
def test_a_title_of_a_drawing_is_no_formula(title, tmp_path):
    cell = gl.zoo_genotype("GDAS_F1")
    gl.diagrams.save(cell, tmp_path / "cell.png", title=title)
    gl.diagrams.save(cell, tmp_path / "cell.svg", title=title)
    assert (tmp_path / "cell.svg").read_text().startswith("<")


def test_powers_of_ten_stay_formulas_and_the_users_own_figures_keep_theirs():
    @styled
    def draw():
        figure = new_figure(2)
        axes = figure.subplots()
        axes.plot([1, 10, 1000], [1, 2, 3])
        axes.set(xscale="log", title="$x$")
        return figure

    figure = draw()
    texts = shown(figure)
    formulas = [text.get_text() for text in texts if text._preprocess_math(text.get_text())[1]]
    assert any("10^{" in text for text in formulas) and all("10^{" in text for text in formulas)
    assert io.BytesIO(figure.png()).read(4) == b"\x89PNG"
    assert Text(0, 0, "$x$").get_parse_math()
