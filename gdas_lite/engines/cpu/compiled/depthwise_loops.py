"""The inner loops of depth-wise convolutions and of their taps' gradients: what stays in registers. Compiled by numba;
all arguments are addresses, byte steps and counts.

Pixels are mostly as far apart as taps (stride and dilation 1; with dilation 2 so are those that a tap meets together):
then a pixel is read once for all taps of a row.
"""

from __future__ import annotations

from .simd import add, fma, load, store, vector_size, zeros
from .vector_loops import compiled, load_eight, store_eight


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
    a = b = c = d = e = f = g = h = zeros(lanes)
    if adds:
        a, b, c, d, e, f, g, h = load_eight(lanes, out, out_step)
    for _ in range(kernel):
        if tap_step != x_step:
            a, b, c, d, e, f, g, h = along_any(lanes, a, b, c, d, e, f, g, h, x, x_step, tap_step, taps, taps_step,
                                               kernel)
        elif kernel == 3:
            a, b, c, d, e, f, g, h = along_three(lanes, a, b, c, d, e, f, g, h, x, x_step, taps, taps_step)
        else:
            a, b, c, d, e, f, g, h = along_five(lanes, a, b, c, d, e, f, g, h, x, x_step, taps, taps_step)
        x += row_step
        taps += kernel * taps_step
    store_eight(out, out_step, a, b, c, d, e, f, g, h)


@compiled
def along_any(lanes, a, b, c, d, e, f, g, h, x, x_step, tap_step, taps, taps_step, kernel):
    """A row of taps, added to eight pixels a to h."""
    for _ in range(kernel):
        tap = load(lanes, taps)
        a, b = fma(load(lanes, x), tap, a), fma(load(lanes, x + x_step), tap, b)
        c, d = fma(load(lanes, x + 2 * x_step), tap, c), fma(load(lanes, x + 3 * x_step), tap, d)
        e, f = fma(load(lanes, x + 4 * x_step), tap, e), fma(load(lanes, x + 5 * x_step), tap, f)
        g, h = fma(load(lanes, x + 6 * x_step), tap, g), fma(load(lanes, x + 7 * x_step), tap, h)
        x += tap_step
        taps += taps_step
    return a, b, c, d, e, f, g, h


@compiled
def along_three(lanes, a, b, c, d, e, f, g, h, x, step, taps, taps_step):
    """As `along_any`, three taps as far apart as pixels, `step`."""
    p, q, r = load(lanes, taps), load(lanes, taps + taps_step), load(lanes, taps + 2 * taps_step)
    v = load(lanes, x)
    a = fma(v, p, a)
    v = load(lanes, x + step)
    b, a = fma(v, p, b), fma(v, q, a)
    v = load(lanes, x + 2 * step)
    c, b, a = fma(v, p, c), fma(v, q, b), fma(v, r, a)
    v = load(lanes, x + 3 * step)
    d, c, b = fma(v, p, d), fma(v, q, c), fma(v, r, b)
    v = load(lanes, x + 4 * step)
    e, d, c = fma(v, p, e), fma(v, q, d), fma(v, r, c)
    v = load(lanes, x + 5 * step)
    f, e, d = fma(v, p, f), fma(v, q, e), fma(v, r, d)
    v = load(lanes, x + 6 * step)
    g, f, e = fma(v, p, g), fma(v, q, f), fma(v, r, e)
    v = load(lanes, x + 7 * step)
    h, g, f = fma(v, p, h), fma(v, q, g), fma(v, r, f)
    v = load(lanes, x + 8 * step)
    h, g = fma(v, q, h), fma(v, r, g)
    v = load(lanes, x + 9 * step)
    h = fma(v, r, h)
    return a, b, c, d, e, f, g, h


@compiled
def along_five(lanes, a, b, c, d, e, f, g, h, x, step, taps, taps_step):
    """As `along_three`, five taps."""
    p, q, r = load(lanes, taps), load(lanes, taps + taps_step), load(lanes, taps + 2 * taps_step)
    s, t = load(lanes, taps + 3 * taps_step), load(lanes, taps + 4 * taps_step)
    v = load(lanes, x)
    a = fma(v, p, a)
    v = load(lanes, x + step)
    b, a = fma(v, p, b), fma(v, q, a)
    v = load(lanes, x + 2 * step)
    c, b, a = fma(v, p, c), fma(v, q, b), fma(v, r, a)
    v = load(lanes, x + 3 * step)
    d, c, b, a = fma(v, p, d), fma(v, q, c), fma(v, r, b), fma(v, s, a)
    v = load(lanes, x + 4 * step)
    e, d, c, b, a = fma(v, p, e), fma(v, q, d), fma(v, r, c), fma(v, s, b), fma(v, t, a)
    v = load(lanes, x + 5 * step)
    f, e, d, c, b = fma(v, p, f), fma(v, q, e), fma(v, r, d), fma(v, s, c), fma(v, t, b)
    v = load(lanes, x + 6 * step)
    g, f, e, d, c = fma(v, p, g), fma(v, q, f), fma(v, r, e), fma(v, s, d), fma(v, t, c)
    v = load(lanes, x + 7 * step)
    h, g, f, e, d = fma(v, p, h), fma(v, q, g), fma(v, r, f), fma(v, s, e), fma(v, t, d)
    v = load(lanes, x + 8 * step)
    h, g, f, e = fma(v, q, h), fma(v, r, g), fma(v, s, f), fma(v, t, e)
    v = load(lanes, x + 9 * step)
    h, g, f = fma(v, r, h), fma(v, s, g), fma(v, t, f)
    v = load(lanes, x + 10 * step)
    h, g = fma(v, s, h), fma(v, t, g)
    v = load(lanes, x + 11 * step)
    h = fma(v, t, h)
    return a, b, c, d, e, f, g, h


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
            three_taps(lanes, to, size, at, x_step, tap_step, other, grad_step, pixels)
        else:
            five_taps(lanes, to, size, at, x_step, tap_step, other, grad_step, pixels)


@compiled
def neighbours_taps(lanes, out, out_step, x, step, grad, grad_step, kernel, pixels):
    """`three_taps` or `five_taps`, where pixels are as far apart as taps, `step`."""
    if kernel == 3:
        three_neighbours(lanes, out, out_step, x, step, grad, grad_step, pixels)
    else:
        five_neighbours(lanes, out, out_step, x, step, grad, grad_step, pixels)


@compiled
def three_neighbours(lanes, out, out_step, x, step, grad, grad_step, pixels):
    """As `three_taps`, where pixels are as far apart as taps, `step`."""
    a = b = c = d = e = f = zeros(lanes)
    p, q = load(lanes, x), load(lanes, x + step)
    for _ in range(0, pixels, 2):
        x += 2 * step
        r, s = load(lanes, x), load(lanes, x + step)
        g = load(lanes, grad)
        a, b, c = fma(p, g, a), fma(q, g, b), fma(r, g, c)
        g = load(lanes, grad + grad_step)
        d, e, f = fma(q, g, d), fma(r, g, e), fma(s, g, f)
        p, q = r, s
        grad += 2 * grad_step
    store(out, add(load(lanes, out), add(a, d)))
    store(out + out_step, add(load(lanes, out + out_step), add(b, e)))
    store(out + 2 * out_step, add(load(lanes, out + 2 * out_step), add(c, f)))


@compiled
def five_neighbours(lanes, out, out_step, x, step, grad, grad_step, pixels):
    """As `three_neighbours`, of a row of five."""
    a = b = c = d = e = a1 = b1 = c1 = d1 = e1 = zeros(lanes)
    p, q, r, s = load(lanes, x), load(lanes, x + step), load(lanes, x + 2 * step), load(lanes, x + 3 * step)
    for _ in range(0, pixels, 2):
        u, v = load(lanes, x + 4 * step), load(lanes, x + 5 * step)
        g = load(lanes, grad)
        a, b, c, d, e = fma(p, g, a), fma(q, g, b), fma(r, g, c), fma(s, g, d), fma(u, g, e)
        g = load(lanes, grad + grad_step)
        a1, b1, c1, d1, e1 = fma(q, g, a1), fma(r, g, b1), fma(s, g, c1), fma(u, g, d1), fma(v, g, e1)
        p, q, r, s = r, s, u, v
        x += 2 * step
        grad += 2 * grad_step
    store(out, add(load(lanes, out), add(a, a1)))
    store(out + out_step, add(load(lanes, out + out_step), add(b, b1)))
    store(out + 2 * out_step, add(load(lanes, out + 2 * out_step), add(c, c1)))
    store(out + 3 * out_step, add(load(lanes, out + 3 * out_step), add(d, d1)))
    store(out + 4 * out_step, add(load(lanes, out + 4 * out_step), add(e, e1)))


@compiled
def three_taps(lanes, out, out_step, x, x_step, tap_step, grad, grad_step, pixels):
    """Adds to three taps of a row, a vector of channels: sum over pixels of x (shifted) * grad. An odd count reads one
    more pixel of grad, which must be zero."""
    a = b = c = d = e = f = zeros(lanes)
    for _ in range(0, pixels, 2):
        g = load(lanes, grad)
        a = fma(load(lanes, x), g, a)
        b = fma(load(lanes, x + tap_step), g, b)
        c = fma(load(lanes, x + 2 * tap_step), g, c)
        g = load(lanes, grad + grad_step)
        x += x_step
        d = fma(load(lanes, x), g, d)
        e = fma(load(lanes, x + tap_step), g, e)
        f = fma(load(lanes, x + 2 * tap_step), g, f)
        x += x_step
        grad += 2 * grad_step
    store(out, add(load(lanes, out), add(a, d)))
    store(out + out_step, add(load(lanes, out + out_step), add(b, e)))
    store(out + 2 * out_step, add(load(lanes, out + 2 * out_step), add(c, f)))


@compiled
def five_taps(lanes, out, out_step, x, x_step, tap_step, grad, grad_step, pixels):
    """As `three_taps`, of a row of five."""
    a = b = c = d = e = a1 = b1 = c1 = d1 = e1 = zeros(lanes)
    for _ in range(0, pixels, 2):
        g = load(lanes, grad)
        a = fma(load(lanes, x), g, a)
        b = fma(load(lanes, x + tap_step), g, b)
        c = fma(load(lanes, x + 2 * tap_step), g, c)
        d = fma(load(lanes, x + 3 * tap_step), g, d)
        e = fma(load(lanes, x + 4 * tap_step), g, e)
        g = load(lanes, grad + grad_step)
        x += x_step
        a1 = fma(load(lanes, x), g, a1)
        b1 = fma(load(lanes, x + tap_step), g, b1)
        c1 = fma(load(lanes, x + 2 * tap_step), g, c1)
        d1 = fma(load(lanes, x + 3 * tap_step), g, d1)
        e1 = fma(load(lanes, x + 4 * tap_step), g, e1)
        x += x_step
        grad += 2 * grad_step
    store(out, add(load(lanes, out), add(a, a1)))
    store(out + out_step, add(load(lanes, out + out_step), add(b, b1)))
    store(out + 2 * out_step, add(load(lanes, out + 2 * out_step), add(c, c1)))
    store(out + 3 * out_step, add(load(lanes, out + 3 * out_step), add(d, d1)))
    store(out + 4 * out_step, add(load(lanes, out + 4 * out_step), add(e, e1)))
