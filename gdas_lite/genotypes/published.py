"""Results that others have published, to print beside measured ones: always with their source, never as our own.

Data in `published.json`. Two kinds of status: "primary" was read in the text of those who measured it, "secondary" in a
publication that quotes them. A number that could not be found in any source at hand is not in the file.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources

from ..runs.schema import packaged_json
from ..runs.shapes import PUBLISHED
from .notation import nearest, shown


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
        """Returns the value with its spread, "2.93" or "93.61 ± 0.09"."""
        return f"{self.value:g}" + ("" if self.spread is None else f" ± {self.spread:g}")

    def __str__(self) -> str:
        unit, setting = f" {self.unit}" if self.unit else "", f" ({self.setting})" if self.setting else ""
        return (f"{self.name}, {self.data}, {self.metric.replace('_', ' ')}: {self.number}{unit}{setting}; "
                f"published, {self.source}")


def published(name: str | None = None, *, space: str | None = None, data: str | None = None,
              metric: str | None = None) -> tuple[PublishedResult, ...]:
    """Returns the published results that match what is given, in the order of the sources; none is an empty tuple.

    name: a zoo name (also NAME@space, as in zoo.py) or, in the space nasbench201, a method: GDAS, DARTS_V1, DARTS_V2,
    RSPS (random search with parameter sharing), SETN, ENAS, RS, REINFORCE, resnet, optimal.
    space: "nasnet", "nasbench201", "recurrent". data: "cifar10", "cifar100", "imagenet", "imagenet16-120", "ptb",
    "wikitext-2". Example: published("GDAS_V1", data="cifar10", metric="test_error").
    Raises KeyError with the nearest names for what occurs nowhere, ValueError for spaces that contradict each other.
    """
    if isinstance(name, str) and "@" in name:
        name, _, suffix = name.partition("@")
        if space not in (None, suffix):
            raise ValueError(f"Published results: the spaces {shown(suffix)} and {shown(space)} contradict each other")
        space = suffix
    found = _results()
    for field, wanted in (("space", space), ("name", name), ("data", data), ("metric", metric)):
        known = list(dict.fromkeys(getattr(result, field) for result in _results()))
        if wanted is not None and wanted not in known:
            raise KeyError(f"Published results: unknown {field} {shown(wanted)}, {nearest(wanted, known)}")
        found = tuple(result for result in found if wanted in (None, getattr(result, field)))
    return found


@functools.cache
def _results() -> tuple[PublishedResult, ...]:
    data = packaged_json(resources.files(__package__) / "published.json", PUBLISHED)
    return tuple(PublishedResult(**fields) for fields in data["results"])
