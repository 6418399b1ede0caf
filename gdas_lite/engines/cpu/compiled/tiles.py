"""Winograd's transforms of a tile of side - 2 outputs both ways, as matrices, and as code that numba compiles.

A line of outputs is a product of polynomials, known by its values at 0, infinity and at both signs of POINTS (Toom and
Cook). Values at both signs are sum and difference of an even and an odd part (Q), so each transform has two stages:
B^T = Q T, A^T = P Q. Adjoints are their transposes. These points of the larger tile lose least: errors are three to
four times those of the smaller one, and a kernel's gradient is nearer than a sum over pixels.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .pointers import REAL, code, read, write
from .simd import fma_of

POINTS = {4: (1.0,), 6: (0.75, 1.5)}
# what `turn_tile` does: from pixels to planes, from planes to pixels; backwards; from planes to a kernel's nine taps
INPUT, OUTPUT, OUTPUT_BACK, INPUT_BACK, KERNEL_BACK = range(5)
TO_PLANES, ADDS = (INPUT, OUTPUT_BACK), (INPUT_BACK,)


def kernel_matrix(side: int) -> np.ndarray:
    """Returns G, (side, 3)."""
    finite = [0.0, *(sign * point for point in POINTS[side] for sign in (1, -1))]
    rows = [np.power(one, range(3)) / np.prod([one - other for other in finite if other != one]) for one in finite]
    return np.stack([*rows, np.eye(3)[2]])


def _stages(side: int) -> dict[int, tuple[np.ndarray, ...]]:
    """The matrices of each transform, the first to be applied first."""
    points, even_and_odd = POINTS[side], np.eye(side)

    def row(*factors: np.ndarray) -> np.ndarray:        # coefficients of their product, from x^0 on
        found = np.ones(1)
        for factor in factors:
            found = np.convolve(found, factor)
        return np.pad(found, (0, side - len(found)))

    squares = [np.array([-point * point, 0, 1]) for point in points]
    half = [row(*squares)]
    for place, point in enumerate(points):
        others = squares[:place] + squares[place + 1:]
        half += row(*others, [0, 0, 1]), row(*others, [0, point])
        even_and_odd[2 * place + 1:2 * place + 3, 2 * place + 1:2 * place + 3] = [[1, 1], [1, -1]]
    half = np.stack([*half, row(*squares, [0, 1])])
    powers = np.zeros((side - 2, side))
    powers[0, 0] = powers[-1, -1] = 1
    for output in range(side - 2):
        powers[output, 1 + output % 2:-1:2] = np.power(points, output)
    return {INPUT: (half, even_and_odd), OUTPUT: (even_and_odd, powers), OUTPUT_BACK: (powers.T, even_and_odd),
            INPUT_BACK: (even_and_odd, half.T), KERNEL_BACK: (kernel_matrix(side).T,)}


STAGES = {side: _stages(side) for side in POINTS}


def _times(builder, vector, matrix, values):
    """For intrinsics: a matrix times a column of vectors, without what is zero, or one."""
    fma, found = fma_of(builder, vector), []
    for row in matrix:
        terms = sorted(((factor, value) for factor, value in zip(row, values) if factor), key=lambda term: term[0] != 1)
        (factor, total), *rest = terms
        if factor != 1:
            total = builder.fmul(total, _constant(vector, factor))
        for factor, value in rest:
            if abs(factor) == 1:
                total = (builder.fadd if factor > 0 else builder.fsub)(total, value)
            else:
                total = fma(value, _constant(vector, factor), total)
        found.append(total)
    return found


def _constant(vector, factor):
    return ir.Constant(vector.of(ir.FloatType()), [float(np.float32(factor))] * vector.count)


@intrinsic
def turn_tile(typing_context, lanes, side, change, pixels, pitch, step, planes, plane):
    """A tile's pixels (or a kernel's taps), rows `pitch` and columns `step` apart, to its side * side numbers in planes
    `plane` apart, or from there to the pixels."""
    name = f"{lanes.name}_tile_{side.literal_value}_{change.literal_value}"
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 5)

    def build(builder, _, lanes_, side_, change_, *given):
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        if function.is_declaration:     # apart from the loop about it, in which LLVM would take minutes over addresses
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            inner = ir.IRBuilder(function.append_basic_block())
            _turn(inner, lanes.vector, side.literal_value, change.literal_value, *function.args)
            inner.ret_void()
        builder.call(function, given)
    return types.void(lanes, side, change, *[types.int64] * 5), code(build)


def _turn(builder, vector, side, change, pixels, pitch, step, planes, plane):
    """For intrinsics: what `turn_tile` does."""
    here, there = (pixels, pitch, step), (planes, builder.mul(plane, ir.Constant(plane.type, side)), plane)
    if change not in TO_PLANES:
        here, there = there, here

    def line(values):
        for matrix in STAGES[side][change]:
            values = _times(builder, vector, matrix, values)
        return values

    def place(at, row, column):
        base, row_step, column_step = at
        moved = builder.add(base, builder.mul(row_step, ir.Constant(base.type, row)))
        return builder.add(moved, builder.mul(column_step, ir.Constant(base.type, column)))

    count, kind = range(STAGES[side][change][0].shape[1]), vector.of(ir.FloatType())
    columns = [line([read(builder, place(here, row, column), kind, REAL) for row in count]) for column in count]
    for row, values in enumerate(zip(*columns)):
        for column, value in enumerate(line(values)):
            to = place(there, row, column)
            write(builder, to, builder.fadd(read(builder, to, kind, REAL), value) if change in ADDS else value, REAL)
