"""When a search stops before its last epoch: rules that look at the history after each epoch.

Source: Liang et al., *DARTS+: Improved Differentiable Architecture Search with Early Stopping* (2019), the criterion
"two or more skip-connects in one normal cell", and its alternative, the ranking of alpha stable for ten epochs.

A rule is a value and its answer depends on the history alone, so a search that was killed and resumed stops where the
uninterrupted one does. The result is the cell of the epoch that the rule fired at, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from ..genotypes.contents import PARAMETER_FREE
from ..genotypes.labels import CellLabels
from ..genotypes.notation import RECURRENT_ACTIVATIONS
from ..runs.schema import Range, check, said
from .history import History

SKIP = "skip_connect"
EPOCHS = Range(0, 1_000_000, whole=True)
KINDS = ("normal", "cell", "recurrent")     # the paper's rules look at the normal cell; the other spaces have one kind
WEIGHTLESS = {*PARAMETER_FREE, *RECURRENT_ACTIVATIONS}


class StoppingRule(Protocol):
    """What `Search` needs of a rule."""

    name: ClassVar[str]

    def check(self, labels: Mapping[str, CellLabels]) -> None:
        """Raise ValueError if the rule makes no sense for cells with these labels."""

    def reason(self, history: History) -> str | None:
        """Why the search stops now, in a few words; None: it goes on."""


@dataclass(frozen=True)
class SkipLimit:
    """Stop when the cell derived after an epoch has `limit` or more skip_connect (DARTS+: 2, in a normal cell).

    after: epochs in which the rule does not look. The paper has none. Alphas begin nearly equal, so the first cells are
        chance: of six edges with five operations, two or more carry a skip_connect in 34 % of all cells.
    """

    limit: int = 2
    after: int = 0
    name: ClassVar[str] = "skips"

    def __post_init__(self) -> None:
        if self.limit < 1 or self.after < 0:
            raise ValueError(f"SkipLimit: limit must be at least 1 and after at least 0, got {self.limit} and {self.after}")

    def check(self, labels: Mapping[str, CellLabels]) -> None:
        kind = watched_kind(labels)
        if SKIP not in labels[kind].candidates:
            raise ValueError(f"SkipLimit counts {SKIP}, which is no candidate in this space; there are "
                             f"{', '.join(labels[kind].candidates)}")

    def reason(self, history: History) -> str | None:
        if len(history) <= self.after:
            return None
        kind = watched_kind(history.labels)
        found = int(history[-1:].counts(SKIP)[kind][0])
        return f"{found} {SKIP} in the {kind if kind == 'cell' else kind + ' cell'}, limit {self.limit}" \
            if found >= self.limit else None


@dataclass(frozen=True)
class StableRanking:
    """Stop when the ranking of alpha has not changed for `epochs` epochs, on any edge (DARTS+: 10).

    Ranked are the operations with weights, as in the paper; all operations where fewer than two have some.
    """

    epochs: int = 10
    name: ClassVar[str] = "ranking"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"StableRanking: epochs must be at least 1, got {self.epochs}")

    def check(self, labels: Mapping[str, CellLabels]) -> None:
        """Every space has a ranking."""

    def reason(self, history: History) -> str | None:
        if len(history) <= self.epochs:
            return None
        kind = watched_kind(history.labels)
        alphas = history[-self.epochs - 1:].alphas[kind]                            # (epochs + 1, edges, candidates)
        rankings = alphas[..., ranked_columns(history.labels[kind])].argsort(-1, kind="stable")
        if (rankings != rankings[0]).any():
            return None
        return f"ranking of alpha unchanged for {self.epochs} epoch" + "s" * (self.epochs > 1)


def watched_kind(labels: Mapping[str, CellLabels]) -> str:
    """The kind of cell that the rules look at."""
    return next(kind for kind in KINDS if kind in labels)


def check_rule(rule: StoppingRule | None, labels: Mapping[str, CellLabels], algorithm: Any) -> None:
    """Raise ValueError if a search by `algorithm` with these labels cannot stop by the rule."""
    if rule is None:
        return
    if not (algorithm.has_alpha_steps and algorithm.derives_each_epoch):
        raise ValueError(f"{algorithm.name} search moves no alpha or chooses its cell at the end only, so no rule can look at "
                         "it; leave stop_when out")
    rule.check(labels)


def ranked_columns(labels: CellLabels) -> np.ndarray:
    """Columns of the candidates with weights; all columns where fewer than two have some."""
    columns = [column for column, name in enumerate(labels.candidates) if name not in WEIGHTLESS]
    return np.array(columns) if len(columns) > 1 else np.arange(len(labels.candidates))


RULES: dict[str, type] = {rule.name: rule for rule in (SkipLimit, StableRanking)}


def rule_to_json(rule: Any) -> dict[str, Any]:
    """A rule as it stands in a run folder's configuration."""
    return {"name": rule.name, **asdict(rule)}


def rule_from_json(data: Mapping[str, Any] | None) -> Any:
    """The inverse; None for None. Raises ValueError for a rule that this version does not know."""
    if data is None:
        return None
    check(data, {"name": set(RULES)}, "stop_when")
    fields = {name: value for name, value in data.items() if name != "name"}
    check(fields, {str: EPOCHS}, "stop_when")
    if unknown := fields.keys() - RULES[data["name"]].__dataclass_fields__.keys():
        raise ValueError(f"stop_when: unknown field {said(sorted(unknown)[0])}")
    return RULES[data["name"]](**fields)


def rule_from_text(text: str) -> Any:
    """A rule as it is written in a shell: "skips=2", "skips=2,after=5", "ranking=10". Raises ValueError."""
    known = {"skips": (SkipLimit, {"skips": "limit", "after": "after"}), "ranking": (StableRanking, {"ranking": "epochs"})}
    parts = [part.partition("=") for part in text.replace(" ", "").split(",")]
    cls, names = known.get(parts[0][0], (None, {}))
    if cls is None or any(name not in names or not value.isdecimal() for name, _, value in parts):
        raise ValueError(f"stop when what? Expected skips=2, skips=2,after=5 or ranking=10, got {text!r}")
    return cls(**{names[name]: int(value) for name, _, value in parts})
