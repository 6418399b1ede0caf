"""The backward pass of a recurrent cell over a sequence: from the last word to the first, from the last step to the first.

With g = dL/ds of a new state before batch norm, a step needs only what the forward pass left (recurrent_gate.py):

    dL/d(s_p W) = gates * g,   dL/ds_p += kept * g + mask * (dL/d(s_p W) W^T),   dL/dw = <terms, g>,
    dL/dW += (mask * s_p)^T dL/d(s_p W)
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..relaxation import Mixture
from .recurrent_norm import Norm, Normaliser
from .recurrent_plan import CellPlan, first_row
from .recurrent_record import Record, StepRecord, active_ones


class BackwardPass:
    """`word`, called from the last word to the first; then d_steps, d_terms and d_scalars hold the sums over all words.

    d_steps: (steps, H, 2H) or None. d_terms: by step dL/d of each term's weight, or None. d_scalars: by step <g, 1>; None where
    no undrawn candidate is added (see Mixture.adds_undrawn).
    """

    def __init__(self, plan: CellPlan, norm: Norm | None, record: Record, mask: Tensor | None, w_hidden: Tensor,
                 w_steps: Tensor, wants_steps: bool, wants_mix: bool, adds_undrawn: bool) -> None:
        self._plan, self._record, self._mask = plan, record, mask
        self._norm = None if norm is None else Normaliser(norm, record.states[0][0])
        self._hidden_t = w_hidden.t().contiguous()
        self._steps_t = w_steps.transpose(1, 2).contiguous()                # (steps, 2H, H): the copy pays within a word
        self.d_steps = torch.zeros_like(w_steps) if wants_steps else None
        first, last = plan.concat[0], plan.concat[-1]
        self._averaged = slice(first, last + 1) if plan.concat == tuple(range(first, last + 1)) else None
        self.d_terms = self.d_scalars = None
        if wants_mix:
            self.d_terms = [w_hidden.new_zeros(len(step.slopes[0].terms)) for step in record.steps[1:]]
            self.d_scalars = [w_hidden.new_zeros(()) for _ in plan.steps] if adds_undrawn else None

    def word(self, t: int, grad: Tensor, d_word: Tensor) -> Tensor:
        """From dL/d output, (B, H), to dL/d the hidden state before the word; fills d_word (B, 2H)."""
        record, count = self._record, self._plan.state_count
        d_states = grad.new_zeros(count, *grad.shape)                       # arriving along highways and the output
        d_masked = torch.zeros_like(d_states)                               # arriving through the weight matrices
        if self._averaged is not None:
            d_states[self._averaged] = grad / len(self._plan.concat)
        else:
            d_states[list(self._plan.concat)] = grad / len(self._plan.concat)
        for index in range(count - 1, 0, -1):
            g = self._before_norm(t, index, d_states[index], d_masked[index])
            step = record.steps[index]
            if self.d_terms is not None:
                self._add_terms(t, index, step, g)
            if step.plan.sources:
                self._step(t, index, step, g, d_states, d_masked)
        g = self._before_norm(t, 0, d_states[0], d_masked[0])
        slopes = record.steps[0].slopes[t]
        torch.mul(slopes.gates[0], g[:, None], out=d_word.view(len(g), 2, -1))
        through = d_word @ self._hidden_t
        return torch.addcmul(through if self._mask is None else through * self._mask, slopes.kept[0], g)

    def _before_norm(self, t: int, index: int, d_state: Tensor, d_masked: Tensor) -> Tensor:
        """dL/d a state before batch norm, (B, H)."""
        g = d_state + d_masked if self._mask is None else torch.addcmul(d_state, d_masked, self._mask)
        if self._norm is None:
            return g
        return self._norm.backward(g, self._record.states[t][index], self._record.rstd[t][index])

    def _add_terms(self, t: int, index: int, step: StepRecord, g: Tensor) -> None:
        terms = step.slopes[t].terms
        if len(terms):
            self.d_terms[index - 1].addmv_(terms.view(len(terms), -1), g.reshape(-1))
        if self.d_scalars is not None:
            self.d_scalars[index - 1] += g.sum()

    def _step(self, t: int, index: int, step: StepRecord, g: Tensor, d_states: Tensor, d_masked: Tensor) -> None:
        slopes, weight_t, size = step.slopes[t], self._steps_t[index - 1], g.shape[1]
        d_gates = (slopes.gates * g[:, None]).view(-1, 2 * size)            # (nB, 2H)
        if step.span is not None:
            d_states[step.span].addcmul_(slopes.kept, g)
            d_masked[step.span].view(-1, size).addmm_(d_gates, weight_t)
        else:
            d_states.index_add_(0, step.index, slopes.kept * g)
            d_masked.index_add_(0, step.index, (d_gates @ weight_t).view(-1, *g.shape))
        if self.d_steps is not None:
            self.d_steps[index - 1].addmm_(step.of_sources(self._record.masked[t]).view(-1, size).t(), d_gates)


def gradient_of_mixture(plan: CellPlan, mixture: Mixture, run: BackwardPass) -> Tensor:
    """dL/d of the mixture's weights, (rows, candidates): <g, term> for what ran; for a candidate that did not run but is
    added as a scalar (variant N), <g, 1>; 0 else."""
    gradient = torch.zeros_like(mixture.weights)
    for index, (step, d_terms) in enumerate(zip(plan.steps, run.d_terms, strict=True)):
        rows = list(step.rows)
        if step.gate == "one":
            gradient[rows, list(step.columns)] = d_terms
        else:
            gradient[rows, 1:] = d_terms.view(-1, 4) * active_ones(step, mixture, gradient)
        for row in range(first_row(index), first_row(index + 1)) if mixture.adds_undrawn else ():
            gradient[row, [k for k in range(gradient.shape[1]) if k not in mixture.active[row]]] += run.d_scalars[index]
    return gradient
