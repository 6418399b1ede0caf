"""POOL: 3x3 maximum or average of a map and the result's mean and variance. UNPOOL: the same backwards.

Padding is 1; pixels outside the image count nowhere. Compiled by numba; `job_table.py` says what the addresses mean.
"""

import numpy as np

from . import job_table as t
from .simd import (
    add,
    larger,
    load,
    load_bytes,
    load_map,
    map_size,
    multiply,
    spread,
    store,
    store_bytes,
    vector_size,
    where_equal,
    where_larger,
    zeros,
)
from .statistics import image_statistics
from .sums import JOB, put_pixels, sum_pixels
from .vector_loops import clear, compiled, field, stream_pixels


@compiled
def pool_chunk(lanes, group, first_image, last_image, made):
    """POOL; made: takes an image's result."""
    height, width, size = field(group, t.IN_HEIGHT), field(group, t.IN_WIDTH), field(group, t.POOL_SIZE)
    tall, wide, stride = field(group, t.POOLED_HEIGHT), field(group, t.POOLED_WIDTH), field(group, t.POOL_STRIDE)
    step = map_size(lanes, size)
    for image in range(first_image, last_image):
        x, taps = field(group, t.POOL_X) + image * height * width * step, field(group, t.POSITIONS)
        if taps:
            taps += image * tall * wide * (size // 4)
        for row in range(tall):
            top, bottom = max(row * stride - 1, 0), min(row * stride + 2, height)
            from_row = x + top * width * step
            for column in range(wide):
                left, right = max(column * stride - 1, 0), min(column * stride + 2, width)
                at, place = from_row + left * step, row * wide + column
                if taps:
                    first = (top - row * stride + 1) * 3 + left - column * stride + 1
                    largest_of(lanes, made + place * size, taps + place * (size // 4), at, first, bottom - top,
                               right - left, width * step, size)
                else:
                    average_of(lanes, made + place * size, at, bottom - top, right - left, width * step, size)
        if field(group, t.POOL_MEAN):
            image_statistics(lanes, field(group, t.POOL_MEAN) + image * size,
                             field(group, t.POOL_SQUARES) + image * size, made, size, 0, tall * wide, size)
        stream_pixels(lanes, field(group, t.POOL_OUT) + image * tall * wide * step, step, made, tall * wide, size)


@compiled
def largest_of(lanes, out, taps, x, first, rows, columns, pitch, size):
    """The largest of rows x columns pixels, and which: number of the tap, `first` being the first pixel's. As in
    PyTorch the first of equals, and a pixel that is not a number before all others."""
    for offset in range(0, size, vector_size(lanes)):
        there, step = x + map_size(lanes, offset), map_size(lanes, size)
        most, place = load_map(lanes, there), spread(lanes, np.float32(first))
        if rows == 3 and columns == 3:
            for row in range(3):
                at = there + row * pitch
                for column in range(3):
                    value = load_map(lanes, at + column * step)
                    place = where_larger(value, most, spread(lanes, np.float32(row * 3 + column)), place)
                    most = larger(value, most)
        else:
            for row in range(rows):
                at = there + row * pitch
                for column in range(columns):
                    value = load_map(lanes, at + column * step)
                    place = where_larger(value, most, spread(lanes, np.float32(first + row * 3 + column)), place)
                    most = larger(value, most)
        store(out + offset, most)
        store_bytes(taps + offset // 4, place)


@compiled
def average_of(lanes, out, x, rows, columns, pitch, size):
    share = spread(lanes, np.float32(1.0 / (rows * columns)))
    for offset in range(0, size, vector_size(lanes)):
        total, there, step = zeros(lanes), x + map_size(lanes, offset), map_size(lanes, size)
        if rows == 3 and columns == 3:
            for row in range(3):
                at = there + row * pitch
                total = add(add(load_map(lanes, at), load_map(lanes, at + step)),
                            add(load_map(lanes, at + 2 * step), total))
        else:
            for row in range(rows):
                at = there + row * pitch
                for column in range(columns):
                    total = add(load_map(lanes, at + column * step), total)
        store(out + offset, multiply(total, share))


@compiled
def unpool_chunk(lanes, head, group, first_image, last_image, scratch):
    """The gradient of the pooled map is SHIFT + sum of coefficient * map, as SUM's result."""
    height, width, size = field(group, t.IN_HEIGHT), field(group, t.IN_WIDTH), field(group, t.POOL_SIZE)
    tall, wide, stride = field(group, t.POOLED_HEIGHT), field(group, t.POOLED_WIDTH), field(group, t.POOL_STRIDE)
    pitch, taps = (width + 2) * size, field(group, t.POSITIONS)
    addend, addend_step = field(group, t.POOL_ADDEND), field(group, t.POOL_ADDEND_STEP)
    jobs = field(head, t.JOB_TABLE) + field(group, t.FIRST) * JOB
    end = field(head, t.JOB_TABLE) + field(group, t.LAST) * JOB
    grad_input = scratch + wide * size
    for image in range(first_image, last_image):
        clear(lanes, grad_input, (height + 2) * pitch)
        for row in range(tall):
            first = (image * tall + row) * wide
            shift = field(group, t.POOL_SHIFT) + image * field(group, t.POOL_SHIFT_STEP)
            sum_pixels(lanes, scratch, shift, jobs, end, image, first, wide, size)
            to = grad_input + row * stride * pitch
            if taps:
                spread_to_largest(lanes, to, scratch, taps + first * (size // 4), wide, stride * size, pitch, size)
            else:
                rows = min(row * stride + 2, height) - max(row * stride - 1, 0)
                spread_evenly(lanes, to, scratch, rows, width, wide, stride, pitch, size)
        here = image * height * width
        for row in range(height):
            at = here + row * width
            put_pixels(lanes, field(group, t.POOL_TARGET) + at * map_size(lanes, size), map_size(lanes, size),
                       grad_input + (row + 1) * pitch + size, addend + at * addend_step if addend else 0, addend_step,
                       width, size, size)


@compiled
def spread_to_largest(lanes, to, grads, taps, pixels, step, pitch, size):
    """A row's gradients to the pixels that they came from; `to` is the first tap of the first pixel."""
    for pixel in range(pixels):
        for offset in range(0, size, vector_size(lanes)):
            grad = load(lanes, grads + pixel * size + offset)
            tap = load_bytes(lanes, taps + (pixel * size + offset) // 4)
            at = to + pixel * step + offset
            for row in range(3):
                for column in range(3):
                    place = at + row * pitch + column * size
                    store(place, add(load(lanes, place),
                                     where_equal(tap, spread(lanes, np.float32(row * 3 + column)), grad)))


@compiled
def spread_evenly(lanes, to, grads, rows, width, pixels, stride, pitch, size):
    """A row's gradients in equal shares to all pixels inside the image (and to the border, where nobody reads)."""
    for pixel in range(pixels):
        columns = min(pixel * stride + 2, width) - max(pixel * stride - 1, 0)
        share = spread(lanes, np.float32(1.0 / (rows * columns)))
        for offset in range(0, size, vector_size(lanes)):
            grad, at = multiply(load(lanes, grads + pixel * size + offset), share), to + pixel * stride * size + offset
            for row in range(3):
                for column in range(3):
                    place = at + row * pitch + column * size
                    store(place, add(load(lanes, place), grad))
