"""The nodes of a recurrent cell by a compiled kernel each, on columns that fill whole vectors; and the words' loss.

H is filled up with zeros; what the kernels compute there never meets a weight that is not zero.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...spaces.language_model import LanguageModel
from ..layers.recurrent import attach_language_model as attach_by_layers
from ..layers.recurrent.nodes import Node, Nodes
from ..layers.recurrent.plan import START, CellPlan
from ..layers.recurrent.sequence import CellWeights, Pass
from ..layers.recurrent.sequence import run_sequence as run_by_layers
from ..layers.word_loss import block_loss as block_by_layers
from .compiled import recurrent as k
from .compiled.launch import run_on_threads
from .memory import keep_freed_memory

SMALLEST = 2**12    # numbers of a state (B, H) from which compiling pays in a training of any length
FEWEST_LOGITS = 2**16   # of a block for which the kernel is taken


def run_sequence(plan: CellPlan, embedded: Tensor, hidden: Tensor, weights: CellWeights, *rest: Any, smallest: int = 0
                 ) -> Tensor:
    """Returns what the function of this name in `engines.layers.recurrent.sequence` does. States (B, H) of fewer
    numbers than `smallest`, and numbers other than float32 on a CPU, are left to the engine layers."""
    # An exported program takes every batch size, so it must not depend on this one's.
    fits = not torch.compiler.is_compiling() and hidden.numel() >= smallest and all(
        one.dtype == torch.float32 and one.device.type == "cpu"
        for one in (embedded, hidden, weights.start, weights.steps))
    return run_by_layers(plan, embedded, hidden, weights, *rest, nodes=CompiledNodes if fits else Nodes)


def attach_language_model(model: LanguageModel, smallest: int = 0) -> None:
    """Let a language model run its cell and its loss by kernels. smallest: see `run_sequence`."""
    keep_freed_memory()
    attach_by_layers(model, partial(run_sequence, smallest=smallest), block_loss)


def block_loss(logits: Tensor, targets: Tensor, count: int, differentiates: bool) -> tuple[Tensor, Tensor]:
    """Returns and does what the function of this name in `engines.layers.word_loss` does.

    Raises IndexError if a target has no logit.
    """
    if logits.dtype != torch.float32 or logits.numel() < FEWEST_LOGITS:
        return block_by_layers(logits, targets, count, differentiates)
    rows, words = logits.shape
    lowest, highest = targets.aminmax()
    if lowest < 0 or highest >= words:
        raise IndexError(f"targets must be from 0 to {words - 1}, here are {int(lowest)} to {int(highest)}")
    job, found, share = np.zeros(k.FIELDS, np.int64), logits.new_empty(rows, 2 * k.widest()), torch.tensor([1 / count])
    targets = targets.contiguous()
    job[k.KIND], job[k.ROWS], job[k.SIZE], job[k.STATES] = k.LOGITS, rows, 4 * words, logits.data_ptr()
    job[k.SOURCES], job[k.TERMS] = targets.data_ptr(), found.data_ptr()
    job[k.WEIGHTS] = share.data_ptr() if differentiates else 0
    run_on_threads(k.node(), job, max(1, min(torch.get_num_threads(), rows)))
    return found[:, 0].sum(), found[:, 1].sum().long()


class CompiledNodes(Nodes):
    """See compiled/recurrent.py."""

    lanes = k.widest()

    def __init__(self, run: Pass) -> None:
        super().__init__(run)
        self._code, self._matrix = k.node(), 4 * run.batch * run.filled
        self._tasks = -(-4 * run.filled // k.TASK)
        self._threads = max(1, min(torch.get_num_threads(), self._tasks))
        self._sources = [_sources(node) for node in run.nodes]
        self._job = job = np.zeros(k.FIELDS, np.int64)
        job[k.ROWS], job[k.SIZE] = run.batch, 4 * run.filled
        job[k.NORM] = 0 if run.norm is None else 1 if run.norm.uses_batch else 2
        job[k.MASK] = 0 if run.mask is None else run.mask.data_ptr()
        self._places = [one.data_ptr() for one in (run.hidden, run.states, run.masked)]
        self._moments = 0 if run.moments is None else run.moments.data_ptr()

    def forward(self, t: int, index: int, gates: Tensor | None) -> None:
        self._job[k.KIND] = k.FORWARD
        self._launch(t, index, gates)

    def backward(self, t: int, index: int, gates: Tensor | None, d_all: Tensor, d_gates: Tensor,
                 arrived: tuple[Tensor, int] | None, terms: Tensor | None) -> None:
        job = self._job
        job[k.KIND], job[k.D_GATES] = k.BACKWARD, d_gates.data_ptr()
        job[k.D_STATES] = d_all.data_ptr() + self._matrix
        job[k.D_STATE] = job[k.D_STATES] + index * self._matrix
        job[k.TERMS], job[k.ARRIVED_COUNT] = 0 if terms is None else terms.data_ptr(), 0
        if arrived is not None:
            sources = self._sources[arrived[1]]
            job[k.ARRIVED], job[k.ARRIVED_COUNT], job[k.ARRIVED_SOURCES] = (
                arrived[0].data_ptr(), len(sources), sources.data_ptr())
        self._launch(t, index, gates)

    def _launch(self, t: int, index: int, gates: Tensor | None) -> None:
        job, row, sources = self._job, self.run.row(t), self._sources[index]
        hidden, states, masked = self._places
        place = row * len(self._sources) + index
        job[k.NEXT], job[k.COUNT], job[k.SOURCES] = 0, len(sources), sources.data_ptr()
        job[k.WEIGHTS] = self.run.nodes[index].weights.data_ptr()
        job[k.GATES] = 0 if gates is None else gates.data_ptr()
        # the last hidden state lies before state 0
        job[k.STATES] = hidden + (t + 1) * self._matrix if index == 0 else states + (place - index) * self._matrix
        job[k.STATE], job[k.MASKED] = states + place * self._matrix, masked + place * self._matrix
        job[k.MOMENTS] = self._moments + place * 12 * self.run.filled
        run_on_threads(self._code, job, self._threads)

    def new_terms(self, node: Node) -> Tensor:
        return node.weights.new_zeros(self._tasks, len(node.weights), k.SUMS_OF_TERMS, self.lanes)

    def sums(self, terms: Tensor) -> Tensor:
        return terms.sum((0, 3), dtype=torch.float64).to(terms.dtype)


def _sources(node: Node) -> Tensor:
    """(n, 2), index and column of each; column 0 for all activations."""
    step = node.step
    sources, columns = (-1,) if step is START else step.sources, step.columns or (0,) * len(step.sources)
    return torch.tensor(list(zip(sources, columns, strict=True)), dtype=torch.int64)
