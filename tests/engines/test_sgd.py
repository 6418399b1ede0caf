"""The compiled SGD step against torch.optim.SGD."""

from __future__ import annotations

import pytest
import torch
from torch import nn

pytest.importorskip("numba", reason="the fused engine needs numba: the extra `fast`")

from gdas_lite.engines.cpu.sgd import SGD


def network() -> nn.ModuleList:
    """Weights of every layout that a supernet has, one with a number of elements that is no multiple of eight."""
    torch.manual_seed(0)
    return nn.ModuleList([nn.Conv2d(16, 24, 3), nn.Conv2d(24, 24, 1), nn.Conv2d(24, 24, 5, groups=24, bias=False),
                          nn.Linear(24, 10)]).to(memory_format=torch.channels_last)


def run(is_compiled: bool, set_to_none: bool, **settings) -> tuple[list, list]:
    """Five steps, each with another half of the parameters reached; gradients in either memory order."""
    net = network()
    params = list(net.parameters())
    optimizer = torch.optim.SGD(params, 0.1, **settings)
    if is_compiled:
        optimizer = SGD.taking_over(optimizer)
    generator = torch.Generator().manual_seed(1)
    for step in range(5):
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
        optimizer.zero_grad(set_to_none)
        for index, param in enumerate(params[:-1]):         # one is never reached
            grad = torch.randn(param.shape, generator=generator)
            if param.dim() == 4 and step % 3 == 0:
                grad = grad.contiguous(memory_format=torch.channels_last)
            if (index + step) % 2:
                param.grad = grad if param.grad is None else param.grad + grad
        optimizer.step()
    return params, [optimizer.state[param].get("momentum_buffer") if param in optimizer.state else None for param in params]


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("settings", [
    {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}, {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.0, "weight_decay": 0.1}, {"momentum": 0.5, "dampening": 0.3}])
def test_compiled_steps_equal_pytorchs(settings, set_to_none):
    found, velocities = run(True, set_to_none, **settings)
    expected, others = run(False, set_to_none, **settings)
    torch.testing.assert_close([param.detach() for param in found], [param.detach() for param in expected])
    assert [velocity is None for velocity in velocities] == [velocity is None for velocity in others]
    for one, other in zip(velocities, others, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_clipping_equals_pytorchs_and_scales_one_step_only(limit):
    nets = network(), network()
    params, others = (list(net.parameters()) for net in nets)
    given = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    ours, plain = SGD.taking_over(torch.optim.SGD(params, **given)), torch.optim.SGD(others, **given)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        for param, other in zip(params, others, strict=True):
            param.grad = torch.randn(param.shape, generator=generator).contiguous(
                memory_format=torch.channels_last if param.dim() == 4 else torch.contiguous_format)
            other.grad = param.grad.clone()
        if step != 1:
            assert torch.equal(ours.clip_grad_norm_(params, limit), nn.utils.clip_grad_norm_(others, limit))
        ours.step(), plain.step()
        torch.testing.assert_close(params, others)


def test_where_it_does_not_pay_the_step_is_pytorchs_bit_for_bit():
    nets, pays = (network(), network()), False
    params, others = (list(net.parameters()) for net in nets)
    ours = SGD.taking_over(torch.optim.SGD(params, 0.1, momentum=0.9), lambda: pays)
    plain = torch.optim.SGD(others, 0.1, momentum=0.9)
    for _ in range(2):
        for param, other in zip(params, others, strict=True):
            param.grad, other.grad = torch.ones_like(param), torch.ones_like(other)
        for sgd, own in ((ours, params), (plain, others)):
            getattr(sgd, "clip_grad_norm_", nn.utils.clip_grad_norm_)(own, 0.5)
            sgd.step()
        assert all(map(torch.equal, params, others))


def test_a_step_that_skips_leaves_what_was_not_reached_alone():
    param = nn.Parameter(torch.ones(8))
    optimizer = SGD([param], 0.1, momentum=0.9, weight_decay=0.1)
    param.grad = torch.ones(8)
    optimizer.step()
    before = param.detach().clone()
    optimizer.zero_grad(set_to_none=True)
    optimizer.step()
    assert torch.equal(param, before)
    param.grad = torch.zeros(8)
    optimizer.zero_grad(set_to_none=False)
    assert param.grad is None
    optimizer.step()                                            # as with a gradient of zeros
    assert not torch.equal(param, before)


@pytest.mark.parametrize("restored", ["before", "after"])
def test_momentum_of_a_checkpoint_is_taken_over_whether_it_is_restored_before_or_after(restored):
    first, second = (nn.Parameter(torch.ones(16)) for _ in range(2))
    given, other = torch.optim.SGD([first], 0.1, momentum=0.9), torch.optim.SGD([second], 0.1, momentum=0.9)
    taken = SGD.taking_over(given) if restored == "after" else None
    for optimizer, param in ((taken or given, first), (other, second)):
        optimizer.state[param] = {"momentum_buffer": torch.full((16,), 2.0)}
        param.grad = torch.ones(16)
    taken = taken or SGD.taking_over(given)
    assert taken.state is given.state and taken.param_groups[0] is given.param_groups[0]
    taken.step(), other.step()
    torch.testing.assert_close(first, second)
