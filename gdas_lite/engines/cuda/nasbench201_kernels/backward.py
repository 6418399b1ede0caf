"""The backward kernels of a search cell, see device_functions.py. grads (3, pixels, C): nodes 1 to 3."""

from __future__ import annotations

import triton
import triton.language as tl

from .device_functions import (
    ALIKE,
    CONV1,
    CONV3,
    POOL,
    SKIP,
    kernel_of,
    neighbour,
    product,
    rows_of,
    slope_of,
    store_rows,
    term_of,
)


@triton.jit
def project_block(slope, z, choice, mean, variance, sums, block, pixel, inside, channel, pixels, channels, blocks,
                  epsilon, term):
    """sums (terms, blocks, 2, C): over a block's pixels, of the node's gradient, and of it times the output."""
    is_channel = channel < channels
    place = sums + (term * blocks + block) * 2 * channels + channel
    tl.store(place, tl.sum(slope, 0), mask=is_channel)
    drawn = tl.load(choice + term)
    if drawn > 0:
        rows = rows_of(z + term * pixels * channels, pixel, inside, channel, channels)
        if (drawn == CONV1) | (drawn == CONV3):
            level = tl.load(mean + term * channels + channel, mask=is_channel, other=0.0)
            spread = tl.load(variance + term * channels + channel, mask=is_channel, other=0.0)
            rows = (rows - level[None, :]) / tl.sqrt(spread + epsilon)[None, :]
        tl.store(place + channels, tl.sum(slope * rows, 0), mask=is_channel)


@triton.jit(do_not_specialize=ALIKE)
def project(grad, z, choice, mean, variance, sums, pixels, channels, blocks, epsilon, dst, SLOTS: tl.constexpr,
            BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """`project_block` of the terms that lead into node dst. Grid (blocks, terms)."""
    block, term = tl.program_id(0), dst * (dst - 1) // 2 * SLOTS + tl.program_id(1)
    pixel, channel = block * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside = pixel < pixels
    slope = rows_of(grad, pixel, inside, channel, channels)
    project_block(slope, z, choice, mean, variance, sums, block, pixel, inside, channel, pixels, channels, blocks,
                  epsilon, term)


@triton.jit(do_not_specialize=ALIKE)
def norm_factors(sums, choice, weights, mean, variance, factors, of_weights, pixels, channels, blocks, epsilon,
                 dst, SLOTS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr):
    """The backward pass of weight * batch norm as factors (terms, 4, C), see `slope_of`. of_weights (terms, 2): the sum
    of the node's gradient, and its inner product with the candidate's output. Grid (terms,)."""
    term = dst * (dst - 1) // 2 * SLOTS + tl.program_id(0)
    drawn, weight = tl.load(choice + term), tl.load(weights + term)
    channel, member = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_N)
    is_channel = channel < channels
    total, along = tl.zeros((BLOCK_C,), tl.float64), tl.zeros((BLOCK_C,), tl.float64)
    for start in range(0, blocks, BLOCK_N):
        mask = (start + member < blocks)[:, None] & is_channel[None, :]
        place = sums + (term * blocks + start + member)[:, None] * 2 * channels + channel[None, :]
        total += tl.sum(tl.load(place, mask=mask, other=0.0), 0).to(tl.float64)
        if drawn > 0:
            along += tl.sum(tl.load(place + channels, mask=mask, other=0.0), 0).to(tl.float64)
    first, level = tl.zeros((BLOCK_C,), tl.float32) + weight, tl.zeros((BLOCK_C,), tl.float32)
    second, last = tl.zeros((BLOCK_C,), tl.float64), tl.zeros((BLOCK_C,), tl.float64)
    if (drawn == CONV1) | (drawn == CONV3):
        level = tl.load(mean + term * channels + channel, mask=is_channel, other=0.0)
        inverse = 1.0 / tl.sqrt(tl.load(variance + term * channels + channel, mask=is_channel, other=0.0) + epsilon)
        first = weight * inverse
        second = -first * inverse * along / pixels
        last = -first * total / pixels
    place = factors + term * 4 * channels + channel
    tl.store(place, first, mask=is_channel)
    tl.store(place + channels, second.to(tl.float32), mask=is_channel)
    tl.store(place + 2 * channels, level, mask=is_channel)
    tl.store(place + 3 * channels, last.to(tl.float32), mask=is_channel)
    tl.store(of_weights + term * 2, tl.sum(total, 0).to(tl.float32))
    tl.store(of_weights + term * 2 + 1, tl.sum(along, 0).to(tl.float32))


@triton.jit
def slope_of_term(grad, z, centre, drawn, factors, weight1, weight3, pixel, inside, height, width, channel, channels,
                  BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, PRECISION: tl.constexpr):
    """What one term adds to the gradient of its input, whose value is `centre`; zeros for `none`."""
    found = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    if drawn == SKIP:
        first = tl.load(factors + channel, mask=channel < channels, other=0.0)
        found += rows_of(grad, pixel, inside, channel, channels) * first[None, :]
    if drawn == CONV1:
        slope = slope_of(grad, z, factors, pixel, inside, channel, channels)
        found += product(slope, kernel_of(weight1, 0, 1, channel, channels, True), z, PRECISION)
    if drawn == CONV3:
        for tap in range(9):            # the output pixels that this input pixel was a neighbour of
            near, there = neighbour(pixel, 8 - tap, height, width, inside)
            slope = slope_of(grad, z, factors, near, there, channel, channels)
            found += product(slope, kernel_of(weight3, tap, 9, channel, channels, True), z, PRECISION)
    if drawn == POOL:
        first = tl.load(factors + channel, mask=channel < channels, other=0.0)
        for tap in range(9):
            near, there = neighbour(pixel, tap, height, width, inside)
            row, column = (near // width) % height, near % width
            rows = tl.minimum(row + 1, height - 1) - tl.maximum(row - 1, 0) + 1
            columns = tl.minimum(column + 1, width - 1) - tl.maximum(column - 1, 0) + 1
            share = 1.0 / tl.maximum(rows * columns, 1).to(tl.float32)
            found += rows_of(grad, near, there, channel, channels) * first[None, :] * share[:, None]
    if (drawn == CONV1) | (drawn == CONV3):
        found = tl.where(centre > 0, found, 0.0)
    return found


@triton.jit(do_not_specialize=ALIKE)
def to_node(source, grads, z, choice, factors, weight1, weight3, mean, variance, out, sums, pixels, height, width,
            channels, blocks, epsilon, src, SLOTS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
            PRECISION: tl.constexpr):
    """out = the gradient of node src from those of the nodes behind it; then `project_block` of what leads into src."""
    block = tl.program_id(0)
    pixel, channel = block * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside = pixel < pixels
    size = pixels * channels
    centre = rows_of(source, pixel, inside, channel, channels)
    found = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for place in range((3 - src) * SLOTS):
        row, term = term_of(place, src, SLOTS)
        found += slope_of_term(grads + (src + place // SLOTS) * size, z + term * size, centre, tl.load(choice + term),
                               factors + term * 4 * channels, weight1 + row * channels * channels,
                               weight3 + row * 9 * channels * channels, pixel, inside, height, width, channel, channels,
                               BLOCK_P, BLOCK_C, PRECISION)
    store_rows(out, pixel, inside, channel, channels, found)
    found = found.to(out.dtype.element_ty).to(tl.float32)
    for term in range(src * (src - 1) // 2 * SLOTS, src * (src + 1) // 2 * SLOTS):
        project_block(found, z, choice, mean, variance, sums, block, pixel, inside, channel, pixels, channels, blocks,
                      epsilon, term)


@triton.jit(do_not_specialize=ALIKE)
def to_weight(source, grads, z, choice, factors, parts1, parts3, pixels, height, width, channels, splits, blocks_each,
              src, SLOTS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, PRECISION: tl.constexpr):
    """Sums over a split's pixels of the slope of z times relu(node src), a convolution's gradient; zeros where it did
    not run. parts3 (rows, splits, C_out, 9, C_in), parts1 (rows, splits, C_out, C_in). Grid (splits, 10, edges): the
    nine taps of the 3x3 convolution, then the 1x1 convolution."""
    split, tap, place = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, term = term_of(place * SLOTS, src, SLOTS)
    size = pixels * channels
    wanted = tl.where(tap < 9, 3, 2)                # CONV3, CONV1
    if SLOTS == 4:
        term += wanted - 1
    channel = tl.arange(0, BLOCK_C)
    found = tl.zeros((BLOCK_C, BLOCK_C), tl.float32)
    if tl.load(choice + term) == wanted:
        at = tl.where(tap < 9, tap, 4)
        for block in range(blocks_each):
            pixel = (split * blocks_each + block) * BLOCK_P + tl.arange(0, BLOCK_P)
            inside = pixel < pixels
            near, there = neighbour(pixel, at, height, width, inside)
            slope = slope_of(grads + (src + place) * size, z + term * size, factors + term * 4 * channels, pixel,
                             inside, channel, channels)
            rectified = tl.maximum(rows_of(source, near, there, channel, channels), 0.0)
            found += product(tl.trans(slope), rectified, z, PRECISION)
    mask = (channel < channels)[:, None] & (channel < channels)[None, :]
    area = (row * splits + split) * channels * channels
    if tap < 9:
        tl.store(parts3 + area * 9 + (channel[:, None] * 9 + tap) * channels + channel[None, :], found, mask=mask)
    else:
        tl.store(parts1 + area + channel[:, None] * channels + channel[None, :], found, mask=mask)
