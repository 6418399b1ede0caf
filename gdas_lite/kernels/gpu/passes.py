"""The kernels of a node: maps are (pixels of all images, channels), channels innermost; sums and products in float32.

`index` holds the drawn column of each incoming edge (NAS-Bench-201's order); it is read on the device, so a step's kernels
are the same whatever was drawn. A program works on BLOCK_P pixels and all channels, BLOCK_C >= channels of them padded.
"""

from __future__ import annotations

import triton
import triton.language as tl

SKIP = tl.constexpr(1)
CONV1 = tl.constexpr(2)
CONV3 = tl.constexpr(3)
POOL = tl.constexpr(4)


@triton.jit
def neighbour(pixel, tap, height, width, inside):
    """Pixel `tap` (0..8, row by row) of a pixel's 3x3 neighbourhood, and whether it lies inside the image."""
    row, column = (pixel // width) % height + tap // 3 - 1, pixel % width + tap % 3 - 1
    there = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return pixel + (tap // 3 - 1) * width + tap % 3 - 1, there


@triton.jit
def rows_of(values, pixel, there, channel, channels):
    """Rows of a map as float32, zeros where not `there`."""
    mask = there[:, None] & (channel < channels)[None, :]
    return tl.load(values + pixel[:, None] * channels + channel[None, :], mask=mask, other=0.0).to(tl.float32)


@triton.jit
def kernel_of(weight, tap, taps, channel, channels, transposed: tl.constexpr):
    """One tap of a weight (C_out, C_in, taps): (C_in, C_out), or (C_out, C_in) if `transposed`."""
    if transposed:
        places = channel[:, None] * channels + channel[None, :]
    else:
        places = channel[None, :] * channels + channel[:, None]
    mask = (channel < channels)[:, None] & (channel < channels)[None, :]
    return tl.load(weight + places * taps + tap, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def candidate(x, index, weight1, weight3, z, moments, pixels, height, width, channels,
              BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """z = the drawn candidate of relu(x) or x in front of batch norm. moments (blocks, 2, C): of a convolution, each block's
    mean and sum of squared differences from it; zeros for anything else. Nothing is written to z for `none`."""
    block, choice = tl.program_id(0), tl.load(index)
    pixel, channel = block * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside = pixel < pixels
    out = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    if choice == SKIP:
        out += rows_of(x, pixel, inside, channel, channels)
    if choice == CONV1:
        rectified = tl.maximum(rows_of(x, pixel, inside, channel, channels), 0.0)
        out += tl.dot(rectified, kernel_of(weight1, 0, 1, channel, channels, False), input_precision="ieee")
    if choice == CONV3:
        for tap in range(9):
            near, there = neighbour(pixel, tap, height, width, inside)
            rectified = tl.maximum(rows_of(x, near, there, channel, channels), 0.0)
            out += tl.dot(rectified, kernel_of(weight3, tap, 9, channel, channels, False), input_precision="ieee")
    if choice == POOL:
        count = tl.zeros((BLOCK_P,), tl.float32)
        for tap in range(9):
            near, there = neighbour(pixel, tap, height, width, inside)
            out += rows_of(x, near, there, channel, channels)
            count += there.to(tl.float32)
        out = out / tl.maximum(count, 1.0)[:, None]
    mask = inside[:, None] & (channel < channels)[None, :]
    if choice > 0:
        tl.store(z + pixel[:, None] * channels + channel[None, :], out.to(z.dtype.element_ty), mask=mask)
    if (choice == CONV1) | (choice == CONV3):
        out = out.to(z.dtype.element_ty).to(tl.float32)         # the statistics are those of what is stored
        members = tl.minimum(BLOCK_P, pixels - block * BLOCK_P)
        mean = tl.sum(tl.where(mask, out, 0.0), 0) / members
        apart = tl.where(mask, out - mean[None, :], 0.0)
        place = moments + block * 2 * channels + channel
        tl.store(place, mean, mask=channel < channels)
        tl.store(place + channels, tl.sum(apart * apart, 0), mask=channel < channels)


@triton.jit
def combine(z, index, scale, shift, out, pixels, channels, EDGES: tl.constexpr, BLOCK_P: tl.constexpr,
            BLOCK_C: tl.constexpr):
    """out = sum over edges of scale[e] * z[e] + shift[e]; z (edges, pixels, C), scale and shift (edges, C)."""
    pixel, channel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside, is_channel = pixel < pixels, channel < channels
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for edge in tl.static_range(EDGES):
        if tl.load(index + edge) > 0:
            factor = tl.load(scale + edge * channels + channel, mask=is_channel, other=0.0)
            level = tl.load(shift + edge * channels + channel, mask=is_channel, other=0.0)
            total += rows_of(z + edge * pixels * channels, pixel, inside, channel, channels) * factor[None, :] + level[None, :]
    mask = inside[:, None] & is_channel[None, :]
    tl.store(out + pixel[:, None] * channels + channel[None, :], total.to(out.dtype.element_ty), mask=mask)


@triton.jit
def project(grad, z, index, mean, inverse_std, sums, pixels, channels, blocks, BLOCK_P: tl.constexpr,
            BLOCK_C: tl.constexpr):
    """sums (edges, blocks, 2, C): over a block's pixels, of the gradient, and of the gradient times the candidate's output
    (z - mean) * inverse_std. Grid (blocks, edges)."""
    block, edge = tl.program_id(0), tl.program_id(1)
    pixel, channel = block * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside, is_channel = pixel < pixels, channel < channels
    slope = rows_of(grad, pixel, inside, channel, channels)
    place = sums + (edge * blocks + block) * 2 * channels + channel
    tl.store(place, tl.sum(slope, 0), mask=is_channel)
    if tl.load(index + edge) > 0:
        level = tl.load(mean + edge * channels + channel, mask=is_channel, other=0.0)
        factor = tl.load(inverse_std + edge * channels + channel, mask=is_channel, other=0.0)
        output = (rows_of(z + edge * pixels * channels, pixel, inside, channel, channels) - level[None, :]) * factor[None, :]
        tl.store(place + channels, tl.sum(slope * output, 0), mask=is_channel)


@triton.jit
def slope_of(grad, z, factors, pixel, there, channel, channels):
    """The gradient of z, (pixels, C): factors[0] * grad + factors[1] * z + factors[2], zeros where not `there`."""
    is_channel = channel < channels
    first = tl.load(factors + channel, mask=is_channel, other=0.0)
    second = tl.load(factors + channels + channel, mask=is_channel, other=0.0)
    third = tl.load(factors + 2 * channels + channel, mask=is_channel, other=0.0)
    found = rows_of(grad, pixel, there, channel, channels) * first[None, :] + third[None, :]
    found += rows_of(z, pixel, there, channel, channels) * second[None, :]
    return tl.where(there[:, None] & is_channel[None, :], found, 0.0)


@triton.jit
def to_input(grad, z, x, index, factors, weight1, weight3, out, pixels, height, width, channels,
             BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """out = the gradient of an edge's input x, from that of the node; zeros for `none`."""
    choice = tl.load(index)
    pixel, channel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside = pixel < pixels
    found = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    if choice == SKIP:
        first = tl.load(factors + channel, mask=channel < channels, other=0.0)
        found += rows_of(grad, pixel, inside, channel, channels) * first[None, :]
    if choice == CONV1:
        slope = slope_of(grad, z, factors, pixel, inside, channel, channels)
        found += tl.dot(slope, kernel_of(weight1, 0, 1, channel, channels, True), input_precision="ieee")
    if choice == CONV3:
        for tap in range(9):            # the output pixels that this input pixel was a neighbour of
            near, there = neighbour(pixel, 8 - tap, height, width, inside)
            slope = slope_of(grad, z, factors, near, there, channel, channels)
            found += tl.dot(slope, kernel_of(weight3, tap, 9, channel, channels, True), input_precision="ieee")
    if choice == POOL:
        first = tl.load(factors + channel, mask=channel < channels, other=0.0)
        for tap in range(9):
            near, there = neighbour(pixel, tap, height, width, inside)
            row, column = (near // width) % height, near % width
            rows = tl.minimum(row + 1, height - 1) - tl.maximum(row - 1, 0) + 1
            columns = tl.minimum(column + 1, width - 1) - tl.maximum(column - 1, 0) + 1
            share = 1.0 / tl.maximum(rows * columns, 1).to(tl.float32)
            found += rows_of(grad, near, there, channel, channels) * first[None, :] * share[:, None]
    if (choice == CONV1) | (choice == CONV3):
        found = tl.where(rows_of(x, pixel, inside, channel, channels) > 0, found, 0.0)
    mask = inside[:, None] & (channel < channels)[None, :]
    tl.store(out + pixel[:, None] * channels + channel[None, :], found.to(out.dtype.element_ty), mask=mask)


@triton.jit
def to_weight(grad, z, x, index, factors, parts, pixels, height, width, channels, blocks_each,
              BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """parts (splits, 9, C_out, C_in): sums over a split's pixels of the slope of z times relu(x) at a tap; tap 4 alone for a
    1x1 convolution, nothing for a candidate without weights. Grid (splits, 9)."""
    split, tap, choice = tl.program_id(0), tl.program_id(1), tl.load(index)
    if (choice == CONV3) | ((choice == CONV1) & (tap == 4)):
        channel = tl.arange(0, BLOCK_C)
        found = tl.zeros((BLOCK_C, BLOCK_C), tl.float32)
        for block in range(blocks_each):
            pixel = (split * blocks_each + block) * BLOCK_P + tl.arange(0, BLOCK_P)
            inside = pixel < pixels
            near, there = neighbour(pixel, tap, height, width, inside)
            slope = slope_of(grad, z, factors, pixel, inside, channel, channels)
            rectified = tl.maximum(rows_of(x, near, there, channel, channels), 0.0)
            found += tl.dot(tl.trans(slope), rectified, input_precision="ieee")
        mask = (channel < channels)[:, None] & (channel < channels)[None, :]
        place = parts + (split * 9 + tap) * channels * channels
        tl.store(place + channel[:, None] * channels + channel[None, :], found, mask=mask)
