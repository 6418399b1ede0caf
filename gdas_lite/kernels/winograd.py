"""3x3 convolutions, stride 1, with fewer products: Winograd's F(2x2, 3x3). Compiled by numba.

    y = A^T [ (G g G^T) . (B^T d B) ] A        d: 4x4 pixels, g: the kernel, y: 2x2 pixels

Sixteen products for four pixels in place of 36; summed over input channels they are sixteen matrix products. The backward
pass is the adjoint of each step. Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.

Tiles of an image are worked through some rows at a time (TOGETHER tiles; at least a row of them), so that all between stays
in the cache. A plane holds one of the sixteen numbers of every tile and channel: (tiles, C).
"""

from __future__ import annotations

from .graph import PLANES
from .graph import TILES_TOGETHER as TOGETHER
from .simd import REAL, VECTOR, add, load, store, subtract, zeros
from .tiles import compiled, product


@compiled
def input_tiles(out, x, pitch, size, tile_rows, tile_columns):
    """V = B^T d B of tiles that start two pixels apart; x points at the first tile's first pixel. out: sixteen planes."""
    plane = tile_rows * tile_columns * size
    for row in range(tile_rows):
        for column in range(tile_columns):
            for offset in range(0, size, VECTOR):
                at = x + 2 * (row * pitch + column * size) + offset
                to = out + (row * tile_columns + column) * size + offset
                second, third, fourth = at + pitch, at + 2 * pitch, at + 3 * pitch
                a, b = subtract(load(at), load(third)), subtract(load(at + size), load(third + size))
                c = subtract(load(at + 2 * size), load(third + 2 * size))
                d = subtract(load(at + 3 * size), load(third + 3 * size))
                times_b(to, plane, a, b, c, d)
                a, b = add(load(second), load(third)), add(load(second + size), load(third + size))
                c, d = (add(load(second + 2 * size), load(third + 2 * size)),
                        add(load(second + 3 * size), load(third + 3 * size)))
                times_b(to + 4 * plane, plane, a, b, c, d)
                a, b = subtract(load(third), load(second)), subtract(load(third + size), load(second + size))
                c = subtract(load(third + 2 * size), load(second + 2 * size))
                d = subtract(load(third + 3 * size), load(second + 3 * size))
                times_b(to + 8 * plane, plane, a, b, c, d)
                a, b = subtract(load(second), load(fourth)), subtract(load(second + size), load(fourth + size))
                c = subtract(load(second + 2 * size), load(fourth + 2 * size))
                d = subtract(load(second + 3 * size), load(fourth + 3 * size))
                times_b(to + 12 * plane, plane, a, b, c, d)


@compiled
def times_b(to, plane, a, b, c, d):
    """A row times B, into four planes."""
    store(to, subtract(a, c))
    store(to + plane, add(b, c))
    store(to + 2 * plane, subtract(c, b))
    store(to + 3 * plane, subtract(b, d))


@compiled
def output_tiles(out, step, width, made, size, tile_rows, tile_columns, rows):
    """Y = A^T M A into `rows` rows of `width` pixels, `step` bytes apart; made: sixteen planes of M."""
    plane = tile_rows * tile_columns * size
    for row in range(tile_rows):
        for column in range(tile_columns):
            is_wide, is_tall = 2 * column + 1 < width, 2 * row + 1 < rows
            to = out + (2 * row * width + 2 * column) * step
            below = to + width * step
            for offset in range(0, size, VECTOR):
                at = made + (row * tile_columns + column) * size + offset
                a, b = down(at, 4 * plane), down(at + plane, 4 * plane)
                c, d = down(at + 2 * plane, 4 * plane), down(at + 3 * plane, 4 * plane)
                store(to + offset, add(add(a, b), c))
                if is_wide:
                    store(to + step + offset, subtract(subtract(b, c), d))
                if is_tall:
                    a, b = down_below(at, 4 * plane), down_below(at + plane, 4 * plane)
                    c, d = down_below(at + 2 * plane, 4 * plane), down_below(at + 3 * plane, 4 * plane)
                    store(below + offset, add(add(a, b), c))
                    if is_wide:
                        store(below + step + offset, subtract(subtract(b, c), d))


@compiled
def down(at, step):
    """First row of A^T times a column."""
    return add(add(load(at), load(at + step)), load(at + 2 * step))


@compiled
def down_below(at, step):
    """Second row of A^T times a column."""
    return subtract(subtract(load(at + step), load(at + 2 * step)), load(at + 3 * step))


@compiled
def slope_tiles(out, slope, width, size, tile_rows, tile_columns, rows):
    """A dY A^T, the adjoint of `output_tiles`; pixels beyond the image count as zeros."""
    plane = tile_rows * tile_columns * size
    for row in range(tile_rows):
        for column in range(tile_columns):
            is_wide, is_tall = 2 * column + 1 < width, 2 * row + 1 < rows
            first = slope + (2 * row * width + 2 * column) * size
            below = first + width * size
            for offset in range(0, size, VECTOR):
                to = out + (row * tile_columns + column) * size + offset
                a = load(first + offset)
                b = load(first + size + offset) if is_wide else zeros()
                c = load(below + offset) if is_tall else zeros()
                d = load(below + size + offset) if is_wide and is_tall else zeros()
                times_a(to, plane, a, b)
                times_a(to + 4 * plane, plane, add(a, c), add(b, d))
                times_a(to + 8 * plane, plane, subtract(a, c), subtract(b, d))
                times_a(to + 12 * plane, plane, subtract(zeros(), c), subtract(zeros(), d))


@compiled
def times_a(to, plane, a, b):
    """A row (a, b) times A^T, into four planes."""
    store(to, a)
    store(to + plane, add(a, b))
    store(to + 2 * plane, subtract(a, b))
    store(to + 3 * plane, subtract(zeros(), b))


@compiled
def add_input_slopes(pull, pitch, size, slopes, tile_rows, tile_columns):
    """Adds B dV B^T, the adjoint of `input_tiles`, to the pixels that each tile was made of; pull: the first tile's first."""
    plane = tile_rows * tile_columns * size
    for row in range(tile_rows):
        for column in range(tile_columns):
            for offset in range(0, size, VECTOR):
                at = slopes + (row * tile_columns + column) * size + offset
                to = pull + 2 * (row * pitch + column * size) + offset
                for place in range(4):      # a column of dV B^T a time
                    if place == 0:
                        a, b, c, d = load(at), load(at + 4 * plane), load(at + 8 * plane), load(at + 12 * plane)
                    elif place == 1:
                        a, b = middle(at, plane), middle(at + 4 * plane, plane)
                        c, d = middle(at + 8 * plane, plane), middle(at + 12 * plane, plane)
                    elif place == 2:
                        a, b = after(at, plane), after(at + 4 * plane, plane)
                        c, d = after(at + 8 * plane, plane), after(at + 12 * plane, plane)
                    else:
                        a, b = subtract(zeros(), load(at + 3 * plane)), subtract(zeros(), load(at + 7 * plane))
                        c, d = subtract(zeros(), load(at + 11 * plane)), subtract(zeros(), load(at + 15 * plane))
                    store(to, add(load(to), a))
                    store(to + pitch, add(load(to + pitch), add(subtract(b, c), d)))
                    store(to + 2 * pitch, add(load(to + 2 * pitch), add(subtract(b, a), c)))
                    store(to + 3 * pitch, subtract(load(to + 3 * pitch), d))
                    to += size


@compiled
def middle(at, plane):
    """A row times B^T, second number."""
    return add(subtract(load(at + plane), load(at + 2 * plane)), load(at + 3 * plane))


@compiled
def after(at, plane):
    """A row times B^T, third number."""
    return add(subtract(load(at + plane), load(at)), load(at + 2 * plane))


@compiled
def tile_rows_together(width):
    """Rows of tiles that are worked on at a time, of an image of that width."""
    return max(1, TOGETHER // ((width + 1) // 2))


@compiled
def dense_forward(out, step, height, width, spread_x, pitch, border, size, out_size, transformed, tiles):
    """A convolution of an image; spread_x: its input with a border of zeros. transformed: (16, C_in, C_out). tiles: scratch."""
    columns, whole, together = (width + 1) // 2, (height + 1) // 2, tile_rows_together(width)
    channels, channels_out, made = size // REAL, out_size // REAL, tiles + PLANES * together * columns * size
    for first in range(0, whole, together):
        rows = min(together, whole - first)
        count = rows * columns
        input_tiles(tiles, spread_x + (2 * first + border - 1) * pitch + (border - 1) * size, pitch, size, rows, columns)
        for plane in range(PLANES):
            product(made + plane * count * out_size, out_size, tiles + plane * count * size, size, REAL,
                    transformed + plane * channels * out_size, out_size, count, channels_out, channels, False)
        output_tiles(out + 2 * first * width * step, step, width, made, out_size, rows, columns, height - 2 * first)


@compiled
def dense_backward(slope, height, width, spread_x, pitch, border, size, out_size, transformed, weights, pull, pull_pitch,
                   tiles):
    """Adds to the image's share of the weights' gradient (16, C_in, C_out) and to the input's gradient, where asked.

    slope: of the convolution's output, (pixels, C_out). transformed: (16, C_out, C_in). pull: the first pixel; there is room
    for one more before and for two behind, both ways.
    """
    columns, whole, together = (width + 1) // 2, (height + 1) // 2, tile_rows_together(width)
    channels, channels_out, made = size // REAL, out_size // REAL, tiles + PLANES * together * columns * size
    for first in range(0, whole, together):
        rows = min(together, whole - first)
        count = rows * columns
        slope_tiles(made, slope + 2 * first * width * out_size, width, out_size, rows, columns, height - 2 * first)
        if weights:
            input_tiles(tiles, spread_x + (2 * first + border - 1) * pitch + (border - 1) * size, pitch, size, rows, columns)
            for plane in range(PLANES):
                product(weights + plane * channels * out_size, out_size, tiles + plane * count * size, REAL, size,
                        made + plane * count * out_size, out_size, channels, channels_out, count, True)
        if pull:
            for plane in range(PLANES):
                product(tiles + plane * count * size, size, made + plane * count * out_size, out_size, REAL,
                        transformed + plane * channels_out * size, size, count, channels, channels_out, False)
            add_input_slopes(pull + (2 * first - 1) * pull_pitch - size, pull_pitch, size, tiles, rows, columns)

