"""The activations of a recurrent cell, their mixture and its slope. Compiled by numba."""

import numpy as np

from .pointers import REAL
from .simd import (
    add,
    at_least,
    divide,
    fma,
    multiply,
    relu,
    splat,
    spread,
    subtract,
    two_to_the,
    where_above,
    zeros,
)
from .vector_loops import compiled

EVERY, TANH, RELU, SIGMOID, IDENTITY = range(5)     # columns of alpha; EVERY instead of `none`


@compiled
def exponential(lanes, x):
    """exp(x) for |x| <= 80, to 2 units in the last place; by Cephes' polynomial."""
    magic = spread(lanes, np.float32(12582912.0))       # 1.5 * 2^23: adding it rounds to a whole number
    whole = subtract(fma(x, spread(lanes, np.float32(1.44269504088896341)), magic), magic)
    x = fma(whole, spread(lanes, np.float32(-0.693359375)), x)
    x = fma(whole, spread(lanes, np.float32(2.12194440e-4)), x)
    y = fma(spread(lanes, np.float32(1.9875691500e-4)), x, spread(lanes, np.float32(1.3981999507e-3)))
    y = fma(y, x, spread(lanes, np.float32(8.3334519073e-3)))
    y = fma(y, x, spread(lanes, np.float32(4.1665795894e-2)))
    y = fma(y, x, spread(lanes, np.float32(1.6666665459e-1)))
    y = fma(y, x, spread(lanes, np.float32(5.0000001201e-1)))
    one = spread(lanes, np.float32(1.0))
    return multiply(fma(multiply(y, x), x, add(x, one)), two_to_the(whole))


@compiled
def decay(lanes, x):
    """exp(-x), x taken for 25 beyond +-25, where sigmoid and tanh are at their ends; what is not a number stays so."""
    bound = spread(lanes, np.float32(-25.0))
    return exponential(lanes, at_least(subtract(zeros(lanes), at_least(x, bound)), bound))


@compiled
def sigmoid(lanes, x):
    one = spread(lanes, np.float32(1.0))
    return divide(one, add(one, decay(lanes, x)))


@compiled
def squashed(lanes, column, h):
    """tanh h = (1 - e^2) / (1 + e^2) and sigmoid h = 1 / (1 + e), e = exp(-h), by one division; zeros for the one that
    `column` does not ask for."""
    one, bent, squeezed = spread(lanes, np.float32(1.0)), zeros(lanes), zeros(lanes)
    if column == SIGMOID:
        squeezed = sigmoid(lanes, h)
    elif column in (TANH, EVERY):
        e = decay(lanes, h)
        square, below = multiply(e, e), one
        if column == EVERY:
            below = add(one, e)
        above = add(one, square)
        share = divide(one, multiply(below, above))
        bent = multiply(multiply(subtract(one, square), below), share)
        if column == EVERY:
            squeezed = multiply(above, share)
    return bent, squeezed


@compiled
def mixed(lanes, weights, bent, squeezed, h):
    """m_p."""
    total = fma(splat(lanes, weights + REAL), relu(h), multiply(splat(lanes, weights), bent))
    total = fma(splat(lanes, weights + 2 * REAL), squeezed, total)
    return fma(splat(lanes, weights + 3 * REAL), h, total)


@compiled
def slope(lanes, weights, bent, squeezed, h):
    """dm_p / dh_p."""
    one = spread(lanes, np.float32(1.0))
    total = fma(splat(lanes, weights), subtract(one, multiply(bent, bent)), splat(lanes, weights + 3 * REAL))
    total = add(where_above(h, zeros(lanes), splat(lanes, weights + REAL)), total)
    return fma(splat(lanes, weights + 2 * REAL), multiply(squeezed, subtract(one, squeezed)), total)
