"""Vectors of float32 numbers, for kernels that numba compiles: eight at a time, or sixteen on processors with AVX-512.

How many is the type of `lanes`, which kernels hand on as their first argument: numba compiles them once for each. So is what
feature maps are stored as, float32 or bfloat16; whatever is between them is float32. A kernel sees memory as addresses (int64,
bytes), as C does. Every operation here is a few machine instructions.
"""

from __future__ import annotations

from functools import lru_cache

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .pointers import REAL, read, write

FEWEST, MOST = 8, 16    # lanes
HALF = 2                # bytes of a bfloat16

_REAL, _INT, _INT32, _HALF, _BYTE = ir.FloatType(), ir.IntType(64), ir.IntType(32), ir.IntType(16), ir.IntType(8)


@lru_cache(maxsize=1)
def widest() -> int:
    """Lanes that this processor computes at a time."""
    return MOST if llvmlite.binding.get_host_cpu_features().get("avx512f") else FEWEST


class _Lanes(types.Type):

    def __init__(self, count: int, halves: bool) -> None:
        self.count, self.halves = count, halves
        self.element = HALF if halves else REAL     # bytes of a map's number
        super().__init__(name=f"lanes_{count}_{'bfloat16' if halves else 'float32'}")


class _Vector(types.Type):

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"float32_x_{count}")

    def of(self, kind: ir.Type) -> ir.VectorType:
        return ir.VectorType(kind, self.count)

    @property
    def zeros(self) -> ir.Constant:
        return ir.Constant(self.of(_REAL), [0.0] * self.count)


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
    def generate(context, builder, signature, arguments):
        return context.get_dummy_value()
    return _Lanes(count.literal_value, bool(halves.literal_value))(count, halves), generate


@intrinsic
def vector_size(typing_context, lanes):
    """Bytes of a vector."""
    def generate(context, builder, signature, arguments):
        return ir.Constant(_INT, lanes.count * REAL)
    return types.int64(lanes), generate


@intrinsic
def map_size(typing_context, lanes, size):
    """Bytes in a map of what has `size` bytes as float32."""
    def generate(context, builder, signature, arguments):
        return builder.ashr(arguments[1], ir.Constant(_INT, 1)) if lanes.halves else arguments[1]
    return types.int64(lanes, types.int64), generate


@intrinsic
def load(typing_context, lanes, address):
    """The numbers at `address`."""
    def generate(context, builder, signature, arguments):
        return read(builder, arguments[1], signature.return_type.of(_REAL), REAL)
    return _Vector(lanes.count)(lanes, types.int64), generate


@intrinsic
def store(typing_context, address, value):
    """Writes `value` to `address`."""
    def generate(context, builder, signature, arguments):
        write(builder, *arguments, REAL)
        return context.get_dummy_value()
    return types.void(types.int64, value), generate


@intrinsic
def load_map(typing_context, lanes, address):
    """The numbers of a map at `address`."""
    def generate(context, builder, signature, arguments):
        vector = signature.return_type
        if not lanes.halves:
            return read(builder, arguments[1], vector.of(_REAL), REAL)
        upper = builder.zext(read(builder, arguments[1], vector.of(_HALF), HALF), vector.of(_INT32))
        return builder.bitcast(builder.shl(upper, _whole(vector, 16)), vector.of(_REAL))
    return _Vector(lanes.count)(lanes, types.int64), generate


@intrinsic
def store_map(typing_context, lanes, address, value):
    """Writes `value` to a map."""
    def generate(context, builder, signature, arguments):
        _write_map(builder, lanes, value, *arguments[1:], lanes.element)
        return context.get_dummy_value()
    return types.void(lanes, types.int64, value), generate


@intrinsic
def stream_map(typing_context, lanes, address, value):
    """As `store_map`, past the caches: for what nobody reads soon. The address is a multiple of a vector's size."""
    def generate(context, builder, signature, arguments):
        written = _write_map(builder, lanes, value, *arguments[1:], lanes.count * lanes.element)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_INT32, 1)]))
        return context.get_dummy_value()
    return types.void(lanes, types.int64, value), generate


@intrinsic
def splat(typing_context, lanes, address):
    """The one number at `address`, in every lane."""
    def generate(context, builder, signature, arguments):
        return _spread(builder, signature.return_type, read(builder, arguments[1], _REAL, REAL))
    return _Vector(lanes.count)(lanes, types.int64), generate


@intrinsic
def spread(typing_context, lanes, number):
    """A float32, in every lane."""
    def generate(context, builder, signature, arguments):
        return _spread(builder, signature.return_type, arguments[1])
    return _Vector(lanes.count)(lanes, types.float32), generate


@intrinsic
def zeros(typing_context, lanes):
    """Zeros."""
    def generate(context, builder, signature, arguments):
        return signature.return_type.zeros
    return _Vector(lanes.count)(lanes), generate


@intrinsic
def fma(typing_context, a, b, c):
    """a * b + c, rounded once."""
    def generate(context, builder, signature, arguments):
        kind = a.of(_REAL)
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.v{a.count}f32")
        return builder.call(function, arguments)
    return a(a, a, a), generate


@intrinsic
def add(typing_context, a, b):
    """a + b."""
    return a(a, a), lambda context, builder, signature, arguments: builder.fadd(*arguments)


@intrinsic
def subtract(typing_context, a, b):
    """a - b."""
    return a(a, a), lambda context, builder, signature, arguments: builder.fsub(*arguments)


@intrinsic
def multiply(typing_context, a, b):
    """a * b."""
    return a(a, a), lambda context, builder, signature, arguments: builder.fmul(*arguments)


@intrinsic
def relu(typing_context, a):
    """max(a, 0); what is not a number stays so."""
    def generate(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered("<=", arguments[0], a.zeros), a.zeros, arguments[0])
    return a(a), generate


@intrinsic
def where_above(typing_context, x, bound, a):
    """a where x > bound, else 0."""
    def generate(context, builder, signature, arguments):
        return builder.select(builder.fcmp_unordered(">", *arguments[:2]), arguments[2], a.zeros)
    return a(a, a, a), generate


@intrinsic
def larger(typing_context, a, b):
    """a where it is larger or no number, else b."""
    def generate(context, builder, signature, arguments):
        return builder.select(_is_larger(builder, *arguments), *arguments)
    return a(a, a), generate


@intrinsic
def where_larger(typing_context, a, b, x, y):
    """x where `larger` takes a, else y."""
    def generate(context, builder, signature, arguments):
        return builder.select(_is_larger(builder, *arguments[:2]), *arguments[2:])
    return a(a, a, a, a), generate


@intrinsic
def where_equal(typing_context, x, y, a):
    """a where x == y, else 0."""
    def generate(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered("==", *arguments[:2]), arguments[2], a.zeros)
    return a(a, a, a), generate


@intrinsic
def load_bytes(typing_context, lanes, address):
    """The bytes at `address` as numbers."""
    def generate(context, builder, signature, arguments):
        vector = signature.return_type
        return builder.uitofp(read(builder, arguments[1], vector.of(_BYTE), 1), vector.of(_REAL))
    return _Vector(lanes.count)(lanes, types.int64), generate


@intrinsic
def store_bytes(typing_context, address, value):
    """Whole numbers from 0 to 255, a byte each."""
    def generate(context, builder, signature, arguments):
        whole = builder.fptosi(arguments[1], value.of(_INT32))
        write(builder, arguments[0], builder.trunc(whole, value.of(_BYTE)), 1)
        return context.get_dummy_value()
    return types.void(types.int64, value), generate


def _spread(builder, vector, number):
    undefined = ir.Constant(vector.of(_REAL), ir.Undefined)
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
