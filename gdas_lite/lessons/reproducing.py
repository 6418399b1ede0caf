"""The exercise of notebook 12: what a protocol costs, from one measured step."""

from __future__ import annotations

from .exercise import Exercise, Function, number_of


def protocol_days(step_seconds, images, batch_size, epochs):
    steps = -(-images // batch_size)
    return epochs * steps * step_seconds / 86400


def _forgets_the_short_batch(step_seconds, images, batch_size, epochs):
    return epochs * (images // batch_size) * step_seconds / 86400


def _hours(step_seconds, images, batch_size, epochs):
    return epochs * -(-images // batch_size) * step_seconds / 3600


def _a_step_an_image(step_seconds, images, batch_size, epochs):
    return epochs * images * step_seconds / 86400


def check_protocol_days(function: Function) -> None:
    found = number_of(function(86400.0, 10, 10, 1), "the days")
    assert found != 24, "one step of a day, one batch, one epoch: that is 1 day, not 24 of something"
    assert found != 10, "a step takes a whole batch: 10 images in batches of 10 are one step, not ten"
    assert abs(found - 1) < 1e-9, f"one step of a day, one batch, one epoch: expected 1 day, got {found}"
    found = number_of(function(8640.0, 25, 10, 2), "the days")
    assert abs(found - 0.4) > 1e-9, "25 images in batches of 10 are three steps: the last, short batch is kept"
    assert abs(found - 0.6) < 1e-9, f"2 epochs of 3 steps of a tenth of a day: expected 0.6 days, got {found}"


EXERCISES = (
    Exercise("12.1", "what a protocol costs", 5, check_protocol_days, protocol_days,
             ((_forgets_the_short_batch, "the last, short batch"), (_hours, "1 day"), (_a_step_an_image, "whole batch"))),
)
