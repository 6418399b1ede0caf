"""How random search with weight sharing chooses: many random cells, each scored once with the shared weights.

How good a cell looks inside the supernet: its accuracy with the shared weights, by two kinds of batch-norm statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..data.images import Batches
from ..runs.device import evaluating, sensible_threads
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


def one_shot_accuracy(supernet: nn.Module, mixtures: Mixtures, batches: Iterable[tuple[Tensor, Tensor]],
                      statistics: Literal["batch", "running"] = "batch") -> float:
    """Returns the percent of right answers of one mixture (such as `space.mixtures(genotype)`) on batches of (x, y).

    statistics: "batch" normalises with mean and variance of the batch at hand, in the whole supernet. "running"
        normalises with the estimates that the search has gathered, as evaluation mode does, wherever a batch norm keeps
        some; in the cells only those of a space with track_running_stats=True do. They are means over all cells that
        were drawn, so they are those of no cell (quark0/darts issue 10, AutoDL-Projects issues 39 and 115).
    The supernet is left as it was, its estimates included. Raises ValueError for other statistics or no batch.
    """
    if statistics not in ("batch", "running"):
        raise ValueError(f"statistics must be 'batch' or 'running', got {statistics!r}")
    was_training, kept = supernet.training, {name: value.clone() for name, value in supernet.named_buffers()}
    supernet.train(statistics == "batch")
    width = next(weight.shape[0] for weight in supernet.parameters() if weight.ndim == 4)       # of the first maps
    right = count = 0
    try:
        with torch.no_grad():
            for x, y in batches:
                with sensible_threads(x.device, len(x) * width * x.shape[2] * x.shape[3]):
                    right += int((supernet(x, mixtures).argmax(-1) == y).sum())
                count += len(y)
    finally:
        supernet.train(was_training)
        with torch.no_grad():
            for name, value in supernet.named_buffers():
                value.copy_(kept[name])
    if not count:
        raise ValueError("there is no batch to score the mixture on")
    return 100 * right / count
