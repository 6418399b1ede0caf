"""A matrix product in tiles that stay in registers. Arguments are addresses, byte steps and counts."""

from __future__ import annotations

from .pointers import REAL
from .simd import fma, load, splat, store, vector_size, zeros
from .vector_loops import compiled, load_eight, store_eight


@compiled
def four_by_two(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """out = (out +) a b of four rows and two vectors; of a, rows and columns are a_row and a_column apart."""
    size = vector_size(lanes)
    p = q = r = s = t = u = v = w = zeros(lanes)
    if adds:
        p, q, r = load(lanes, out), load(lanes, out + size), load(lanes, out + out_step)
        s, t = load(lanes, out + out_step + size), load(lanes, out + 2 * out_step)
        u, v = load(lanes, out + 2 * out_step + size), load(lanes, out + 3 * out_step)
        w = load(lanes, out + 3 * out_step + size)
    for _ in range(count):
        left, right = load(lanes, b), load(lanes, b + size)
        x = splat(lanes, a)
        p, q = fma(x, left, p), fma(x, right, q)
        x = splat(lanes, a + a_row)
        r, s = fma(x, left, r), fma(x, right, s)
        x = splat(lanes, a + 2 * a_row)
        t, u = fma(x, left, t), fma(x, right, u)
        x = splat(lanes, a + 3 * a_row)
        v, w = fma(x, left, v), fma(x, right, w)
        a += a_column
        b += b_row
    store(out, p)
    store(out + size, q)
    store(out + out_step, r)
    store(out + out_step + size, s)
    store(out + 2 * out_step, t)
    store(out + 2 * out_step + size, u)
    store(out + 3 * out_step, v)
    store(out + 3 * out_step + size, w)


@compiled
def eight_by_one(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """As `four_by_two`, of eight rows and one vector."""
    p = q = r = s = t = u = v = w = zeros(lanes)
    if adds:
        p, q, r, s, t, u, v, w = load_eight(lanes, out, out_step)
    for _ in range(count):
        x = load(lanes, b)
        p, q = fma(splat(lanes, a), x, p), fma(splat(lanes, a + a_row), x, q)
        r, s = fma(splat(lanes, a + 2 * a_row), x, r), fma(splat(lanes, a + 3 * a_row), x, s)
        t, u = fma(splat(lanes, a + 4 * a_row), x, t), fma(splat(lanes, a + 5 * a_row), x, u)
        v, w = fma(splat(lanes, a + 6 * a_row), x, v), fma(splat(lanes, a + 7 * a_row), x, w)
        a += a_column
        b += b_row
    store_eight(out, out_step, p, q, r, s, t, u, v, w)


@compiled
def one_by_one(lanes, out, a, a_column, b, b_row, count, adds):
    """As `four_by_two`, of a row and a vector."""
    total = load(lanes, out) if adds else zeros(lanes)
    for _ in range(count):
        total = fma(splat(lanes, a), load(lanes, b), total)
        a += a_column
        b += b_row
    store(out, total)


@compiled
def product(lanes, out, out_step, a, a_row, a_column, b, b_row, rows, columns, count, adds):
    """Matrix product out[rows, columns] = (out +) a[rows, count] b[count, columns]; columns fill whole vectors."""
    size = columns * REAL
    paired = size - size % (2 * vector_size(lanes))
    for offset in range(0, paired, 2 * vector_size(lanes)):
        for row in range(0, rows - rows % 4, 4):
            four_by_two(lanes, out + row * out_step + offset, out_step, a + row * a_row, a_row, a_column, b + offset,
                        b_row, count, adds)
    for offset in range(paired, size, vector_size(lanes)):
        for row in range(0, rows - rows % 8, 8):
            eight_by_one(lanes, out + row * out_step + offset, out_step, a + row * a_row, a_row, a_column, b + offset,
                         b_row, count, adds)
    for offset in range(0, size, vector_size(lanes)):
        for row in range(rows - rows % (4 if offset < paired else 8), rows):
            one_by_one(lanes, out + row * out_step + offset, a + row * a_row, a_column, b + offset, b_row, count, adds)
