"""Names for the rows and columns of an alpha matrix, so that plots and records can speak of edges and candidates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..runs.schema import check, said
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

    def alpha(self, alphas: Mapping[str, Any], kind: str) -> np.ndarray:
        """Returns alpha of a kind of cell with these labels, (num_edges, num_candidates) in double precision. Raises
        ValueError unless `alphas` has it, in that shape and without NaN."""
        given = alphas.get(kind) if isinstance(alphas, Mapping) else None
        if given is None:
            raise ValueError(f"alphas must hold a matrix {kind!r}, got {said(alphas)}")
        found = np.array(given.detach().cpu().double().numpy() if hasattr(given, "detach") else given, float)
        if found.shape != self.shape or np.isnan(found).any():
            raise ValueError(f"alphas[{kind!r}] must be {self.shape} (edges, candidates) without NaN, got {found.shape}"
                             + (" with NaN" if np.isnan(found).any() else ""))
        return found

    def to_json(self) -> dict:
        """Returns plain lists for a record file."""
        return {"edges": [list(edge) for edge in self.edges], "candidates": list(self.candidates)}

    @classmethod
    def from_json(cls, data: dict) -> Self:
        """Returns the inverse of `to_json`. Raises ValueError for anything else."""
        check(data, LABELS, "labels")
        return cls(tuple((int(src), int(dst)) for src, dst in data["edges"]), tuple(map(str, data["candidates"])))
