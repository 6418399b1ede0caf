"""Numbers one by one, at addresses (int64, bytes), for kernels that numba compiles: what C does with pointers."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

REAL = 4                # bytes of a float32

_REAL, _DOUBLE, _INT, _INT32, _BYTE = ir.FloatType(), ir.DoubleType(), ir.IntType(64), ir.IntType(32), ir.IntType(8)


def code(build):
    """For intrinsics: the LLVM code of `build`, which is given the builder, the result's type and the arguments."""
    def generate(context, builder, signature, arguments):
        made = build(builder, signature.return_type, *arguments)
        return context.get_dummy_value() if signature.return_type == types.void else made
    return generate


def each(builder, kind, operation, *values):
    """For intrinsics: `operation` of vectors or, where the result is a tuple, of the vectors of tuples one by one."""
    if not isinstance(kind, types.UniTuple):
        return operation(*values)
    rows = [cgutils.unpack_tuple(builder, value) if isinstance(value.type, ir.ArrayType) else [value] * len(kind)
            for value in values]
    return cgutils.pack_array(builder, [operation(*row) for row in zip(*rows)])


@intrinsic
def fetch(typing_context, address):
    """Asks for the memory at `address`, which will be read soon; any address will do."""
    def build(builder, _, address):
        pointer = _BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] + [_INT32] * 3)
        flags = [ir.Constant(_INT32, flag) for flag in (0, 3, 1)]       # to read, into the first cache, data
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0"),
                     [builder.inttoptr(address, pointer), *flags])
    return types.void(types.int64), code(build)


def _reading(kind, result, align):
    """Returns the operation that gives the number at `address`."""
    def operation(typing_context, address):
        return result(types.int64), code(lambda builder, _, address: read(builder, address, kind, align))
    operation.__name__ = f"load_{result}"
    return intrinsic(operation)


def _writing(kind, align):
    """Returns the operation that writes `value` to `address`."""
    def operation(typing_context, address, value):
        return types.void(types.int64, kind), code(lambda builder, _, *arguments: write(builder, *arguments, align))
    operation.__name__ = f"store_{kind}"
    return intrinsic(operation)


integer, double = _reading(_INT, types.int64, 8), _reading(_DOUBLE, types.float64, 8)
load_number, store_number = _reading(_REAL, types.float32, REAL), _writing(types.float32, REAL)
store_double = _writing(types.float64, 8)


@intrinsic
def take_number(typing_context, address):
    """The int64 at `address`, which is one higher afterwards: threads that share it get different ones."""
    return types.int64(types.int64), code(lambda builder, _, address: builder.atomic_rmw(
        "add", builder.inttoptr(address, _INT.as_pointer()), ir.Constant(_INT, 1), "acq_rel"))


@intrinsic
def address_of(typing_context, pointer):
    """A void pointer as an int64."""
    return types.int64(types.voidptr), code(lambda builder, _, pointer: builder.ptrtoint(pointer, _INT))


def read(builder, address, kind, align):
    """For intrinsics: the LLVM code."""
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align, typ=kind)


def write(builder, address, value, align):
    """For intrinsics: the LLVM code."""
    return builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=align)
