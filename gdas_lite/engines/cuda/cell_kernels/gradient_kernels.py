"""Backward kernels: through the point-wise convolution, through window and ReLU to the source, to the weights.

Every sum has a fixed order: a program gathers what reaches its own pixels, and sums over pixels are made in parts that
are added up afterwards. Nothing is added atomically, so a result is the same bits each time.
"""

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
    rectified,
    rows_of,
    tap_of,
    taps_of,
    that_met,
    under,
    vector,
    windows_at,
    windows_over,
)


@triton.jit
def factors_of(row, channel, channels):
    """A job's four factors (see sums.py), numbers a channel: 1, 0, 0, 0 without FACTORS."""
    step, there = eights(row, t.FACTOR_STEP), tl.where(tl.load(row + t.FACTORS) != 0, channels, 0)
    place = floats_at(row, t.FACTORS) + channel
    scale = tl.load(place, mask=channel < there, other=1.0)
    slope = tl.load(place + step, mask=channel < there, other=0.0)
    mean = tl.load(place + 2 * step, mask=channel < there, other=0.0)
    return scale, slope, mean, tl.load(place + 3 * step, mask=channel < there, other=0.0)


@triton.jit
def ends_of(row, channels, REAL: tl.constexpr):
    """A job's gradient and map: pointer and step of each, and how many channels the map has, none without OUT."""
    has_map = tl.where(tl.load(row + t.OUT) != 0, channels, 0)
    grad, out = map_at(row, t.GRAD, REAL), map_at(row, t.OUT, REAL)
    return grad, eights(row, t.GRAD_STEP), out, eights(row, t.OUT_STEP), has_map


@triton.jit
def slope_of(grad, grad_step, out, out_step, has_map, scale, slope, mean, constant, pixel, there, channel, channels):
    """The gradient of a map in front of batch norm, (pixels, C), zeros where not `there`."""
    found = rows_of(grad, grad_step, pixel, there, channel, channels) * scale[None, :] + constant[None, :]
    found += (rows_of(out, out_step, pixel, there, channel, has_map) - mean[None, :]) * slope[None, :]
    return tl.where(there[:, None], found, 0.0)


@triton.jit
def to_depth(jobs, REAL: tl.constexpr, PRECISION: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """DEPTH (pixels, C_in), the gradient of the depth-wise output, of each convolution; of a dense one, whose stride is
    1, that of the rectified source.

    Grid (blocks of output pixels, jobs, tiles of input channels).
    """
    row = jobs + tl.program_id(1) * t.JOB
    if number(row, t.KIND) == t.CONV:
        channels_in, channels_out = eights(row, t.CHANNELS_IN), eights(row, t.CHANNELS_OUT)
        pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
        in_channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
        inside = pixel < number(row, t.PIXELS)
        grad, grad_step, out, out_step, has_map = ends_of(row, channels_out, REAL)
        height, width, matrices = number(row, t.OUT_HEIGHT), number(row, t.OUT_WIDTH), number(row, t.MATRICES)
        image, line, column = windows_over(row, pixel)
        total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
        for first in range(0, channels_out, BLOCK_C):
            channel = first + tl.arange(0, BLOCK_C)
            scale, steep, mean, constant = factors_of(row, channel, channels_out)
            for matrix in range(matrices):
                near, there = that_met(matrix, number(row, t.SIDE), 1, 1, image, line, column, height, width, inside)
                near, there = tl.where(matrices > 1, near, pixel), tl.where(matrices > 1, there, inside)
                slope = slope_of(grad, grad_step, out, out_step, has_map, scale, steep, mean, constant, near, there,
                                 channel, channels_out)
                weight = matrix_of(row, matrix, channel[:, None], channels_out, in_channel[None, :], channels_in)
                total = tl.dot(slope, weight, total, input_precision=PRECISION)
        mask = inside[:, None] & (in_channel < channels_in)[None, :]
        at = map_at(row, t.DEPTH, REAL) + pixel[:, None] * channels_in + in_channel[None, :]
        tl.store(at, total.to(REAL), mask=mask)


@triton.jit
def to_source(jobs, rows, REAL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """TARGET, the gradient of a source, from all that it was read by. PARTS (blocks, 2, C), if asked for: sums of it
    and of it * (source - mean), for the batch norm before the source.

    A target's `rows` rows: its own, then those of the jobs that read it. Grid (blocks of its pixels, targets, tiles).
    """
    head = jobs + tl.program_id(1) * rows * t.JOB
    if number(head, t.KIND) != 0:
        channels = eights(head, t.CHANNELS_IN)
        pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
        channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
        inside = pixel < number(head, t.PIXELS)
        value = rows_of(map_at(head, t.X, REAL), eights(head, t.X_STEP), pixel, inside, channel, channels)
        value -= vector(head, t.MEAN, channel, channels, 0.0)[None, :]
        is_off = value * vector(head, t.INVERSE_STD, channel, channels, 1.0)[None, :] <= 0            # by the ReLU
        total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
        for place in range(1, rows):
            row = head + place * t.JOB
            kind = number(row, t.KIND)
            if kind != 0:
                found = gathered(row, kind, pixel, inside, channel, channels, REAL, BLOCK_P, BLOCK_C)
                total += tl.where(is_off & (kind == t.CONV), 0.0, found)
        mask = inside[:, None] & (channel < channels)[None, :]
        at = map_at(head, t.TARGET, REAL) + pixel[:, None] * eights(head, t.TARGET_STEP) + channel[None, :]
        tl.store(at, total.to(REAL), mask=mask)
        if tl.load(head + t.PARTS) != 0:
            total = total.to(REAL).to(tl.float32)
            part = floats_at(head, t.PARTS) + tl.program_id(0) * 2 * channels + channel
            tl.store(part, tl.sum(total, 0), mask=channel < channels)
            tl.store(part + channels, tl.sum(tl.where(mask, total * value, 0.0), 0), mask=channel < channels)


@triton.jit
def gathered(row, kind, pixel, inside, channel, channels, REAL: tl.constexpr, BLOCK_P: tl.constexpr,
             BLOCK_C: tl.constexpr):
    """What reaches source pixels from the windows that met them: gradient times tap; of an average its share."""
    side, dilation, stride = number(row, t.SIDE), number(row, t.DILATION), number(row, t.STRIDE)
    height, width = number(row, t.OUT_HEIGHT), number(row, t.OUT_WIDTH)
    image, line, column = windows_over(row, pixel)
    grad, grad_step, out, out_step, has_map = ends_of(row, channels, REAL)
    scale, steep, mean, constant = factors_of(row, channel, channels)
    taps, has_taps = taps_of(row, channels)
    found = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for tap in range(side * side):
        near, there = that_met(tap, side, dilation, stride, image, line, column, height, width, inside)
        slope = slope_of(grad, grad_step, out, out_step, has_map, scale, steep, mean, constant, near, there, channel,
                         channels)
        if kind == t.AVG:
            members = members_of(near, height, width, stride, number(row, t.HEIGHT), number(row, t.WIDTH))
            slope = slope / members[:, None]
        if kind == t.MAX:
            at = tl.load(row + t.POSITIONS).to(tl.pointer_type(tl.int8)) + near[:, None] * channels + channel[None, :]
            position = tl.load(at, mask=there[:, None] & (channel < channels)[None, :], other=-1).to(tl.int32)
            slope = tl.where(position == tap, slope, 0.0)
        found += slope * tap_of(taps, tap, side, channel, has_taps)[None, :]
    return found


@triton.jit
def members_of(pixel, out_height, out_width, stride, height, width):
    """How many pixels of an output pixel's 3x3 window lie inside the source (height, width: the source's)."""
    image, line, column = windows_at(pixel, out_height, out_width, stride, -1, 0)
    lines = tl.minimum(line + 3, height) - tl.maximum(line, 0)
    columns = tl.minimum(column + 3, width) - tl.maximum(column, 0)
    return tl.maximum(lines * columns, 1).to(tl.float32)


@triton.jit
def to_taps(jobs, each, REAL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """TAPS_PARTS (splits, k*k, C_in): sums over a split's pixels of DEPTH * relu(source under the tap).

    Grid (splits, jobs, tiles of input channels); a split has `each` blocks of pixels.
    """
    row = jobs + tl.program_id(1) * t.JOB
    if (number(row, t.KIND) == t.CONV) & (tl.load(row + t.TAPS) != 0):
        channels, pixels = eights(row, t.CHANNELS_IN), number(row, t.PIXELS)
        side, dilation = number(row, t.SIDE), number(row, t.DILATION)
        x, step, depth = map_at(row, t.X, REAL), eights(row, t.X_STEP), map_at(row, t.DEPTH, REAL)
        height, width = number(row, t.HEIGHT), number(row, t.WIDTH)
        out_height, out_width, stride, start = corner_of(row)
        channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
        mean = vector(row, t.MEAN, channel, channels, 0.0)
        inverse_std = vector(row, t.INVERSE_STD, channel, channels, 1.0)
        for tap in range(side * side):
            found = tl.zeros((BLOCK_C,), tl.float32)
            for block in range(each):
                pixel = (tl.program_id(0) * each + block) * BLOCK_P + tl.arange(0, BLOCK_P)
                image, line, column = windows_at(pixel, out_height, out_width, stride, start, height * width)
                near, there = under(tap, side, dilation, image, line, column, height, width, pixel < pixels)
                value = rectified(x, step, near, there, channel, channels, mean, inverse_std)
                slope = rows_of(depth, channels, pixel, pixel < pixels, channel, channels)
                found += tl.sum(value * slope, 0)
            place = floats_at(row, t.TAPS_PARTS) + (tl.program_id(0) * side * side + tap) * channels + channel
            tl.store(place, found, mask=channel < channels)


@triton.jit
def to_pointwise(jobs, each, REAL: tl.constexpr, PRECISION: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """PARTS (splits, C_out, matrices, C_in): sums over a split's pixels of gradient * depth-wise output, made again.

    Grid (splits, jobs, tiles of input channels).
    """
    row = jobs + tl.program_id(1) * t.JOB
    if number(row, t.KIND) == t.CONV:
        channels_in, channels_out = eights(row, t.CHANNELS_IN), eights(row, t.CHANNELS_OUT)
        pixels, matrices = number(row, t.PIXELS), number(row, t.MATRICES)
        in_channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
        grad, grad_step, out, out_step, has_map = ends_of(row, channels_out, REAL)
        for first in range(0, channels_out, BLOCK_C):
            channel = first + tl.arange(0, BLOCK_C)
            scale, steep, mean, constant = factors_of(row, channel, channels_out)
            mask = (channel < channels_out)[:, None] & (in_channel < channels_in)[None, :]
            for matrix in range(matrices):
                found = tl.zeros((BLOCK_C, BLOCK_C), tl.float32)
                for block in range(each):
                    pixel = (tl.program_id(0) * each + block) * BLOCK_P + tl.arange(0, BLOCK_P)
                    inside = pixel < pixels
                    slope = slope_of(grad, grad_step, out, out_step, has_map, scale, steep, mean, constant, pixel,
                                     inside, channel, channels_out)
                    depth = depthwise(row, matrix, pixel, inside, in_channel, channels_in, REAL, BLOCK_P, BLOCK_C)
                    found = tl.dot(tl.trans(slope), depth, found, input_precision=PRECISION)
                place = (tl.program_id(0) * channels_out + channel[:, None]) * matrices + matrix
                tl.store(floats_at(row, t.PARTS) + place * channels_in + in_channel[None, :], found, mask=mask)


@triton.jit
def add_parts(jobs, BLOCK: tl.constexpr):
    """GRAD_POINTWISE (C_out, matrices, C_in) and GRAD_TAPS (C_in, k*k) from COUNT parts.

    Grid (tiles of BLOCK numbers, jobs).
    """
    row = jobs + tl.program_id(1) * t.JOB
    if number(row, t.KIND) == t.CONV:
        channels_in, side, parts = number(row, t.CHANNELS_IN), number(row, t.SIDE), number(row, t.COUNT)
        place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        size = channels_in * number(row, t.CHANNELS_OUT) * number(row, t.MATRICES)
        found = tl.zeros((BLOCK,), tl.float32)
        for part in range(parts):
            found += tl.load(floats_at(row, t.PARTS) + part * size + place, mask=place < size, other=0.0)
        tl.store(floats_at(row, t.GRAD_POINTWISE) + place, found, mask=place < size)
        size = tl.where(tl.load(row + t.TAPS) != 0, channels_in * side * side, 0)
        turned = place % (side * side) * channels_in + place // (side * side)
        found = tl.zeros((BLOCK,), tl.float32)
        for part in range(parts):
            found += tl.load(floats_at(row, t.TAPS_PARTS) + part * size + turned, mask=place < size, other=0.0)
        tl.store(floats_at(row, t.GRAD_TAPS) + place, found, mask=place < size)
