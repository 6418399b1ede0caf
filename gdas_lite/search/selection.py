"""How random search with weight sharing chooses: many random cells, each scored once with the shared weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..data.images import Batches
from ..data.streams import Streams
from ..evaluating import evaluating


def best_of_random(space: Any, supernet: nn.Module, valid_batches: Batches, samples: int,
                   generator: torch.Generator) -> Any:
    """The best of `samples` random genotypes, each by its accuracy on one batch of `valid_batches`, drawn anew, with the
    supernet in evaluation mode; ties go to the first.

    Source: AutoDL-Projects, random search with parameter sharing in NAS-Bench-201. The supernet is left as it was.
    """
    best, best_accuracy = None, -1.0
    with evaluating(supernet):
        for _ in range(samples):
            mixtures = space.random_mixtures(generator)
            x, y = valid_batches.draw(valid_batches.batch_size, generator)
            accuracy = (supernet(x, mixtures).argmax(-1) == y).float().mean().item()
            if accuracy > best_accuracy:
                best, best_accuracy = space.genotype_of(mixtures), accuracy
    return best


def best_of_random_cells(space: Any, supernet: nn.Module, valid: Streams, bptt: int, samples: int,
                         generator: torch.Generator) -> Any:
    """The same for cells of a language model: the lowest loss on one window of the valid text, drawn anew, from a hidden
    state of zeros. The supernet is left as it was."""
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
