"""A recurrent cell run over a whole sequence, with its own backward pass.

Forward, at every word: state 0 from the word and the last hidden state, then the steps of a plan, each state normalised
in a search; the output is the mean of some states and the next hidden state. The products s_p W_i of all predecessors
of a step are one matrix product. Every step leaves its derivatives behind (see gate.py).

Backward, from the last word to the first and from the last step to the first: two products a step and no activation.
With g = dL/ds of a new state before batch norm,

    dL/d(s_p W) = gates * g,   dL/ds_p += highway_derivative * g + mask * (dL/d(s_p W) W^T),   dL/dw = <terms, g>,
    dL/dW += (mask * s_p)^T dL/d(s_p W)

Only gradients that are asked for are computed: none of the weights in an alpha step, none of alpha in a weight step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ....relaxation import Mixture
from ....spaces.recurrent import StateNorm, first_row
from .buffers import PassBuffers, StepBuffers, Workspace, active_ones, new_buffers
from .gate import Normaliser, all_activations, one_activation
from .plan import CellPlan


@dataclass(frozen=True)
class CellWeights:
    """hidden: (H, 2H), the half of W0 that h_{t-1} meets. steps: (steps, H, 2H)."""

    hidden: Tensor
    steps: Tensor


def run_sequence(plan: CellPlan, from_words: Tensor, start: Tensor, weights: CellWeights, mask: Tensor | None,
                 norm: StateNorm | None = None, mixture: Mixture | None = None, workspace: Workspace | None = None
                 ) -> Tensor:
    """Returns the outputs (T, B, H) of a cell over T words; the last one is the hidden state to go on with.

    from_words: (T, B, 2H), the words' half of the product with W0. start: hidden state before the first word, (B, H).
    mask: (B, H), multiplies every state before it meets a weight matrix (hidden dropout, the same at every word).
    norm: batch norm of a search cell. mixture: weights of a supernet's plan; gradients reach mixture.weights.
    workspace: memory of past passes to use again; None for new memory.
    """
    mix = mixture.weights if mixture is not None else None
    return _Sequence.apply(plan, norm, mixture, workspace or Workspace(), torch.is_grad_enabled(), mask, from_words,
                           start, weights.hidden, weights.steps, mix)


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: CellPlan, norm: StateNorm | None, mixture: Mixture | None, workspace: Workspace,
                grad_mode: bool, mask: Tensor | None, from_words: Tensor, start: Tensor, w_hidden: Tensor,
                w_steps: Tensor, mix: Tensor | None) -> Tensor:
        differentiates = grad_mode and any(ctx.needs_input_grad)
        wants_mix = grad_mode and ctx.needs_input_grad[-1]
        words, (batch, size) = len(from_words), start.shape
        buffers = new_buffers(plan, mixture, from_words, words if differentiates else 1, batch, size, norm is not None,
                              wants_mix, workspace)
        run = _ForwardPass(plan, norm, buffers, mask, w_hidden, w_steps, start, differentiates)
        outputs = from_words.new_empty(words, batch, size)
        hidden = start
        for t, (from_word, output) in enumerate(zip(from_words.unbind(), outputs.unbind(), strict=True)):
            hidden = run.word(t if differentiates else 0, from_word, hidden, output)
        if differentiates:
            ctx.plan, ctx.norm, ctx.mixture, ctx.buffers = plan, norm, mixture, buffers
            ctx.save_for_backward(mask, w_hidden, w_steps)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mask, w_hidden, w_steps = ctx.saved_tensors
        need_words, need_start, need_hidden, need_steps, need_mix = ctx.needs_input_grad[6:]
        run = BackwardPass(ctx.plan, ctx.norm, ctx.buffers, mask, w_hidden, w_steps, need_steps, need_mix,
                           need_mix and ctx.mixture.adds_unsampled)
        words, batch, size = grad.shape
        d_words = grad.new_empty(words, batch, 2 * size)
        d_hidden = torch.zeros_like(grad[0])
        for t in reversed(range(words)):
            d_hidden = run.word(t, grad[t] + d_hidden, d_words[t])
        d_w_hidden = ctx.buffers.masked_hidden.flatten(0, 1).t() @ d_words.flatten(0, 1) if need_hidden else None
        d_mix = gradient_of_mixture(ctx.plan, ctx.mixture, run) if need_mix else None
        return (None, None, None, None, None, None, d_words if need_words else None, d_hidden if need_start else None,
                d_w_hidden, run.d_steps, d_mix)


class _ForwardPass:
    """`word`, called from the first word to the last."""

    def __init__(self, plan: CellPlan, norm: StateNorm | None, buffers: PassBuffers, mask: Tensor | None,
                 w_hidden: Tensor, w_steps: Tensor, start: Tensor, differentiates: bool) -> None:
        self._buffers, self._mask = buffers, mask
        self._norm = None if norm is None else Normaliser(norm, start)
        self._w_hidden, self._w_steps = w_hidden, w_steps.unbind()
        self._differentiates = differentiates
        self._raw = None if norm is None else torch.empty_like(start)       # a state before batch norm
        first, count = plan.concat[0], len(plan.concat)
        is_run = plan.concat == tuple(range(first, first + count))
        self._averaged = slice(first, first + count) if is_run else list(plan.concat)

    def word(self, at: int, from_word: Tensor, hidden: Tensor, output: Tensor) -> Tensor:
        """Returns from the hidden state before a word to the one after it, (B, H), which is written to `output`.

        at: where the buffers keep this word. from_word: (B, 2H).
        """
        buffers, differentiates = self._buffers, self._differentiates
        states, masked, before = buffers.states[at], buffers.masked[at], buffers.masked_hidden[at]
        each_state, each_masked = states.unbind(), masked.unbind()
        batch, size = hidden.shape
        start, *steps = buffers.steps
        before.copy_(hidden) if self._mask is None else torch.mul(hidden, self._mask, out=before)
        derivatives = start.derivatives[at]
        torch.addmm(from_word, before, self._w_hidden, out=derivatives.gates.view(batch, 2 * size))
        made = each_state[0] if self._raw is None else self._raw
        one_activation(hidden[None], derivatives, start.runs, start.weights, made, differentiates)
        self._finish(at, 0, each_state[0], each_masked[0])
        for index, step in enumerate(steps, 1):
            made = each_state[index] if self._raw is None else self._raw
            if step.plan.sources:
                derivatives, sources = step.derivatives[at], step.of_sources(states)
                torch.mm(step.of_sources(masked).view(-1, size), self._w_steps[index - 1],
                         out=derivatives.gates.view(-1, 2 * size))
                if step.plan.gate == "all":
                    all_activations(sources, derivatives, step.weights, made, differentiates)
                else:
                    one_activation(sources, derivatives, step.runs, step.weights, made, differentiates)
            else:
                made.zero_()
            self._finish(at, index, each_state[index], each_masked[index])
        return torch.mean(states[self._averaged], 0, out=output)

    def _finish(self, at: int, index: int, state: Tensor, masked: Tensor) -> None:
        """Normalise a new state, and keep it as the weight matrices will see it."""
        if self._norm is not None:
            self._norm.forward(self._raw, state, self._buffers.rstd[at][index])
        masked.copy_(state) if self._mask is None else torch.mul(state, self._mask, out=masked)


class BackwardPass:
    """`word`, called from the last word to the first; then d_steps, d_terms and d_scalars hold the sums over all words.

    d_steps: (steps, H, 2H) or None. d_terms: by step dL/d of each term's weight, or None. d_scalars: by step <g, 1>;
    None where no unsampled candidate is added (see Mixture.adds_unsampled).
    """

    def __init__(self, plan: CellPlan, norm: StateNorm | None, buffers: PassBuffers, mask: Tensor | None,
                 w_hidden: Tensor, w_steps: Tensor, wants_steps: bool, wants_mix: bool, adds_unsampled: bool) -> None:
        self._plan, self._buffers, self._mask = plan, buffers, mask
        self._norm = None if norm is None else Normaliser(norm, buffers.states[0][0])
        self._hidden_t = w_hidden.t().contiguous()
        self._steps_t = w_steps.transpose(1, 2).contiguous()        # (steps, 2H, H): the copy pays within a word
        self.d_steps = torch.zeros_like(w_steps) if wants_steps else None
        first, last = plan.concat[0], plan.concat[-1]
        self._averaged = slice(first, last + 1) if plan.concat == tuple(range(first, last + 1)) else None
        self.d_terms = self.d_scalars = None
        if wants_mix:
            self.d_terms = [w_hidden.new_zeros(len(step.derivatives[0].terms)) for step in buffers.steps[1:]]
            self.d_scalars = [w_hidden.new_zeros(()) for _ in plan.steps] if adds_unsampled else None

    def word(self, t: int, grad: Tensor, d_word: Tensor) -> Tensor:
        """Returns from dL/d output, (B, H), to dL/d the hidden state before the word; fills d_word (B, 2H)."""
        buffers, count = self._buffers, self._plan.state_count
        d_states = grad.new_zeros(count, *grad.shape)                       # arriving along highways and the output
        d_masked = torch.zeros_like(d_states)                               # arriving through the weight matrices
        if self._averaged is not None:
            d_states[self._averaged] = grad / len(self._plan.concat)
        else:
            d_states[list(self._plan.concat)] = grad / len(self._plan.concat)
        for index in range(count - 1, 0, -1):
            g = self._before_norm(t, index, d_states[index], d_masked[index])
            step = buffers.steps[index]
            if self.d_terms is not None:
                self._add_terms(t, index, step, g)
            if step.plan.sources:
                self._step(t, index, step, g, d_states, d_masked)
        g = self._before_norm(t, 0, d_states[0], d_masked[0])
        derivatives = buffers.steps[0].derivatives[t]
        torch.mul(derivatives.gates[0], g[:, None], out=d_word.view(len(g), 2, -1))
        through = d_word @ self._hidden_t
        through = through if self._mask is None else through * self._mask
        return torch.addcmul(through, derivatives.highway_derivative[0], g)

    def _before_norm(self, t: int, index: int, d_state: Tensor, d_masked: Tensor) -> Tensor:
        """dL/d a state before batch norm, (B, H)."""
        g = d_state + d_masked if self._mask is None else torch.addcmul(d_state, d_masked, self._mask)
        if self._norm is None:
            return g
        return self._norm.backward(g, self._buffers.states[t][index], self._buffers.rstd[t][index])

    def _add_terms(self, t: int, index: int, step: StepBuffers, g: Tensor) -> None:
        terms = step.derivatives[t].terms
        if len(terms):
            self.d_terms[index - 1].addmv_(terms.view(len(terms), -1), g.reshape(-1))
        if self.d_scalars is not None:
            self.d_scalars[index - 1] += g.sum()

    def _step(self, t: int, index: int, step: StepBuffers, g: Tensor, d_states: Tensor, d_masked: Tensor) -> None:
        derivatives, weight_t, size = step.derivatives[t], self._steps_t[index - 1], g.shape[1]
        d_gates = (derivatives.gates * g[:, None]).view(-1, 2 * size)            # (nB, 2H)
        if step.span is not None:
            d_states[step.span].addcmul_(derivatives.highway_derivative, g)
            d_masked[step.span].view(-1, size).addmm_(d_gates, weight_t)
        else:
            d_states.index_add_(0, step.index, derivatives.highway_derivative * g)
            d_masked.index_add_(0, step.index, (d_gates @ weight_t).view(-1, *g.shape))
        if self.d_steps is not None:
            self.d_steps[index - 1].addmm_(step.of_sources(self._buffers.masked[t]).view(-1, size).t(), d_gates)


def gradient_of_mixture(plan: CellPlan, mixture: Mixture, run: BackwardPass) -> Tensor:
    """Returns dL/d of the mixture's weights, (rows, candidates): <g, term> for what ran; <g, 1> for a candidate that
    did not run but is added as a scalar (variant N); 0 else."""
    gradient = torch.zeros_like(mixture.weights)
    for index, (step, d_terms) in enumerate(zip(plan.steps, run.d_terms, strict=True)):
        rows = list(step.rows)
        if step.gate == "one":
            gradient[rows, list(step.columns)] = d_terms
        else:
            gradient[rows, 1:] = d_terms.view(-1, 4) * active_ones(step, mixture, gradient)
        for row in range(first_row(index), first_row(index + 1)) if mixture.adds_unsampled else ():
            gradient[row, [k for k in range(gradient.shape[1]) if k not in mixture.active[row]]] += run.d_scalars[index]
    return gradient
