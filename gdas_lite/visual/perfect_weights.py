"""The figure of searches with perfect weights: the accuracy of the cell at each step, rule by rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..genotypes.published import published
from .figure import REFERENCE, NotebookFigure, new_figure, note, styled

if TYPE_CHECKING:
    from ..benchmark.perfect_weights import PerfectRuns

LOOKS = {"darts": ("#00956A", "-"), "gumbel": ("#9B5FAC", "--"), "straight-through": ("#F28E1C", "-."),
         "gdas": ("#184DDB", "-"), "gdas with a baseline": ("#184DDB", (0, (1, 1.2))), "reinforce": ("#636363", "--")}


@styled
def perfect_weights(searches: Iterable[PerfectRuns]) -> NotebookFigure:
    """Draws the real accuracy of each search's cell (percent; mean over seeds, band of the middle half) by steps.

    searches: what `gl.perfect_weights.search` returned, one a rule. Below, the published DARTS-V1 with shared weights.
    """
    searches = list(searches)
    table, last = searches[0].table, max(int(runs.records[-1]) for runs in searches)
    best = table.values(table.default_column).max()
    figure = new_figure(4.4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    for runs in searches:
        (colour, line), accuracy, regret = LOOKS[runs.rule], runs.accuracy(), runs.regret()
        for axes in (top, bottom):
            middle_half = np.quantile(accuracy, (0.25, 0.75), axis=0)
            axes.fill_between(runs.records, *middle_half, color=colour, alpha=0.08, lw=0)
            axes.plot(runs.records, accuracy.mean(0), ls=line, color=colour, lw=1.8,
                      label=f"{runs.rule}\n{regret.mean():.2f} ± {regret.std():.2f}")
    shared = published("DARTS_V1", space="nasbench201", data="cifar10", metric="test_accuracy")[0].value
    bottom.axhline(shared, color=LOOKS["darts"][0], lw=1.2, ls=":")
    note(bottom, f"DARTS-V1, shared weights (published): {shared:.2f}", (last, shared), (-3, 4), ha="right")
    top.axhline(best, **REFERENCE)
    note(top, f"the best cell: {best:.2f}", (searches[0].records[1], best), (2, 4))
    top.set(ylim=(86, 95.6), ylabel="accuracy on CIFAR-10 (%)")
    bottom.set(ylim=(50, 64), xlabel="steps", xscale="log", xlim=(searches[0].records[1], last))
    bottom.xaxis.set_major_formatter("{x:g}")
    bottom.xaxis.set_minor_formatter("")
    top.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), title="regret after the last step", labelspacing=0.7)
    for axes in (top, bottom):
        axes.grid(axis="y")
    perfect, seeds = [runs.rule for runs in searches if runs.regret().max() == 0], len(searches[0].seeds)
    return figure.state(f"with perfect weights {', '.join(perfect)} find the best cell of all in each of {seeds} seeds"
                        if perfect else "no rule finds the best cell of all in every seed")
