"""What the kernels of a search cell share. Maps are (pixels of all images, channels), channels innermost; a program
works on BLOCK_P pixels and all channels, padded to BLOCK_C; sums and products in float32.

A cell's candidates are *terms*: SLOTS of them an edge, one where a candidate was drawn, four where all run. Term
`row * SLOTS + slot` has a column of NAS-Bench-201 in `choice`, read on the device, a map in z (terms, pixels, C) in
front of its batch norm, and there `scale` and `mean` (terms, C): node = sum over incoming terms of scale * (z - mean),
where scale * z - shift would lose digits of a map far from zero. Edge (src, dst) has row dst * (dst - 1) / 2 + src: the
edges into a node follow one another.

Numbers in ALIKE are not worth a compiled kernel for each of their values.
"""

from __future__ import annotations

import triton
import triton.language as tl

SKIP = tl.constexpr(1)
CONV1 = tl.constexpr(2)
CONV3 = tl.constexpr(3)
POOL = tl.constexpr(4)
ALIKE = ("src", "dst", "blocks", "splits", "blocks_each")


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
def store_rows(values, pixel, inside, channel, channels, rows):
    mask = inside[:, None] & (channel < channels)[None, :]
    tl.store(values + pixel[:, None] * channels + channel[None, :], rows.to(values.dtype.element_ty), mask=mask)


@triton.jit
def kernel_of(weight, tap, taps, channel, channels, transposed: tl.constexpr):
    """One tap of a weight (C_out, taps, C_in): (C_in, C_out), or (C_out, C_in) if `transposed`."""
    if transposed:
        places = channel[:, None] * taps * channels + channel[None, :]
    else:
        places = channel[None, :] * taps * channels + channel[:, None]
    mask = (channel < channels)[:, None] & (channel < channels)[None, :]
    return tl.load(weight + tap * channels + places, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def product(a, b, like, PRECISION: tl.constexpr):
    """a @ b in float32; the factors are rounded as the maps `like` are. PRECISION: "bf16", "tf32" or "ieee"."""
    if PRECISION == "bf16":
        found = tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16))
    else:
        a, b = a.to(like.dtype.element_ty).to(tl.float32), b.to(like.dtype.element_ty).to(tl.float32)
        found = tl.dot(a, b, input_precision=PRECISION)
    return found


@triton.jit
def term_of(place, src, SLOTS: tl.constexpr):
    """Row and term of the `place`-th term that leaves node src."""
    dst = src + 1 + place // SLOTS
    row = dst * (dst - 1) // 2 + src
    return row, row * SLOTS + place % SLOTS


@triton.jit
def sum_of_terms(z, scale, mean, choice, pixel, there, channel, pixels, channels, dst, SLOTS: tl.constexpr,
                 BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """The value of node dst at some pixels, zeros where not `there`, rounded as it is stored."""
    is_channel = channel < channels
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    first = dst * (dst - 1) // 2 * SLOTS
    for term in range(first, first + dst * SLOTS):
        if tl.load(choice + term) > 0:
            factor = tl.load(scale + term * channels + channel, mask=is_channel, other=0.0)
            level = tl.load(mean + term * channels + channel, mask=is_channel, other=0.0)
            rows = rows_of(z + term * pixels * channels, pixel, there, channel, channels)
            total += (rows - level[None, :]) * factor[None, :]
    return tl.where(there[:, None], total, 0.0).to(z.dtype.element_ty).to(tl.float32)


@triton.jit
def node_rows(source, z, scale, mean, choice, pixel, there, channel, pixels, channels, src, SLOTS: tl.constexpr,
              IS_STORED: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """Rows of node src: from `source` if it is stored there, else from the terms that lead into it."""
    if IS_STORED:
        found = rows_of(source, pixel, there, channel, channels)
    else:
        found = sum_of_terms(z, scale, mean, choice, pixel, there, channel, pixels, channels, src, SLOTS, BLOCK_P,
                             BLOCK_C)
    return found


@triton.jit
def store_moments(moments, out, block, inside, channel, pixels, channels, BLOCK_P: tl.constexpr):
    """A block's mean and sum of squared differences from it, (2, C)."""
    mask = inside[:, None] & (channel < channels)[None, :]
    members = tl.minimum(BLOCK_P, pixels - block * BLOCK_P)
    mean = tl.sum(tl.where(mask, out, 0.0), 0) / members
    mean += tl.sum(tl.where(mask, out - mean[None, :], 0.0), 0) / members       # what the first sum lost
    apart = tl.where(mask, out - mean[None, :], 0.0)
    place = moments + block * 2 * channels + channel
    tl.store(place, mean, mask=channel < channels)
    tl.store(place + channels, tl.sum(apart * apart, 0), mask=channel < channels)


@triton.jit
def slope_of(grad, z, factors, pixel, there, channel, channels):
    """The gradient of z, (pixels, C): f[0] * grad + f[1] * (z - f[2]) + f[3] of factors f, zeros where not `there`."""
    is_channel = channel < channels
    first = tl.load(factors + channel, mask=is_channel, other=0.0)
    second = tl.load(factors + channels + channel, mask=is_channel, other=0.0)
    mean = tl.load(factors + 2 * channels + channel, mask=is_channel, other=0.0)
    last = tl.load(factors + 3 * channels + channel, mask=is_channel, other=0.0)
    found = rows_of(grad, pixel, there, channel, channels) * first[None, :] + last[None, :]
    found += (rows_of(z, pixel, there, channel, channels) - mean[None, :]) * second[None, :]
    return tl.where(there[:, None] & is_channel[None, :], found, 0.0)
