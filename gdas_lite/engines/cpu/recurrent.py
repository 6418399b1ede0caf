"""The nodes of a recurrent cell by a compiled kernel each, on columns that fill whole vectors; and the words' loss.

H is filled up with zeros; what the kernels compute there never meets a weight that is not zero.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...spaces.language_model import LanguageModel, WordLoss
from ..layers.recurrent import attach_language_model as attach_by_layers
from ..layers.recurrent.nodes import Node, Nodes
from ..layers.recurrent.plan import START, CellPlan
from ..layers.recurrent.sequence import CellWeights, Pass
from ..layers.recurrent.sequence import run_sequence as run_by_layers
from ..layers.word_loss import BlockLoss, Scales, word_loss
from ..layers.word_loss import block_loss as block_by_layers
from ..layers.word_loss import dropped_word_loss as dropped_by_layers
from .compiled import recurrent_table as t
from .compiled.launch import data_of, run_on_threads
from .compiled.recurrent import TASK, node
from .compiled.simd import widest
from .compiled.words import PANEL
from .memory import keep_freed_memory

SMALLEST = 2**12    # numbers of a state (B, H) from which compiling pays in a training of any length
FEWEST_LOGITS = 2**16   # of a block for which the kernel is taken
TOGETHER = 8            # sequences whose words' logits are made at a time


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
    attach_by_layers(model, partial(run_sequence, smallest=smallest),
                     partial(word_loss, block=block_loss, dropped=dropped_word_loss))


def block_loss(logits: Tensor, targets: Tensor, count: int, differentiates: bool) -> tuple[Tensor, Tensor]:
    """Returns and does what the function of this name in `engines.layers.word_loss` does, also for a model that moved
    to a GPU since. Raises IndexError if a target has no logit.
    """
    if logits.dtype != torch.float32 or logits.device.type != "cpu" or logits.numel() < FEWEST_LOGITS:
        return block_by_layers(logits, targets, count, differentiates)
    (rows, words), targets, share = logits.shape, targets.contiguous(), logits.new_tensor([1 / count])
    check_targets(targets, words)
    job, found = np.zeros(t.FIELDS, np.int64), logits.new_empty(rows, 2 * widest())
    job[[t.SIZE, t.WIDTH, t.STATES]] = 4 * words, 4 * words, logits.data_ptr()
    job[[t.TARGETS, t.SHARE, t.TERMS]] = targets.data_ptr(), share.data_ptr() * differentiates, found.data_ptr()
    _run(job[None], t.LOSS, rows)
    return found[:, 0].sum(), found[:, 1].sum().long()


def check_targets(targets: Tensor, words: int) -> None:
    """Raises IndexError if a target has no logit."""
    lowest, highest = targets.aminmax()
    if lowest < 0 or highest >= words:
        raise IndexError(f"targets must be from 0 to {words - 1}, here are {int(lowest)} to {int(highest)}")


def dropped_word_loss(outputs: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, targets: Tensor,
                      block: BlockLoss | None = None) -> WordLoss:
    """Returns what the function of this name in `engines.layers.word_loss` does. Raises IndexError if a target has no
    logit."""
    if len(outputs) * len(weight) < FEWEST_LOGITS or any(
            one.dtype != torch.float32 for one in (outputs, mask, weight, bias)):
        return dropped_by_layers(outputs, mask, weight, bias, targets, block)
    return WordLoss(*_DroppedWordLoss.apply(torch.is_grad_enabled(), outputs, mask, weight, bias, targets))


class _DroppedWordLoss(Scales):
    """See compiled/words.py. The bias is one unit more, which is always kept, and the last unit is empty."""

    @staticmethod
    def forward(ctx: Any, grad_mode: bool, outputs: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
                ) -> tuple[Tensor, Tensor]:
        _, wants_outputs, _, *wants_weights, _ = (grad_mode and needed for needed in ctx.needs_input_grad)
        (words, batch, size), vocabulary, lanes = outputs.shape, len(weight), widest()
        check_targets(targets, vocabulary)
        by_unit = F.pad(weight.t(), (0, -vocabulary % (3 * lanes), 0, 2))                   # (H + 2, V)
        by_unit[size, :vocabulary] = bias
        d_by_unit = torch.zeros_like(by_unit) if any(wants_weights) else None
        inputs = np.zeros((batch, words + -words % 4, size + 2), np.float32)
        inputs[:, :words, :size], inputs[:, :words, size] = (outputs * mask).detach().transpose(0, 1), 1
        d_inputs = np.zeros_like(inputs) if wants_outputs else None
        rows, columns, tasks = inputs.shape[1], by_unit.shape[1], -(-by_unit.shape[1] // (PANEL * lanes))
        found, share = outputs.new_empty(batch, words, 2 * lanes), outputs.new_tensor([1 / targets.numel()])
        logits, of_sequence = outputs.new_empty(min(TOGETHER, batch), rows, columns), targets.t().contiguous()
        differentiates = wants_outputs or any(wants_weights)
        jobs = np.zeros((len(logits), t.FIELDS), np.int64)
        jobs[:, t.ROWS], jobs[:, t.SIZE], jobs[:, t.WIDTH] = rows, 4 * columns, 4 * vocabulary
        scratch = outputs.new_empty(torch.get_num_threads(), size + 4, PANEL * lanes)
        jobs[:, t.SCRATCH], jobs[:, t.SCRATCH_SIZE] = scratch.data_ptr(), 4 * scratch[0].numel()
        jobs[:, t.WEIGHTS], jobs[:, t.D_STATES] = by_unit.data_ptr(), 0 if d_by_unit is None else d_by_unit.data_ptr()
        jobs[:, t.SHARE] = share.data_ptr() if differentiates else 0
        for start in range(0, batch, TOGETHER):
            held, together = [], range(start, min(start + TOGETHER, batch))
            for job, b in zip(jobs, together):
                units = np.flatnonzero(mask[b])
                units = np.append(units, [size] + [size + 1] * (-(len(units) + 1) % 4))
                part, places = inputs[b].take(units, 1), units * (4 * columns)
                d_part = np.empty((tasks, *part.shape), np.float32) if wants_outputs else None
                held.append((units, part, places, d_part))
                job[t.COUNT], job[t.GATES], job[t.SOURCES] = len(units), data_of(part), data_of(places)
                job[t.D_GATES] = data_of(d_part) if wants_outputs else 0
                job[t.STATES], job[t.TARGETS], job[t.TERMS] = (
                    one.data_ptr() for one in (logits[b - start], of_sequence[b], found[b]))
            for kind, count in ((t.LOGITS, tasks), (t.LOSS, words), (t.GRADIENTS, tasks))[:3 if differentiates else 2]:
                _run(jobs[:len(held)], kind, count)
            for b, (units, _, _, d_part) in zip(together, held) if wants_outputs else ():
                d_inputs[b][:, units] = d_part.sum(0)
        d_outputs = torch.from_numpy(d_inputs[:, :words, :size]).transpose(0, 1) * mask if wants_outputs else None
        d_weight = d_bias = None
        if any(wants_weights):
            d_weight, d_bias = d_by_unit[:size, :vocabulary].t(), d_by_unit[size, :vocabulary]
        correct = found[..., 1].sum().long()
        ctx.mark_non_differentiable(correct)
        ctx.gradients = (None, d_outputs, None, d_weight, d_bias, None)
        return found[..., 0].sum() / targets.numel(), correct


def _run(jobs: np.ndarray, kind: int, tasks: int) -> None:
    jobs[0, [t.KIND, t.NEXT, t.THREAD, t.TASKS, t.JOBS]] = kind, 0, 0, tasks, len(jobs)
    run_on_threads(node(), jobs, max(1, min(torch.get_num_threads(), tasks)))


class CompiledNodes(Nodes):
    """See compiled/recurrent.py."""

    lanes = widest()

    def __init__(self, run: Pass) -> None:
        super().__init__(run)
        self._code, self._matrix = node(), 4 * run.batch * run.filled
        self._tasks = -(-4 * run.filled // TASK)
        self._threads = max(1, min(torch.get_num_threads(), self._tasks))
        self._sources = [_sources(node) for node in run.nodes]
        self._job = job = np.zeros(t.FIELDS, np.int64)
        job[t.JOBS], job[t.TASKS], job[t.ROWS], job[t.SIZE] = 1, self._tasks, run.batch, 4 * run.filled
        job[t.NORM] = 0 if run.norm is None else 1 if run.norm.uses_batch else 2
        job[t.MASK] = 0 if run.mask is None else run.mask.data_ptr()
        self._places = [one.data_ptr() for one in (run.hidden, run.states, run.masked)]
        self._moments = 0 if run.moments is None else run.moments.data_ptr()

    def forward(self, word: int, index: int, gates: Tensor | None) -> None:
        self._job[t.KIND] = t.FORWARD
        self._launch(word, index, gates)

    def backward(self, word: int, index: int, gates: Tensor | None, d_all: Tensor, d_gates: Tensor,
                 arrived: tuple[Tensor, int] | None, terms: Tensor | None) -> None:
        job = self._job
        job[t.KIND], job[t.D_GATES] = t.BACKWARD, d_gates.data_ptr()
        job[t.D_STATES] = d_all.data_ptr() + self._matrix
        job[t.D_STATE] = job[t.D_STATES] + index * self._matrix
        job[t.TERMS], job[t.ARRIVED_COUNT] = 0 if terms is None else terms.data_ptr(), 0
        if arrived is not None:
            sources = self._sources[arrived[1]]
            job[t.ARRIVED], job[t.ARRIVED_COUNT], job[t.ARRIVED_SOURCES] = (
                arrived[0].data_ptr(), len(sources), sources.data_ptr())
        self._launch(word, index, gates)

    def _launch(self, word: int, index: int, gates: Tensor | None) -> None:
        job, row, sources = self._job, self.run.row(word), self._sources[index]
        hidden, states, masked = self._places
        place = row * len(self._sources) + index
        job[t.NEXT], job[t.COUNT], job[t.SOURCES] = 0, len(sources), sources.data_ptr()
        job[t.WEIGHTS] = self.run.nodes[index].weights.data_ptr()
        job[t.GATES] = 0 if gates is None else gates.data_ptr()
        # the last hidden state lies before state 0
        job[t.STATES] = hidden + (word + 1) * self._matrix if index == 0 else states + (place - index) * self._matrix
        job[t.STATE], job[t.MASKED] = states + place * self._matrix, masked + place * self._matrix
        job[t.MOMENTS] = self._moments + place * 12 * self.run.filled
        run_on_threads(self._code, job, self._threads)

    def new_terms(self, node: Node) -> Tensor:
        return node.weights.new_zeros(self._tasks, len(node.weights), t.SUMS_OF_TERMS, self.lanes)

    def sums(self, terms: Tensor) -> Tensor:
        return terms.sum((0, 3), dtype=torch.float64).to(terms.dtype)


def _sources(node: Node) -> Tensor:
    """(n, 2), index and column of each; column 0 for all activations."""
    step = node.step
    sources, columns = (-1,) if step is START else step.sources, step.columns or (0,) * len(step.sources)
    return torch.tensor(list(zip(sources, columns, strict=True)), dtype=torch.int64, device="cpu")
