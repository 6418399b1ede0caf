"""Figures of a table: how accuracies lie, what they cost, what operations are worth, where climbs end, regret, and
searches with perfect weights.

Each takes arrays (landscape.py and baselines.py compute them) and says in its title what the arrays say.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from ..benchmark.equal_cost import COLUMN
from ..benchmark.files import described
from ..benchmark.landscape import pareto, rank_correlation
from ..benchmark.perfect_weights import PerfectRuns
from ..genotypes.nasbench201 import NASBench201Genotype
from ..genotypes.notation import BENCHMARK_OPS
from ..genotypes.zoo import published
from .figure import REFERENCE, NotebookFigure, draw_table, new_figure, note, panels, styled, subplots, whole_numbers
from .palette import HIGHLIGHT, OTHERS, SEARCH_COLOURS, SEARCH_LINES, SOFT, STRONG, style_of

COLOURS = {"random search": "#636363", "regularised evolution": "#184DDB", "REINFORCE": "#F28E1C"}
LINES = {"random search": "-", "regularised evolution": "-", "REINFORCE": "--"}
NEAR = 1.0                                                  # percentage points below the best that count as near
RULES = {"darts": ("#00956A", "-"), "gumbel": ("#9B5FAC", "--"), "straight-through": ("#F28E1C", "-."),
         "gdas": ("#184DDB", "-"), "gdas with a baseline": ("#184DDB", (0, (1, 1.2))), "reinforce": ("#636363", "--")}


@styled
def distribution(accuracies: Mapping[str, np.ndarray], marks: Mapping[str, Mapping[str, float]] | None = None
                 ) -> NotebookFigure:
    """Histograms of accuracy (percent), one panel for each table; marks: {table: {what: accuracy}} drawn as lines."""
    (figure, parts), claims = panels(2.9, accuracies), []
    for axes, name, values in parts:
        axes.hist(values, bins=60, color=SOFT)
        axes.set(xlabel=f"accuracy (%), {name}", ylabel="cells", yscale="log")
        axes.set_ylim(top=axes.get_ylim()[1] * 5)
        for line, (what, value) in enumerate((marks or {}).get(name, {}).items()):
            axes.axvline(value, color=HIGHLIGHT, lw=1, ls="--")
            note(axes, f"{what} {value:.1f}", (value, 0.97 - 0.09 * line), (-3, 0), xycoords=("data", "axes fraction"),
                 ha="right", va="top")
        near = 100 * np.mean(values >= values.max() - NEAR)
        claims.append(f"{name}: best {values.max():.2f} %, median {np.median(values):.1f} %, {near:.1f} % of the cells "
                      f"within {NEAR:.0f} point of the best")
    return figure.state("\n".join(claims))


@styled
def against_cost(accuracy: np.ndarray, costs: Mapping[str, np.ndarray], quantity: str = "test accuracy (%)"
                 ) -> NotebookFigure:
    """Accuracy against what a cell's network costs, one panel for each cost; the median, and the front no cell beats.

    The axis is cut below the worst twentieth of the cells, and says how many lie there.
    """
    (figure, parts), claims = panels(3.4, costs, sharey=True), []
    floor, rng = np.quantile(accuracy, 0.05), np.random.default_rng(0)
    for axes, name, cost in parts:
        levels, level_of = np.unique(cost, return_inverse=True)
        width = (np.diff(levels).min() if len(levels) > 1 else 1.0) * 0.35
        axes.plot(cost + rng.uniform(-width, width, len(cost)), accuracy, ",", color=SOFT, alpha=0.6, rasterized=True)
        medians = [np.median(accuracy[level_of == level]) for level in range(len(levels))]
        axes.plot(levels, medians, color=STRONG, label="median")
        front = pareto(cost, accuracy)
        axes.plot(cost[front], accuracy[front], "D-", ms=4, color=HIGHLIGHT, label="the best up to this cost")
        axes.set(xlabel=name)
        axes.ticklabel_format(axis="x", scilimits=(-3, 3))
        claims.append(f"rank correlation with {name}: {rank_correlation(cost, accuracy):.2f}")
    figure.axes[0].set_ylabel(f"{quantity};\n{np.count_nonzero(accuracy < floor):,} cells lie below the axis")
    figure.axes[0].set_ylim(bottom=floor)
    figure.axes[0].legend(loc="lower right")
    return figure.state("; ".join(claims))


@styled
def effects(tables: Mapping[str, np.ndarray]) -> NotebookFigure:
    """What each operation on each edge is worth (percentage points, `landscape.main_effects`), a panel a table."""
    (figure, parts), claims = panels(3.1, tables, min(9.5, 4.75 * len(tables))), []
    labels = [f"{src}→{dst}" for src, dst in NASBench201Genotype.EDGES]
    ops = [style_of(op).label for op in BENCHMARK_OPS]
    for axes, name, values in parts:
        reach = np.abs(values).max() or 1.0
        draw_table(axes, values, np.char.mod("%+.1f", values), labels, ops, slanted=False, cmap="PuOr_r", vmin=-reach,
                   vmax=reach)
        axes.set_title(name)
        edge, op = np.unravel_index(values.argmax(), values.shape)
        least, worst = np.unravel_index(values.argmin(), values.shape)
        claims.append(f"{name}: {ops[op]} on {labels[edge]} is worth most ({values.max():+.1f}), "
                      f"{ops[worst]} on {labels[least]} least ({values.min():+.1f})")
    return figure.state("\n".join(claims))


@styled
def climbs(tables: Mapping[str, tuple[np.ndarray, Any]]) -> NotebookFigure:
    """Where steepest ascent ends: {name: (accuracies, landscape.climb(...))}; a stem: no better neighbour."""
    (figure, parts), claims = panels(2.9, tables), []
    for axes, name, (values, climb) in parts:
        regret, share = values.max() - values[climb.optima], 100 * climb.basins / len(values)
        axes.vlines(regret, 0, share, color=SOFT, lw=1)
        axes.plot(regret, share, "o", ms=4, color=STRONG)
        axes.plot(regret[regret == 0], share[regret == 0], "D", ms=6, color=HIGHLIGHT, label="the best")
        axes.set(xlabel="below the best (percentage points)", ylabel="climbs that end there (%)", title=name)
        axes.set_ylim(bottom=0)
        axes.legend()
        claims.append(f"{name}: {len(regret):,} cells have no better neighbour; {share[regret == 0].sum():.0f} % of "
                      f"all climbs end at the best, {share[regret <= NEAR].sum():.0f} % within {NEAR:.0f} point")
    return figure.state("\n".join(claims))


@styled
def early_prediction(correlations: Mapping[str, Mapping[int, float]], last: str) -> NotebookFigure:
    """Rank correlation with the column `last`, over the epochs: {what: {epoch: correlation}}."""
    (figure, axes), claims = subplots(2.9, 6.0), []
    for (name, curve), marker, line in zip(correlations.items(), cycle("os^Dv"), cycle(("-", "--", "-.", ":", "-"))):
        epochs, values = list(curve), list(curve.values())
        axes.plot(epochs, values, line, marker=marker, ms=4, label=name)
        claims.append(f"{name} after epoch {epochs[0]}: {values[0]:.2f}, after epoch {epochs[-1]}: {values[-1]:.2f}")
    axes.set(xlabel="epochs trained", ylabel=f"rank correlation with\n{last}")
    axes.set_ylim(min(0.0, *(value for curve in correlations.values() for value in curve.values())), 1.02)
    whole_numbers(axes.xaxis)
    axes.legend(loc="lower right")
    return figure.state("; ".join(claims))


@styled
def regret_curves(tables: Mapping[str, Sequence[Any]], column: str | Mapping[str, str] | None = None,
                  band: tuple[float, float] = (0.25, 0.75), exact: Mapping[str, Any] | None = None) -> NotebookFigure:
    """Regret of the incumbent against evaluations: {table: runs of each algorithm}; mean and the quantiles `band`.

    column: the accuracy that regret is measured in; None: a table's default. exact: {table: RandomSearchCurve}, dotted.
    """
    (figure, parts), claims = panels(3.3, tables), []
    for axes, name, algorithms in parts:
        chosen = column.get(name) if isinstance(column, Mapping) else column
        means, lowest = {}, np.inf
        for runs, spare in zip(algorithms, OTHERS * len(algorithms)):
            regret = runs.regret(chosen)                            # (runs, evaluations)
            label, steps = runs.algorithm, np.arange(1, regret.shape[1] + 1)
            colour = COLOURS.get(label, spare)
            axes.fill_between(steps, *np.quantile(regret, band, axis=0), color=colour, alpha=0.15, lw=0)
            axes.plot(steps, regret.mean(0), LINES.get(label, "-"), color=colour, label=f"{label} (n={len(regret)})")
            means[label] = regret[:, -1].mean()
            lowest = min(lowest, regret.mean(0).min())
        if exact and name in exact:
            axes.plot(exact[name].evaluations, exact[name].regret, ":", color=STRONG, label="random search, exact")
        axes.set(xlabel="evaluations", ylabel="regret (percentage points)", title=name, yscale="log", xscale="log")
        if lowest > 0:
            axes.set_ylim(bottom=lowest / 3)        # a band that reaches 0 has no end on this axis
        axes.legend()
        ordered, lengths = sorted(means, key=means.get), {runs.rows.shape[1] for runs in algorithms}
        after = f"after {max(lengths)} evaluations" if len(lengths) == 1 else "after the last evaluation of each"
        claims.append(f"{name}, {after}: {', '.join(f'{label} {means[label]:.2f}' for label in ordered)} points below "
                      "the best")
    return figure.state("\n".join(claims))


@styled
def regret_over_epochs(searches: Mapping[str, np.ndarray], levels: Mapping[str, float] | None = None) -> NotebookFigure:
    """Regret of the cell a search would return after each epoch: {algorithm: (seeds, epochs)} of `landscape.regrets`.

    Thin lines are seeds, the thick one their mean. levels: {what: regret} drawn as dotted lines, such as random search
    with as many evaluations. Raises ValueError unless each array has seeds and epochs.
    """
    (figure, axes), claims = subplots(3.1, 7.0 if len(searches) < 3 else 9.0), []
    for (name, regret), colour, line in zip(searches.items(), cycle(SEARCH_COLOURS), cycle(SEARCH_LINES)):
        if np.ndim(regret) != 2 or not np.size(regret):
            raise ValueError(f"regret_over_epochs: {name} must be (seeds, epochs), got shape {np.shape(regret)}")
        epochs = np.arange(1, regret.shape[1] + 1)
        axes.plot(epochs, regret.T, line, color=colour, lw=0.8, alpha=0.65)
        of = f", mean of {len(regret)}" if len(regret) > 1 else ""
        axes.plot(epochs, regret.mean(0), line, color=colour, lw=2.2, label=name + of)
        spread = f" ± {regret[:, -1].std(ddof=1):.1f}" if len(regret) > 1 else ""
        claims.append(f"{name}: {regret[:, -1].mean():.1f}{spread}")
    for what, level in (levels or {}).items():
        axes.axhline(level, **REFERENCE, label=f"{what}: {level:.1f}")
    whole_numbers(axes.xaxis)
    axes.set(xlabel="epochs of the search", ylabel="regret (percentage points)")
    axes.set_ylim(bottom=0)
    entries = len(searches) + len(levels or {})
    axes.legend(**({"loc": "upper left", "bbox_to_anchor": (1, 1)} if entries > 3 else {}))     # else on the lines
    return figure.state(f"regret in points after the last epoch: {'; '.join(claims)}")


@styled
def perfect_weights(searches: Iterable[PerfectRuns]) -> NotebookFigure:
    """Draws the real accuracy of each search's cell (percent; mean over seeds, band of the middle half) by steps.

    searches: what `gl.perfect_weights.search` returned, one a rule. Below, where the accuracy is CIFAR-10's after 200
    epochs, the published DARTS-V1 with shared weights.
    """
    searches = list(searches)
    table, first = searches[0].table, searches[0].records[1]
    last = max(int(first) + 1, *(int(runs.records[-1]) for runs in searches))
    best, figure, is_published = table.values().max(), new_figure(4.4), table.default_column == COLUMN
    parts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1)) if is_published else [figure.subplots()]
    top, bottom = parts[0], parts[-1]
    for runs in searches:
        (colour, line), accuracy = RULES[runs.rule], runs.accuracy()
        for axes in parts:
            middle_half = np.quantile(accuracy, (0.25, 0.75), axis=0)
            axes.fill_between(runs.records, *middle_half, color=colour, alpha=0.08, lw=0)
            axes.plot(runs.records, accuracy.mean(0), ls=line, color=colour, lw=1.8,
                      label=f"{runs.rule}\n{runs.summary()}")
    if is_published:
        shared = published("DARTS_V1", space="nasbench201", data="cifar10", metric="test_accuracy")[0].value
        bottom.axhline(shared, color=RULES["darts"][0], lw=1.2, ls=":")
        note(bottom, f"DARTS-V1, shared weights (published): {shared:.2f}", (last, shared), (-3, 4), ha="right")
        top.set_ylim(86, 95.6)
        bottom.set_ylim(50, 64)
    top.axhline(best, **REFERENCE)
    note(top, f"the best cell: {best:.2f}", (first, best), (2, 4))
    top.set_ylabel(f"accuracy on {'CIFAR-10' if is_published else described(table.default_column)} (%)")
    bottom.set(xlabel="steps", xscale="log", xlim=(first, last))
    bottom.xaxis.set_major_formatter("{x:g}")
    bottom.xaxis.set_minor_formatter("")
    top.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), title="regret after the last step", labelspacing=0.7)
    for axes in parts:
        axes.grid(axis="y")
    perfect, seeds = [runs.rule for runs in searches if runs.regret().max() == 0], len(searches[0].seeds)
    return figure.state(f"with perfect weights {', '.join(perfect)} find the best cell of all in each of {seeds} seeds"
                        if perfect else "no rule finds the best cell of all in every seed")
