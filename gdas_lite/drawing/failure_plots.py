"""Figures of the lesson on failures: what a search believes of itself beside the truth, scores of cells beside theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdas_lite.drawing.alpha_plots import epochs_done
from gdas_lite.drawing.notebook_figure import NotebookFigure, new_figure, styled
from gdas_lite.landscape import rank_correlation

TRUTH, BELIEF, INK = "#C2185B", "#184DDB", "#333333"


@styled
def belief_and_truth(histories: Mapping[str, Any], accuracies: Mapping[str, np.ndarray], best: float | None = None
                     ) -> NotebookFigure:
    """Search accuracy on the valid half, and the accuracy of the cell derived after each epoch, a panel for each search.

    accuracies: by the names of the histories, (epochs,), percent, of the cells trained on their own (from a table).
    best: the table's best accuracy, drawn as a line. Raises ValueError where the lengths differ.
    """
    figure, claims = new_figure(2.9), []
    panels = figure.subplots(1, len(histories), squeeze=False, sharey=True)[0]
    for axes, (name, history) in zip(panels, histories.items()):
        truth, belief = np.asarray(accuracies[name]), history.column("valid_accuracy")
        if truth.shape != belief.shape:
            raise ValueError(f"{name}: {len(belief)} epochs, but {truth.size} accuracies of cells; give one for each epoch")
        epochs = epochs_done(history)
        axes.plot(epochs, belief, "--", color=BELIEF, label="search accuracy, valid half")
        axes.plot(epochs, truth, color=TRUTH, drawstyle="steps-post", label="its cell, trained on its own")
        if best is not None:
            axes.axhline(best, color="#222222", lw=0.8, ls=(0, (1, 2)))
        axes.set(xlabel="epochs done", title=name)
        claims.append(f"{name}: search accuracy {belief[0]:.0f} → {belief[-1]:.0f} %, "
                      f"its cell {truth[0]:.0f} → {truth[-1]:.0f} %")
    panels[0].set_ylabel("accuracy (%)")
    panels[0].legend(frameon=False, loc="lower right")
    figure.state("\n".join(claims))
    return figure


@styled
def scores_against_truth(truth: np.ndarray, scores: Mapping[str, np.ndarray]) -> NotebookFigure:
    """Cells' accuracies with shared weights against those of the cells trained on their own; one panel for each score.

    truth, scores: (cells,), percent. The cell that each score would choose is marked. Raises ValueError for other lengths.
    """
    truth = np.asarray(truth)
    figure, claims = new_figure(3.1, min(9.5, 4.4 * len(scores))), []
    panels = figure.subplots(1, len(scores), squeeze=False, sharey=True)[0]
    for axes, (name, score) in zip(panels, scores.items()):
        score = np.asarray(score)
        if score.shape != truth.shape:
            raise ValueError(f"{name}: {score.size} scores for {truth.size} cells; give one for each")
        chosen = int(score.argmax())
        axes.plot(score, truth, "o", ms=4, color=INK, alpha=0.55, mew=0)
        axes.plot(score[chosen], truth[chosen], "D", ms=7, color=TRUTH, label=f"chosen: {truth[chosen]:.1f} %")
        axes.set(xlabel="accuracy in the supernet (%)", title=name)
        axes.legend(frameon=False, loc="lower left")
        claims.append(f"{name} {rank_correlation(score, truth):+.2f}")
    panels[0].set_ylabel("trained on its own (%)")
    figure.state(f"rank correlation with the truth over {len(truth)} cells: {', '.join(claims)}")
    return figure
