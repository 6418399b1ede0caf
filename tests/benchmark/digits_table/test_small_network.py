"""The compiled loops against PyTorch: one network, the same weights, the same images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gdas_lite as gl

pytest.importorskip("numba", reason="the ground truth of the digits is computed by numba (extra `fast`)")

from benchmarks.digits_table.small_network import SmallNetwork

CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|nor_conv_1x1~0|+|avg_pool_3x3~0|skip_connect~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|",
    "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",       # a node that nothing reaches
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",                       # an edge that leads nowhere
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)


def build(text: str, channels: int, cells_per_stage: int, seed: int = 0):
    torch.manual_seed(seed)
    network = gl.network(gl.NASBench201Genotype.parse(text), channels, cells_per_stage, 10, 1)
    for module in network.modules():            # scales and shifts that are not 1 and 0
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return network


def images(count: int, side: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, side, side, generator=generator)
    y = torch.randint(10, (count,), generator=generator)
    return x, y, np.ascontiguousarray(x.permute(1, 2, 3, 0).reshape(-1, count).numpy())


def loss_and_gradient(network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, np.ndarray]:
    """Of all weights, one after the other, in the network's precision."""
    loss = F.cross_entropy(network(x), y)
    slopes = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    return loss.item(), np.concatenate([np.zeros(param.numel()) if slope is None else slope.numpy().reshape(-1)
                                        for param, slope in zip(network.parameters(), slopes, strict=True)])


def is_smooth(exact: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether no ReLU is so near its kink that rounding to float32 can switch it: then gradients of float32 and double differ by
    whole terms, and which ReLU that is depends on the processor."""
    _, gradient = loss_and_gradient(exact, x, y)
    generator = torch.Generator().manual_seed(0)
    moved = (x * (1 + 1e-5 * torch.randn(x.shape, generator=generator, dtype=x.dtype)) for _ in range(4))
    return all(np.abs(loss_and_gradient(exact, other, y)[1] - gradient).max() < 5e-3 * np.abs(gradient).max() for other in moved)


@pytest.mark.parametrize("text", CELLS)
@pytest.mark.parametrize(("channels", "cells_per_stage", "side", "count"), [(4, 1, 8, 7), (2, 2, 8, 33), (8, 1, 12, 5)])
def test_loss_and_every_gradient_are_those_of_pytorch(text, channels, cells_per_stage, side, count):
    network = build(text, channels, cells_per_stage)
    small = SmallNetwork(network, side)
    exact = network.double()
    drawn = (images(count, side, seed) for seed in range(1, 30))
    x, y, flat = next((x, y, flat) for x, y, flat in drawn if is_smooth(exact, x.double(), y))
    loss, wanted = loss_and_gradient(exact, x.double(), y)
    assert small.step(flat, y.numpy(), 0.0, 0.9, 0.0) / count == pytest.approx(loss, rel=2e-5)
    assert np.abs(small.gradient - wanted).max() < 2e-5 * np.abs(wanted).max()
    assert np.abs(wanted).max() > 0


@pytest.mark.parametrize("text", CELLS[:3])
def test_three_steps_and_the_running_estimates_follow_sgd(text):
    network = build(text, 4, 1)
    small = SmallNetwork(network, 8)
    network.double().train()
    sgd = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=0.01)
    for seed in range(3):
        x, y, flat = images(16, 8, seed)
        sgd.zero_grad()
        F.cross_entropy(network(x.double()), y).backward()
        sgd.step()
        small.step(flat, y.numpy(), 0.05, 0.9, 0.01)
    weights = np.concatenate([p.detach().numpy().reshape(-1) for p in network.parameters()])
    assert np.abs(small.theta - weights).max() < 1e-3
    x, y, flat = images(50, 8, 9)
    network.eval()
    with torch.no_grad():
        answers = (network(x.double()).argmax(1) == y).sum().item()
    assert abs(small.correct(flat, y.numpy()) - answers) <= 1           # a tie within rounding
    assert small.correct(flat, y.numpy()) == small.correct(flat, y.numpy())


def test_batches_of_another_size_train_the_same_weights():
    small = SmallNetwork(build(CELLS[1], 4, 1), 8)
    before = small.theta.copy()
    for count in (8, 5, 8):
        _, y, flat = images(count, 8, count)
        small.step(flat, y.numpy(), 0.1, 0.9, 0.0)
    assert np.isfinite(small.theta).all()
    assert not np.array_equal(small.theta, before)


@pytest.mark.parametrize("side", [0, 2, 6, 9])
def test_an_image_that_cannot_be_halved_twice_is_refused(side):
    with pytest.raises(ValueError, match="multiple of 4"):
        SmallNetwork(build(CELLS[0], 4, 1), side)
