"""Kernels of a node as a weighted sum over its terms, and of what batch norm and mixture need to go back through it.

Batch norm's backward pass is four factors a channel, (4, C): the gradient of the map in front of it is
factors[0] * gradient + factors[1] * (map - factors[2]) + factors[3]. factors[2] is the mean; within the constant it
would cost some accuracy where it is large beside the deviation (a fifth more error at ten deviations).
"""

import triton
import triton.language as tl

from . import job_table as t
from .windows import eights, floats_at, map_at, number, rows_of, vector


@triton.jit
def weight_of(row):
    """The mixture's weight of a term; 1 where it has none."""
    there = tl.load(row + t.WEIGHT)
    weight = tl.load(floats_at(row, t.WEIGHT) + tl.arange(0, 1), mask=tl.arange(0, 1) < tl.where(there != 0, 1, 0),
                     other=1.0)
    return tl.sum(weight, 0)


@triton.jit
def weighted_sum(jobs, terms, REAL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """A node: the first row's OUT = sum over the `terms` rows behind it of weight * (map - mean) * inverse_std.

    Grid (blocks of pixels, 1, tiles of channels).
    """
    channels = eights(jobs, t.CHANNELS_OUT)
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = pixel < number(jobs, t.PIXELS)
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for term in range(1, terms + 1):
        row = jobs + term * t.JOB
        if tl.load(row + t.OUT) != 0:
            mean = vector(row, t.MEAN, channel, channels, 0.0)
            inverse_std = vector(row, t.INVERSE_STD, channel, channels, 1.0)
            value = rows_of(map_at(row, t.OUT, REAL), eights(row, t.OUT_STEP), pixel, inside, channel, channels)
            total += (value - mean[None, :]) * (inverse_std * weight_of(row))[None, :]
    mask = inside[:, None] & (channel < channels)[None, :]
    at = map_at(jobs, t.OUT, REAL) + pixel[:, None] * eights(jobs, t.OUT_STEP) + channel[None, :]
    tl.store(at, total.to(REAL), mask=mask)


@triton.jit
def project(jobs, each, REAL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """PARTS (splits, 2, C): over a split's pixels, sums of gradient and of gradient * (map - mean), 0 without a map.

    Grid (splits, terms, tiles); a split has `each` blocks of pixels.
    """
    row = jobs + tl.program_id(1) * t.JOB
    if number(row, t.KIND) != 0:
        channels, pixels = eights(row, t.CHANNELS_OUT), number(row, t.PIXELS)
        channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
        mean, has_map = vector(row, t.MEAN, channel, channels, 0.0), tl.where(tl.load(row + t.OUT) != 0, channels, 0)
        total, along = tl.zeros((BLOCK_C,), tl.float32), tl.zeros((BLOCK_C,), tl.float32)
        for block in range(each):
            pixel = (tl.program_id(0) * each + block) * BLOCK_P + tl.arange(0, BLOCK_P)
            slope = rows_of(map_at(row, t.GRAD, REAL), eights(row, t.GRAD_STEP), pixel, pixel < pixels, channel,
                            channels)
            value = rows_of(map_at(row, t.OUT, REAL), eights(row, t.OUT_STEP), pixel, pixel < pixels, channel, has_map)
            total += tl.sum(slope, 0)
            along += tl.sum(slope * (value - mean[None, :]), 0)
        place = floats_at(row, t.PARTS) + tl.program_id(0) * 2 * channels + channel
        tl.store(place, total, mask=channel < channels)
        tl.store(place + channels, along, mask=channel < channels)


@triton.jit
def through_norm(jobs, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr):
    """FACTORS of weight * batch norm from COUNT parts, and the weight's gradient. Without MEAN there is no batch norm.

    Grid (1, jobs).
    """
    row = jobs + tl.program_id(1) * t.JOB
    if number(row, t.KIND) != 0:
        channels, parts, pixels = eights(row, t.CHANNELS_OUT), number(row, t.COUNT), number(row, t.PIXELS)
        weight, of_weight = weight_of(row), tl.zeros((BLOCK_C,), tl.float64)
        is_normed = tl.load(row + t.MEAN) != 0
        for start in range(0, channels, BLOCK_C):
            channel = start + tl.arange(0, BLOCK_C)
            is_channel = channel < channels
            total, along = tl.zeros((BLOCK_C,), tl.float64), tl.zeros((BLOCK_C,), tl.float64)
            for first in range(0, parts, BLOCK_S):
                part = first + tl.arange(0, BLOCK_S)
                sums = floats_at(row, t.PARTS)
                total += tl.sum(rows_of(sums, 2 * channels, part, part < parts, channel, channels), 0).to(tl.float64)
                along += tl.sum(rows_of(sums + channels, 2 * channels, part, part < parts, channel, channels),
                                0).to(tl.float64)
            mean = vector(row, t.MEAN, channel, channels, 0.0)
            inverse_std = vector(row, t.INVERSE_STD, channel, channels, 1.0)
            scale = (weight * inverse_std).to(tl.float64)
            slope = tl.where(is_normed, -scale * inverse_std * inverse_std * along / pixels, 0.0)
            constant = tl.where(is_normed, -scale * total / pixels, 0.0)
            place = floats_at(row, t.FACTORS) + channel
            tl.store(place, scale.to(tl.float32), mask=is_channel)
            tl.store(place + channels, slope.to(tl.float32), mask=is_channel)
            tl.store(place + 2 * channels, mean, mask=is_channel)
            tl.store(place + 3 * channels, constant.to(tl.float32), mask=is_channel)
            found = tl.where(number(row, t.KIND) == t.SCALAR, total, along * inverse_std)
            of_weight += tl.where(is_channel, found, 0.0)
        if tl.load(row + t.WEIGHT_GRAD) != 0:
            tl.store(floats_at(row, t.WEIGHT_GRAD), tl.sum(of_weight, 0).to(tl.float32))
