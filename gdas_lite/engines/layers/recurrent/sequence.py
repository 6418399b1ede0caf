"""A recurrent cell run over a whole sequence, with its own backward pass.

Forward, at every word: state 0 from the word and the last hidden state, then the steps of a plan, each state normalised
in a search; the output is the mean of some states and the next hidden state. The products s_p W_i of all predecessors
of a step are one matrix product; what lies between the products is in nodes.py.

Backward, from the last word to the first and from the last step to the first: with g = dL/ds of a new state before
batch norm, c the gate of a predecessor and f' the slope of its activations,

    dL/d(s_p W) = g * (c (1 - c) (m_p - w_p s_p), c f'),   dL/ds_p += w_p (1 - c) g + mask * (dL/d(s_p W) W^T),
    dL/dw = <term, g>,   dL/dW += (mask * s_p)^T dL/d(s_p W), of several words at a time

Only gradients that are asked for are computed: none of the weights in an alpha step, none of alpha in a weight step.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ....relaxation import Mixture
from ....spaces.recurrent import NORM_EPS, NORM_MOMENTUM, StateNorm, first_row
from ...first_order import first_order
from ..products import packed, product
from .nodes import Nodes, active_ones, node_of
from .plan import START, CellPlan, StepPlan

CHUNK = 12      # words whose gradients of s_p W wait for one product: malloc would give more back to the system


@dataclass(frozen=True)
class CellWeights:
    """start: W0, (E + H, 2H). steps: (steps, H, 2H)."""

    start: Tensor
    steps: Tensor


def run_sequence(plan: CellPlan, embedded: Tensor, hidden: Tensor, weights: CellWeights, mask: Tensor | None,
                 norm: StateNorm | None = None, mixture: Mixture | None = None, nodes: type[Nodes] = Nodes) -> Tensor:
    """Returns the outputs (T, B, H) of a cell over T words; the last one is the hidden state to go on with.

    embedded: the words, (T, B, E). hidden: state before the first word, (B, H).
    mask: (B, H), multiplies every state before it meets a weight matrix (hidden dropout, the same at every word).
    norm: batch norm of a search cell. mixture: weights of a supernet's plan; gradients reach mixture.weights.
    nodes: what computes the nodes.
    """
    mix = mixture.weights if mixture is not None else None
    return _Sequence.apply(plan, norm, mixture, nodes, torch.is_grad_enabled(), mask, embedded, hidden, weights.start,
                           weights.steps, mix)


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: CellPlan, norm: StateNorm | None, mixture: Mixture | None, nodes: type[Nodes],
                grad_mode: bool, mask: Tensor | None, embedded: Tensor, hidden: Tensor, w_start: Tensor,
                w_steps: Tensor, mix: Tensor | None) -> Tensor:
        differentiates = grad_mode and any(ctx.needs_input_grad)
        run = Pass(plan, norm, mixture, nodes, mask, hidden, w_start, w_steps, len(embedded), differentiates)
        outputs = run.forward(embedded)
        if differentiates:
            ctx.run = run
            ctx.save_for_backward(mask, embedded, w_start, w_steps)     # backward notices if they were changed
        return outputs

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors
        return (None,) * 6 + ctx.run.backward(grad, ctx.needs_input_grad[6:])


class Pass:
    """`forward`, then `backward` as often as one likes. T words, S states with state 0."""

    def __init__(self, plan: CellPlan, norm: StateNorm | None, mixture: Mixture | None, nodes: type[Nodes],
                 mask: Tensor | None, start: Tensor, w_start: Tensor, w_steps: Tensor, words: int,
                 differentiates: bool) -> None:
        self.plan, self.norm, self.mixture, self.differentiates, self.words = plan, norm, mixture, differentiates, words
        self.batch, self.size = start.shape
        self.missing = -self.size % nodes.lanes
        self.filled = self.size + self.missing
        self.nodes = [node_of(step, mixture, start) for step in (START, *plan.steps)]
        self.mask = None if mask is None else self._filled(mask.to(start.dtype).expand_as(start))
        self.w_start = self._filled_pairs(F.pad(w_start, (0, 0, 0, self.missing)))
        self.w_words, self.w_hidden = self.w_start[:-self.filled], self.w_start[-self.filled:]
        self.w_steps = self._filled_pairs(F.pad(w_steps, (0, 0, 0, self.missing))).unbind()
        kept, count = words if differentiates else 1, plan.state_count
        matrix = self.batch, self.filled
        self.hidden = start.new_empty(words + 1, *matrix)
        self.hidden[0] = self._filled(start)
        self.states = start.new_empty(kept, count, *matrix)
        self.masked = self.states if mask is None else start.new_empty(kept, count, *matrix)
        self.before = start.new_empty(kept, *matrix)
        self.moments = start.new_empty(kept, count, 3, self.filled) if norm is not None else None
        self.taken = start.new_empty(count, *matrix)       # used again: new memory would be cold
        self.gates: list[list[Tensor | None]] = []
        first, last = plan.concat[0], plan.concat[-1]
        self.averaged = slice(first, last + 1) if plan.concat == tuple(range(first, last + 1)) else list(plan.concat)
        if norm is not None and not norm.uses_batch:
            self.moments[:, :, 0] = self._filled(norm.mean)
            self.moments[:, :, 1] = self._filled((norm.var + NORM_EPS).rsqrt())
        self.compute = nodes(self)

    def row(self, t: int) -> int:
        """Returns where the buffers keep word t."""
        return t if self.differentiates else 0

    def _filled(self, values: Tensor) -> Tensor:
        """(..., H) with zeros up to whole vectors."""
        return F.pad(values.detach(), (0, self.missing)).contiguous()

    def _filled_pairs(self, values: Tensor) -> Tensor:
        """(..., 2H) so, each half by itself."""
        return self._filled(values.unflatten(-1, (2, self.size))).flatten(-2)

    def forward(self, embedded: Tensor) -> Tensor:
        """Returns the outputs (T, B, H)."""
        self.embedded = embedded.detach()
        from_words = product(self.embedded.flatten(0, 1), self.w_words.t()).view(self.words, self.batch, -1)
        for t in range(self.words):
            at = self.row(t)
            before, gates = self.before[at], []
            before.copy_(self.hidden[t]) if self.mask is None else torch.mul(self.hidden[t], self.mask, out=before)
            for index, node in enumerate(self.nodes):
                if index == 0:
                    gates.append(product(before, self.w_hidden.t()).add_(from_words[t]))
                elif node.step.sources:
                    sources = _taken(self.masked[at], 0, node.where, self.taken).view(-1, self.filled)
                    gates.append(product(sources, self.w_steps[index - 1].t()))
                else:
                    gates.append(None)
                self.compute.forward(t, index, gates[-1])
                if self.norm is not None and self.norm.uses_batch and self.norm.mean is not None:
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
        """Returns the gradients of embedded, hidden, w_start, w_steps and mix."""
        need_words, need_hidden, need_start, need_steps, need_mix = needs
        count, filled, batch = self.plan.state_count, self.filled, self.batch
        share = 1 / len(self.plan.concat)
        grad = self._filled(grad) * share
        d_words = grad.new_empty(self.words, batch, 2 * filled)
        d_all = grad.new_empty(count + 1, batch, filled)        # of the last hidden state, then of each state
        d_states, carried = d_all[1:], None
        kept = min(CHUNK, self.words) if need_steps else 1
        d_gates = [grad.new_empty(kept, len(node.step.sources), batch, 2 * filled) for node in self.nodes]
        self.d_steps = [torch.zeros_like(one) for one in self.w_steps] if need_steps else None
        terms = [self.compute.new_terms(node) if need_mix else None for node in self.nodes]
        self.d_scalars = [0.0 for _ in self.plan.steps] if need_mix and self.mixture.adds_unsampled else None
        back = [packed(weight, len(step.sources) * batch)
                for step, weight in zip(self.plan.steps, self.w_steps, strict=True)]
        for t in reversed(range(self.words)):
            slot = t % CHUNK if need_steps else 0
            d_all.zero_()
            d_states[self.averaged] = grad[t] if carried is None else grad[t].add_(carried, alpha=share)
            arrived = None
            for index in range(count - 1, -1, -1):
                made = d_words[t] if index == 0 else d_gates[index][slot]
                self.compute.backward(t, index, self.gates[t][index], d_all, made, arrived, terms[index])
                if self.d_scalars is not None and index:
                    self.d_scalars[index - 1] += d_states[index].sum()
                arrived = None
                if index and self.nodes[index].step.sources:
                    arrived = product(made.view(-1, 2 * filled), back[index - 1]), index
            through = product(d_words[t], self.w_hidden)
            carried = (through if self.mask is None else through.mul_(self.mask)).add_(d_all[0])
            if need_steps and slot == 0:
                self._add_steps(t, d_gates)
        d_rows = d_words.view(-1, 2 * filled)
        d_embedded = product(d_rows, self.w_words).view_as(self.embedded) if need_words else None
        d_start = None
        if need_start:
            met = torch.cat([self.embedded, self.before], 2).flatten(0, 1)              # (T B, E + H)
            d_start = self._pairs(product(met.t().contiguous(), d_rows.t()))[:met.shape[1] - self.missing]
        d_mix = None
        if need_mix:
            self.d_terms = [_terms(step, self.compute.sums(sums))
                            for step, sums in zip(self.plan.steps, terms[1:], strict=True)]
            d_mix = gradient_of_mixture(self.plan, self.mixture, self)
        return (d_embedded, carried[:, :self.size] if need_hidden else None, d_start,
                self._pairs(torch.stack(self.d_steps))[:, :self.size] if need_steps else None, d_mix)

    def _pairs(self, values: Tensor) -> Tensor:
        """The reverse of `_filled_pairs`."""
        return values.unflatten(-1, (2, self.filled))[..., :self.size].flatten(-2)

    def _add_steps(self, first: int, d_gates: list[Tensor]) -> None:
        """Add the words of a chunk to the gradients of the steps' matrices."""
        masked = self.masked[first:first + CHUNK]
        turned = masked.view(-1, self.filled).t().contiguous().unflatten(1, masked.shape[:3])       # (H, words, S, B)
        for node, total, made in zip(self.nodes[1:], self.d_steps, d_gates[1:], strict=True):
            if node.step.sources:
                total += product(_taken(turned, 2, node.where).reshape(self.filled, -1),
                                 made[:len(masked)].view(-1, 2 * self.filled).t())


def _taken(values: Tensor, dim: int, where: slice | Tensor, out: Tensor | None = None) -> Tensor:
    """Returns places of a dimension, in `out` if they are not neighbours. Indexing by a tensor takes twice as long."""
    if isinstance(where, Tensor):
        return torch.index_select(values, dim, where, out=None if out is None else out[:len(where)])
    return values.narrow(dim, where.start, where.stop - where.start)


def _terms(step: StepPlan, sums: Tensor) -> Tensor:
    """<g, term> of each weight: (n,), or (4n,) for a step with all activations."""
    found = sums[:, 1:] + sums[:, :1]
    return found.flatten() if step.gate == "all" else found[range(len(found)), [column - 1 for column in step.columns]]


def gradient_of_mixture(plan: CellPlan, mixture: Mixture, run: Pass) -> Tensor:
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
