"""Figures on gradients: the Gumbel estimators of notebook 2, DARTS' toy and finite difference of notebook 4.

Those on Gumbel look at one edge with K operations of scalar outputs; GDAS draws one and passes the gradient of the soft
sample (GDAS paper, section 3.2). Draws are computed at once, with the kit's own sampling.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..relaxation import sample_gumbel
from ..visual.figure import NotebookFigure, styled, subplots
from ..visual.palette import INK, style_of
from .figures import BLUE, GREEN, RED, VIOLET
from .gumbel import expected_loss_gradient

GUMBEL_COLOURS, DARTS_COLOURS = (GREEN, RED, "#9A6B3F"), (RED, BLUE, GREEN, VIOLET)
GDAS, VARIANT_N, ALL, SCORE = "GDAS", "GDAS, variant N", "straight-through, all run", "score function"


def estimates(alpha: Any, outputs: Any, target: float, tau: float, draws: int, seed: int) -> dict[str, Any]:
    """Gradients towards alpha of the loss (x - target)^2, x = sum_k h_k outputs_k, by estimator: (draws, K) each.

    alpha, outputs: (K,). "GDAS": only the drawn operation meets the loss; "GDAS, variant N": the same minus dL/dx,
    as if every output were one less; "straight-through, all run": dL/dh_k of all;
    "score function": (loss - expected loss) times the gradient of log softmax(alpha)_idx.
    """
    pi, soft, hard = _samples(alpha, tau, draws, seed)
    x = hard @ outputs
    slope = 2 * (x - target)[:, None] * outputs                             # dL/dh, (draws, K)
    losses = (outputs - target)**2
    advantage = (hard @ losses) - pi @ losses
    through = {GDAS: slope * hard, VARIANT_N: (slope - 2 * (x - target)[:, None]) * hard, ALL: slope}
    found = {name: soft * (g - (g * soft).sum(-1, keepdim=True)) / tau for name, g in through.items()}
    return found | {SCORE: torch.as_tensor(advantage)[:, None] * (hard - pi)}


def exact_gradient(alpha: Any, outputs: Any, target: float) -> Any:
    """Of the expected loss, (K,): pi_m (L_m - sum_k pi_k L_k)."""
    return expected_loss_gradient((outputs - target)**2, alpha)


@styled
def draws_and_gradients(alpha: Any, outputs: Any, taus: Sequence[float], draws: int, seed: int,
                        names: Sequence[str]) -> NotebookFigure:
    """Left: share of each operation among the draws, by tau, beside softmax(alpha). Right: lengths of GDAS's gradients,
    the loss being the edge's output. names: of the operations."""
    figure, (left, right) = subplots(3.0, columns=2)
    places = np.arange(len(alpha))
    for number, (tau, colour) in enumerate(zip(taus, GUMBEL_COLOURS, strict=True)):
        pi, soft, hard = _samples(alpha, tau, draws, seed + number)         # noise of its own for each tau
        offset = (number - 1) * 0.26
        left.bar(places + offset, hard.mean(0).numpy(), 0.24, color=colour, label=f"tau {tau:g}")
        slope = hard * outputs
        lengths = (soft * (slope - (slope * soft).sum(-1, keepdim=True)) / tau).norm(dim=-1)
        right.hist(np.log10(lengths.clamp_min(1e-12).numpy()), bins=np.linspace(-8, 1.5, 60), color=colour,
                   histtype="step", lw=1.6, label=f"tau {tau:g}: median {lengths.median():.2g}")
    for place, share in zip(places, pi.tolist(), strict=True):
        left.plot([place - 0.42, place + 0.42], [share, share], color=INK, lw=1.6,
                  label="softmax(alpha)" if place == 0 else None)
    left.set(ylabel="share of the draws", ylim=(0, 1.35 * float(pi.max())))
    left.set_xticks(places, [style_of(name).label.replace(" ", "\n") for name in names])
    right.set(xlabel="log10 of the gradient's length", ylabel="draws")
    left.legend(ncols=4, loc="upper left", columnspacing=1, handlelength=1.2)
    right.legend()
    return figure.state("Tau changes the gradient (right), not how often an operation is drawn (left).")


@styled
def bias_and_spread(alpha: Any, outputs: Any, target: float, taus: Sequence[float], draws: int, seed: int
                    ) -> NotebookFigure:
    """Left: distance of each estimator's mean from the exact gradient. Right: standard deviation of a single draw."""
    figure, (left, right) = subplots(3.2, columns=2)
    exact = exact_gradient(alpha, outputs, target)
    by_tau = [estimates(alpha, outputs, target, tau, draws, seed) for tau in taus]
    names, colours = (GDAS, VARIANT_N, ALL, SCORE), (BLUE, VIOLET, GREEN, RED)
    for name, colour, marker in zip(names, colours, "ovsD", strict=True):
        found = [of_tau[name] for of_tau in by_tau]
        style = {"color": colour, "marker": marker, "ms": 4, "label": name}
        left.plot(taus, [float((g.mean(0) - exact).norm()) for g in found], **style)
        right.plot(taus, [float(g.var(0).sum().sqrt()) for g in found], **style)
    left.axhline(float(exact.norm()), color=INK, ls=":", label="length of the exact gradient")
    for axes, what in ((left, "bias: distance of the mean"), (right, "spread of a single draw")):
        axes.set(xscale="log", yscale="log", xlabel="tau", ylabel=what)
        axes.invert_xaxis()         # a search goes from 10 to 0.1
    left.legend()
    return figure.state("A search goes from left to right: the draws agree at first, and spread more and more.")


def _samples(alpha: Any, tau: float, draws: int, seed: int) -> tuple[Any, Any, Any]:
    """softmax(alpha) (K,), soft and hard samples (draws, K)."""
    noise = sample_gumbel((draws, len(alpha)), torch.Generator().manual_seed(seed), alpha.dtype)
    soft = ((alpha.log_softmax(-1) + noise) / tau).softmax(-1)
    hard = torch.nn.functional.one_hot((alpha + noise).argmax(-1), len(alpha)).to(alpha.dtype)
    return alpha.softmax(-1), soft, hard


def toy_gradient(alpha: float, w: float, xi: float) -> float:
    """Gradient towards alpha in the toy of the DARTS paper (figure 2): L_valid = alpha w - 2 alpha + 1, L_train =
    w^2 - 2 alpha w + alpha^2; w' = w - xi dL_train/dw. xi = 0: first order."""
    virtual = w - 2 * xi * (w - alpha)
    return virtual - 2 + 2 * xi * alpha         # d w'/d alpha = 2 xi, times dL_valid/dw' = alpha


def toy_path(xi: float, steps: int) -> np.ndarray:
    """(steps + 1, 2) points (alpha, w) from (2, -2): an alpha step of size 0.01, then a weight step of size xi, or 0.1
    if that is 0."""
    points, weight_rate = [(2.0, -2.0)], xi or 0.1
    for _ in range(steps):
        alpha, w = points[-1]
        alpha -= 0.01 * toy_gradient(alpha, w, xi)
        points.append((alpha, w - weight_rate * 2 * (w - alpha)))
    return np.array(points)


@styled
def toy_paths(xis: Sequence[float], steps: int = 600) -> NotebookFigure:
    """Paths of alpha and w from (2, -2) by gradient descent; the optimum of the bilevel problem is (1, 1)."""
    figure, axes = subplots(3.2, 6.5)
    for xi, colour in zip(xis, DARTS_COLOURS * len(xis)):
        path = toy_path(xi, steps)
        label = "first order" if xi == 0 else f"second order, xi = {xi:g}"
        axes.plot(path[:, 0], path[:, 1], color=colour, label=label)
        axes.plot(*path[-1], "o", color=colour, ms=6)
    axes.plot(1, 1, "*", color=INK, ms=12, label="bilevel optimum")
    axes.set(xlabel="alpha", ylabel="w")
    axes.legend()
    return figure.state("The larger the virtual step, the nearer the search ends to the bilevel optimum.")


@styled
def difference_errors(error_at: Callable[[float, str], float], radii: Sequence[float]) -> NotebookFigure:
    """Relative error of the finite difference by its radius eps ||u||. error_at(radius, precision): precision
    "float64" or "float32"."""
    figure, axes = subplots(3.0, 6.5)
    for precision, colour, marker in (("float64", DARTS_COLOURS[1], "o"), ("float32", DARTS_COLOURS[0], "s")):
        errors = [error_at(radius, precision) for radius in radii]
        axes.plot(radii, errors, color=colour, marker=marker, ms=4, label=precision)
    axes.axvline(0.01, color=INK, ls=":", label="the papers' 0.01")
    axes.set(xscale="log", yscale="log", xlabel="eps · ‖u‖", ylabel="relative error of the product")
    axes.legend()
    return figure.state("Too large a step is inexact, too small a one drowns in rounding.")
