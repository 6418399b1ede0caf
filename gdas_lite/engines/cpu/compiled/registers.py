"""Several vectors as a tuple: the sums that a loop keeps in registers. What is done to each is written out when a
kernel is compiled; the arithmetic of simd.py takes such tuples, too. A `count` is a literal or a tuple of as many.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .pointers import REAL, code, read, write
from .simd import fma_of, splat_at


def _many(lanes, count):
    return types.UniTuple(lanes.vector, len(count) if isinstance(count, types.BaseTuple) else count.literal_value)


def _places(builder, address, step, count):
    """Addresses that are `step` apart."""
    return [builder.add(address, builder.mul(step, ir.Constant(step.type, place))) for place in range(count)]


def _load(builder, vector, address):
    return read(builder, address, vector.of(ir.FloatType()), REAL)


@intrinsic(prefer_literal=True)
def zeros_many(typing_context, lanes, count):
    """Zeros."""
    many = _many(lanes, count)
    return many(lanes, count), code(lambda builder, *_: cgutils.pack_array(builder, [many.dtype.zeros] * len(many)))


def _reading(read_one):
    """Returns the operation that makes vectors of what stands at `address` and `step`, two steps, ... behind it."""
    def operation(typing_context, lanes, count, address, step):
        many = _many(lanes, count)
        return many(lanes, count, types.int64, types.int64), code(
            lambda builder, _, lanes_, count_, *at: cgutils.pack_array(
                builder, [read_one(builder, many.dtype, place) for place in _places(builder, *at, len(many))]))
    operation.__name__ = f"many_by{read_one.__name__}"
    return intrinsic(prefer_literal=True)(operation)


load_many, splat_many = _reading(_load), _reading(splat_at)     # of each a vector; of each a number, in every lane


@intrinsic
def store_many(typing_context, address, step, vectors):
    """Writes the vectors, `step` apart."""
    def build(builder, _, address, step, value):
        for place, vector in zip(_places(builder, address, step, len(vectors)), cgutils.unpack_tuple(builder, value)):
            write(builder, place, vector, REAL)
    return types.void(types.int64, types.int64, vectors), code(build)


@intrinsic
def slide(typing_context, sums, x, step, taps):
    """sums[i] + the sum over t of taps[t] * (the vector at x + (i + t) * step), each vector read once."""
    def build(builder, _, found, x, step, factors):
        found, factors = cgutils.unpack_tuple(builder, found), cgutils.unpack_tuple(builder, factors)
        fma = fma_of(builder, sums.dtype)
        for place, address in enumerate(_places(builder, x, step, len(sums) + len(taps) - 1)):
            value = _load(builder, sums.dtype, address)
            for tap in range(max(0, place - len(sums) + 1), min(place + 1, len(taps))):
                found[place - tap] = fma(value, factors[tap], found[place - tap])
        return cgutils.pack_array(builder, found)
    return sums(sums, types.int64, types.int64, taps), code(build)
