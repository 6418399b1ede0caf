"""A 1x1 convolution and the batch norm behind it as one function that keeps one map for the backward pass instead of two.

Convolution and batch norm each keep their input. Where the weights learn, the convolution's input x is kept and the batch
norm's, W x, is computed again (a small matrix product); where the weights are constants, as in an alpha step, W x alone
is needed. Values and gradients are those of the two layers one after the other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .primitives import WeightedBatchNorm2d


def pointwise_norm(x: Tensor, conv: nn.Conv2d, norm: WeightedBatchNorm2d, weight: Tensor | None = None) -> Tensor:
    """weight * norm(conv(x)) for a 1x1 convolution. x (B, C_in, H, W), result (B, C_out, H, W).

    Off the CPU, in evaluation mode with running estimates and without gradients the layers themselves run, and where
    batch norm is of another kind, such as that over several processes.
    """
    if type(norm) is not WeightedBatchNorm2d:
        return norm(conv(x), weight)
    uses_batch = norm.training or not norm.track_running_stats
    if x.device.type != "cpu" or not uses_batch or not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") \
            or (norm.affine and weight is not None):
        return norm(conv(x), weight)
    if norm.training and norm.track_running_stats:
        norm.num_batches_tracked.add_(1)
    scale = norm.weight if weight is None else weight.expand(norm.num_features).contiguous()
    return _PointwiseNorm.apply(x, conv.weight, conv.bias, scale, norm.bias, norm)


class _PointwiseNorm(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, bias: Tensor | None, scale: Tensor | None, shift: Tensor | None,
                norm: WeightedBatchNorm2d) -> Tensor:
        convolved = F.conv2d(x, kernel, bias)
        out, mean, inverse_std = torch.native_batch_norm(
            convolved, scale, shift, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps)
        ctx.learns, ctx.eps, ctx.size = ctx.needs_input_grad[1], norm.eps, x.shape
        ctx.save_for_backward(x if ctx.learns else convolved, kernel, bias, scale, mean, inverse_std)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        kept, kernel, bias, scale, mean, inverse_std = ctx.saved_tensors
        needs_x, needs_kernel, needs_bias, needs_scale, needs_shift = ctx.needs_input_grad[:5]
        convolved = F.conv2d(kept, kernel, bias) if ctx.learns else kept
        grad, grad_scale, grad_shift = torch.ops.aten.native_batch_norm_backward(
            grad, convolved, scale, None, None, mean, inverse_std, True, ctx.eps, (True, needs_scale, needs_shift))
        x = kept if ctx.learns else torch.empty(ctx.size, dtype=grad.dtype, memory_format=torch.channels_last)
        grad_x, grad_kernel, _ = torch.ops.aten.convolution_backward(
            grad, x, kernel, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (needs_x, needs_kernel, False))
        grad_bias = torch.zeros_like(bias) if needs_bias else None      # batch norm takes the mean off again
        return grad_x, grad_kernel, grad_bias, grad_scale, grad_shift, None
