"""SUM: shift + sum over maps of coefficient * map. PROJECT: for each map and channel the sum of gradient * (map -
mean). Compiled by numba; `job_table.py` says what the addresses mean.
"""

import numpy as np

from . import job_table as t
from .pointers import REAL, double, fetch, load_number, store_double, store_number
from .simd import add, fma, load, load_map, map_size, store, store_some, stream_map, subtract, vector_size, zeros
from .statistics import store_factors
from .vector_loops import compiled, field

JOB = 8 * t.MAP_JOB
RUN = 4096      # bytes of a map that SUM takes at a time: long enough to be fetched ahead, short enough to stay at hand


@compiled
def factors_of(job, image):
    """The address of a map's factors, (C,)."""
    return field(job, t.COEFFICIENT) + image * field(job, t.COEFFICIENT_STEP)


@compiled
def sum_chunk(lanes, head, group, first_image, last_image, scratch):
    """SUM; a chunk is a block of images, some pixels of all maps at a time."""
    size, out, out_step = field(group, t.SIZE), field(group, t.TARGET), field(group, t.TARGET_STEP)
    copy, copy_step = field(group, t.COPY), field(group, t.COPY_STEP)
    jobs = field(head, t.JOB_TABLE) + field(group, t.FIRST) * JOB
    end = field(head, t.JOB_TABLE) + field(group, t.LAST) * JOB
    addend, step = field(group, t.ADDEND), field(group, t.ADDEND_STEP)
    many, shift_step, together = max(RUN // size, 1), field(group, t.SHIFT_STEP), 1
    if not shift_step:          # all images have the same factors: pixels of several at a time
        together = last_image - first_image
    for image in range(first_image, last_image, together):
        shift = field(group, t.SHIFT) + image * shift_step
        first, last = image * field(group, t.PIXELS), (image + together) * field(group, t.PIXELS)
        for pixel in range(first, last, many):
            count, more = min(many, last - pixel), addend + pixel * step if addend else 0
            sum_pixels(lanes, scratch, shift, jobs, end, image, pixel, count, size)
            put_pixels(lanes, out + pixel * out_step, out_step, scratch, more, step, count, size,
                       field(group, t.TARGET_KEPT))
            if copy:
                put_pixels(lanes, copy + pixel * copy_step, copy_step, scratch, 0, 0, count, size,
                           field(group, t.COPY_KEPT))


@compiled
def sum_pixels(lanes, out, shift, jobs, end, image, first, pixels, size):
    """out (float32) = shift + sum of coefficient * map for `pixels` pixels from `first` on, by an image's factors."""
    for offset in range(0, size, vector_size(lanes)):
        start = load(lanes, shift + offset) if shift else zeros(lanes)
        factor, x, step = zeros(lanes), 0, 0
        if jobs < end:
            factor, step = load(lanes, factors_of(jobs, image) + offset), field(jobs, t.MAP_STEP)
            x = field(jobs, t.MAP) + first * step + map_size(lanes, offset)
        to = out + offset
        for _ in range(pixels):
            total = start
            if x:
                total = fma(load_map(lanes, x), factor, total)
                fetch(x + pixels * step)
                x += step
            store(to, total)
            to += size
    pairs = jobs + JOB
    while pairs + JOB < end:
        two_maps(lanes, out, pairs, pairs + JOB, image, first, pixels, size)
        pairs += 2 * JOB
    if pairs < end:
        one_map(lanes, out, pairs, image, first, pixels, size)


@compiled
def two_maps(lanes, out, job, other, image, first, pixels, size):
    """Adds two jobs' maps."""
    step, other_step = field(job, t.MAP_STEP), field(other, t.MAP_STEP)
    for offset in range(0, size, vector_size(lanes)):
        factor = load(lanes, factors_of(job, image) + offset)
        other_factor = load(lanes, factors_of(other, image) + offset)
        x = field(job, t.MAP) + first * step + map_size(lanes, offset)
        y = field(other, t.MAP) + first * other_step + map_size(lanes, offset)
        to = out + offset
        for _ in range(pixels):
            store(to, fma(load_map(lanes, y), other_factor, fma(load_map(lanes, x), factor, load(lanes, to))))
            fetch(x + pixels * step)
            fetch(y + pixels * other_step)
            x += step
            y += other_step
            to += size


@compiled
def one_map(lanes, out, job, image, first, pixels, size):
    """Adds a job's map."""
    step = field(job, t.MAP_STEP)
    for offset in range(0, size, vector_size(lanes)):
        factor = load(lanes, factors_of(job, image) + offset)
        x = field(job, t.MAP) + first * step + map_size(lanes, offset)
        to = out + offset
        for _ in range(pixels):
            store(to, fma(load_map(lanes, x), factor, load(lanes, to)))
            fetch(x + pixels * step)
            x += step
            to += size


@compiled
def put_pixels(lanes, out, out_step, x, addend, addend_step, pixels, size, kept):
    """A map's pixels = x (+ addend, a map's); x: float32, pixels of `size` bytes side by side, `kept` of them count.
    Past the caches, which would first read what is written over, but not where a pixel begins within a vector."""
    begins_whole = (out | out_step) % map_size(lanes, vector_size(lanes)) == 0
    for offset in range(0, kept, vector_size(lanes)):
        to, at, other = out + map_size(lanes, offset), x + offset, addend + map_size(lanes, offset)
        streams, count = begins_whole and offset + vector_size(lanes) <= kept, (kept - offset) // REAL
        for _ in range(pixels):
            total = load(lanes, at)
            if addend:
                total = add(total, load_map(lanes, other))
                other += addend_step
            if streams:
                stream_map(lanes, to, total)
            else:
                store_some(lanes, to, total, count)
            to += out_step
            at += size


@compiled
def project_chunk(lanes, head, group, first_image, last_image):
    """PROJECT; without a map, the sum of the gradient."""
    size, pixels, step = field(group, t.SIZE), field(group, t.PIXELS), field(group, t.TARGET_STEP)
    x_step = map_size(lanes, size)
    for image in range(first_image, last_image):
        grad = field(group, t.TARGET) + image * pixels * step
        for index in range(field(group, t.FIRST), field(group, t.LAST)):
            job = field(head, t.JOB_TABLE) + index * JOB
            x, mean, result = field(job, t.MAP), field(job, t.MAP_MOMENTS), field(job, t.RESULT) + image * size
            if x:
                x += image * pixels * x_step
            paired = size - size % (2 * vector_size(lanes))
            for offset in range(0, paired, 2 * vector_size(lanes)):
                there = map_size(lanes, offset)
                project_pair(lanes, result + offset, grad + there, step, x + there if x else 0,
                             mean + offset if mean else 0, x_step, pixels)
            for offset in range(paired, size, vector_size(lanes)):
                there = map_size(lanes, offset)
                project_one(lanes, result + offset, grad + there, step, x + there if x else 0,
                            mean + offset if mean else 0, x_step, pixels)


@compiled
def project_pair(lanes, result, grad, grad_step, x, mean, step, pixels):
    """Sum over pixels of grad * (x - mean), two vectors of channels."""
    size, there = vector_size(lanes), map_size(lanes, vector_size(lanes))
    a = b = c = d = zeros(lanes)
    left = load(lanes, mean) if mean else zeros(lanes)
    right = load(lanes, mean + size) if mean else zeros(lanes)
    if x:
        for _ in range(pixels // 2):
            a = fma(load_map(lanes, grad), subtract(load_map(lanes, x), left), a)
            b = fma(load_map(lanes, grad + there), subtract(load_map(lanes, x + there), right), b)
            x += step
            grad += grad_step
            c = fma(load_map(lanes, grad), subtract(load_map(lanes, x), left), c)
            d = fma(load_map(lanes, grad + there), subtract(load_map(lanes, x + there), right), d)
            x += step
            grad += grad_step
        if pixels % 2:
            a = fma(load_map(lanes, grad), subtract(load_map(lanes, x), left), a)
            b = fma(load_map(lanes, grad + there), subtract(load_map(lanes, x + there), right), b)
    else:
        for _ in range(pixels):
            a, b = add(load_map(lanes, grad), a), add(load_map(lanes, grad + there), b)
            grad += grad_step
    store(result, add(a, c))
    store(result + size, add(b, d))


@compiled
def project_one(lanes, result, grad, grad_step, x, mean, step, pixels):
    """As `project_pair`, one vector of channels."""
    a = b = zeros(lanes)
    centre = load(lanes, mean) if mean else zeros(lanes)
    if x:
        for _ in range(pixels // 2):
            a = fma(load_map(lanes, grad), subtract(load_map(lanes, x), centre), a)
            b = fma(load_map(lanes, grad + grad_step), subtract(load_map(lanes, x + step), centre), b)
            grad += 2 * grad_step
            x += 2 * step
        if pixels % 2:
            a = fma(load_map(lanes, grad), subtract(load_map(lanes, x), centre), a)
    else:
        for _ in range(pixels // 2):
            a, b = add(load_map(lanes, grad), a), add(load_map(lanes, grad + grad_step), b)
            grad += 2 * grad_step
        if pixels % 2:
            a = add(load_map(lanes, grad), a)
    store(result, add(a, b))


@compiled
def or_one(address):
    """The float32 there; 1 where there is none."""
    return float(load_number(address)) if address else 1.0


@compiled
def mix(head, group, images):
    """SUM's factors from moments, weights and masks. Every thread makes them all, to the same bits."""
    first, last = field(group, t.FIRST), field(group, t.LAST)
    if not field(group, t.SHIFT_STEP):
        images = 1
    for image in range(images):
        for offset in range(0, field(group, t.SIZE), REAL):
            constant = 0.0
            for job in range(field(head, t.JOB_TABLE) + first * JOB, field(head, t.JOB_TABLE) + last * JOB, JOB):
                factor, moments = double(field(job, t.MAP_WEIGHT)), field(job, t.MAP_MOMENTS)
                share = or_one(field(job, t.MAP_MASK) + image * REAL if field(job, t.MAP_MASK) else 0)
                if moments:
                    gain, shift = field(job, t.MAP_GAIN), 0.0
                    if gain:
                        shift = factor * load_number(field(job, t.MAP_BIAS) + offset)
                    factor *= (load_number(moments + field(job, t.MAP_MOMENT_STEP) + offset)
                               * or_one(gain + offset if gain else 0))
                    constant += (shift - factor * load_number(moments + offset)) * share
                store_number(factors_of(job, image) + offset, np.float32(factor * share))
            store_number(field(group, t.SHIFT) + image * field(group, t.SHIFT_STEP) + offset, np.float32(constant))


@compiled
def finish_projection(job, lead, images, channels, count):
    """What follows from a map's projection and the sum of the gradient, which is the lead's. count: pixels."""
    moments, gain, mask = field(job, t.MAP_MOMENTS), field(job, t.MAP_GAIN), field(job, t.MAP_MASK)
    factors, scales, weight = field(job, t.FACTORS), field(job, t.SCALES), double(field(job, t.MAP_WEIGHT))
    of_weight, size = 0.0, channels * REAL
    for offset in range(0, size, REAL):
        total = projection = 0.0
        for image in range(images):
            share, at = or_one(mask + image * REAL if mask else 0), image * size + offset
            total += share * load_number(field(lead, t.RESULT) + at)
            projection += share * load_number(field(job, t.RESULT) + at)
        inverse_std = or_one(moments + field(job, t.MAP_MOMENT_STEP) + offset if moments else 0)
        of_weight += projection * inverse_std
        if factors:
            scale = weight * or_one(gain + offset if gain else 0) * inverse_std
            store_factors(factors + offset, size, scale, inverse_std, float(load_number(moments + offset)), total,
                          projection, count)
            for image in range(images if scales else 0):
                store_number(scales + image * size + offset, np.float32(scale) * load_number(mask + image * REAL))
        if field(job, t.TOTALS):
            store_double(field(job, t.TOTALS) + 2 * offset, weight * total)
            store_double(field(job, t.TOTALS) + 2 * (size + offset),
                         weight * projection * (inverse_std if gain and factors else 1.0))
    if field(job, t.OF_WEIGHT):
        store_double(field(job, t.OF_WEIGHT), of_weight)
