"""The inner loops: what stays in registers. Compiled by numba; all arguments are addresses, byte steps and counts.

Maps are (pixels, C), channels side by side, C a multiple of the lanes.
"""

from __future__ import annotations

from numba import njit

from .memory import fetch, integer
from .simd import (
    add,
    fma,
    load,
    load_map,
    map_size,
    multiply,
    relu,
    store,
    stream_map,
    subtract,
    vector_size,
    zeros,
)

compiled = njit(nogil=True, error_model="numpy")
LINE = 64       # bytes that memory gives at a time


@compiled
def field(row, name):
    return integer(row + 8 * name)


@compiled
def fetch_pixels(x, step, pixels, size):
    """Asks for pixels of `size` bytes, `step` apart, which will be read soon."""
    if step == size:
        for at in range(x, x + pixels * size, LINE):
            fetch(at)
    else:
        for pixel in range(pixels):
            for at in range(x + pixel * step, x + pixel * step + size, LINE):
                fetch(at)


@compiled
def clear(lanes, address, size):
    """Zeros in `size` bytes, whole vectors."""
    for offset in range(0, size, vector_size(lanes)):
        store(address + offset, zeros(lanes))


@compiled
def eight_pixels(lanes, out, out_step, x, x_step, row_step, tap_step, taps, taps_step, kernel, adds):
    """Depth-wise convolution of eight neighbouring pixels, a vector of channels, without a border: x points at the first tap.

    adds: to what `out` holds. taps: of these channels, taps_step from one to the next (negative: turned by 180 degrees).
    """
    if adds:
        a, b, c = load(lanes, out), load(lanes, out + out_step), load(lanes, out + 2 * out_step)
        d, e, f = load(lanes, out + 3 * out_step), load(lanes, out + 4 * out_step), load(lanes, out + 5 * out_step)
        g, h = load(lanes, out + 6 * out_step), load(lanes, out + 7 * out_step)
    else:
        a = b = c = d = e = f = g = h = zeros(lanes)
    for _ in range(kernel):
        at = x
        for _ in range(kernel):
            tap = load(lanes, taps)
            taps += taps_step
            a = fma(load(lanes, at), tap, a)
            b = fma(load(lanes, at + x_step), tap, b)
            c = fma(load(lanes, at + 2 * x_step), tap, c)
            d = fma(load(lanes, at + 3 * x_step), tap, d)
            e = fma(load(lanes, at + 4 * x_step), tap, e)
            f = fma(load(lanes, at + 5 * x_step), tap, f)
            g = fma(load(lanes, at + 6 * x_step), tap, g)
            h = fma(load(lanes, at + 7 * x_step), tap, h)
            at += tap_step
        x += row_step
    store(out, a)
    store(out + out_step, b)
    store(out + 2 * out_step, c)
    store(out + 3 * out_step, d)
    store(out + 4 * out_step, e)
    store(out + 5 * out_step, f)
    store(out + 6 * out_step, g)
    store(out + 7 * out_step, h)


@compiled
def three_taps(lanes, out, out_step, x, x_step, tap_step, grad, grad_step, pixels):
    """Adds to three taps of a row, a vector of channels: sum over pixels of x (shifted) * grad. An odd count reads one more
    pixel of grad, which must be zero."""
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


@compiled
def stream_pixels(lanes, out, out_step, x, pixels, size):
    """Copies pixels to a map past the caches: `out` need not be read from memory first, and drives nothing else out."""
    if out_step == map_size(lanes, size):
        for offset in range(0, pixels * size, vector_size(lanes)):
            stream_map(lanes, out + map_size(lanes, offset), load(lanes, x + offset))
    else:
        for _ in range(pixels):
            for offset in range(0, size, vector_size(lanes)):
                stream_map(lanes, out + map_size(lanes, offset), load(lanes, x + offset))
            out += out_step
            x += size


@compiled
def rectified_copy(lanes, out, x, x_step, pixels, size, mean, inverse_std):
    """relu(x) or, with a mean, relu((x - mean) * inverse_std) of a map's row; pixels of `size` bytes, x_step apart in x."""
    if mean:
        for offset in range(0, size, vector_size(lanes)):
            centre, factor = load(lanes, mean + offset), load(lanes, inverse_std + offset)
            at, to = x + map_size(lanes, offset), out + offset
            for _ in range(pixels):
                store(to, relu(multiply(subtract(load_map(lanes, at), centre), factor)))
                at += x_step
                to += size
    elif x_step == map_size(lanes, size):
        for offset in range(0, pixels * size, vector_size(lanes)):
            store(out + offset, relu(load_map(lanes, x + map_size(lanes, offset))))
    else:
        for offset in range(0, size, vector_size(lanes)):
            at, to = x + map_size(lanes, offset), out + offset
            for _ in range(pixels):
                store(to, relu(load_map(lanes, at)))
                at += x_step
                to += size
