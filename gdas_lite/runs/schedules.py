"""The learning rate by epoch and step, the drop path rate by epoch.

* cosine: end + (start - end) * (1 + cos(pi * e / E)) / 2, set once an epoch (quark0/darts, original GDAS code).
* exponential: start * gamma^e, set once an epoch (ImageNet: GDAS paper, section 4.2).
* autodl_cosine: AutoDL-Projects' rule. During warm-up of W epochs the rate rises with every step, from exactly 0:
  start * (e + step / steps) / W; then the cosine over E - W epochs, measured from the end of the warm-up, until epoch
  E - W; the last W epochs stay at `end`, which is 0 in its configurations (an oversight of that code, kept here).

Where a recipe has `restarts`, each part between them has its own schedule from the first rate to the last (warm
restarts: Loshchilov & Hutter, "SGDR", ICLR 2017). Held near 0, more epochs would change nothing.
"""

import math
from typing import Literal

Schedule = Literal["cosine", "exponential", "autodl_cosine"]


def cosine_learning_rate(start: float, end: float, epoch: int, epochs: int) -> float:
    """Returns end + (start - end) * (1 + cos(pi * epoch / epochs)) / 2 for the 0-based epoch: never `end` itself.

    Source: AutoDL-Projects and quark0/darts, both set once an epoch.
    """
    return end + (start - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def part_of(recipe: object, epoch: int) -> tuple[int, int]:
    """Returns (epoch, epochs) within the part between two of the recipe's restarts; without any these are its own."""
    restarts = getattr(recipe, "restarts", ())
    begin = max((restart for restart in restarts if restart <= epoch), default=0)
    return epoch - begin, min((restart for restart in restarts if restart > epoch), default=recipe.epochs) - begin


def learning_rate_at(recipe: object, epoch: int, step: int, steps: int) -> float:
    """Returns the learning rate of the 0-based `step` of `steps` in the 0-based `epoch`. recipe: a TrainingRecipe."""
    start, end, warm_up = recipe.learning_rate, recipe.learning_rate_end, recipe.warm_up_epochs
    epoch, epochs = part_of(recipe, epoch)
    if recipe.schedule == "exponential":
        return start * recipe.gamma ** epoch
    if recipe.schedule == "cosine":
        return cosine_learning_rate(start, end, epoch, epochs)
    if epoch < warm_up:
        return start * (epoch + step / steps) / warm_up
    if epoch >= epochs - warm_up:
        return end
    return cosine_learning_rate(start, end, epoch - warm_up, epochs - warm_up)


def drop_path_at(largest: float, epoch: int, epochs: int) -> float:
    """Returns the rate of the 0-based epoch: largest * epoch / epochs, set once an epoch; it never is `largest`."""
    return largest * epoch / epochs
