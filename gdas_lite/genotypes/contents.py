"""Which operations a cell is made of, edge by edge; which of them have no weights."""

from collections.abc import Iterable
from typing import Any

from .parse import Genotype

# A skip_connect of a reduction cell halves the map and so has weights; it is counted as what it is called.
PARAMETER_FREE = ("none", "skip_connect", "avg_pool_3x3", "max_pool_3x3")


def operation_edges(genotype: Any) -> dict[str, tuple[tuple[int, int, str], ...]]:
    """(src, dst, operation) of each edge of the genotype, by cell kind; nodes numbered as in the rows of alpha.

    A NASNet genotype with the fixed reduction cell has no "reduce" here. A genotype of one's own says it by `cells`.
    Raises ValueError for what is no genotype, or one that does not say it.
    """
    space = getattr(genotype, "space", None)
    if space == "nasbench201":
        return {"cell": tuple(genotype.edges)}
    if space == "recurrent":
        return {"recurrent": tuple((src, dst, op) for dst, (op, src) in enumerate(genotype.steps, 1))}
    if space == "nasnet":
        return {kind: tuple((src, dst, op) for dst, node in enumerate(cell, 2) for op, src in node)
                for kind, cell in (("normal", genotype.normal), ("reduce", genotype.reduce)) if cell is not None}
    if hasattr(genotype, "cells"):
        return genotype.cells()
    raise ValueError(f"expected a genotype (NASBench201Genotype, NASNetGenotype or RecurrentGenotype) to draw, got "
                     f"{type(genotype).__name__}; read text with parse_genotype(text) first, or give a class of your "
                     "own a method `cells`")


def operations_of(genotype: Genotype) -> dict[str, tuple[str, ...]]:
    """Returns the operations of each kind of cell, in the order of `operation_edges`, those called `none` included."""
    return {kind: tuple(op for *_, op in edges) for kind, edges in operation_edges(genotype).items()}


def count(genotype: Genotype, operations: str | Iterable[str]) -> dict[str, int]:
    """Returns how many operations of each kind of cell are among `operations`: a name, or several as PARAMETER_FREE."""
    wanted = {operations} if isinstance(operations, str) else set(operations)
    return {kind: sum(name in wanted for name in names) for kind, names in operations_of(genotype).items()}
