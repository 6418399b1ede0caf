"""Numbers one by one, at addresses (int64, bytes), for kernels that numba compiles: what C does with pointers."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

REAL = 4                # bytes of a float32

_REAL, _DOUBLE, _INT, _INT32, _BYTE = ir.FloatType(), ir.DoubleType(), ir.IntType(64), ir.IntType(32), ir.IntType(8)


@intrinsic
def fetch(typing_context, address):
    """Asks for the memory at `address`, which will be read soon; any address will do."""
    def generate(context, builder, signature, arguments):
        pointer_type = _BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer_type] + [_INT32] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        flags = [ir.Constant(_INT32, flag) for flag in (0, 3, 1)]       # to read, into the first cache, data
        builder.call(function, [builder.inttoptr(arguments[0], pointer_type), *flags])
        return context.get_dummy_value()
    return types.void(types.int64), generate


@intrinsic
def integer(typing_context, address):
    """The int64 at `address`."""
    return types.int64(types.int64), lambda context, builder, signature, arguments: read(builder, *arguments, _INT, 8)


@intrinsic
def double(typing_context, address):
    """The float64 at `address`."""
    return types.float64(types.int64), lambda context, builder, signature, arguments: read(builder, *arguments, _DOUBLE, 8)


@intrinsic
def store_double(typing_context, address, value):
    """Writes a float64 to `address`."""
    def generate(context, builder, signature, arguments):
        write(builder, *arguments, 8)
        return context.get_dummy_value()
    return types.void(types.int64, types.float64), generate


@intrinsic
def load_number(typing_context, address):
    """The float32 at `address`."""
    return types.float32(types.int64), lambda context, builder, signature, arguments: read(builder, *arguments, _REAL, REAL)


@intrinsic
def store_number(typing_context, address, value):
    """Writes a float32 to `address`."""
    def generate(context, builder, signature, arguments):
        write(builder, *arguments, REAL)
        return context.get_dummy_value()
    return types.void(types.int64, types.float32), generate


@intrinsic
def take_number(typing_context, address):
    """The int64 at `address`, which is one higher afterwards: threads that draw from one counter get different numbers."""
    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _INT.as_pointer())
        return builder.atomic_rmw("add", pointer, ir.Constant(_INT, 1), "acq_rel")
    return types.int64(types.int64), generate


@intrinsic
def address_of(typing_context, pointer):
    """A void pointer as an int64."""
    return types.int64(types.voidptr), lambda context, builder, signature, arguments: builder.ptrtoint(arguments[0], _INT)


def read(builder, address, kind, align):
    """For intrinsics: the LLVM code."""
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align, typ=kind)


def write(builder, address, value, align):
    """For intrinsics: the LLVM code."""
    return builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=align)
