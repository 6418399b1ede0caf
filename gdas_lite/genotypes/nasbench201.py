"""A NAS-Bench-201 cell as a plain value: six operations, one on each edge of four nodes (NAS-Bench-201 paper)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..runs.schema import said
from .functions import canonical_function, live_edges
from .notation import BENCHMARK_OPS, NASBENCH201_OPS, check_length, check_name, edges_into, fields_of, sequence

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class NASBench201Genotype:
    """A NAS-Bench-201 cell: node i is the sum over j < i of operation (j, i) applied to node j.

    Source: NAS-Bench-201 paper, section 2.1. `ops` holds six names in the order of `EDGES`, which is also the order of
    the rows of the alpha matrix. Node 0 is the cell's input, node 3 its output.
    Raises ValueError if `ops` has not six known names.
    Example: str(NASBench201Genotype(("skip_connect",) * 6))
    """

    ops: tuple[str, ...]

    EDGES: ClassVar[tuple[tuple[int, int], ...]] = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))     # (src, dst)
    space: ClassVar[str] = "nasbench201"

    def __post_init__(self) -> None:
        ops = sequence(self.ops, "NAS-Bench-201 cell", "six operations")
        if len(ops) != len(self.EDGES):
            raise ValueError(f"NAS-Bench-201 cell: expected six operations, one for each of the edges {self.EDGES}, "
                             f"got {len(ops)}")
        for (src, dst), op in zip(self.EDGES, ops):
            check_name(op, NASBENCH201_OPS, f"NAS-Bench-201 cell, node {dst}, input {src}")
        object.__setattr__(self, "ops", ops)

    @classmethod
    def parse(cls, text: str) -> NASBench201Genotype:
        """Returns the cell of `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`; edges that are left out are none.

        White space around the whole text is ignored, inside it is an error. The inputs of a node stand in rising order,
        and each node has at least one edge (write none~0 for a node without input).
        Raises ValueError with one sentence that names the node.
        """
        check_length(text)
        groups = text.strip().split("+")
        if len(groups) != 3:
            raise ValueError("NAS-Bench-201 cell: expected three groups, for nodes 1, 2, 3, joined by '+' as in "
                             f"|op~0|+|op~0|op~1|+|op~0|op~1|op~2|, got {len(groups)} in {said(text)}")
        chosen = {(src, dst): op for dst, group in enumerate(groups, 1) for op, src in edges_into(dst, group)}
        return cls(tuple(chosen.get(edge, "none") for edge in cls.EDGES))

    def __str__(self) -> str:
        groups = [[f"{op}~{src}" for src, dst, op in self.edges if dst == node] for node in (1, 2, 3)]
        return "+".join("|" + "|".join(group) + "|" for group in groups)

    @property
    def edges(self) -> tuple[tuple[int, int, str], ...]:
        """The (src, dst, operation) of all six edges, in the order of `EDGES`."""
        return tuple((src, dst, op) for (src, dst), op in zip(self.EDGES, self.ops))

    @property
    def is_connected(self) -> bool:
        """Whether edges that are not none lead from the input to the output (15,284 of 15,625 cells)."""
        return any(live_edges(self.edges))

    @property
    def live(self) -> NASBench201Genotype:
        """The cell without its dead operations: `none` on every edge that no path from input to output takes.

        Both compute the same function of the image (a batch norm behind zeros adds a constant); what is dead costs
        parameters and time all the same.
        """
        return NASBench201Genotype(tuple(op if is_live else "none"
                                         for op, is_live in zip(self.ops, live_edges(self.edges))))

    def to_json(self) -> dict[str, Any]:
        """Returns {"space": "nasbench201", "arch": canonical text}."""
        return {"space": self.space, "arch": str(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NASBench201Genotype:
        """Returns the cell of {"space": "nasbench201", "arch": text}, or "ops": six names. Raises ValueError."""
        fields = fields_of(data, cls.space, required=(), optional=("arch", "ops"))
        if len(fields) != 1:
            raise ValueError('NAS-Bench-201 cell: the JSON object needs "arch" (text) or "ops" (six names)')
        if "ops" in fields:
            return cls(fields["ops"])
        if not isinstance(fields["arch"], str):
            raise ValueError(f'NAS-Bench-201 cell: "arch" is text, got {said(fields["arch"])}')
        return cls.parse(fields["arch"])

    @classmethod
    def all(cls) -> Iterator[NASBench201Genotype]:
        """Yields all 15,625 cells, from all none to all avg_pool_3x3; the last edge (2, 3) changes fastest.

        The position in this order is the number whose base-5 digits are the positions of `ops` in NASBENCH201_OPS. It
        is not the index of the NAS-Bench-201 files.
        """
        return (cls(ops) for ops in itertools.product(BENCHMARK_OPS, repeat=len(cls.EDGES)))

    @classmethod
    def random(cls, rng: np.random.Generator) -> NASBench201Genotype:
        """Returns one of the 15,625 cells, each equally likely. rng: the only source of chance."""
        return cls(tuple(BENCHMARK_OPS[k] for k in rng.integers(len(BENCHMARK_OPS), size=len(cls.EDGES))))

    def neighbours(self) -> tuple[NASBench201Genotype, ...]:
        """Returns the 24 cells that differ on one edge; by edge, then in the order of BENCHMARK_OPS."""
        return tuple(NASBench201Genotype((*self.ops[:e], op, *self.ops[e + 1:]))
                     for e in range(len(self.EDGES)) for op in BENCHMARK_OPS if op != self.ops[e])

    def canonical_function(self) -> str:
        """Returns a text that is equal for cells known to compute the same function: 6,466 texts (functions.py)."""
        return canonical_function(self.edges)
