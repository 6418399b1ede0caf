"""Exercises of notebook 4: DARTS, first and second order (DARTS paper, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .exercise import Exercise, Function, array_of

AlphaGradient = Callable[[Tensor], Tensor]


# --- 4.1: the mixed operation ---

def mixed_output(alpha: Tensor, outputs: Tensor) -> Tensor:
    return (alpha.softmax(-1)[:, None] * outputs).sum(0)


def _without_softmax(alpha: Tensor, outputs: Tensor) -> Tensor:
    return (alpha[:, None] * outputs).sum(0)


def check_mixed_output(function: Function) -> None:
    outputs = torch.tensor([[1.0, 2.0], [3.0, 5.0], [0.0, -4.0]], dtype=torch.float64)
    alpha = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    found = array_of(function(alpha, outputs), (2,), "the edge's output")
    shifted = array_of(function(alpha + 7, outputs), (2,), "the edge's output")
    assert torch.allclose(found, shifted), (
        "adding 7 to every alpha of the edge changes your output; only differences of alphas may count: is the softmax missing?")
    wanted = alpha.softmax(-1) @ outputs
    assert torch.allclose(found, wanted), f"expected {wanted.numpy().round(4)}, got {found.numpy().round(4)}"


# --- 4.2: the virtual step ---

def virtual_weights(weights: Tensor, gradient: Tensor, velocity: Tensor, rate: float, momentum: float,
                    decay: float) -> Tensor:
    return weights - rate * (momentum * velocity + gradient + decay * weights)


def _forgets_momentum(weights: Tensor, gradient: Tensor, velocity: Tensor, rate: float, momentum: float,
                      decay: float) -> Tensor:
    return weights - rate * (gradient + decay * weights)


def _forgets_decay(weights: Tensor, gradient: Tensor, velocity: Tensor, rate: float, momentum: float,
                   decay: float) -> Tensor:
    return weights - rate * (momentum * velocity + gradient)


def check_virtual_weights(function: Function) -> None:
    weights, gradient, velocity = (torch.tensor(values, dtype=torch.float64) for values in ([1.0, -2.0], [0.5, 0.25], [4.0, 2.0]))
    rate, momentum, decay = 0.1, 0.9, 0.01
    found = array_of(function(weights, gradient, velocity, rate, momentum, decay), (2,), "the virtual weights")
    assert not torch.allclose(found, _forgets_momentum(weights, gradient, velocity, rate, momentum, decay)), (
        "the velocity has no effect: the virtual step imitates the real one, which goes on with momentum times the velocity")
    assert not torch.allclose(found, _forgets_decay(weights, gradient, velocity, rate, momentum, decay)), (
        "weight decay has no effect: the real step adds decay times the weights to the gradient, so the virtual one does too")
    wanted = weights - rate * (momentum * velocity + gradient + decay * weights)
    assert torch.allclose(found, wanted), f"expected {wanted.tolist()}, got {found.tolist()}"


# --- 4.3: find the bug in a finite difference ---

def finite_difference(alpha_gradient: AlphaGradient, weights: Tensor, direction: Tensor) -> Tensor:
    eps = 0.01 / direction.norm()
    positive = alpha_gradient(weights + eps * direction)
    negative = alpha_gradient(weights - eps * direction)
    return (positive - negative) / (2 * eps)


def _missing_parentheses(alpha_gradient: AlphaGradient, weights: Tensor, direction: Tensor) -> Tensor:
    eps = 0.01 / direction.norm()
    positive = alpha_gradient(weights + eps * direction)
    negative = alpha_gradient(weights - eps * direction)
    return (positive - negative) / 2.0 * eps


def _one_sided(alpha_gradient: AlphaGradient, weights: Tensor, direction: Tensor) -> Tensor:
    eps = 0.01 / direction.norm()
    return (alpha_gradient(weights + eps * direction) - alpha_gradient(weights)) / eps


def check_finite_difference(function: Function) -> None:
    generator = torch.Generator().manual_seed(0)
    weights, direction, alpha = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (4, 4, 3))
    table = torch.randn(3, 4, generator=generator, dtype=torch.float64)

    def alpha_gradient(w: Tensor) -> Tensor:
        return torch.cos(alpha) * (table @ w**3)

    wanted = torch.cos(alpha) * (table @ (3 * weights**2 * direction))
    found = array_of(function(alpha_gradient, weights, direction), (3,), "the product")
    ratio = (found.norm() / wanted.norm()).item()
    assert ratio > 0.01, (
        f"your product is {1 / ratio:,.0f} times too small: `x / 2. * eps` multiplies by eps; you want `x / (2 * eps)`")
    error = ((found - wanted).norm() / wanted.norm()).item()
    assert error < 1e-3, (
        f"your product is off by {100 * error:.1f} %; a difference taken on both sides is off by less than 0.1 %")


EXERCISES = (
    Exercise("4.1", "the mixed operation", 5, check_mixed_output, mixed_output,
             ((_without_softmax, "is the softmax missing"),)),
    Exercise("4.2", "the virtual step", 10, check_virtual_weights, virtual_weights,
             ((_forgets_momentum, "the velocity has no effect"), (_forgets_decay, "weight decay has no effect"))),
    Exercise("4.3", "find the bug", 10, check_finite_difference, finite_difference,
             ((_missing_parentheses, "times too small"), (_one_sided, "on both sides"))),
)
