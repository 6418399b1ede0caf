"""The loops over maps, (channels, side, side, images) in float32, images innermost, compiled by numba.

Every function adds to its results; the caller has zeroed them. Inner loops run over whole rows of an image times all
images: contiguous memory that the compiler turns into vector instructions. `padded` maps have a border of zeros.

Call these from Python: inlined into a large compiled function they lose their vector instructions (a third as fast).
"""

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
    keep(found, function, "the loops of small networks, once some ten seconds")
    return found


@compiled
def add_rectified(grad, x, out):
    """out += grad where x > 0: back through a ReLU. All flat."""
    for k in range(out.shape[0]):
        out[k] += grad[k] if x[k] > 0 else np.float32(0)


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
def conv1_to_weight(x, grad, gradient):
    """gradient (C_out, C_in) += grad (C_out, n) @ x (C_in, n)^T."""
    for o in range(grad.shape[0]):
        row = grad[o]
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
def norm_backward(x, grad, x_grad, gamma, saved, gamma_gradient, beta_gradient):
    """x_grad += the gradient towards x, (C, n), from the output's, `grad`."""
    channels, n = x.shape
    for c in range(channels):
        row, out, target = x[c], grad[c], x_grad[c]
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
    """out += 3x3 mean over the pixels inside the image; transposed: its adjoint, for gradients."""
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
    """out += 2x2 mean with stride 2 of x; transposed: its adjoint, for gradients."""
    fine, coarse = (x, out) if not transposed else (out, x)
    channels, side, _, count = fine.shape
    for c in range(channels):
        for h in range(side):
            for v in range(side):
                here, there = fine[c, h, v], coarse[c, h // 2, v // 2]
                if transposed:
                    for k in range(count):
                        here[k] += there[k] * np.float32(0.25)
                else:
                    for k in range(count):
                        there[k] += here[k] * np.float32(0.25)


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
def pixel_mean_backward(grad, x, out):
    """out (C, pixels, B) += the gradient towards x, from that of its means, grad (C, B)."""
    channels, pixels, count = x.shape
    for c in range(channels):
        s = grad[c]
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
def sgd(theta, velocity, gradient, starts, moves, rate, momentum, decay, nesterov):
    """As torch.optim.SGD: the parameters starts[i]:starts[i + 1] of theta take a step where moves[i]."""
    for i in range(moves.shape[0]):
        if moves[i]:
            for k in range(starts[i], starts[i + 1]):
                grad = gradient[k] + decay * theta[k]
                velocity[k] = momentum * velocity[k] + grad
                theta[k] -= rate * (grad + momentum * velocity[k] if nesterov else velocity[k])


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
