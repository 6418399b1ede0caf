"""Pictures of a search: what the losses, the temperature and the architecture parameters did, and how cells compare.

Each function takes plain values (a history, or numbers) and returns one figure; none trains or reads files. The title
of a figure is a statement computed from the data. As a cell's last value a figure shows itself once; `savefig(path)`
writes it to a file. More are in alpha.py, comparison.py (cells compared), equal_cost.py and tables.py.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..runs.printing import counted
from ..runs.schema import said
from .alpha import (
    KIND_NAMES,
    alpha_evolution,
    alpha_heatmap,
    claim_of,
    draw_edges,
    epochs_done,
    height_of,
    kinds_of,
    prefix_of,
)
from .comparison import bars, cell_contents, confusion_table, operation_counts
from .equal_cost import equal_cost
from .figure import REFERENCE, NotebookFigure, new_figure, note, panels, styled, subplots, whole_numbers
from .palette import HIGHLIGHT, STRONG
from .tables import perfect_weights

__all__ = ["alpha_evolution", "alpha_heatmap", "bars", "cell_contents", "confusion_table", "entropy", "equal_cost",
           "losses", "operation_counts", "perfect_weights", "search_overview", "temperature", "training_curves"]

TRAIN, VALID = STRONG, HIGHLIGHT
KIND_COLOURS = {"normal": STRONG, "reduce": HIGHLIGHT}
EPOCH_TICKS = {"nbins": 5, "steps": [1, 2, 5, 10]}


@styled
def losses(history: Any) -> NotebookFigure:
    """Loss (nats) and search accuracy (percent) of both halves over the epochs.

    Search accuracy is that of sampled or mixed networks with shared weights, not of a trained derived network.
    """
    kinds_of(history, None)
    figure, (left, right) = subplots(2.9, columns=2)
    _draw_curves(left, history, "loss", "loss (nats)")
    _draw_curves(right, history, "accuracy", "search accuracy (%)")
    return figure.state(_loss_claim(history))


@styled
def temperature(history: Any) -> NotebookFigure:
    """The temperature tau of the Gumbel-softmax over the epochs; says so where the algorithm has none."""
    kinds_of(history, None)
    figure, axes = subplots(2.6, 5.0)
    return figure.state(_draw_temperature(axes, history))


@styled
def entropy(history: Any, kind: str | None = None) -> NotebookFigure:
    """How decided each edge is: entropy of softmax(alpha) in nats, from ln K (no preference) down to 0 (decided).

    Thin lines are edges, the thick one their mean; the most decided edge is named.
    """
    figure, axes = subplots(3.0, 6.5)
    return figure.state(_draw_entropy(axes, history, kinds_of(history, kind)))


@styled
def search_overview(history: Any) -> NotebookFigure:
    """A whole search in one figure: losses, search accuracy, temperature and entropy, and alpha of every edge below."""
    kinds = kinds_of(history, None)
    heights = [2.3, *(height_of(history.labels[kind]) for kind in kinds)]
    figure = new_figure(sum(heights) + 0.4)
    figure.state("\n".join(claim_of(history, kind) for kind in kinds))
    parts = figure.subfigures(len(heights), 1, height_ratios=heights)
    first, second, third, fourth = parts[0].subplots(1, 4)
    _draw_curves(first, history, "loss", "loss (nats)")
    _draw_curves(second, history, "accuracy", "search accuracy (%)", with_key=False)
    _draw_temperature(third, history)
    _draw_entropy(fourth, history, kinds, with_names=False)
    for axes, title in zip((first, second, third, fourth), ("loss", "search accuracy", "temperature", "entropy")):
        axes.set_title(title)
    for part, kind in zip(parts[1:], kinds):
        draw_edges(part, history, kind)
    return figure


@styled
def training_curves(history: Any) -> NotebookFigure:
    """Loss (nats) and accuracy (percent) of a training over the epochs, with the evaluations where there were some."""
    if not isinstance(history, list):
        raise ValueError(f"history must be a training's: training.history, got {said(history)}")
    if len(history) == 0:
        raise ValueError("the history has no epoch yet, there is nothing to draw; run the training first")
    names = sorted({name for record in history for name in record.evaluation})
    figure, parts = panels(2.9, {"loss": "nats", "accuracy": "%"})
    for axes, what, unit in parts:
        axes.plot(epochs_done(history), history.column(f"train_{what}"), color=TRAIN, label="train",
                  marker="." if len(history) < 3 else "")
        for name, line in zip(names, ("o", "s", "^", "D") * len(names)):
            axes.plot(epochs_done(history), history.column(f"{name} {what}"), line, ms=4, color=VALID, label=name)
        axes.set(xlabel="epochs done", ylabel=f"{what} ({unit})")
        whole_numbers(axes.xaxis, **EPOCH_TICKS)
        axes.legend()
    last = history[-1]
    scores = {"train": last.train_accuracy} | {name: score["accuracy"] for name, score in last.evaluation.items()}
    epochs = counted(len(history))
    return figure.state(f"train loss {history[0].train_loss:.2f} → {last.train_loss:.2f} nats in {epochs}; "
                        f"accuracy {', '.join(f'{name} {score:.1f}%' for name, score in scores.items())}")


def _draw_curves(axes: Any, history: Any, what: str, label: str, with_key: bool = True) -> None:
    epochs = epochs_done(history)
    for half, colour, line in (("train", TRAIN, "-"), ("valid", VALID, "--")):
        axes.plot(epochs, history.column(f"{half}_{what}"), color=colour, ls=line, label=f"{half} half",
                  marker="." if len(epochs) < 3 else "")
    axes.set(xlabel="epochs done", ylabel=label)
    whole_numbers(axes.xaxis, **EPOCH_TICKS)
    if not any(np.isfinite(history.column(f"{half}_{what}")).any() for half in ("train", "valid")):
        _say_instead(axes, f"this search\nhas no {what}")
    elif with_key:
        axes.legend()


def _loss_claim(history: Any) -> str:
    half, epochs = "valid" if np.isfinite(history.column("valid_loss")).any() else "train", epochs_done(history)
    values, accuracy = history.column(f"{half}_loss"), history.column(f"{half}_accuracy")[-1]
    first = np.isfinite(values).argmax()            # before, a recipe trains the weights alone
    claim = f"{half} loss {values[first]:.2f} → {values[-1]:.2f} nats in {counted(epochs[-1] - epochs[first] + 1)}"
    return claim + (f"; search accuracy {accuracy:.1f}% on the {half} half" if np.isfinite(accuracy) else "")


def _say_instead(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])


def _draw_temperature(axes: Any, history: Any) -> str:
    epochs, tau = epochs_done(history), history.column("tau")
    axes.set(xlabel="epochs done", ylabel="tau")
    whole_numbers(axes.xaxis, **EPOCH_TICKS)
    if not np.isfinite(tau).any():
        _say_instead(axes, "this algorithm\nhas no temperature")
        return "no temperature in this search"
    axes.plot(epochs, tau, color=TRAIN, marker="." if len(epochs) < 3 else "")
    axes.set_ylim(0, 1.05 * np.nanmax(tau))
    return f"temperature {tau[0]:.3g} → {tau[-1]:.3g} in {counted(epochs[-1])}"


def _draw_entropy(axes: Any, history: Any, kinds: Sequence[str], with_names: bool = True) -> str:
    epochs, claims = epochs_done(history), []
    for kind in kinds:
        labels, probabilities = history.labels[kind], history.op_probs[kind]
        nats = -(probabilities * np.log(np.clip(probabilities, 1e-12, None))).sum(-1)       # (epochs, edges)
        most, colour = int(nats[-1].argmin()), KIND_COLOURS.get(kind, TRAIN)
        ceiling, edge = np.log(len(labels.candidates)), "{}→{}".format(*labels.edges[int(nats[-1].argmin())])
        axes.plot(epochs, nats, color=colour, lw=0.7, alpha=0.35)
        axes.plot(epochs, nats.mean(1), color=colour, lw=2.2, marker="." if len(epochs) < 3 else "",
                  label=f"mean, {KIND_NAMES[kind]}" if KIND_NAMES.get(kind) else "mean of the edges")
        axes.axhline(ceiling, **REFERENCE)
        if with_names:
            note(axes, edge, (epochs[-1], nats[-1, most]), (4, 0), va="center")
            note(axes, f"ln {len(labels.candidates)}: no preference", (epochs[0], ceiling))
        claims.append(f"{prefix_of(kind)}mean entropy {nats[-1].mean():.3f} of at most {ceiling:.3f} nats"
                      + (f", {edge} most decided" if np.ptp(nats[-1]) > 0 else ""))
    axes.set(xlabel="epochs done", ylabel="entropy (nats)")
    whole_numbers(axes.xaxis, **EPOCH_TICKS)
    if with_names:
        axes.legend(loc="lower left")
    return "\n".join(claims)
