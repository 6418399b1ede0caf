"""Exercises of notebooks 11 and 12, on large runs: top-5 accuracy, what the part of a batch weighs that one process
does, what a protocol costs, from one measured step.
"""

import torch
from torch import Tensor

from .exercise import Exercise


def top_five(logits: Tensor, labels: Tensor) -> float:
    among = logits.topk(5, dim=-1).indices == labels[:, None]
    return 100 * among.any(-1).float().mean().item()


def loss_scales(sizes: list[int]) -> list[float]:
    return [len(sizes) * size / sum(sizes) for size in sizes]


def _logits(rng):
    for images, classes in ((200, 12), (33, 7), (1, 10), (81, 30), (40, 6), (64, 64)):
        labels = rng.integers(0, classes, images)
        logits = rng.normal(size=(images, classes))
        logits[range(images), labels] += 0.7
        yield torch.from_numpy(logits), torch.from_numpy(labels)


def protocol_days(step_seconds, images, batch_size, epochs):
    steps = -(-images // batch_size)
    return epochs * steps * step_seconds / 86400


EXERCISES = (
    Exercise("11.1", "top-5 accuracy", 10, top_five, "the accuracy", (
        (lambda logits, labels: 100 * (logits.argmax(-1) == labels).float().mean(),
         "that is top-1: second to fifth count, too"),
        (lambda logits, labels: top_five(-logits, labels), "these are the five *smallest* logits of each image"),
        (lambda logits, labels: top_five(logits, labels) / 100, "that is a share; the accuracy is in percent"),
        (lambda logits, labels: top_five(logits, labels) / 5,
         "of five guesses at most one is right: count images, not guesses"),
        (lambda logits, labels: 100 - top_five(logits, labels),
         "that is the top-5 *error*; the accuracy is 100 minus it"),
        (lambda logits, labels: top_five(logits, labels) * len(labels) / 100,
         "that is how many images; asked is the percentage"),
    ), _logits, reminder="the five largest logits *of each image*, and how often its label is among them"),
    Exercise("11.2", "what a part weighs", 10, loss_scales, "the factors of the parts", (
        (lambda sizes: [1.0] * len(sizes),
         "each part counts alike: a part of 4 has to weigh twice as much as one of 2 images"),
        (lambda sizes: [size / sum(sizes) for size in sizes],
         "the losses are *averaged* over the processes, not added up"),
        (lambda sizes: [1 / factor for factor in loss_scales(sizes)], "it is upside down: a *larger* part weighs more"),
        (lambda sizes: [size / len(sizes) for size in sizes],
         "the number of images is missing: equal parts, of any size, get factors of 1"),
        (lambda sizes: [size / sizes[0] for size in sizes],
         "the first part is no measure: compare each with the mean size"),
    ), lambda rng: [([2, 3, 2],), ([3, 4, 2],), *((rng.integers(1, 40, n).tolist(),) for n in (2, 5, 1, 4, 7)),
                    ([6, 6, 6],)],
        reminder="then the average over processes of factor times mean loss is the mean over all images"),
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
