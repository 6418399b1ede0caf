"""What chance decides in an epoch, drawn by the host beforehand: one row a step, in the order in which the plain loop draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...relaxation import DeviceMixture, Mixture, Variant, chosen_on_device, finite_gumbel, gumbel_on_device
from ...search.algorithms import DARTS, GDAS, RandomSearch

if TYPE_CHECKING:
    from ...search.recipes import SearchRecipe
    from ...search.tasks import ImageTask

CAPTURED = (GDAS, DARTS, RandomSearch)      # the algorithms whose chance this module knows


def draws_of_steps(algorithm: Any, space: Any, recipe: SearchRecipe, generator: torch.Generator, steps: int,
                   dtype: torch.dtype = torch.float32) -> Tensor:
    """On the CPU: (steps, draws a step, edges, candidates) Gumbel noise of alpha's type, (steps, draws, edges) columns of random
    search, or nothing, (steps, 0). Every kind of cell has a draw of its own."""
    if isinstance(algorithm, GDAS):
        shapes = [labels.shape for labels in space.labels.values()] * (2 if recipe.redraw else 1)
        return torch.stack([torch.stack([finite_gumbel(shape, generator, dtype) for shape in shapes]) for _ in range(steps)])
    if isinstance(algorithm, RandomSearch):
        return torch.tensor([_columns(space.random_mixtures(generator)) for _ in range(steps)])
    return torch.empty(steps, 0)


def _columns(mixtures: Mapping[str, Mixture]) -> list[list[int]]:
    """Of each kind of cell what runs on its edges, one candidate an edge."""
    return [[column for column, in mixture.active] for mixture in mixtures.values()]


def choices_of_steps(task: ImageTask, seed: int, epoch: int) -> tuple[Tensor, list[int]]:
    """On the CPU: which images the train and valid batch of each step hold and their augmentation, int64 (steps, 2, 6, batch
    size), rows of zeros where a batch is short; and how many images each step has."""
    train, valid = task.choices(seed, epoch)
    size = task.train_batches.batch_size
    rows = torch.zeros(len(valid), 2, 6, size, dtype=torch.int64)
    counts = [part.shape[1] for part in valid]
    for row, first, second in zip(rows, train.split(counts, 1), valid, strict=True):
        row[0, :, :first.shape[1]], row[1, :, :second.shape[1]] = first, second
    return rows, counts


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
        return {kind: chosen_on_device(self._next(), labels.shape[1]) for kind, labels in self.space.labels.items()}

    def position(self) -> int:
        return self._taken

    def rewind(self, position: int) -> None:
        self._taken = position

    def _next(self) -> Tensor:
        self._taken += 1
        return self._draws[self._taken - 1]
