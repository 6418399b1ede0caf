"""Depth-wise convolution: values and both gradients against PyTorch's own and against the sum over taps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.engines.layers.convolutions import columns_as_channels, depthwise, fill_up, rows_as_batch
from gdas_lite.spaces.operations import depthwise_conv
from tests.spaces.slow_nasnet import slow_conv

GEOMETRIES = [(kernel, stride, dilation) for kernel in (3, 5, 7) for stride in (1, 2) for dilation in (1, 2)]

OTHERS = [(1, 1, 1), (3, 1, 3), (5, 2, 3), (3, 3, 1), (3, 3, 2), (9, 2, 1), (9, 1, 2)]     # of no space of the kit


def maps(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=dtype, generator=generator).contiguous(memory_format=torch.channels_last)


def both_gradients(output: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad((output * maps(*output.shape, dtype=output.dtype, seed=9)).sum(), (x, weight))


@pytest.mark.parametrize("kernel, stride, dilation", [*GEOMETRIES, *OTHERS])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (8, 8), (9, 7)])
def test_equals_the_sum_over_taps_in_value_and_both_gradients(kernel, stride, dilation, size):
    conv = depthwise_conv(3, kernel, stride, dilation).double()
    x = maps(2, 3, *size).requires_grad_()
    ours = depthwise(conv, x)
    slow = slow_conv(x, conv.weight, (stride, stride), dilation, groups=3)
    torch.testing.assert_close(ours, slow)
    for a, b in zip(both_gradients(ours, x, conv.weight), both_gradients(slow, x, conv.weight), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kernel, stride, dilation", GEOMETRIES)
@pytest.mark.parametrize("channels, side", [(16, 32), (64, 8), (8, 4), (24, 2)])
def test_equals_pytorchs_layer_at_real_sizes_in_single_precision(kernel, stride, dilation, channels, side):
    """Single precision runs through oneDNN, whose routines depend on the size."""
    conv = depthwise_conv(channels, kernel, stride, dilation)
    x = maps(4, channels, side, side, dtype=torch.float32).requires_grad_()
    stock = F.conv2d(x, conv.weight, None, stride, conv.padding, dilation, groups=channels)
    ours = depthwise(conv, x)
    torch.testing.assert_close(ours, stock, rtol=1e-4, atol=1e-5)
    for a, b in zip(both_gradients(ours, x, conv.weight), both_gradients(stock, x, conv.weight), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_only_the_gradient_that_is_asked_for_is_computed():
    conv, x = depthwise_conv(2, 5).double(), maps(1, 2, 6, 6)
    depthwise(conv, x).sum().backward()
    assert conv.weight.grad is not None and x.grad is None
    conv.weight.grad = None
    x.requires_grad_()
    conv.weight.requires_grad_(False)
    depthwise(conv, x).sum().backward()
    assert conv.weight.grad is None and x.grad is not None


@pytest.mark.parametrize("contiguous", [True, False])
def test_memory_layout_of_input_and_gradient_does_not_matter(contiguous):
    conv, x = depthwise_conv(3, 3, 1, 2).double(), maps(2, 3, 6, 6)
    given = x.contiguous() if contiguous else x.transpose(2, 3).contiguous().transpose(2, 3)
    given.requires_grad_()
    torch.testing.assert_close(depthwise(conv, given), conv(x))
    given_gradient = torch.autograd.grad(depthwise(conv, given).flip(3).sum(), given)[0]
    torch.testing.assert_close(given_gradient, torch.autograd.grad(conv(x.requires_grad_()).flip(3).sum(), x)[0])


def test_autocast_takes_pytorchs_layer():
    conv, x = depthwise_conv(4, 3), maps(2, 4, 6, 6, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out = depthwise(conv, x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), conv(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kernel, stride, dilation", [(3, 1, 1), (5, 2, 1), (5, 1, 2), (5, 2, 2)])
def test_a_backward_pass_under_autocast_computes_in_the_type_of_the_forward_one(kernel, stride, dilation):
    conv, found = depthwise_conv(4, kernel, stride, dilation), []
    x = maps(2, 4, 8, 8, dtype=torch.float32).requires_grad_()
    for enabled in (False, True):
        out = depthwise(conv, x)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(torch.autograd.grad(out.square().sum(), (x, conv.weight)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("kernel, stride, dilation", GEOMETRIES)
def test_second_derivatives_are_pytorchs_in_any_layout_of_the_input(kernel, stride, dilation):
    conv, found = depthwise_conv(3, kernel, stride, dilation).double(), []
    for run in (depthwise, lambda conv, x: conv(x)):
        x = maps(2, 3, 6, 6).contiguous().requires_grad_()
        first = torch.autograd.grad(run(conv, x).sin().sum(), (x, conv.weight), create_graph=True)
        found.append(torch.autograd.grad(sum(one.square().sum() for one in first), (x, conv.weight)))
    for ours, stock in zip(*found, strict=True):
        torch.testing.assert_close(ours, stock)


class Doubled(nn.Conv2d):
    """Somebody's own."""

    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize("settings", [{"bias": True}, {"groups": 2}, {"groups": 1}, {"padding_mode": "replicate"},
                                      {"padding": 0}, {"stride": (1, 2)}, {"kind": Doubled}], ids=str)
def test_what_was_put_in_the_place_of_a_depthwise_convolution_is_called(settings):
    settings = {"padding": 1, "groups": 4, "bias": False} | settings
    conv, x = settings.pop("kind", nn.Conv2d)(4, 4, 3, **settings).double(), maps(2, 4, 6, 6)
    torch.testing.assert_close(depthwise(conv, x), conv(x))


def test_columns_become_channels_without_copying():
    x = maps(2, 3, 4, 6)
    split = columns_as_channels(x, 2)
    assert split.data_ptr() == x.data_ptr() and split.shape == (2, 6, 4, 3)
    torch.testing.assert_close(split[:, 3:], x[:, :, :, 1::2])
    torch.testing.assert_close(split[:, :3], x[:, :, :, ::2])


def test_rows_become_images_and_sides_are_filled_up():
    x = maps(2, 3, 4, 6)
    split = rows_as_batch(x, 2)
    assert split.shape == (4, 3, 2, 6)
    torch.testing.assert_close(split[1], x[0, :, 1::2])
    torch.testing.assert_close(split[2], x[1, :, ::2])
    filled = fill_up(x, 3, 4)
    assert filled.shape == (2, 3, 6, 8) and filled[:, :, 4:].abs().sum() + filled[:, :, :, 6:].abs().sum() == 0
    assert fill_up(x, 2, 3) is x
