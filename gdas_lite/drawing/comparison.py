"""How cells compare: a figure of their accuracies with the spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdas_lite.drawing.notebook_figure import NotebookFigure, new_figure, styled

MEAN, SEED, BAR = "#333333", "#C2185B", "#D5D9DE"


@styled
def bars(labels: Sequence[str], values: Sequence[float | Sequence[float]],
         spreads: Sequence[float | None] | None = None, *, quantity: str = "test accuracy (%)",
         from_zero: bool = False) -> NotebookFigure:
    """Compare cells: one line each, with the mean, one standard deviation and, where given, the points of each seed.

    values: for each label the numbers of its seeds, or one mean. spreads: standard deviations for means without seeds
    (published results); None where unknown. quantity: name and unit of the axis. from_zero: start the axis at 0 and
    draw bars; otherwise the axis is cut to the values, and only points are drawn, for a cut bar misleads.
    Raises ValueError if the lengths differ or a label has no number.
    """
    seeds = [np.atleast_1d(np.asarray(value, dtype=float)) for value in values]
    spreads = [None] * len(seeds) if spreads is None else list(spreads)
    if not labels or not len(labels) == len(seeds) == len(spreads):
        raise ValueError(f"one value and one spread for each label: got {len(labels)} labels, {len(seeds)} values, "
                         f"{len(spreads)} spreads")
    for label, numbers, spread in zip(labels, seeds, spreads):
        if numbers.size == 0 or not np.isfinite(numbers).all():
            raise ValueError(f"{label!r} has no number to draw: got {list(numbers)}")
        if spread is not None and numbers.size > 1:
            raise ValueError(f"{label!r} has {numbers.size} seeds, so its spread is computed; "
                             f"give a spread only with one mean")
    figure = new_figure(0.9 + 0.42 * len(labels), 7.5)
    axes = figure.subplots()
    for row, (numbers, spread) in enumerate(zip(seeds, spreads)):
        _draw_bar(axes, row, numbers, spread, from_zero)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(ylim=(len(labels) - 0.4, -0.6), xlabel=quantity + ("" if from_zero else ", axis cut"))
    if from_zero:
        axes.set_xlim(left=0)
    axes.grid(axis="x", color="#E3E5E8", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    figure.state(_bars_claim(labels, seeds, spreads, quantity))
    return figure


def _draw_bar(axes: Any, row: int, numbers: np.ndarray, spread: float | None, from_zero: bool) -> None:
    mean = float(numbers.mean())
    deviation = float(numbers.std(ddof=1)) if numbers.size > 1 else spread
    if from_zero:
        axes.barh(row, mean, height=0.6, color=BAR, zorder=1)
    if deviation is not None:
        axes.errorbar(mean, row, xerr=deviation, color=MEAN, capsize=3, lw=1.2, zorder=2)
    if numbers.size > 1:
        axes.plot(numbers, row + np.linspace(-0.14, 0.14, numbers.size), "o", ms=4, mfc="white", mec=SEED, zorder=3)
    axes.plot(mean, row, "D", ms=6, color=MEAN, zorder=4)
    text = f"{mean:.1f}" + (f" ± {deviation:.1f}" if deviation is not None else "")
    text += f" (n={numbers.size})" if numbers.size > 1 else ""
    axes.annotate(text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8.5)


def _bars_claim(labels: Sequence[str], seeds: Sequence[np.ndarray], spreads: Sequence[float | None],
                quantity: str) -> str:
    means = [float(numbers.mean()) for numbers in seeds]
    if len(means) == 1:
        return f"{labels[0]}: {means[0]:.1f}, {quantity}"
    first, second = np.argsort(means)[::-1][:2]
    widths = [numbers.std(ddof=1) if numbers.size > 1 else spread or 0.0 for numbers, spread in zip(seeds, spreads)]
    apart = means[first] - means[second] > widths[first] + widths[second]
    return (f"{labels[first]} has the highest mean, {means[first] - means[second]:.1f} above {labels[second]}"
            + ("" if apart else ": within the spread of seeds"))
