"""A node of a recurrent cell at a word: highways from its predecessors, batch norm, and both backwards. Compiled by
numba. And the cross entropy of a row of logits.

    s_new = sum over p of w_p s_p + sigmoid(c_p) * (m_p - w_p s_p),   m_p = sum over k of w_pk f_k(h_p), w_p of w_pk

A task is some columns of all sequences, so that tasks share no sum. Matrices are (B, H), H filled up to whole vectors;
(c, h) of a predecessor are (B, 2, H). Nothing but sigmoid(c), in c's place, h and the states is kept: the backward pass
computes the activations anew, which takes less time than memory would.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numba
import numpy as np
from numba.core import sigutils
from numba.core.ccallback import CFunc

from .activations import exponential, mixed, sigmoid, slope, squashed
from .cache import keep
from .launch import fingerprint
from .pointers import REAL, address_of, integer, load_number, store_number, take_number
from .registers import load_many, store_many, zeros_many
from .simd import (
    add,
    at_least,
    fma,
    inverse_root,
    lanes_of,
    load,
    multiply,
    relu,
    splat,
    spread,
    store,
    subtract,
    vector_size,
    widest,
    zeros,
)
from .vector_loops import clear, compiled, field

# Fields of a job, int64. Addresses of: SOURCES, (n, 2) int64, index and column of a predecessor; WEIGHTS, (n, 5), of
# the activations and their sum; GATES, (n, B, 2, H); STATES, (S, B, H), of the predecessors; STATE, the node's own;
# MASKED, STATE times MASK, where there is one; MOMENTS, mean, inverse standard deviation and variance, (3, H);
# D_STATES, (S, B, H), gradients of STATES; D_STATE, of STATE; D_GATES, of GATES; TERMS, (tasks, n, 5, vector), sums for
# dL/dw; ARRIVED, (m, B, H), gradients of the predecessors in ARRIVED_SOURCES before MASK, of the node that was run
# last. SIZE: bytes of a row (H). NORM: 0 none, 1 by the batch, 2 by MOMENTS as they are.
# Of logits: STATES, (ROWS, V); SOURCES, targets, int64; WEIGHTS, 1 / words of the mean, 0 where no gradient is asked;
# TERMS, (ROWS, 2 vectors), loss and whether the target is the most probable.
(KIND, NEXT, ROWS, SIZE, COUNT, SOURCES, WEIGHTS, GATES, STATES, STATE, MASKED, MASK, NORM, MOMENTS, D_STATES,
 D_STATE, D_GATES, TERMS, ARRIVED, ARRIVED_COUNT, ARRIVED_SOURCES, FIELDS) = range(22)

FORWARD, BACKWARD, LOGITS = range(3)                # kinds of a job
TASK = 640          # bytes of a row that a task takes; it must not depend on the machine, as sums do on it
SUMS_OF_TERMS = 5
EPS = np.float32(1e-5)


@lru_cache(maxsize=1)
def node() -> object:
    """Returns the compiled function. The first call on a machine compiles some seconds."""
    version, lanes = fingerprint(), widest()

    def run_node(head):
        if len(version) == 0:       # part of the cache's key: what a function closes over
            return
        work(lanes_of(lanes, False), address_of(head))

    made = CFunc(run_node, sigutils.normalize_signature(numba.types.void(numba.types.voidptr)), {}, {"nopython": True})
    keep(made, run_node, "the kernels of recurrent cells, once some seconds")
    made.compile()
    return made


@compiled
def work(lanes, job):
    kind, size, task = field(job, KIND), field(job, SIZE), take_number(job + 8 * NEXT)
    while task < (field(job, ROWS) if kind == LOGITS else (size + TASK - 1) // TASK):
        start, end = task * TASK, min(task * TASK + TASK, size)
        if kind == LOGITS:
            cross_entropy(lanes, job, task)
        elif kind == BACKWARD:
            backward(lanes, job, task, start, end)
        else:
            forward(lanes, job, start, end)
        task = take_number(job + 8 * NEXT)


@compiled
def cross_entropy(lanes, job, row):
    """Loss of a row of logits, which becomes the gradient of the mean."""
    step, size, out = vector_size(lanes), field(job, SIZE), field(job, TERMS) + row * 2 * vector_size(lanes)
    logits = field(job, STATES) + row * size
    whole, end = logits + size - size % step, logits + size
    target = logits + REAL * integer(field(job, SOURCES) + 8 * row)
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
    if field(job, WEIGHTS):
        share = load_number(field(job, WEIGHTS))
        factor = np.float32(share / normaliser)
        for at in range(logits, whole, step):
            store(at, multiply(load(lanes, at), spread(lanes, factor)))
        for at in range(whole, end, REAL):
            store_number(at, load_number(at) * factor)
        store_number(target, load_number(target) - share)
    store_number(out, np.float32(math.log(normaliser) + highest - chosen))
    store_number(out + REAL, np.float32(chosen == highest))


@compiled
def forward(lanes, job, start, end):
    rows, size, out = field(job, ROWS), field(job, SIZE), field(job, STATE)
    if field(job, COUNT) == 0:
        for row in range(rows):
            clear(lanes, out + row * size + start, end - start)
    for p in range(field(job, COUNT)):
        add_predecessor(lanes, job, p, start, end)
    if field(job, NORM):
        normalise(lanes, job, start, end)
    if field(job, MASK):
        for row in range(rows):
            for at in range(row * size + start, row * size + end, vector_size(lanes)):
                store(field(job, MASKED) + at, multiply(load(lanes, out + at), load(lanes, field(job, MASK) + at)))


@compiled
def add_predecessor(lanes, job, p, start, end):
    rows, size, out = field(job, ROWS), field(job, SIZE), field(job, STATE)
    source, weights = field(job, SOURCES) + 16 * p, field(job, WEIGHTS) + 5 * REAL * p
    gates, states = field(job, GATES) + p * rows * 2 * size, field(job, STATES) + integer(source) * rows * size
    column, whole = integer(source + 8), splat(lanes, weights + 4 * REAL)
    for row in range(rows):
        for offset in range(start, end, vector_size(lanes)):
            at, pair = row * size + offset, row * 2 * size + offset
            h, kept = load(lanes, gates + pair + size), multiply(whole, load(lanes, states + at))
            bent, squeezed = squashed(lanes, column, h)
            change = subtract(mixed(lanes, weights, bent, squeezed, h), kept)
            gate = sigmoid(lanes, load(lanes, gates + pair))
            store(gates + pair, gate)
            found = fma(gate, change, kept)
            store(out + at, add(found, load(lanes, out + at)) if p else found)


@compiled
def normalise(lanes, job, start, end):
    rows, size, state, moments = field(job, ROWS), field(job, SIZE), field(job, STATE), field(job, MOMENTS)
    share = spread(lanes, np.float32(1.0 / rows))
    for offset in range(start, end, vector_size(lanes)):
        if field(job, NORM) == 1:
            total = zeros(lanes)
            for at in range(state + offset, state + offset + rows * size, size):
                total = add(total, load(lanes, at))
            mean, total = multiply(total, share), zeros(lanes)
            for at in range(state + offset, state + offset + rows * size, size):
                distance = subtract(load(lanes, at), mean)
                total = fma(distance, distance, total)
            variance = multiply(total, share)
            store(moments + offset, mean)
            store(moments + size + offset, inverse_root(add(variance, spread(lanes, EPS))))
            store(moments + 2 * size + offset, variance)
        mean, scale = load(lanes, moments + offset), load(lanes, moments + size + offset)
        for at in range(state + offset, state + offset + rows * size, size):
            store(at, multiply(subtract(load(lanes, at), mean), scale))


@compiled
def backward(lanes, job, task, start, end):
    arrive(lanes, job, start, end)
    if field(job, NORM):
        before_norm(lanes, job, start, end)
    for p in range(field(job, COUNT)):
        of_predecessor(lanes, job, task, p, start, end)


@compiled
def arrive(lanes, job, start, end):
    """Adds what came back through the matrix of the node that was run last to its predecessors' gradients."""
    rows, size, mask = field(job, ROWS), field(job, SIZE), field(job, MASK)
    for p in range(field(job, ARRIVED_COUNT)):
        arrived = field(job, ARRIVED) + p * rows * size
        to = field(job, D_STATES) + integer(field(job, ARRIVED_SOURCES) + 16 * p) * rows * size
        for row in range(rows):
            for at in range(row * size + start, row * size + end, vector_size(lanes)):
                found = load(lanes, arrived + at)
                if mask:
                    found = multiply(found, load(lanes, mask + at))
                store(to + at, add(load(lanes, to + at), found))


@compiled
def before_norm(lanes, job, start, end):
    """D_STATE becomes the gradient before batch norm: rstd (g - mean(g) - state mean(g state)); by estimates rstd g."""
    rows, size = field(job, ROWS), field(job, SIZE)
    to_state, share = field(job, STATE) - field(job, D_STATE), spread(lanes, np.float32(1.0 / rows))
    for offset in range(start, end, vector_size(lanes)):
        first, last = field(job, D_STATE) + offset, field(job, D_STATE) + offset + rows * size
        total = along = zeros(lanes)
        if field(job, NORM) == 1:
            for at in range(first, last, size):
                g = load(lanes, at)
                total, along = add(total, g), fma(g, load(lanes, at + to_state), along)
        mean, along = multiply(total, share), multiply(along, share)
        scale = load(lanes, field(job, MOMENTS) + size + offset)
        for at in range(first, last, size):
            g = subtract(load(lanes, at), mean)
            if field(job, NORM) == 1:
                g = subtract(g, multiply(load(lanes, at + to_state), along))
            store(at, multiply(g, scale))


@compiled
def of_predecessor(lanes, job, task, p, start, end):
    """Gradients of (c, h), of the predecessor along the highway, and the sums for those of the mixture's weights."""
    rows, size, one = field(job, ROWS), field(job, SIZE), spread(lanes, np.float32(1.0))
    source, weights = field(job, SOURCES) + 16 * p, field(job, WEIGHTS) + 5 * REAL * p
    gates, d_gates = field(job, GATES) + p * rows * 2 * size, field(job, D_GATES) + p * rows * 2 * size
    states = field(job, STATES) + integer(source) * rows * size
    d_states = field(job, D_STATES) + integer(source) * rows * size
    column, whole = integer(source + 8), splat(lanes, weights + 4 * REAL)
    d_state, terms = field(job, D_STATE), field(job, TERMS)
    sums = zeros_many(lanes, SUMS_OF_TERMS)
    for row in range(rows):
        for offset in range(start, end, vector_size(lanes)):
            at, pair = row * size + offset, row * 2 * size + offset
            g, state, h = load(lanes, d_state + at), load(lanes, states + at), load(lanes, gates + pair + size)
            gate, (bent, squeezed) = load(lanes, gates + pair), squashed(lanes, column, h)
            change = fma(subtract(zeros(lanes), whole), state, mixed(lanes, weights, bent, squeezed, h))
            open_part, kept = multiply(g, gate), multiply(g, subtract(one, gate))
            store(d_gates + pair, multiply(multiply(kept, gate), change))
            store(d_gates + pair + size, multiply(open_part, slope(lanes, weights, bent, squeezed, h)))
            store(d_states + at, fma(kept, whole, load(lanes, d_states + at)))
            if terms:
                factors = (kept, open_part, open_part, open_part, open_part)
                sums = fma(factors, (state, bent, relu(h), squeezed, h), sums)
    if terms:
        step = vector_size(lanes)
        at = terms + (task * field(job, COUNT) + p) * SUMS_OF_TERMS * step
        store_many(at, step, add(sums, load_many(lanes, sums, at, step)))
