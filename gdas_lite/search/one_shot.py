"""How random search with weight sharing chooses: many random cells, each scored once with the shared weights."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images import Batches
from ..runs.device import evaluating
from .updates import Mixtures


def best_of_random(space: Any, supernet: nn.Module, score: Callable[[Mixtures], float], samples: int,
                   generator: torch.Generator) -> Any:
    """Returns the genotype of the highest score among `samples` random ones; ties go to the first.

    score: of the mixtures of a cell, with the supernet in evaluation mode and without gradients; it is left as it was.
    """
    best, highest = None, float("-inf")
    with evaluating(supernet):
        for _ in range(samples):
            mixtures = space.random_mixtures(generator)
            if (reached := score(mixtures)) > highest:
                best, highest = space.genotype_of(mixtures), reached
    return best


def accuracy_on(supernet: nn.Module, mixtures: Mixtures, x: Tensor, y: Tensor) -> float:
    """Returns the share of images x (B, C, H, W) that the supernet gives their label y (B,)."""
    return (supernet(x, mixtures).argmax(-1) == y).float().mean().item()


def walk(batches: Batches, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields batches without end: one shuffled pass over the images after another, as AutoDL-Projects' loader is begun
    again. Each is (x, y) as in `Batches`.

    A pass's last batch is short. Less than half a batch is left out, which the reference does not do: on a handful of
    images some cell is lucky. None of its data sets has so small a rest (CIFAR-10: 48 batches of 512 and one of 424).
    """
    while True:
        for x, y in batches.epoch(generator):
            if len(batches) == 1 or 2 * len(y) >= batches.batch_size:
                yield x, y
