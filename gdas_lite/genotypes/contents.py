"""Which operations a cell is made of, by kind of cell; which of them have no weights."""

from __future__ import annotations

from collections.abc import Iterable

from .nasbench201 import NASBench201Genotype
from .nasnet import NASNetGenotype
from .parse import Genotype

# A skip_connect of a reduction cell halves the map and so has weights; it is counted as what it is called.
PARAMETER_FREE = ("none", "skip_connect", "avg_pool_3x3", "max_pool_3x3")


def operations_of(genotype: Genotype) -> dict[str, tuple[str, ...]]:
    """Returns the operations of each kind of cell ("cell", "normal", "reduce", "recurrent"), in the genotype's order.

    NAS-Bench-201: one an edge, `none` included. NASNet: two a node; a fixed reduction cell is left out.
    """
    if isinstance(genotype, NASBench201Genotype):
        return {"cell": genotype.ops}
    if isinstance(genotype, NASNetGenotype):
        cells = {"normal": genotype.normal} | ({} if genotype.reduce is None else {"reduce": genotype.reduce})
        return {kind: tuple(name for node in cell for name, _ in node) for kind, cell in cells.items()}
    return {"recurrent": tuple(name for name, _ in genotype.steps)}


def count(genotype: Genotype, operations: str | Iterable[str]) -> dict[str, int]:
    """Returns how many operations of each kind of cell are among `operations`: a name, or several as PARAMETER_FREE."""
    wanted = {operations} if isinstance(operations, str) else set(operations)
    return {kind: sum(name in wanted for name in names) for kind, names in operations_of(genotype).items()}
