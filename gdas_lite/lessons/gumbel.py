"""Exercises of notebook 2: from a discrete choice to a gradient (GDAS paper, section 3.2)."""

import torch
from torch import Tensor

from .exercise import Exercise, normal, numbers


def gumbel_max(alpha: Tensor, gumbel: Tensor) -> int:
    return int((alpha + gumbel).argmax())


def alpha_gradient(h_gradient: Tensor, p: Tensor, tau: float) -> Tensor:
    return p * (h_gradient - (h_gradient * p).sum()) / tau


def expected_loss_gradient(losses: Tensor, alpha: Tensor) -> Tensor:
    p = alpha.softmax(-1)
    return p * (losses - (p * losses).sum())


def _sums_to_zero(found, wanted, *_):
    """A property that every right answer has, whatever the mistake was."""
    total = float(numbers(found).sum())
    if abs(total) > 1e-3:
        return (f"your gradient sums to {total:.3f}, not 0: a constant on all alphas changes nothing. Each p_k "
                "depends on every alpha_m, also for k other than m: when one rises, the others fall")
    return None


EXERCISES = (
    Exercise("2.1", "draw an operation with noise", 5, gumbel_max, "the operation drawn", (
        (lambda alpha, gumbel: alpha.argmax(), "you take the largest alpha, but the noise decides too: add it first"),
        (lambda alpha, gumbel: gumbel.argmax(), "you take the largest noise, but alpha decides too: add the two"),
        (lambda alpha, gumbel: (alpha.softmax(-1) + gumbel).argmax(),
         "the noise belongs on alpha, not on the probabilities"),
        (lambda alpha, gumbel: (alpha - gumbel).argmax(), "the noise is added, not subtracted"),
        (lambda alpha, gumbel: (alpha + gumbel).max(),
         "that is the largest sum itself; asked is which operation has it"),
    ), lambda rng: [(float(rng.choice([0.3, 1, 3])) * normal(rng, 5), torch.from_numpy(rng.gumbel(size=5)))
                    for _ in range(300)],
        reminder="the draw is fixed by these two rows: the operation where alpha + gumbel is largest"),
    Exercise("2.2", "the gradient through the soft sample", 15, alpha_gradient, "the gradient", (
        (lambda g, p, tau: alpha_gradient(g, p, 1), "z was divided by tau, so the chain rule divides too"),
        (lambda g, p, tau: alpha_gradient(g, p, 1 / tau),
         "z was divided by tau, so the chain rule divides too; you multiply"),
        (lambda g, p, tau: -alpha_gradient(g, p, tau), "the sign is turned round: delta comes first, then minus p_m"),
        (lambda g, p, tau: (p * g - (g * p).mean()) / tau, "p_m also stands in front of the sum: both terms hold it"),
    ), lambda rng: [(normal(rng, 5), (normal(rng, 5) / tau).softmax(-1), tau)
                    for tau in (1.0, 0.5, 4.0, 0.3, 1.7, 10.0)],
        explain=_sums_to_zero, reminder="which is what autograd finds"),
    Exercise("2.3", "the exact gradient", 10, expected_loss_gradient, "the gradient", (
        (lambda L, a: a.softmax(-1) * L,
         "differentiate p_k too, not the losses only: it falls when another alpha rises"),
        (lambda L, a: a.softmax(-1) * (L - L.mean()),
         "measure from the *expected* loss, weighted by pi, not from the mean"),
        (lambda L, a: L - (a.softmax(-1) * L).sum(), "what is seldom drawn moves little: all is multiplied by pi_m"),
        (lambda L, a: -expected_loss_gradient(L, a), "that is the way downhill; asked is the gradient itself"),
        (lambda L, a: a * (L - (a * L).sum()), "alpha is no probability yet: pi = softmax(alpha)"),
    ), lambda rng: [(4 * normal(rng, 5) + shift, normal(rng, 5)) for shift in (0, 5, -3, 1, 0)],
        explain=_sums_to_zero, reminder="each operation counts by how far its loss is from the expected loss"),
)
