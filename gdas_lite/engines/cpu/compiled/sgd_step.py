"""STEP: torch.optim.SGD's step of one parameter. Compiled by numba; `table.py` says what the addresses mean."""

from __future__ import annotations

from . import job_table as t
from .pointers import REAL
from .simd import fma, load, splat, store, vector_size, zeros
from .vector_loops import compiled, field


@compiled
def step_chunk(lanes, group):
    """g = grad (none: 0) + decay * weight; velocity = momentum * velocity + g; weight += along * g + on * velocity.

    SETTINGS: decay, momentum, along, on."""
    weights, grads, velocities = field(group, t.WEIGHTS), field(group, t.GRADS), field(group, t.VELOCITIES)
    settings = field(group, t.SETTINGS)
    decay, momentum = splat(lanes, settings), splat(lanes, settings + REAL)
    along, on = splat(lanes, settings + 2 * REAL), splat(lanes, settings + 3 * REAL)
    for offset in range(0, field(group, t.LENGTH), vector_size(lanes)):
        weight = load(lanes, weights + offset)
        slope = fma(decay, weight, load(lanes, grads + offset) if grads else zeros(lanes))
        velocity = fma(momentum, load(lanes, velocities + offset), slope)
        store(velocities + offset, velocity)
        store(weights + offset, fma(along, slope, fma(on, velocity, weight)))
