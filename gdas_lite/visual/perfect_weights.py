"""The figure of searches with perfect weights: the accuracy of the cell at each step, rule by rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from .figure import NotebookFigure, new_figure, styled

if TYPE_CHECKING:
    from ..benchmark.perfect_weights import PerfectRuns

LOOKS = {"darts": ("#00956A", "-"), "gumbel": ("#9B5FAC", "--"), "straight-through": ("#F28E1C", "-."),
         "gdas": ("#184DDB", "-"), "gdas with a baseline": ("#184DDB", (0, (1, 1.2))), "reinforce": ("#636363", "--")}
SHARED = {"DARTS-V1, shared weights (published)": ("#00956A", 54.30)}      # NAS-Bench-201 paper, table 5
SMALL = 8.5


@styled
def perfect_weights(searches: Iterable[PerfectRuns]) -> NotebookFigure:
    """Draws the real accuracy of each search's cell (percent; mean over the seeds, band of the middle half) against its steps.

    searches: what `gl.perfect_weights.search` returned, one for each rule. Below, the published DARTS with shared weights.
    """
    searches = list(searches)
    table, last = searches[0].table, max(int(runs.records[-1]) for runs in searches)
    best = table.values(table.default_column).max()
    figure = new_figure(4.4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    for runs in searches:
        (colour, line), accuracy, regret = LOOKS[runs.rule], runs.accuracy(), runs.regret()
        for axes in (top, bottom):
            axes.fill_between(runs.records, *np.quantile(accuracy, (0.25, 0.75), axis=0), color=colour, alpha=0.08, lw=0)
            axes.plot(runs.records, accuracy.mean(0), ls=line, color=colour, lw=1.8,
                      label=f"{runs.rule}\n{regret.mean():.2f} ± {regret.std():.2f}")
    for name, (colour, level) in SHARED.items():
        bottom.axhline(level, color=colour, lw=1.2, ls=":")
        bottom.annotate(f"{name}: {level:.2f}", (last, level), xytext=(-3, 4), textcoords="offset points", ha="right",
                        fontsize=SMALL, color=colour)
    top.axhline(best, color="#999999", lw=0.8)
    top.annotate(f"the best cell: {best:.2f}", (searches[0].records[1], best), xytext=(2, 4), textcoords="offset points",
                 fontsize=SMALL, color="#555555")
    top.set(ylim=(86, 95.6), ylabel="accuracy on CIFAR-10 (%)")
    bottom.set(ylim=(50, 64), xlabel="steps", xscale="log", xlim=(searches[0].records[1], last))
    top.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.0, 1.03), title="regret after the last step",
               title_fontsize=SMALL, labelspacing=0.7)
    for axes in (top, bottom):
        axes.tick_params(labelsize=SMALL)
        axes.grid(axis="y", color="#E6E8EB", lw=0.7)
    found = [runs.rule for runs in searches if runs.regret().max() == 0]
    figure.state(f"with perfect weights {', '.join(found)} find the best cell of all in each of {len(searches[0].seeds)} seeds"
                 if found else "no rule finds the best cell of all in every seed")
    return figure
