"""A matrix product in tiles that stay in registers. Arguments are addresses, byte steps and counts."""

from .pointers import REAL
from .registers import add_outer, known, load_many, store_many, zeros_many
from .simd import MOST, fma, load, splat, store, vector_size, zeros
from .vector_loops import compiled


@compiled
def by_one(lanes, rows, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """out = (out +) a b of so many rows and a vector; of a, rows and columns are a_row and a_column apart."""
    p = zeros_many(lanes, rows)
    if adds:
        p = load_many(lanes, rows, out, out_step)
    for _ in range(count):
        p = add_outer(p, a, a_row, load(lanes, b))
        a += a_column
        b += b_row
    store_many(out, out_step, p)


@compiled
def by_two(lanes, rows, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """As `by_one`, of two vectors."""
    size, p, q = vector_size(lanes), zeros_many(lanes, rows), zeros_many(lanes, rows)
    if adds:
        p, q = load_many(lanes, rows, out, out_step), load_many(lanes, rows, out + size, out_step)
    for _ in range(count):
        x, y = load(lanes, b), load(lanes, b + size)
        p, q = add_outer(p, a, a_row, x), add_outer(q, a, a_row, y)
        a += a_column
        b += b_row
    store_many(out, out_step, p)
    store_many(out + size, out_step, q)


@compiled
def by_three(lanes, rows, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """As `by_one`, of three vectors."""
    size, p, q, r = vector_size(lanes), zeros_many(lanes, rows), zeros_many(lanes, rows), zeros_many(lanes, rows)
    if adds:
        p, q = load_many(lanes, rows, out, out_step), load_many(lanes, rows, out + size, out_step)
        r = load_many(lanes, rows, out + 2 * size, out_step)
    for _ in range(count):
        x, y, z = load(lanes, b), load(lanes, b + size), load(lanes, b + 2 * size)
        p, q, r = add_outer(p, a, a_row, x), add_outer(q, a, a_row, y), add_outer(r, a, a_row, z)
        a += a_column
        b += b_row
    store_many(out, out_step, p)
    store_many(out + size, out_step, q)
    store_many(out + 2 * size, out_step, r)


@compiled
def one_by_one(lanes, out, a, a_column, b, b_row, count, adds):
    """As `by_one`, of one row."""
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
    four, eight, sixteen = known(4), known(8), known(16)
    while left > 0:
        width, done = one, 0
        if left == 3 * one or left > 4 * one:
            width = 3 * one
            for row in range(0, rows - 3, 4):
                by_three(lanes, four, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row, count,
                         adds)
            done = rows - rows % 4
        elif left > one:
            width = 2 * one
            if one == MOST * REAL:      # there are registers for it
                for row in range(0, rows - 7, 8):
                    by_two(lanes, eight, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row,
                           count, adds)
                done = rows - rows % 8
            for row in range(done, rows - 3, 4):
                by_two(lanes, four, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row, count,
                       adds)
            done = rows - rows % 4
        else:
            if one == MOST * REAL:
                for row in range(0, rows - 15, 16):
                    by_one(lanes, sixteen, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row,
                           count, adds)
                done = rows - rows % 16
            for row in range(done, rows - 7, 8):
                by_one(lanes, eight, out + row * out_step, out_step, a + row * a_row, a_row, a_column, b, b_row, count,
                       adds)
            done = rows - rows % 8
        for row in range(done, rows):
            for offset in range(0, width, one):
                one_by_one(lanes, out + row * out_step + offset, a + row * a_row, a_column, b + offset, b_row, count,
                           adds)
        out, b, left = out + width, b + width, left - width
