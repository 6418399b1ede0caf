"""A 1x1 convolution, the batch norm behind it and what follows, as functions that keep one map for the backward pass.

Layer by layer, convolution, batch norm, ReLU and the next convolution each keep their input. Here, where the weights
learn, the first convolution's input x is kept and the rest computed again from it (a small matrix product and one pass);
where the weights are constants, as in an alpha step, the convolution's output is kept and nothing else. Values and
gradients are those of the layers one after the other.

Supernets only, whose batch norms are not affine: the wider layers of a derived network would pay more for it than the
memory is worth there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .depthwise import DepthwiseConv2d, input_gradient, same_conv, weight_gradient
from .primitives import WeightedBatchNorm2d


def pointwise_norm(x: Tensor, conv: nn.Conv2d, norm: WeightedBatchNorm2d, weight: Tensor | None = None) -> Tensor:
    """weight * norm(conv(x)) for a 1x1 convolution. x (B, C_in, H, W), result (B, C_out, H, W).

    Off the CPU, with affine batch norm, in evaluation mode with running estimates and without gradients the layers
    themselves run.
    """
    if not _applies(x, norm):
        return norm(conv(x), weight)
    scale = None if weight is None else weight.expand(norm.num_features).contiguous()
    return _PointwiseNorm.apply(x, conv.weight, conv.bias, scale, norm)


def pointwise_norm_depthwise(x: Tensor, conv: nn.Conv2d, norm: WeightedBatchNorm2d, depthwise: DepthwiseConv2d) -> Tensor:
    """depthwise(relu(norm(conv(x)))), the middle of a separable convolution; depthwise has stride and dilation 1."""
    if not _applies(x, norm):
        return depthwise(F.relu_(norm(conv(x))))
    return _PointwiseNormDepthwise.apply(x, conv.weight, conv.bias, depthwise.weight, norm)


def _applies(x: Tensor, norm: WeightedBatchNorm2d) -> bool:
    uses_batch = norm.training or not norm.track_running_stats
    is_plain = x.device.type == "cpu" and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    return is_plain and uses_batch and not norm.affine


class _PointwiseNorm(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, bias: Tensor | None, scale: Tensor | None, norm: WeightedBatchNorm2d
                ) -> Tensor:
        return _conv_norm(ctx, x, kernel, bias, scale, norm)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*_conv_norm_gradients(ctx, grad, _convolved(ctx), ctx.needs_input_grad[3]), None)


class _PointwiseNormDepthwise(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, bias: Tensor | None, taps: Tensor, norm: WeightedBatchNorm2d) -> Tensor:
        between = F.relu_(_conv_norm(ctx, x, kernel, bias, None, norm, taps))
        return same_conv(between, taps, 1, 1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        mean, inverse_std, taps = ctx.saved_tensors[4:]
        convolved, grad = _convolved(ctx), grad.contiguous(memory_format=torch.channels_last)
        # not F.batch_norm, which refuses eps = 0 in PyTorch 2.11: here eps is in inverse_std already
        normalised = torch.batch_norm(convolved, None, None, mean, inverse_std ** -2, False, 0.0, 0.0, False)
        between = F.relu_(normalised)
        grad_taps = weight_gradient(grad, between, taps.shape[-1], 1, 1) if ctx.needs_input_grad[3] else None
        grad = torch.ops.aten.threshold_backward(input_gradient(grad, taps, between.shape, 1, 1), between, 0)
        return (*_conv_norm_gradients(ctx, grad, convolved, False)[:3], grad_taps, None)


def _conv_norm(ctx, x: Tensor, kernel: Tensor, bias: Tensor | None, scale: Tensor | None, norm: WeightedBatchNorm2d,
               *also_kept: Tensor) -> Tensor:
    """Forward pass of convolution and batch norm; keeps what the backward pass needs."""
    if norm.training and norm.track_running_stats:
        norm.num_batches_tracked.add_(1)
    convolved = F.conv2d(x, kernel, bias)
    out, mean, inverse_std = torch.native_batch_norm(
        convolved, scale, None, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps)
    ctx.learns, ctx.eps, ctx.size = ctx.needs_input_grad[1], norm.eps, x.shape
    ctx.save_for_backward(x if ctx.learns else convolved, kernel, bias, scale, mean, inverse_std, *also_kept)
    return out


def _convolved(ctx) -> Tensor:
    """The convolution's output, kept or computed again."""
    kept, kernel, bias = ctx.saved_tensors[:3]
    return F.conv2d(kept, kernel, bias) if ctx.learns else kept


def _conv_norm_gradients(ctx, grad: Tensor, convolved: Tensor, needs_scale: bool) -> tuple[Tensor | None, ...]:
    """Gradients of x, kernel, bias and scale, None where not needed; grad: of batch norm's output."""
    kept, kernel, bias, scale, mean, inverse_std = ctx.saved_tensors[:6]
    needs_x, needs_kernel, needs_bias = ctx.needs_input_grad[:3]
    grad, grad_scale, _ = torch.ops.aten.native_batch_norm_backward(
        grad, convolved, scale, None, None, mean, inverse_std, True, ctx.eps, (True, needs_scale, False))
    x = kept if ctx.learns else torch.empty(ctx.size, dtype=grad.dtype, memory_format=torch.channels_last)
    grad_x, grad_kernel, _ = torch.ops.aten.convolution_backward(
        grad, x, kernel, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (needs_x, needs_kernel, False))
    grad_bias = torch.zeros_like(bias) if needs_bias else None      # batch norm takes the mean off again
    return grad_x, grad_kernel, grad_bias, grad_scale
