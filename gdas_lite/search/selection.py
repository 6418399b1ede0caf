"""How random search with weight sharing chooses: many random cells, each scored once with the shared weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images import Batches
from ..data.streams import Streams
from ..evaluating import evaluating


def best_of_random(space: Any, supernet: nn.Module, valid_batches: Batches, samples: int,
                   generator: torch.Generator) -> Any:
    """The best of `samples` random genotypes, each by its accuracy on the next batch of `valid_batches` (see `walk`),
    with the supernet in evaluation mode; ties go to the first.

    Source: AutoDL-Projects, random search with parameter sharing in NAS-Bench-201. The supernet is left as it was.
    """
    best, best_accuracy, batches = None, -1.0, walk(valid_batches, generator)
    with evaluating(supernet):
        for _ in range(samples):
            mixtures = space.random_mixtures(generator)
            x, y = next(batches)
            accuracy = (supernet(x, mixtures).argmax(-1) == y).float().mean().item()
            if accuracy > best_accuracy:
                best, best_accuracy = space.genotype_of(mixtures), accuracy
    return best


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


def best_of_random_cells(space: Any, supernet: nn.Module, valid: Streams, bptt: int, samples: int,
                         generator: torch.Generator) -> Any:
    """The same for cells of a language model: the lowest loss on one window of the valid text, drawn anew (there is no
    reference), from a hidden state of zeros. The supernet is left as it was."""
    best, best_loss = None, float("inf")
    with evaluating(supernet):
        for _ in range(samples):
            mixtures = space.random_mixtures(generator)
            start = int(torch.randint(len(valid) - bptt, (), generator=generator))
            words, targets, _ = valid.window(start, bptt)
            outputs = supernet.states(words, supernet.start_state(words.shape[1]), mixtures)
            loss = supernet.loss(outputs, targets).loss.item()
            if loss < best_loss:
                best, best_loss = space.genotype_of(mixtures), loss
    return best
