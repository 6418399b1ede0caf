"""Draws that stay on the device: mixtures whose choice the host never learns, and what chance decides in an epoch,
drawn by the host beforehand, one row a step, in the order in which the plain loop draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...relaxation import Mixture, Variant, one_hot_sample, sample_gumbel, soft_mixture, with_zeros
from ...runs.meters import StepResult
from ...search.algorithms import Algorithm, excluded_columns
from ...search.recipes import SearchRecipe
from ...search.tasks import ImageTask
from ...search.updates import Bilevel

# what a step draws, in order: Gumbel noise of a shape, or (None) a random cell
Chance = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True)
class DeviceMixture:
    """A mixture whose draw is data on the device: the host, which launches a captured step, never learns who was drawn.

    weights: (edges, candidates), one-hot in value where one is drawn; carries the gradient towards alpha, if any.
    index: (edges,) int64, the drawn columns; None: all candidates run. adds_unsampled: as in `Mixture`.
    """

    weights: Tensor
    index: Tensor | None
    adds_unsampled: bool = False


class _Positions:
    """What a sampler of a step has taken of its chance so far, which a step that changes its mind takes again."""

    def __init__(self, space: Any) -> None:
        self.space, self._taken = space, 0

    def position(self) -> int:
        return self._taken

    def rewind(self, position: int) -> None:
        self._taken = position


class _Notes(_Positions):
    """An `algorithms.Sampler` that writes down what is asked of it."""

    tau = 1.0

    def __init__(self, space: Any) -> None:
        super().__init__(space)
        self.asked: list[tuple[int, ...] | None] = []

    def gumbel(self, alpha: Tensor, variant: Variant) -> Mixture:
        self._note(tuple(alpha.shape))
        return soft_mixture(alpha)

    def soft(self, alpha: Tensor) -> Mixture:
        return soft_mixture(alpha)

    def uniform(self) -> dict[str, Mixture]:
        self._note(None)
        return self.space.random_mixtures(torch.Generator())

    def _note(self, wanted: tuple[int, ...] | None) -> None:
        if self._taken == len(self.asked):
            self.asked.append(wanted)
        if self.asked[self._taken] != wanted:
            raise ValueError(f"the same chance was asked for as {self.asked[self._taken]} and as {wanted}")
        self._taken += 1


class _NoUpdates:
    """`Updates` that change nothing."""

    def weight_step(self, _state: Bilevel, _mixtures: Any, _batch: Any) -> StepResult:
        return StepResult(torch.zeros(()), torch.zeros(()), None)

    def alpha_gradient(self, state: Bilevel, mixtures: Any, batch: Any) -> tuple[list[Tensor], StepResult]:
        return [torch.zeros_like(alpha) for alpha in state.alphas.values()], self.weight_step(state, mixtures, batch)

    def apply(self, _state: Bilevel, _gradients: Sequence[Tensor]) -> None: ...


def chance_of_step(algorithm: Algorithm, space: Any, recipe: SearchRecipe) -> Chance:
    """Returns what a step asks of chance: nothing if its mixtures ask for none, else what one asks that alters nothing.

    Raises whatever an algorithm raises that wants more of a step than `Sampler` and `Updates`.
    """
    notes = _Notes(space)
    alphas = {kind: torch.nn.Parameter(torch.zeros(labels.shape)) for kind, labels in space.labels.items()}
    algorithm.mixtures(alphas, notes)
    if not notes.asked:
        return ()
    notes = _Notes(space)
    algorithm.step(Bilevel(None, alphas, None, None, recipe, None, updates=_NoUpdates()), None, None, notes)
    return tuple(notes.asked)


def draws_of_steps(chance: Chance, space: Any, generator: torch.Generator, steps: int,
                   dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Returns on the CPU for each draw of `chance_of_step` a tensor with a row for each step: Gumbel noise (steps,
    edges, candidates) of alpha's type, or for each kind of a random cell the column that runs, (steps, edges)."""
    rows = [[one for shape in chance for one in _draw(shape, space, generator, dtype)] for _ in range(steps)]
    return [torch.stack(draw) for draw in zip(*rows, strict=True)]


def _draw(shape: tuple[int, ...] | None, space: Any, generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
    if shape is not None:
        while not torch.isfinite(gumbel := sample_gumbel(shape, generator, dtype)).all():
            pass        # as `gumbel_mixture` does
        return [gumbel]
    return [torch.tensor([column for column, in mixture.active])
            for mixture in space.random_mixtures(generator).values()]


def choices_of_steps(task: ImageTask, seed: int, epoch: int) -> tuple[Tensor, list[int]]:
    """Returns on the CPU which images the train and valid batch of each step hold and their augmentation, int64 (steps,
    2, 6, batch size), rows of zeros where a batch is short; and how many images each step has."""
    shuffle, pairing = task.chance(seed, epoch)
    train = task.train_batches.choices(shuffle)
    valid = [task.valid_batches.choices(pairing, stop - start) for start, stop in task.train_batches.bounds]
    size = task.train_batches.batch_size
    rows = torch.zeros(len(valid), 2, 6, size, dtype=torch.int64)
    counts = [part.shape[1] for part in valid]
    for row, first, second in zip(rows, train.split(counts, 1), valid, strict=True):
        row[0, :, :first.shape[1]], row[1, :, :second.shape[1]] = first, second
    return rows, counts


class DeviceSampler(_Positions):
    """An `algorithms.Sampler` of one step whose chance lies on the device.

    draws: the step's rows of `draws_of_steps`. tau: ().
    """

    def __init__(self, space: Any, tau: Tensor, draws: Sequence[Tensor]) -> None:
        super().__init__(space)
        self.tau, self._draws = tau, draws

    def gumbel(self, alpha: Tensor, variant: Variant) -> DeviceMixture:
        sample = with_zeros(one_hot_sample(alpha, self.tau, self._next()), excluded_columns(self.space))
        return DeviceMixture(sample, sample.detach().argmax(-1), adds_unsampled=variant == "N")

    def soft(self, alpha: Tensor) -> DeviceMixture:
        return DeviceMixture(with_zeros(alpha.softmax(-1), excluded_columns(self.space)), None)

    def uniform(self) -> dict[str, DeviceMixture]:
        mixtures = {}
        for kind, labels in self.space.labels.items():
            index = self._next()
            candidates = labels.shape[1] + len(excluded_columns(self.space))
            weights = torch.zeros(len(index), candidates, device=index.device)
            mixtures[kind] = DeviceMixture(weights.scatter_(1, index[:, None], 1.0), index)
        return mixtures

    def _next(self) -> Tensor:
        self._taken += 1
        return self._draws[self._taken - 1]
