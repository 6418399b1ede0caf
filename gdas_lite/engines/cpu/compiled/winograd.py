"""3x3 convolutions, stride 1, with fewer products: Winograd's F(2x2, 3x3). Compiled by numba.

    y = A^T [ (G g G^T) . (B^T d B) ] A        d: 4x4 pixels, g: the kernel, y: 2x2 pixels

Sixteen products for four pixels in place of 36; summed over input channels they are sixteen matrix products. Backwards
each step is its adjoint. Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.

Tiles of an image are worked through some rows at a time (TOGETHER tiles; at least a row of them), so that all between
stays in the cache. A plane holds one of the sixteen numbers of every tile and channel: (tiles, C).
"""

from __future__ import annotations

import numpy as np

from ...graph import PLANES
from ...graph import TILES_TOGETHER as TOGETHER
from .matmul import product
from .pointers import REAL, load_number, store_number
from .registers import load_many, store_many
from .simd import add, load, multiply, spread, store, subtract, vector_size, zeros
from .vector_loops import compiled


@compiled
def input_tiles(lanes, out, x, pitch, size, tile_rows, tile_columns):
    """V = B^T d B of tiles two pixels apart; x: the first tile's first pixel. out: sixteen planes."""
    plane = tile_rows * tile_columns * size
    for row in range(tile_rows):
        for column in range(tile_columns):
            for offset in range(0, size, vector_size(lanes)):
                first = x + 2 * (row * pitch + column * size) + offset
                second, third, fourth = first + pitch, first + 2 * pitch, first + 3 * pitch
                to = out + (row * tile_columns + column) * size + offset
                times_b(to, plane, subtract(load_many(lanes, 4, first, size), load_many(lanes, 4, third, size)))
                times_b(to + 4 * plane, plane, add(load_many(lanes, 4, second, size), load_many(lanes, 4, third, size)))
                times_b(to + 8 * plane, plane,
                        subtract(load_many(lanes, 4, third, size), load_many(lanes, 4, second, size)))
                times_b(to + 12 * plane, plane,
                        subtract(load_many(lanes, 4, second, size), load_many(lanes, 4, fourth, size)))


@compiled
def times_b(to, plane, row):
    """A row times B, into four planes."""
    a, b, c, d = row
    store_many(to, plane, (subtract(a, c), add(b, c), subtract(c, b), subtract(b, d)))


@compiled
def output_tiles(lanes, out, width, made, size, tile_rows, tile_columns, rows):
    """Y = A^T M A into `rows` rows of `width` pixels; made: sixteen planes of M."""
    plane = tile_rows * tile_columns * size
    for row in range(tile_rows):
        for column in range(tile_columns):
            is_wide, is_tall = 2 * column + 1 < width, 2 * row + 1 < rows
            to = out + (2 * row * width + 2 * column) * size
            below = to + width * size
            for offset in range(0, size, vector_size(lanes)):
                at = made + (row * tile_columns + column) * size + offset
                top, middle = load_many(lanes, 4, at, plane), load_many(lanes, 4, at + 4 * plane, plane)
                below_middle = load_many(lanes, 4, at + 8 * plane, plane)
                times_a_turned(to + offset, size, add(add(top, middle), below_middle), is_wide)
                if is_tall:
                    last = load_many(lanes, 4, at + 12 * plane, plane)
                    times_a_turned(below + offset, size, subtract(subtract(middle, below_middle), last), is_wide)


@compiled
def times_a_turned(to, size, row, is_wide):
    """A row of A^T M times A, into two pixels or one."""
    a, b, c, d = row
    store(to, add(add(a, b), c))
    if is_wide:
        store(to + size, subtract(subtract(b, c), d))


@compiled
def gradient_tiles(lanes, out, slope, width, size, tile_rows, tile_columns, rows):
    """A dY A^T, the adjoint of `output_tiles`; pixels beyond the image count as zeros."""
    plane = tile_rows * tile_columns * size
    for row in range(tile_rows):
        for column in range(tile_columns):
            is_wide, is_tall = 2 * column + 1 < width, 2 * row + 1 < rows
            first = slope + (2 * row * width + 2 * column) * size
            below = first + width * size
            for offset in range(0, size, vector_size(lanes)):
                to = out + (row * tile_columns + column) * size + offset
                a = load(lanes, first + offset)
                b = load(lanes, first + size + offset) if is_wide else zeros(lanes)
                c = load(lanes, below + offset) if is_tall else zeros(lanes)
                d = load(lanes, below + size + offset) if is_wide and is_tall else zeros(lanes)
                times_a(lanes, to, plane, a, b)
                times_a(lanes, to + 4 * plane, plane, add(a, c), add(b, d))
                times_a(lanes, to + 8 * plane, plane, subtract(a, c), subtract(b, d))
                times_a(lanes, to + 12 * plane, plane, subtract(zeros(lanes), c), subtract(zeros(lanes), d))


@compiled
def times_a(lanes, to, plane, a, b):
    """A row (a, b) times A^T, into four planes."""
    store_many(to, plane, (a, add(a, b), subtract(a, b), subtract(zeros(lanes), b)))


@compiled
def add_input_gradients(lanes, grad_input, pitch, size, gradients, tile_rows, tile_columns):
    """Adds B dV B^T, the adjoint of `input_tiles`, to each tile's pixels; grad_input: the first tile's first."""
    plane = tile_rows * tile_columns * size
    for row in range(tile_rows):
        for column in range(tile_columns):
            for offset in range(0, size, vector_size(lanes)):
                first = gradients + (row * tile_columns + column) * size + offset
                second, third, fourth = first + plane, first + 2 * plane, first + 3 * plane
                to = grad_input + 2 * (row * pitch + column * size) + offset
                # a column of dV B^T a time
                add_b_times(lanes, to, pitch, load_many(lanes, 4, first, 4 * plane))
                column_of = subtract(load_many(lanes, 4, second, 4 * plane), load_many(lanes, 4, third, 4 * plane))
                add_b_times(lanes, to + size, pitch, add(column_of, load_many(lanes, 4, fourth, 4 * plane)))
                column_of = subtract(load_many(lanes, 4, second, 4 * plane), load_many(lanes, 4, first, 4 * plane))
                add_b_times(lanes, to + 2 * size, pitch, add(column_of, load_many(lanes, 4, third, 4 * plane)))
                add_b_times(lanes, to + 3 * size, pitch, subtract(zeros(lanes), load_many(lanes, 4, fourth, 4 * plane)))


@compiled
def add_b_times(lanes, to, pitch, column):
    """Adds B times a column to four pixels."""
    a, b, c, d = column
    store(to, add(load(lanes, to), a))
    store(to + pitch, add(load(lanes, to + pitch), add(subtract(b, c), d)))
    store(to + 2 * pitch, add(load(lanes, to + 2 * pitch), add(subtract(b, a), c)))
    store(to + 3 * pitch, subtract(load(lanes, to + 3 * pitch), d))


@compiled
def kernel_gradient(lanes, out, planes, channels, size, in_step, tap_step):
    """G^T P G of sixteen planes P (C_in, C_out), the gradient of a kernel (C_out, C_in, 3, 3), whose taps and input
    channels lie in any order. Overwrites the planes."""
    plane = channels * size
    for at in range(planes, planes + plane, vector_size(lanes)):
        for row in range(4):
            times_g(lanes, at + 4 * row * plane, plane)
        for column in range(3):
            times_g(lanes, at + column * plane, 4 * plane)
    for channel in range(channels):
        for tap in range(9):
            at = planes + (tap // 3 * 4 + tap % 3) * plane + channel * size
            to = out + channel * in_step + tap * tap_step
            for offset in range(0, size, REAL):
                store_number(to + offset * 9 * channels, load_number(at + offset))


@compiled
def times_g(lanes, at, step):
    """Three numbers of four: times G, or G^T from the left."""
    a, b, c, d = load_many(lanes, 4, at, step)
    half = spread(lanes, np.float32(0.5))
    both = multiply(half, add(b, c))
    store_many(at, step, (add(a, both), multiply(half, subtract(b, c)), add(both, d)))


@compiled
def tile_rows_together(width):
    """Rows of tiles that are worked on at a time, of an image of that width."""
    return max(1, TOGETHER // ((width + 1) // 2))


@compiled
def dense_forward(lanes, out, height, width, spread_x, pitch, border, size, out_size, transformed, tiles):
    """Convolves an image; spread_x: its input, bordered by zeros. transformed: (16, C_in, C_out). tiles: scratch."""
    columns, whole, together = (width + 1) // 2, (height + 1) // 2, tile_rows_together(width)
    channels, channels_out, made = size // REAL, out_size // REAL, tiles + PLANES * together * columns * size
    for first in range(0, whole, together):
        rows = min(together, whole - first)
        count = rows * columns
        input_tiles(lanes, tiles, spread_x + (2 * first + border - 1) * pitch + (border - 1) * size, pitch, size, rows,
                    columns)
        for plane in range(PLANES):
            product(lanes, made + plane * count * out_size, out_size, tiles + plane * count * size, size, REAL,
                    transformed + plane * channels * out_size, out_size, count, channels_out, channels, False)
        output_tiles(lanes, out + 2 * first * width * out_size, width, made, out_size, rows, columns,
                     height - 2 * first)


@compiled
def dense_backward(lanes, slope, height, width, spread_x, pitch, border, size, out_size, transformed, weights,
                   grad_input, grad_pitch, tiles):
    """Adds to the image's share of the weights' gradient (16, C_in, C_out) and to the input's gradient, where asked.

    slope: of the convolution's output, (pixels, C_out). transformed: (16, C_out, C_in). grad_input: the first pixel;
    there is room for one more before and for two behind, both ways.
    """
    columns, whole, together = (width + 1) // 2, (height + 1) // 2, tile_rows_together(width)
    channels, channels_out, made = size // REAL, out_size // REAL, tiles + PLANES * together * columns * size
    for first in range(0, whole, together):
        rows = min(together, whole - first)
        count = rows * columns
        gradient_tiles(lanes, made, slope + 2 * first * width * out_size, width, out_size, rows, columns,
                       height - 2 * first)
        if weights:
            input_tiles(lanes, tiles, spread_x + (2 * first + border - 1) * pitch + (border - 1) * size, pitch, size,
                        rows, columns)
            for plane in range(PLANES):
                product(lanes, weights + plane * channels * out_size, out_size, tiles + plane * count * size, REAL,
                        size, made + plane * count * out_size, out_size, channels, channels_out, count, True)
        if grad_input:
            for plane in range(PLANES):
                product(lanes, tiles + plane * count * size, size, made + plane * count * out_size, out_size, REAL,
                        transformed + plane * channels_out * size, size, count, channels, channels_out, False)
            add_input_gradients(lanes, grad_input + (2 * first - 1) * grad_pitch - size, grad_pitch, size, tiles, rows,
                                columns)
