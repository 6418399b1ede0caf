"""SUM: shift + sum over maps of coefficient * map. PROJECT: for each map and channel the sum of gradient * (map - mean).
Compiled by numba; `table.py` says what the addresses mean.
"""

from __future__ import annotations

from . import table as t
from .simd import VECTOR, add, fetch, fma, load, store, subtract, zeros
from .tiles import compiled, field

JOB = 8 * t.MAP_JOB
RUN = 4096      # bytes of a map that SUM takes at a time: long enough to be fetched ahead, short enough to stay at hand


@compiled
def sum_chunk(head, group, first_image, last_image):
    """SUM; a chunk is a block of images, some pixels of all maps at a time."""
    size, out, out_step = field(group, t.SIZE), field(group, t.TARGET), field(group, t.TARGET_STEP)
    copy, copy_step = field(group, t.COPY), field(group, t.COPY_STEP)
    first, last = first_image * field(group, t.PIXELS), last_image * field(group, t.PIXELS)
    jobs = field(head, t.JOB_TABLE) + field(group, t.FIRST) * JOB
    end = field(head, t.JOB_TABLE) + field(group, t.LAST) * JOB
    addend, step = field(group, t.ADDEND), field(group, t.ADDEND_STEP)
    many = max(RUN // size, 1)
    for pixel in range(first, last, many):
        count = min(many, last - pixel)
        at = out + pixel * out_step
        added = addend + pixel * step if addend else 0
        sum_pixels(at, out_step, added, step, field(group, t.SHIFT), jobs, end, pixel, count, size)
        if copy:
            add_pixels_at(copy + pixel * copy_step, copy_step, at, 0, 0, count, size)


@compiled
def sum_pixels(out, out_step, addend, addend_step, shift, jobs, end, first, pixels, size):
    """out = shift (+ addend) + sum of coefficient * map for `pixels` pixels, in the maps from pixel `first` on."""
    for offset in range(0, size, VECTOR):
        start = load(shift + offset) if shift else zeros()
        factor, x, step = zeros(), 0, 0
        if jobs < end:
            factor, step = load(field(jobs, t.COEFFICIENT) + offset), field(jobs, t.MAP_STEP)
            x = field(jobs, t.MAP) + first * step + offset
        to, other = out + offset, addend + offset
        for _ in range(pixels):
            total = start
            if x:
                total = fma(load(x), factor, total)
                fetch(x + pixels * step)
                x += step
            if addend:
                total = add(total, load(other))
                other += addend_step
            store(to, total)
            to += out_step
    pairs = jobs + JOB
    while pairs + JOB < end:
        two_maps(out, out_step, pairs, pairs + JOB, first, pixels, size)
        pairs += 2 * JOB
    if pairs < end:
        one_map(out, out_step, pairs, first, pixels, size)


@compiled
def two_maps(out, out_step, job, other, first, pixels, size):
    """Adds two jobs' maps."""
    step, other_step = field(job, t.MAP_STEP), field(other, t.MAP_STEP)
    for offset in range(0, size, VECTOR):
        factor, other_factor = load(field(job, t.COEFFICIENT) + offset), load(field(other, t.COEFFICIENT) + offset)
        x, y = field(job, t.MAP) + first * step + offset, field(other, t.MAP) + first * other_step + offset
        to = out + offset
        for _ in range(pixels):
            store(to, fma(load(y), other_factor, fma(load(x), factor, load(to))))
            fetch(x + pixels * step)
            fetch(y + pixels * other_step)
            x += step
            y += other_step
            to += out_step


@compiled
def one_map(out, out_step, job, first, pixels, size):
    """Adds a job's map."""
    step = field(job, t.MAP_STEP)
    for offset in range(0, size, VECTOR):
        factor, x, to = load(field(job, t.COEFFICIENT) + offset), field(job, t.MAP) + first * step + offset, out + offset
        for _ in range(pixels):
            store(to, fma(load(x), factor, load(to)))
            fetch(x + pixels * step)
            x += step
            to += out_step


@compiled
def add_pixels_at(out, out_step, x, addend, addend_step, pixels, size):
    """out = x (+ addend); of x, pixels lie side by side."""
    for offset in range(0, size, VECTOR):
        to, at, other = out + offset, x + offset, addend + offset
        for _ in range(pixels):
            total = load(at)
            if addend:
                total = add(total, load(other))
                other += addend_step
            store(to, total)
            to += out_step
            at += size


@compiled
def project_chunk(head, group, first_image, last_image):
    """PROJECT; without a map, the sum of the gradient."""
    size, pixels, step = field(group, t.SIZE), field(group, t.PIXELS), field(group, t.TARGET_STEP)
    for image in range(first_image, last_image):
        grad = field(group, t.TARGET) + image * pixels * step
        for index in range(field(group, t.FIRST), field(group, t.LAST)):
            job = field(head, t.JOB_TABLE) + index * JOB
            x, mean, result = field(job, t.MAP), field(job, t.COEFFICIENT), field(job, t.RESULT) + image * size
            if x:
                x += image * pixels * size
            for offset in range(0, size - VECTOR, 2 * VECTOR):
                project_pair(result + offset, grad + offset, step, x + offset if x else 0, mean + offset if mean else 0, size,
                             pixels)
            if size % (2 * VECTOR):
                offset = size - VECTOR
                project_one(result + offset, grad + offset, step, x + offset if x else 0, mean + offset if mean else 0, size,
                            pixels)


@compiled
def project_pair(result, grad, grad_step, x, mean, step, pixels):
    """Sum over pixels of grad * (x - mean), sixteen channels."""
    a = b = c = d = zeros()
    left = load(mean) if mean else zeros()
    right = load(mean + VECTOR) if mean else zeros()
    if x:
        for _ in range(pixels // 2):
            a = fma(load(grad), subtract(load(x), left), a)
            b = fma(load(grad + VECTOR), subtract(load(x + VECTOR), right), b)
            c = fma(load(grad + grad_step), subtract(load(x + step), left), c)
            d = fma(load(grad + grad_step + VECTOR), subtract(load(x + step + VECTOR), right), d)
            grad += 2 * grad_step
            x += 2 * step
        if pixels % 2:
            a = fma(load(grad), subtract(load(x), left), a)
            b = fma(load(grad + VECTOR), subtract(load(x + VECTOR), right), b)
    else:
        for _ in range(pixels):
            a, b = add(load(grad), a), add(load(grad + VECTOR), b)
            grad += grad_step
    store(result, add(a, c))
    store(result + VECTOR, add(b, d))


@compiled
def project_one(result, grad, grad_step, x, mean, step, pixels):
    """As `project_pair`, eight channels."""
    total = zeros()
    centre = load(mean) if mean else zeros()
    if x:
        for _ in range(pixels):
            total = fma(load(grad), subtract(load(x), centre), total)
            grad += grad_step
            x += step
    else:
        for _ in range(pixels):
            total = add(load(grad), total)
            grad += grad_step
    store(result, total)
