"""The forward kernels of a search cell; see device_functions.py for terms and layout."""

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
    node_rows,
    product,
    rows_of,
    store_moments,
    store_rows,
    sum_of_terms,
    term_of,
)


@triton.jit(do_not_specialize=ALIKE)
def drawn_terms(source, z, scale, mean, choice, weight1, weight3, moments, pixels, height, width, channels, blocks,
                src, IS_STORED: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
                PRECISION: tl.constexpr):
    """z of the edges that leave node src, each with its drawn candidate. Grid (blocks, edges). Not IS_STORED: the node
    is summed up from its terms on the way, and stored in `source`. moments (terms, blocks, 2, C): of convolutions."""
    block, place = tl.program_id(0), tl.program_id(1)
    row, term = term_of(place, src, 1)
    drawn = tl.load(choice + term)
    pixel, channel = block * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside = pixel < pixels
    centre = node_rows(source, z, scale, mean, choice, pixel, inside, channel, pixels, channels, src, 1, IS_STORED,
                       BLOCK_P, BLOCK_C)
    if not IS_STORED:  # noqa: SIM102 (the compiler decides this one, the program the next)
        if place == 0:
            store_rows(source, pixel, inside, channel, channels, centre)
    out = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    if drawn == SKIP:
        out += centre
    if drawn == CONV1:
        kernel = kernel_of(weight1 + row * channels * channels, 0, 1, channel, channels, False)
        out += product(tl.maximum(centre, 0.0), kernel, z, PRECISION)
    if drawn == CONV3:
        for tap in range(9):
            near, there = neighbour(pixel, tap, height, width, inside)
            rows = node_rows(source, z, scale, mean, choice, near, there, channel, pixels, channels, src, 1, IS_STORED,
                             BLOCK_P, BLOCK_C)
            kernel = kernel_of(weight3 + row * 9 * channels * channels, tap, 9, channel, channels, False)
            out += product(tl.maximum(rows, 0.0), kernel, z, PRECISION)
    if drawn == POOL:
        count = tl.zeros((BLOCK_P,), tl.float32)
        for tap in range(9):
            near, there = neighbour(pixel, tap, height, width, inside)
            out += node_rows(source, z, scale, mean, choice, near, there, channel, pixels, channels, src, 1, IS_STORED,
                             BLOCK_P, BLOCK_C)
            count += there.to(tl.float32)
        out = out / tl.maximum(count, 1.0)[:, None]
    if drawn > 0:
        store_rows(z + term * pixels * channels, pixel, inside, channel, channels, out)
    if (drawn == CONV1) | (drawn == CONV3):
        out = out.to(z.dtype.element_ty).to(tl.float32)         # the statistics are those of what is stored
        store_moments(moments + term * blocks * 2 * channels, out, block, inside, channel, pixels, channels, BLOCK_P)


@triton.jit(do_not_specialize=ALIKE)
def all_terms(source, z, weight1, weight3, moments, pixels, height, width, channels, blocks,
              src, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, PRECISION: tl.constexpr):
    """z of all four candidates of the edges that leave node src, in one pass, with one ReLU. Grid (blocks, edges)."""
    block, place = tl.program_id(0), tl.program_id(1)
    row, term = term_of(place * 4, src, 4)
    pixel, channel = block * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside = pixel < pixels
    size = pixels * channels
    centre = rows_of(source, pixel, inside, channel, channels)
    store_rows(z + term * size, pixel, inside, channel, channels, centre)
    kernel = kernel_of(weight1 + row * channels * channels, 0, 1, channel, channels, False)
    narrow = product(tl.maximum(centre, 0.0), kernel, z, PRECISION).to(z.dtype.element_ty).to(tl.float32)
    store_rows(z + (term + 1) * size, pixel, inside, channel, channels, narrow)
    store_moments(moments + (term + 1) * blocks * 2 * channels, narrow, block, inside, channel, pixels, channels,
                  BLOCK_P)
    wide, pooled = tl.zeros((BLOCK_P, BLOCK_C), tl.float32), tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    count = tl.zeros((BLOCK_P,), tl.float32)
    for tap in range(9):
        near, there = neighbour(pixel, tap, height, width, inside)
        rows = rows_of(source, near, there, channel, channels)
        kernel = kernel_of(weight3 + row * 9 * channels * channels, tap, 9, channel, channels, False)
        wide += product(tl.maximum(rows, 0.0), kernel, z, PRECISION)
        pooled += rows
        count += there.to(tl.float32)
    wide = wide.to(z.dtype.element_ty).to(tl.float32)
    store_rows(z + (term + 2) * size, pixel, inside, channel, channels, wide)
    store_moments(moments + (term + 2) * blocks * 2 * channels, wide, block, inside, channel, pixels, channels, BLOCK_P)
    store_rows(z + (term + 3) * size, pixel, inside, channel, channels, pooled / tl.maximum(count, 1.0)[:, None])


@triton.jit(do_not_specialize=ALIKE)
def statistics(moments, choice, weights, mean, variance, scale, pixels, channels, blocks, epsilon, src,
               SLOTS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr):
    """Of the terms that leave node src: mean and variance over all pixels from those of the blocks, and scale, (terms,
    C); without batch norm mean 0 and scale `weights`. The second loop finds what the first one lost. Grid (terms,)."""
    _, term = term_of(tl.program_id(0), src, SLOTS)
    drawn, weight = tl.load(choice + term), tl.load(weights + term)
    channel, member = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_N)
    is_channel = channel < channels
    middle, rest = tl.zeros((BLOCK_C,), tl.float32), tl.zeros((BLOCK_C,), tl.float32)
    spread, inverse = tl.zeros((BLOCK_C,), tl.float64), tl.zeros((BLOCK_C,), tl.float64) + 1.0
    if (drawn == CONV1) | (drawn == CONV3):
        of_blocks = moments + term * blocks * 2 * channels
        for start in range(0, blocks, BLOCK_N):
            block = start + member
            mask = (block < blocks)[:, None] & is_channel[None, :]
            members = tl.maximum(tl.minimum(BLOCK_P, pixels - block * BLOCK_P), 0).to(tl.float32)
            means = tl.load(of_blocks + block[:, None] * 2 * channels + channel[None, :], mask=mask, other=0.0)
            middle += tl.sum(means * members[:, None], 0)
        middle = middle / pixels
        for start in range(0, blocks, BLOCK_N):
            block = start + member
            mask = (block < blocks)[:, None] & is_channel[None, :]
            members = tl.maximum(tl.minimum(BLOCK_P, pixels - block * BLOCK_P), 0).to(tl.float32)
            place = of_blocks + block[:, None] * 2 * channels + channel[None, :]
            apart = tl.load(place, mask=mask, other=0.0) - middle[None, :]
            squares = tl.load(place + channels, mask=mask, other=0.0)
            rest += tl.sum(apart * members[:, None], 0)
            spread += tl.sum(tl.where(mask, squares + apart * apart * members[:, None], 0.0), 0).to(tl.float64)
        rest = rest / pixels
        spread = spread / pixels - rest * rest
        inverse = 1.0 / tl.sqrt(spread + epsilon)
    place = term * channels + channel
    tl.store(mean + place, middle + rest, mask=is_channel)
    tl.store(variance + place, spread.to(tl.float32), mask=is_channel)
    tl.store(scale + place, (weight * inverse).to(tl.float32), mask=is_channel)


@triton.jit(do_not_specialize=ALIKE)
def combine(z, scale, mean, choice, node, pixels, channels, dst, SLOTS: tl.constexpr, BLOCK_P: tl.constexpr,
            BLOCK_C: tl.constexpr):
    """The value of node dst from its terms."""
    pixel, channel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside = pixel < pixels
    total = sum_of_terms(z, scale, mean, choice, pixel, inside, channel, pixels, channels, dst, SLOTS, BLOCK_P, BLOCK_C)
    store_rows(node, pixel, inside, channel, channels, total)
