"""The inner loops of depth-wise convolutions and of their taps' gradients: what stays in registers. Compiled by numba;
all arguments are addresses, byte steps and counts.

Pixels are mostly as far apart as taps (stride and dilation 1; with dilation 2 so are those that a tap meets together):
then a pixel is read once for all taps of a row.
"""

from .registers import known, load_many, slide, store_many, zeros_many
from .simd import add, fma, load, vector_size
from .vector_loops import compiled


@compiled
def depthwise_line(lanes, out, out_step, x, x_step, row_step, tap_step, taps, taps_step, kernel, pixels, size, adds):
    """Depth-wise convolution (3x3 or 5x5) of neighbouring pixels of `size` bytes, without a border: x points at the
    first tap.

    adds: to what `out` holds. taps: of these channels, taps_step from one to the next (negative: turned by 180
    degrees). Up to seven pixels behind the last are overwritten.
    """
    for offset in range(0, size, vector_size(lanes)):
        done = 0
        if tap_step == 2 * x_step:
            while done + 16 <= pixels:
                for first in range(done, done + 2):     # the even, the odd ones
                    eight_pixels(lanes, out + first * out_step + offset, 2 * out_step, x + first * x_step + offset,
                                 tap_step, row_step, tap_step, taps + offset, taps_step, kernel, adds)
                done += 16
        for column in range(done, pixels, 8):
            eight_pixels(lanes, out + column * out_step + offset, out_step, x + column * x_step + offset, x_step,
                         row_step, tap_step, taps + offset, taps_step, kernel, adds)


@compiled
def eight_pixels(lanes, out, out_step, x, x_step, row_step, tap_step, taps, taps_step, kernel, adds):
    """`depthwise_line` of eight pixels and a vector of channels."""
    sums = zeros_many(lanes, 8)
    if adds:
        sums = load_many(lanes, 8, out, out_step)
    for _ in range(kernel):
        if tap_step != x_step:
            at, tap = x, taps
            for _ in range(kernel):
                sums = fma(load_many(lanes, 8, at, x_step), load(lanes, tap), sums)
                at += tap_step
                tap += taps_step
        elif kernel == 3:
            sums = slide(sums, x, x_step, load_many(lanes, 3, taps, taps_step))
        else:
            sums = slide(sums, x, x_step, load_many(lanes, 5, taps, taps_step))
        x += row_step
        taps += kernel * taps_step
    store_many(out, out_step, sums)


@compiled
def tap_gradients(lanes, out, x, x_step, tap_step, grad, grad_step, kernel, pixels, size):
    """Adds to a row of three or five taps of `size` bytes: sum over pixels of x (shifted) * grad. One or, where taps
    are two pixels apart, two more pixels of grad may be read; they must be zero."""
    for offset in range(0, size, vector_size(lanes)):
        to, at, other = out + offset, x + offset, grad + offset
        if tap_step == x_step:
            neighbours_taps(lanes, to, size, at, x_step, other, grad_step, kernel, pixels)
        elif tap_step == 2 * x_step:
            neighbours_taps(lanes, to, size, at, tap_step, other, 2 * grad_step, kernel, (pixels + 1) // 2)
            neighbours_taps(lanes, to, size, at + x_step, tap_step, other + grad_step, 2 * grad_step, kernel,
                            pixels // 2)
        elif kernel == 3:
            all_taps(lanes, to, size, at, x_step, tap_step, other, grad_step, known(3), pixels)
        else:
            all_taps(lanes, to, size, at, x_step, tap_step, other, grad_step, known(5), pixels)


@compiled
def neighbours_taps(lanes, out, out_step, x, step, grad, grad_step, kernel, pixels):
    """`all_taps`, where pixels are as far apart as taps, `step`."""
    if kernel == 3:
        sliding_taps(lanes, out, out_step, x, step, grad, grad_step, known(3), pixels)
    else:
        sliding_taps(lanes, out, out_step, x, step, grad, grad_step, known(5), pixels)


@compiled
def sliding_taps(lanes, out, out_step, x, step, grad, grad_step, taps, pixels):
    """As `all_taps`, each pixel read once."""
    even = odd = zeros_many(lanes, taps)
    seen = load_many(lanes, even[1:], x, step)
    x += len(seen) * step
    for _ in range(0, pixels, 2):
        seen = seen + load_many(lanes, 2, x, step)
        even = fma(seen[:-1], load(lanes, grad), even)
        odd = fma(seen[1:], load(lanes, grad + grad_step), odd)
        seen = seen[2:]
        x += 2 * step
        grad += 2 * grad_step
    store_many(out, out_step, add(load_many(lanes, taps, out, out_step), add(even, odd)))


@compiled
def all_taps(lanes, out, out_step, x, x_step, tap_step, grad, grad_step, taps, pixels):
    """Adds to a row of so many taps, a vector of channels: sum over pixels of x (shifted) * grad. Of an odd count of
    pixels one more of grad is read, which must be zero."""
    even = odd = zeros_many(lanes, taps)
    for _ in range(0, pixels, 2):
        even = fma(load_many(lanes, taps, x, tap_step), load(lanes, grad), even)
        odd = fma(load_many(lanes, taps, x + x_step, tap_step), load(lanes, grad + grad_step), odd)
        x += 2 * x_step
        grad += 2 * grad_step
    store_many(out, out_step, add(load_many(lanes, taps, out, out_step), add(even, odd)))
