"""SUM: shift + sum over maps of coefficient * map. PROJECT: for each map and channel the sum of gradient * (map - mean).
Compiled by numba; `table.py` says what the addresses mean.
"""

from __future__ import annotations

from . import table as t
from .simd import VECTOR, add, fma, load, store, subtract, zeros
from .tiles import compiled, field


@compiled
def sum_chunk(head, group, first_image, last_image):
    """SUM; a chunk is a block of images, eight pixels and eight channels at a time."""
    size = field(group, t.SIZE)
    first, last = first_image * field(group, t.PIXELS), last_image * field(group, t.PIXELS)
    jobs, end = field(head, t.JOB_TABLE) + field(group, t.FIRST) * 24, field(head, t.JOB_TABLE) + field(group, t.LAST) * 24
    out, shift, adds = field(group, t.TARGET), field(group, t.SHIFT), field(group, t.ADDS)
    whole = first + (last - first) // 8 * 8
    for pixel in range(first, whole, 8):
        for offset in range(0, size, VECTOR):
            at = pixel * size + offset
            a = b = c = d = e = f = g = h = load(shift + offset)
            if adds:
                to = out + at
                a, b, c, d = add(a, load(to)), add(b, load(to + size)), add(c, load(to + 2 * size)), add(d, load(to + 3 * size))
                e, f = add(e, load(to + 4 * size)), add(f, load(to + 5 * size))
                g, h = add(g, load(to + 6 * size)), add(h, load(to + 7 * size))
            for job in range(jobs, end, 24):
                x, factor = field(job, t.MAP) + at, load(field(job, t.COEFFICIENT) + offset)
                a, b = fma(load(x), factor, a), fma(load(x + size), factor, b)
                c, d = fma(load(x + 2 * size), factor, c), fma(load(x + 3 * size), factor, d)
                e, f = fma(load(x + 4 * size), factor, e), fma(load(x + 5 * size), factor, f)
                g, h = fma(load(x + 6 * size), factor, g), fma(load(x + 7 * size), factor, h)
            to = out + at
            store(to, a)
            store(to + size, b)
            store(to + 2 * size, c)
            store(to + 3 * size, d)
            store(to + 4 * size, e)
            store(to + 5 * size, f)
            store(to + 6 * size, g)
            store(to + 7 * size, h)
    for pixel in range(whole, last):
        for offset in range(0, size, VECTOR):
            at = pixel * size + offset
            a = load(shift + offset)
            if adds:
                a = add(a, load(out + at))
            for job in range(jobs, end, 24):
                a = fma(load(field(job, t.MAP) + at), load(field(job, t.COEFFICIENT) + offset), a)
            store(out + at, a)


@compiled
def project_chunk(head, group, first_image, last_image):
    """PROJECT; without a map, the sum of the gradient."""
    size, pixels = field(group, t.SIZE), field(group, t.PIXELS)
    for image in range(first_image, last_image):
        grad = field(group, t.TARGET) + image * pixels * size
        for index in range(field(group, t.FIRST), field(group, t.LAST)):
            job = field(head, t.JOB_TABLE) + index * 24
            x, mean, result = field(job, t.MAP), field(job, t.COEFFICIENT), field(job, t.RESULT) + image * size
            if x:
                x += image * pixels * size
            for offset in range(0, size, VECTOR):
                store(result + offset, projected(grad + offset, x + offset if x else 0, mean + offset if mean else 0,
                                                 size, pixels))


@compiled
def projected(grad, x, mean, step, pixels):
    a = b = c = d = zeros()
    centre = load(mean) if mean else zeros()
    whole = pixels - pixels % 4
    if x:
        for _ in range(0, whole, 4):
            a = fma(load(grad), subtract(load(x), centre), a)
            b = fma(load(grad + step), subtract(load(x + step), centre), b)
            c = fma(load(grad + 2 * step), subtract(load(x + 2 * step), centre), c)
            d = fma(load(grad + 3 * step), subtract(load(x + 3 * step), centre), d)
            grad += 4 * step
            x += 4 * step
        for _ in range(whole, pixels):
            a = fma(load(grad), subtract(load(x), centre), a)
            grad += step
            x += step
    else:
        for _ in range(0, whole, 4):
            a, b = add(load(grad), a), add(load(grad + step), b)
            c, d = add(load(grad + 2 * step), c), add(load(grad + 3 * step), d)
            grad += 4 * step
        for _ in range(whole, pixels):
            a = add(load(grad), a)
            grad += step
    return add(add(a, b), add(c, d))
