"""A recurrent cell run over a whole sequence, by kernels for all that a node of a word does between its products.

As `engines.layers.recurrent.sequence`, with less memory to go through: a forward pass keeps the states and the products
(c, h), a backward pass computes the activations anew. H is filled up with zeros to whole vectors; what the kernels
compute there never meets a weight that is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...relaxation import Mixture
from ...spaces.recurrent import NORM_EPS, NORM_MOMENTUM, StateNorm
from ..layers.products import packed, product
from ..layers.recurrent import sequence as by_layers
from ..layers.recurrent.buffers import START, Workspace, active_ones
from ..layers.recurrent.plan import CellPlan, StepPlan

SMALLEST = 2**12    # numbers of a state (B, H) from which compiling pays in a training of any length
CHUNK = 12          # words whose gradients of (c, h) wait for one product: more would not fit malloc's kept memory


def run_sequence(plan: CellPlan, from_words: Tensor, start: Tensor, weights: by_layers.CellWeights, mask: Tensor | None,
                 norm: StateNorm | None = None, mixture: Mixture | None = None, workspace: Workspace | None = None
                 ) -> Tensor:
    """Returns what the function of this name in `engines.layers.recurrent.sequence` does, which numbers other than
    float32 on a CPU are left to."""
    tensors = from_words, start, weights.hidden, weights.steps
    if torch.compiler.is_compiling() or any(one.dtype != torch.float32 or one.device.type != "cpu" for one in tensors):
        return by_layers.run_sequence(plan, from_words, start, weights, mask, norm, mixture, workspace)
    mix = mixture.weights if mixture is not None else None
    return _Sequence.apply(plan, norm, mixture, torch.is_grad_enabled(), mask, *tensors, mix)


def run_large_states(plan: CellPlan, from_words: Tensor, start: Tensor, *rest: Any) -> Tensor:
    """As `run_sequence`; small states, for which nothing need be compiled, are left to the engine layers."""
    is_large = not torch.compiler.is_compiling() and start.numel() >= SMALLEST
    return (run_sequence if is_large else by_layers.run_sequence)(plan, from_words, start, *rest)


@dataclass(frozen=True)
class _Node:
    """A step with its tables, see compiled/recurrent.py: sources (n, 2), weights (n, 5)."""

    step: StepPlan
    where: slice | Tensor
    sources: Tensor
    weights: Tensor


def _node(step: StepPlan, mixture: Mixture | None, like: Tensor) -> _Node:
    n, first = len(step.sources), step.sources[0] if step.sources else 0
    is_run = step.sources == tuple(range(first, first + n))
    where = slice(first, first + n) if is_run else torch.tensor(step.sources)
    if step.gate == "one":
        each = F.one_hot(torch.tensor(step.columns, dtype=torch.int64) - 1, 4).to(like.dtype)
    else:
        each = active_ones(step, mixture, like)
    if step.rows is not None and n and not (step.gate == "one" and mixture.is_hard):
        each = each * mixture.weights.detach()[list(step.rows), 1:].to(like.dtype)
    columns = step.columns or (0,) * n
    sources = (-1,) if step is START else step.sources      # the last hidden state lies before state 0
    table = torch.tensor(list(zip(sources, columns, strict=True)), dtype=torch.int64)
    return _Node(step, where, table, torch.cat([each, each.sum(1, keepdim=True)], 1))


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: CellPlan, norm: StateNorm | None, mixture: Mixture | None, grad_mode: bool,
                mask: Tensor | None, from_words: Tensor, start: Tensor, w_hidden: Tensor, w_steps: Tensor,
                mix: Tensor | None) -> Tensor:
        differentiates = grad_mode and any(ctx.needs_input_grad)
        run = _Pass(plan, norm, mixture, mask, start, w_hidden, w_steps, len(from_words), differentiates)
        outputs = run.forward(from_words)
        if differentiates:
            ctx.run = run
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (None,) * 5 + ctx.run.backward(grad, ctx.needs_input_grad[5:])


class _Pass:
    """`forward`, then `backward` as often as one likes. T words, S states with state 0."""

    def __init__(self, plan: CellPlan, norm: StateNorm | None, mixture: Mixture | None, mask: Tensor | None,
                 start: Tensor, w_hidden: Tensor, w_steps: Tensor, words: int, differentiates: bool) -> None:
        from .compiled import recurrent as k
        self.kernels, self.code = k, k.node()
        self.plan, self.norm, self.mixture, self.differentiates, self.words = plan, norm, mixture, differentiates, words
        self.batch, self.size = start.shape
        self.lanes = k.widest()
        self.missing = -self.size % self.lanes
        self.filled = self.size + self.missing
        self.nodes = [_node(step, mixture, start) for step in (START, *plan.steps)]
        self.mask = None if mask is None else self._filled(mask)
        self.w_hidden = self._filled_pairs(F.pad(w_hidden, (0, 0, 0, self.missing)))
        self.w_steps = self._filled_pairs(F.pad(w_steps, (0, 0, 0, self.missing))).unbind()
        kept, count = words if differentiates else 1, plan.state_count
        matrix = self.batch, self.filled
        self.hidden = start.new_empty(words + 1, *matrix)
        self.hidden[0] = self._filled(start)
        self.states = start.new_empty(kept, count, *matrix)
        self.masked = self.states if mask is None else start.new_empty(kept, count, *matrix)
        self.before = start.new_empty(kept, *matrix)
        self.moments = start.new_empty(kept, count, 3, self.filled) if norm is not None else None
        self.gates: list[list[Tensor | None]] = []
        first, last = plan.concat[0], plan.concat[-1]
        self.averaged = slice(first, last + 1) if plan.concat == tuple(range(first, last + 1)) else list(plan.concat)
        self.norm_kind = 0 if norm is None else 1 if norm.uses_batch else 2
        if self.norm_kind == 2:
            self.moments[:, :, 0] = self._filled(norm.mean)
            self.moments[:, :, 1] = self._filled((norm.var + NORM_EPS).rsqrt())
        self.job = np.zeros(k.FIELDS, np.int64)
        self.job[k.ROWS], self.job[k.SIZE], self.job[k.NORM] = self.batch, 4 * self.filled, self.norm_kind
        self.job[k.MASK] = 0 if mask is None else self.mask.data_ptr()
        self.tasks = -(-4 * self.filled // k.TASK)
        self.threads = max(1, min(torch.get_num_threads(), self.tasks))

    def _filled(self, values: Tensor) -> Tensor:
        """(..., H) with zeros up to whole vectors."""
        return F.pad(values.detach(), (0, self.missing)).contiguous()

    def _filled_pairs(self, values: Tensor) -> Tensor:
        """(..., 2H) so, each half by itself."""
        return self._filled(values.unflatten(-1, (2, self.size))).flatten(-2)

    def _launch(self, t: int, index: int, node: _Node, gates: Tensor | None, **more: int) -> None:
        """The kernel of a node at a word. more: further fields."""
        from .compiled.launch import run_on_threads
        k, job, row = self.kernels, self.job, t if self.differentiates else 0
        matrix, place = 4 * self.batch * self.filled, row * len(self.nodes) + index
        states = self.hidden.data_ptr() + (t + 1) * matrix if index == 0 else self.states[row].data_ptr()
        job[k.NEXT], job[k.COUNT], job[k.SOURCES] = 0, len(node.sources), node.sources.data_ptr()
        job[k.WEIGHTS], job[k.GATES] = node.weights.data_ptr(), 0 if gates is None else gates.data_ptr()
        job[k.STATES], job[k.STATE] = states, self.states.data_ptr() + place * matrix
        job[k.MASKED] = self.masked.data_ptr() + place * matrix
        job[k.MOMENTS] = 0 if self.moments is None else self.moments.data_ptr() + place * 12 * self.filled
        for name, value in more.items():
            job[getattr(k, name)] = value
        run_on_threads(self.code, job, self.threads)

    def forward(self, from_words: Tensor) -> Tensor:
        """Returns the outputs (T, B, H)."""
        from_words = self._filled_pairs(from_words)
        self.job[0] = 0
        for t in range(self.words):
            at = t if self.differentiates else 0
            before, gates = self.before[at], []
            before.copy_(self.hidden[t]) if self.mask is None else torch.mul(self.hidden[t], self.mask, out=before)
            for index, node in enumerate(self.nodes):
                if index == 0:
                    gates.append(product(before, self.w_hidden.t()).add_(from_words[t]))
                elif node.step.sources:
                    sources = self.masked[at][node.where].view(-1, self.filled)
                    gates.append(product(sources, self.w_steps[index - 1].t()))
                else:
                    gates.append(None)
                self._launch(t, index, node, gates[-1])
                if self.norm_kind == 1 and self.norm.mean is not None:
                    self._keep_estimates(self.moments[at, index])
            torch.mean(self.states[at][self.averaged], 0, out=self.hidden[t + 1])
            if self.differentiates:
                self.gates.append(gates)
        return self.hidden[1:, :, :self.size].clone()

    def _keep_estimates(self, moments: Tensor) -> None:
        self.norm.mean.lerp_(moments[0, :self.size], NORM_MOMENTUM)
        unbiased = moments[2, :self.size] * (self.batch / max(self.batch - 1, 1))
        self.norm.var.lerp_(unbiased, NORM_MOMENTUM)

    def backward(self, grad: Tensor, needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
        """Returns the gradients of words, start, w_hidden, w_steps and mix."""
        need_words, need_start, need_hidden, need_steps, need_mix = needs
        count, filled, batch = self.plan.state_count, self.filled, self.batch
        grad = self._filled(grad) / len(self.plan.concat)
        d_words = grad.new_empty(self.words, batch, 2 * filled)
        d_all = grad.new_empty(count + 1, batch, filled)        # of the last hidden state, then of each state
        d_states, carried = d_all[1:], None
        d_gates = [grad.new_empty(min(CHUNK, self.words) if need_steps else 1, len(node.sources), batch, 2 * filled)
                   for node in self.nodes]
        self.d_steps = [torch.zeros_like(one) for one in self.w_steps] if need_steps else None
        terms = [grad.new_zeros(self.tasks, len(node.sources), self.kernels.SUMS_OF_TERMS, self.lanes) for node in self.nodes]
        self.d_scalars = [0.0 for _ in self.plan.steps] if need_mix and self.mixture.adds_unsampled else None
        back = [packed(weight, len(node.sources) * batch) for node, weight in zip(self.nodes[1:], self.w_steps, strict=True)]
        self.job[0] = 1
        for t in reversed(range(self.words)):
            slot = t % CHUNK if need_steps else 0
            d_all.zero_()
            d_states[self.averaged] = grad[t] if carried is None else grad[t].add_(carried, alpha=1 / len(self.plan.concat))
            arrived, arrived_node = None, self.nodes[0]
            for index in range(count - 1, -1, -1):
                node = self.nodes[index]
                made = d_words[t] if index == 0 else d_gates[index][slot]
                self._launch(t, index, node, self.gates[t][index], D_STATES=d_states.data_ptr(),
                             D_STATE=d_states[index].data_ptr(), D_GATES=made.data_ptr(),
                             TERMS=terms[index].data_ptr() if need_mix and index else 0,
                             ARRIVED=0 if arrived is None else arrived.data_ptr(),
                             ARRIVED_COUNT=0 if arrived is None else len(arrived_node.sources),
                             ARRIVED_SOURCES=arrived_node.sources.data_ptr())
                if self.d_scalars is not None and index:
                    self.d_scalars[index - 1] += d_states[index].sum()
                arrived = None
                if node.step.sources and index:
                    arrived, arrived_node = product(made.view(-1, 2 * filled), back[index - 1]), node
            through = product(d_words[t], self.w_hidden)
            carried = (through if self.mask is None else through.mul_(self.mask)).add_(d_all[0])
            if need_steps and slot == 0:
                self._add_steps(t, d_gates)
        d_w_hidden = product(self._turned(self.before), d_words.flatten(0, 1).t()) if need_hidden else None
        d_mix = None
        if need_mix:
            self.d_terms = [self._terms(node.step, sums) for node, sums in zip(self.nodes[1:], terms[1:], strict=True)]
            d_mix = by_layers.gradient_of_mixture(self.plan, self.mixture, self)
        return (self._pairs(d_words) if need_words else None, carried[:, :self.size] if need_start else None,
                None if d_w_hidden is None else self._pairs(d_w_hidden)[:self.size],
                self._pairs(torch.stack(self.d_steps))[:, :self.size] if need_steps else None, d_mix)

    def _turned(self, matrices: Tensor) -> Tensor:
        """(..., H) as (H, ...)."""
        return matrices.view(-1, self.filled).t().contiguous()

    def _pairs(self, values: Tensor) -> Tensor:
        """The reverse of `_filled_pairs`."""
        return values.unflatten(-1, (2, self.filled))[..., :self.size].flatten(-2)

    def _add_steps(self, first: int, d_gates: list[Tensor]) -> None:
        """Add the words of a chunk to the gradients of the steps' matrices."""
        masked = self.masked[first:first + CHUNK]
        turned = self._turned(masked).view(self.filled, *masked.shape[:3])          # (H, words, S, B)
        for node, total, made in zip(self.nodes[1:], self.d_steps, d_gates[1:], strict=True):
            if node.step.sources:
                total += product(turned[:, :, node.where].reshape(self.filled, -1),
                                 made[:len(masked)].view(-1, 2 * self.filled).t())

    @staticmethod
    def _terms(step: StepPlan, sums: Tensor) -> Tensor:
        """<g, term> of each weight: (n,), or (4n,) for a step with all activations."""
        along, *each = sums.sum((0, 3), dtype=torch.float64).unbind(1)
        found = (torch.stack(each, 1) + along[:, None]).to(sums.dtype)
        return found.flatten() if step.gate == "all" else found[range(len(found)), [column - 1 for column in step.columns]]
