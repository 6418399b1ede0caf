"""The inner loops: what stays in registers. Compiled by numba; all arguments are addresses, byte steps and counts.

Maps are (pixels, C), channels side by side, C a multiple of 8.
"""

from __future__ import annotations

from numba import njit

from .simd import REAL, VECTOR, add, fetch, fma, integer, load, multiply, relu, splat, store, subtract, zeros

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
def clear(address, size):
    """Zeros in `size` bytes, a multiple of VECTOR."""
    for offset in range(0, size, VECTOR):
        store(address + offset, zeros())


@compiled
def eight_pixels(out, out_step, x, x_step, row_step, tap_step, taps, taps_step, kernel, adds):
    """Depth-wise convolution of eight neighbouring pixels, eight channels, without a border: x points at the first tap.

    adds: to what `out` holds. taps: of these channels, taps_step from one to the next (negative: turned by 180 degrees).
    """
    if adds:
        a, b, c, d = load(out), load(out + out_step), load(out + 2 * out_step), load(out + 3 * out_step)
        e, f, g, h = (load(out + 4 * out_step), load(out + 5 * out_step), load(out + 6 * out_step),
                      load(out + 7 * out_step))
    else:
        a = b = c = d = e = f = g = h = zeros()
    for _ in range(kernel):
        at = x
        for _ in range(kernel):
            tap = load(taps)
            taps += taps_step
            a = fma(load(at), tap, a)
            b = fma(load(at + x_step), tap, b)
            c = fma(load(at + 2 * x_step), tap, c)
            d = fma(load(at + 3 * x_step), tap, d)
            e = fma(load(at + 4 * x_step), tap, e)
            f = fma(load(at + 5 * x_step), tap, f)
            g = fma(load(at + 6 * x_step), tap, g)
            h = fma(load(at + 7 * x_step), tap, h)
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
def three_taps(out, out_step, x, x_step, tap_step, grad, grad_step, pixels):
    """Adds to three taps of a row, eight channels: sum over pixels of x (shifted) * grad. An odd count reads one more
    pixel of grad, which must be zero."""
    a = b = c = d = e = f = zeros()
    for _ in range(0, pixels, 2):
        g = load(grad)
        a = fma(load(x), g, a)
        b = fma(load(x + tap_step), g, b)
        c = fma(load(x + 2 * tap_step), g, c)
        g = load(grad + grad_step)
        x += x_step
        d = fma(load(x), g, d)
        e = fma(load(x + tap_step), g, e)
        f = fma(load(x + 2 * tap_step), g, f)
        x += x_step
        grad += 2 * grad_step
    store(out, add(load(out), add(a, d)))
    store(out + out_step, add(load(out + out_step), add(b, e)))
    store(out + 2 * out_step, add(load(out + 2 * out_step), add(c, f)))


@compiled
def five_taps(out, out_step, x, x_step, tap_step, grad, grad_step, pixels):
    """As `three_taps`, of a row of five."""
    a = b = c = d = e = a1 = b1 = c1 = d1 = e1 = zeros()
    for _ in range(0, pixels, 2):
        g = load(grad)
        a = fma(load(x), g, a)
        b = fma(load(x + tap_step), g, b)
        c = fma(load(x + 2 * tap_step), g, c)
        d = fma(load(x + 3 * tap_step), g, d)
        e = fma(load(x + 4 * tap_step), g, e)
        g = load(grad + grad_step)
        x += x_step
        a1 = fma(load(x), g, a1)
        b1 = fma(load(x + tap_step), g, b1)
        c1 = fma(load(x + 2 * tap_step), g, c1)
        d1 = fma(load(x + 3 * tap_step), g, d1)
        e1 = fma(load(x + 4 * tap_step), g, e1)
        x += x_step
        grad += 2 * grad_step
    store(out, add(load(out), add(a, a1)))
    store(out + out_step, add(load(out + out_step), add(b, b1)))
    store(out + 2 * out_step, add(load(out + 2 * out_step), add(c, c1)))
    store(out + 3 * out_step, add(load(out + 3 * out_step), add(d, d1)))
    store(out + 4 * out_step, add(load(out + 4 * out_step), add(e, e1)))


@compiled
def four_by_sixteen(out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """out[4, 16] = (out +) a[4, count] b[count, 16]; of a, rows and columns are a_row and a_column apart."""
    p = q = r = s = t = u = v = w = zeros()
    if adds:
        p, q, r, s = load(out), load(out + VECTOR), load(out + out_step), load(out + out_step + VECTOR)
        t, u = load(out + 2 * out_step), load(out + 2 * out_step + VECTOR)
        v, w = load(out + 3 * out_step), load(out + 3 * out_step + VECTOR)
    for _ in range(count):
        left, right = load(b), load(b + VECTOR)
        x = splat(a)
        p, q = fma(x, left, p), fma(x, right, q)
        x = splat(a + a_row)
        r, s = fma(x, left, r), fma(x, right, s)
        x = splat(a + 2 * a_row)
        t, u = fma(x, left, t), fma(x, right, u)
        x = splat(a + 3 * a_row)
        v, w = fma(x, left, v), fma(x, right, w)
        a += a_column
        b += b_row
    store(out, p)
    store(out + VECTOR, q)
    store(out + out_step, r)
    store(out + out_step + VECTOR, s)
    store(out + 2 * out_step, t)
    store(out + 2 * out_step + VECTOR, u)
    store(out + 3 * out_step, v)
    store(out + 3 * out_step + VECTOR, w)


@compiled
def one_by_eight(out, a, a_column, b, b_row, count, adds):
    """out[8] = (out +) a[count] b[count, 8]."""
    total = load(out) if adds else zeros()
    for _ in range(count):
        total = fma(splat(a), load(b), total)
        a += a_column
        b += b_row
    store(out, total)


@compiled
def product(out, out_step, a, a_row, a_column, b, b_row, rows, columns, count, adds):
    """Matrix product out[rows, columns] = (out +) a[rows, count] b[count, columns]; columns a multiple of 8."""
    blocked = rows - rows % 4
    wide = columns - columns % 16
    for column in range(0, wide, 16):
        offset = column * REAL
        for row in range(0, blocked, 4):
            four_by_sixteen(out + row * out_step + offset, out_step, a + row * a_row, a_row, a_column, b + offset, b_row,
                            count, adds)
        for row in range(blocked, rows):
            at, from_a = out + row * out_step + offset, a + row * a_row
            one_by_eight(at, from_a, a_column, b + offset, b_row, count, adds)
            one_by_eight(at + VECTOR, from_a, a_column, b + offset + VECTOR, b_row, count, adds)
    if wide < columns:
        offset = wide * REAL
        for row in range(rows):
            one_by_eight(out + row * out_step + offset, a + row * a_row, a_column, b + offset, b_row, count, adds)


@compiled
def rectified_copy(out, x, x_step, pixels, size, mean, inverse_std):
    """relu(x) or, with a mean, relu((x - mean) * inverse_std) of a row; pixels of `size` bytes, x_step apart in x."""
    if mean:
        for offset in range(0, size, VECTOR):
            centre, factor = load(mean + offset), load(inverse_std + offset)
            at, to = x + offset, out + offset
            for _ in range(pixels):
                store(to, relu(multiply(subtract(load(at), centre), factor)))
                at += x_step
                to += size
    elif x_step == size:
        for offset in range(0, pixels * size, VECTOR):
            store(out + offset, relu(load(x + offset)))
    else:
        for offset in range(0, size, VECTOR):
            at, to = x + offset, out + offset
            for _ in range(pixels):
                store(to, relu(load(at)))
                at += x_step
                to += size
