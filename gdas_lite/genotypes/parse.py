"""Genotypes from any notation: plain values that can be compared, hashed, printed and read back without PyTorch.

* `NASBench201Genotype`: six operations, one on each edge of a four-node cell (NAS-Bench-201 paper).
* `NASNetGenotype`: normal and reduction cell, two (operation, input) pairs a node (DARTS, GDAS papers).
* `RecurrentGenotype`: one (activation, predecessor) pair for each step (DARTS paper, section 3.2).

`parse_genotype` reads any notation; `genotype_from_json` any dictionary with a "space" field.
"""

import re
from contextlib import suppress
from typing import Any, get_args

from ..runs.schema import said
from .nasbench201 import NASBench201Genotype
from .nasnet import NASNetGenotype
from .notation import check_length, grouped, nearest, read_darts_text, read_json_object
from .pasted import STARTS, benchmark_index, benchmark_ops, fragments, from_nni, naslib_ops, plain
from .recurrent import RecurrentGenotype

Genotype = NASBench201Genotype | NASNetGenotype | RecurrentGenotype
SPACES: dict[str, type] = {cls.space: cls for cls in (NASBench201Genotype, NASNetGenotype, RecurrentGenotype)}


def genotype_from_json(data: dict[str, Any]) -> Genotype:
    """Returns the genotype of a dictionary, its class by the "space" field. Raises ValueError with one sentence."""
    if not isinstance(data, dict):
        raise ValueError(f"Genotype: expected a JSON object, got {said(data)}")
    if "space" not in data:
        raise ValueError(f'Genotype: the JSON object lacks the field "space", one of {", ".join(SPACES)}')
    if not isinstance(data["space"], str) or data["space"] not in SPACES:
        raise ValueError(f"Genotype: unknown space {said(data['space'])}, {nearest(data['space'], SPACES)}")
    return SPACES[data["space"]].from_json(data)


def parse_genotype(text: str) -> Genotype:
    """Returns the genotype in a text, in any of its notations; the text is parsed, never evaluated.

    An architecture string `|op~0|+...`, JSON text with a "space" field, the DARTS code's `Genotype(...)`, the
    dictionary `{'normal': ...}` that AutoDL-Projects prints (without `reduce` where its reduction cell is fixed), NNI's
    dictionaries, NASLib's six operation indices, `NATS-Bench index 1234`; also within a log line, in any quotes, over
    several lines, after prompts or in colours. What a registered space of one's own reads is its genotype.
    Raises ValueError with one sentence if it is none of them, or holds several different cells; TypeError for no text.
    """
    check_length(text)
    for own in [cls for cls in SPACES.values() if cls not in get_args(Genotype)]:
        with suppress(ValueError):
            return own.parse(text)
    found = dict.fromkeys(_read(fragment) for fragment in fragments(plain(text)))
    if len(found) > 1:
        raise ValueError(f"Genotype: the text holds {len(found)} different cells; give one of them")
    return next(iter(found))


def _read(text: str) -> Genotype:
    """A text that is a genotype and nothing else."""
    if text.startswith("{"):
        is_python = re.match(r"\{\s*'", text) or "(" in text
        return _of_fields(read_darts_text(text) if is_python else read_json_object(text), is_dictionary=True)
    if STARTS.match(text):
        return _of_fields(read_darts_text(text))
    if "|" in text:
        return NASBench201Genotype.parse(text)
    if (ops := naslib_ops(text)) is not None:
        return NASBench201Genotype(ops)
    if (index := benchmark_index(text)) is not None:
        return NASBench201Genotype(benchmark_ops(index))
    raise ValueError(f"Genotype: expected |op~0|+..., a JSON object or Genotype(...), got {said(text)}")


def _of_fields(fields: dict[str, Any], is_dictionary: bool = False) -> Genotype:
    """Fields by name as a genotype; without "space" their names say which kit wrote them."""
    if "space" in fields or (is_dictionary and not fields):
        return genotype_from_json(fields)
    if (nni := from_nni(fields)) is not None:
        return genotype_from_json(nni)
    if "recurrent" in fields:
        return genotype_from_json({"space": "recurrent", "steps": fields.pop("recurrent"), **fields})
    if is_dictionary and "normal" not in fields:
        return genotype_from_json(fields)
    if is_dictionary and "normal_concat" in fields and not fields.keys() & {"reduce", "reduce_concat"}:
        fields["reduce"] = None     # AutoDL-Projects' GDAS-FRC, whose search has no reduction cell
    return genotype_from_json({"space": "nasnet"} | grouped(fields))
