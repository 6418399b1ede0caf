"""Depth-wise convolutions with a backward pass of their own, and batch norms that weigh, as functions of the modules.

Depth-wise convolution, whose backward pass costs up to thirty times the forward one in PyTorch on the CPU. Each channel
has its own k x k kernel, so both gradients are depth-wise too:

* towards the input, the same convolution with the kernel turned by 180 degrees (stride 1);
* towards the weight, an inner product for every tap. oneDNN has a fast routine for kernels three columns wide. Wider
  and dilated kernels are brought to it by reading every m-th column as a channel of its own, which in channels_last
  memory is a change of shape and moves nothing.

Values and gradients equal those of the modules. On other devices and under autocast the modules' own functions run.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Size, stride, padding, dilation that the gradients below are written for
GEOMETRIES = {((k, k), (s, s), (d * (k // 2),) * 2, (d, d)) for k in (3, 5, 7) for s in (1, 2) for d in (1, 2)}


def weighted_norm(norm: nn.BatchNorm2d, x: Tensor, weight: Tensor | None = None) -> Tensor:
    """Returns weight * norm(x). x (B, C, H, W), weight () or None for 1.

    Without affine parameters that is batch norm with the scale `weight` in every channel, whose gradients add up to it.
    """
    if weight is None:
        return norm(x)
    if norm.affine or norm.momentum is None or norm.track_running_stats != (norm.running_mean is not None):
        return norm(x) * weight
    if norm.training and norm.track_running_stats:
        norm.num_batches_tracked.add_(1)
    weight = weight.to(torch.promote_types(x.dtype, torch.float32))     # a mixture's type may be another
    return F.batch_norm(x, norm.running_mean, norm.running_var, weight.expand(norm.num_features).contiguous(), None,
                        norm.training or not norm.track_running_stats, norm.momentum, norm.eps)


def is_depthwise(conv: nn.Module) -> bool:
    """Returns whether it is one as `operations.depthwise_conv` makes it, and not what was put in its place."""
    return type(conv) is nn.Conv2d and conv.groups == conv.in_channels == conv.out_channels and conv.bias is None and (
        conv.padding_mode == "zeros" and (conv.kernel_size, conv.stride, conv.padding, conv.dilation) in GEOMETRIES)


def depthwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Returns conv(x) for a depth-wise convolution as `operations.depthwise_conv` makes it. Shapes: see there."""
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or not is_depthwise(conv):
        return conv(x)
    return _Depthwise.apply(x, conv.weight, conv.stride[0], conv.dilation[0])


class _Depthwise(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        ctx.size, ctx.skips = x.shape, stride == 2 and dilation == 2
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)   # a copy of x would have no gradient
        x = _met(x, ctx.skips)
        stride, dilation = (1, 1) if ctx.skips else (stride, dilation)
        ctx.geometry = x.shape, weight.shape[-1], stride, dilation
        return same_conv(x, weight, stride, dilation)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        size, kernel, stride, dilation = ctx.geometry
        grad, grad_x, grad_weight = grad.contiguous(memory_format=torch.channels_last), None, None
        with torch.autocast("cpu", enabled=False):      # it was off, too, when this came about
            if ctx.needs_input_grad[0]:
                grad_x = input_gradient(grad, weight, size, stride, dilation)
            if ctx.needs_input_grad[1]:
                grad_weight = weight_gradient(grad, _met(x, ctx.skips), kernel, stride, dilation)
        if ctx.skips and grad_x is not None:
            met, grad_x = grad_x, zeros_of(ctx.size, grad)
            grad_x[:, :, ::2, ::2] = met
        return grad_x, grad_weight, None, None


def _met(x: Tensor, skips: bool) -> Tensor:
    """Returns the pixels of x that the kernel meets, channels_last."""
    return (x[:, :, ::2, ::2] if skips else x).contiguous(memory_format=torch.channels_last)


def same_conv(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """Returns the convolution. x (B, C, H, W), weight (C, 1, k, k)."""
    padding = dilation * (weight.shape[-1] - 1) // 2
    return F.conv2d(x, weight, None, stride, padding, dilation, groups=x.shape[1])


def input_gradient(grad: Tensor, weight: Tensor, x_size: torch.Size, stride: int, dilation: int) -> Tensor:
    """Returns d loss / d x, of size `x_size`, from grad = d loss / d output."""
    if stride == 1:
        return same_conv(grad, weight.flip(2, 3), 1, dilation)
    x = torch.empty(x_size, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last)
    return _stock_gradients(grad, x, weight, (stride, stride), (True, False))[0]


def weight_gradient(grad: Tensor, x: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    """Returns d loss / d weight, (C, 1, k, k), from grad (B, C, H', W') and the convolution's input x (B, C, H, W)."""
    channels = x.shape[1]
    if dilation == 2:       # even and odd pixels never meet: four images of half the size, without dilation
        x, grad = (columns_as_channels(rows_as_batch(fill_up(part, 2, 2), 2), 2) for part in (x, grad))
        return weight_gradient(grad, x, kernel, 1, 1).view(2, channels, 1, kernel, kernel).sum(0)
    if kernel <= 3:
        return _weight_gradient(grad, x, (kernel, kernel), (stride, stride))
    if stride == 2:
        return _strided_gradient(grad, x, kernel)
    half = kernel // 2
    result = x.new_empty(channels, 1, kernel, kernel)
    result[..., half - 1:half + 2] = _weight_gradient(grad, x, (kernel, 3), (1, 1))
    for m in range(2, half + 1):        # taps -m, 0, m are neighbours among every m-th column
        every_mth = [columns_as_channels(fill_up(part, 1, m), m) for part in (grad, x)]
        taps = _weight_gradient(*every_mth, (kernel, 3), (1, 1)).view(m, channels, 1, kernel, 3).sum(0)
        result[..., half - m], result[..., half + m] = taps[..., 0], taps[..., 2]
    return result


def _strided_gradient(grad: Tensor, x: Tensor, kernel: int) -> Tensor:
    """Stride 2, kernel 5 or 7: even and odd columns of x as channels; taps of each kind lie side by side there."""
    half = kernel // 2
    width = half + half % 2 + 1         # 3 for kernel 5; 5 for kernel 7, whose outer taps are odd
    both = torch.cat([grad, grad], 1).contiguous(memory_format=torch.channels_last)
    taps = _weight_gradient(both, columns_as_channels(fill_up(x, 1, 2), 2), (kernel, width), (2, 1))
    even, odd = taps.chunk(2)           # even column c + i is tap 2 i, odd column c + i is tap 2 i + 1
    tap = [(even if offset % 2 == 0 else odd)[..., offset // 2 + width // 2] for offset in range(-half, half + 1)]
    return torch.stack(tap, -1)


def _weight_gradient(grad: Tensor, x: Tensor, size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Weight gradient of kernels of `size` without dilation, by oneDNN: fast if they are at most three columns wide and
    not higher than the image, which rows of zeros see to."""
    if x.shape[2] < size[0]:
        height = size[0] + size[0] % stride[0]
        x = F.pad(x, (0, 0, 0, height - x.shape[2]))
        grad = F.pad(grad, (0, 0, 0, height // stride[0] - grad.shape[2]))
    weight = x.new_empty(x.shape[1], 1, *size)
    return _stock_gradients(grad, x, weight, stride, (False, True))[1]


def _stock_gradients(grad: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int],
                     needed: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, (1, 1), False, (0, 0), x.shape[1], (*needed, False))[:2]


def fill_up(x: Tensor, rows: int, columns: int) -> Tensor:
    """Returns x with zeros below and to the right to multiples of `rows` and `columns`."""
    below, right = -x.shape[2] % rows, -x.shape[3] % columns
    return F.pad(x, (0, right, 0, below)) if below or right else x


def columns_as_channels(x: Tensor, m: int) -> Tensor:
    """Turns (B, C, H, W) to (B, m*C, H, W/m), channels_last as a view: column m*j + i to column j of the i-th C."""
    batch, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(batch, height, width // m, m * channels).permute(0, 3, 1, 2)


def rows_as_batch(x: Tensor, m: int) -> Tensor:
    """Turns (B, C, H, W) to (m*B, C, H/m, W): row m*j + i of an image becomes row j of image i of it; channels_last."""
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(batch, height // m, m, width, channels).transpose(1, 2)
    return rows.reshape(batch * m, height // m, width, channels).permute(0, 3, 1, 2)


def zeros_of(size: torch.Size, like: Tensor) -> Tensor:
    """Returns a channels_last map of zeros."""
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last).zero_()
