"""When a search stops before its last epoch: rules that look at the history after each epoch.

Source: Liang et al., *DARTS+: Improved Differentiable Architecture Search with Early Stopping* (2019), the criterion
"two or more skip-connects in one normal cell", and its alternative, the ranking of alpha stable for ten epochs.

A rule is a value and its answer depends on the history alone, so a search that was killed and resumed stops where the
uninterrupted one does. The result is the cell of the epoch that the rule fired at, as in the paper.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ..genotypes.contents import PARAMETER_FREE
from ..genotypes.labels import CellLabels
from ..genotypes.notation import RECURRENT_ACTIVATIONS
from ..runs.schema import Range, check, check_fields, said
from .history import History

SKIP = "skip_connect"
EPOCHS = Range(0, 1_000_000, whole=True)
WEIGHTLESS = {*PARAMETER_FREE, *RECURRENT_ACTIVATIONS}


class StoppingRule:
    """What `Search` needs of a rule, which is a frozen dataclass of whole numbers. name: in run folders."""

    name: ClassVar[str]

    def check(self, labels: Mapping[str, CellLabels]) -> None:
        """Raises ValueError if the rule makes no sense for cells with these labels."""

    def reason(self, history: History) -> str | None:
        """Returns why the search stops now, in a few words; None: it goes on."""
        raise NotImplementedError


@dataclass(frozen=True)
class SkipLimit(StoppingRule):
    """Stops a search when an epoch's cell has `limit` or more skip_connect (DARTS+: 2, in a normal cell).

    after: epochs in which the rule does not look. The paper has none. Alphas begin nearly equal, so the first cells are
        chance: of six edges with five operations, two or more carry a skip_connect in 34 % of all cells.
    Raises ValueError for a limit below 1 or a negative `after`.
    """

    limit: int = 2
    after: int = 0
    name: ClassVar[str] = "skips"

    def __post_init__(self) -> None:
        check_fields(self, {"limit": int, "after": int})
        if self.limit < 1 or self.after < 0:
            raise ValueError(f"SkipLimit: limit must be at least 1 and after at least 0, got {self.limit} and "
                             f"{self.after}")

    def check(self, labels: Mapping[str, CellLabels]) -> None:
        candidates = labels[watched_kind(labels)].candidates
        if SKIP not in candidates:
            raise ValueError(f"SkipLimit counts {SKIP}, which is no candidate in this space; there are "
                             f"{', '.join(candidates)}")

    def reason(self, history: History) -> str | None:
        kind = watched_kind(history.labels)
        skips = int(history[-1:].counts(SKIP)[kind][0]) if len(history) > self.after else 0
        where = kind if kind == "cell" else f"{kind} cell"
        return f"{skips} {SKIP} in the {where}, limit {self.limit}" if skips >= self.limit else None


@dataclass(frozen=True)
class StableRanking(StoppingRule):
    """Stops a search when the ranking of alpha has not changed for `epochs` epochs, on any edge (DARTS+: 10).

    Ranked are the operations with weights, as in the paper; all operations where fewer than two have some.
    Raises ValueError for fewer epochs than 1.
    """

    epochs: int = 10
    name: ClassVar[str] = "ranking"

    def __post_init__(self) -> None:
        check_fields(self, {"epochs": int})
        if self.epochs < 1:
            raise ValueError(f"StableRanking: epochs must be at least 1, got {self.epochs}")

    def reason(self, history: History) -> str | None:
        if len(history) <= self.epochs:
            return None
        kind = watched_kind(history.labels)
        candidates = history.labels[kind].candidates
        columns = [column for column, name in enumerate(candidates) if name not in WEIGHTLESS]
        columns = columns if len(columns) > 1 else list(range(len(candidates)))
        alphas = history[-self.epochs - 1:].alphas[kind][..., columns]          # (epochs + 1, edges, candidates)
        rankings = alphas.argsort(-1, kind="stable")
        is_stable = (rankings == rankings[0]).all()
        return f"ranking of alpha unchanged for {self.epochs} epoch" + "s" * (self.epochs > 1) if is_stable else None


def watched_kind(labels: Mapping[str, CellLabels]) -> str:
    """Returns the kind of cell that the rules look at: the normal one, as in the paper, else the first."""
    return "normal" if "normal" in labels else next(iter(labels))


def check_rule(rule: StoppingRule | None, labels: Mapping[str, CellLabels], algorithm: Any) -> None:
    """Raises ValueError if a search by `algorithm` with these labels cannot stop by the rule."""
    if rule is None:
        return
    if not (algorithm.has_alpha_steps and algorithm.derives_each_epoch):
        raise ValueError(f"{algorithm.name} search moves no alpha or chooses its cell at the end only, so no rule can "
                         "look at it; leave stop_when out")
    rule.check(labels)


RULES: dict[str, type] = {rule.name: rule for rule in (SkipLimit, StableRanking)}


def rule_to_json(rule: StoppingRule) -> dict[str, Any]:
    """Returns a rule as it stands in a run folder's configuration."""
    return {"name": rule.name, **asdict(rule)}


def rule_from_json(data: Mapping[str, Any] | None) -> StoppingRule | None:
    """Returns the rule; None for None. Raises ValueError for a rule that this version does not know."""
    if data is None:
        return None
    check(data, {"name": set(RULES)}, "stop_when")
    fields = {name: value for name, value in data.items() if name != "name"}
    check(fields, {str: EPOCHS}, "stop_when")
    if unknown := fields.keys() - RULES[data["name"]].__dataclass_fields__.keys():
        raise ValueError(f"stop_when: unknown field {said(sorted(unknown)[0])}")
    return RULES[data["name"]](**fields)


def rule_from_text(text: str) -> StoppingRule:
    """Returns a rule as it is written in a shell: "skips=2", "skips=2,after=5", "ranking=10". Raises ValueError."""
    if parts := re.fullmatch(r"skips=(\d+)(?:,after=(\d+))?|ranking=(\d+)", text.replace(" ", "")):
        limit, after, epochs = (int(number or 0) for number in parts.groups())
        return StableRanking(epochs) if parts[3] else SkipLimit(limit, after)
    raise ValueError(f"stop when what? Expected skips=2, skips=2,after=5 or ranking=10, got {text!r}")
