"""Exercises of notebooks 5 and 7: from alpha to a node and to a step, and the perplexity of a text."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..genotypes.notation import RECURRENT_ACTIVATIONS
from .exercise import Exercise

NAMES = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
         "dil_conv_5x5")
CANDIDATES = ("none", *RECURRENT_ACTIVATIONS)


def derive_node(alpha: Tensor) -> list[tuple[str, int]]:
    op_probs = alpha.softmax(-1)[:, 1:]                 # none takes part in the softmax, and is then left out
    best, column = op_probs.max(-1)
    edges = best.argsort(descending=True)[:2].tolist()
    return [(NAMES[column[edge] + 1], edge) for edge in edges]


def perplexity_of(losses: Sequence[float], counts: Sequence[int]) -> float:
    return math.exp(sum(loss * count for loss, count in zip(losses, counts)) / sum(counts))


def derive_step(alpha: Tensor) -> tuple[str, int]:
    op_probs = alpha.softmax(-1)[:, 1:]                 # none takes part in the softmax, and is then left out
    source = int(op_probs.max(-1).values.argmax())
    return CANDIDATES[1 + int(op_probs[source].argmax())], source


def _rows(rng, edges, columns):
    """Alpha in which each reading of the rule gives another answer: strong `none`, rows far apart, rivals."""
    alpha = rng.normal(scale=2, size=(edges, columns)) + rng.choice([-4, 0, 4], size=(edges, 1))
    alpha[:, 0] += rng.choice([-2, 2, 4], size=edges)
    return torch.from_numpy(alpha)


def _node_by(scores: Tensor) -> list[tuple[str, int]]:
    best, column = scores.max(-1)
    return [(NAMES[-scores.shape[1]:][column[edge]], edge) for edge in best.argsort(descending=True)[:2].tolist()]


def _step_by(scores: Tensor) -> tuple[str, int]:
    source, column = divmod(int(scores.argmax()), scores.shape[1])
    return CANDIDATES[-scores.shape[1]:][column], source


def _best_pairs(alpha: Tensor) -> list[tuple[str, int]]:
    flat = alpha.softmax(-1)[:, 1:].flatten().argsort(descending=True)[:2].tolist()
    return [(NAMES[1 + place % 7], place // 7) for place in flat]


def _rankings(derived_by):
    """Mistakes of both rules: what is ranked. derived_by: (scores of the rows and columns) -> what they derive."""
    return ((lambda alpha: derived_by(alpha[:, 1:]),
             "rank by softmax, not by alpha: alphas are comparable within one edge only"),
            (lambda alpha: derived_by(alpha[:, 1:].softmax(-1)),
             "`none` takes part in the softmax: its share is missing for the others; leave it out afterwards"),
            (lambda alpha: derived_by(alpha.softmax(-1)),
             "an edge may prefer `none`, but `none` cannot be derived: leave that column out when you rank"),
            (lambda alpha: derived_by(alpha.softmax(0)[:, 1:]),
             "the softmax runs over the edges; operations compete within one edge, along the row"))


EXERCISES = (
    Exercise("5.1", "from alpha to a node", 10, derive_node, "the pairs (operation, edge)", (
        *_rankings(_node_by),
        (_best_pairs, "both pairs may lie on one edge: two *edges* stay, each with its best operation"),
        (lambda alpha: derive_node(alpha)[::-1], "the better edge comes first"),
        (lambda alpha: [pair[::-1] for pair in derive_node(alpha)], "the operation stands first in each pair"),
    ), lambda rng: [(_rows(rng, edges, 8),) for edges in (2, 3, 4, 5) for _ in range(8)],
        reminder="softmax of each row, `none` left out, then the two rows with the largest entries, the better first"),
    Exercise("7.1", "the perplexity of a text", 5, perplexity_of, "the perplexity", (
        (lambda losses, counts: np.exp(losses).mean(),
         "that is a mean of perplexities: take the mean of *losses* first"),
        (lambda losses, counts: np.exp(np.mean(losses)),
         "a short window counts as much as a long one: weigh with its words"),
        (lambda losses, counts: np.average(np.exp(losses), weights=counts),
         "that is a mean of perplexities: the exponential comes last"),
        (lambda losses, counts: np.average(losses, weights=counts),
         "that is the mean loss: the exponential is missing"),
        (lambda losses, counts: 2 ** np.average(losses, weights=counts),
         "the losses are in nats, so the base is e, not 2"),
    ), lambda rng: [(rng.uniform(0.5, 6, size).tolist(), rng.integers(1, most, size).tolist())
                    for size, most in ((2, 70), (1, 70), (3, 70), (6, 4), (4, 70))],       # six: some as long
        reminder="divide by the number of words: each *word* counts as much as any other"),
    Exercise("7.2", "from alpha to a step", 10, derive_step, "the pair (activation, predecessor)", (
        *_rankings(_step_by),
        (lambda alpha: (_step_by(alpha[-1:, 1:])[0], len(alpha) - 1), "any predecessor may win, not only the last"),
        (lambda alpha: derive_step(alpha)[::-1], "the activation stands first, then the predecessor"),
    ), lambda rng: [(_rows(rng, sources, 5),) for sources in (2, 1, 3, 5, 8) for _ in range(8)],
        reminder="softmax of each row, `none` left out, then the largest entry of all"),
)
