"""Figures of the lesson on DARTS: the paper's toy problem, the error of the finite difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .count_plots import operation_counts
from .notebook_figure import NotebookFigure, new_figure, styled

__all__ = ["difference_errors", "operation_counts", "toy_gradient", "toy_path", "toy_paths"]

COLOURS = ("#B8280D", "#184DDB", "#00956A", "#9B5FAC")


def toy_gradient(alpha: float, w: float, xi: float) -> float:
    """Gradient towards alpha in the toy of the DARTS paper (figure 2): L_valid = alpha w - 2 alpha + 1, L_train =
    w^2 - 2 alpha w + alpha^2; w' = w - xi dL_train/dw. xi = 0: first order."""
    virtual = w - 2 * xi * (w - alpha)
    return virtual - 2 + 2 * xi * alpha         # d w'/d alpha = 2 xi, times dL_valid/dw' = alpha


def toy_path(xi: float, steps: int, rate: float = 0.01, start: tuple[float, float] = (2.0, -2.0)) -> np.ndarray:
    """(steps + 1, 2) points (alpha, w): an alpha step, then a weight step of size xi, or 0.1 if that is 0."""
    points, weight_rate = [start], xi or 0.1
    for _ in range(steps):
        alpha, w = points[-1]
        alpha -= rate * toy_gradient(alpha, w, xi)
        points.append((alpha, w - weight_rate * 2 * (w - alpha)))
    return np.array(points)


@styled
def toy_paths(xis: Sequence[float], steps: int = 600) -> NotebookFigure:
    """Paths of alpha and w from (2, -2) by gradient descent; the optimum of the bilevel problem is (1, 1)."""
    figure = new_figure(3.2, width=6.5)
    axes = figure.subplots()
    for xi, colour in zip(xis, COLOURS, strict=False):
        path = toy_path(xi, steps)
        axes.plot(path[:, 0], path[:, 1], color=colour, label="first order" if xi == 0 else f"second order, xi = {xi:g}")
        axes.plot(*path[-1], "o", color=colour, ms=6)
    axes.plot(1, 1, "*", color="#111111", ms=12, label="bilevel optimum")
    axes.set(xlabel="alpha", ylabel="w")
    axes.legend(frameon=False)
    figure.state("The larger the virtual step, the nearer the search ends to the bilevel optimum.")
    return figure


@styled
def difference_errors(error_at: Callable[[float, str], float], radii: Sequence[float]) -> NotebookFigure:
    """Relative error of the finite difference by its radius eps ||u||. error_at(radius, precision): precision "float64" or
    "float32"."""
    figure = new_figure(3.0, width=6.5)
    axes = figure.subplots()
    for precision, colour, marker in (("float64", COLOURS[1], "o"), ("float32", COLOURS[0], "s")):
        axes.plot(radii, [error_at(radius, precision) for radius in radii], color=colour, marker=marker, ms=4, label=precision)
    axes.axvline(0.01, color="#777777", ls=":", label="the papers' 0.01")
    axes.set(xscale="log", yscale="log", xlabel="eps · ‖u‖", ylabel="relative error of the product")
    axes.legend(frameon=False)
    figure.state("Too large a step is inexact, too small a one drowns in rounding.")
    return figure
