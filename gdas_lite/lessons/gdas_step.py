"""Exercises of notebook 3: the GDAS step (GDAS paper, section 3.3 and algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..genotypes.notation import NASBENCH201_OPS
from .exercise import Exercise


def tau_of(epoch: int, epochs: int) -> float:
    return 10 - (10 - 0.1) * epoch / max(epochs - 1, 1)


def both_variants(output: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return (gradient * output).sum(), (gradient * (output - 1)).sum()


def derive(alpha: Tensor, candidates: tuple[str, ...]) -> list[str]:
    return [candidates[k] for k in alpha.argmax(-1).tolist()]


def _epochs(rng):
    return [(epoch, epochs) for epochs in (2, 5, 30) for epoch in range(epochs)] + [(epoch, 250) for epoch in (0, 7, 60, 249)]


def _maps(rng):
    shapes = ((2, 3, 4, 4), (1, 1, 3, 5), (3, 2, 1, 1), (4, 3, 3, 2))
    return [(torch.from_numpy(rng.normal(0.5, 1, shape)), torch.from_numpy(rng.normal(0.3, 1, shape))) for shape in shapes]


def _alphas(rng):
    """Some rows all below zero, some far from the others; the names also in other orders."""
    orders = [NASBENCH201_OPS] * 12 + [tuple(rng.permutation(NASBENCH201_OPS).tolist()) for _ in range(3)]
    return [(torch.from_numpy(rng.normal(size=(6, 5)) + rng.choice([-3, 0, 2], size=(6, 1))), names) for names in orders]


def _names(alpha, candidates):
    return [candidates[k % len(candidates)] for k in alpha.tolist()]


EXERCISES = (
    Exercise("3.1", "the temperature of an epoch", 5, tau_of, _epochs, "tau", (
        (lambda epoch, epochs: 10 - 9.9 * epoch / epochs,
         "tau never arrives at 0.1: between the first and the last of 250 epochs lie 249 steps"),
        (lambda epoch, epochs: 10 - 9.9 * (epoch + 1) / epochs, "tau starts too low: epoch 0 has 10, nothing has passed yet"),
        (lambda epoch, epochs: 10 - 9 * epoch / (epochs - 1),
         "the last epoch has tau = 1 here, as the paper prints; its authors corrected it to 0.1"),
        (lambda epoch, epochs: 0.1 + 9.9 * epoch / (epochs - 1), "tau falls, from 10 to 0.1; yours rises"),
        (lambda epoch, epochs: 10 * 0.01 ** (epoch / (epochs - 1)), "tau falls by the same *difference* in every epoch, not by the "
         "same factor: a straight line"),
    ), reminder="tau falls in a straight line from 10 in the first epoch to 0.1 in the last"),
    Exercise("3.2", "what the two variants tell alpha", 15, both_variants, _maps, "the two numbers, S of variant P and of variant N", (
        (lambda o, g: ((g * o).sum(), (g * o).sum()),
         "both are equal: variant N also adds the scalars of the operations not drawn; their gradient <G, 1> goes to the other "
         "entries of the row and counts here with a minus sign"),
        (lambda o, g: ((g * o).mean(), (g * (o - 1)).mean()),
         "H[e, idx] multiplies every pixel of every image, so its gradient is a sum over all of them, not a mean"),
        (lambda o, g: ((g * o).sum(), (g * (o + 1)).sum()), "in variant N <G, 1> counts with a minus sign"),
        (lambda o, g: ((g * (o - 1)).sum(), (g * o).sum()), "the order is S of variant P, then S of variant N"),
        (lambda o, g: ((g * o).sum(), (g * o).sum() - g.mean()), "<G, 1> is the sum of all entries of G, not their mean"),
        (lambda o, g: ((g * o).sum(), (g * o).sum() - 1), "what variant N takes away is <G, 1>, the sum of all entries of G"),
    ), reminder="<G, op(x)> and <G, op(x) - 1>, sums over all entries"),
    Exercise("3.3", "from alpha to a cell", 5, derive, _alphas, "the list of operations", (
        (lambda alpha, names: _names(alpha.argmax(0), names), "six edges need six operations: a row of alpha is an edge"),
        (lambda alpha, names: [names[k + 1] for k in alpha[:, 1:].argmax(-1).tolist()],
         "in this space `none` may win an edge (AutoDL-Projects); the NASNet space leaves it out"),
        (lambda alpha, names: [max((a, n) for a, n in zip(row, names) if n != "none")[1] for row in alpha.tolist()],
         "in this space `none` may win an edge (AutoDL-Projects); the NASNet space leaves it out"),
        (lambda alpha, names: _names(alpha.softmax(0).argmax(-1), names),
         "the softmax runs over the edges, but operations compete on one edge: along the row, or no softmax at all"),
        (lambda alpha, names: _names(alpha.abs().argmax(-1), names), "a large negative alpha speaks *against* its operation: no abs"),
        (lambda alpha, names: _names(alpha.argmin(-1), names), "that is the smallest alpha of each edge"),
        (lambda alpha, names: _names(alpha.argmax(-1), NASBENCH201_OPS), "the names, and their order, are those in `candidates`"),
        (lambda alpha, names: alpha.argmax(-1), "these are the columns; asked are the names, `candidates[k]`"),
    ), reminder="on each edge the operation with the largest alpha"),
)
