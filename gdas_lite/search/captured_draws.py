"""What chance decides in an epoch, drawn by the host beforehand: one row a step, in the order in which the plain loop draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..relaxation import (
    DeviceMixture,
    Variant,
    chosen_on_device,
    finite_gumbel,
    gumbel_on_device,
    uniform_choices,
)
from .algorithms import DARTS, GDAS, RandomSearch

if TYPE_CHECKING:
    from .recipes import SearchRecipe
    from .tasks import ImageTask

CAPTURED = (GDAS, DARTS, RandomSearch)      # the algorithms whose chance this module knows


def draws_of_steps(algorithm: Any, space: Any, recipe: SearchRecipe, generator: torch.Generator, steps: int,
                   dtype: torch.dtype = torch.float32) -> Tensor:
    """On the CPU: (steps, draws a step, edges, candidates) Gumbel noise of alpha's type, (steps, 1, edges) columns of random
    search, or nothing, (steps, 0)."""
    shape = space.labels["cell"].shape
    if isinstance(algorithm, GDAS):
        each = 2 if recipe.redraw else 1
        return torch.stack([finite_gumbel(shape, generator, dtype) for _ in range(steps * each)]).unflatten(0, (steps, each))
    if isinstance(algorithm, RandomSearch):
        return torch.stack([uniform_choices(shape, generator) for _ in range(steps)])[:, None]
    return torch.empty(steps, 0)


def choices_of_steps(task: ImageTask, seed: int, epoch: int) -> tuple[Tensor, list[int]]:
    """On the CPU: which images the train and valid batch of each step hold and their augmentation, int64 (steps, 2, 6, batch
    size), rows of zeros where the last batch is short; and how many images each step has."""
    train, valid = task.choices(seed, epoch)
    size = task.train_batches.batch_size
    rows = torch.zeros(len(valid), 2, 6, size, dtype=torch.int64)
    for row, first, second in zip(rows, train.split(size, 1), valid, strict=True):
        row[0, :, :first.shape[1]], row[1, :, :second.shape[1]] = first, second
    return rows, [part.shape[1] for part in valid]


class DeviceDraw:
    """An `algorithms.Draw` of one step whose chance lies on the device. draws: the step's row of `draws_of_steps`. tau: ()."""

    def __init__(self, space: Any, tau: Tensor, draws: Tensor) -> None:
        self.space, self.tau = space, tau
        self._draws, self._taken = draws, 0

    def gumbel(self, alpha: Tensor, variant: Variant) -> DeviceMixture:
        return gumbel_on_device(alpha, self.tau, self._next(), variant)

    def soft(self, alpha: Tensor) -> DeviceMixture:
        return DeviceMixture(alpha.softmax(-1), None)

    def uniform(self) -> dict[str, DeviceMixture]:
        return {"cell": chosen_on_device(self._next(), self.space.labels["cell"].shape[1])}

    def position(self) -> int:
        return self._taken

    def rewind(self, position: int) -> None:
        self._taken = position

    def _next(self) -> Tensor:
        self._taken += 1
        return self._draws[self._taken - 1]
