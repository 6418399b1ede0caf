"""Candidates against PyTorch's own functions, in value and in every gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gdas_lite.spaces.operations import (
    AvgPool3x3,
    Identity,
    ReLUConvBN,
    WeightedBatchNorm2d,
    box_sum,
    inverse_counts,
    nasbench201_candidate,
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
def test_average_pooling_equals_the_slow_mean_in_value_and_gradients(size, channels_last):
    x = maps(2, 3, *size)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    ours, slow = AvgPool3x3()(x, weight), weight * slow_average(x)
    torch.testing.assert_close(ours, slow)
    for a, b in zip(gradients(ours, x, weight), gradients(slow, x, weight), strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(AvgPool3x3()(x), slow_average(x))
    torch.testing.assert_close(gradients(AvgPool3x3()(x), x)[0], gradients(slow_average(x), x)[0])


def test_average_pooling_equals_pytorchs_at_real_sizes():
    x = torch.randn(8, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(AvgPool3x3()(x), expected, rtol=1e-5, atol=1e-6)


def test_box_sum_is_its_own_adjoint():
    x, y = maps(1, 2, 6, 5), maps(1, 2, 6, 5, seed=1)
    torch.testing.assert_close((box_sum(x) * y).sum(), (x * box_sum(y)).sum())


def test_inverse_counts_at_corner_border_and_inside():
    counts = 1 / inverse_counts(maps(1, 1, 4, 4))[0, 0]
    assert counts.round().tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]


@pytest.mark.parametrize("track", [False, True])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_weighted_batch_norm_is_the_product_and_leaves_the_same_estimates(track, mode):
    ours, theirs = (WeightedBatchNorm2d(3, affine=False, track_running_stats=track).double() for _ in range(2))
    x = maps(4, 3, 5, 5).requires_grad_()
    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    for norm in (ours, theirs):
        getattr(norm, mode)()
    a, b = ours(x, weight), weight * theirs(x)
    torch.testing.assert_close(a, b)
    for one, other in zip(gradients(a, x, weight), gradients(b, x, weight), strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_affine_batch_norm_takes_a_weight_too():
    norm = WeightedBatchNorm2d(3).double()
    x = maps(4, 3, 5, 5)
    torch.testing.assert_close(norm(x, torch.tensor(2.0)), 2 * torch.nn.BatchNorm2d(3).double()(x))


@pytest.mark.parametrize("kernel", [1, 3])
def test_convolution_equals_relu_conv_norm_and_shares_its_relu(kernel):
    op = ReLUConvBN(4, 4, kernel, affine=False, track_running_stats=False).double()
    x = maps(3, 4, 6, 6).requires_grad_()
    weight = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    z = F.conv2d(x.clamp_min(0), op.conv.weight, op.conv.bias, padding=kernel // 2)
    mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), unbiased=False, keepdim=True)
    slow = weight * (z - mean) / (variance + 1e-5).sqrt()
    ours = op.from_rectified(F.relu(x), weight)
    torch.testing.assert_close(ours, slow)
    inputs = (x, weight, op.conv.weight)
    for a, b in zip(gradients(ours, *inputs), gradients(slow, *inputs), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.equal(op(x, weight), ours)


def test_identity_with_and_without_a_weight():
    x = maps(2, 3, 4, 4).requires_grad_()
    weight = torch.tensor(-0.5, dtype=torch.float64, requires_grad=True)
    assert Identity()(x) is x
    ours = Identity()(x, weight)
    torch.testing.assert_close(ours, x * weight)
    grad_x, grad_weight = gradients(ours, x, weight)
    direction = maps(2, 3, 4, 4, seed=9)
    torch.testing.assert_close(grad_x, direction * weight)
    torch.testing.assert_close(grad_weight, (direction * x).sum())


def test_every_custom_gradient_passes_pytorchs_numerical_check():
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x = maps(2, 2, 3, 4).requires_grad_()
    for op in (AvgPool3x3(), Identity()):
        assert torch.autograd.gradcheck(op, (x, weight))
        assert torch.autograd.gradgradcheck(op, (x, weight))     # second-order tests differentiate twice


def test_candidates_by_name():
    assert nasbench201_candidate("none", 4, affine=False, track_running_stats=False) is None
    with pytest.raises(KeyError, match="unknown operation 'conv'"):
        nasbench201_candidate("conv", 4, affine=True, track_running_stats=True)
