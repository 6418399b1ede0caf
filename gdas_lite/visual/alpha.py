"""The architecture parameters as pictures: softmax(alpha) of every edge over the epochs and at one epoch.

Values are drawn as probabilities, with the line of no preference, 1/K. GDAS stays near that line for hundreds of
epochs: which is above which decides, not how far. So the axis is cut to what happens on all edges, and says so.
"""

from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ..genotypes.contents import operation_edges
from ..genotypes.labels import CellLabels
from ..genotypes.parse import parse_genotype
from ..runs.printing import counted
from ..runs.schema import check_has
from .figure import REFERENCE, SMALL, NotebookFigure, draw_table, new_figure, styled, whole_numbers
from .palette import style_of

KIND_NAMES = {"cell": "", "normal": "normal cell", "reduce": "reduction cell", "recurrent": "recurrent cell"}


@styled
def alpha_evolution(history: Any, kind: str | None = None) -> NotebookFigure:
    """softmax(alpha) over the epochs, one panel an edge: row = node the edge goes to, column = where it comes from.

    kind: "cell", "normal", "reduce" or "recurrent"; None draws all kinds of the history. The operation of the latest
    genotype is bold and named; edges that the genotype does not use are pale.
    Raises ValueError if the history has no epoch, KeyError for an unknown kind.
    """
    kinds = kinds_of(history, kind)
    heights = [height_of(history.labels[kind]) for kind in kinds]
    figure = new_figure(sum(heights) + 0.4)
    parts = figure.subfigures(len(kinds), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, kind in zip(parts, kinds):
        draw_edges(part, history, kind)
    return figure.state("\n".join(claim_of(history, kind) for kind in kinds))


@styled
def alpha_heatmap(history: Any, epoch: int = -1, kind: str | None = None) -> NotebookFigure:
    """softmax(alpha) at one epoch as a table: rows are edges, columns candidates, the largest of each row framed.

    epoch: position in the history; -1 is the last. White is the uniform value 1/K. Kinds stand side by side.
    Raises IndexError for an epoch that the history does not have.
    """
    kinds = kinds_of(history, kind)
    if not -len(history) <= epoch < len(history):
        raise IndexError(f"the history has {counted(len(history))}, there is no position {epoch}")
    rows = max(len(history.labels[kind].edges) for kind in kinds)
    columns = sum(len(history.labels[kind].candidates) for kind in kinds)
    figure = new_figure(min(9.0, 1.3 + 0.27 * rows), min(9.5, 2.6 + 0.62 * columns))
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds):
        _draw_table(figure, axes, history.labels[kind], history.op_probs[kind][epoch], KIND_NAMES.get(kind, kind))
    return figure.state("\n".join(claim_of(history[:epoch % len(history) + 1], kind) for kind in kinds))


def kinds_of(history: Any, kind: str | None) -> list[str]:
    """The cell kinds to draw. Raises ValueError for none or an empty history, KeyError for an unknown kind."""
    check_has(history, "labels", "history", "a search's: search.history, or gl.recorded(name)")
    if len(history) == 0:
        raise ValueError("the history has no epoch yet, there is nothing to draw; run the search first")
    if kind is not None and kind not in history.labels:
        raise KeyError(f"no cell kind {kind!r} in this history; there are {', '.join(history.labels)}")
    return list(history.labels) if kind is None else [kind]


def height_of(labels: CellLabels) -> float:
    """Inches that the panels of one cell kind need."""
    rows = len({dst for _, dst in labels.edges})
    return 0.5 + rows * (1.35 if rows <= 4 else 0.95)


def claim_of(history: Any, kind: str) -> str:
    """What the last epoch says: which candidate leads on how many edges, and by how much."""
    labels, last = history.labels[kind], history.op_probs[kind][-1]
    ordered = np.sort(last, axis=1)
    leads = ordered[:, -1] - ordered[:, -2]
    counts = np.bincount(last.argmax(1)[leads > 0], minlength=len(labels.candidates))
    first = [name for name, count in zip(labels.candidates, counts) if count == counts.max()]
    who = f"{first[0]} leads" if len(first) == 1 else f"{', '.join(first[:-1])} and {first[-1]} each lead"
    lead = f"{who} on {counts.max()} of {len(labels.edges)} edges" if leads.any() else "no candidate leads on any edge"
    return f"{prefix_of(kind)}{lead} after {counted(epochs_done(history)[-1])} (median lead {np.median(leads):.3f})"


def prefix_of(kind: str) -> str:
    """"normal cell: ", before what is said of one kind of cell; "" where there is one kind only."""
    name = KIND_NAMES.get(kind, kind)
    return f"{name}: " if name else ""


def epochs_done(history: Any) -> np.ndarray:
    """(epochs,): how many epochs were done when each record was written; records count from 0."""
    return np.array([record.epoch + 1 for record in history])


def chosen_operations(history: Any, kind: str) -> list[str | None]:
    """For each edge the operation of the latest genotype, None where the genotype does not use the edge.

    Without a genotype in the history, or with one that does not say its edges (of a space of one's own): the candidate
    with the largest alpha, on every edge.
    """
    labels = history.labels[kind]
    texts = [record.genotype for record in history if record.genotype is not None]
    try:
        used = {(src, dst): op for src, dst, op in operation_edges(parse_genotype(texts[-1])).get(kind, ())}
    except (IndexError, ValueError):
        return [labels.candidates[k] for k in history.op_probs[kind][-1].argmax(1)]
    return [used.get(edge) for edge in labels.edges]


def draw_edges(part: Any, history: Any, kind: str) -> None:
    """The panels of one cell kind, into a figure or subfigure."""
    labels, probabilities = history.labels[kind], history.op_probs[kind]
    panels = _panels(part, labels, epochs_done(history), KIND_NAMES.get(kind, kind), value_range(probabilities))
    for row, (axes, chosen) in enumerate(zip(panels, chosen_operations(history, kind))):
        for column, candidate in enumerate(labels.candidates):
            _line(axes, epochs_done(history), probabilities[:, row, column], candidate, candidate == chosen,
                  is_pale=chosen is None)
        src, dst = labels.edges[row]
        axes.set_title(f"{src}→{dst}  {style_of(chosen).label if chosen else 'not used'}", pad=3,
                       weight="bold" if chosen else "normal")


def value_range(probabilities: np.ndarray) -> tuple[float, float]:
    """What the vertical axis shows: all values and the uniform one, never less than a tenth of it to either side.

    probabilities: (..., candidates).
    """
    uniform = 1 / probabilities.shape[-1]
    low, high = min(float(probabilities.min()), 0.9 * uniform), max(float(probabilities.max()), 1.1 * uniform)
    margin = 0.06 * (high - low)
    return max(0.0, low - margin), min(1.0, high + margin)


def _panels(part: Any, labels: CellLabels, epochs: np.ndarray, title: str, limits: tuple[float, float]
            ) -> list[Any]:
    """Empty panels in a triangle, edges into a node in a row; the key stands in the free corner."""
    rows = sorted({dst for _, dst in labels.edges})
    columns = sorted({src for src, _ in labels.edges})
    grid = part.add_gridspec(len(rows), len(columns))
    panels = [part.add_subplot(grid[rows.index(dst), columns.index(src)]) for src, dst in labels.edges]
    uniform = 1 / len(labels.candidates)
    for axes in panels:
        axes.axhline(uniform, **REFERENCE, zorder=1)
        axes.set(ylim=limits, xlim=(-0.02 * epochs[-1], epochs[-1] * 1.03))
        axes.locator_params(axis="y", nbins=4)
        whole_numbers(axes.xaxis, nbins=4, steps=[1, 2, 5, 10])
    lowest = {src: max(dst for s, dst in labels.edges if s == src) for src in columns}
    for (src, dst), axes in zip(labels.edges, panels):
        axes.tick_params(labelbottom=dst == lowest[src], labelleft=src == columns[0])
    part.supxlabel("epochs done", fontsize="medium")
    part.supylabel("softmax(alpha)" + (f", axis from {limits[0]:.2f}" if limits[0] > 0.02 else ""), fontsize="medium")
    _key(part, labels, title)
    return panels


def _key(part: Any, labels: CellLabels, title: str) -> None:
    handles = [Line2D([], [], color=style_of(name).colour, ls=style_of(name).linestyle, marker=style_of(name).marker,
                      markersize=4, label=name) for name in labels.candidates]
    handles.append(Line2D([], [], **REFERENCE, label=f"no preference, 1/{len(labels.candidates)}"))
    part.legend(handles=handles, loc="upper right", title=title or None, alignment="left",
                ncols=2 if len(handles) > 7 else 1, handlelength=2.6, bbox_to_anchor=(0.99, 0.97))


def _line(axes: Any, epochs: np.ndarray, values: np.ndarray, candidate: str, is_chosen: bool, is_pale: bool) -> None:
    style = style_of(candidate)
    axes.plot(epochs, values, color=style.colour, ls=style.linestyle, lw=2.4 if is_chosen else 1.1,
              alpha=0.4 if is_pale else 1, zorder=3 if is_chosen else 2)
    axes.plot(epochs[-1:], values[-1:], color=style.colour, marker=style.marker, ms=5.5 if is_chosen else 3,
              alpha=0.4 if is_pale else 1, zorder=4 if is_chosen else 2, clip_on=False)


def _draw_table(figure: Any, axes: Any, labels: CellLabels, table: np.ndarray, title: str) -> None:
    uniform = 1 / table.shape[1]
    low, high = min(float(table.min()), 0.99 * uniform), max(float(table.max()), 1.01 * uniform)
    reach = max(uniform - low, high - uniform)          # the same distance from 1/K, the same depth of colour
    edges, names = [f"{src}→{dst}" for src, dst in labels.edges], [style_of(name).label for name in labels.candidates]
    image = draw_table(axes, table, np.char.lstrip(np.char.mod("%.3f", table), "0"), edges, names, size=SMALL,
                       cmap="PuOr_r", norm=Normalize(uniform - reach, uniform + reach))
    for row, column in enumerate(table.argmax(1)):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec="#111111", lw=1.6))
    axes.set(title=title, ylabel="edge")
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(f"softmax(alpha); white = 1/{table.shape[1]}")
    bar.outline.set_visible(False)
    bar.ax.set_ylim(low, high)
