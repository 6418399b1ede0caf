"""Candidates against PyTorch's own functions, in value and in every gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gdas_lite.engines.layers.cells import Node
from gdas_lite.engines.layers.convolutions import weighted_norm
from gdas_lite.spaces.operations import (
    AvgPool3x3,
    Identity,
    LayerStyle,
    NodeValue,
    ReLUConvBN,
    Zero,
    nasbench201_operation,
)


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_average(x: torch.Tensor) -> torch.Tensor:
    """Mean over the pixels of the 3x3 neighbourhood that lie inside the image, pixel by pixel."""
    height, width = x.shape[2:]
    rows = [[x[:, :, max(0, i - 1):i + 2, max(0, j - 1):j + 2].mean((2, 3)) for j in range(width)] for i in range(height)]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def gradients(output: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    direction = maps(*output.shape, seed=9)
    return list(torch.autograd.grad((output * direction).sum(), inputs, create_graph=True))


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (5, 7), (8, 8)])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("node", [NodeValue, Node])
def test_average_pooling_equals_the_slow_mean_in_value_and_gradients(size, channels_last, node):
    x = maps(2, 3, *size)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    ours, slow = node(x).through(AvgPool3x3(), weight), weight * slow_average(x)
    torch.testing.assert_close(ours, slow)
    for a, b in zip(gradients(ours, x, weight), gradients(slow, x, weight), strict=True):
        torch.testing.assert_close(a, b)
    pooled = node(x).through(AvgPool3x3())
    torch.testing.assert_close(pooled, slow_average(x))
    torch.testing.assert_close(gradients(pooled, x)[0], gradients(slow_average(x), x)[0])


@pytest.mark.parametrize("track", [False, True])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(("kind", "of_weight"), [
    (torch.float64, torch.float64), (torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_weighted_batch_norm_is_the_product_and_leaves_the_same_estimates(track, mode, kind, of_weight):
    """A mixture's weights may be of another type than the maps: that of alpha, or of an algorithm of one's own."""
    ours, theirs = (torch.nn.BatchNorm2d(3, affine=False, track_running_stats=track).to(kind) for _ in range(2))
    x = maps(4, 3, 5, 5).to(kind).requires_grad_()
    weight = torch.tensor(0.3, dtype=of_weight, requires_grad=True)
    for norm in (ours, theirs):
        getattr(norm, mode)()
    a, b = weighted_norm(ours, x, weight), weight * theirs(x)
    near = {"rtol": 1e-7, "atol": 1e-7} if kind == of_weight else {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(a, b, **near)
    for one, other in zip(gradients(a, x, weight), gradients(b, x, weight), strict=True):
        torch.testing.assert_close(one, other, **near)
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_affine_batch_norm_takes_a_weight_too():
    norm = torch.nn.BatchNorm2d(3).double()
    x = maps(4, 3, 5, 5)
    torch.testing.assert_close(weighted_norm(norm, x, torch.tensor(2.0)), 2 * torch.nn.BatchNorm2d(3).double()(x))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("node", [NodeValue, Node])
def test_convolution_equals_relu_conv_norm(kernel, node):
    op = ReLUConvBN(4, 4, kernel, LayerStyle(affine=False, bias=True, track_running_stats=False)).double()
    x = maps(3, 4, 6, 6).requires_grad_()
    weight = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    z = F.conv2d(x.clamp_min(0), op.conv.weight, op.conv.bias, padding=kernel // 2)
    mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), unbiased=False, keepdim=True)
    slow = weight * (z - mean) / (variance + 1e-5).sqrt()
    ours = node(x).through(op, weight)
    torch.testing.assert_close(ours, slow)
    inputs = (x, weight, op.conv.weight)
    for a, b in zip(gradients(ours, *inputs), gradients(slow, *inputs), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("node", [NodeValue, Node])
def test_identity_with_and_without_a_weight(node):
    x = maps(2, 3, 4, 4).requires_grad_()
    weight = torch.tensor(-0.5, dtype=torch.float64, requires_grad=True)
    assert node(x).through(Identity()) is x
    ours = node(x).through(Identity(), weight)
    torch.testing.assert_close(ours, x * weight)
    grad_x, grad_weight = gradients(ours, x, weight)
    direction = maps(2, 3, 4, 4, seed=9)
    torch.testing.assert_close(grad_x, direction * weight)
    torch.testing.assert_close(grad_weight, (direction * x).sum())


def test_candidates_by_name():
    assert isinstance(nasbench201_operation("none", 4, LayerStyle()), Zero)
    with pytest.raises(KeyError, match="unknown operation 'conv'"):
        nasbench201_operation("conv", 4, LayerStyle())


@pytest.mark.parametrize("kernel", [1, 3])
def test_zeros_stay_zero_under_batch_statistics(kernel):
    """In value and gradient, exactly, layer after layer; the bias, which batch norm takes off again, has the gradient 0."""
    style = LayerStyle(affine=False, bias=True, track_running_stats=False)
    ops = [ReLUConvBN(4, 4, kernel, style) for _ in range(3)]
    x = torch.zeros(3, 4, 6, 6, requires_grad=True)
    out = ops[2](ops[1](ops[0](x)))
    out.backward(torch.randn(out.shape))
    assert out.abs().max() == 0 and x.grad.abs().max() == 0
    assert all(op.conv.bias.grad.abs().max() == 0 for op in ops)
    kept = ReLUConvBN(4, 4, kernel, LayerStyle(affine=False, bias=True))
    kept(torch.zeros(3, 4, 6, 6))
    torch.testing.assert_close(kept.norm.running_mean, 0.1 * kept.conv.bias.detach())      # with running estimates it stays
