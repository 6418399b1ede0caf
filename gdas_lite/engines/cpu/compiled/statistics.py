"""Mean and variance of an image's map, of a batch's, and batch norm's backward pass as factors. Compiled by numba."""

import math

import numpy as np

from . import job_table as t
from .pointers import REAL, double, load_number, store_number, take_number
from .registers import load_many, zeros_many
from .simd import add, fma, load, multiply, spread, store, subtract, vector_size
from .vector_loops import compiled, field
from .winograd import kernel_gradient


@compiled
def image_statistics(lanes, mean_at, squares_at, x, step, before, pixels, size):
    """Mean of channels over some pixels of an image, and the sum of squares about it; together with those of `before`
    other pixels, if the results hold such."""
    share, whole = spread(lanes, np.float32(1.0 / pixels)), pixels - pixels % 4
    for offset in range(0, size, vector_size(lanes)):
        at, sums = x + offset, zeros_many(lanes, 4)
        for _ in range(0, whole, 4):
            sums = add(load_many(lanes, 4, at, step), sums)
            at += 4 * step
        a, b, c, d = sums
        for _ in range(whole, pixels):
            a = add(load(lanes, at), a)
            at += step
        mean = multiply(add(add(a, b), add(c, d)), share)
        at, sums = x + offset, zeros_many(lanes, 4)
        for _ in range(0, whole, 4):
            apart = subtract(load_many(lanes, 4, at, step), mean)
            sums = fma(apart, apart, sums)
            at += 4 * step
        a, b, c, d = sums
        for _ in range(whole, pixels):
            e = subtract(load(lanes, at), mean)
            a = fma(e, e, a)
            at += step
        squares = add(add(a, b), add(c, d))
        if before:
            older, both = load(lanes, mean_at + offset), spread(lanes, np.float32(pixels / (before + pixels)))
            distance = subtract(mean, older)
            mean = fma(distance, both, older)
            squares = add(squares, fma(multiply(multiply(distance, distance), both), spread(lanes, np.float32(before)),
                                       load(lanes, squares_at + offset)))
        store(mean_at + offset, mean)
        store(squares_at + offset, squares)


@compiled
def batch_moments(moments, moment_step, means, squares, step, eps, images, pixels, channels):
    """Mean, inverse standard deviation and variance of each channel from those of the images."""
    for offset in range(0, channels * REAL, REAL):
        mean = 0.0
        for at in range(means + offset, means + offset + images * step, step):
            mean += load_number(at)
        mean /= images
        total = spread_of_means = 0.0
        for image in range(images):
            total += load_number(squares + offset + image * step)
            distance = load_number(means + offset + image * step) - mean
            spread_of_means += distance * distance
        variance = (total + pixels * spread_of_means) / (images * pixels)
        store_number(moments + offset, np.float32(mean))
        store_number(moments + moment_step + offset, np.float32(1.0 / math.sqrt(variance + eps)))
        store_number(moments + 2 * moment_step + offset, np.float32(variance))


@compiled
def store_factors(out, size, scale, inverse_std, mean, total, projection, count):
    """SCALE, SLOPE and CONSTANT of a channel, `size` bytes apart, from the sum of the gradient of a norm's output and
    from its projection, the sum of gradient * (x - mean). count: pixels of all images."""
    slope = -scale * inverse_std * inverse_std * projection / count
    store_number(out, np.float32(scale))
    store_number(out + size, np.float32(slope))
    store_number(out + 2 * size, np.float32(-scale * total / count - slope * mean))


@compiled
def norm_factors(job, images):
    """Batch norm's SCALE, SLOPE, CONSTANT from sum and projection of a gradient, MOMENT_STEP apart in MOMENTS; where it
    is affine, the gradients of its weight and bias behind them."""
    gain = field(job, t.GAIN)
    size, count = field(job, t.CHANNELS_IN) * REAL, float(images * field(job, t.HEIGHT) * field(job, t.WIDTH))
    sums, squares, out = field(job, t.IMAGE_MEAN), field(job, t.IMAGE_SQUARES), field(job, t.MOMENTS)
    for offset in range(0, size, REAL):
        total = projection = 0.0
        for image in range(images):
            total += load_number(sums + image * size + offset)
            projection += load_number(squares + image * size + offset)
        mean = float(load_number(field(job, t.MEAN) + offset))
        inverse_std = float(load_number(field(job, t.INVERSE_STD) + offset))
        scale = float(load_number(gain + offset)) if gain else inverse_std
        store_factors(out + offset, size, scale, inverse_std, mean, total, projection, count)
        if gain:
            store_number(out + 3 * size + offset, np.float32(inverse_std * projection))
            store_number(out + 4 * size + offset, np.float32(total))


@compiled
def settle_norm(norm, moments, moment_step, channels, count):
    """Affine factors of a batch's moments, and running estimates as nn.BatchNorm2d moves them. count: pixels of all
    images."""
    if field(norm, t.AFFINE):
        gains, constants = field(norm, t.AFFINE), field(norm, t.AFFINE) + field(norm, t.AFFINE_STEP)
        for offset in range(0, channels * REAL, REAL):
            inverse_std = load_number(moments + moment_step + offset)
            store_number(gains + offset, inverse_std * load_number(field(norm, t.NORM_WEIGHT) + offset))
            store_number(constants + offset, load_number(field(norm, t.NORM_BIAS) + offset))
    if field(norm, t.ESTIMATED_MEAN):
        part, unbiased = np.float32(double(norm + 8 * t.MOMENTUM)), np.float32(count / max(count - 1, 1))
        for offset in range(0, field(norm, t.TRAINED) * REAL, REAL):
            mean, variance = load_number(moments + offset), load_number(moments + 2 * moment_step + offset)
            if field(norm, t.CONV_BIAS):
                mean += load_number(field(norm, t.CONV_BIAS) + offset)
            move(field(norm, t.ESTIMATED_MEAN) + offset, mean, part)
            move(field(norm, t.ESTIMATED_VARIANCE) + offset, variance * unbiased, part)
    if field(norm, t.COUNTER):
        take_number(field(norm, t.COUNTER))


@compiled
def move(address, target, part):
    """A number, that part of the way to the target."""
    before = load_number(address)
    store_number(address, before + part * (target - before))


@compiled
def finish_forward(job, images):
    pixels = field(job, t.OUT_HEIGHT) * field(job, t.OUT_WIDTH)
    batch_moments(field(job, t.MOMENTS), field(job, t.MOMENT_STEP), field(job, t.IMAGE_MEAN),
                  field(job, t.IMAGE_SQUARES), field(job, t.STATISTIC_STEP), double(job + 8 * t.EPS), images,
                  pixels, field(job, t.CHANNELS_OUT))
    if field(job, t.NORM):
        settle_norm(field(job, t.NORM), field(job, t.MOMENTS), field(job, t.MOMENT_STEP), field(job, t.CHANNELS_OUT),
                    images * pixels)


@compiled
def finish_pool(group, images):
    if field(group, t.POOL_MEAN):
        size, pixels = field(group, t.POOL_SIZE), field(group, t.POOLED_HEIGHT) * field(group, t.POOLED_WIDTH)
        batch_moments(field(group, t.POOL_MOMENTS), size, field(group, t.POOL_MEAN), field(group, t.POOL_SQUARES), size,
                      double(group + 8 * t.POOL_EPS), images,
                      pixels, size // REAL)
        if field(group, t.POOL_NORM):
            settle_norm(field(group, t.POOL_NORM), field(group, t.POOL_MOMENTS), size, size // REAL, images * pixels)


@compiled
def turn(group):
    """A matrix, transposed."""
    matrix, turned = field(group, t.MATRIX), field(group, t.TURNED)
    rows, columns = field(group, t.ROWS), field(group, t.COLUMNS)
    for row in range(rows):
        at = matrix + row * columns * REAL
        for column in range(columns):
            store_number(turned + (column * rows + row) * REAL, load_number(at + column * REAL))


@compiled
def finish_backward(lanes, job, blocks, images, is_first):
    """Weight gradients from those of the blocks; of a group's first job the factors, if sums were asked for."""
    if is_first and field(job, t.IMAGE_MEAN):
        norm_factors(job, images)
    if field(job, t.GRAD_POINTWISE):
        channels, taps = field(job, t.CHANNELS_IN), field(job, t.KERNEL) * field(job, t.KERNEL)
        turned_sum(lanes, field(job, t.SUM_TAPS), field(job, t.GRAD_TAPS), taps, channels, blocks)
        if field(job, t.DENSE):
            size_out = field(job, t.CHANNELS_OUT) * REAL
            sum_of_blocks(lanes, field(job, t.GRAD_POINTWISE), field(job, t.DENSE)**2 * channels * size_out, blocks)
            kernel_gradient(lanes, field(job, t.DENSE), field(job, t.SUM_POINTWISE), field(job, t.GRAD_POINTWISE),
                            channels, size_out, field(job, t.IN_STEP), field(job, t.TAP_STEP))
        else:
            turned_sum(lanes, field(job, t.SUM_POINTWISE), field(job, t.GRAD_POINTWISE), channels,
                       field(job, t.CHANNELS_OUT), blocks)


@compiled
def sum_of_blocks(lanes, parts, size, blocks):
    """Into the first block's, `size` bytes each."""
    for at in range(parts, parts + size, vector_size(lanes)):
        total = load(lanes, at)
        for block in range(1, blocks):
            total = add(total, load(lanes, at + block * size))
        store(at, total)


@compiled
def turned_sum(lanes, out, parts, rows, columns, blocks):
    """Sum over blocks of (rows, columns), transposed; columns a multiple of 8."""
    sum_of_blocks(lanes, parts, rows * columns * REAL, blocks)
    for row in range(rows):
        for column in range(columns):
            store_number(out + (column * rows + row) * REAL, load_number(parts + (row * columns + column) * REAL))
