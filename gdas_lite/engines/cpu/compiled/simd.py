"""Vectors of float32 numbers, for kernels that numba compiles: eight at a time, or sixteen on processors with AVX-512.

How many is the type of `lanes`, which kernels hand on as their first argument: numba compiles them once for each. So is
what feature maps are stored as, float32 or bfloat16; whatever is between them is float32. A kernel sees memory as
addresses (int64, bytes), as C does. Every operation here is a few machine instructions.
"""

from functools import lru_cache

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .pointers import REAL, code, each, read, write

FEWEST, MOST = 8, 16    # lanes
HALF = 2                # bytes of a bfloat16

_REAL, _INT, _INT32, _HALF, _BYTE = ir.FloatType(), ir.IntType(64), ir.IntType(32), ir.IntType(16), ir.IntType(8)


@lru_cache(maxsize=1)
def widest() -> int:
    """Lanes that this processor computes at a time."""
    return MOST if llvmlite.binding.get_host_cpu_features().get("avx512f") else FEWEST


class _Vector(types.Type):

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"float32_x_{count}")

    def of(self, kind: ir.Type) -> ir.VectorType:
        return ir.VectorType(kind, self.count)

    @property
    def zeros(self) -> ir.Constant:
        return ir.Constant(self.of(_REAL), [0.0] * self.count)


class _Lanes(types.Type):

    def __init__(self, count: int, halves: bool) -> None:
        self.count, self.halves = count, halves
        self.element = HALF if halves else REAL     # bytes of a map's number
        super().__init__(name=f"lanes_{count}_{'bfloat16' if halves else 'float32'}")

    @property
    def vector(self) -> _Vector:
        return _Vector(self.count)


@register_model(_Lanes)
class _LanesModel(models.OpaqueModel):
    pass


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):

    def __init__(self, manager, numba_type) -> None:
        super().__init__(manager, numba_type, numba_type.of(_REAL))


@intrinsic(prefer_literal=True)
def lanes_of(typing_context, count, halves):
    """The `lanes` of a number, and whether maps are bfloat16; both must be known when the code is compiled."""
    lanes = _Lanes(count.literal_value, bool(halves.literal_value))
    return lanes(count, halves), lambda context, *_: context.get_dummy_value()


@intrinsic
def vector_size(typing_context, lanes):
    """Bytes of a vector."""
    return types.int64(lanes), code(lambda builder, *_: ir.Constant(_INT, lanes.count * REAL))


@intrinsic
def map_size(typing_context, lanes, size):
    """Bytes in a map of what has `size` bytes as float32."""
    return types.int64(lanes, types.int64), code(
        lambda builder, _, lanes_, size: builder.ashr(size, ir.Constant(_INT, 1)) if lanes.halves else size)


@intrinsic
def load(typing_context, lanes, address):
    """The numbers at `address`."""
    return lanes.vector(lanes, types.int64), code(
        lambda builder, vector, _, address: read(builder, address, vector.of(_REAL), REAL))


@intrinsic
def store(typing_context, address, value):
    """Writes `value` to `address`."""
    return types.void(types.int64, value), code(lambda builder, _, *arguments: write(builder, *arguments, REAL))


@intrinsic
def load_map(typing_context, lanes, address):
    """The numbers of a map at `address`."""
    def build(builder, vector, _, address):
        if not lanes.halves:
            return read(builder, address, vector.of(_REAL), REAL)
        upper = builder.zext(read(builder, address, vector.of(_HALF), HALF), vector.of(_INT32))
        return builder.bitcast(builder.shl(upper, _whole(vector, 16)), vector.of(_REAL))
    return lanes.vector(lanes, types.int64), code(build)


@intrinsic
def store_some(typing_context, lanes, address, value, count):
    """Writes the first `count` numbers of `value`, or all, to a map."""
    def build(builder, _, lanes_, address, vector, count):
        if lanes.halves:
            vector = _rounded(builder, value, vector)
        places = ir.Constant(value.of(_INT32), list(range(value.count)))
        mask = builder.icmp_signed("<", places, _spread(builder, value, builder.trunc(count, _INT32), _INT32))
        pointer = vector.type.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [vector.type, pointer, _INT32, mask.type])
        name = f"llvm.masked.store.v{value.count}{'i16' if lanes.halves else 'f32'}.p0"
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name),
                     [vector, builder.inttoptr(address, pointer), ir.Constant(_INT32, lanes.element), mask])
    return types.void(lanes, types.int64, value, types.int64), code(build)


@intrinsic
def stream_map(typing_context, lanes, address, value):
    """Writes `value` to a map past the caches: for what nobody reads soon. The address is a multiple of its size."""
    def build(builder, _, lanes_, *arguments):
        written = _write_map(builder, lanes, value, *arguments, lanes.count * lanes.element)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_INT32, 1)]))
    return types.void(lanes, types.int64, value), code(build)


@intrinsic
def splat(typing_context, lanes, address):
    """The one number at `address`, in every lane."""
    return lanes.vector(lanes, types.int64), code(
        lambda builder, vector, _, address: splat_at(builder, vector, address))


@intrinsic
def spread(typing_context, lanes, number):
    """A float32, in every lane."""
    return lanes.vector(lanes, types.float32), code(
        lambda builder, vector, _, number: _spread(builder, vector, number))


@intrinsic
def zeros(typing_context, lanes):
    """Zeros."""
    return lanes.vector(lanes), code(lambda builder, vector, _: vector.zeros)


@intrinsic
def fma(typing_context, a, b, c):
    """a * b + c, rounded once. c may be a tuple of vectors (registers.py), a and b one as well or one vector."""
    vector = c.dtype if isinstance(c, types.UniTuple) else c
    return c(a, b, c), code(lambda builder, kind, *abc: each(builder, kind, fma_of(builder, vector), *abc))


def _arithmetic(instruction):
    """Returns an instruction as an operation on two vectors, or on tuples of them."""
    def operation(typing_context, a, b):
        result = b if isinstance(b, types.UniTuple) else a
        return result(a, b), code(lambda builder, kind, *ab: each(builder, kind, getattr(builder, instruction), *ab))
    operation.__name__ = instruction
    return intrinsic(operation)


add, subtract, multiply, divide = map(_arithmetic, ("fadd", "fsub", "fmul", "fdiv"))


@intrinsic
def inverse_root(typing_context, a):
    """1 / sqrt(a)."""
    def build(builder, vector, value):
        kind = ir.FunctionType(vector.of(_REAL), [vector.of(_REAL)])
        root = builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{a.count}f32"), [value])
        return builder.fdiv(ir.Constant(vector.of(_REAL), [1.0] * a.count), root)
    return a(a), code(build)


@intrinsic
def two_to_the(typing_context, a):
    """2 ** a, for whole numbers from -126 to 127."""
    def build(builder, vector, value):
        exponent = builder.add(builder.fptosi(value, vector.of(_INT32)), _whole(vector, 127))
        return builder.bitcast(builder.shl(exponent, _whole(vector, 23)), vector.of(_REAL))
    return a(a), code(build)


@intrinsic
def relu(typing_context, a):
    """max(a, 0); what is not a number stays so."""
    return a(a), code(lambda builder, vector, a: (
        builder.select(builder.fcmp_ordered("<=", a, vector.zeros), vector.zeros, a)))


@intrinsic
def at_least(typing_context, a, bound):
    """a, or `bound` where that is larger; what is not a number stays so."""
    return a(a, a), code(lambda builder, _, a, bound: (
        builder.select(builder.fcmp_ordered("<", a, bound), bound, a)))


@intrinsic
def where_above(typing_context, x, bound, a):
    """a where x > bound, else 0."""
    return a(a, a, a), code(lambda builder, vector, x, bound, a: (
        builder.select(builder.fcmp_unordered(">", x, bound), a, vector.zeros)))


@intrinsic
def larger(typing_context, a, b):
    """a where it is larger or no number, else b."""
    return a(a, a), code(lambda builder, _, a, b: builder.select(_is_larger(builder, a, b), a, b))


@intrinsic
def where_larger(typing_context, a, b, x, y):
    """x where `larger` takes a, else y."""
    return a(a, a, a, a), code(lambda builder, _, a, b, x, y: builder.select(_is_larger(builder, a, b), x, y))


@intrinsic
def where_equal(typing_context, x, y, a):
    """a where x == y, else 0."""
    return a(a, a, a), code(lambda builder, vector, x, y, a: (
        builder.select(builder.fcmp_ordered("==", x, y), a, vector.zeros)))


@intrinsic
def load_bytes(typing_context, lanes, address):
    """The bytes at `address` as numbers."""
    return lanes.vector(lanes, types.int64), code(lambda builder, vector, _, address: (
        builder.uitofp(read(builder, address, vector.of(_BYTE), 1), vector.of(_REAL))))


@intrinsic
def store_bytes(typing_context, address, value):
    """Whole numbers from 0 to 255, a byte each."""
    def build(builder, _, address, number):
        whole = builder.fptosi(number, value.of(_INT32))
        write(builder, address, builder.trunc(whole, value.of(_BYTE)), 1)
    return types.void(types.int64, value), code(build)


def fma_of(builder, vector):
    """For intrinsics: what makes a * b + c of three vectors."""
    kind = ir.FunctionType(vector.of(_REAL), [vector.of(_REAL)] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{vector.count}f32")
    return lambda *abc: builder.call(function, abc)


def splat_at(builder, vector, address):
    """For intrinsics: the one number at `address`, in every lane."""
    return _spread(builder, vector, read(builder, address, _REAL, REAL))


def _spread(builder, vector, number, kind=_REAL):
    undefined = ir.Constant(vector.of(kind), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(vector.of(_INT32), [0] * vector.count))


def _whole(vector, number):
    return ir.Constant(vector.of(_INT32), [number] * vector.count)


def _write_map(builder, lanes, vector, address, value, align):
    return write(builder, address, _rounded(builder, vector, value) if lanes.halves else value, align)


def _rounded(builder, vector, value):
    """To the nearest bfloat16, to the even one of two; what is not a number stays so."""
    bits = builder.bitcast(value, vector.of(_INT32))
    is_odd = builder.and_(builder.lshr(bits, _whole(vector, 16)), _whole(vector, 1))
    nearest = builder.add(bits, builder.add(is_odd, _whole(vector, 0x7fff)))
    nan = builder.or_(bits, _whole(vector, 0x400000))
    kept = builder.select(builder.fcmp_unordered("uno", value, value), nan, nearest)
    return builder.trunc(builder.lshr(kept, _whole(vector, 16)), vector.of(_HALF))


def _is_larger(builder, a, b):
    return builder.or_(builder.fcmp_ordered(">", a, b), builder.fcmp_unordered("uno", a, a))
