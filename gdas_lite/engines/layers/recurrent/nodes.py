"""A node of a recurrent cell at a word: highways from its predecessors and batch norm, forwards and backwards.

    s_new = sum over p, k of w_pk * (s_p + c_p * (f_k(h_p) - s_p)),   c = sigmoid of one half of s_p W, h the other

The update is linear in the mixture: with m_p = sum_k w_pk f_k(h_p) and w_p = sum_k w_pk it is

    s_new = sum over p of w_p s_p + c_p * (m_p - w_p s_p)

Nothing but s_p W and the states is kept; the backward pass computes the activations anew.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ....relaxation import Mixture
from ....spaces.recurrent import NONE, NORM_EPS
from .plan import KNOWN, START, StepPlan

TANH, RELU, SIGMOID, IDENTITY = range(1, len(KNOWN))        # columns of alpha


@dataclass(frozen=True)
class Node:
    """A step with its weights. n sources; where: they are among the states.

    weights: (n, 5), of the activations, and their sum.
    """

    step: StepPlan
    where: slice | Tensor
    weights: Tensor

    def weight(self, column: int) -> Tensor:
        """Returns the weights of an activation, or of all together (column 5), as (n, 1, 1)."""
        return self.weights[:, column - 1, None, None]


def node_of(step: StepPlan, mixture: Mixture | None, like: Tensor) -> Node:
    """Returns the node of a step; its weights are of `like`'s type. mixture: None for a genotype."""
    n, first = len(step.sources), step.sources[0] if step.sources else 0
    is_run = step.sources == tuple(range(first, first + n))
    where = slice(first, first + n) if is_run else torch.tensor(step.sources, device=like.device)
    if step.gate == "one":
        each = F.one_hot(torch.tensor(step.columns, dtype=torch.int64, device=like.device) - 1, 4).to(like.dtype)
    else:
        each = active_ones(step, mixture, like)
    if step.rows is not None and n and not (step.gate == "one" and mixture.is_hard):
        each = each * mixture.weights.detach()[list(step.rows), 1:].to(like.dtype)
    return Node(step, where, torch.cat([each, each.sum(1, keepdim=True)], 1))


def active_ones(step: StepPlan, mixture: Mixture, like: Tensor) -> Tensor:
    """Returns 1 for each activation that runs on a row of a step, else 0; (n, 4)."""
    ones = [[float(column in mixture.active[row]) for column in range(mixture.weights.shape[1]) if column != NONE]
            for row in step.rows]
    return like.new_tensor(ones)


class Nodes:
    """All nodes of a pass, by PyTorch's operations; an engine's kernels take the place of its methods.

    lanes: of what a state's size must be a multiple. run: a `Pass` of sequence.py.
    """

    lanes = 1

    def __init__(self, run: Any) -> None:
        self.run = run

    def forward(self, t: int, index: int, gates: Tensor | None) -> None:
        """Makes a state at word t of its predecessors, s_p W in `gates` (n, B, 2H), None for no predecessors."""
        run, node, row = self.run, self.run.nodes[index], self.run.row(t)
        state = run.states[row, index]
        if gates is None:
            state.zero_()
        else:
            states, c, h = self._inputs(t, node, gates)
            kept = states * node.weight(5)
            torch.sum(torch.addcmul(kept, c, _mixed(node, h).sub_(kept)), 0, out=state)
        if run.norm is not None:
            self._normalise(state, run.moments[row, index])
        if run.mask is not None:
            torch.mul(state, run.mask, out=run.masked[row, index])

    def backward(self, t: int, index: int, gates: Tensor | None, d_all: Tensor, d_gates: Tensor,
                 arrived: tuple[Tensor, int] | None, terms: Tensor | None) -> None:
        """Fills d_gates (n, B, 2H), and adds to the gradients of the predecessors.

        d_all: (1 + S, B, H), of the hidden state before the word and of the states; that of this one becomes the
        gradient before batch norm. arrived: gradients (m, B, H) of the masked predecessors of another node, and its
        index, to be added first. terms: of `new_terms`, to which <g, term> are added; None if nobody asks.
        """
        run, node, d_states = self.run, self.run.nodes[index], d_all[1:]
        if arrived is not None:
            found, other = arrived
            d_states[run.nodes[other].where] += found.view(-1, *d_all.shape[1:]) * (1 if run.mask is None else run.mask)
        g = d_states[index]
        if run.norm is not None:
            self._before_norm(g, run.states[t, index], run.moments[t, index])
        if gates is None:
            return
        states, c, h = self._inputs(t, node, gates)
        open_part, kept = g * c, g * (1 - c)                                # (n, B, H)
        slope = torch.zeros_like(h)
        if terms is not None:
            terms[:, 0] += (kept * states).flatten(1).sum(1)
        change = states * -node.weight(5)
        for where, column in node.step.runs:
            value, gradient = _activation(column, h[where])
            weight = node.weight(column)[where]
            change[where] += weight * value
            slope[where] += weight * gradient
            if terms is not None:
                terms[where, column] += (open_part[where] * value).flatten(1).sum(1)
        pairs = d_gates.view(*h.shape[:2], 2, -1)
        torch.mul(kept * c, change, out=pairs[:, :, 0])
        torch.mul(open_part, slope, out=pairs[:, :, 1])
        (d_all[:1] if node.step is START else d_states)[node.where] += kept * node.weight(5)

    def new_terms(self, node: Node) -> Tensor:
        """Returns zeros for `backward` to add to."""
        return node.weights.new_zeros(len(node.weights), 5)

    def sums(self, terms: Tensor) -> Tensor:
        """Returns them as (n, 5): of what all activations share, then of each."""
        return terms

    def _inputs(self, t: int, node: Node, gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """States, c and h of a node's predecessors, (n, B, H)."""
        states = self.run.hidden[t:t + 1] if node.step is START else self.run.states[self.run.row(t)][node.where]
        c, h = gates.view(*states.shape[:2], -1).chunk(2, -1)
        return states, c.sigmoid(), h

    def _normalise(self, state: Tensor, moments: Tensor) -> None:
        if self.run.norm.uses_batch:
            torch.mean(state, 0, out=moments[0])
            torch.var(state, 0, correction=0, out=moments[2])
            torch.rsqrt(moments[2] + NORM_EPS, out=moments[1])
        state.sub_(moments[0]).mul_(moments[1])

    def _before_norm(self, g: Tensor, state: Tensor, moments: Tensor) -> None:
        """rstd (g - mean(g) - state mean(g state)); by estimates rstd g."""
        if self.run.norm.uses_batch:
            along = (g * state).mean(0)
            g.sub_(g.mean(0)).addcmul_(state, along, value=-1)
        g.mul_(moments[1])


def _mixed(node: Node, h: Tensor) -> Tensor:
    """m_p, (n, B, H)."""
    total = torch.zeros_like(h)
    for where, column in node.step.runs:
        total[where] += node.weight(column)[where] * _activation(column, h[where])[0]
    return total


def _activation(column: int, h: Tensor) -> tuple[Tensor, Tensor | float]:
    """f(h) and f'(h)."""
    if column == TANH:
        value = (2 * h).sigmoid_().mul_(2).sub_(1)      # on the CPU sigmoid takes a third of tanh's time
        return value, 1 - value * value
    if column == RELU:
        value = h.clamp(min=0)
        return value, value.sign()
    if column == SIGMOID:
        value = h.sigmoid()
        return value, value * (1 - value)
    return h, 1.0
