"""The memory of a pass over a sequence of words: buffers made once, with a view for every word.

The views are made all together: at a few hundred small operations a word, making them one by one would cost as much as
the arithmetic of a small cell.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ....relaxation import Mixture
from ....spaces.recurrent import NONE
from .gate import TANH, GateWeights, HighwayDerivatives, weights_of_all, weights_of_one
from .plan import CellPlan, Run, StepPlan

START = StepPlan((0,), None, (TANH,), "one")    # state 0 is a step from the last hidden state, by tanh


@dataclass(frozen=True)
class StepBuffers:
    """One step of a plan with its weights and, by word, its derivatives. runs: see StepPlan.

    span: the sources as a slice where they follow each other; index: as an index tensor where they do not.
    """

    plan: StepPlan
    weights: GateWeights | None
    derivatives: list[HighwayDerivatives]
    runs: list[Run]
    span: slice | None
    index: Tensor | None

    def of_sources(self, states: Tensor) -> Tensor:
        """Returns the sources' entries of (S, B, H): (n, B, H), a view where possible."""
        return states[self.span] if self.span is not None else states.index_select(0, self.index)


@dataclass(frozen=True)
class PassBuffers:
    """Buffers of one forward pass. S = states with state 0, T = words; T is 1 where no backward pass follows.

    steps: first the one that makes state 0. states: by word (S, B, H), after batch norm; where there is none the
    backward pass does not need them, and every word uses the same memory. masked: by word (S, B, H), states as they
    meet the weight matrices. masked_hidden: (T, B, H), the hidden state before each word. rstd: by word and state (H,),
    of the batch norm; empty where there is none.
    """

    steps: list[StepBuffers]
    states: list[Tensor]
    masked: list[Tensor]
    masked_hidden: Tensor
    rstd: list[tuple[Tensor, ...]]


@dataclass(frozen=True, eq=False)
class Workspace:
    """Memory of past passes, for the next one. On a CPU new memory costs a page fault every 4 KiB, a twentieth of a
    search step; PyTorch itself keeps a GPU's.

    A pass takes buffers out, so that no other can get them, and they come back when its `PassBuffers` are gone: when
    the last graph that needs them is. One is kept for each name, the largest so far. Copies of a workspace are empty.
    """

    _free: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> tuple[Tensor, Tensor]:
        """Returns a tensor of that shape and `like`'s type, not initialised, and the buffer that it lies in."""
        size = math.prod(shape)
        buffer = self._free.pop(name, None)
        if buffer is None or len(buffer) < size or buffer.dtype != like.dtype or buffer.device != like.device:
            buffer = like.new_empty(size)
        return buffer[:size].view(shape), buffer

    def give_back(self, buffers: dict[str, Tensor]) -> None:
        """Keep these for later."""
        for name, buffer in buffers.items():
            if name not in self._free or len(self._free[name]) < len(buffer):
                self._free[name] = buffer

    def __reduce__(self) -> tuple[type[Workspace], tuple[()]]:
        return Workspace, ()


def new_buffers(plan: CellPlan, mixture: Mixture | None, like: Tensor, words: int, batch: int, hidden: int,
                has_norm: bool, wants_mix: bool, workspace: Workspace) -> PassBuffers:
    """Returns buffers of `like`'s type for a pass over `words` words, not initialised."""
    taken: dict[str, Tensor] = {}

    def empty(*shape: int) -> Tensor:
        if like.is_cuda:
            return like.new_empty(shape)
        name = str(len(taken))          # the requests of all passes of a model come in the same order
        tensor, taken[name] = workspace.take(name, shape, like)
        return tensor

    steps = []
    for step in (START, *plan.steps):
        n = len(step.sources)
        gates, highway = empty(words, n, batch, 2, hidden), empty(words, n, batch, hidden)
        has_terms = wants_mix and step is not START
        terms = empty(words, n * (4 if step.gate == "all" else 1) if has_terms else 0, batch, hidden).unbind()
        views = zip(gates.unbind(), gates[:, :, :, 0].unbind(), gates[:, :, :, 1].unbind(), highway.unbind(), terms,
                    strict=True)
        derivatives = [HighwayDerivatives(*of_word, term if has_terms else None) for *of_word, term in views]
        steps.append(StepBuffers(step, _weights(step, mixture, like, batch, hidden) if n else None, derivatives,
                                 step.runs, *_where(step, like)))
    states = empty(words if has_norm else 1, plan.state_count, batch, hidden).unbind()
    masked, masked_hidden = empty(words, plan.state_count, batch, hidden), empty(words, batch, hidden)
    rstd = [of_word.unbind() for of_word in empty(words, plan.state_count, hidden).unbind()] if has_norm else []
    by_word = list(states if has_norm else states * words)
    buffers = PassBuffers(steps, by_word, list(masked.unbind()), masked_hidden, rstd)
    weakref.finalize(buffers, workspace.give_back, taken).atexit = False
    return buffers


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
    """Returns 1 for each activation that runs on a row of a step, else 0; (n, 4)."""
    ones = [[float(column in mixture.active[row]) for column in range(mixture.weights.shape[1]) if column != NONE]
            for row in step.rows]
    return like.new_tensor(ones)
