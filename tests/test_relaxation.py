"""alpha -> Mixture, against the test vectors of GDAS and slow formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gdas_lite.relaxation import (
    fixed_mixture,
    gumbel_mixture,
    hard_gumbel,
    linear_tau,
    sample_gumbel,
    soft_mixture,
    uniform_mixture,
)

ALPHA = torch.tensor([[0.1, -0.2, 0.3, 0.0, 0.05]], dtype=torch.float64)
GUMBEL = torch.tensor([[0.5, -0.1, 0.2, 1.0, -0.3]], dtype=torch.float64)
OUTPUTS = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)      # scalar operation outputs


def slow_soft_sample(tau: float) -> list[float]:
    """softmax((alpha + gumbel) / tau), number by number."""
    raised = [math.exp((a + g) / tau) for a, g in zip(ALPHA[0].tolist(), GUMBEL[0].tolist(), strict=True)]
    return [value / sum(raised) for value in raised]


@pytest.mark.parametrize("tau, printed", [
    (10, [0.20562152, 0.18792392, 0.20357556, 0.21401310, 0.18886590]),
    (1, [0.23637048, 0.09610107, 0.21387686, 0.35262332, 0.10102827]),
    (0.1, [0.01786788, 2.21e-6, 0.00657322, 0.97555306, 3.64e-6]),
])
@pytest.mark.parametrize("variant, factor", [("P", 1.0), ("N", 0.75)])
def test_gradient_of_both_variants_equals_the_test_vector(tau, printed, variant, factor):
    """dL/dalpha_m = (1/tau) p_idx (delta - p_m) S with S_P = op(x) = 4 and S_N = op(x) - 1 = 3; idx = 3."""
    p = slow_soft_sample(tau)
    assert p == pytest.approx(printed, abs=5e-9)
    expected = [4 * factor / tau * p[3] * ((m == 3) - p[m]) for m in range(5)]

    alpha = ALPHA.clone().requires_grad_()
    sample = hard_gumbel(alpha, tau, GUMBEL)
    assert sample.tolist() == [[0, 0, 0, 1, 0]]
    edge = sample[0, 3] * OUTPUTS[3]
    if variant == "N":
        edge = edge + sample[0, [0, 1, 2, 4]].sum()
    assert edge.item() == 4
    (gradient,) = torch.autograd.grad(edge, alpha)
    assert gradient[0].tolist() == pytest.approx(expected, rel=0, abs=1e-12)
    assert abs(gradient.sum().item()) < 1e-12


def test_tau_changes_the_gradient_and_never_who_is_drawn():
    generator = torch.Generator().manual_seed(1)
    alpha = torch.randn(200, 5, generator=generator)
    gumbel = sample_gumbel((200, 5), generator)
    drawn = [hard_gumbel(alpha, tau, gumbel).argmax(-1) for tau in (10.0, 1.0, 0.1)]
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[1], drawn[2])
    assert torch.equal(drawn[0], (alpha + gumbel).argmax(-1))


def test_sampled_candidates_follow_softmax_of_alpha():
    alpha = torch.tensor([[1.0, 0.0, -1.0]]).expand(20000, 3)
    mixture = gumbel_mixture(alpha, 0.5, torch.Generator().manual_seed(3))
    counts = np.bincount([columns[0] for columns in mixture.active], minlength=3) / 20000
    expected = np.exp([1, 0, -1]) / np.exp([1, 0, -1]).sum()
    assert counts == pytest.approx(expected, abs=0.012)    # three standard errors


def test_gumbel_noise_has_the_moments_of_the_gumbel_distribution():
    noise = sample_gumbel((200_000,), torch.Generator().manual_seed(0), torch.float64)
    assert noise.mean().item() == pytest.approx(0.5772156649, abs=0.009)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.03)


def test_value_of_a_hard_sample_is_exactly_one_hot():
    generator = torch.Generator().manual_seed(5)
    for tau in (10.0, 0.37, 0.1):
        sample = hard_gumbel(torch.randn(50, 8, generator=generator), tau, sample_gumbel((50, 8), generator))
        assert set(sample.unique().tolist()) == {0.0, 1.0}
        assert sample.sum(-1).tolist() == [1.0] * 50


def test_soft_mixture_is_the_softmax_and_runs_everything():
    mixture = soft_mixture(ALPHA)
    raised = [math.exp(a) for a in ALPHA[0].tolist()]
    assert mixture.weights[0].tolist() == pytest.approx([value / sum(raised) for value in raised], abs=1e-15)
    assert mixture.active == ((0, 1, 2, 3, 4),) and not mixture.is_hard


def test_undrawn_scalars_exist_in_variant_n_only_and_are_zero():
    alpha = torch.zeros(3, 4, requires_grad=True)
    for variant, expected in (("N", 0.0), ("P", None)):
        mixture = gumbel_mixture(alpha, 1.0, torch.Generator().manual_seed(0), variant)
        scalar = mixture.unsampled([0, 2])
        assert scalar is None if expected is None else scalar.item() == expected
    constant = gumbel_mixture(alpha.detach(), 1.0, torch.Generator().manual_seed(0), "N")
    assert constant.unsampled([0, 2]) is None and constant.weight(0, constant.active[0][0]) is None


def test_a_weight_is_left_out_only_where_it_is_one_and_nobody_asks_its_gradient():
    alpha = ALPHA.clone().requires_grad_()
    for asked in (alpha, ALPHA):        # without a gradient, as in DARTS' weight step, each output is weighted all the same
        assert soft_mixture(asked).weight(0, 2).item() == ALPHA.softmax(-1)[0, 2].item()
    drawn = gumbel_mixture(alpha, 1.0, torch.Generator().manual_seed(0))
    assert drawn.weight(0, drawn.active[0][0]).item() == 1 and drawn.weight(0, drawn.active[0][0]).requires_grad
    assert gumbel_mixture(ALPHA, 1.0, torch.Generator().manual_seed(0)).weight(0, drawn.active[0][0]) is None


def test_a_draw_whose_noise_is_infinite_is_drawn_again(monkeypatch):
    noises = [torch.full_like(ALPHA, math.inf), torch.full_like(ALPHA, math.nan), GUMBEL]
    monkeypatch.setattr("gdas_lite.relaxation.sample_gumbel", lambda *_: noises.pop(0))
    assert gumbel_mixture(ALPHA, 1.0, torch.Generator()).active == ((3,),) and not noises


def test_uniform_mixture_draws_every_candidate_equally_often():
    mixture = uniform_mixture((20000, 5), torch.Generator().manual_seed(2))
    counts = np.bincount([columns[0] for columns in mixture.active], minlength=5)
    assert counts / 20000 == pytest.approx(np.full(5, 0.2), abs=0.009)
    assert mixture.weights.sum(-1).tolist() == [1.0] * 20000


def test_same_seed_same_draw():
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    a, b, c = (gumbel_mixture(alpha, 2.0, torch.Generator().manual_seed(seed)).active for seed in (7, 7, 8))
    assert a == b != c


def test_linear_tau_reaches_both_ends():
    values = {epoch: linear_tau(10, 0.1, epoch, 250) for epoch in (0, 1, 125, 249)}
    assert values == pytest.approx({0: 10.0, 1: 9.9602410, 125: 5.0301205, 249: 0.1}, abs=5e-8)
    assert linear_tau(10, 0.1, 0, 1) == 10


@pytest.mark.parametrize("tau", [0, -1.0, float("nan"), float("inf")])
def test_bad_temperature_is_refused(tau):
    with pytest.raises(ValueError, match="tau must be a finite number > 0"):
        hard_gumbel(ALPHA, tau, GUMBEL)
    with pytest.raises(ValueError, match="tau must be a finite number > 0"):
        linear_tau(10, tau, 0, 5)
    with pytest.raises(ValueError, match="tau must be a finite number > 0"):
        linear_tau(tau, 0.1, 0, 5)


def test_other_bad_input_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="draw one number for each entry"):
        hard_gumbel(ALPHA, 1.0, GUMBEL[:, :3])
    with pytest.raises(ValueError, match="variant must be 'P' or 'N'"):
        gumbel_mixture(ALPHA, 1.0, torch.Generator(), "Q")
    with pytest.raises(FloatingPointError, match="alpha holds NaN"):
        gumbel_mixture(ALPHA * float("nan"), 1.0, torch.Generator())
    with pytest.raises(ValueError, match="candidate 5 does not exist"):
        fixed_mixture([0, 5], 5)
    with pytest.raises(ValueError, match="candidate -1 does not exist"):
        fixed_mixture([0, -1], 5)
    with pytest.raises(ValueError, match=r"epoch must be in 0\.\.4"):
        linear_tau(10, 1, 5, 5)


def test_noise_is_drawn_on_the_cpu_whatever_the_default_device_is():
    """There the seed means the same; a generator of the CPU cannot draw elsewhere."""
    def drawn() -> list[object]:
        chance = torch.Generator().manual_seed(3)
        mixture = gumbel_mixture(ALPHA, 1.0, chance)
        return [sample_gumbel((2, 3), chance).tolist(), mixture.active, uniform_mixture((6, 5), chance).active]

    expected = drawn()
    with torch.device("meta"):
        assert drawn() == expected
