"""A matrix product in tiles that stay in registers. Arguments are addresses, byte steps and counts."""

from __future__ import annotations

from .pointers import REAL
from .registers import load_many, splat_many, store_many, zeros_many
from .simd import fma, load, splat, store, vector_size, zeros
from .vector_loops import compiled


@compiled
def four_by_two(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """out = (out +) a b of four rows and two vectors; of a, rows and columns are a_row and a_column apart."""
    size = vector_size(lanes)
    left = right = zeros_many(lanes, 4)
    if adds:
        left, right = load_many(lanes, 4, out, out_step), load_many(lanes, 4, out + size, out_step)
    for _ in range(count):
        x = splat_many(lanes, 4, a, a_row)
        left, right = fma(x, load(lanes, b), left), fma(x, load(lanes, b + size), right)
        a += a_column
        b += b_row
    store_many(out, out_step, left)
    store_many(out + size, out_step, right)


@compiled
def eight_by_one(lanes, out, out_step, a, a_row, a_column, b, b_row, count, adds):
    """As `four_by_two`, of eight rows and one vector."""
    sums = load_many(lanes, 8, out, out_step) if adds else zeros_many(lanes, 8)
    for _ in range(count):
        sums = fma(splat_many(lanes, 8, a, a_row), load(lanes, b), sums)
        a += a_column
        b += b_row
    store_many(out, out_step, sums)


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
