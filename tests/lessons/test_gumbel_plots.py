"""The estimators of the lesson on Gumbel-softmax, against autograd draw by draw and against exact enumeration."""

from __future__ import annotations

import pytest
import torch

from gdas_lite.lessons.estimators import (
    ALL,
    GDAS,
    SCORE,
    VARIANT_N,
    bias_and_spread,
    draws_and_gradients,
    estimates,
    exact_gradient,
)
from gdas_lite.relaxation import hard_gumbel

ALPHA = torch.tensor([0.1, -0.2, 0.3, 0.0, 0.05], dtype=torch.float64)
OUTPUTS = torch.tensor([1.0, 2, 3, 4, 5], dtype=torch.float64)


def noises(draws: int, seed: int) -> torch.Tensor:
    return -torch.empty(draws, 5, dtype=torch.float64).exponential_(generator=torch.Generator().manual_seed(seed)).log()


@pytest.mark.parametrize("tau", [10.0, 1.0, 0.1])
def test_each_draw_has_the_gradient_that_autograd_gives(tau):
    found = estimates(ALPHA, OUTPUTS, 2.6, tau, 50, seed=3)
    for row, gumbel in enumerate(noises(50, 3)):
        for name in (GDAS, VARIANT_N, ALL):
            alpha = ALPHA.clone().requires_grad_()
            h = hard_gumbel(alpha[None], tau, gumbel[None])[0]
            drawn = int(h.argmax())
            x = {GDAS: h[drawn] * OUTPUTS[drawn], ALL: h @ OUTPUTS,
                 VARIANT_N: h[drawn] * OUTPUTS[drawn] + h.sum() - h[drawn]}[name]
            ((x - 2.6)**2).backward()
            torch.testing.assert_close(found[name][row], alpha.grad, atol=1e-9, rtol=1e-9)


def test_the_score_function_is_unbiased_and_does_not_know_tau():
    exact = exact_gradient(ALPHA, OUTPUTS, 2.6)
    alpha = ALPHA.clone().requires_grad_()
    (alpha.softmax(-1) * (OUTPUTS - 2.6)**2).sum().backward()
    torch.testing.assert_close(exact, alpha.grad)
    found = estimates(ALPHA, OUTPUTS, 2.6, 1.0, 40_000, seed=0)[SCORE]
    error = found.std(0) / 40_000**0.5
    assert ((found.mean(0) - exact).abs() < 4 * error).all()
    assert torch.equal(found, estimates(ALPHA, OUTPUTS, 2.6, 0.1, 40_000, seed=0)[SCORE])


def test_what_the_figures_claim():
    """Tau changes lengths and not shares; the spread grows as tau falls; small tau is right on average if all run."""
    spreads = [estimates(ALPHA, OUTPUTS, 2.6, tau, 20_000, seed=0)[GDAS].var(0).sum().sqrt() for tau in (10, 1, 0.1)]
    assert spreads[0] < spreads[1] < spreads[2]
    exact = exact_gradient(ALPHA, OUTPUTS, 2.6)
    found = estimates(ALPHA, OUTPUTS, 2.6, 0.1, 20_000, seed=0)
    assert (found[ALL].mean(0) - exact).norm() < 0.3 * exact.norm() < (found[GDAS].mean(0) - exact).norm()


def test_the_figures_show_every_tau():
    figure = draws_and_gradients(ALPHA, OUTPUTS, (10, 1, 0.1), 200, 0, "abcde")
    left, right = figure.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["softmax(alpha)", "tau 10", "tau 1", "tau 0.1"]
    assert len(right.get_legend().get_texts()) == 3
    left, right = bias_and_spread(ALPHA, OUTPUTS, 2.6, (10, 1), 200, 0).axes
    assert len(right.lines) == 4
    assert left.get_xlim()[0] > left.get_xlim()[1]
