"""A node of a recurrent cell at a word: highways from its predecessors, batch norm, and both backwards. Compiled by
numba.

    s_new = sum over p of w_p s_p + sigmoid(c_p) * (m_p - w_p s_p),   m_p = sum over k of w_pk f_k(h_p), w_p of w_pk

A task is some columns of all sequences, so that tasks share no sum. Matrices are (B, H), H filled up to whole vectors;
(c, h) of a predecessor are (B, 2, H). Nothing but sigmoid(c), in c's place, h and the states is kept: the backward pass
computes the activations anew, which takes less time than memory would.
"""

from functools import lru_cache

import numba
import numpy as np
from numba.core import sigutils
from numba.core.ccallback import CFunc

from . import recurrent_table as t
from .activations import mixed, sigmoid, slope, squashed
from .cache import keep
from .launch import fingerprint
from .pointers import REAL, address_of, integer, take_number
from .recurrent_table import SUMS_OF_TERMS
from .registers import load_many, store_many, zeros_many
from .simd import (
    add,
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
from .words import cross_entropy, gradients, logits

TASK = 640          # bytes of a row that a task takes; it must not depend on the machine, as sums do on it
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
def work(lanes, jobs):
    kind, task, end = field(jobs, t.KIND), take_number(jobs + 8 * t.NEXT), jobs + 8 * t.FIELDS * field(jobs, t.JOBS)
    scratch = field(jobs, t.SCRATCH) + take_number(jobs + 8 * t.THREAD) * field(jobs, t.SCRATCH_SIZE)
    while task < field(jobs, t.TASKS):
        for job in range(jobs, end, 8 * t.FIELDS):
            if kind == t.LOSS:
                cross_entropy(lanes, job, task)
            elif kind == t.LOGITS:
                logits(lanes, job, task, scratch)
            elif kind == t.GRADIENTS:
                gradients(lanes, job, task, scratch)
            elif kind == t.BACKWARD:
                backward(lanes, job, task, task * TASK, min(task * TASK + TASK, field(job, t.SIZE)))
            else:
                forward(lanes, job, task * TASK, min(task * TASK + TASK, field(job, t.SIZE)))
        task = take_number(jobs + 8 * t.NEXT)


@compiled
def forward(lanes, job, start, end):
    rows, size, out = field(job, t.ROWS), field(job, t.SIZE), field(job, t.STATE)
    if field(job, t.COUNT) == 0:
        for row in range(rows):
            clear(lanes, out + row * size + start, end - start)
    for p in range(field(job, t.COUNT)):
        add_predecessor(lanes, job, p, start, end)
    if field(job, t.NORM):
        normalise(lanes, job, start, end)
    if field(job, t.MASK):
        for row in range(rows):
            for at in range(row * size + start, row * size + end, vector_size(lanes)):
                store(field(job, t.MASKED) + at, multiply(load(lanes, out + at), load(lanes, field(job, t.MASK) + at)))


@compiled
def add_predecessor(lanes, job, p, start, end):
    rows, size, out = field(job, t.ROWS), field(job, t.SIZE), field(job, t.STATE)
    source, weights = field(job, t.SOURCES) + 16 * p, field(job, t.WEIGHTS) + 5 * REAL * p
    gates, states = field(job, t.GATES) + p * rows * 2 * size, field(job, t.STATES) + integer(source) * rows * size
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
    rows, size, state, moments = field(job, t.ROWS), field(job, t.SIZE), field(job, t.STATE), field(job, t.MOMENTS)
    share = spread(lanes, np.float32(1.0 / rows))
    for offset in range(start, end, vector_size(lanes)):
        if field(job, t.NORM) == 1:
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
    if field(job, t.NORM):
        before_norm(lanes, job, start, end)
    for p in range(field(job, t.COUNT)):
        of_predecessor(lanes, job, task, p, start, end)


@compiled
def arrive(lanes, job, start, end):
    """Adds what came back through the matrix of the node that was run last to its predecessors' gradients."""
    rows, size, mask = field(job, t.ROWS), field(job, t.SIZE), field(job, t.MASK)
    for p in range(field(job, t.ARRIVED_COUNT)):
        arrived = field(job, t.ARRIVED) + p * rows * size
        to = field(job, t.D_STATES) + integer(field(job, t.ARRIVED_SOURCES) + 16 * p) * rows * size
        for row in range(rows):
            for at in range(row * size + start, row * size + end, vector_size(lanes)):
                found = load(lanes, arrived + at)
                if mask:
                    found = multiply(found, load(lanes, mask + at))
                store(to + at, add(load(lanes, to + at), found))


@compiled
def before_norm(lanes, job, start, end):
    """D_STATE becomes the gradient before batch norm: rstd (g - mean(g) - state mean(g state)); by estimates rstd g."""
    rows, size = field(job, t.ROWS), field(job, t.SIZE)
    to_state, share = field(job, t.STATE) - field(job, t.D_STATE), spread(lanes, np.float32(1.0 / rows))
    for offset in range(start, end, vector_size(lanes)):
        first, last = field(job, t.D_STATE) + offset, field(job, t.D_STATE) + offset + rows * size
        total = along = zeros(lanes)
        if field(job, t.NORM) == 1:
            for at in range(first, last, size):
                g = load(lanes, at)
                total, along = add(total, g), fma(g, load(lanes, at + to_state), along)
        mean, along = multiply(total, share), multiply(along, share)
        scale = load(lanes, field(job, t.MOMENTS) + size + offset)
        for at in range(first, last, size):
            g = subtract(load(lanes, at), mean)
            if field(job, t.NORM) == 1:
                g = subtract(g, multiply(load(lanes, at + to_state), along))
            store(at, multiply(g, scale))


@compiled
def of_predecessor(lanes, job, task, p, start, end):
    """Gradients of (c, h), of the predecessor along the highway, and the sums for those of the mixture's weights."""
    rows, size, one = field(job, t.ROWS), field(job, t.SIZE), spread(lanes, np.float32(1.0))
    source, weights = field(job, t.SOURCES) + 16 * p, field(job, t.WEIGHTS) + 5 * REAL * p
    gates, d_gates = field(job, t.GATES) + p * rows * 2 * size, field(job, t.D_GATES) + p * rows * 2 * size
    states = field(job, t.STATES) + integer(source) * rows * size
    d_states = field(job, t.D_STATES) + integer(source) * rows * size
    column, whole = integer(source + 8), splat(lanes, weights + 4 * REAL)
    d_state, terms = field(job, t.D_STATE), field(job, t.TERMS)
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
        at = terms + (task * field(job, t.COUNT) + p) * SUMS_OF_TERMS * step
        store_many(at, step, add(sums, load_many(lanes, sums, at, step)))
