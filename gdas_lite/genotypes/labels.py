"""Names for the rows and columns of an alpha matrix, so that plots and records can speak of edges and candidates."""

from __future__ import annotations

from dataclasses import dataclass

from ..runs.schema import check
from ..runs.shapes import LABELS


@dataclass(frozen=True)
class CellLabels:
    """What the rows (edges) and columns (candidates) of one kind of cell's alpha matrix mean.

    edges: `(src, dst)` node numbers, in row order. candidates: names of primitives, in column order.
    """

    edges: tuple[tuple[int, int], ...]
    candidates: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of alpha, (num_edges, num_candidates)."""
        return len(self.edges), len(self.candidates)

    def to_json(self) -> dict:
        """Returns plain lists for a record file."""
        return {"edges": [list(edge) for edge in self.edges], "candidates": list(self.candidates)}

    @classmethod
    def from_json(cls, data: dict) -> CellLabels:
        """Returns the inverse of `to_json`. Raises ValueError for anything else."""
        check(data, LABELS, "labels")
        return cls(tuple((int(src), int(dst)) for src, dst in data["edges"]), tuple(map(str, data["candidates"])))
