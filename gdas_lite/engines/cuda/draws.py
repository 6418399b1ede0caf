"""Draws that stay on the device: mixtures whose choice the host never learns, and what chance decides in an epoch, drawn by
the host beforehand, one row a step, in the order in which the plain loop draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...relaxation import Mixture, Variant, one_hot_sample, sample_gumbel, soft_mixture, with_zeros
from ...runs.meters import StepResult
from ...search.algorithms import excluded_columns
from ...search.updates import Bilevel

if TYPE_CHECKING:
    from ...search.algorithms import Algorithm
    from ...search.recipes import SearchRecipe
    from ...search.tasks import ImageTask

Chance = tuple[tuple[int, ...] | None, ...]     # what a step draws, in order: Gumbel noise of a shape, or (None) a random cell


@dataclass(frozen=True)
class DeviceMixture:
    """A mixture whose draw is data on the device: the host, which launches a captured step, never learns who was drawn.

    weights: (edges, candidates), one-hot in value where one is drawn; carries the gradient towards alpha, if any. index:
    (edges,) int64, the drawn columns; None: all candidates run. adds_undrawn: as in `Mixture`.
    """

    weights: Tensor
    index: Tensor | None
    adds_undrawn: bool = False


def finite_gumbel(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """The noise that `gumbel_mixture` would use: drawn again while it holds an infinite number."""
    while not torch.isfinite(gumbel := sample_gumbel(shape, generator, dtype)).all():
        pass
    return gumbel


def gumbel_on_device(alpha: Tensor, tau: Tensor, gumbel: Tensor, variant: Variant = "P", excluded: Sequence[int] = ()
                     ) -> DeviceMixture:
    """`gumbel_mixture` without the host, from noise (edges, candidates) and a temperature () on alpha's device.

    excluded: as `Mixture.around` takes it."""
    sample = with_zeros(one_hot_sample(alpha, tau, gumbel), excluded)
    return DeviceMixture(sample, sample.detach().argmax(-1), adds_undrawn=variant == "N")


def chosen_on_device(index: Tensor, num_candidates: int) -> DeviceMixture:
    """`fixed_mixture` without the host, from columns (edges,) int64 on the device."""
    weights = torch.zeros(len(index), num_candidates, device=index.device)
    return DeviceMixture(weights.scatter_(1, index[:, None], 1.0), index)


class _Notes:
    """An `algorithms.Draw` that writes down what is asked of it."""

    tau = 1.0

    def __init__(self, space: Any) -> None:
        self.space, self.asked, self._taken = space, [], 0

    def gumbel(self, alpha: Tensor, variant: Variant) -> Mixture:
        self._note(tuple(alpha.shape))
        return soft_mixture(alpha)

    def soft(self, alpha: Tensor) -> Mixture:
        return soft_mixture(alpha)

    def uniform(self) -> dict[str, Mixture]:
        self._note(None)
        return self.space.random_mixtures(torch.Generator())

    def position(self) -> int:
        return self._taken

    def rewind(self, position: int) -> None:
        self._taken = position

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
    """What a step of the algorithm asks of chance: nothing if its mixtures ask for none, else what a step asks for that changes
    nothing.

    Raises whatever an algorithm raises that wants more of a step than `Draw` and `Updates`.
    """
    notes = _Notes(space)
    alphas = {kind: torch.nn.Parameter(torch.zeros(labels.shape)) for kind, labels in space.labels.items()}
    algorithm.mixtures(alphas, notes)
    if not notes.asked:
        return ()
    notes = _Notes(space)
    algorithm.step(Bilevel(None, alphas, None, None, recipe, None, updates=_NoUpdates()), None, None, notes)
    return tuple(notes.asked)


def draws_of_steps(chance: Chance, space: Any, generator: torch.Generator, steps: int, dtype: torch.dtype = torch.float32
                   ) -> list[Tensor]:
    """On the CPU, for each draw of `chance_of_step` a tensor with a row for each step: Gumbel noise (steps, edges, candidates) of
    alpha's type, or for a random cell the columns that run, one candidate an edge, (steps, edges) for each kind of cell."""
    rows = [[one for shape in chance for one in _draw(shape, space, generator, dtype)] for _ in range(steps)]
    return [torch.stack(draw) for draw in zip(*rows, strict=True)]


def _draw(shape: tuple[int, ...] | None, space: Any, generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
    if shape is not None:
        return [finite_gumbel(shape, generator, dtype)]
    return [torch.tensor([column for column, in mixture.active]) for mixture in space.random_mixtures(generator).values()]


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
    """An `algorithms.Draw` of one step whose chance lies on the device. draws: the step's rows of `draws_of_steps`. tau: ()."""

    def __init__(self, space: Any, tau: Tensor, draws: Sequence[Tensor]) -> None:
        self.space, self.tau = space, tau
        self._draws, self._taken = draws, 0

    def gumbel(self, alpha: Tensor, variant: Variant) -> DeviceMixture:
        return gumbel_on_device(alpha, self.tau, self._next(), variant, excluded_columns(self.space))

    def soft(self, alpha: Tensor) -> DeviceMixture:
        return DeviceMixture(with_zeros(alpha.softmax(-1), excluded_columns(self.space)), None)

    def uniform(self) -> dict[str, DeviceMixture]:
        return {kind: chosen_on_device(self._next(), labels.shape[1] + len(excluded_columns(self.space)))
                for kind, labels in self.space.labels.items()}

    def position(self) -> int:
        return self._taken

    def rewind(self, position: int) -> None:
        self._taken = position

    def _next(self) -> Tensor:
        self._taken += 1
        return self._draws[self._taken - 1]
