"""The exercise of notebook 12: what a protocol costs, from one measured step."""

from __future__ import annotations

from .exercise import Exercise


def protocol_days(step_seconds, images, batch_size, epochs):
    steps = -(-images // batch_size)
    return epochs * steps * step_seconds / 86400


def _protocols(rng):
    return [(86400.0, 10, 10, 1), (8640.0, 25, 10, 2), (4321.5, 7, 16, 3),
            *((float(rng.uniform(500, 9000)), int(rng.integers(5, 90)), int(rng.integers(2, 20)), int(rng.integers(1, 9)))
              for _ in range(8))]


EXERCISES = (
    Exercise("12.1", "what a protocol costs", 5, protocol_days, _protocols, "the days", (
        (lambda seconds, images, batch, epochs: epochs * (images // batch) * seconds / 86400,
         "25 images in batches of 10 are three steps: the last, short batch is kept"),
        (lambda seconds, images, batch, epochs: epochs * images / batch * seconds / 86400,
         "25 images in batches of 10 are three steps, not two and a half: the last, short batch is a step like the others"),
        (lambda seconds, images, batch, epochs: epochs * (images // batch + 1) * seconds / 86400,
         "where the images fill their batches there is no short one: 10 in batches of 10 are one step"),
        (lambda seconds, images, batch, epochs: 24 * protocol_days(seconds, images, batch, epochs),
         "one step of a day, one batch, one epoch: that is 1 day, not 24 of something"),
        (lambda seconds, images, batch, epochs: 86400 * protocol_days(seconds, images, batch, epochs),
         "these are seconds: a day has 86,400"),
        (lambda seconds, images, batch, epochs: 1440 * protocol_days(seconds, images, batch, epochs), "these are minutes: 1 day has 1,440"),
        (lambda seconds, images, batch, epochs: epochs * images * seconds / 86400,
         "a step takes a whole batch: 10 images in batches of 10 are one step, not ten"),
        (lambda seconds, images, batch, epochs: -(-epochs * images // batch) * seconds / 86400,
         "each epoch ends with its own short batch: round up before you multiply by the epochs"),
        (lambda seconds, images, batch, epochs: protocol_days(seconds, images, batch, 1), "`epochs` has no effect"),
    ), reminder="a day has 86,400 seconds, and an epoch as many steps as it takes to see all images"),
)
