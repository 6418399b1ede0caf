"""A recurrent cell run over a whole sequence, with its own backward pass.

At every word: state 0 from the word and the last hidden state, then the steps of a plan, each state normalised in a
search; the output is the mean of some states and is the next hidden state (DARTS paper, section 3.2; quark0/darts, rnn).

The products s_p W_i of all predecessors of a step are one matrix product. The forward pass leaves the slopes of every
step behind (see recurrent_gate.py); the backward pass needs two products a step and no activation. Only gradients that
are asked for are computed: none of the weights in an alpha step, none of alpha in a weight step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..relaxation import Mixture
from .recurrent_gate import TANH, Slopes, all_activations, one_activation
from .recurrent_plan import CellPlan, StepPlan, mixing_weights

START = StepPlan((0,), None, (TANH,), "one")    # state 0 is a step from the last hidden state, by tanh
NORM_EPS, NORM_MOMENTUM = 1e-5, 0.1


@dataclass(frozen=True)
class Norm:
    """The batch norm shared by all states of a search cell: no affine part.

    mean, var: running estimates, updated in training; None where none are kept. uses_batch: normalise by the batch.
    """

    mean: Tensor | None
    var: Tensor | None
    uses_batch: bool


@dataclass(frozen=True)
class CellWeights:
    """hidden: (H, 2H), the half of W0 that h_{t-1} meets. steps: (steps, H, 2H)."""

    hidden: Tensor
    steps: Tensor


def run_sequence(plan: CellPlan, from_words: Tensor, start: Tensor, weights: CellWeights, mask: Tensor | None,
                 norm: Norm | None = None, mixture: Mixture | None = None) -> Tensor:
    """Outputs (T, B, H) of a cell over T words; the last one is the hidden state to go on with.

    from_words: (T, B, 2H), the words' half of the product with W0. start: hidden state before the first word, (B, H).
    mask: (B, H), multiplies every state before it meets a weight matrix (hidden dropout, the same at every word).
    norm: batch norm of a search cell. mixture: weights of a supernet's plan; gradients reach mixture.weights.
    """
    mix = mixture.weights if mixture is not None else None
    return _Sequence.apply(plan, norm, mixture, torch.is_grad_enabled(), mask, from_words, start, weights.hidden,
                           weights.steps, mix)


@dataclass
class _Record:
    """What the forward pass leaves for the backward pass. S = states, T = words (1 if nothing is kept).

    raw: (T, S, B, H), states before batch norm. masked: (T, S, B, H), states as they meet the weights.
    masked_hidden: (T, B, H). rstd, mean: (T, S, H), of batch norm. slopes: by step, first the one that makes state 0.
    """

    raw: Tensor | None
    masked: Tensor
    masked_hidden: Tensor
    slopes: list[Slopes | None]
    mean: Tensor | None = None
    rstd: Tensor | None = None
    weights: list[Tensor | None] = field(default_factory=list)

    def slopes_at(self, index: int, at: int) -> Slopes:
        slopes = self.slopes[index]
        return Slopes(slopes.gates[at], slopes.kept[at], None if slopes.terms is None else slopes.terms[at])


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: CellPlan, norm: Norm | None, mixture: Mixture | None, grad_mode: bool,
                mask: Tensor | None, from_words: Tensor, start: Tensor, w_hidden: Tensor, w_steps: Tensor,
                mix: Tensor | None) -> Tensor:
        wants_mix = grad_mode and ctx.needs_input_grad[-1]
        differentiates = grad_mode and any(ctx.needs_input_grad)
        record = _new_record(plan, from_words, norm, mixture, differentiates, wants_mix)
        outputs = from_words.new_empty(*from_words.shape[:2], start.shape[1])
        hidden = start
        for t in range(len(from_words)):
            at = t if differentiates else 0
            hidden = _word(plan, norm, record, at, mask, from_words[t], hidden, w_hidden, w_steps, differentiates)
            outputs[t] = hidden
        if differentiates:
            ctx.plan, ctx.norm, ctx.mixture, ctx.record = plan, norm, mixture, record
            ctx.save_for_backward(mask, w_hidden, w_steps)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mask, w_hidden, w_steps = ctx.saved_tensors
        need_words, need_start, need_hidden, need_steps, need_mix = ctx.needs_input_grad[5:]
        run = _Backward(ctx.plan, ctx.norm, ctx.record, mask, w_hidden, w_steps,
                        torch.zeros_like(w_steps) if need_steps else None, _zero_terms(ctx.record, need_mix))
        d_words = torch.empty_like(grad).repeat(1, 1, 2)                    # (T, B, 2H)
        d_hidden = torch.zeros_like(grad[0])
        for t in reversed(range(len(grad))):
            d_hidden = run.word(t, grad[t] + d_hidden, d_words[t])
        d_w_hidden = ctx.record.masked_hidden.flatten(0, 1).t() @ d_words.flatten(0, 1) if need_hidden else None
        d_mix = _scatter_terms(ctx.plan, ctx.mixture, run.d_terms, run.d_scalars) if need_mix else None
        return (None, None, None, None, None, d_words if need_words else None, d_hidden if need_start else None,
                d_w_hidden, run.d_steps, d_mix)


def _new_record(plan: CellPlan, from_words: Tensor, norm: Norm | None, mixture: Mixture | None, differentiates: bool,
                wants_mix: bool) -> _Record:
    """Empty buffers of one forward pass; without a backward pass each has room for one word."""
    words, batch, hidden = from_words.shape[0], from_words.shape[1], from_words.shape[2] // 2
    kept = words if differentiates else 1

    def empty(*shape: int) -> Tensor:
        return from_words.new_empty(kept, *shape)

    slopes: list[Slopes | None] = []
    weights: list[Tensor | None] = []
    for step in (START, *plan.steps):
        n = len(step.sources)
        has_terms = wants_mix and step is not START and n > 0
        terms = empty(n * (4 if step.gate == "all" else 1), batch, hidden) if has_terms else None
        slopes.append(Slopes(empty(n, batch, 2, hidden), empty(n, batch, hidden), terms))
        weights.append(None if step.rows is None or not n else _weights_of(mixture, step))
    states = plan.state_count
    is_normalised = norm is not None
    return _Record(
        empty(states, batch, hidden) if is_normalised else None, empty(states, batch, hidden), empty(batch, hidden), slopes,
        empty(states, hidden) if is_normalised else None, empty(states, hidden) if is_normalised else None, weights)


def _weights_of(mixture: Mixture, step: StepPlan) -> Tensor | None:
    """Weights as the gate takes them: None where they are exactly 1, (n,) for "one", (n, 4) for "all"."""
    if step.gate == "all":
        return mixing_weights(mixture, step)
    return None if mixture.is_hard else mixture.weights.detach()[list(step.rows), list(step.columns)]


def _word(plan: CellPlan, norm: Norm | None, record: _Record, at: int, mask: Tensor | None, from_word: Tensor,
          hidden: Tensor, w_hidden: Tensor, w_steps: Tensor, differentiates: bool) -> Tensor:
    """One word: from the hidden state before it to the one after it, (B, H)."""
    batch, size = hidden.shape
    states = hidden.new_empty(plan.state_count, batch, size)
    masked = record.masked[at]

    def finish(index: int, raw: Tensor) -> None:
        states[index] = raw if norm is None else _normalise(norm, record, at, index, raw)
        torch.mul(states[index], mask, out=masked[index]) if mask is not None else masked[index].copy_(states[index])

    before = record.masked_hidden[at]
    torch.mul(hidden, mask, out=before) if mask is not None else before.copy_(hidden)
    slopes = record.slopes_at(0, at)
    torch.addmm(from_word, before, w_hidden, out=slopes.gates.view(batch, 2 * size))
    finish(0, one_activation(hidden[None], slopes, START, None, differentiates))
    for index, step in enumerate(plan.steps, 1):
        if not step.sources:
            finish(index, torch.zeros_like(hidden))
            continue
        slopes, weights = record.slopes_at(index, at), record.weights[index]
        torch.mm(_take(masked, step).reshape(-1, size), w_steps[index - 1], out=slopes.gates.view(-1, 2 * size))
        sources = _take(states, step)
        finish(index, all_activations(sources, slopes, weights, differentiates) if step.gate == "all"
               else one_activation(sources, slopes, step, weights, differentiates))
    return _mean_of(states, plan.concat)


def _normalise(norm: Norm, record: _Record, at: int, index: int, raw: Tensor) -> Tensor:
    record.raw[at, index] = raw
    normalised, mean, rstd = torch.native_batch_norm(
        raw, None, None, norm.mean, norm.var, norm.uses_batch, NORM_MOMENTUM, NORM_EPS)
    if norm.uses_batch:
        record.mean[at, index], record.rstd[at, index] = mean, rstd
    return normalised


def _mean_of(states: Tensor, concat: tuple[int, ...]) -> Tensor:
    return _pick(states, concat).mean(0)


def _take(states: Tensor, step: StepPlan) -> Tensor:
    return _pick(states, step.sources)


def _pick(states: Tensor, indices: tuple[int, ...]) -> Tensor:
    """states[indices], a view where the indices follow each other."""
    first = indices[0]
    if indices == tuple(range(first, first + len(indices))):
        return states[first:first + len(indices)]
    return states[list(indices)]


class _Backward:
    """One backward pass over a sequence; its buffers, and `word`, called from the last word to the first."""

    def __init__(self, plan: CellPlan, norm: Norm | None, record: _Record, mask: Tensor | None, w_hidden: Tensor,
                 w_steps: Tensor, d_steps: Tensor | None, d_terms: list[Tensor] | None) -> None:
        self.plan, self.norm, self.record, self.mask = plan, norm, record, mask
        self.hidden_t = w_hidden.t().contiguous()
        self.steps_t = w_steps.transpose(1, 2).contiguous()                 # (steps, 2H, H): faster than multiplying by .t()
        self.d_steps, self.d_terms = d_steps, d_terms
        self.d_scalars = None if d_terms is None else [w_hidden.new_zeros(()) for _ in plan.steps]

    def word(self, t: int, grad: Tensor, d_word: Tensor) -> Tensor:
        """From dL/d output, (B, H), to dL/d the hidden state before; fills d_word (B, 2H)."""
        plan, record = self.plan, self.record
        d_states = grad.new_zeros(plan.state_count, *grad.shape)
        d_masked = torch.zeros_like(d_states)                               # arriving through the weight matrices
        share = grad / len(plan.concat)
        for index in plan.concat:
            d_states[index] += share
        for index in range(len(plan.steps), 0, -1):
            step = plan.steps[index - 1]
            g = self._through_norm(t, index, self._arriving(d_states, d_masked, index))
            self._add_terms(t, index, g)
            if step.sources:
                self._step(t, index, step, g, d_states, d_masked)
        g = self._through_norm(t, 0, self._arriving(d_states, d_masked, 0))
        slopes = record.slopes_at(0, t)
        torch.mul(slopes.gates[0], g[:, None], out=d_word.view(len(g), 2, -1))
        through = d_word @ self.hidden_t
        return torch.addcmul(through if self.mask is None else through * self.mask, slopes.kept[0], g)

    def _arriving(self, d_states: Tensor, d_masked: Tensor, index: int) -> Tensor:
        if self.mask is None:
            return d_states[index] + d_masked[index]
        return torch.addcmul(d_states[index], d_masked[index], self.mask)

    def _through_norm(self, t: int, index: int, g: Tensor) -> Tensor:
        if self.norm is None:
            return g
        record, norm = self.record, self.norm
        mean, rstd = (record.mean[t, index], record.rstd[t, index]) if norm.uses_batch else (None, None)
        return torch.ops.aten.native_batch_norm_backward(
            g, record.raw[t, index], None, norm.mean, norm.var, mean, rstd, norm.uses_batch, NORM_EPS,
            [True, False, False])[0]

    def _add_terms(self, t: int, index: int, g: Tensor) -> None:
        """dL/dw_pk = <g, s_p + c_p (f_k(h_p) - s_p)>; of a candidate that did not run but is added as a scalar: <g, 1>."""
        if self.d_terms is None:
            return
        terms = self.record.slopes[index].terms
        if terms is not None:
            self.d_terms[index - 1].addmv_(terms[t].view(terms.shape[1], -1), g.reshape(-1))
        self.d_scalars[index - 1] += g.sum()

    def _step(self, t: int, index: int, step: StepPlan, g: Tensor, d_states: Tensor, d_masked: Tensor) -> None:
        slopes, weight = self.record.slopes_at(index, t), self.steps_t[index - 1]
        d_gates = (slopes.gates * g[:, None]).view(-1, weight.shape[0])     # (nB, 2H)
        first, count = step.sources[0], len(step.sources)
        if step.sources == tuple(range(first, first + count)):
            d_states[first:first + count].addcmul_(slopes.kept, g)
            d_masked[first:first + count].view(-1, g.shape[1]).addmm_(d_gates, weight)
        else:
            sources = torch.tensor(step.sources, device=g.device)
            d_states.index_add_(0, sources, slopes.kept * g)
            d_masked.index_add_(0, sources, (d_gates @ weight).view(count, *g.shape))
        if self.d_steps is not None:
            self.d_steps[index - 1].addmm_(_take(self.record.masked[t], step).reshape(-1, g.shape[1]).t(), d_gates)


def _zero_terms(record: _Record, wants_mix: bool) -> list[Tensor] | None:
    if not wants_mix:
        return None
    return [record.masked.new_zeros(0 if slopes.terms is None else slopes.terms.shape[1]) for slopes in record.slopes[1:]]


def _scatter_terms(plan: CellPlan, mixture: Mixture, d_terms: list[Tensor], d_scalars: list[Tensor]) -> Tensor:
    """The gradients of all terms in the shape of the mixture's weights, (rows, candidates)."""
    gradient = torch.zeros_like(mixture.weights)
    for step, found in zip(plan.steps, d_terms, strict=True):
        if not step.sources:
            continue
        if step.gate == "one":
            gradient[list(step.rows), list(step.columns)] = found
        else:
            allowed = torch.zeros_like(gradient[:len(step.rows), 1:])
            for position, row in enumerate(step.rows):
                allowed[position, [k - 1 for k in mixture.active[row] if k]] = 1
            gradient[list(step.rows), 1:] = found.view(-1, 4) * allowed
    if mixture.adds_undrawn:
        for index, scalar in enumerate(d_scalars):
            for row in range(index * (index + 1) // 2, (index + 1) * (index + 2) // 2):
                undrawn = [k for k in range(gradient.shape[1]) if k not in mixture.active[row]]
                gradient[row, undrawn] += scalar
    return gradient
