"""The inner loops: what stays in registers. Compiled by numba; all arguments are addresses, byte steps and counts.

Maps are (pixels, C), channels side by side, C a multiple of the lanes.
"""

from numba import njit

from .pointers import fetch, integer
from .simd import fma, load, load_map, map_size, relu, store, stream_map, subtract, vector_size, zeros

compiled = njit(nogil=True, error_model="numpy")
LINE = 64       # bytes that memory gives at a time


@compiled
def field(row, name):
    return integer(row + 8 * name)


@compiled
def fetch_pixels(x, step, pixels, size):
    """Asks for pixels of `size` bytes, `step` apart, which will be read soon."""
    if step == size:
        for at in range(x, x + pixels * size, LINE):
            fetch(at)
    else:
        for pixel in range(pixels):
            for at in range(x + pixel * step, x + pixel * step + size, LINE):
                fetch(at)


@compiled
def clear(lanes, address, size):
    """Zeros in `size` bytes, whole vectors."""
    for offset in range(0, size, vector_size(lanes)):
        store(address + offset, zeros(lanes))


@compiled
def stream_pixels(lanes, out, out_step, x, pixels, size):
    """Copies pixels to a map past the caches: `out` need not be read from memory first, and drives nothing else out."""
    if out_step == map_size(lanes, size):
        for offset in range(0, pixels * size, vector_size(lanes)):
            stream_map(lanes, out + map_size(lanes, offset), load(lanes, x + offset))
    else:
        for _ in range(pixels):
            for offset in range(0, size, vector_size(lanes)):
                stream_map(lanes, out + map_size(lanes, offset), load(lanes, x + offset))
            out += out_step
            x += size


@compiled
def rectified_copy(lanes, out, x, x_step, pixels, size, mean, scale, bias):
    """relu(x) or, with a mean, relu((x - mean) * scale + bias) of a row of pixels of `size` bytes, x_step apart."""
    if mean:
        for offset in range(0, size, vector_size(lanes)):
            centre, factor = load(lanes, mean + offset), load(lanes, scale + offset)
            constant = load(lanes, bias + offset) if bias else zeros(lanes)
            at, to = x + map_size(lanes, offset), out + offset
            for _ in range(pixels):
                store(to, relu(fma(subtract(load_map(lanes, at), centre), factor, constant)))
                at += x_step
                to += size
    elif x_step == map_size(lanes, size):
        for offset in range(0, pixels * size, vector_size(lanes)):
            store(out + offset, relu(load_map(lanes, x + map_size(lanes, offset))))
    else:
        for offset in range(0, size, vector_size(lanes)):
            at, to = x + map_size(lanes, offset), out + offset
            for _ in range(pixels):
                store(to, relu(load_map(lanes, at)))
                at += x_step
                to += size
