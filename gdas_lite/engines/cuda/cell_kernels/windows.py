"""Functions that the kernels share: fields and maps, pixels under a window, the depth-wise convolution."""

import triton
import triton.language as tl

from . import job_table as t


@triton.jit
def number(row, FIELD):
    return tl.load(row + FIELD).to(tl.int32)


@triton.jit
def eights(row, FIELD):
    """A number of channels. They come in eights, which lets the compiler read several at once."""
    return tl.multiple_of(number(row, FIELD), 8)


@triton.jit
def map_at(row, FIELD, REAL: tl.constexpr):
    """The pointer to a map."""
    return tl.multiple_of(tl.load(row + FIELD).to(tl.pointer_type(REAL)), 16)


@triton.jit
def floats_at(row, FIELD):
    """The pointer to float32 numbers."""
    return tl.load(row + FIELD).to(tl.pointer_type(tl.float32))


@triton.jit
def vector(row, FIELD, channel, channels, other):
    """A number a channel; `other` where there is none."""
    there = tl.where(tl.load(row + FIELD) != 0, channels, 0)
    return tl.load(floats_at(row, FIELD) + channel, mask=channel < there, other=other)


@triton.jit
def rows_of(values, step, pixel, there, channel, channels):
    """Pixels of a map as float32, (pixels, channels); zeros where not `there`."""
    mask = there[:, None] & (channel < channels)[None, :]
    return tl.load(values + pixel[:, None] * step + channel[None, :], mask=mask, other=0.0).to(tl.float32)


@triton.jit
def corner_of(row):
    """What places a job's windows: lines and columns of the output, stride and start."""
    return number(row, t.OUT_HEIGHT), number(row, t.OUT_WIDTH), number(row, t.STRIDE), number(row, t.START)


@triton.jit
def windows_at(pixel, out_height, out_width, stride, start, pixels):
    """Of output pixels: the first pixel of their image in the source, which has `pixels` an image, and the source line
    and column of their window's corner."""
    image = pixel // (out_height * out_width) * pixels
    return image, pixel // out_width % out_height * stride + start, pixel % out_width * stride + start


@triton.jit
def under(tap, side, dilation, image, line, column, height, width, inside):
    """The source pixel (height, width: of the source) under a tap of windows, and whether it lies in the image."""
    down, across = line + tap // side * dilation, column + tap % side * dilation
    there = inside & (down >= 0) & (down < height) & (across >= 0) & (across < width)
    return image + down * width + across, there


@triton.jit
def windows_over(row, pixel):
    """Of source pixels: the first pixel of their image in the output, and their line and column from START."""
    height, width, start = number(row, t.HEIGHT), number(row, t.WIDTH), number(row, t.START)
    image = pixel // (height * width) * (number(row, t.OUT_HEIGHT) * number(row, t.OUT_WIDTH))
    return image, pixel // width % height - start, pixel % width - start


@triton.jit
def that_met(tap, side, dilation, stride, image, line, column, height, width, inside):
    """The output pixel (height, width: of the output) whose window met a source pixel with this tap, if any."""
    down, across = line - tap // side * dilation, column - tap % side * dilation
    there = inside & (down >= 0) & (down % stride == 0) & (down // stride < height)
    there = there & (across >= 0) & (across % stride == 0) & (across // stride < width)
    return image + down // stride * width + across // stride, there


@triton.jit
def rectified(x, step, pixel, there, channel, channels, mean, inverse_std):
    """relu of a source's pixels, normalised; zeros outside. (Written so that what is not a number stays so.)"""
    value = (rows_of(x, step, pixel, there, channel, channels) - mean[None, :]) * inverse_std[None, :]
    value = tl.where(there[:, None], value, 0.0)
    return tl.where(value <= 0, 0.0, value)


@triton.jit
def taps_of(row, channels):
    """The pointer to the depth-wise weight (C, 1, k, k), and how many channels it has; 0: there is none."""
    return floats_at(row, t.TAPS), tl.where(tl.load(row + t.TAPS) != 0, channels, 0)


@triton.jit
def tap_of(taps, tap, side, channel, there):
    """One tap, a number a channel; ones without depth-wise convolution."""
    return tl.load(taps + channel * side * side + tap, mask=channel < there, other=1.0)


@triton.jit
def matrix_of(row, matrix, out_channel, channels_out, channel, channels_in):
    """One matrix of a point-wise weight, for output channels (n, 1) and input channels (1, m), or turned."""
    step = number(row, t.POINTWISE_STEP)
    places = out_channel * channels_in * number(row, t.MATRICES) + channel * step + matrix * number(row, t.MATRIX_STEP)
    mask = (out_channel < channels_out) & (channel < channels_in)
    return tl.load(floats_at(row, t.POINTWISE) + places, mask=mask, other=0.0)


@triton.jit
def depthwise(row, matrix, pixel, inside, channel, channels, REAL: tl.constexpr, BLOCK_P: tl.constexpr,
              BLOCK_C: tl.constexpr):
    """ReLU and the taps of one of a window's matrices at output pixels, (BLOCK_P, BLOCK_C): a depth-wise convolution,
    or a pixel where each tap has a matrix."""
    mean, inverse_std = vector(row, t.MEAN, channel, channels, 0.0), vector(row, t.INVERSE_STD, channel, channels, 1.0)
    x, step = map_at(row, t.X, REAL), eights(row, t.X_STEP)
    side, dilation = number(row, t.SIDE), number(row, t.DILATION)
    height, width = number(row, t.HEIGHT), number(row, t.WIDTH)
    out_height, out_width, stride, start = corner_of(row)
    image, line, column = windows_at(pixel, out_height, out_width, stride, start, height * width)
    taps, has_taps = taps_of(row, channels)
    found = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    together = side * side // number(row, t.MATRICES)
    for tap in range(matrix * together, (matrix + 1) * together):
        near, there = under(tap, side, dilation, image, line, column, height, width, inside)
        value = rectified(x, step, near, there, channel, channels, mean, inverse_std)
        found += value * tap_of(taps, tap, side, channel, has_taps)[None, :]
    return found
