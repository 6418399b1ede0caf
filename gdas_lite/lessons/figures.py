"""Figures that one lesson uses: training recipes, failures, pictures of a data set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..benchmark.landscape import rank_correlation
from ..visual.alpha import epochs_done
from ..visual.figure import NotebookFigure, new_figure, panels, styled, subplots, whole_numbers
from ..visual.palette import HIGHLIGHT, INK

BLUE, RED, GREEN, VIOLET, OCHRE = RECIPE_COLOURS = ("#184DDB", "#B8280D", "#00956A", "#9B5FAC", "#B87700")
LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
TRUTH, BELIEF = HIGHLIGHT, BLUE


@styled
def pictures(rows: Mapping[str, Any], claim: str, height: float = 0.95) -> NotebookFigure:
    """Rows of images side by side, each row with its name.

    rows: name: images (count, channels, height, width), one channel or three, any range of numbers; one range of
    grey or colour for all of a row. height: of a row, inches.
    Raises ValueError for an empty row or another number of channels.
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
    return figure.state(claim)


@styled
def learning_rates(curves: Mapping[str, Sequence[float]]) -> NotebookFigure:
    """Learning rate by epoch, as a share of each curve's largest; the claim: what share is left at three quarters."""
    (figure, axes), left = subplots(2.7, 7.0), []
    for (name, rates), colour, line in zip(curves.items(), RECIPE_COLOURS * len(curves), LINES * len(curves)):
        shares = np.asarray(rates, dtype=float) / np.max(rates)
        axes.plot(np.arange(len(shares)) / len(shares), shares, color=colour, ls=line, label=name)
        left.append(f"{name} {100 * shares[3 * len(shares) // 4]:.1f} %")
    axes.set(xlabel="share of the training that is done", ylabel="share of the largest rate", ylim=(-0.03, 1.05))
    axes.legend()
    return figure.state("Rate left after three quarters: " + "; ".join(left))


@styled
def costs_by_width(curves: Mapping[str, Sequence[tuple[int, int]]], limit: float) -> NotebookFigure:
    """Multiply-adds (millions) by channels, one line a cell; the widest of each that stays below `limit` is marked.

    curves: name: (channels, multiply-adds), in any order. limit: in multiply-adds.
    Raises ValueError where none of a cell's widths stays below it.
    """
    (figure, axes), widest = subplots(2.9, 7.0), []
    for (name, curve), colour, line in zip(curves.items(), RECIPE_COLOURS * len(curves), LINES * len(curves)):
        channels, costs = np.array(sorted(curve), dtype=float).T
        below = channels[costs < limit]
        if not below.size:
            raise ValueError(f"{name}: no width stays below {limit / 1e6:,.0f} million multiply-adds, the smallest has "
                             f"{costs.min() / 1e6:,.0f}; try fewer channels")
        axes.plot(channels, costs / 1e6, color=colour, ls=line, marker=".", label=name)
        axes.plot(below.max(), costs[channels == below.max()] / 1e6, "o", ms=9, mfc="none", mec=colour)
        widest.append(f"{name} {below.max():.0f} channels")
    axes.axhline(limit / 1e6, color=INK, lw=0.9, label="the limit")
    axes.set(xlabel="channels of the first cells", ylabel="multiply-adds (millions)")
    axes.legend()
    return figure.state(f"Widest below {limit / 1e6:,.0f} million multiply-adds: " + ", ".join(widest))


@styled
def epoch_choice(groups: Mapping[str, Sequence[Sequence[float]]]) -> NotebookFigure:
    """Test accuracy (%) by epoch: a panel a group, a line a training; a ring at its best epoch, a dot at its last.

    Raises ValueError where a group has no training or a training no epoch.
    """
    for name, curves in groups.items():
        if not len(curves) or not all(len(curve) for curve in curves):
            raise ValueError(f"group {name!r} has no training, or one without an epoch")
    (figure, parts), gains = panels(2.9, groups, sharey=True), []
    for (axes, name, curves), colour in zip(parts, RECIPE_COLOURS * len(groups)):
        for curve in curves:
            curve, epochs = np.asarray(curve, dtype=float), np.arange(1, len(curve) + 1)
            axes.plot(epochs, curve, color=colour, lw=1, alpha=0.7, marker="." if len(curve) < 3 else "")
            axes.plot(epochs[-1], curve[-1], "o", ms=5, color=colour)
            axes.plot(epochs[curve.argmax()], curve.max(), "o", ms=10, mfc="none", mec=INK)
        gains.append(f"{name} {np.mean([max(curve) - curve[-1] for curve in curves]):+.1f}")
        axes.set(title=name, xlabel="epochs done")
        whole_numbers(axes.xaxis, nbins=6)
        axes.grid(axis="y")
    figure.axes[0].set_ylabel("test accuracy (%)")
    return figure.state("Best epoch (ring) above the last (dot), points, mean of the trainings: " + ", ".join(gains))


@styled
def belief_and_truth(histories: Mapping[str, Any], accuracies: Mapping[str, np.ndarray], best: float | None = None
                     ) -> NotebookFigure:
    """Search accuracy on the valid half, and that of the cell derived after each epoch; a panel for each search.

    accuracies: by the names of the histories, (epochs,), percent, of the cells trained on their own (from a table).
    best: the table's best accuracy, drawn as a line. Raises ValueError where the lengths differ.
    """
    (figure, parts), claims = panels(2.9, histories, sharey=True), []
    for axes, name, history in parts:
        truth, belief = np.asarray(accuracies[name]), history.column("valid_accuracy")
        if truth.shape != belief.shape:
            raise ValueError(f"{name}: {len(belief)} epochs, but {truth.size} accuracies of cells; "
                             "give one for each epoch")
        epochs = epochs_done(history)
        axes.plot(epochs, belief, "--", color=BELIEF, label="search accuracy, valid half")
        axes.plot(epochs, truth, color=TRUTH, drawstyle="steps-post", label="its cell, trained on its own")
        if best is not None:
            axes.axhline(best, color=INK, lw=0.8, ls=(0, (1, 2)))
        axes.set(xlabel="epochs done", title=name)
        claims.append(f"{name}: search accuracy {belief[np.isfinite(belief).argmax()]:.0f} → {belief[-1]:.0f} %, "
                      f"its cell {truth[0]:.0f} → {truth[-1]:.0f} %")
    figure.axes[0].set_ylabel("accuracy (%)")
    figure.axes[-1].legend(loc="lower right")
    return figure.state("\n".join(claims))


@styled
def scores_against_truth(truth: np.ndarray, scores: Mapping[str, np.ndarray]) -> NotebookFigure:
    """Cells' accuracies with shared weights against those of the cells trained on their own; one panel for each score.

    truth, scores: (cells,), percent. The cell that each score would choose is marked. Raises ValueError for other
    lengths.
    """
    truth = np.asarray(truth)
    (figure, parts), claims = panels(3.1, scores, min(9.5, 4.4 * len(scores)), sharey=True), []
    for axes, name, score in parts:
        score = np.asarray(score)
        if score.shape != truth.shape:
            raise ValueError(f"{name}: {score.size} scores for {truth.size} cells; give one for each")
        chosen = int(score.argmax())
        axes.plot(score, truth, "o", ms=4, color=INK, alpha=0.55, mew=0)
        axes.plot(score[chosen], truth[chosen], "D", ms=7, color=TRUTH)
        axes.set(xlabel="accuracy in the supernet (%)", title=f"{name}; chosen: {truth[chosen]:.1f} %")
        claims.append(f"{name} {rank_correlation(score, truth):+.2f}")
    figure.axes[0].set_ylabel("trained on its own (%)")
    return figure.state(f"rank correlation with the truth over {len(truth)} cells: {', '.join(claims)}")


@styled
def picture_grid(images: Any, labels: Sequence[int], class_names: Sequence[str], each: int = 8) -> NotebookFigure:
    """The first `each` pictures of every class, a row a class. images: uint8 (count, channels, size, size).

    Raises ValueError unless there is one label for each image.
    """
    pixels, labels = np.asarray(images), np.asarray(labels)
    if pixels.ndim != 4 or len(pixels) != len(labels):
        raise ValueError(f"expected images (count, channels, size, size) and one label for each, got {pixels.shape} "
                         f"and {len(labels)} labels")
    figure = new_figure(0.5 + 0.62 * len(class_names), 1.2 + 0.62 * each)
    grid = figure.subplots(len(class_names), each, squeeze=False)
    for row, name in enumerate(class_names):
        draw_row(grid[row], f"{name}\n{(labels == row).sum()}", pixels[labels == row][:each], vmax=255)
    size, what = pixels.shape[2], "grey" if pixels.shape[1] == 1 else "colour"
    return figure.state(f"{len(labels)} {what} pictures of {size} × {size} pixels, {len(class_names)} classes")


def draw_row(line: Sequence[Any], name: str, pictures: np.ndarray, vmax: float, **options: Any) -> None:
    """Draws a named row of pictures (count, 1 or 3 channels, height, width) from 0 to vmax; axes left over stay empty.

    options: of imshow.
    """
    for axes in line:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, picture in zip(line, pictures, strict=False):
        pixels = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=vmax, **options)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
