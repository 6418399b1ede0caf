"""STEP: torch.optim.SGD's step of one parameter. Compiled by numba; `table.py` says what the addresses mean."""

from __future__ import annotations

from . import table as t
from .simd import REAL, VECTOR, fma, load, splat, store, zeros
from .tiles import compiled, field


@compiled
def step_chunk(group):
    """g = grad (none: 0) + decay * weight; velocity = momentum * velocity + g; weight += along * g + on * velocity.

    SETTINGS: decay, momentum, along, on."""
    weights, grads, velocities = field(group, t.WEIGHTS), field(group, t.GRADS), field(group, t.VELOCITIES)
    settings = field(group, t.SETTINGS)
    decay, momentum = splat(settings), splat(settings + REAL)
    along, on = splat(settings + 2 * REAL), splat(settings + 3 * REAL)
    for offset in range(0, field(group, t.LENGTH), VECTOR):
        weight = load(weights + offset)
        slope = fma(decay, weight, load(grads + offset) if grads else zeros())
        velocity = fma(momentum, load(velocities + offset), slope)
        store(velocities + offset, velocity)
        store(weights + offset, fma(along, slope, fma(on, velocity, weight)))
