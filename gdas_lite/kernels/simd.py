"""Eight float32 numbers at a time, for kernels that numba compiles: a vector type and what can be done with it.

A kernel sees memory as addresses (int64, bytes), as C does. Every operation here is one or two machine instructions.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 8
REAL = 4                # bytes of a float32
VECTOR = LANES * REAL   # bytes

_REAL, _DOUBLE, _INT, _INT32 = ir.FloatType(), ir.DoubleType(), ir.IntType(64), ir.IntType(32)
_VECTOR, _BYTES = ir.VectorType(_REAL, LANES), ir.VectorType(ir.IntType(8), LANES)


class _VectorType(types.Type):

    def __init__(self) -> None:
        super().__init__(name="eight_float32")


vector = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):

    def __init__(self, manager, numba_type) -> None:
        super().__init__(manager, numba_type, _VECTOR)


@intrinsic
def load(typing_context, address):
    """The eight numbers at `address`."""
    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], _VECTOR.as_pointer()), align=REAL, typ=_VECTOR)
    return vector(types.int64), generate


@intrinsic
def store(typing_context, address, value):
    """Writes `value` to `address`."""
    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], _VECTOR.as_pointer()), align=REAL)
        return context.get_dummy_value()
    return types.void(types.int64, vector), generate


@intrinsic
def splat(typing_context, address):
    """The one number at `address`, eight times."""
    def generate(context, builder, signature, arguments):
        number = builder.load(builder.inttoptr(arguments[0], _REAL.as_pointer()), align=REAL, typ=_REAL)
        return _spread(builder, number)
    return vector(types.int64), generate


@intrinsic
def spread(typing_context, number):
    """A float32, eight times."""
    def generate(context, builder, signature, arguments):
        return _spread(builder, arguments[0])
    return vector(types.float32), generate


def _spread(builder, number):
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES))


@intrinsic
def zeros(typing_context):
    """Eight zeros."""
    def generate(context, builder, signature, arguments):
        return ir.Constant(_VECTOR, [0.0] * LANES)
    return vector(), generate


@intrinsic
def fma(typing_context, a, b, c):
    """a * b + c, rounded once."""
    def generate(context, builder, signature, arguments):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), "llvm.fma.v8f32")
        return builder.call(function, arguments)
    return vector(vector, vector, vector), generate


@intrinsic
def add(typing_context, a, b):
    """a + b."""
    def generate(context, builder, signature, arguments):
        return builder.fadd(*arguments)
    return vector(vector, vector), generate


@intrinsic
def subtract(typing_context, a, b):
    """a - b."""
    def generate(context, builder, signature, arguments):
        return builder.fsub(*arguments)
    return vector(vector, vector), generate


@intrinsic
def multiply(typing_context, a, b):
    """a * b."""
    def generate(context, builder, signature, arguments):
        return builder.fmul(*arguments)
    return vector(vector, vector), generate


@intrinsic
def relu(typing_context, a):
    """max(a, 0); what is not a number stays so."""
    def generate(context, builder, signature, arguments):
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered("<=", arguments[0], zero), zero, arguments[0])
    return vector(vector), generate


@intrinsic
def where_above(typing_context, x, bound, a):
    """a where x > bound, else 0."""
    def generate(context, builder, signature, arguments):
        x, bound, a = arguments
        return builder.select(builder.fcmp_unordered(">", x, bound), a, ir.Constant(_VECTOR, [0.0] * LANES))
    return vector(vector, vector, vector), generate


@intrinsic
def larger(typing_context, a, b):
    """a where it is larger or no number, else b."""
    def generate(context, builder, signature, arguments):
        return builder.select(_is_larger(builder, *arguments), *arguments)
    return vector(vector, vector), generate


@intrinsic
def where_larger(typing_context, a, b, x, y):
    """x where `larger` takes a, else y."""
    def generate(context, builder, signature, arguments):
        return builder.select(_is_larger(builder, *arguments[:2]), *arguments[2:])
    return vector(vector, vector, vector, vector), generate


def _is_larger(builder, a, b):
    return builder.or_(builder.fcmp_ordered(">", a, b), builder.fcmp_unordered("uno", a, a))


@intrinsic
def where_equal(typing_context, x, y, a):
    """a where x == y, else 0."""
    def generate(context, builder, signature, arguments):
        x, y, a = arguments
        return builder.select(builder.fcmp_ordered("==", x, y), a, ir.Constant(_VECTOR, [0.0] * LANES))
    return vector(vector, vector, vector), generate


@intrinsic
def load_bytes(typing_context, address):
    """The eight bytes at `address` as numbers."""
    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _BYTES.as_pointer())
        return builder.uitofp(builder.load(pointer, align=1, typ=_BYTES), _VECTOR)
    return vector(types.int64), generate


@intrinsic
def store_bytes(typing_context, address, value):
    """Eight whole numbers from 0 to 255, a byte each."""
    def generate(context, builder, signature, arguments):
        whole = builder.fptosi(arguments[1], ir.VectorType(_INT32, LANES))
        builder.store(builder.trunc(whole, _BYTES), builder.inttoptr(arguments[0], _BYTES.as_pointer()), align=1)
        return context.get_dummy_value()
    return types.void(types.int64, vector), generate


@intrinsic
def fetch(typing_context, address):
    """Asks for the memory at `address`, which will be read soon; any address will do."""
    def generate(context, builder, signature, arguments):
        pointer_type = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer_type] + [_INT32] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        flags = [ir.Constant(_INT32, flag) for flag in (0, 3, 1)]       # to read, into the first cache, data
        builder.call(function, [builder.inttoptr(arguments[0], pointer_type), *flags])
        return context.get_dummy_value()
    return types.void(types.int64), generate


@intrinsic
def integer(typing_context, address):
    """The int64 at `address`."""
    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], _INT.as_pointer()), align=8, typ=_INT)
    return types.int64(types.int64), generate


@intrinsic
def double(typing_context, address):
    """The float64 at `address`."""
    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], _DOUBLE.as_pointer()), align=8, typ=_DOUBLE)
    return types.float64(types.int64), generate


@intrinsic
def store_double(typing_context, address, value):
    """Writes a float64 to `address`."""
    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], _DOUBLE.as_pointer()), align=8)
        return context.get_dummy_value()
    return types.void(types.int64, types.float64), generate


@intrinsic
def load_number(typing_context, address):
    """The float32 at `address`."""
    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], _REAL.as_pointer()), align=REAL, typ=_REAL)
    return types.float32(types.int64), generate


@intrinsic
def store_number(typing_context, address, value):
    """Writes a float32 to `address`."""
    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], _REAL.as_pointer()), align=REAL)
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
    def generate(context, builder, signature, arguments):
        return builder.ptrtoint(arguments[0], _INT)
    return types.int64(types.voidptr), generate
