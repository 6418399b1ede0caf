"""The figure of equal cost: regret against images trained."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..benchmark.equal_cost import COLUMN, EqualCost, Point
from ..benchmark.equal_cost import equal_cost as compare
from .figure import REFERENCE, NotebookFigure, note, styled, subplots
from .palette import HIGHLIGHT, STRONG
from .tables import COLOURS, LINES

MARKERS = {"GDAS": ("D", HIGHLIGHT), "DARTS-V1": ("s", "#00956A"), "random search, shared weights": ("o", "#9B5FAC")}
LABELS = {"random search, shared weights": "random search,\nshared weights"}
RIGHT, LEFT = ((11, 0), "left"), ((-11, 0), "right")        # of a marker, in points: where its label stands
PLACES = {("GDAS", "published"): ((-22, -24), "right"), ("GDAS", "measured"): ((8, 40), "left")}     # beside the curves
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


@styled
def equal_cost(comparison: EqualCost | None = None, band: tuple[float, float] = (0.25, 0.75), *,
               recorded: Iterable[Any] = ()) -> NotebookFigure:
    """Draws how far below CIFAR-10's best cell each search ends (percentage points), against the images trained.

    comparison: as `gdas_lite.benchmark.equal_cost.equal_cost` computes it, which also says how images are counted; None
    computes it with the `recorded` histories, in about two seconds. Lines are means over runs, their bands the
    quantiles `band`. Filled marks are published, open ones measured here; bars are standard deviations over searches.
    """
    if comparison is None:
        comparison = compare(recorded=recorded)
    figure, (nothing, axes) = subplots(4.6, columns=2, sharey=True, width_ratios=(1, 5.6))
    _draw_cells(nothing, [point for point in comparison.points if point.images == 0])
    _draw_curves(axes, comparison, band)
    for point in comparison.points:
        if point.images:
            _draw_point(axes, point)
    _finish(nothing, axes, comparison)
    return figure.state(_claim(comparison))


def _draw_cells(axes: Any, points: list[Point]) -> None:
    for point in points:
        axes.plot(0.2, point.regret, "P", ms=8, color=STRONG)
        note(axes, f"{point.name}\n{point.regret:.2f}", (0.2, point.regret), (9, 0), va="center")
    axes.set(xlim=(0, 1), ylabel="regret on CIFAR-10 (percentage points)")
    axes.set_xticks([0.5], ["nothing\nsearched"])
    axes.tick_params(axis="x", length=0)


def _draw_curves(axes: Any, comparison: EqualCost, band: tuple[float, float]) -> None:
    for runs in comparison.curves:
        regret, colour = runs.regret(COLUMN), COLOURS[runs.algorithm]
        bounds = np.quantile(regret, band, axis=0)
        axes.fill_between(comparison.images, *bounds, color=colour, alpha=0.1, lw=0)
        axes.plot(comparison.images, bounds.T, LINES[runs.algorithm], lw=0.6, color=colour, alpha=0.6)
        axes.plot(comparison.images, regret.mean(0), LINES[runs.algorithm], lw=1.8, color=colour,
                  label=f"{runs.algorithm} (n={len(regret)})")


def _draw_point(axes: Any, point: Point) -> None:
    marker, colour = MARKERS[point.name]
    spread = point.spread if point.spread > 0 else None         # none published, or all searches end at one cell
    is_published = point.origin == "published"
    axes.errorbar(point.images, point.regret, spread, fmt=marker, ms=8 if is_published else 12, color=colour,
                  mfc=colour if is_published else "none", mew=1.6, capsize=3, elinewidth=1.4, zorder=5)
    number = f"{point.regret:.2f}" + ("" if spread is None else f" ± {point.spread:.2f}")
    offset, side = PLACES.get((point.name, point.origin), RIGHT if is_published else LEFT)
    note(axes, f"{LABELS.get(point.name, point.name)}, {point.origin}\n{number} (n={point.runs})",
         (point.images, point.regret), offset, ha=side, va="center", zorder=6)


def _finish(nothing: Any, axes: Any, comparison: EqualCost) -> None:
    axes.axvline(comparison.one_cell, **REFERENCE, zorder=0)
    note(axes, "one cell trained to its end", (comparison.one_cell, 0.98), (4, 0), va="top",
         xycoords=("data", "axes fraction"))
    axes.set(xscale="log", yscale="log", xlabel="images trained to find the cell", ylim=(0.1, 70),
             xlim=(comparison.images[0] / 1.15, comparison.images[-1] * 1.6))
    axes.xaxis.set_major_formatter(lambda images, _: f"{images / 1e6:g} million")
    for each in (nothing, axes):
        each.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
        each.set_yticks([], minor=True)
        each.grid(axis="y")
    axes.tick_params(axis="y", left=False)
    axes.spines["left"].set_visible(False)
    axes.legend(loc="lower left")


def _claim(comparison: EqualCost) -> str:
    gdas, end = comparison.point("GDAS"), comparison.images[-1] + comparison.images[0]
    same = comparison.regret_at(gdas.images) if gdas.images < end else {}       # short curves are not there any more
    there = ", ".join(f"{name} {same[name]:.2f}" for name in sorted(same, key=same.get))
    return (f"one GDAS search trains {gdas.images / 1e6:.1f} million images, {gdas.images / comparison.one_cell:.2f} "
            "times as many as one cell takes to its end"
            + (f"\nregret there: GDAS {gdas.regret:.2f} (published), {there}" if there else ""))
