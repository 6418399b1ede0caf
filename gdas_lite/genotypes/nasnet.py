"""A normal and a reduction cell as a plain value: two (operation, input) pairs a node (DARTS and GDAS papers)."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from .notation import Cell, checked_cell, checked_concat, fields_of


@dataclass(frozen=True)
class NASNetGenotype:
    """A normal and a reduction cell of the NASNet space.

    Source: DARTS paper, section 2.1; GDAS paper, section 3.1. For each computation node, in order, two (operation,
    input) pairs whose results are summed. Inputs: 0 and 1 = output of cells k-2 and k-1, 2 + i = computation node i.
    `reduce` None is the fixed reduction cell of GDAS-FRC. The nodes in `*_concat` are concatenated along the channels.
    Both inputs of a node may be the same one (NASNet, PNASNet, ENAS and AmoebaNet have such nodes). Operation names of
    AutoDL-Projects' search code (dua_sepc_3x3 ...) are turned into those of the DARTS code.
    Raises ValueError with one sentence that names the cell and the node.
    """

    normal: Cell
    reduce: Cell | None
    normal_concat: tuple[int, ...] = (2, 3, 4, 5)
    reduce_concat: tuple[int, ...] = (2, 3, 4, 5)

    space: ClassVar[str] = "nasnet"

    def __post_init__(self) -> None:
        normal = checked_cell(self.normal, "normal")
        reduce = None if self.reduce is None else checked_cell(self.reduce, "reduction")
        reduce_nodes = 4 if reduce is None else len(reduce)     # the fixed reduction cell puts out four parts
        concats = (checked_concat(self.normal_concat, 2, len(normal) + 1, "normal cell"),
                   checked_concat(self.reduce_concat, 2, reduce_nodes + 1, "reduction cell"))
        for name, value in zip(("normal", "reduce", "normal_concat", "reduce_concat"), (normal, reduce, *concats)):
            object.__setattr__(self, name, value)
        if reduce is None and self.reduce_concat != (2, 3, 4, 5):
            raise ValueError("Genotype, reduction cell: the fixed reduction cell puts out all of its four parts; "
                             f"reduce_concat must be (2, 3, 4, 5), got {self.reduce_concat}")

    def __str__(self) -> str:
        return json.dumps(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns {"space": "nasnet", "normal": ..., "normal_concat": ..., "reduce": ..., "reduce_concat": ...}."""
        normal, reduce = ([[list(pair) for pair in node] for node in cell] if cell is not None else None
                          for cell in (self.normal, self.reduce))
        return {"space": self.space, "normal": normal, "normal_concat": list(self.normal_concat),
                "reduce": reduce, "reduce_concat": list(self.reduce_concat)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Returns the inverse of `to_json`; concats that are left out are (2, 3, 4, 5)."""
        return cls(**fields_of(data, cls.space, required=("normal", "reduce"),
                               optional=("normal_concat", "reduce_concat")))
