"""A matrix product in tiles that stay in registers. Arguments are addresses, byte steps and counts."""

from __future__ import annotations

from .pointers import REAL
from .simd import MOST, fma, load, splat, store, vector_size, zeros
from .vector_loops import compiled, load_eight, store_eight


@compiled
def eight_rows(lanes, a, row, b, p, q, r, s, t, u, v, w):
    """A vector of b, times a number of each of eight rows of a (`row` apart), added to p to w."""
    p, q = fma(splat(lanes, a), b, p), fma(splat(lanes, a + row), b, q)
    r, s = fma(splat(lanes, a + 2 * row), b, r), fma(splat(lanes, a + 3 * row), b, s)
    t, u = fma(splat(lanes, a + 4 * row), b, t), fma(splat(lanes, a + 5 * row), b, u)
    v, w = fma(splat(lanes, a + 6 * row), b, v), fma(splat(lanes, a + 7 * row), b, w)
    return p, q, r, s, t, u, v, w


@compiled
def eight_by_one(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """out = (out +) a b of eight rows and a vector; of a, rows and columns are a_row and a_column apart."""
    p = q = r = s = t = u = v = w = zeros(lanes)
    if adds:
        p, q, r, s, t, u, v, w = load_eight(lanes, out, out_step)
    for _ in range(count):
        p, q, r, s, t, u, v, w = eight_rows(lanes, a, a_row, load(lanes, b), p, q, r, s, t, u, v, w)
        a += a_column
        b += b_row
    store_eight(out, out_step, p, q, r, s, t, u, v, w)


@compiled
def sixteen_by_one(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """As `eight_by_one`, of sixteen rows."""
    p = q = r = s = t = u = v = w = p1 = q1 = r1 = s1 = t1 = u1 = v1 = w1 = zeros(lanes)
    below, further = out + 8 * out_step, 8 * a_row
    if adds:
        p, q, r, s, t, u, v, w = load_eight(lanes, out, out_step)
        p1, q1, r1, s1, t1, u1, v1, w1 = load_eight(lanes, below, out_step)
    for _ in range(count):
        x = load(lanes, b)
        p, q, r, s, t, u, v, w = eight_rows(lanes, a, a_row, x, p, q, r, s, t, u, v, w)
        p1, q1, r1, s1, t1, u1, v1, w1 = eight_rows(lanes, a + further, a_row, x, p1, q1, r1, s1, t1, u1, v1, w1)
        a += a_column
        b += b_row
    store_eight(out, out_step, p, q, r, s, t, u, v, w)
    store_eight(below, out_step, p1, q1, r1, s1, t1, u1, v1, w1)


@compiled
def eight_by_two(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """As `eight_by_one`, of two vectors."""
    p = q = r = s = t = u = v = w = p1 = q1 = r1 = s1 = t1 = u1 = v1 = w1 = zeros(lanes)
    size = vector_size(lanes)
    if adds:
        p, q, r, s, t, u, v, w = load_eight(lanes, out, out_step)
        p1, q1, r1, s1, t1, u1, v1, w1 = load_eight(lanes, out + size, out_step)
    for _ in range(count):
        x, y = load(lanes, b), load(lanes, b + size)
        p, q, r, s, t, u, v, w = eight_rows(lanes, a, a_row, x, p, q, r, s, t, u, v, w)
        p1, q1, r1, s1, t1, u1, v1, w1 = eight_rows(lanes, a, a_row, y, p1, q1, r1, s1, t1, u1, v1, w1)
        a += a_column
        b += b_row
    store_eight(out, out_step, p, q, r, s, t, u, v, w)
    store_eight(out + size, out_step, p1, q1, r1, s1, t1, u1, v1, w1)


@compiled
def four_rows(lanes, a, row, b, p, q, r, s):
    """As `eight_rows`, of four."""
    return (fma(splat(lanes, a), b, p), fma(splat(lanes, a + row), b, q), fma(splat(lanes, a + 2 * row), b, r),
            fma(splat(lanes, a + 3 * row), b, s))


@compiled
def load_four(lanes, address, step):
    return (load(lanes, address), load(lanes, address + step), load(lanes, address + 2 * step),
            load(lanes, address + 3 * step))


@compiled
def store_four(address, step, a, b, c, d):
    store(address, a)
    store(address + step, b)
    store(address + 2 * step, c)
    store(address + 3 * step, d)


@compiled
def four_by_two(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """As `eight_by_one`, of four rows and two vectors."""
    p = q = r = s = p1 = q1 = r1 = s1 = zeros(lanes)
    size = vector_size(lanes)
    if adds:
        p, q, r, s = load_four(lanes, out, out_step)
        p1, q1, r1, s1 = load_four(lanes, out + size, out_step)
    for _ in range(count):
        x, y = load(lanes, b), load(lanes, b + size)
        p, q, r, s = four_rows(lanes, a, a_row, x, p, q, r, s)
        p1, q1, r1, s1 = four_rows(lanes, a, a_row, y, p1, q1, r1, s1)
        a += a_column
        b += b_row
    store_four(out, out_step, p, q, r, s)
    store_four(out + size, out_step, p1, q1, r1, s1)


@compiled
def four_by_three(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """As `eight_by_one`, of four rows and three vectors."""
    p = q = r = s = p1 = q1 = r1 = s1 = p2 = q2 = r2 = s2 = zeros(lanes)
    size = vector_size(lanes)
    if adds:
        p, q, r, s = load_four(lanes, out, out_step)
        p1, q1, r1, s1 = load_four(lanes, out + size, out_step)
        p2, q2, r2, s2 = load_four(lanes, out + 2 * size, out_step)
    for _ in range(count):
        x, y, z = load(lanes, b), load(lanes, b + size), load(lanes, b + 2 * size)
        p, q, r, s = four_rows(lanes, a, a_row, x, p, q, r, s)
        p1, q1, r1, s1 = four_rows(lanes, a, a_row, y, p1, q1, r1, s1)
        p2, q2, r2, s2 = four_rows(lanes, a, a_row, z, p2, q2, r2, s2)
        a += a_column
        b += b_row
    store_four(out, out_step, p, q, r, s)
    store_four(out + size, out_step, p1, q1, r1, s1)
    store_four(out + 2 * size, out_step, p2, q2, r2, s2)


@compiled
def one_by_one(lanes, out, a, a_column, b, b_row, count, adds):
    """As `eight_by_one`, of a row and a vector."""
    total = load(lanes, out) if adds else zeros(lanes)
    for _ in range(count):
        total = fma(splat(lanes, a), load(lanes, b), total)
        a += a_column
        b += b_row
    store(out, total)


@compiled
def product(lanes, out, out_step, a, a_row, a_column, b, b_row, rows, columns, count, adds):
    """Matrix product out[rows, columns] = (out +) a[rows, count] b[count, columns]; columns fill whole vectors."""
    one, left = vector_size(lanes), columns * REAL
    while left > 0:
        width, done = one, 0
        if left == 3 * one or left > 4 * one:
            width = 3 * one
            for row in range(0, rows - 3, 4):
                four_by_three(lanes, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row, count,
                              adds)
            done = rows - rows % 4
        elif left > one:
            width = 2 * one
            if one == MOST * REAL:      # there are registers for it
                for row in range(0, rows - 7, 8):
                    eight_by_two(lanes, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row,
                                 count, adds)
                done = rows - rows % 8
            for row in range(done, rows - 3, 4):
                four_by_two(lanes, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row, count,
                            adds)
            done = rows - rows % 4
        else:
            if one == MOST * REAL:
                for row in range(0, rows - 15, 16):
                    sixteen_by_one(lanes, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row,
                                   count, adds)
                done = rows - rows % 16
            for row in range(done, rows - 7, 8):
                eight_by_one(lanes, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row, count,
                             adds)
            done = rows - rows % 8
        for row in range(done, rows):
            for offset in range(0, width, one):
                one_by_one(lanes, out + row * out_step + offset, a + row * a_row, a_column, b + offset, b_row, count,
                           adds)
        out, b, left = out + width, b + width, left - width
