"""Counters: how many edges of the derived cell carry an operation, epoch by epoch; what a search's cells are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gdas_lite.cell_contents import PARAMETER_FREE, operations_of
from gdas_lite.drawing.alpha_plots import KIND_NAMES, counted, epochs_done, kinds_of
from gdas_lite.drawing.notebook_figure import NotebookFigure, new_figure, styled
from gdas_lite.drawing.palette import style_of
from gdas_lite.genotype import parse_genotype

COLOURS = ("#B8280D", "#184DDB", "#00956A", "#9B5FAC", "#9A6B3F", "#C2185B")
LINES = ("-", "--", "-.", ":")


@styled
def operation_counts(histories: Mapping[str, Any], operation: str | Iterable[str] = "skip_connect", *,
                     limit: int | None = None, kind: str | None = None) -> NotebookFigure:
    """How many edges of the derived cell carry `operation`, epoch by epoch, one line a search.

    histories: {name: history} whose records hold a genotype. operation: one name, or several counted together
    (`cell_contents.PARAMETER_FREE`). limit: drawn as a line, such as that of a stopping rule. kind: of cell; None: the
    normal cell, or the only kind. Raises ValueError where a record has no genotype.
    """
    names = (operation,) if isinstance(operation, str) else tuple(operation)
    what = names[0] if len(names) == 1 else "operations without weights" if set(names) == set(PARAMETER_FREE) else \
        " or ".join(names)
    figure = new_figure(2.6, width=6.5 if len(histories) <= 4 else 8.0)
    axes = figure.subplots()
    last, most = {}, 0
    looks = zip(COLOURS * len(histories), LINES * len(histories))
    for (name, history), (colour, line) in zip(histories.items(), looks):
        cells = [_cell(record, kind) for record in history]
        counts = [sum(operation in names for operation in cell) for cell in cells]
        last[name], most = counts[-1], max(most, len(cells[-1]))
        axes.plot([record.epoch + 1 for record in history], counts, line, color=colour, drawstyle="steps-post", label=name)
    if limit is not None:
        axes.axhline(limit, color="#222222", lw=0.8, ls=(0, (1, 2)))
        axes.annotate(f"limit {limit}", (1, limit), xycoords=("axes fraction", "data"), xytext=(0, 2),
                      textcoords="offset points", ha="right", fontsize=8)
    axes.set(xlabel="epochs done", ylabel=f"edges with {what if len(names) == 1 else 'these'}", ylim=(-0.2, most + 0.3))
    beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(last) > 4 else {"ncols": 2}
    axes.legend(frameon=False, **beside)
    _whole_numbers(axes)
    figure.state(f"Edges with {what} at the end: " + "; ".join(f"{name}: {count}" for name, count in last.items()))
    return figure


@styled
def cell_contents(history: Any, kind: str | None = None) -> NotebookFigure:
    """What the derived cell is made of, epoch by epoch: stacked bars, one colour an operation, a panel for each kind.

    kind: None draws all kinds of the history. Raises ValueError for an empty history or an epoch without a cell.
    """
    kinds = kinds_of(history, kind)
    figure, claims = new_figure(2.5, 7.0 if len(kinds) == 1 else 9.5), []
    epochs = epochs_done(history)
    for axes, name in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds):
        counts = {operation: history.counts(operation)[name] for operation in history.labels[name].candidates}
        below = np.zeros(len(epochs))
        for operation, values in counts.items():
            if values.any():
                axes.bar(epochs, values, 1.0, bottom=below, color=style_of(operation).colour, label=style_of(operation).label,
                         lw=0)
            below += values
        axes.set(xlabel="epochs done", ylabel="edges of the cell", title=KIND_NAMES.get(name, name),
                 xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), reverse=True)
        _whole_numbers(axes)
        free = sum(values[-1] for operation, values in counts.items() if operation in PARAMETER_FREE)
        prefix = f"{KIND_NAMES[name]}: " if KIND_NAMES.get(name) else ""
        claims.append(f"{prefix}{free} of {int(below[-1])} operations without weights after {counted(epochs[-1])}, "
                      f"{counts['skip_connect'][-1] if 'skip_connect' in counts else 0} of them skip_connect")
    figure.state("\n".join(claims))
    return figure


def _cell(record: Any, kind: str | None) -> tuple[str, ...]:
    if record.genotype is None:
        raise ValueError("this search derives a cell at its end only, so there is nothing to count epoch by epoch")
    cells = operations_of(parse_genotype(record.genotype))
    if kind is not None and kind not in cells:
        raise KeyError(f"no cell kind {kind!r} here; there are {', '.join(cells)}")
    return cells[kind] if kind is not None else next(iter(cells.values()))


def _whole_numbers(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
