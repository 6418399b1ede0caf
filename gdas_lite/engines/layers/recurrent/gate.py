"""The highway step of a recurrent cell, value and derivatives in one go, for all predecessors at once; and its batch norm.

    s_new = sum over p, k of w_pk * (s_p + c_p * (f_k(h_p) - s_p)),   c = sigmoid of the gate's half of s_p W, h the other

The update is linear in the mixture: with m_p = sum_k w_pk f_k(h_p) and w_p = sum_k w_pk it is

    s_new = sum over p of w_p s_p + c_p * (m_p - w_p s_p)

so its derivatives towards the gate, h and s_p are three arrays of the predecessors' own shape, computed here while
everything is in the cache; the backward pass multiplies them by the gradient that arrives and nothing else.

Batch norm is written out on a CPU, where PyTorch's own layer shares even a small state among the threads, and waking them
up for each of the nine states of every word takes longer than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....spaces.recurrent import NORM_EPS, NORM_MOMENTUM, StateNorm
from .plan import Run

TANH, RELU, SIGMOID, IDENTITY = 1, 2, 3, 4      # columns of alpha

# (gradient, value of the function) -> gradient times the function's derivative
_sigmoid_gradient = torch.ops.aten.sigmoid_backward.grad_input
_tanh_gradient = torch.ops.aten.tanh_backward.grad_input
_relu_gradient = torch.ops.aten.threshold_backward.grad_input


@dataclass(frozen=True)
class HighwayDerivatives:
    """Where a step leaves its derivatives, each multiplied by g = dL/ds_new in the backward pass.

    gates: (n, B, 2, H); c and h are its halves (n, B, H). On entry s_p W; on return d s_new / d of the same numbers.
    highway_derivative: (n, B, H), d s_new / d s_p along the highway: w_p (1 - c_p).
    terms: (n or 4n, B, H), what multiplies each weight of the mixture, or None if nobody asks.
    """

    gates: Tensor
    c: Tensor
    h: Tensor
    highway_derivative: Tensor
    terms: Tensor | None


@dataclass(frozen=True)
class GateWeights:
    """The weights of a step in the forms that the gate uses, made once a sequence. n sources.

    each: of every term, (n,) or (4n,); None where they are exactly 1. total: w_p, (n,); column and
    minus: w_p and -w_p as (n, 1, 1).
    mixing: (n, 1, 4). gradient_mixing, gradient_offset: (n, 1, 3) and (n, 1, 1), of the mixture's derivative in h. half: 1/2.
    gradients, gradient_parts: scratch memory (n, 3, B, H) and its three parts; every word writes it anew.
    """

    each: Tensor | None
    total: Tensor
    column: Tensor
    minus: Tensor
    mixing: Tensor | None = None
    gradient_mixing: Tensor | None = None
    gradient_offset: Tensor | None = None
    half: Tensor | None = None
    gradients: Tensor | None = None
    gradient_parts: tuple[Tensor, ...] = ()


def weights_of_one(each: Tensor | None, count: int, like: Tensor) -> GateWeights:
    """For sources with a single activation. each: (count,), None where the weights are exactly 1."""
    total = like.new_ones(count) if each is None else each
    return GateWeights(each, total, total[:, None, None], -total[:, None, None])


def weights_of_all(weights: Tensor, batch: int, hidden: int) -> GateWeights:
    """For sources with all four activations. weights: (n, 4).

    With q = sigmoid (1 - sigmoid), derivatives are 1 - tanh^2, [h > 0], q and 1.
    """
    tanh, relu, sigmoid, identity = weights.unbind(1)
    total, gradients = weights.sum(1), weights.new_empty(len(weights), 3, batch, hidden)
    return GateWeights(weights.reshape(-1), total, total[:, None, None], -total[:, None, None], weights[:, None],
                       torch.stack([sigmoid, -tanh, relu], 1)[:, None], (tanh + identity)[:, None, None],
                       total.new_tensor(0.5), gradients, gradients.unbind(1))


def one_activation(states: Tensor, derivatives: HighwayDerivatives, runs: Sequence[Run], weights: GateWeights,
                   out: Tensor, differentiates: bool) -> None:
    """A step with a single activation for each source: s_new into out (B, H). states: of the sources, (n, B, H).

    runs: which sources have which activation, see StepPlan.
    """
    c, h = derivatives.c, derivatives.h
    c.sigmoid_()
    value = torch.empty_like(states)
    for where, column in runs:
        parts = (c, h, value) if len(runs) == 1 else (c[where], h[where], value[where])
        _activate(column, *parts, differentiates)
    value.sub_(states)                                                      # f(h_p) - s_p
    if states.size(0) == 1 and derivatives.terms is None and weights.each is None:
        torch.addcmul(states[0], c[0], value[0], out=out)
    else:
        terms = torch.addcmul(states, c, value) if derivatives.terms is None \
            else torch.addcmul(states, c, value, out=derivatives.terms)          # s_p + c_p (f - s_p)
        torch.sum(terms, 0, out=out) if weights.each is None else _sum(terms, weights.each, out)
    if differentiates:
        if weights.each is None:
            torch.sub(weights.column, c, out=derivatives.highway_derivative)                       # 1 - c_p
        else:
            torch.mul(c, weights.minus, out=derivatives.highway_derivative).add_(weights.column)   # w_p (1 - c_p)
        _sigmoid_gradient(value, c, grad_input=c)
        if weights.each is not None:
            derivatives.gates.mul_(weights.column[..., None])


def all_activations(states: Tensor, derivatives: HighwayDerivatives, weights: GateWeights, out: Tensor,
                    differentiates: bool) -> None:
    """A step with the weighted sum of the four activations on every source: s_new into out (B, H). states: (n, B, H)."""
    n, batch, hidden = states.shape
    c, h = derivatives.c, derivatives.h
    c.sigmoid_()
    terms = states.new_empty(n * 4, batch, hidden) if derivatives.terms is None else derivatives.terms
    values = terms.view(n, 4, batch, hidden)
    gradient = _four(h, values, weights, differentiates)
    change = _mixed(weights.mixing, values).addcmul_(states, weights.column, value=-1)      # m_p - w_p s_p
    if derivatives.terms is not None:
        torch.lerp(states[:, None], values, c[:, None], out=values)         # s_p + c_p (f_k - s_p)
        _sum(derivatives.terms, weights.each, out)
    else:
        _sum(states, weights.total, out)
        out.add_((c * change).sum(0))
    if differentiates:
        torch.mul(c, gradient, out=h)
        torch.mul(c, weights.minus, out=derivatives.highway_derivative).add_(weights.column)       # w_p (1 - c_p)
        _sigmoid_gradient(change, c, grad_input=c)


def _sum(terms: Tensor, weights: Tensor, out: Tensor) -> None:
    """sum over n of weights[n] * terms[n] into out (B, H); one pass as a matrix-vector product."""
    torch.mv(terms.reshape(len(terms), -1).t(), weights, out=out.view(-1))


def _mixed(weights: Tensor, values: Tensor) -> Tensor:
    """sum over k of weights[p, 0, k] * values[p, k], (n, B, H); values (n, K, B, H)."""
    n, count, batch, hidden = values.shape
    return torch.bmm(weights, values.view(n, count, -1)).view(n, batch, hidden)


def _activate(column: int, c: Tensor, h: Tensor, value: Tensor, differentiates: bool) -> None:
    """f(h) into value and, if it is differentiated, c f'(h) into h."""
    if column == TANH:
        torch.mul(h, 2, out=value)      # tanh h = 2 sigmoid(2h) - 1: on the CPU sigmoid takes a third of tanh's time
        value.sigmoid_().mul_(2).sub_(1)
        if differentiates:
            _tanh_gradient(c, value, grad_input=h)
    elif column == RELU:
        torch.clamp(h, min=0, out=value)
        if differentiates:
            _relu_gradient(c, value, 0, grad_input=h)
    elif column == SIGMOID:
        torch.sigmoid(h, out=value)
        if differentiates:
            _sigmoid_gradient(c, value, grad_input=h)
    else:
        value.copy_(h)
        if differentiates:
            h.copy_(c)


def _four(h: Tensor, values: Tensor, weights: GateWeights, differentiates: bool) -> Tensor | None:
    """tanh, relu, sigmoid and identity of h into values (n, 4, B, H); the mixture's derivative in h, (n, B, H).

    With q = sigmoid (1 - sigmoid): tanh = (1/2 - sigmoid) / (q - 1/2), so that one exponential serves both.
    """
    tanh, relu, sigmoid, identity = values.unbind(1)
    identity.copy_(h)
    torch.clamp(h, min=0, out=relu)
    torch.sigmoid(h, out=sigmoid)
    q, tanh_squared, positive = weights.gradient_parts
    torch.addcmul(sigmoid, sigmoid, sigmoid, value=-1, out=q)
    torch.sub(weights.half, sigmoid, out=tanh)
    torch.sub(q, 0.5, out=tanh_squared)                                     # q - 1/2, for the quotient only
    tanh.div_(tanh_squared)
    if not differentiates:
        return None
    torch.mul(tanh, tanh, out=tanh_squared)
    torch.sign(relu, out=positive)
    return _mixed(weights.gradient_mixing, weights.gradients).add_(weights.gradient_offset)


class Normaliser:
    """A `StateNorm` for states (B, H), forwards and backwards, with scratch memory. `like` is a state."""

    def __init__(self, norm: StateNorm, like: Tensor) -> None:
        self._norm = norm
        self._scratch, self._row = torch.empty_like(like), torch.empty_like(like[:1])
        self._averaging = None if like.is_cuda else like.new_full((1, len(like)), 1 / len(like))
        self._writes_out = norm.uses_batch and norm.mean is None and not like.is_cuda

    def forward(self, raw: Tensor, state: Tensor, rstd: Tensor) -> None:
        """Normalised `raw` into `state`, (B, H), and what its distance from the mean was multiplied with into rstd, (H,)."""
        norm = self._norm
        if self._writes_out:
            torch.sub(raw, self._mean(raw), out=state)
            torch.mul(state, state, out=self._scratch)
            torch.add(self._mean(self._scratch)[0], NORM_EPS, out=rstd).rsqrt_()
            state.mul_(rstd)
        elif norm.uses_batch:
            torch.native_batch_norm(raw, None, None, norm.mean, norm.var, True, NORM_MOMENTUM, NORM_EPS,
                                    out=(state, self._row[0], rstd))
        else:
            torch.add(norm.var, NORM_EPS, out=rstd).rsqrt_()
            torch.sub(raw, norm.mean, out=state).mul_(rstd)

    def backward(self, g: Tensor, state: Tensor, rstd: Tensor) -> Tensor:
        """From dL/d state to dL/d raw: rstd (g - mean(g) - state mean(g state)); rstd g where the batch was not used."""
        if not self._norm.uses_batch:
            return g * rstd
        product = self._mean(torch.mul(g, state, out=self._scratch))
        found = torch.addcmul(g, state, product, value=-1)
        return found.sub_(self._mean(g)).mul_(rstd)

    def _mean(self, values: Tensor) -> Tensor:
        """Over the batch, (1, H); in memory that the next call writes to. A product with 1/B is the quickest on a CPU."""
        if self._averaging is None:
            return torch.mean(values, 0, keepdim=True, out=self._row)
        return torch.mm(self._averaging, values, out=self._row)
