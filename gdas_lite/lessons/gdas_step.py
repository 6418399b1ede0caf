"""Exercises of notebook 3: the GDAS step (GDAS paper, section 3.3 and algorithm 1)."""

import torch
from torch import Tensor

from ..genotypes.notation import BENCHMARK_OPS
from .exercise import Exercise, shown


def tau_of(epoch: int, epochs: int) -> float:
    return 10 - (10 - 0.1) * epoch / max(epochs - 1, 1)


def both_variants(output: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return (gradient * output).sum(), (gradient * (output - 1)).sum()


def derive(alpha: Tensor, candidates: tuple[str, ...]) -> list[str]:
    return [candidates[k] for k in alpha.argmax(-1).tolist()]


def _maps(rng):
    shapes = ((2, 3, 1, 1), (2, 3, 4, 4), (1, 1, 3, 5), (4, 3, 3, 2))
    return [tuple(torch.from_numpy(rng.normal(rng.normal(), 1, shape)) for _ in range(2)) for shape in shapes * 2]


def _alphas(rng):
    """Some rows all below zero, some far from the others; the names also in other orders."""
    orders = [BENCHMARK_OPS] * 12 + [tuple(rng.permutation(BENCHMARK_OPS).tolist()) for _ in range(3)]
    alphas = rng.normal(rng.choice([-3, 0, 2], (len(orders), 6, 1)), size=(len(orders), 6, 5))
    alphas[0, -1] -= 9                          # an argmax over the edges gets a sentence, no IndexError
    return [(torch.from_numpy(alpha), names) for alpha, names in zip(alphas, orders)]


def _which_edge(found, wanted, alpha, candidates):
    edge = next(edge for edge in range(6) if found[edge] != wanted[edge])
    return (f"edge {edge}, alpha {shown(alpha[edge])} for {candidates}: expected {wanted[edge]}, got {found[edge]}; on "
            "each edge the operation with the largest alpha")


EXERCISES = (
    Exercise("3.1", "the temperature of an epoch", 5, tau_of, "tau", (
        (lambda e, n: 10 - 9.9 * e / n, "between the first and the last of 250 epochs lie 249 steps"),
        (lambda e, n: 10 - 9.9 * (e + 1) / n, "tau starts too low: in epoch 0 nothing has passed yet, so it has 10"),
        (lambda e, n: 10 - 9 * e / (n - 1),
         "the last tau is 1 here, as the paper prints; its authors corrected it to 0.1"),
        (lambda e, n: 10 * 0.01 ** (e / (n - 1)), "tau falls by the same *difference* in every epoch: a straight line"),
    ), lambda rng: [(epoch, epochs) for epochs in (2, 5, 30, 250) for epoch in range(0, epochs, 1 + epochs // 50)],
        reminder="tau falls in a straight line from 10 in the first epoch to 0.1 in the last"),
    Exercise("3.2", "what the two variants tell alpha", 15, both_variants, "S of P and S of N", (
        (lambda o, g: ((g * o).sum(), (g * o).sum()),
         "variant N takes away the gradient <G, 1> of the operations not drawn: it counts with a minus sign"),
        (lambda o, g: ((g * o).mean(), (g * (o - 1)).mean()),
         "H[e, idx] multiplies every pixel: its gradient is a sum, not a mean"),
        (lambda o, g: ((g * o).sum(), (g * (o + 1)).sum()), "in variant N <G, 1> counts with a minus sign"),
        (lambda o, g: ((g * (o - 1)).sum(), (g * o).sum()), "the order is S of variant P, then S of variant N"),
        (lambda o, g: ((g * o).sum(), (g * o).sum() - g.mean()), "<G, 1> is the sum of all entries of G, not the mean"),
    ), _maps, reminder="<G, op(x)> and <G, op(x) - 1>, sums over all entries"),
    Exercise("3.3", "from alpha to a cell", 5, derive, "the list of operations", (
        (lambda alpha, names: derive(alpha.T, names + names),
         "six edges need six operations: a row of alpha is an edge"),
        (lambda alpha, names: derive(alpha[:, 1:], names[1:]),
         "in this space `none` may win an edge, unlike in NASNet"),
        (lambda alpha, names: derive(alpha.softmax(0), names),
         "the softmax runs over the edges; operations compete along the row"),
        (lambda alpha, names: derive(alpha.abs(), names),
         "a large negative alpha speaks *against* its operation: no abs"),
        (lambda alpha, names: derive(alpha, BENCHMARK_OPS), "the names, and their order, are those in `candidates`"),
        (lambda alpha, names: alpha.argmax(-1), "these are the columns; asked are the names, `candidates[k]`"),
    ), _alphas, explain=_which_edge),
)
