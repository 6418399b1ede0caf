"""What a search finds: one frozen class for each search space, with its text, JSON and checks.

A genotype is a plain value: it can be compared, hashed, printed and read back without PyTorch.

* `NASBench201Genotype`: six operations, one on each edge of a four-node cell (NAS-Bench-201 paper).
* `NASNetGenotype`: normal and reduction cell, two (operation, input) pairs a node (DARTS, GDAS papers).
* `RecurrentGenotype`: one (activation, predecessor) pair for each step (DARTS paper, section 3.2).

`parse_genotype` reads any notation; `genotype_from_json` any dictionary with a "space" field.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from gdas_lite import isomorphism
from gdas_lite.notation import check_length, nearest, read_darts_text, read_json_object, shown
from gdas_lite.wellformed import (
    NASBENCH201_OPS,
    NASNET_GENOTYPE_OPS,
    RECURRENT_ACTIVATIONS,
    Cell,
    Pair,
    check_name,
    checked_cell,
    checked_concat,
    checked_pair,
    edges_into,
    fields_of,
    sequence,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "NASBENCH201_OPS",
    "NASNET_GENOTYPE_OPS",
    "RECURRENT_ACTIVATIONS",
    "Genotype",
    "NASBench201Genotype",
    "NASNetGenotype",
    "RecurrentGenotype",
    "genotype_from_json",
    "parse_genotype",
]


class _Drawn:
    """In a notebook, a genotype that is a cell's last value shows its drawing."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        from gdas_lite.diagrams import mimebundle
        return mimebundle(self)


@dataclass(frozen=True)
class NASBench201Genotype(_Drawn):
    """A NAS-Bench-201 cell: node i is the sum over j < i of operation (j, i) applied to node j.

    Source: NAS-Bench-201 paper, section 2.1. `ops` holds six names in the order of `EDGES`, which is also the
    order of the rows of the alpha matrix. Node 0 is the cell's input, node 3 its output.
    Raises ValueError if `ops` has not six known names.
    Example: str(NASBench201Genotype(("skip_connect",) * 6))
    """

    ops: tuple[str, ...]

    EDGES: ClassVar[tuple[tuple[int, int], ...]] = (        # (src, dst)
        (0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    space: ClassVar[str] = "nasbench201"

    def __post_init__(self) -> None:
        ops = sequence(self.ops, "NAS-Bench-201 cell", "six operations")
        if len(ops) != len(self.EDGES):
            raise ValueError(f"NAS-Bench-201 cell: expected six operations, one for each of the edges "
                             f"{self.EDGES}, got {len(ops)}")
        for (src, dst), op in zip(self.EDGES, ops):
            check_name(op, NASBENCH201_OPS, f"NAS-Bench-201 cell, node {dst}, input {src}")
        object.__setattr__(self, "ops", ops)

    @classmethod
    def parse(cls, text: str) -> NASBench201Genotype:
        """Read `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`; edges that are left out are none.

        White space around the whole text is ignored, inside it is an error. The inputs of a node stand in
        rising order, and each node has at least one edge (write none~0 for a node without input).
        Raises ValueError with one sentence that names the node.
        """
        check_length(text)
        groups = text.strip().split("+")
        if len(groups) != 3:
            raise ValueError(f"NAS-Bench-201 cell: expected three groups, for nodes 1, 2, 3, joined by '+' "
                             f"as in |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, got {len(groups)} in {shown(text)}")
        chosen = {(src, dst): op for dst, group in enumerate(groups, 1) for op, src in edges_into(dst, group)}
        return cls(tuple(chosen.get(edge, "none") for edge in cls.EDGES))

    def __str__(self) -> str:
        groups = [[f"{op}~{src}" for src, dst, op in self.edges if dst == node] for node in (1, 2, 3)]
        return "+".join("|" + "|".join(group) + "|" for group in groups)

    @property
    def edges(self) -> tuple[tuple[int, int, str], ...]:
        """(src, dst, operation) of all six edges, in the order of `EDGES`."""
        return tuple((src, dst, op) for (src, dst), op in zip(self.EDGES, self.ops))

    @property
    def is_connected(self) -> bool:
        """True if edges that are not none lead from the input to the output (15,284 of 15,625 cells)."""
        reached = {0}
        for src, dst, op in self.edges:     # edges into a node come before edges out of it
            if op != "none" and src in reached:
                reached.add(dst)
        return 3 in reached

    def to_json(self) -> dict[str, Any]:
        """{"space": "nasbench201", "arch": canonical text}."""
        return {"space": self.space, "arch": str(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NASBench201Genotype:
        """Read {"space": "nasbench201", "arch": text} or the same with "ops": six names."""
        fields = fields_of(data, cls.space, required=(), optional=("arch", "ops"))
        if len(fields) != 1:
            raise ValueError('NAS-Bench-201 cell: the JSON object needs "arch" (text) or "ops" (six names)')
        if "ops" in fields:
            return cls(fields["ops"])
        if not isinstance(fields["arch"], str):
            raise ValueError(f'NAS-Bench-201 cell: "arch" is text, got {shown(fields["arch"])}')
        return cls.parse(fields["arch"])

    @classmethod
    def all(cls) -> Iterator[NASBench201Genotype]:
        """All 15,625 cells, from all none to all avg_pool_3x3; the last edge (2, 3) changes fastest.

        The position in this order is the number whose base-5 digits are the positions of `ops` in
        NASBENCH201_OPS. It is not the index of the NAS-Bench-201 files.
        """
        return (cls(ops) for ops in itertools.product(NASBENCH201_OPS, repeat=len(cls.EDGES)))

    @classmethod
    def random(cls, rng: np.random.Generator) -> NASBench201Genotype:
        """One of the 15,625 cells, each equally likely. rng: a NumPy generator, the only source of chance."""
        return cls(tuple(NASBENCH201_OPS[k] for k in rng.integers(len(NASBENCH201_OPS), size=len(cls.EDGES))))

    def neighbours(self) -> tuple[NASBench201Genotype, ...]:
        """The 24 cells that differ on one edge; by edge, then in the order of NASBENCH201_OPS."""
        return tuple(NASBench201Genotype((*self.ops[:e], op, *self.ops[e + 1:]))
                     for e in range(len(self.EDGES)) for op in NASBENCH201_OPS if op != self.ops[e])

    def canonical_function(self) -> str:
        """Text that is equal for cells known to compute the same function: 6,466 texts (isomorphism.py)."""
        return isomorphism.canonical_function(self.edges)

    def network(self, channels: int = 16, cells_per_stage: int = 5, classes: int = 10,
                image_channels: int = 3) -> Any:
        """The torch network of this cell; by default of the published size. See spaces/nasbench201.py."""
        from gdas_lite.spaces.nasbench201 import Network
        return Network(self, channels=channels, cells_per_stage=cells_per_stage, classes=classes,
                       image_channels=image_channels)


@dataclass(frozen=True)
class NASNetGenotype(_Drawn):
    """A normal and a reduction cell of the NASNet space.

    Source: DARTS paper, section 2.1; GDAS paper, section 3.1. For each computation node, in order, two
    (operation, input) pairs whose results are summed. Inputs: 0 and 1 = output of cells k-2 and k-1, 2 + i =
    computation node i. `reduce` None is the fixed reduction cell of GDAS-FRC. The nodes in `*_concat` are
    concatenated along the channels. Both inputs of a node may be the same one (NASNet, PNASNet, ENAS and
    AmoebaNet have such nodes). Operation names of AutoDL-Projects' search code (dua_sepc_3x3 ...) are turned
    into those of the DARTS code.
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
        object.__setattr__(self, "normal", normal)
        object.__setattr__(self, "reduce", reduce)
        object.__setattr__(self, "normal_concat",
                           checked_concat(self.normal_concat, 2, len(normal) + 1, "normal cell"))
        object.__setattr__(self, "reduce_concat",
                           checked_concat(self.reduce_concat, 2, reduce_nodes + 1, "reduction cell"))
        if reduce is None and self.reduce_concat != (2, 3, 4, 5):
            raise ValueError(f"Genotype, reduction cell: the fixed reduction cell puts out all of its four "
                             f"parts; reduce_concat must be (2, 3, 4, 5), got {self.reduce_concat}")

    @classmethod
    def parse(cls, text: str) -> NASNetGenotype:
        """Read JSON text or the DARTS code's `Genotype(normal=..., ...)`. Raises ValueError."""
        return _of_space(parse_genotype(text), cls)

    def __str__(self) -> str:
        return json.dumps(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """{"space": "nasnet", "normal": ..., "normal_concat": ..., "reduce": ..., "reduce_concat": ...}."""
        return {"space": self.space,
                "normal": _as_lists(self.normal), "normal_concat": list(self.normal_concat),
                "reduce": None if self.reduce is None else _as_lists(self.reduce),
                "reduce_concat": list(self.reduce_concat)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NASNetGenotype:
        """The inverse of `to_json`; concats that are left out are (2, 3, 4, 5)."""
        return cls(**fields_of(data, cls.space, required=("normal", "reduce"),
                               optional=("normal_concat", "reduce_concat")))

    def to_darts_text(self) -> str:
        """The text that the DARTS code prints: `Genotype(normal=[('sep_conv_3x3', 1), ...], ...)`."""
        flat = {kind: [pair for node in cell for pair in node] if cell is not None else None
                for kind, cell in (("normal", self.normal), ("reduce", self.reduce))}
        return (f"Genotype(normal={flat['normal']}, normal_concat={list(self.normal_concat)}, "
                f"reduce={flat['reduce']}, reduce_concat={list(self.reduce_concat)})")

    def network(self, **settings: Any) -> Any:
        """The torch network for CIFAR images; settings (channels, classes, ...) as in spaces/nasnet.py."""
        from gdas_lite.spaces.nasnet import Network
        return Network(self, **settings)


@dataclass(frozen=True)
class RecurrentGenotype(_Drawn):
    """A recurrent cell: step i makes state i + 1 from an earlier state by one activation.

    Source: DARTS paper, section 3.2. `steps` holds (activation, input state) pairs; state 0 is made of the
    word and the previous hidden state. The cell's output is the mean of the states in `concat`.
    Raises ValueError with one sentence that names the step.
    """

    steps: tuple[Pair, ...]
    concat: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)

    space: ClassVar[str] = "recurrent"

    def __post_init__(self) -> None:
        steps = sequence(self.steps, "Recurrent cell", "a list of (activation, input) pairs")
        if not steps:
            raise ValueError("Recurrent cell: expected at least one (activation, input) step, got none")
        checked = tuple(checked_pair(step, RECURRENT_ACTIVATIONS, i, f"Recurrent cell, step {i}")
                        for i, step in enumerate(steps))
        object.__setattr__(self, "steps", checked)
        object.__setattr__(self, "concat", checked_concat(self.concat, 1, len(checked), "recurrent cell"))

    @classmethod
    def parse(cls, text: str) -> RecurrentGenotype:
        """Read JSON text or the DARTS code's `Genotype(recurrent=..., concat=...)`. Raises ValueError."""
        return _of_space(parse_genotype(text), cls)

    def __str__(self) -> str:
        return json.dumps(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """{"space": "recurrent", "steps": [[activation, input], ...], "concat": [states]}."""
        return {"space": self.space, "steps": [list(step) for step in self.steps],
                "concat": list(self.concat)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RecurrentGenotype:
        """The inverse of `to_json`; a "concat" that is left out is (1, 2, ..., 8)."""
        return cls(**fields_of(data, cls.space, required=("steps",), optional=("concat",)))

    def to_darts_text(self) -> str:
        """The text that the DARTS code prints: `Genotype(recurrent=[('relu', 0), ...], concat=[1, ...])`."""
        return f"Genotype(recurrent={list(self.steps)}, concat={list(self.concat)})"

    def network(self, hidden: int = 850, vocabulary: int = 10_000, embedding: int | None = None, tied: bool = True
                ) -> Any:
        """The language model with this cell; 850 units on PTB as published, 700 on WikiText-2."""
        from gdas_lite.spaces.recurrent import Network
        return Network(self, hidden, vocabulary, embedding, tied)


Genotype = NASBench201Genotype | NASNetGenotype | RecurrentGenotype
SPACES: dict[str, type] = {cls.space: cls for cls in (NASBench201Genotype, NASNetGenotype, RecurrentGenotype)}


def genotype_from_json(data: dict[str, Any]) -> Genotype:
    """The genotype of a dictionary, its class by the "space" field. Raises ValueError with one sentence."""
    if not isinstance(data, dict):
        raise ValueError(f"Genotype: expected a JSON object, got {shown(data)}")
    if "space" not in data:
        raise ValueError(f'Genotype: the JSON object lacks the field "space", one of {", ".join(SPACES)}')
    if not isinstance(data["space"], str) or data["space"] not in SPACES:
        raise ValueError(f"Genotype: unknown space {shown(data['space'])}, {nearest(data['space'], SPACES)}")
    return SPACES[data["space"]].from_json(data)


def parse_genotype(text: str) -> Genotype:
    """Read a genotype in any of its notations; the text is parsed, never evaluated.

    An architecture string `|op~0|+...`, JSON text with a "space" field, the DARTS code's `Genotype(...)`, or
    the dictionary `{'normal': ...}` that AutoDL-Projects prints.
    Raises ValueError with one sentence if it is none of them.
    """
    check_length(text)
    stripped = text.strip()
    if stripped.startswith(("Genotype", "{'")):
        fields = read_darts_text(stripped)
        if "recurrent" in fields:
            return genotype_from_json({"space": "recurrent", "steps": fields.pop("recurrent")} | fields)
        return genotype_from_json({"space": "nasnet"} | fields)
    if stripped.startswith("{"):
        return genotype_from_json(read_json_object(stripped))
    if "|" in stripped:
        return NASBench201Genotype.parse(stripped)
    raise ValueError(f"Genotype: expected |op~0|+..., a JSON object or Genotype(...), got {shown(text)}")


def _of_space(genotype: Genotype, cls: type) -> Any:
    if not isinstance(genotype, cls):
        raise ValueError(f"Genotype: expected a cell of the {cls.space} space, got one of {genotype.space}")
    return genotype


def _as_lists(cell: Cell) -> list[Any]:
    return [[list(pair) for pair in node] for node in cell]
