"""What a pass over a sequence of words writes down: buffers made once, with a view for every word.

The views are made all together: at a few hundred small operations a word, making them one by one would cost as much as
the arithmetic of a small cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..relaxation import Mixture
from .recurrent_gate import TANH, GateWeights, Slopes, weights_of_all, weights_of_one
from .recurrent_plan import NONE, CellPlan, StepPlan

START = StepPlan((0,), None, (TANH,), "one")    # state 0 is a step from the last hidden state, by tanh


@dataclass(frozen=True)
class StepRecord:
    """One step of a plan with its weights and, by word, its slopes.

    span: the sources as a slice where they follow each other; index: as an index tensor where they do not.
    """

    plan: StepPlan
    weights: GateWeights | None
    slopes: list[Slopes]
    span: slice | None
    index: Tensor | None

    def of_sources(self, states: Tensor) -> Tensor:
        """The sources' entries of (S, B, H): (n, B, H), a view where possible."""
        return states[self.span] if self.span is not None else states.index_select(0, self.index)


@dataclass(frozen=True)
class Record:
    """Buffers of one forward pass. S = states with state 0, T = words; T is 1 where no backward pass follows.

    steps: first the one that makes state 0. masked: by word (S, B, H), states as they meet the weight matrices.
    masked_hidden: (T, B, H), the hidden state before each word. raw: by word and state (B, H), before batch norm; mean,
    rstd: by word and state (H,), of the batch norm; empty lists where there is none.
    """

    steps: list[StepRecord]
    masked: list[Tensor]
    masked_hidden: Tensor
    raw: list[tuple[Tensor, ...]]
    mean: list[tuple[Tensor, ...]]
    rstd: list[tuple[Tensor, ...]]


def new_record(plan: CellPlan, mixture: Mixture | None, like: Tensor, words: int, batch: int, hidden: int,
               has_norm: bool, wants_mix: bool) -> Record:
    """Empty buffers of `like`'s type for a pass over `words` words."""
    def empty(*shape: int) -> Tensor:
        return like.new_empty(words, *shape)

    def by_state(*shape: int) -> list[tuple[Tensor, ...]]:
        return [of_word.unbind() for of_word in empty(plan.state_count, *shape).unbind()] if has_norm else []

    steps = []
    for step in (START, *plan.steps):
        n = len(step.sources)
        gates, kept = empty(n, batch, 2, hidden), empty(n, batch, hidden)
        has_terms = wants_mix and step is not START
        terms = empty(n * (4 if step.gate == "all" else 1), batch, hidden).unbind() if has_terms else [None] * words
        slopes = [Slopes(*views) for views in zip(gates.unbind(), gates[:, :, :, 0].unbind(), gates[:, :, :, 1].unbind(),
                                                  kept.unbind(), terms, strict=True)]
        steps.append(StepRecord(step, _weights(step, mixture, like, batch, hidden) if n else None, slopes, *_where(step, like)))
    return Record(steps, list(empty(plan.state_count, batch, hidden).unbind()), empty(batch, hidden),
                  by_state(batch, hidden), by_state(hidden), by_state(hidden))


def _where(step: StepPlan, like: Tensor) -> tuple[slice | None, Tensor | None]:
    sources = step.sources
    if not sources:
        return None, None
    if sources == tuple(range(sources[0], sources[0] + len(sources))):
        return slice(sources[0], sources[0] + len(sources)), None
    return None, torch.tensor(sources, device=like.device)


def _weights(step: StepPlan, mixture: Mixture | None, like: Tensor, batch: int, hidden: int) -> GateWeights:
    if step.rows is None or (step.gate == "one" and mixture.is_hard):
        return weights_of_one(None, len(step.sources), like)
    rows = mixture.weights.detach()[list(step.rows)]
    if step.gate == "one":
        return weights_of_one(rows.gather(1, rows.new_tensor(step.columns, dtype=torch.int64)[:, None])[:, 0],
                              len(step.sources), like)
    return weights_of_all(rows[:, 1:] * active_ones(step, mixture, like), batch, hidden)


def active_ones(step: StepPlan, mixture: Mixture, like: Tensor) -> Tensor:
    """1 for each activation that runs on a row of a step, else 0; (n, 4)."""
    ones = [[float(column in mixture.active[row]) for column in range(mixture.weights.shape[1]) if column != NONE]
            for row in step.rows]
    return like.new_tensor(ones)
