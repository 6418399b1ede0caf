"""The 3x3 convolutions among the loops, see loops.py. Weights are (C_out, C_in, 9), C_out even.

`three_taps` and `three_products` are inlined into these; no loop here may be inlined into a larger one.
"""

import numpy as np

from .loops import compiled


@compiled
def pad(x, padded, rectify):
    """Copy x into the middle of `padded`, through ReLU if asked for; its border stays as it is."""
    channels, side, _, count = x.shape
    for c in range(channels):
        for h in range(side):
            for v in range(side):
                source, target = x[c, h, v], padded[c, h + 1, v + 1]
                if rectify:
                    for b in range(count):
                        target[b] = max(source[b], np.float32(0))
                else:
                    for b in range(count):
                        target[b] = source[b]


@compiled
def three_taps(out0, out1, x0, x1, x2, w0, w1):
    """Two outputs at once, each += the three x times its own weights; all flat and of one length."""
    a0, a1, a2, b0, b1, b2 = w0[0], w0[1], w0[2], w1[0], w1[1], w1[2]
    for k in range(out0.shape[0]):
        out0[k] += a0 * x0[k] + a1 * x1[k] + a2 * x2[k]
        out1[k] += b0 * x0[k] + b1 * x1[k] + b2 * x2[k]


@compiled
def three_products(grad0, grad1, x0, x1, x2, gradient0, gradient1):
    """Inner products of two gradients with x0, x1, x2, added to gradient0 and gradient1, (3,)."""
    a0 = a1 = a2 = b0 = b1 = b2 = np.float32(0)
    for k in range(grad0.shape[0]):
        s, t = grad0[k], grad1[k]
        a0 += s * x0[k]
        a1 += s * x1[k]
        a2 += s * x2[k]
        b0 += t * x0[k]
        b1 += t * x1[k]
        b2 += t * x2[k]
    gradient0[0] += a0
    gradient0[1] += a1
    gradient0[2] += a2
    gradient1[0] += b0
    gradient1[1] += b1
    gradient1[2] += b2


# The pixels of an output are runs of `length` numbers from `first` on, each beginning where the last one ends: with
# stride 1 there is one, at the width of the padded map, two of whose pixels a line are without meaning; with stride 2
# there is one for each pixel.

@compiled
def conv3(padded, weight, rows, length, stride):
    """rows (C_out, n) = 3x3 convolution of a padded map. weight: (C_out, C_in, 9)."""
    inputs, width, _, count = padded.shape
    x, side = padded.reshape(padded.size), (width - 2) // stride
    for o in range(0, weight.shape[0], 2):
        for run in range(side * side if stride > 1 else 1):
            corner = stride * (run // side * width + run % side)
            row0, row1 = rows[o, run * length:(run + 1) * length], rows[o + 1, run * length:(run + 1) * length]
            row0[:], row1[:] = 0, 0
            for i in range(inputs):
                for line in range(3):
                    k = ((i * width + line) * width + corner) * count
                    three_taps(row0, row1, x[k:k + length], x[k + count:k + count + length],
                               x[k + 2 * count:k + 2 * count + length],
                               weight[o, i, 3 * line:3 * line + 3], weight[o + 1, i, 3 * line:3 * line + 3])


@compiled
def conv3_to_weight(padded, rows, gradient, first, length, stride):
    """gradient (C_out, C_in, 9) += sum over pixels and images of the output's gradient, rows (C_out, n), times the
    input it met. Between lines of pixels without meaning stands the border of zeros."""
    inputs, width, _, count = padded.shape
    x, side = padded.reshape(padded.size), (width - 2) // stride
    for o in range(0, gradient.shape[0], 2):
        for run in range(side * side if stride > 1 else 1):
            start, corner = first + run * length, stride * (run // side * width + run % side)
            row0, row1 = rows[o, start:start + length], rows[o + 1, start:start + length]
            for i in range(inputs):
                for line in range(3):
                    k = ((i * width + line) * width + corner) * count
                    three_products(row0, row1, x[k:k + length], x[k + count:k + count + length],
                                   x[k + 2 * count:k + 2 * count + length],
                                   gradient[o, i, 3 * line:3 * line + 3], gradient[o + 1, i, 3 * line:3 * line + 3])


@compiled
def add_cropped(wide, out):
    """out (C, side, side, images) += the pixels with a meaning in a wide map."""
    channels, side, _, count = out.shape
    for c in range(channels):
        for h in range(side):
            first = h * (side + 2) * count
            source, target = wide[c, first:first + side * count], out[c, h].reshape(side * count)
            for k in range(side * count):
                target[k] += source[k]


@compiled
def add_cropped_rectified(wide, x, out):
    """out += a wide map where x > 0: back through a ReLU."""
    channels, side, _, count = out.shape
    for c in range(channels):
        for h in range(side):
            first = h * (side + 2) * count
            source, target = wide[c, first:first + side * count], out[c, h].reshape(side * count)
            sign = x[c, h].reshape(side * count)
            for k in range(side * count):
                target[k] += source[k] if sign[k] > 0 else np.float32(0)


@compiled
def conv3_to_input(grad, weight, padded):
    """padded (gradient towards the padded input) += transposed convolution with stride 2. weight: (C_out, C_in, 9)."""
    outputs, side, _, count = grad.shape
    for o in range(outputs):
        for i in range(padded.shape[0]):
            for h in range(side):
                for v in range(side):
                    s = grad[o, h, v]
                    for tap in range(9):
                        w, x = weight[o, i, tap], padded[i, 2 * h + tap // 3, 2 * v + tap % 3]
                        for b in range(count):
                            x[b] += w * s[b]


@compiled
def turned(weight, out):
    """out (C_in, C_out, 9): the kernel whose convolution of the output's gradient gives the input's (stride 1)."""
    for o in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            for tap in range(9):
                out[i, o, 8 - tap] = weight[o, i, tap]
