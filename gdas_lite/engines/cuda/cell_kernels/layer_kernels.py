"""Forward kernels: a layer (normalise, ReLU, depth-wise, point-wise) or a pooling; batch norm's statistics."""

import triton
import triton.language as tl

from . import job_table as t
from .windows import (
    corner_of,
    depthwise,
    eights,
    floats_at,
    map_at,
    matrix_of,
    number,
    rows_of,
    under,
    windows_at,
)


@triton.jit
def make_maps(jobs, REAL: tl.constexpr, PRECISION: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """Each job's map in front of batch norm. Grid (blocks of output pixels, jobs, tiles of output channels)."""
    row = jobs + tl.program_id(1) * t.JOB
    kind = number(row, t.KIND)
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = pixel < number(row, t.PIXELS)
    if kind == t.CONV:
        out = convolved(row, pixel, inside, channel, REAL, PRECISION, BLOCK_P, BLOCK_C)
        keep(row, out, pixel, inside, channel, REAL, BLOCK_P)
    if (kind == t.MAX) | (kind == t.AVG):
        out = pooled(row, kind, pixel, inside, channel, REAL, BLOCK_P, BLOCK_C)
        keep(row, out, pixel, inside, channel, REAL, BLOCK_P)


@triton.jit
def convolved(row, pixel, inside, out_channel, REAL: tl.constexpr, PRECISION: tl.constexpr, BLOCK_P: tl.constexpr,
              BLOCK_C: tl.constexpr):
    """Depth-wise output of all input channels, tile by tile, times the point-wise weight."""
    channels_in, channels_out = eights(row, t.CHANNELS_IN), eights(row, t.CHANNELS_OUT)
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for first in range(0, channels_in, BLOCK_C):
        channel = first + tl.arange(0, BLOCK_C)
        for matrix in range(number(row, t.MATRICES)):
            depth = depthwise(row, matrix, pixel, inside, channel, channels_in, REAL, BLOCK_P, BLOCK_C)
            weight = matrix_of(row, matrix, out_channel[None, :], channels_out, channel[:, None], channels_in)
            total = tl.dot(depth, weight, total, input_precision=PRECISION)
    return total


@triton.jit
def pooled(row, kind, pixel, inside, channel, REAL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """Largest or average of a window's pixels inside the image. POSITIONS: the largest's tap, the first of equals."""
    channels, x, step = eights(row, t.CHANNELS_IN), map_at(row, t.X, REAL), eights(row, t.X_STEP)
    side, height, width = number(row, t.SIDE), number(row, t.HEIGHT), number(row, t.WIDTH)
    out_height, out_width, stride, start = corner_of(row)
    image, line, column = windows_at(pixel, out_height, out_width, stride, start, height * width)
    largest = tl.full((BLOCK_P, BLOCK_C), float("-inf"), tl.float32)
    position = tl.full((BLOCK_P, BLOCK_C), -1, tl.int32)
    total, members = tl.zeros((BLOCK_P, BLOCK_C), tl.float32), tl.zeros((BLOCK_P,), tl.float32)
    for tap in range(side * side):
        near, there = under(tap, side, 1, image, line, column, height, width, inside)
        value = rows_of(x, step, near, there, channel, channels)
        wins = there[:, None] & ((value > largest) | (value != value) | (position < 0))     # NaN wins, as in PyTorch
        largest, position = tl.where(wins, value, largest), tl.where(wins, tap, position)
        total += value
        members += there.to(tl.float32)
    if kind == t.MAX:
        at = tl.load(row + t.POSITIONS).to(tl.pointer_type(tl.int8))
        at += pixel[:, None] * eights(row, t.OUT_STEP) + channel[None, :]
        tl.store(at, position.to(tl.int8), mask=inside[:, None] & (channel < channels)[None, :])
    return tl.where(kind == t.MAX, largest, total / tl.maximum(members, 1.0)[:, None])


@triton.jit
def keep(row, out, pixel, inside, channel, REAL: tl.constexpr, BLOCK_P: tl.constexpr):
    """Store a block of a job's map, and its moments: mean and sum of squared differences from it, of what is stored."""
    channels, step = eights(row, t.CHANNELS_OUT), eights(row, t.OUT_STEP)
    is_channel = channel < channels
    mask = inside[:, None] & is_channel[None, :]
    tl.store(map_at(row, t.OUT, REAL) + pixel[:, None] * step + channel[None, :], out.to(REAL), mask=mask)
    if tl.load(row + t.MOMENTS) != 0:
        out = out.to(REAL).to(tl.float32)
        block = tl.program_id(0)
        members = tl.maximum(tl.minimum(BLOCK_P, number(row, t.PIXELS) - block * BLOCK_P), 1)
        mean = tl.sum(tl.where(mask, out, 0.0), 0) / members
        mean += tl.sum(tl.where(mask, out - mean[None, :], 0.0), 0) / members       # what the first sum lost
        apart = tl.where(mask, out - mean[None, :], 0.0)
        place = floats_at(row, t.MOMENTS) + block * 2 * step + channel
        tl.store(place, mean, mask=is_channel)
        tl.store(place + step, tl.sum(apart * apart, 0), mask=is_channel)


@triton.jit
def statistics(jobs, eps, BLOCK_P: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr):
    """Mean, variance and 1 / deviation over all pixels from the moments of COUNT blocks of BLOCK_P.

    Grid (1, jobs, tiles). Where a channel hardly varies, the first loop's mean is coarse: the second adds what it lost.
    """
    row = jobs + tl.program_id(1) * t.JOB
    if number(row, t.KIND) != 0:
        channels, blocks, pixels = eights(row, t.OUT_STEP), number(row, t.COUNT), number(row, t.PIXELS)
        channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
        mean, rest = tl.zeros((BLOCK_C,), tl.float32), tl.zeros((BLOCK_C,), tl.float32)
        squares = tl.zeros((BLOCK_C,), tl.float64)
        for first in range(0, blocks, BLOCK_S):
            block = first + tl.arange(0, BLOCK_S)
            members = tl.maximum(tl.minimum(BLOCK_P, pixels - block * BLOCK_P), 0).to(tl.float32)
            means = rows_of(floats_at(row, t.MOMENTS), 2 * channels, block, block < blocks, channel, channels)
            mean += tl.sum(means * members[:, None], 0)
        mean = mean / pixels
        for first in range(0, blocks, BLOCK_S):
            block = first + tl.arange(0, BLOCK_S)
            members = tl.maximum(tl.minimum(BLOCK_P, pixels - block * BLOCK_P), 0).to(tl.float32)
            means = rows_of(floats_at(row, t.MOMENTS), 2 * channels, block, block < blocks, channel, channels)
            within = rows_of(floats_at(row, t.MOMENTS) + channels, 2 * channels, block, block < blocks, channel,
                             channels)
            apart = means - mean[None, :]
            rest += tl.sum(apart * members[:, None], 0)
            squares += tl.sum(within + apart * apart * members[:, None], 0).to(tl.float64)
        rest = rest / pixels
        variance = squares / pixels - rest * rest
        inverse_std = 1.0 / tl.sqrt(variance + eps)
        tl.store(floats_at(row, t.MEAN) + channel, mean + rest, mask=channel < channels)
        tl.store(floats_at(row, t.INVERSE_STD) + channel, inverse_std.to(tl.float32), mask=channel < channels)
        tl.store(floats_at(row, t.VARIANCE) + channel, variance.to(tl.float32), mask=channel < channels)
