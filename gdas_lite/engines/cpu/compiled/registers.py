"""Several vectors as a tuple: the sums that a loop keeps in registers. What is done to each is written out when a
kernel is compiled; the arithmetic of simd.py takes such tuples, too. A `count` is a literal, `known`, or a tuple.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .pointers import REAL, code, read, write
from .simd import fma_of, splat_at


class _Known(types.Type):

    def __init__(self, number: int) -> None:
        self.literal_value = number
        super().__init__(name=f"known_{number}")


@register_model(_Known)
class _KnownModel(models.OpaqueModel):
    pass


@intrinsic(prefer_literal=True)
def known(typing_context, number):
    """A literal, for a function that shall be compiled for it."""
    return _Known(number.literal_value)(number), lambda context, *_: context.get_dummy_value()


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


@intrinsic(prefer_literal=True)
def load_many(typing_context, lanes, count, address, step):
    """The vectors at `address`, `step` apart."""
    many = _many(lanes, count)
    return many(lanes, count, types.int64, types.int64), code(lambda builder, _, *at: cgutils.pack_array(
        builder, [_load(builder, many.dtype, place) for place in _places(builder, *at[2:], len(many))]))


@intrinsic
def store_many(typing_context, address, step, vectors):
    """Writes the vectors, `step` apart."""
    def build(builder, _, address, step, value):
        for place, vector in zip(_places(builder, address, step, len(vectors)), cgutils.unpack_tuple(builder, value)):
            write(builder, place, vector, REAL)
    return types.void(types.int64, types.int64, vectors), code(build)


@intrinsic
def store_totals(typing_context, address, step, vectors):
    """Writes the sum of each vector's numbers, `step` apart."""
    def build(builder, _, address, step, value):
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), vectors.dtype.of(ir.FloatType())])
        name = f"llvm.vector.reduce.fadd.v{vectors.dtype.count}f32"
        total = cgutils.get_or_insert_function(builder.module, kind, name)
        for place, vector in zip(_places(builder, address, step, len(vectors)), cgutils.unpack_tuple(builder, value)):
            found = builder.call(total, [ir.Constant(ir.FloatType(), 0.0), vector], fastmath=("reassoc",))
            write(builder, place, found, REAL)
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


@intrinsic
def add_outer(typing_context, sums, address, step, vector):
    """sums[i] + the number at address + i * step, times `vector`."""
    def build(builder, _, found, address, step, factor):
        fma, found = fma_of(builder, vector), cgutils.unpack_tuple(builder, found)
        places = _places(builder, address, step, len(sums))
        return cgutils.pack_array(builder, [
            fma(splat_at(builder, vector, place), factor, one) for place, one in zip(places, found)])
    return sums(sums, types.int64, types.int64, vector), code(build)
