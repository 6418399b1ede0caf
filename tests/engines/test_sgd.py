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


def test_the_oldest_pytorch_is_enough_and_a_graph_that_is_still_to_go_back_notices_a_step(monkeypatch):
    count = torch.autograd.graph.increment_version

    def one_tensor(changed: torch.Tensor) -> None:
        assert isinstance(changed, torch.Tensor)        # PyTorch 2.4 takes no list of them
        count(changed)

    monkeypatch.delattr(nn.utils, "get_total_norm", raising=False)      # nor has it this
    monkeypatch.setattr(torch.autograd.graph, "increment_version", one_tensor)
    param = nn.Parameter(torch.ones(8))
    (param * param).sum().backward(retain_graph=True)
    later = (param * param).sum()
    optimizer = SGD.taking_over(torch.optim.SGD([param], 0.1, momentum=0.9))
    torch.testing.assert_close(optimizer.clip_grad_norm_([param], 1.0), torch.tensor(32.0).sqrt())
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        later.backward()


def clipped(optimizer: torch.optim.SGD, params: list, *limits: float) -> list[torch.Tensor]:
    clip = getattr(optimizer, "clip_grad_norm_", nn.utils.clip_grad_norm_)
    return [clip(params, limit) for limit in limits]


# Of each step its limits, and whether an interrupt comes before the step itself.
CLIPPINGS = {"far": [(0.5,)], "not reached": [(1e6,)], "one step only": [(0.5,), (), (0.5,)],
             "twice": [(0.5, 1e6), (1e6, 0.5)],
             "interrupted": [(0.5, "stop"), ()], "interrupted, then again": [(0.5, "stop"), (1e6,), ()]}


def clip_as(name: str, factor: float = 1.0, set_to_none: bool = True, default: torch.dtype = torch.float32) -> None:
    """Compares norms, parameters and momentum with PyTorch's. factor: of gradients. default: PyTorch's default type."""
    nets = network(), network()
    params, others = (list(net.parameters()) for net in nets)
    given = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}
    ours, plain = SGD.taking_over(torch.optim.SGD(params, **given)), torch.optim.SGD(others, **given)
    torch.set_default_dtype(default)
    try:
        for step, limits in enumerate(CLIPPINGS[name]):
            generator = torch.Generator().manual_seed(step)
            for place, (param, other) in enumerate(zip(params, others, strict=True)):
                if step and place == 1:
                    continue        # not reached: None, or zeros
                grad = factor * torch.randn(param.shape, generator=generator, dtype=torch.float32)
                param.grad = grad.contiguous(memory_format=torch.channels_last) if param.dim() == 4 else grad
                other.grad = param.grad.clone()
            numbers = [limit for limit in limits if limit != "stop"]
            pairs = [clipped(ours, params, *numbers), clipped(plain, others, *numbers)]
            torch.testing.assert_close(*pairs, equal_nan=True)
            if "stop" not in limits:
                ours.step(), plain.step()
            ours.zero_grad(set_to_none), plain.zero_grad(set_to_none)
            velocities = ([optimizer.state[one].get("momentum_buffer") for one in own if one in optimizer.state]
                          for optimizer, own in ((ours, params), (plain, others)))
            torch.testing.assert_close(*([one.detach() for one in own] for own in (params, others)), equal_nan=True)
            torch.testing.assert_close(*velocities, equal_nan=True)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("factor", [1.0, 0.0, float("nan")])
@pytest.mark.parametrize("name", CLIPPINGS)
def test_clipping_equals_pytorchs(name, factor, set_to_none):
    clip_as(name, factor, set_to_none)


def test_another_default_type_changes_nothing():
    clip_as("far", default=torch.float64)


def with_rows(change) -> tuple[str, object]:
    """What is launched, changed: rows of weights, gradients, velocities, length, settings (addresses; bytes)."""
    from gdas_lite.engines.cpu.compiled import launch
    run = launch.launch
    return "gdas_lite.engines.cpu.compiled.launch.launch", lambda kind, images, rows: run(kind, images, change(rows))


def settings_of(row: tuple) -> torch.Tensor:
    import ctypes
    return torch.frombuffer((ctypes.c_float * 5).from_address(row[4]), dtype=torch.float32)


def without_setting(place: int, instead: float) -> object:
    def change(rows: list) -> list:
        settings_of(rows[0])[place] = instead
        return rows
    return change


FAULTS = {      # of the optimiser's launch, with a clipping that shows it
    "a parameter left out": (with_rows, lambda rows: rows[:-1], "far"),
    "the rest behind whole vectors left out": (
        with_rows, lambda rows: [(*row[:3], row[3] // 64 * 64, row[4]) for row in rows], "far"),
    "a gradient taken for none": (with_rows, lambda rows: [(row[0], 0, *row[2:]) for row in rows], "far"),
    "weight and momentum exchanged": (
        with_rows, lambda rows: [(row[2], row[1], row[0], *row[3:]) for row in rows], "far"),
    "without weight decay": (with_rows, without_setting(0, 0.0), "far"),
    "without momentum": (with_rows, without_setting(1, 0.0), "one step only"),
    "without Nesterov's look ahead": (with_rows, without_setting(2, 0.0), "far"),
    "without the velocity": (with_rows, without_setting(3, 0.0), "far"),
    "not scaled": (with_rows, without_setting(4, 1.0), "far"),
    "launched twice": (with_rows, lambda rows: [*rows, *rows], "far"),
    "a clipping that outlives its step": (
        lambda step: ("gdas_lite.engines.cpu.sgd.SGD.step", step), SGD.step, "one step only"),
    "a clipping that outlives an interrupt": (
        lambda zero: ("gdas_lite.engines.cpu.sgd.SGD.zero_grad", zero), torch.optim.SGD.zero_grad, "interrupted"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_launch_is_noticed(name, monkeypatch):
    plant, change, clipping = FAULTS[name]
    clip_as(clipping)
    if name == "a clipping that outlives its step":
        def step(self):
            kept = self._scale
            change(self)
            self._scale = kept
        monkeypatch.setattr(*plant(step))
        monkeypatch.setattr("gdas_lite.engines.cpu.sgd.SGD.zero_grad", torch.optim.SGD.zero_grad)
    else:
        monkeypatch.setattr(*plant(change))
    with pytest.raises(AssertionError):
        clip_as(clipping)


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


def test_gradients_that_a_plain_step_took_away_do_not_come_back_as_zeros():
    """The size of a batch decides within a step, after its gradients were taken away."""
    param, pays = nn.Parameter(torch.ones(8)), True
    optimizer = SGD.taking_over(torch.optim.SGD([param], 0.1, momentum=0.9, weight_decay=0.1), lambda: pays)
    param.grad = torch.ones(8)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    before, pays = param.detach().clone(), False
    optimizer.zero_grad()
    pays = True
    optimizer.step()
    assert torch.equal(param, before)


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
