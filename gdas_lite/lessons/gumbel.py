"""Exercises of notebook 2: from a discrete choice to a gradient (GDAS paper, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from .exercise import Exercise, Function, array_of, number_of

ALPHA = torch.tensor([0.1, -0.2, 0.3, 0.0, 0.05], dtype=torch.float64)
GUMBEL = torch.tensor([0.5, -0.1, 0.2, 1.0, -0.3], dtype=torch.float64)


# --- 2.1: draw an operation with noise ---

def gumbel_max(alpha: Tensor, gumbel: Tensor) -> int:
    return int((alpha + gumbel).argmax())


def _largest_alpha(alpha: Tensor, gumbel: Tensor) -> int:
    return int(alpha.argmax())


def _noise_on_probabilities(alpha: Tensor, gumbel: Tensor) -> int:
    return int((alpha.softmax(-1) + gumbel).argmax())


def check_gumbel_max(function: Function) -> None:
    found = number_of(function(ALPHA, GUMBEL), "the operation drawn")
    assert found != 2, "operation 2 has the largest alpha, but the noise decides too: add it before you take the largest"
    assert found == 3, f"alpha + gumbel is largest at operation 3, you drew {found:g}"
    generator = torch.Generator().manual_seed(0)
    alpha = torch.tensor([2.0, 0.0, -1.0], dtype=torch.float64)
    noise = -torch.empty(4000, 3, dtype=torch.float64).exponential_(generator=generator).log()
    share = sum(int(function(alpha, row)) == 0 for row in noise) / len(noise)
    wanted = alpha.softmax(-1)[0].item()
    assert abs(share - wanted) < 0.03, (
        f"operation 0 has softmax(alpha) = {wanted:.2f}, but came out in {share:.2f} of 4,000 draws: the noise belongs on alpha, "
        "not on the probabilities")


# --- 2.2: the gradient through the soft sample ---

def alpha_gradient(h_gradient: Tensor, p: Tensor, tau: float) -> Tensor:
    return p * (h_gradient - (h_gradient * p).sum()) / tau


def _without_tau(h_gradient: Tensor, p: Tensor, tau: float) -> Tensor:
    return p * (h_gradient - (h_gradient * p).sum())


def _diagonal_only(h_gradient: Tensor, p: Tensor, tau: float) -> Tensor:
    return p * (1 - p) * h_gradient / tau


def check_alpha_gradient(function: Function) -> None:
    generator = torch.Generator().manual_seed(1)
    for tau in (1.0, 0.5, 4.0):
        alpha = ALPHA.clone().requires_grad_()
        p = ((alpha + GUMBEL) / tau).softmax(-1)
        h_gradient = torch.randn(5, generator=generator, dtype=torch.float64)
        wanted, = torch.autograd.grad(p, alpha, h_gradient)
        found = array_of(function(h_gradient, p.detach(), tau), (5,), "the gradient towards alpha")
        total = found.sum().item()
        assert abs(total) < 1e-8, (
            f"your gradient sums to {total:.3f}, not 0: a constant on all alphas of a row changes nothing, so the sum over m "
            "must vanish; p_k depends on every alpha_m, also for k other than m")
        ratio = (found.norm() / wanted.norm()).item()
        assert abs(ratio - tau) > 1e-6 or tau == 1, (
            f"your gradient is {ratio:g} times too long at tau = {tau:g}: z was divided by tau, so the chain rule divides too")
        assert torch.allclose(found, wanted, atol=1e-10), (
            f"at tau = {tau:g} your gradient is {found.numpy().round(4)}, autograd's {wanted.numpy().round(4)}")


# --- 2.3: what the reader should expect of the draws ---

def expected_loss_gradient(losses: Tensor, alpha: Tensor) -> Tensor:
    p = alpha.softmax(-1)
    return p * (losses - (p * losses).sum())


def _losses_of_the_mean(losses: Tensor, alpha: Tensor) -> Tensor:
    return alpha.softmax(-1) * losses


def check_expected_loss_gradient(function: Function) -> None:
    losses = torch.tensor([4.0, 1.0, 0.0, 1.0, 9.0], dtype=torch.float64)
    alpha = ALPHA.clone().requires_grad_()
    wanted, = torch.autograd.grad((alpha.softmax(-1) * losses).sum(), alpha)
    found = array_of(function(losses, ALPHA), (5,), "the gradient")
    assert torch.allclose(found, wanted, atol=1e-10) or abs(found.sum().item()) < 1e-8, (
        f"your gradient sums to {found.sum().item():.3f}, not 0: differentiate p_k too, not the losses only; each p_k falls when "
        "another alpha rises")
    assert torch.allclose(found, wanted, atol=1e-10), (
        f"expected {wanted.numpy().round(4)}, got {found.numpy().round(4)}: each operation counts by how far its loss is "
        "from the expected loss")


EXERCISES = (
    Exercise("2.1", "draw an operation with noise", 5, check_gumbel_max, gumbel_max,
             ((_largest_alpha, "the noise decides too"), (_noise_on_probabilities, "not on the probabilities"))),
    Exercise("2.2", "the gradient through the soft sample", 15, check_alpha_gradient, alpha_gradient,
             ((_without_tau, "divides too"), (_diagonal_only, "sums to"))),
    Exercise("2.3", "the exact gradient", 10, check_expected_loss_gradient, expected_loss_gradient,
             ((_losses_of_the_mean, "differentiate p_k too"),)),
)
