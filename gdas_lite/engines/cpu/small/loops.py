"""The loops over maps, (channels, side, side, images) in float32, images innermost, compiled by numba.

Every function adds to its results; the caller has zeroed them. Inner loops run over whole rows of an image times all images:
contiguous memory that the compiler turns into vector instructions. `padded` maps have a border of one pixel of zeros.

Call these from Python: inlined into one large compiled function they lose their vector instructions (seen: three times as
slow). Only `three_taps` and `three_products` are made for the convolutions here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ..compiled.cache import keep

EPSILON, MOMENTUM = 1e-5, 0.1           # PyTorch's batch norm


def compiled(function: Callable) -> Any:
    """Compile a loop, or find it in numba's cache on disk."""
    found = njit(fastmath=True, nogil=True, error_model="numpy")(function)
    keep(found, function)
    return found


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
def three_products(slope0, slope1, x0, x1, x2, gradient0, gradient1):
    """Inner products of two slopes with x0, x1, x2, added to gradient0 and gradient1, (3,)."""
    a0 = a1 = a2 = b0 = b1 = b2 = np.float32(0)
    for k in range(slope0.shape[0]):
        s, t = slope0[k], slope1[k]
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


@compiled
def conv3_wide(padded, weight, wide):
    """3x3 convolution with stride 1, weight (C_out, C_in, 9), C_out even. wide, (C_out, side * (side + 2) * images), gets the
    pixels at the width of the padded map, two of a row's pixels without meaning: all rows are then one run of memory."""
    inputs, width, _, count = padded.shape
    x = padded.reshape(padded.size)
    run = ((width - 3) * width + width - 2) * count
    for o in range(0, weight.shape[0], 2):
        row0, row1 = wide[o, :run], wide[o + 1, :run]
        row0[:], row1[:] = 0, 0
        for i in range(inputs):
            for line in range(3):
                k = (i * width + line) * width * count
                three_taps(row0, row1, x[k:k + run], x[k + count:k + count + run], x[k + 2 * count:k + 2 * count + run],
                           weight[o, i, 3 * line:3 * line + 3], weight[o + 1, i, 3 * line:3 * line + 3])


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
def conv3_to_weight_wide(padded, padded_slope, gradient):
    """Stride 1: gradient (C_out, C_in, 9) += sum over pixels and images of the output's gradient times the input it met. The
    border of zeros stands between the rows."""
    inputs, width, _, count = padded.shape
    x, s = padded.reshape(padded.size), padded_slope.reshape(padded_slope.size)
    run = ((width - 3) * width + width - 2) * count
    size = width * width * count
    for o in range(0, gradient.shape[0], 2):
        first = o * size + (width + 1) * count
        row0, row1 = s[first:first + run], s[first + size:first + size + run]
        for i in range(inputs):
            for line in range(3):
                k = (i * width + line) * width * count
                three_products(row0, row1, x[k:k + run], x[k + count:k + count + run], x[k + 2 * count:k + 2 * count + run],
                               gradient[o, i, 3 * line:3 * line + 3], gradient[o + 1, i, 3 * line:3 * line + 3])


@compiled
def conv3_strided(padded, weight, out):
    """out += 3x3 convolution with stride 2. weight: (C_out, C_in, 9); C_out is even."""
    outputs, side, _, count = out.shape
    inputs, width = padded.shape[0], padded.shape[2]
    x, y = padded.reshape(padded.size), out.reshape(out.size)
    next_map = side * side * count
    for o in range(0, outputs, 2):
        for pixel in range(side * side):
            first = (o * side * side + pixel) * count
            row0, row1 = y[first:first + count], y[first + next_map:first + next_map + count]
            for i in range(inputs):
                for line in range(3):
                    k = ((i * width + 2 * (pixel // side) + line) * width + 2 * (pixel % side)) * count
                    three_taps(row0, row1, x[k:k + count], x[k + count:k + 2 * count], x[k + 2 * count:k + 3 * count],
                               weight[o, i, 3 * line:3 * line + 3], weight[o + 1, i, 3 * line:3 * line + 3])


@compiled
def conv3_to_weight_strided(padded, slope, gradient):
    """As conv3_to_weight_wide, with stride 2; slope (C_out, side, side, images) without border."""
    outputs, side, _, count = slope.shape
    inputs, width = padded.shape[0], padded.shape[2]
    x, s = padded.reshape(padded.size), slope.reshape(slope.size)
    next_map = side * side * count
    for o in range(0, outputs, 2):
        for pixel in range(side * side):
            first = (o * side * side + pixel) * count
            row0, row1 = s[first:first + count], s[first + next_map:first + next_map + count]
            for i in range(inputs):
                for line in range(3):
                    k = ((i * width + 2 * (pixel // side) + line) * width + 2 * (pixel % side)) * count
                    three_products(row0, row1, x[k:k + count], x[k + count:k + 2 * count],
                                   x[k + 2 * count:k + 3 * count], gradient[o, i, 3 * line:3 * line + 3],
                                   gradient[o + 1, i, 3 * line:3 * line + 3])


@compiled
def conv3_to_input(slope, weight, padded):
    """padded (gradient towards the padded input) += transposed convolution with stride 2. weight: (C_out, C_in, 9)."""
    outputs, side, _, count = slope.shape
    for o in range(outputs):
        for i in range(padded.shape[0]):
            for h in range(side):
                for v in range(side):
                    s = slope[o, h, v]
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


@compiled
def add_rectified(slope, x, out):
    """out += slope where x > 0: back through a ReLU. All flat."""
    for k in range(out.shape[0]):
        out[k] += slope[k] if x[k] > 0 else np.float32(0)


@compiled
def rectify(x, out):
    """out = relu(x), both flat."""
    for k in range(out.shape[0]):
        out[k] = max(x[k], np.float32(0))


@compiled
def conv1(x, weight, out):
    """out (C_out, n) += weight (C_out, C_in) @ x (C_in, n)."""
    for o in range(out.shape[0]):
        row = out[o]
        for i in range(x.shape[0]):
            w, source = weight[o, i], x[i]
            for k in range(row.shape[0]):
                row[k] += w * source[k]


@compiled
def conv1_to_weight(x, slope, gradient):
    """gradient (C_out, C_in) += slope (C_out, n) @ x (C_in, n)^T."""
    for o in range(slope.shape[0]):
        row = slope[o]
        for i in range(x.shape[0]):
            source, total = x[i], np.float32(0)
            for k in range(row.shape[0]):
                total += row[k] * source[k]
            gradient[o, i] += total


@compiled
def norm(x, out, gamma, beta, mean, variance, saved, is_training):
    """out += batch norm of x, both (C, n); keeps mean and 1/deviation in saved (C, 2), moves the running estimates."""
    channels, n = x.shape
    for c in range(channels):
        row, target = x[c], out[c]
        m, v = mean[c], variance[c]
        if is_training:
            total = np.float32(0)
            for k in range(n):
                total += row[k]
            m = np.float32(total / n)
            total = np.float32(0)
            for k in range(n):
                total += (row[k] - m) * (row[k] - m)
            v = np.float32(total / n)
            mean[c] += MOMENTUM * (m - mean[c])
            variance[c] += MOMENTUM * (v * n / (n - 1) - variance[c])
        saved[c, 0], saved[c, 1] = m, 1 / math.sqrt(v + EPSILON)
        scale = gamma[c] * saved[c, 1]
        shift = beta[c] - saved[c, 0] * scale
        for k in range(n):
            target[k] += row[k] * scale + shift


@compiled
def norm_backward(x, slope, x_slope, gamma, saved, gamma_gradient, beta_gradient):
    """x_slope += the gradient towards x, (C, n), from the output's, `slope`."""
    channels, n = x.shape
    for c in range(channels):
        row, out, target = x[c], slope[c], x_slope[c]
        m, inverse = saved[c, 0], saved[c, 1]
        total = along = np.float32(0)
        for k in range(n):
            total += out[k]
            along += out[k] * (row[k] - m)
        along *= inverse
        gamma_gradient[c] += along
        beta_gradient[c] += total
        scale, bend = gamma[c] * inverse, np.float32(along * inverse / n)
        level = np.float32(total / n)
        for k in range(n):
            target[k] += scale * (out[k] - level - (row[k] - m) * bend)


@compiled
def pool3(x, out, transposed):
    """out += 3x3 mean over the pixels inside the image; transposed: its adjoint, gradients from the output to the input."""
    channels, side, _, count = x.shape
    for c in range(channels):
        for h in range(side):
            for v in range(side):
                here = out[c, h, v] if not transposed else x[c, h, v]
                rows, columns = min(h + 1, side - 1) - max(h - 1, 0) + 1, min(v + 1, side - 1) - max(v - 1, 0) + 1
                share = np.float32(1 / (rows * columns))
                for a in range(max(h - 1, 0), min(h + 2, side)):
                    for b in range(max(v - 1, 0), min(v + 2, side)):
                        there = x[c, a, b] if not transposed else out[c, a, b]
                        if transposed:
                            for k in range(count):
                                there[k] += share * here[k]
                        else:
                            for k in range(count):
                                here[k] += share * there[k]


@compiled
def pool2(x, out, transposed):
    """out += 2x2 mean with stride 2 of x; transposed: x += the adjoint of out."""
    channels, side, _, count = out.shape
    for c in range(channels):
        for h in range(2 * side):
            for v in range(2 * side):
                fine, coarse = x[c, h, v], out[c, h // 2, v // 2]
                if transposed:
                    for k in range(count):
                        fine[k] += coarse[k] * np.float32(0.25)
                else:
                    for k in range(count):
                        coarse[k] += fine[k] * np.float32(0.25)


@compiled
def add(x, out):
    """out += x, both flat."""
    for k in range(out.shape[0]):
        out[k] += x[k]


@compiled
def pixel_mean(x, out):
    """out (C, B) = the mean of relu(x) over the pixels, x (C, pixels, B)."""
    channels, pixels, count = x.shape
    out[:] = 0
    for c in range(channels):
        target = out[c]
        for p in range(pixels):
            source = x[c, p]
            for b in range(count):
                target[b] += max(source[b], np.float32(0)) / np.float32(pixels)


@compiled
def pixel_mean_backward(slope, x, out):
    """out (C, pixels, B) += the gradient towards x, from that of its means, slope (C, B)."""
    channels, pixels, count = x.shape
    for c in range(channels):
        s = slope[c]
        for p in range(pixels):
            source, target = x[c, p], out[c, p]
            for b in range(count):
                target[b] += s[b] / np.float32(pixels) if source[b] > 0 else np.float32(0)


@compiled
def softmax(logits, labels, chances):
    """Fill chances (classes, B); (sum of the cross entropies, correct answers)."""
    loss, correct = 0.0, 0
    for b in range(logits.shape[1]):
        best, total = 0, np.float32(0)
        for k in range(logits.shape[0]):
            if logits[k, b] > logits[best, b]:
                best = k
        for k in range(logits.shape[0]):
            chances[k, b] = math.exp(logits[k, b] - logits[best, b])
            total += chances[k, b]
        for k in range(logits.shape[0]):
            chances[k, b] /= total
        loss += math.log(total) - (logits[labels[b], b] - logits[best, b])
        correct += best == labels[b]
    return loss, correct


@compiled
def nesterov(theta, velocity, gradient, rate, momentum, decay):
    """One step of SGD with Nesterov momentum and weight decay, as torch.optim.SGD does it. All (parameters,)."""
    for k in range(theta.shape[0]):
        slope = gradient[k] + decay * theta[k]
        velocity[k] = momentum * velocity[k] + slope
        theta[k] -= rate * (slope + momentum * velocity[k])


@compiled
def sgd(theta, velocity, gradient, starts, moves, rate, momentum, decay, nesterov):
    """As torch.optim.SGD: the parameters starts[i]:starts[i + 1] of theta take a step where moves[i]."""
    for i in range(moves.shape[0]):
        if moves[i]:
            for k in range(starts[i], starts[i + 1]):
                slope = gradient[k] + decay * theta[k]
                velocity[k] = momentum * velocity[k] + slope
                theta[k] -= rate * (slope + momentum * velocity[k] if nesterov else velocity[k])


@compiled
def dot(x, y):
    """Inner product of two flat arrays."""
    total = np.float32(0)
    for k in range(x.shape[0]):
        total += x[k] * y[k]
    return total


@compiled
def total(x):
    """Sum of a flat array."""
    found = np.float32(0)
    for k in range(x.shape[0]):
        found += x[k]
    return found


@compiled
def add_scaled(x, factor, out):
    """out += factor * x, all flat."""
    for k in range(out.shape[0]):
        out[k] += factor * x[k]
