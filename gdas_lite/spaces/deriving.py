"""From alpha to a NASNet cell: which edges of each node stay, and with which operation. `none` is never chosen.

* two_best_edges: the importance of an edge is its largest op_prob; a node keeps its two best edges, each with its best
  operation. The papers' rule (GDAS paper, section 3.1 with T = 2; DARTS paper, section 2.4; their codes).
* two_best_pairs: of all (operation, edge) pairs of a node the two most probable ones, which may lie on one edge
  (AutoDL-Projects; its users noticed).

The better one stands first; ties keep the order of edges, then of candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..wellformed import Cell

Rule = Literal["two_best_edges", "two_best_pairs"]
RULES = ("two_best_edges", "two_best_pairs")


def derive_cell(op_probs: np.ndarray, edges: Sequence[tuple[int, int]], candidates: Sequence[str], rule: Rule) -> Cell:
    """The cell of one alpha matrix.

    op_probs: softmax of alpha over the candidates, (num_edges, num_candidates). edges: (src, dst) of each row.
    Raises ValueError for an unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f"unknown deriving rule {rule!r}; there are {', '.join(RULES)}")
    nodes = []
    for node in sorted({dst for _, dst in edges}):
        pairs = [(op_probs[row, column], candidates[column], src)
                 for row, (src, dst) in enumerate(edges) if dst == node
                 for column in range(len(candidates)) if candidates[column] != "none"]
        ranked = sorted(pairs, key=lambda pair: -pair[0])       # stable
        chosen = _best_of_each_edge(ranked) if rule == "two_best_edges" else ranked
        nodes.append(tuple((operation, src) for _, operation, src in chosen[:2]))
    return tuple(nodes)


def _best_of_each_edge(ranked: list[tuple[float, str, int]]) -> list[tuple[float, str, int]]:
    best: dict[int, tuple[float, str, int]] = {}
    for pair in ranked:
        best.setdefault(pair[2], pair)
    return list(best.values())
