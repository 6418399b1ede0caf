"""Figures of the lessons on training: augmented images, learning rates, dropped paths, and which epoch one reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .notebook_figure import NotebookFigure, new_figure, styled
from .picture_grid import draw_row

COLOURS = ("#184DDB", "#B8280D", "#00956A", "#9B5FAC", "#B87700")
LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))


@styled
def pictures(rows: Mapping[str, Any], claim: str, height: float = 0.95) -> NotebookFigure:
    """Rows of images side by side, each row with its name.

    rows: name: images (count, channels, height, width), one channel or three, any range of numbers; one range of grey or
    colour for all of a row. height: of a row, inches. Raises ValueError for an empty row or another number of channels.
    """
    images = {name: np.asarray(row, dtype=float) for name, row in rows.items()}
    for name, row in images.items():
        if row.ndim != 4 or row.shape[0] == 0 or row.shape[1] not in (1, 3):
            raise ValueError(f"row {name!r}: expected images (count, 1 or 3 channels, height, width), got {row.shape}")
    columns = max(len(row) for row in images.values())
    figure = new_figure(height * len(images) + 0.4, 1.2 + columns * height)
    grid = figure.subplots(len(images), columns, squeeze=False)
    for line, (name, row) in zip(grid, images.items(), strict=True):
        low, high = row.min(), row.max()
        draw_row(line, name, (row - low) / (high - low or 1), vmax=1, interpolation="nearest")
    figure.state(claim)
    return figure


@styled
def learning_rates(curves: Mapping[str, Sequence[float]]) -> NotebookFigure:
    """Learning rate by epoch, as a share of each curve's largest; the claim says what share is left at three quarters."""
    figure = new_figure(2.7, 7.0)
    axes, left = figure.subplots(), []
    for (name, rates), colour, line in zip(curves.items(), COLOURS, LINES, strict=False):
        shares = np.asarray(rates, dtype=float) / np.max(rates)
        axes.plot(np.arange(len(shares)) / len(shares), shares, color=colour, ls=line, label=name)
        left.append(f"{name} {100 * shares[3 * len(shares) // 4]:.1f}%")
    axes.set(xlabel="share of the training that is done", ylabel="share of the largest rate", ylim=(-0.03, 1.05))
    axes.legend(frameon=False)
    figure.state("Learning rate after three quarters of the training, of the largest: " + ", ".join(left))
    return figure


@styled
def costs_by_width(curves: Mapping[str, Sequence[tuple[int, int]]], limit: float) -> NotebookFigure:
    """Multiply-adds (millions) by channels, one line a cell; the widest of each that stays below `limit` is marked.

    curves: name: (channels, multiply-adds), in any order. limit: in multiply-adds.
    Raises ValueError where none of a cell's widths stays below it.
    """
    figure = new_figure(2.9, 7.0)
    axes, widest = figure.subplots(), []
    for (name, curve), colour, line in zip(curves.items(), COLOURS, LINES, strict=False):
        channels, costs = np.array(sorted(curve), dtype=float).T
        below = channels[costs < limit]
        if not below.size:
            raise ValueError(f"{name}: no width stays below {limit / 1e6:,.0f} million multiply-adds, the smallest has "
                             f"{costs.min() / 1e6:,.0f}; try fewer channels")
        axes.plot(channels, costs / 1e6, color=colour, ls=line, marker=".", label=name)
        axes.plot(below.max(), costs[channels == below.max()] / 1e6, "o", ms=9, mfc="none", mec=colour)
        widest.append(f"{name} {below.max():.0f}")
    axes.axhline(limit / 1e6, color="#777777", lw=0.9, label="the limit")
    axes.set(xlabel="channels of the first cells", ylabel="multiply-adds (millions)")
    axes.legend(frameon=False)
    figure.state(f"Widest below {limit / 1e6:,.0f} million multiply-adds: " + ", ".join(widest))
    return figure


@styled
def dropped_paths(masks: Any) -> NotebookFigure:
    """Which paths a batch loses: one row a path, one column an image; dark is dropped. masks: (paths, images), 0 or other."""
    kept = np.asarray(masks) != 0
    figure = new_figure(0.9 + 0.11 * len(kept), 7.0)
    axes = figure.subplots()
    axes.imshow(kept, cmap="gray", vmin=-0.25, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlabel="image of the batch", ylabel="path")
    axes.set_xticks(np.arange(-0.5, kept.shape[1]), minor=True)
    axes.set_yticks(np.arange(-0.5, kept.shape[0]), minor=True)
    axes.grid(which="minor", color="white", lw=0.6)
    axes.tick_params(which="minor", length=0)
    figure.state(f"{kept.size - kept.sum()} of {kept.size} outputs are dropped; no two images lose the same ones"
                 if len(set(map(tuple, kept.T))) == kept.shape[1] else
                 f"{kept.size - kept.sum()} of {kept.size} outputs are dropped")
    return figure


@styled
def epoch_choice(groups: Mapping[str, Sequence[Sequence[float]]], quantity: str = "test accuracy (%)") -> NotebookFigure:
    """One panel a group, one line a training over its epochs; a ring at each line's best epoch, a dot at its last.

    Raises ValueError where a group has no training or a training no epoch.
    """
    from matplotlib.ticker import MaxNLocator

    for name, curves in groups.items():
        if not len(curves) or not all(len(curve) for curve in curves):
            raise ValueError(f"group {name!r} has no training, or one without an epoch")
    figure = new_figure(2.9)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    gains = []
    for axes, (name, curves), colour in zip(panels, groups.items(), COLOURS, strict=False):
        for curve in curves:
            curve, epochs = np.asarray(curve, dtype=float), np.arange(1, len(curve) + 1)
            axes.plot(epochs, curve, color=colour, lw=1, alpha=0.7, marker="." if len(curve) < 3 else "")
            axes.plot(epochs[-1], curve[-1], "o", ms=5, color=colour)
            axes.plot(epochs[curve.argmax()], curve.max(), "o", ms=10, mfc="none", mec="#222222")
        gains.append(f"{name} {np.mean([max(curve) - curve[-1] for curve in curves]):+.1f}")
        axes.set(title=name, xlabel="epochs done")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        axes.grid(axis="y", color="#E3E5E8", lw=0.8)
    panels[0].set_ylabel(quantity)
    figure.state("Best epoch (ring) above the last (dot), points, mean of the trainings: " + ", ".join(gains))
    return figure
