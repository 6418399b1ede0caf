"""The exercise of notebook 12: what a protocol costs, from one measured step."""

from __future__ import annotations

from .exercise import Exercise


def protocol_days(step_seconds, images, batch_size, epochs):
    steps = -(-images // batch_size)
    return epochs * steps * step_seconds / 86400


EXERCISES = (
    Exercise("12.1", "what a protocol costs", 5, protocol_days, "the days", (
        (lambda s, images, batch, epochs: epochs * (images // batch) * s / 86400,
         "25 images in batches of 10 are three steps: the last, short batch is kept"),
        (lambda s, images, batch, epochs: epochs * images / batch * s / 86400,
         "25 images in batches of 10 are three steps, not two and a half"),
        (lambda s, images, batch, epochs: epochs * (images // batch + 1) * s / 86400,
         "where the images fill their batches there is no short one: 10 in batches of 10 are one step"),
        (lambda *inputs: 24 * protocol_days(*inputs),
         "these are hours: one step of a day, one batch, one epoch is 1 day, not 24"),
        (lambda s, images, batch, epochs: epochs * images * s / 86400,
         "a step takes a whole batch: 10 images in batches of 10 are one step, not ten"),
        (lambda s, images, batch, epochs: -(-epochs * images // batch) * s / 86400,
         "each epoch ends with its own short batch: round up before you multiply by the epochs"),
        (lambda s, images, batch, epochs: protocol_days(s, images, batch, 1), "`epochs` has no effect"),
    ), lambda rng: [
        (86400.0, 10, 10, 1), (8640.0, 25, 10, 2), (4321.5, 7, 16, 3),
        *((float(rng.uniform(500, 9000)), *rng.integers((5, 2, 1), (90, 20, 9)).tolist()) for _ in range(8))],
        reminder="a day has 86,400 seconds, and an epoch as many steps as it takes to see all images"),
)
