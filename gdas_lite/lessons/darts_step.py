"""Exercises of notebook 4: DARTS, first and second order (DARTS paper, section 2.3)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .building import gradients
from .exercise import Exercise, normal, numbers, same
from .guarding import Refused

AlphaGradient = Callable[[Tensor], Tensor]


def mixed_output(alpha: Tensor, outputs: Tensor) -> Tensor:
    return (alpha.softmax(-1)[:, None] * outputs).sum(0)


def virtual_weights(weights: Tensor, gradient: Tensor, velocity: Tensor, rate: float, momentum: float,
                    decay: float) -> Tensor:
    return weights - rate * (momentum * velocity + gradient + decay * weights)


def finite_difference(alpha_gradient: AlphaGradient, weights: Tensor, direction: Tensor) -> Tensor:
    eps = 0.01 / direction.norm()
    positive = alpha_gradient(weights + eps * direction)
    negative = alpha_gradient(weights - eps * direction)
    return (positive - negative) / (2 * eps)


def _mix(function, alpha, outputs):
    """The output. A tensor that carries gradients has to carry the right ones; plain numbers need none."""
    found, right = function(alpha, outputs), mixed_output(alpha, outputs)
    if isinstance(found, Tensor) and same(found, right):
        leaves = [part.clone().requires_grad_() for part in (alpha, outputs)]
        try:
            differentiable = function(*leaves)
        except RuntimeError:                        # by way of NumPy
            return found
        if differentiable.requires_grad and not same(*(gradients(output, *leaves) for output in (
                differentiable, mixed_output(*leaves)))):
            raise Refused("the value is right, its gradient towards alpha or the outputs is not: no detach on the way")
    return found


def _functions(rng):
    """Short and long directions: in every other trial of sum 0, in the others with a term that two sides cancel."""
    for number, (n, k, length) in enumerate(((4, 3, 2), (4, 3, 3), (9, 2, 100), (5, 5, 0.01), (3, 4, 30), (7, 1, 0.1))):
        weights, direction, factor, table = normal(rng, n), normal(rng, n), normal(rng, k), normal(rng, k, n)
        direction = length * torch.nn.functional.normalize(direction - number % 2 * direction.mean(), dim=0)

        def alpha_gradient(w, parts=(weights, direction / length, factor, table), depth=1e5 * (number % 2 == 0)):
            start, unit, factor, table = (part.to(w.dtype) for part in parts)
            bowl = ((w - start) @ unit) ** 2 if w.dtype == torch.float64 else 0
            return factor.cos() * (table @ w**3) + depth * bowl
        yield alpha_gradient, weights, direction


def _how_far_off(found, wanted, *_):
    found, wanted = numbers(found), numbers(wanted)
    ratio, error = (np.linalg.norm(part) / np.linalg.norm(wanted) for part in (found, found - wanted))
    off = f"off by {100 * error:.3g} %" if ratio < np.inf else "not finite"
    if 0 < ratio < 0.1 or 10 < ratio < np.inf:
        off = f"{1 / ratio:,.0f} times too small" if ratio < 1 else f"{ratio:,.0f} times too large"
    return (f"your product is {off}; a difference taken on both sides, at w + eps u and w - eps u, eps = 0.01 / ||u|| "
            "for long and short u alike, is off by less than 0.1 %. And what is it divided by?")


EXERCISES = (
    Exercise("4.1", "the mixed operation", 5, mixed_output, "the edge's output", (
        (lambda a, o: a @ o,
         "adding 7 to every alpha changes your output; only differences may count: is the softmax missing?"),
        (lambda a, o: mixed_output(a, o) / len(a), "the softmax weights sum to 1 already: a sum, not a mean"),
        (lambda a, o: (a.softmax(-1) * o).sum(0) if o.shape[1] in (1, len(a)) else o[:1],
         "the weights run along the wrong axis: row k of `outputs` belongs to alpha_k"),
        (lambda a, o: o[a.argmax()], "that is one operation, the strongest; DARTS mixes all of them"),
        (lambda a, o: o.mean(0), "alpha has no effect: the operations count by softmax(alpha)"),
    ), lambda rng: [(normal(rng, k), normal(rng, k, n)) for k, n in ((2, 2), (4, 4), (3, 2), (2, 7), (8, 3), (1, 4))],
        reminder="the sum over k of softmax(alpha)_k times row k", probe=_mix),
    Exercise("4.2", "the virtual step", 10, virtual_weights, "the virtual weights", (
        (lambda w, g, v, rate, m, decay: virtual_weights(w, g, v, rate, 0, decay),
         "the velocity has no effect: the virtual step imitates the real one, which goes on with it"),
        (lambda w, g, v, rate, m, decay: virtual_weights(w, g, v, rate, m, 0),
         "weight decay has no effect: the real step adds decay times the weights to the gradient"),
        (lambda w, g, v, rate, m, decay: virtual_weights(w, g, v, rate, 1, decay),
         "only `momentum` times the velocity is carried on"),
        (lambda w, g, v, rate, m, decay: virtual_weights(w, g, v, -rate, m, decay),
         "your step goes uphill: go *against* the gradient"),
        (lambda w, g, v, rate, m, decay: w - rate * (g + decay * w) - m * v,
         "the learning rate multiplies the velocity, too"),
        (lambda w, g, v, rate, m, decay: (1 - decay) * w - rate * (m * v + g),
         "the learning rate multiplies the weight decay, too"),
        (lambda w, g, v, rate, m, decay: w - rate * (g + decay * w + m * (m * v + g + decay * w)),
         "that is Nesterov's step; the virtual one is without"),
    ), lambda rng: [(*(3 * normal(rng, *shape) for _ in range(3)), *(float(rate) for rate in rng.uniform(0.1, 0.9, 3)))
                    for shape in ((2,), (5,), (3, 4), (1,), (7,))],
        reminder="gradient plus decay is added to momentum times velocity, and the rate multiplies all of it"),
    Exercise("4.3", "find the bug", 10, finite_difference, "the product", (
        (lambda f, w, u: finite_difference(f, w, u) * (0.01 / u.norm()) ** 2,
         "your product is 1/eps² times too small: `x / 2. * eps` multiplies by eps; you want `x / (2 * eps)`"),
        (lambda f, w, u: finite_difference(f, w, u) * 0.01 / u.norm(),
         "the difference is divided by 2, but not by eps"),
        (lambda f, w, u: finite_difference(f, w, u) * 2,
         "between w + eps u and w - eps u lie two steps: divide by 2 eps"),
        (lambda f, w, u: finite_difference(f, w, u) / u.norm(),
         "asked is the derivative along u itself, not along u by its length"),
        (lambda f, w, u: -finite_difference(f, w, u), "the sign is turned round: the value at w + eps u comes first"),
        (lambda f, w, u: (f(w + 0.01 / u.norm() * u) - f(w)) / (0.01 / u.norm()),
         "a difference on one side is off by a part that grows with eps; take it on both sides of w"),
        (lambda f, w, u: (f(w + 0.01 * u) - f(w - 0.01 * u)) / 0.02,
         "a long u takes this step far away: eps is 0.01 / ||u||"),
    ), _functions,
        explain=_how_far_off, tolerance=1e-3, also=(lambda f, w, u: torch.autograd.functional.jvp(f, w, u)[1],)),
)
