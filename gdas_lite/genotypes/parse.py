"""Genotypes from any notation: plain values that can be compared, hashed, printed and read back without PyTorch.

* `NASBench201Genotype`: six operations, one on each edge of a four-node cell (NAS-Bench-201 paper).
* `NASNetGenotype`: normal and reduction cell, two (operation, input) pairs a node (DARTS, GDAS papers).
* `RecurrentGenotype`: one (activation, predecessor) pair for each step (DARTS paper, section 3.2).

`parse_genotype` reads any notation; `genotype_from_json` any dictionary with a "space" field.
"""

from __future__ import annotations

from typing import Any

from .nasbench201 import NASBench201Genotype
from .nasnet import NASNetGenotype
from .notation import check_length, nearest, read_darts_text, read_json_object, shown
from .recurrent import RecurrentGenotype

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
