"""How cells compare: accuracies with their spread over seeds, which classes are taken for which, and what cells are
made of (how many edges of a derived cell carry an operation, epoch by epoch)."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.transforms import ScaledTranslation

from ..genotypes.contents import PARAMETER_FREE, operations_of
from ..genotypes.parse import parse_genotype
from ..runs.printing import counted
from .alpha import KIND_NAMES, epochs_done, kinds_of, prefix_of
from .figure import REFERENCE, NotebookFigure, draw_table, note, panels, styled, subplots, whole_numbers
from .palette import GRID, HIGHLIGHT, SEARCH_COLOURS, SEARCH_LINES, STRONG, style_of


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
    figure, axes = subplots(0.9 + 0.42 * len(labels), 7.5)
    for row, (numbers, spread) in enumerate(zip(seeds, spreads)):
        _draw_bar(axes, row, numbers, spread, from_zero)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(ylim=(len(labels) - 0.4, -0.6), xlabel=quantity + ("" if from_zero else ", axis not from 0"))
    if from_zero:
        axes.set_xlim(left=0)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    return figure.state(_bars_claim(labels, seeds, spreads, quantity))


@styled
def confusion_table(counts: np.ndarray, class_names: Sequence[str], counted: str = "test images") -> NotebookFigure:
    """How often each class (row) was taken for each (column), shaded by the share of the row; recall at the right.

    counts: (classes, classes), `training.evaluation.confusion`. counted: what was counted, for the title.
    Raises ValueError if the shape does not fit the names or nothing was counted.
    """
    counts, size = np.asarray(counts), len(class_names)
    if counts.shape != (size, size) or not counts.sum():
        raise ValueError(f"expected a table of {size} x {size} counts for {size} classes, not all 0, got shape "
                         f"{counts.shape}")
    totals = counts.sum(1)
    shares = counts / np.maximum(totals, 1)[:, None]
    figure, axes = subplots(1.3 + 0.34 * size, 2.9 + 0.62 * size)
    texts = np.where(counts, counts.astype(str), "")
    draw_table(axes, shares, texts, class_names, class_names, cmap="Blues", vmin=0, vmax=1)
    for row, total in enumerate(totals):
        text = f"{100 * shares[row, row]:.0f} % of {total}" if total else "no image"
        note(axes, text, (1.02, row), (0, 0), xycoords=("axes fraction", "data"), va="center")
    axes.set(xlabel="predicted", ylabel="true class")
    return figure.state(_confusion_claim(counts, totals, class_names, counted))


def _confusion_claim(counts: np.ndarray, totals: np.ndarray, names: Sequence[str], counted: str) -> str:
    present = np.flatnonzero(totals)
    recall = counts.diagonal()[present] / totals[present]
    worst = int(recall.argmin())
    wrong = counts - np.diag(counts.diagonal())
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    claim = (f"{100 * counts.trace() / counts.sum():.1f} % of {counts.sum()} {counted} right, mean over classes "
             f"{100 * recall.mean():.1f} %")
    if wrong.any():
        claim += (f"; worst class {names[present[worst]]} ({100 * recall[worst]:.0f} %); {names[row]} is taken for "
                  f"{names[column]} most often ({wrong.max()})")
    return claim


def _draw_bar(axes: Any, row: int, numbers: np.ndarray, spread: float | None, from_zero: bool) -> None:
    mean = float(numbers.mean())
    deviation = float(numbers.std(ddof=1)) if numbers.size > 1 else spread
    if from_zero:
        axes.barh(row, mean, height=0.6, color=GRID, zorder=1)
    if deviation is not None:
        axes.errorbar(mean, row, xerr=deviation, color=STRONG, capsize=3, lw=1.2, zorder=2)
    if numbers.size > 1:
        offsets = np.linspace(-0.14, 0.14, numbers.size)
        axes.plot(numbers, row + offsets, "o", ms=4, mfc="white", mec=HIGHLIGHT, zorder=3)
    axes.plot(mean, row, "D", ms=6, color=STRONG, zorder=4)
    text = f"{mean:.1f}" + (f" ± {deviation:.1f}" if deviation is not None else "")
    text += f" (n={numbers.size})" if numbers.size > 1 else ""
    note(axes, text, (1.01, row), (0, 0), xycoords=("axes fraction", "data"), va="center")


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


@styled
def operation_counts(histories: Mapping[str, Any], operation: str | Iterable[str] = "skip_connect", *,
                     limit: int | None = None, kind: str | None = None) -> NotebookFigure:
    """How many edges of the derived cell carry `operation`, epoch by epoch, one line a search.

    histories: {name: history} whose records hold a genotype. operation: one name, or several counted together
    (`contents.PARAMETER_FREE`). limit: drawn as a line, such as that of a stopping rule. kind: of cell; None: the
    normal cell, or the only kind. Raises ValueError where a record has no genotype.
    """
    names = (operation,) if isinstance(operation, str) else tuple(operation)
    what = names[0] if len(names) == 1 else "operations without weights" if set(names) == set(PARAMETER_FREE) else \
        " or ".join(names)
    figure, axes = subplots(2.6, 6.5 if len(histories) <= 4 else 8.0)
    last, most = {}, 0
    looks = zip(histories.items(), cycle(SEARCH_COLOURS), cycle(SEARCH_LINES))
    for number, ((name, history), colour, line) in enumerate(looks):
        chosen = kinds_of(history, kind)[0]
        counts = history.counts(names)[chosen]
        last[name], most = counts[-1], max(most, len(operations_of(parse_genotype(history[-1].genotype))[chosen]))
        drawn, = axes.plot(epochs_done(history), counts, line, color=colour, drawstyle="steps-post", label=name)
        apart = ScaledTranslation(0, (number - (len(histories) - 1) / 2) / 60, figure.dpi_scale_trans)
        drawn.set_transform(axes.transData + apart)         # a little above the line before
    if limit is not None:
        axes.axhline(limit, **REFERENCE)
        note(axes, f"limit {limit}", (1, limit), xycoords=("axes fraction", "data"), ha="right")
    axes.set(xlabel="epochs done", ylabel=f"edges with {what if len(names) == 1 else 'these'}", ylim=(-0.2, most + 0.3))
    beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(last) > 4 else {"ncols": 2}
    axes.legend(**beside)
    whole_numbers(axes.xaxis, axes.yaxis)
    at_end = "; ".join(f"{name}: {count}" for name, count in last.items())
    return figure.state(f"Edges with {what} at the end: {at_end}")


@styled
def cell_contents(history: Any, kind: str | None = None) -> NotebookFigure:
    """What the derived cell is made of, epoch by epoch: stacked bars, one colour an operation, a panel for each kind.

    kind: None draws all kinds of the history. Raises ValueError for an empty history or an epoch without a cell.
    """
    labels = {name: history.labels[name] for name in kinds_of(history, kind)}
    figure, parts = panels(2.5, labels, 7.0 if len(labels) == 1 else 9.5)
    epochs, claims = epochs_done(history), []
    for axes, name, cell in parts:
        counts = {operation: history.counts(operation)[name] for operation in cell.candidates}
        below = np.zeros(len(epochs))
        for operation, values in counts.items():
            if values.any():
                style = style_of(operation)
                axes.bar(epochs, values, 1.0, bottom=below, color=style.colour, label=style.label, lw=0)
            below += values
        axes.set(xlabel="epochs done", ylabel="edges of the cell", title=KIND_NAMES.get(name, name),
                 xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), reverse=True)
        whole_numbers(axes.xaxis, axes.yaxis)
        free = sum(values[-1] for operation, values in counts.items() if operation in PARAMETER_FREE)
        claims.append(f"{prefix_of(name)}{free} of {int(below[-1])} operations without weights after "
                      f"{counted(epochs[-1])}, "
                      f"{counts['skip_connect'][-1] if 'skip_connect' in counts else 0} of them skip_connect")
    return figure.state("\n".join(claims))
