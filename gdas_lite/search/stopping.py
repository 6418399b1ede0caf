"""When a search stops before its last epoch: rules that look at the history after each epoch.

Source: Liang et al., *DARTS+: Improved Differentiable Architecture Search with Early Stopping* (2019), the criterion
"two or more skip-connects in one normal cell", and its alternative, the ranking of alpha stable for ten epochs.

A rule is a value and its answer depends on the history alone, of the epochs in which alpha moves, so a search that was
killed and resumed stops where the uninterrupted one does. The result is the cell of that epoch, as in the paper.
"""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, ClassVar

from ..genotypes.contents import PARAMETER_FREE
from ..genotypes.labels import CellLabels
from ..genotypes.notation import RECURRENT_ACTIVATIONS
from ..runs.schema import EPOCHS, Range, check_fields, said
from .history import History

SKIP = "skip_connect"
WEIGHTLESS = {*PARAMETER_FREE, *RECURRENT_ACTIVATIONS}


class StoppingRule:
    """What `Search` needs of a rule, which is a frozen dataclass of whole numbers. name: in run folders, which `resume`
    goes on with if the class is in `RULES` by it."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_fields(self, type(self).__name__)

    def check(self, labels: Mapping[str, CellLabels]) -> None:
        """Raises ValueError if the rule makes no sense for cells with these labels."""

    def reason(self, history: History) -> str | None:
        """Returns why the search stops now, in a few words; None: it goes on."""
        raise NotImplementedError


@dataclass(frozen=True)
class SkipLimit(StoppingRule):
    """Stops a search when an epoch's cell has `limit` or more skip_connect (DARTS+: 2, in a normal cell).

    after: epochs of it in which the rule does not look. The paper has none. Alphas begin nearly equal, so the first
        cells are chance: of six edges with five operations, two or more carry a skip_connect in 34 % of all cells.
    Raises ValueError for a limit below 1 or a negative `after`.
    """

    limit: Annotated[int, EPOCHS] = 2
    after: Annotated[int, Range(0, 1_000_000, whole=True)] = 0
    name: ClassVar[str] = "skips"

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

    epochs: Annotated[int, EPOCHS] = 10
    name: ClassVar[str] = "ranking"

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


def check_rule(rule: StoppingRule, labels: Mapping[str, CellLabels], algorithm: Any) -> None:
    """Raises ValueError if a search by `algorithm` with these labels cannot stop by the rule."""
    if not (isinstance(rule, StoppingRule) and is_dataclass(rule) and hasattr(rule, "name")):
        raise ValueError("stop_when must be a rule such as gl.SkipLimit(2), an instance of a frozen dataclass with a "
                         f"name; got {said(rule)}")
    if not (algorithm.has_alpha_steps and algorithm.derives_each_epoch):
        raise ValueError(f"{algorithm.name} search moves no alpha or chooses its cell at the end only, so no rule can "
                         "look at it; leave stop_when out")
    rule.check(labels)


RULES: dict[str, type] = {rule.name: rule for rule in (SkipLimit, StableRanking)}
