"""What the kernels read: rows of int64, one a job, on the device. Addresses of float32 or of maps, steps, sizes; 0 as
an address: there is none. KIND 0: nothing is to be done, which is how a candidate that was not drawn costs nothing.

A window is the square of pixels that a tap visits: output line l, tap line t meet source line l * STRIDE + t * DILATION
+ START. Every operation of the space is one: 1x1 (SIDE 1), factorised reduction (SIDE 1, STRIDE 2, START 0 or 1),
depth-wise and pooling (SIDE 3 or 5). Where a 3x3 convolution is dense, a tap has no number a channel but a matrix:
MATRICES is 9, else the window has one, 1. Steps count numbers between one pixel, channel or matrix and the next.
"""

from dataclasses import dataclass

import triton
import triton.language as tl

FIELDS = (
    "kind",
    # the source, to be normalised if it has a mean
    "x", "x_step", "mean", "inverse_std", "height", "width",
    "side", "stride", "dilation", "start", "out_height", "out_width",       # the window
    # weights as PyTorch keeps them
    "channels_in", "channels_out", "taps", "pointwise", "matrices", "pointwise_step", "matrix_step",
    # the map made; argmax of pooling; block moments, and the variance that they give
    "out", "out_step", "positions", "moments", "pixels", "variance",
    # one number each: of the mixture, its gradient
    "weight", "weight_grad",
    # gradient of the normalised map; of `out` by factors
    "grad", "grad_step", "factors", "factor_step",
    # gradients of depth-wise output and of the source
    "depth", "target", "target_step",
    # sums of `count` parts, and what they add up to
    "parts", "count", "taps_parts", "grad_taps", "grad_pointwise")

(KIND, X, X_STEP, MEAN, INVERSE_STD, HEIGHT, WIDTH, SIDE, STRIDE, DILATION, START, OUT_HEIGHT, OUT_WIDTH, CHANNELS_IN,
 CHANNELS_OUT, TAPS, POINTWISE, MATRICES, POINTWISE_STEP, MATRIX_STEP, OUT, OUT_STEP, POSITIONS, MOMENTS, PIXELS,
 VARIANCE, WEIGHT, WEIGHT_GRAD, GRAD, GRAD_STEP, FACTORS, FACTOR_STEP, DEPTH, TARGET, TARGET_STEP, PARTS, COUNT,
 TAPS_PARTS, GRAD_TAPS, GRAD_POINTWISE) = (
     tl.constexpr(place) for place in range(len(FIELDS)))
JOB = tl.constexpr(len(FIELDS))

# kinds of a job
CONV, MAX, AVG, IDENTITY, SCALAR = (tl.constexpr(kind) for kind in (1, 2, 3, 4, 5))

PLACES = {name: place for place, name in enumerate(FIELDS)}
Row = dict[str, int]


@dataclass
class Choice:
    """A job's row for each candidate of an edge, of which the drawn one is used; without an edge, the one row."""

    rows: list[Row]
    edge: int | None = None


def job(kind: tl.constexpr, **fields: int) -> Row:
    return {"kind": kind.value, **fields}


def tile(channels: int) -> int:
    """Returns channels that a program holds at once."""
    return min(64, max(16, triton.next_power_of_2(channels)))
