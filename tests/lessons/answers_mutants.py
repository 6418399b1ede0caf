"""Answers of no reader: the solutions with one thing in them exchanged by a program, see answers.py.

Here are those that a check once took for right, or refused with a sentence that was not true of them.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from .answers import cell, cut_by_loops, step_of, wrong
from .answers_built import loss_of, mixed, stepped
from .answers_hostile import dropped, virtual


def bounded(operations, most=1.0):
    """The operations with outputs between -most and most."""
    return [[lambda state, op=op: op(state).clamp(-most, most) for op in row] for row in operations]


# --- taken for right: what only trials of another kind tell apart ---
wrong("3.5", "at the 1 of its row")(lambda x, weights, operations: cell(x, weights, bounded(operations)))
wrong("4.4", "mixed by the softmax")(lambda x, alpha, operations: mixed(x, alpha, bounded(operations)))
wrong("4.2", "the rate multiplies all of it")(
    lambda w, g, v, rate, m, decay: w - rate * ((m * v).clamp(-1, 1) + g + decay * w))
wrong("4.3", "what is it divided by?")(lambda f, w, u: (f(w + (e := 0.01 / u.sum()) * u) - f(w - e * u)) / (2 * e))
wrong("7.1", "each *word*")(lambda losses, counts: math.exp(
    sum(loss * count for loss, count in zip(losses, counts)) / sum(set(counts))))
wrong("7.1", "each *word*")(lambda losses, counts: math.exp(
    sum(loss * count for count, loss in dict(zip(counts, losses)).items()) / sum(counts)))

# --- refused with a sentence that was not true ---
wrong("2.3", "away: is something rounded?")(lambda losses, alpha: (
    alpha.softmax(0) * (losses - alpha.softmax(0) @ losses)).half())
wrong("4.2", "away: is something rounded?")(lambda *inputs: virtual(*inputs).half())
wrong("3.5", "each with the operation at the 1 of its row")(lambda x, weights, operations: cell(
    x, weights, [row[1:] + row[:1] for row in operations]))
wrong("4.3", "your product is not finite")(lambda f, w, u: (f(w + step_of(u) * u) - f(w - step_of(u) * u)) / (0 * step_of(u)))
wrong("4.3", "your product is not finite")(lambda f, w, u: (f(w + 0 * u) - f(w - 0 * u)) / 0)
wrong("6.1", "others have changed")(lambda pixels, *rest: cut_by_loops(pixels.clamp(min=0), *rest))
wrong("6.1", "others have changed")(lambda pixels, *rest: cut_by_loops(pixels, *rest).int())
wrong("6.2", "yours grow by [1.25, 1.25, 0.0], but their entries have other signs or places")(
    lambda o, kept, rate: dropped(o, kept, rate).abs())
wrong("6.2", "but their entries have other signs or places")(lambda o, kept, rate: dropped(o, kept, rate).flip(-1))
wrong("10.2", "not a sum, of shares of a row")(lambda counts: 100 * np.mean(np.diag(counts) / counts.mean(axis=1)))


def every_second(step, value):
    calls = itertools.count()
    return lambda *inputs: value(found) if (found := step(*inputs)) is not None and next(calls) % 2 else found


def alpha_step(supernet, mixture, batch, alpha, adam):
    loss = loss_of(supernet, mixture, batch)
    alpha.grad, = torch.autograd.grad(loss, alpha)
    adam.step()
    return loss.item()


wrong("3.6", "the second loss is")(every_second(stepped(), lambda loss: 0.0))
wrong("3.7", "the second loss is")(every_second(alpha_step, lambda loss: -loss))
