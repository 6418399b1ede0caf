"""DARTS' second order: the paper's toy, and the exact Hessian-vector product on a small network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.relaxation import soft_mixture
from gdas_lite.search import second_order
from gdas_lite.search.second_order import VirtualStep, hessian_vector_product, second_order_gradient
from gdas_lite.spaces.nasbench201 import NASBench201


def toy(a: float, w: float):
    """L_valid = a w - 2 a + 1, L_train = w^2 - 2 a w + a^2 (DARTS paper, figure 2)."""
    alpha = nn.Parameter(torch.tensor([a], dtype=torch.float64))
    weight = nn.Parameter(torch.tensor([w], dtype=torch.float64))
    return (alpha, weight, lambda: (weight**2 - 2 * alpha * weight + alpha**2).sum(),
            lambda: (alpha * weight - 2 * alpha + 1).sum())


def test_toy_of_the_darts_paper_gives_minus_2_8():
    alpha, w, train_loss, valid_loss = toy(2, -2)
    step = VirtualStep(xi=0.1, momentum=0.9, weight_decay=0.0, velocity=[None])
    (gradient,), loss = second_order_gradient(train_loss, valid_loss, [w], [alpha], step)
    assert gradient.item() == pytest.approx(-2.8, abs=1e-12)
    assert loss.item() == pytest.approx(2 * -1.2 - 4 + 1, abs=1e-12)    # at w' = -1.2
    assert w.item() == -2 and alpha.item() == 2


def test_toy_without_a_virtual_step_is_the_first_order_gradient():
    alpha, w, train_loss, valid_loss = toy(2, -2)
    step = VirtualStep(xi=0.0, momentum=0.9, weight_decay=0.0, velocity=[None])
    (gradient,), _ = second_order_gradient(train_loss, valid_loss, [w], [alpha], step)
    assert gradient.item() == pytest.approx(-4, abs=1e-12)


@pytest.mark.parametrize("xi, reached", [(0.5, 1.0), (0.1, 5 / 3)])
def test_toy_reaches_the_bilevel_optimum_when_the_virtual_step_reaches_the_inner_one(xi, reached):
    """xi = 1/2 minimises L_train (curvature 2) in one step, so the search ends at (1, 1); a smaller xi ends elsewhere."""
    alpha, w, train_loss, valid_loss = toy(2, -2)
    for _ in range(1000):
        step = VirtualStep(xi=xi, momentum=0.0, weight_decay=0.0, velocity=[None])
        (gradient,), _ = second_order_gradient(train_loss, valid_loss, [w], [alpha], step)
        (inner,) = torch.autograd.grad(train_loss(), w)
        with torch.no_grad():
            alpha -= 0.05 * gradient
            w -= 0.05 * inner
    assert (alpha.item(), w.item()) == pytest.approx((reached, reached), abs=1e-6)


def test_momentum_and_decay_enter_the_virtual_step():
    """w' = w - xi (m v + g + wd w): with m v = 1.35 and wd w = -0.5, g = -8: w' = -2 - 0.1 (1.35 - 8 - 0.5)."""
    alpha, w, train_loss, valid_loss = toy(2, -2)
    step = VirtualStep(xi=0.1, momentum=0.9, weight_decay=0.25, velocity=[torch.tensor([1.5], dtype=torch.float64)])
    (gradient,), _ = second_order_gradient(train_loss, valid_loss, [w], [alpha], step)
    virtual_w = -2 - 0.1 * (1.35 - 8 - 0.5)
    assert gradient.item() == pytest.approx((virtual_w - 2) - 0.1 * (-2 * 2), abs=1e-10)


class SmoothNet(nn.Module):
    """A small network of the same form (softmax-mixed operations) that is smooth, so differences converge."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.head = nn.Linear(6, 3)

    def forward(self, x, alpha):
        probabilities = alpha.softmax(-1)
        mixed = sum(p * torch.tanh(layer(x)) for p, layer in zip(probabilities, self.layers, strict=True))
        return self.head(mixed)


def smooth_problem():
    net = SmoothNet().double()
    alpha = nn.Parameter(torch.tensor([0.2, -0.4, 0.1], dtype=torch.float64))
    generator = torch.Generator().manual_seed(1)
    data = [torch.randn(20, 6, dtype=torch.float64, generator=generator) for _ in range(2)]
    labels = torch.arange(20) % 3
    return net, alpha, [lambda x=x: F.cross_entropy(net(x, alpha), labels) for x in data]


def exact_product(train_loss, params, alpha, u):
    """grad_alpha of <grad_w L_train, u>, by differentiating twice."""
    gradient = torch.autograd.grad(train_loss(), params, create_graph=True)
    return torch.autograd.grad(sum((g * d).sum() for g, d in zip(gradient, u, strict=True)), alpha)[0]


def test_finite_difference_equals_the_exact_product_and_its_error_falls_with_epsilon_squared(monkeypatch):
    """The bug `(p - n) / 2 * epsilon`, copied from repository to repository, fails here by orders of magnitude."""
    net, alpha, (train_loss, _) = smooth_problem()
    params = list(net.parameters())
    u = [torch.randn_like(param) for param in params]
    exact = exact_product(train_loss, params, alpha, u)
    original = [param.detach().clone() for param in params]
    errors = []
    for radius in (0.4, 0.2, 0.1):
        monkeypatch.setattr(second_order, "RADIUS", radius)
        (found,) = hessian_vector_product(train_loss, params, [alpha], original, u)
        errors.append((found - exact).norm().item() / exact.norm().item())
    assert errors[2] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15) and errors[1] / errors[2] == pytest.approx(4, rel=0.15)


def test_whole_gradient_equals_exact_differentiation_through_the_virtual_step():
    net, alpha, (train_loss, valid_loss) = smooth_problem()
    params, xi, momentum, decay = list(net.parameters()), 0.05, 0.9, 5e-4
    velocity = [torch.randn_like(param) * 0.01 for param in params]
    before = [param.detach().clone() for param in params]

    gradient = torch.autograd.grad(train_loss(), params, create_graph=True)
    moved = [w - xi * (momentum * v + g + decay * w) for w, v, g in zip(params, velocity, gradient, strict=True)]
    virtual = dict(zip([name for name, _ in net.named_parameters()], moved, strict=True))
    x_valid = valid_loss.__defaults__[0]
    logits = torch.func.functional_call(net, virtual, (x_valid, alpha))
    (exact,) = torch.autograd.grad(F.cross_entropy(logits, torch.arange(20) % 3), alpha)

    step = VirtualStep(xi, momentum, decay, velocity)
    (found,), _ = second_order_gradient(train_loss, valid_loss, params, [alpha], step)
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-8)
    for param, original in zip(params, before, strict=True):
        assert torch.equal(param, original)     # put back exactly, not by adding what was subtracted


def test_product_through_the_real_supernet(monkeypatch):
    """Double differentiation of our own operations agrees with the difference, taken finely: at DARTS' own radius a
    network of this size crosses many kinks of ReLU."""
    monkeypatch.setattr(second_order, "RADIUS", 1e-6)
    torch.manual_seed(0)
    supernet = NASBench201(2, 1).supernet(3).double()
    alpha = nn.Parameter(1e-3 * torch.randn(6, 5, dtype=torch.float64))
    x, y = torch.randn(12, 3, 8, 8, dtype=torch.float64), torch.arange(12) % 3
    params = list(supernet.parameters())

    def train_loss():
        return F.cross_entropy(supernet(x, {"cell": soft_mixture(alpha)}), y)

    gradient = torch.autograd.grad(train_loss(), params)
    u = [g.clone() for g in gradient]
    exact = exact_product(train_loss, params, alpha, u)
    (found,) = hessian_vector_product(train_loss, params, [alpha], [param.detach().clone() for param in params], u)
    assert torch.cosine_similarity(found.flatten(), exact.flatten(), dim=0) > 0.9999
    assert found.norm().item() == pytest.approx(exact.norm().item(), rel=0.01)


def test_no_direction_gives_no_product():
    alpha, w, train_loss, _ = toy(2, -2)
    (product,) = hessian_vector_product(train_loss, [w], [alpha], [w.detach().clone()], [torch.zeros_like(w)])
    assert product.item() == 0
