"""Cross entropy of words, and products with the few units that a sequence's dropout keeps. Compiled by numba.

The kept units' rows of the weights (units, V) lie apart; a task gathers its part of them in the second cache.
"""

import math

import numpy as np

from . import recurrent_table as t
from .activations import exponential
from .matmul import product
from .pointers import REAL, integer, load_number, store_number
from .registers import known, load_many, store_totals, zeros_many
from .simd import add, at_least, fma, load, multiply, spread, store, subtract, vector_size, zeros
from .vector_loops import compiled, field

PANEL = 75      # vectors of a row that a task takes, threes; an odd number, so that rows do not meet in the first cache


@compiled
def panel(lanes, job, task):
    """Where a task's part of a row starts, and how long it is; bytes."""
    start = task * PANEL * vector_size(lanes)
    return start, min(PANEL * vector_size(lanes), field(job, t.SIZE) - start)


@compiled
def logits(lanes, job, task, scratch):
    (start, width), count = panel(lanes, job, task), field(job, t.COUNT)
    gather(lanes, job, start, width, scratch)
    product(lanes, field(job, t.STATES) + start, field(job, t.SIZE), field(job, t.GATES), REAL * count, REAL, scratch,
            width, field(job, t.ROWS), width // REAL, count, False)


@compiled
def gradients(lanes, job, task, scratch):
    """D_GATES of a panel, and the panel of D_STATES; logits are gradients by now."""
    (start, width), count = panel(lanes, job, task), field(job, t.COUNT)
    if field(job, t.D_GATES):
        gather(lanes, job, start, width, scratch)
        for row in range(0, field(job, t.ROWS), 4):
            for unit in range(0, count, 4):
                of_inputs(lanes, job, task, row, unit, start, width, scratch + unit * width)
    if field(job, t.D_STATES):
        product(lanes, scratch, width, field(job, t.GATES), REAL, REAL * count, field(job, t.STATES) + start,
                field(job, t.SIZE), count, width // REAL, field(job, t.ROWS), False)
        for unit in range(count):
            out = field(job, t.D_STATES) + integer(field(job, t.SOURCES) + 8 * unit) + start
            for at in range(0, width, vector_size(lanes)):
                store(out + at, add(load(lanes, out + at), load(lanes, scratch + unit * width + at)))


@compiled
def gather(lanes, job, start, width, scratch):
    """The units' panels, one after the other."""
    for unit in range(field(job, t.COUNT)):
        found, out = field(job, t.WEIGHTS) + integer(field(job, t.SOURCES) + 8 * unit) + start, scratch + unit * width
        for at in range(0, width, vector_size(lanes)):
            store(out + at, load(lanes, found + at))


@compiled
def of_inputs(lanes, job, task, row, unit, start, width, weights):
    """Four rows of D_GATES, four units."""
    size, logits, step = field(job, t.SIZE), field(job, t.STATES) + start, REAL * field(job, t.COUNT)
    p = q = r = s = zeros_many(lanes, known(4))
    for at in range(0, width, vector_size(lanes)):
        g = load_many(lanes, known(4), logits + row * size + at, size)
        p, q = fma(g, load(lanes, weights + at), p), fma(g, load(lanes, weights + width + at), q)
        r, s = fma(g, load(lanes, weights + 2 * width + at), r), fma(g, load(lanes, weights + 3 * width + at), s)
    out = field(job, t.D_GATES) + (task * field(job, t.ROWS) + row) * step + REAL * unit
    store_totals(out, step, p)
    store_totals(out + REAL, step, q)
    store_totals(out + 2 * REAL, step, r)
    store_totals(out + 3 * REAL, step, s)


@compiled
def cross_entropy(lanes, job, row):
    """Loss of a row of logits, which becomes the gradient of the mean."""
    step, size, out = vector_size(lanes), field(job, t.WIDTH), field(job, t.TERMS) + row * 2 * vector_size(lanes)
    logits = field(job, t.STATES) + row * field(job, t.SIZE)
    whole, end = logits + size - size % step, logits + size
    target = logits + REAL * integer(field(job, t.TARGETS) + 8 * row)
    highest = chosen = load_number(target)
    best = spread(lanes, chosen)
    for at in range(logits, whole, step):
        best = at_least(best, load(lanes, at))
    store(out, best)
    for first, last in ((out, out + step), (whole, end)):
        for at in range(first, last, REAL):
            if not load_number(at) <= highest:
                highest = load_number(at)
    centre, bound, total = spread(lanes, highest), spread(lanes, np.float32(-80.0)), zeros(lanes)
    for at in range(logits, whole, step):
        e = exponential(lanes, at_least(subtract(load(lanes, at), centre), bound))
        store(at, e)
        total = add(total, e)
    store(out, total)
    for at in range(whole, end, REAL):
        store_number(at, np.float32(math.exp(load_number(at) - highest)))
    normaliser = 0.0
    for first, last in ((out, out + step), (whole, end)):
        for at in range(first, last, REAL):
            normaliser += load_number(at)
    if field(job, t.SHARE):
        share = load_number(field(job, t.SHARE))
        factor = np.float32(share / normaliser)
        for at in range(logits, whole, step):
            store(at, multiply(load(lanes, at), spread(lanes, factor)))
        for at in range(whole, end, REAL):
            store_number(at, load_number(at) * factor)
        store_number(target, load_number(target) - share)
    store_number(out, np.float32(math.log(normaliser) + highest - chosen))
    store_number(out + REAL, np.float32(chosen == highest))
