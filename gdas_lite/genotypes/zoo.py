"""Published cells by name: those of the papers, and what searches on NAS-Bench-201 ended with.

Names are looked up in `zoo.json`, never evaluated. Some names exist in two spaces (DARTS_V1 is an image cell
and a recurrent cell): the plain name is the image cell, "DARTS_V1@recurrent" or space="recurrent" is the
other.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType

from ..runs.schema import parsed
from ..runs.shapes import ZOO
from .notation import nearest, shown
from .parse import Genotype, genotype_from_json

ZOO_SPACES = ("nasnet", "nasbench201", "recurrent")     # a plain name that is in several means the first of these


@dataclass(frozen=True)
class ZooEntry:
    """A published cell. `source` says where its text was read; `strengths` the softmax probability of each
    pair.

    strengths: by cell kind ("normal", "reduce"), one tuple for each node; empty where the source gives none.
    """

    name: str
    space: str
    genotype: Genotype
    note: str
    paper: str
    source: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    strengths: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict, hash=False)


def zoo(space: str | None = None) -> dict[str, ZooEntry]:
    """All entries by name, or those of one space ("nasnet", "nasbench201", "recurrent").

    Without a space a name that an earlier space has is written NAME@space. The dictionary is the caller's
    own.
    Raises ValueError for an unknown space.
    """
    if space is not None:
        _check_space(space)
        return {entry.name: entry for entry in _entries() if entry.space == space}
    found: dict[str, ZooEntry] = {}
    for entry in sorted(_entries(), key=lambda entry: ZOO_SPACES.index(entry.space)):
        found[f"{entry.name}@{entry.space}" if entry.name in found else entry.name] = entry
    return found


def zoo_entry(name: str, space: str | None = None) -> ZooEntry:
    """The entry of a name, an alias (DARTS is DARTS_V2) or NAME@space. Raises KeyError with the nearest names."""
    if not isinstance(name, str):
        raise TypeError(f"Zoo: a name is text, got {type(name).__name__}")
    plain, _, suffix = name.partition("@")
    if suffix and space not in (None, suffix):
        raise ValueError(f"Zoo: {shown(name)} and space {shown(space)} contradict each other")
    wanted = suffix or space
    if wanted is not None:
        _check_space(wanted)
    for candidate in ZOO_SPACES if wanted is None else (wanted,):
        for entry in zoo(candidate).values():
            if plain in (entry.name, *entry.aliases):
                return entry
    known = [known_name for entry in zoo(wanted).values() for known_name in (entry.name, *entry.aliases)]
    where = "" if wanted is None else f" in the {wanted} space"
    raise KeyError(f"Zoo: no cell is called {shown(plain)}{where}, {nearest(plain, dict.fromkeys(known))}")


def zoo_genotype(name: str, space: str | None = None) -> Genotype:
    """The genotype of a published cell, for example zoo_genotype("GDAS_V1"). Errors as `zoo_entry`."""
    return zoo_entry(name, space).genotype


def _check_space(space: str) -> None:
    if space not in ZOO_SPACES:
        raise ValueError(f"Zoo: unknown space {shown(space)}, {nearest(space, ZOO_SPACES)}")


@functools.cache
def _entries() -> tuple[ZooEntry, ...]:
    data = parsed(resources.files(__package__).joinpath("zoo.json").read_bytes(), ZOO, "zoo.json of gdas_lite")
    return tuple(_entry(fields) for fields in data["entries"])


def _entry(fields: dict) -> ZooEntry:
    strengths = {kind: tuple(tuple(node) for node in nodes) for kind, nodes in fields.get("strengths", {}).items()}
    return ZooEntry(
        name=fields["name"], space=fields["space"], genotype=genotype_from_json(fields["genotype"]),
        note=fields["note"], paper=fields["paper"], source=tuple(fields["source"]),
        aliases=tuple(fields.get("aliases", ())), strengths=MappingProxyType(strengths))
