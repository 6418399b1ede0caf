"""Published cells by name: those of the papers, and what searches on NAS-Bench-201 ended with; and published results.

Names are looked up in `zoo.json`, never evaluated. Some names exist in two spaces (DARTS_V1 is an image cell and a
recurrent cell): the plain name is the image cell, "DARTS_V1@recurrent" or space="recurrent" is the other.

Results, in `published.json`, are to be printed beside measured ones: always with their source, never as our own. Two
kinds of status: "primary" was read in the text of those who measured it, "secondary" in a publication that quotes them.
A number that could not be found in any source at hand is not in the file.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

from ..runs.schema import packaged_json, said
from ..runs.shapes import PUBLISHED, ZOO
from .notation import nearest
from .parse import Genotype, genotype_from_json

ZOO_SPACES = ("nasnet", "nasbench201", "recurrent")     # a plain name that is in several means the first of these
NETWORKS = {"nasbench201": "C = 16, N = 5, CIFAR-10", "nasnet": "C = 36, 20 cells, CIFAR-10, without auxiliary head",
            "recurrent": "850 units, 10,000 words"}     # the published networks, which `gl.network` makes by default


@dataclass(frozen=True)
class ZooEntry:
    """A published cell. source: where its text was read.

    strengths: the softmax probability of each pair, by cell kind one tuple for each node; empty if the source has none.
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
    """Returns all entries by name, or those of one space ("nasnet", "nasbench201", "recurrent"), in a new dictionary.

    Without a space a name that an earlier space has is written NAME@space. Raises ValueError for an unknown space.
    """
    if space not in (None, *ZOO_SPACES):
        raise ValueError(f"Zoo: unknown space {said(space)}, {nearest(space, ZOO_SPACES)}")
    found: dict[str, ZooEntry] = {}
    for entry in _entries():
        if space in (None, entry.space):
            found[f"{entry.name}@{entry.space}" if entry.name in found else entry.name] = entry
    return found


def zoo_entry(name: str, space: str | None = None) -> ZooEntry:
    """Returns the entry of a name, an alias (DARTS is DARTS_V2) or NAME@space.

    Raises KeyError with the nearest names, ValueError for an unknown space or two that contradict, TypeError.
    """
    if not isinstance(name, str):
        raise TypeError(f"Zoo: a name is text, got {type(name).__name__}")
    plain, wanted = _with_space(name, space)
    known = [(title, entry) for entry in zoo(wanted).values() for title in (entry.name, *entry.aliases)]
    if plain in (first := dict(known[::-1])):       # of entries with one name the first
        return first[plain]
    where = "" if wanted is None else f" in the {wanted} space"
    raise KeyError(f"Zoo: no cell is called {said(plain)}{where}, {nearest(plain, dict(known))}")


def _with_space(name: str, space: str | None) -> tuple[str, str | None]:
    """The plain name, and its space, which NAME@space or `space` says."""
    plain, _, suffix = name.partition("@")
    if suffix and space not in (None, suffix):
        raise ValueError(f"{said(name)} and space {said(space)} contradict each other")
    return plain, suffix or space


def zoo_genotype(name: str, space: str | None = None) -> Genotype:
    """Returns the genotype of a published cell, as zoo_genotype("GDAS_V1"). Raises KeyError as `zoo_entry`."""
    return zoo_entry(name, space).genotype


@functools.cache
def _entries() -> tuple[ZooEntry, ...]:
    """All entries, the spaces in the order of ZOO_SPACES."""
    data = packaged_json(resources.files(__package__) / "zoo.json", ZOO)
    return tuple(ZooEntry(**fields | {
        "genotype": genotype_from_json(fields["genotype"]), "source": tuple(fields["source"]),
        "aliases": tuple(fields.get("aliases", ())),
        "strengths": {kind: tuple(map(tuple, nodes)) for kind, nodes in fields.get("strengths", {}).items()}})
        for fields in sorted(data["entries"], key=lambda fields: ZOO_SPACES.index(fields["space"])))


@functools.cache
def costs() -> dict[str, tuple[int, int | None]]:
    """Returns by NAME@space parameters and multiply-adds of the network in NETWORKS (None: recurrent), as `cost_of`.

    Counting all of them takes 20 seconds, so they are kept in zoo_costs.json; a test counts again.
    """
    counts = packaged_json(resources.files(__package__) / "zoo_costs.json", {})
    return {name: tuple(each) for name, each in counts.items()}


@dataclass(frozen=True)
class PublishedResult:
    """One number. `name`: a cell of the zoo, or the method whose found cells were measured (NAS-Bench-201).

    metric: test_error, top1_error, top5_error, valid_accuracy, test_accuracy (percent), valid_perplexity,
    test_perplexity, params_M, mult_adds_M (millions), search_gpu_days, search_seconds.
    spread: standard deviation where the source gives one. setting: what must be known to compare with it.
    """

    name: str
    space: str
    data: str
    metric: str
    value: float
    spread: float | None
    unit: str
    setting: str
    source: str
    status: str

    @property
    def number(self) -> str:
        """Returns the value with its spread, as the sources print it: "2.93", "3.00" or "93.61 ± 0.09"."""
        least = {"%": 2, "": 1}.get(self.unit, 0) - (self.metric.startswith("top") and "log" not in self.source)
        plain = max(f"{self.value:.10g}", f"{self.value:.{least}f}", key=len)
        return plain if self.spread is None else f"{self.value:.2f} ± {self.spread:.2f}"

    def __str__(self) -> str:
        unit, setting = f" {self.unit}" if self.unit else "", f" ({self.setting})" if self.setting else ""
        what = self.metric.removesuffix("_M").removesuffix("_gpu_days").removesuffix("_seconds").replace("_", " ")
        return f"{self.name}, {self.data}, {what}: {self.number}{unit}{setting}; published, {self.source}"


def published(name: str | None = None, *, space: str | None = None, data: str | None = None,
              metric: str | None = None) -> tuple[PublishedResult, ...]:
    """Returns the published results that match what is given, in the order of the sources; none is an empty tuple.

    name: a zoo name (also NAME@space, as in zoo.py) or, in the space nasbench201, a method: GDAS, DARTS_V1, DARTS_V2,
    RSPS (random search with parameter sharing), SETN, ENAS, RS, REINFORCE, resnet, optimal.
    space: "nasnet", "nasbench201", "recurrent". data: "cifar10", "cifar100", "imagenet", "imagenet16-120", "ptb",
    "wikitext-2". Example: published("GDAS_V1", data="cifar10", metric="test_error").
    Raises KeyError with the nearest names for what occurs nowhere, ValueError for spaces that contradict each other.
    """
    if isinstance(name, str):
        name, space = _with_space(name, space)
    found = _results()
    for field_name, wanted in (("space", space), ("name", name), ("data", data), ("metric", metric)):
        known = list(dict.fromkeys(getattr(result, field_name) for result in _results()))
        if wanted is not None and wanted not in known:
            raise KeyError(f"Published results: unknown {field_name} {said(wanted)}, {nearest(wanted, known)}")
        found = tuple(result for result in found if wanted in (None, getattr(result, field_name)))
    return found


def results_of(name: str, space: str) -> tuple[PublishedResult, ...]:
    """Returns the published results of a cell or a method; an empty tuple where there are none."""
    return tuple(result for result in _results() if (result.name, result.space) == (name, space))


@functools.cache
def _results() -> tuple[PublishedResult, ...]:
    data = packaged_json(resources.files(__package__) / "published.json", PUBLISHED)
    return tuple(PublishedResult(**fields) for fields in data["results"])
