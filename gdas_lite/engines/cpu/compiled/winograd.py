"""3x3 convolutions, stride 1, with fewer products: Winograd's F(4x4, 3x3), and F(2x2, 3x3) for small images. Compiled
by numba.

    y = A^T [ (G g G^T) . (B^T d B) ] A        d: 6x6 pixels, g: the kernel, y: 4x4 pixels

36 products for sixteen pixels in place of 144 (4x4: sixteen for four in place of 36); summed over input channels they
are so many matrix products. Backwards each step is its adjoint. Source: Lavin & Gray, "Fast Algorithms for
Convolutional Neural Networks", CVPR 2016.

Tiles of an image are worked through some rows at a time (TOGETHER tiles; at least a row of them), so that all between
stays in the cache. A plane holds one of the numbers (side * side) of every tile and channel: (tiles, C).
"""

from ...graph import LARGE, SMALL
from ...graph import TILES_TOGETHER as TOGETHER
from .matmul import product
from .pointers import REAL, load_number, store_number
from .registers import known
from .simd import load, store, vector_size
from .tiles import INPUT, INPUT_BACK, KERNEL_BACK, OUTPUT, OUTPUT_BACK, turn_tile
from .vector_loops import LINE, clear, compiled

ALL = 2**31     # pixels: as many as tiles reach


@compiled
def turned(lanes, side, change, *given):
    if side == LARGE:
        turn_tile(lanes, known(LARGE), change, *given)
    else:
        turn_tile(lanes, known(SMALL), change, *given)


@compiled
def turn_tiles(lanes, side, change, pixels, pitch, size, planes, plane, rows, columns, height, width, patch):
    """`turn_tile` of all channels of tiles that lie side by side. Of what they reach, height times width pixels are
    there; the others count as zeros. patch: scratch of a tile and a vector of channels."""
    apart, step = side - 2, vector_size(lanes)
    for row in range(rows):
        for column in range(columns):
            tall, wide = min(apart, height - apart * row), min(apart, width - apart * column)
            for offset in range(0, size, step):
                at, at_pitch, at_step = pixels + apart * (row * pitch + column * size) + offset, pitch, size
                if tall < apart or wide < apart:
                    there, at, at_pitch, at_step = at, patch, apart * step, step
                    clear(lanes, patch, apart * apart * step)
                    copy_patch(lanes, patch, at_pitch, step, there, pitch, size, tall, wide)
                turned(lanes, side, change, at, at_pitch, at_step, planes + (row * columns + column) * size + offset,
                       plane)
                if at == patch:
                    copy_patch(lanes, there, pitch, size, patch, at_pitch, step, tall, wide)


@compiled
def copy_patch(lanes, to, to_pitch, to_step, x, pitch, step, rows, columns):
    for row in range(rows):
        for column in range(columns):
            store(to + row * to_pitch + column * to_step, load(lanes, x + row * pitch + column * step))


@compiled
def kernel_gradient(lanes, side, out, planes, channels, size, in_step, tap_step):
    """G^T P G of planes P (C_in, C_out), the gradient of a kernel (C_out, C_in, 3, 3), whose taps and input channels
    lie in any order. Overwrites the planes."""
    plane = channels * size
    for at in range(planes, planes + plane, vector_size(lanes)):
        turned(lanes, side, known(KERNEL_BACK), at, 3 * plane, plane, at, plane)
    for channel in range(channels):
        for tap in range(9):
            at = planes + tap * plane + channel * size
            to = out + channel * in_step + tap * tap_step
            for offset in range(0, size, REAL):
                store_number(to + offset * 9 * channels, load_number(at + offset))


@compiled
def tiling(side, height, width):
    """Outputs of a tile's side, tiles of an image both ways, and rows of tiles that are worked on at a time."""
    apart = side - 2
    columns = (width + apart - 1) // apart
    return apart, (height + apart - 1) // apart, columns, max(1, TOGETHER // columns)


@compiled
def dense_forward(lanes, side, out, height, width, spread_x, pitch, border, size, out_size, transformed, tiles):
    """Convolves an image; spread_x: its input, bordered by zeros. transformed: planes of (C_in, C_out). tiles: scratch.
    """
    apart, whole, columns, together = tiling(side, height, width)
    channels, channels_out, count = size // REAL, out_size // REAL, side * side
    plane, made_plane = together * columns * size + LINE, together * columns * out_size + LINE      # not alike in bits
    made = tiles + count * plane
    patch = made + count * made_plane
    for first in range(0, whole, together):
        rows = min(together, whole - first)
        turn_tiles(lanes, side, known(INPUT), spread_x + (apart * first + border - 1) * pitch + (border - 1) * size,
                   pitch, size, tiles, plane, rows, columns, ALL, ALL, patch)
        for one in range(count):
            product(lanes, made + one * made_plane, out_size, tiles + one * plane, size, REAL,
                    transformed + one * channels * out_size, out_size, rows * columns, channels_out, channels, False)
        turn_tiles(lanes, side, known(OUTPUT), out + apart * first * width * out_size, width * out_size, out_size, made,
                   made_plane, rows, columns, height - apart * first, width, patch)


@compiled
def dense_backward(lanes, side, slope, height, width, spread_x, pitch, border, size, out_size, transformed, weights,
                   grad_input, grad_pitch, tiles):
    """Adds to the image's share of the weights' gradient, planes of (C_in, C_out), and to the input's gradient, where
    asked.

    slope: of the convolution's output, (pixels, C_out). transformed: planes of (C_out, C_in). grad_input: the first
    pixel; there is room for one more before and for as many behind as a tile reaches, both ways.
    """
    apart, whole, columns, together = tiling(side, height, width)
    channels, channels_out, count = size // REAL, out_size // REAL, side * side
    plane, made_plane = together * columns * size + LINE, together * columns * out_size + LINE
    made = tiles + count * plane
    patch = made + count * made_plane
    for first in range(0, whole, together):
        rows = min(together, whole - first)
        turn_tiles(lanes, side, known(OUTPUT_BACK), slope + apart * first * width * out_size, width * out_size,
                   out_size, made, made_plane, rows, columns, height - apart * first, width, patch)
        if weights:
            turn_tiles(lanes, side, known(INPUT), spread_x + (apart * first + border - 1) * pitch + (border - 1) * size,
                       pitch, size, tiles, plane, rows, columns, ALL, ALL, patch)
            for one in range(count):
                product(lanes, weights + one * channels * out_size, out_size, tiles + one * plane, REAL, size,
                        made + one * made_plane, out_size, channels, channels_out, rows * columns, True)
        if grad_input:
            for one in range(count):
                product(lanes, tiles + one * plane, size, made + one * made_plane, out_size, REAL,
                        transformed + one * channels_out * size, size, rows * columns, channels, channels_out, False)
            turn_tiles(lanes, side, known(INPUT_BACK), grad_input + (apart * first - 1) * grad_pitch - size, grad_pitch,
                       size, tiles, plane, rows, columns, ALL, ALL, patch)
