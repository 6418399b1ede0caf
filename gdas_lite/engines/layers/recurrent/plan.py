"""What one pass of a recurrent cell computes: for each step its predecessors and their activations.

A mixture or a genotype is turned into a plan once a sequence; `sequence.py` runs the plan at every word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ....genotypes.recurrent import RecurrentGenotype
from ....relaxation import Mixture
from ....spaces.recurrent import NONE, STEPS, first_row

KNOWN = ("none", "tanh", "relu", "sigmoid", "identity")     # the candidates that nodes.py knows, as columns of alpha

Gate = Literal["one", "all"]
Run = tuple[slice, int]     # positions of sources, the column of their activation


@dataclass(frozen=True)
class StepPlan:
    """Step i makes state i+1 from `sources`, the predecessors on which something other than `none` runs.

    rows: their rows in the mixture, None for a genotype. columns: of "one" gate the activation of each source.
    gate: "one", a single activation for each source; "all", the weighted sum of the four. With "one" the sources are in
    the order of their activations, so that equal ones lie together.
    """

    sources: tuple[int, ...]
    rows: tuple[int, ...] | None
    columns: tuple[int, ...]
    gate: Gate

    @property
    def runs(self) -> list[Run]:
        """Sources with an activation: of "one" gate neighbours with the same one, of "all" all of them with each."""
        if self.gate == "all":
            return [(slice(None), column) for column in range(1, len(KNOWN))]
        starts = [i for i, column in enumerate(self.columns) if i == 0 or column != self.columns[i - 1]]
        ends = [*starts[1:], len(self.columns)][:len(starts)]
        return [(slice(start, end), self.columns[start]) for start, end in zip(starts, ends, strict=True)]


START = StepPlan((0,), None, (KNOWN.index("tanh"),), "one")     # state 0 is a step from the last hidden state


@dataclass(frozen=True)
class CellPlan:
    """The steps in order, and the states whose mean is the cell's output. state_count: states, with state 0."""

    steps: tuple[StepPlan, ...]
    concat: tuple[int, ...]

    @property
    def state_count(self) -> int:
        return len(self.steps) + 1


def plan_of_mixture(mixture: Mixture) -> CellPlan:
    """Returns the plan of a supernet's pass; the weights themselves stay in the mixture."""
    return CellPlan(tuple(_step(mixture.active, step) for step in range(STEPS)), tuple(range(1, STEPS + 1)))


def _step(active: Sequence[Sequence[int]], step: int) -> StepPlan:
    row = first_row(step)
    running = [tuple(k for k in active[row + source] if k != NONE) for source in range(step + 1)]
    sources = [source for source, columns in enumerate(running) if columns]
    gate: Gate = "one" if all(len(columns) <= 1 for columns in running) else "all"
    if gate == "one":
        sources.sort(key=lambda source: running[source])
    columns = tuple(running[source][0] for source in sources) if gate == "one" else ()
    return StepPlan(tuple(sources), tuple(row + source for source in sources), columns, gate)


def plan_of_genotype(genotype: RecurrentGenotype) -> CellPlan:
    """Returns the plan of a derived cell: one predecessor, one activation a step."""
    return CellPlan(
        tuple(StepPlan((source,), None, (KNOWN.index(name),), "one") for name, source in genotype.steps),
        genotype.concat)
