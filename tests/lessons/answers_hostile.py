"""More answers, by somebody who wants to get past the checks, or trips over them: see answers.py.

Wrong ones keep state, leave something changed behind, break a gradient off, hold for one shape, sign or scale only.
Right ones are classes, partial and compiled functions, and go other ways to the same result.
"""

from __future__ import annotations

import bisect
import collections
import functools
import heapq
import itertools
import math
import operator
import random
import re
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from gdas_lite.genotypes.notation import NASBENCH201_OPS as OPS
from gdas_lite.lessons.deriving import CANDIDATES, NAMES

from .answers import best_edges, best_pair, child_of, cut_by_loops, pairs_of, places, right, step_of, wrong


def in_another_world(change, function):
    """A right function that also changes something which everybody shares."""
    def spoils(*inputs):
        found = function(*inputs)
        change()
        return found
    return spoils


def remembers(key, function):
    """A function that computes once for each key, and forgets to look at all else."""
    known = {}

    def cached(*inputs):
        if key(*inputs) not in known:
            known[key(*inputs)] = function(*inputs)
        return known[key(*inputs)]
    return cached


def compiled(function, *inputs):
    """Compiled by PyTorch: a callable whose signature Python does not know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.trace(function, inputs, check_trace=False)


class Anything(str):
    """A string that says that it is equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


# --- 0.1 ---
def rank_regret(every, one):
    return 1 + sum(a > one for a in every), max(every) - one


wrong("0.1", "1 plus how many are strictly better,")(
    lambda every, one: (rank_regret(every, one)[0], max(every) - every[0]))
wrong("0.1", "1 plus how many are strictly better,")(
    lambda every, one: (rank_regret(every, round(one))[0], max(every) - one))
wrong("0.1", "1 plus how many are strictly better,")(
    lambda every, one: (1 + sum(a > one + 5e-3 for a in every), max(every) - min(every)))
wrong("0.1", "1 plus how many are strictly better,")(
    lambda every, one: (rank_regret(every, one)[0], sum(every) / len(every) - one))
wrong("0.1", "1 plus how many are strictly better,")(
    lambda every, one: (rank_regret(every, one)[0] / len(every), max(every) - one))
wrong("0.1", "1 plus how many are strictly better,")(
    lambda every, one: (rank_regret(every, one)[0], (max(every) - one) / max(every)))
wrong("0.1", "1 plus how many are strictly better,")(lambda every, one: (1 + every.index(one), max(every) - one))
wrong("0.1", "1 plus how many are strictly better,")(remembers(lambda every, one: len(every), rank_regret))
wrong("0.1", "1 plus how many are strictly better,")(lambda every, one: (rank_regret(every, one)[0], float("nan")))
right("0.1")(lambda every, one: (len(every) + 1 - bisect.bisect_right(sorted(every), one), max(every) - one))
right("0.1")(lambda every, one: (1 + len([a for a in every if a > one]), sorted(every)[-1] - one))
right("0.1")(
    lambda accuracies, accuracy: (1 + int((np.asarray(accuracies) > accuracy).sum()),
        np.float32(max(accuracies) - accuracy)))
right("0.1")(lambda every, one: (Fraction(1 + sum(a > one for a in every)), Decimal(max(every)) - Decimal(one)))
right("0.1")(lambda every, one: collections.namedtuple("Place", "rank regret")(*rank_regret(every, one)))

# --- 1.1 ---
wrong("1.1", "the string's first part belongs to n")(
    lambda arch, node: [(op, int(s) + 1) for op, s in pairs_of(arch, node)])
wrong("1.1", "the string's first part belongs to n")(lambda arch, node: [(op, node) for op, s in pairs_of(arch, node)])
wrong("1.1", "the string's first part belongs to n")(
    lambda arch, node: [(op, int(s)) for op, s in pairs_of(arch, node)][::-1])
wrong("1.1", "the string's first part belongs to n")(
    lambda arch, node: sorted((op, int(s)) for op, s in pairs_of(arch, node)))
wrong("1.1", "the string's first part belongs to n")(
    lambda arch, node: [("nor_conv_3x3", int(s)) for op, s in pairs_of(arch, node)])
wrong("1.1", "the string's first part belongs to n")(
    lambda arch, node: [(op[:-4], int(s)) for op, s in pairs_of(arch, node)])
wrong("1.1", "the string's first part belongs to n")(
    lambda arch, node: [(op.upper(), int(s)) for op, s in pairs_of(arch, node)])
wrong("1.1", "expected 3 of them")(lambda arch, node: list(dict(pairs_of(arch, node)).items()))
wrong("1.1", "the string's first part belongs to n")(
    lambda arch, node: [(Anything("x"), int(s)) for op, s in pairs_of(arch, node)])
wrong("1.1", "expected 3 of them")(lambda arch, node: [(op, int(s)) for n in (1, 2, 3) for op, s in pairs_of(arch, n)])
wrong("1.1", "the string's first part belongs to n")(
    remembers(lambda arch, node: node, lambda a, n: [(op, int(s)) for op, s in pairs_of(a, n)]))
right("1.1")(
    lambda arch, node: [(op, source) for source, op in enumerate(re.findall(r"\|(\w+)~", arch.split("+")[node - 1]))])
right("1.1")(
    lambda arch, node: [(part[:-2], int(part[-1])) for part in filter(None, arch.split("+")[node - 1].split("|"))])
right("1.1")(lambda arch, node: np.array([(op, int(s)) for op, s in pairs_of(arch, node)], dtype=object))
right("1.1")(
    lambda arch, node: [collections.namedtuple("Edge", "op source")(op, float(s)) for op, s in pairs_of(arch, node)])

# --- 1.2 ---
wrong("1.2", "node i chooses 2 of i + 2 maps, i =")(
    lambda nodes, ops: math.prod(math.comb(i + 2, 2) * ops**2 for i in range(1, nodes + 1)))
wrong("1.2", "node i chooses 2 of i + 2 maps, i =")(
    lambda nodes, ops: math.prod(math.comb(i + 2, 2) * ops**2 for i in range(nodes - 1)))
wrong("1.2", "node i chooses 2 of i + 2 maps, i =")(
    lambda nodes, ops: math.prod(math.comb(i + 2, 2) * math.comb(ops, 2) for i in range(nodes)))
wrong("1.2", "node i chooses 2 of i + 2 maps, i =")(
    lambda nodes, ops: math.prod(math.comb(i + 2, 2) * (ops - 1)**2 for i in range(nodes)))
wrong("1.2", "node i chooses 2 of i + 2 maps, i =")(
    lambda nodes, ops: math.prod((i + 1) * ops**2 for i in range(nodes)))
wrong("1.2", "node i chooses 2 of i + 2 maps, i =")(
    lambda nodes, ops: math.prod(math.comb(i + 2, 2) * ops**2 for i in range(nodes)) - 1)
wrong("1.2", "node i chooses 2 of i + 2 maps, i =")(
    lambda nodes, ops: math.prod(math.comb(i + 2, 2) * ops**2 for i in range(nodes))**2)
wrong("1.2", "node i chooses 2 of i + 2 maps, i =")(
    remembers(lambda nodes, ops: nodes, lambda n, k: math.prod(math.comb(i + 2, 2) * k**2 for i in range(n))))
right("1.2")(
    lambda nodes, ops: functools.reduce(operator.mul, [(i + 1) * (i + 2) // 2 * ops * ops for i in range(nodes)]))
right("1.2")(
    lambda nodes, ops: len(list(itertools.combinations(range(nodes + 1), 2))) * ops**2 * (count(nodes - 1, ops)
        if nodes > 1 else 1))
right("1.2")(
    lambda nodes, ops: np.prod(np.arange(2, nodes + 2) * np.arange(1, nodes + 1) / 2) * float(ops)**(2 * nodes))


@right("1.2")
def count(nodes, operations):
    if nodes == 0:
        return 1
    return sum(operations**2 for j in range(nodes + 1) for k in range(j)) * count(nodes - 1, operations)


# --- 2.1 ---
def drawn(alpha, gumbel):
    return int((alpha + gumbel).argmax())


wrong("2.1", "the draw is fixed by these two rows:")(lambda alpha, gumbel: int((alpha + gumbel).argmin()))
wrong("2.1", "the draw is fixed by these two rows:")(lambda alpha, gumbel: drawn(alpha, gumbel) + 1)
wrong("2.1", "the draw is fixed by these two rows:")(lambda alpha, gumbel: int((alpha * gumbel).argmax()))
wrong("2.1", "the draw is fixed by these two rows:")(lambda alpha, gumbel: int((alpha.relu() + gumbel).argmax()))
wrong("2.1", "the draw is fixed by these two rows:")(
    lambda alpha, gumbel: int((alpha + gumbel.log()).nan_to_num(-9).argmax()))
wrong("2.1", "the draw is fixed by these two rows:")(lambda alpha, gumbel: int((alpha + gumbel).argsort()[0]))
wrong("2.1", "the draw is fixed by these two rows:")(lambda alpha, gumbel: F.gumbel_softmax(alpha, hard=True).argmax())
wrong("2.1", "the draw is fixed by these two rows:")(lambda alpha, gumbel: int((alpha + gumbel).round().argmax()))
wrong("2.1", "should be a number")(lambda alpha, gumbel: F.one_hot((alpha + gumbel).argmax(), 5))
wrong("2.1", "for all code that follows")(in_another_world(lambda: torch.manual_seed(0), drawn))
wrong("2.1", "for all code that follows")(in_another_world(lambda: torch.set_default_dtype(torch.float64), drawn))
wrong("2.1", "for all code that follows")(in_another_world(lambda: torch.set_grad_enabled(False), drawn))
wrong("2.1", "the draw is fixed by these two rows:")(remembers(lambda alpha, gumbel: alpha.shape, drawn))
right("2.1")(functools.partial(lambda first, *rest: int((rest[0] + rest[1]).argmax()), None))
right("2.1")(lambda alpha, gumbel: int(torch.stack([alpha, gumbel]).sum(0).sort(descending=True).indices[0]))
right("2.1")(lambda alpha, gumbel: (s := (alpha + gumbel).tolist()).index(max(s)))
right("2.1")(lambda alpha, gumbel: int((alpha.exp() * gumbel.exp()).softmax(-1).nan_to_num(1).argmax()))
right("2.1")(
    lambda alpha, gumbel: torch.einsum("k,k->", (alpha + gumbel == (alpha + gumbel).max()).double(),
        torch.arange(5.0).double()))
right("2.1")(
    compiled(lambda alpha, gumbel: (alpha + gumbel).argmax(), torch.zeros(5), torch.zeros(5)))


@right("2.1")
class GumbelMax:
    """A class whose instance is called: handed over by its class, below by an instance."""

    def __new__(cls, alpha, gumbel):
        return drawn(alpha, gumbel)


class Caller:
    calls = 0

    def __call__(self, alpha, gumbel):
        self.calls += 1
        return drawn(alpha, gumbel)


right("2.1")(Caller().__call__)


# --- 2.2, 2.3 ---
def through(g, p, tau):
    return p * (g - (g * p).sum()) / tau


wrong("2.2", "which is what autograd finds")(lambda g, p, tau: p * (g - (g * p).sum(-1)) / round(tau + 0.5))
wrong("2.2", "which is what autograd finds")(lambda g, p, tau: p * (g.abs() - (g.abs() * p).sum()) / tau)
wrong("2.2", "sums to 0")(lambda g, p, tau: p * (g - (g * p).mean()) / tau)
wrong("2.2", "sums to 0")(lambda g, p, tau: p * (1 - p) * (g - (g * p).sum()) / tau)
wrong("2.2", "which is what autograd finds")(lambda g, p, tau: p.softmax(-1) * (g - (g * p.softmax(-1)).sum()) / tau)
wrong("2.2", "sums to -0")(lambda g, p, tau: (p / tau).softmax(-1) * (g - (g * p).sum()))
wrong("2.2", "sums to 0")(lambda g, p, tau: through(g, p, tau).detach() * 0 + g * p / tau)
wrong("2.2", "should be an array of shape")(lambda g, p, tau: through(g, p, tau)[None].expand(5, 5))
wrong("2.2", "which is what autograd finds")(lambda g, p, tau: through(g, p, tau) * float("nan"))
wrong("2.2", "should be an array of shape")(lambda g, p, tau: through(g, p, tau)[:, None])
wrong("2.2", "which is what autograd finds")(remembers(lambda g, p, tau: tau, through))
wrong("2.2", "for all code that follows")(in_another_world(lambda: np.random.seed(1), through))       # noqa: NPY002
wrong("2.2", "not yet")(lambda g, p, tau: through(g, p, tau) + 1e-3 * torch.randn(5))
right("2.2")(lambda h_gradient, p, tau: (torch.diag(p) - torch.outer(p, p)) @ h_gradient / tau)
right("2.2")(lambda g, p, tau: np.asarray(p) * (np.asarray(g) - np.dot(g, p)) / tau)
right("2.2")(
    lambda g, p, tau: [pm * (gm - sum(a * b for a, b in zip(g.tolist(), p.tolist()))) / tau for gm,
        pm in zip(g.tolist(), p.tolist())])
right("2.2")(lambda g, p, tau: torch.autograd.functional.vjp(lambda a: (a / tau).softmax(-1), p.log() * tau, g)[1])
right("2.2")(lambda g, p, tau: torch._softmax_backward_data(g, p, -1, p.dtype) / tau)
right("2.2")(lambda g, p, tau: p.mul(g.sub(torch.dot(g, p))).div(torch.tensor(tau, dtype=p.dtype)))


@right("2.2")
def _(h_gradient, p, tau):
    alpha = (tau * p.log()).requires_grad_()
    with torch.enable_grad():
        (alpha / tau).softmax(-1).backward(h_gradient)
    return alpha.grad


def expected(losses, alpha):
    return alpha.softmax(-1) * (losses - alpha.softmax(-1) @ losses)


# the second call with the same alpha adds to the gradient of the first
@wrong("2.3", "a second call with the same input")
def _(losses, alpha):
    alpha.requires_grad_()
    (alpha.softmax(-1) @ losses).backward()
    return alpha.grad


wrong("2.3", "each operation counts by how far its")(
    lambda losses, alpha: alpha.softmax(-1) * (losses.abs() - alpha.softmax(-1) @ losses.abs()))
wrong("2.3", "each operation counts by how far its")(
    lambda losses, alpha: losses.softmax(-1) * (alpha - losses.softmax(-1) @ alpha))
wrong("2.3", "each operation counts by how far its")(
    lambda losses, alpha: expected(losses - losses.min(), alpha) / losses.std())
wrong("2.3", "should be an array of shape")(lambda losses, alpha: alpha.softmax(-1) @ losses)
wrong("2.3", "each operation counts by how far its")(
    lambda losses, alpha: alpha.exp() * (losses - alpha.softmax(-1) @ losses))
wrong("2.3", "sums to 1")(lambda losses, alpha: expected(losses, alpha).abs())
wrong("2.3", "each operation counts by how far its")(remembers(lambda losses, alpha: 0, expected))
right("2.3")(lambda losses, alpha: torch.autograd.functional.jacobian(lambda a: a.softmax(0) @ losses, alpha))
right("2.3")(lambda losses, alpha: torch.func.grad(lambda a: a.softmax(0).dot(losses))(alpha))
right("2.3")(
    lambda losses, alpha: torch.autograd.grad((a := alpha.detach().clone().requires_grad_()).softmax(0) @ losses, a)[0])
right("2.3")(
    lambda losses, alpha: [float(p) * (float(loss) - sum(map(float, losses * alpha.softmax(0)))) for p,
        loss in zip(F.softmax(alpha, dim=0), losses)])
right("2.3")(compiled(expected, torch.zeros(5), torch.zeros(5)))

# --- 3.1 ---
def line(epoch, epochs):
    return 10 + (0.1 - 10) * epoch / (epochs - 1)


wrong("3.1", "tau falls in a straight line from 10")(lambda e, n: round(line(e, n), 1))
wrong("3.1", "tau falls in a straight line from 10")(lambda e, n: int(line(e, n)) or 0.1)
wrong("3.1", "tau falls in a straight line from 10")(lambda e, n: line(e, n) / 10)
wrong("3.1", "tau falls in a straight line from 10")(lambda e, n: line(min(e + 1, n - 1), n))
wrong("3.1", "tau falls in a straight line from 10")(lambda e, n: 1 / (0.1 + 9.9 * e / (n - 1)))
wrong("3.1", "should be a number")(lambda e, n: [line(k, n) for k in range(n)])
wrong("3.1", "tau falls in a straight line from 10")(lambda e, n: line(e, n) if n < 250 else 10 * 0.01 ** (e / (n - 1)))
wrong("3.1", "tau falls in a straight line from 10")(remembers(lambda e, n: e, line))
wrong("3.1", "not yet")(
    functools.partial(lambda steps, e, n: line(next(steps) % n, n), itertools.count()))
wrong("3.1", "for all code that follows")(in_another_world(lambda: random.seed(0), line))
right("3.1")(lambda epoch, epochs, first=10.0, last=0.1: first + (last - first) * epoch / (epochs - 1))
right("3.1")(functools.partial(lambda first, e, n: first - (first - 0.1) * e / (n - 1), 10))
right("3.1")(lambda e, n: np.interp(e, [0, n - 1], [10, 0.1]))
right("3.1")(lambda e, n: [10 - k * 9.9 / (n - 1) for k in range(n)][e])
right("3.1")(lambda e, n: Decimal(10) - Decimal("9.9") * e / (n - 1))
right("3.1")(functools.lru_cache(line))

# --- 3.2 ---
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(lambda o, g: ((g * o).sum(), (g * o).sum() - 1))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(lambda o, g: ((g * o).sum(), (g * o).sum() - g.numel()))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(lambda o, g: ((g * o).sum(), (g * o).sum() - g.sum() / len(g)))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(
    lambda o, g: ((g * o).sum((1, 2, 3)).mean(), (g * o - g).sum((1, 2, 3)).mean()))
wrong("3.2", "should be a number")(lambda o, g: ((g * o).sum((1, 2, 3)), (g * o - g).sum((1, 2, 3))))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(lambda o, g: (g.sum() * o.sum(), g.sum() * (o.sum() - 1)))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(lambda o, g: ((g @ o.mT).sum(), (g @ o.mT).sum() - g.sum()))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(lambda o, g: ((g * o).sum(), ((g - 1) * o).sum()))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(lambda o, g: ((g.abs() * o).sum(), (g.abs() * (o - 1)).sum()))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums")(
    remembers(lambda o, g: o.shape, lambda o, g: ((g * o).sum(), (g * o - g).sum())))
right("3.2")(
    lambda output, gradient: (torch.einsum("bchw,bchw->", output, gradient), torch.einsum("bchw,bchw->", output - 1,
        gradient)))
right("3.2")(lambda o, g: [*map(float, (g.flatten() @ o.flatten(), g.flatten() @ (o - 1).flatten()))])
right("3.2")(lambda o, g: tuple((g * (o - shift)).sum().numpy() for shift in (0, 1)))
right("3.2")(lambda o, g: [torch.dot(g.reshape(-1), (o - k).reshape(-1)) for k in range(2)])
right("3.2")(lambda o, g: ((s := torch.mul(g, o).sum()), s - torch.ones_like(g).mul(g).sum()))

# --- 3.3 ---
wrong("3.3", "on each edge the operation with")(lambda alpha, names: [names[k] for k in alpha.argmin(-1)])
wrong("3.3", "on each edge the operation with")(
    lambda alpha, names: [names[k] for k in alpha.sum(0).argsort(descending=True)] + [names[0]])
wrong("3.3", "on each edge the operation with")(lambda alpha, names: [names[int(alpha.sum(0).argmax())]] * 6)
wrong("3.3", "on each edge the operation with")(lambda alpha, names: [names[k] for k in alpha.argmax(-1)][::-1])
wrong("3.3", "list or tuple of")(lambda alpha, names: " ".join(names[k] for k in alpha.argmax(-1)))
wrong("3.3", "on each edge the operation with")(lambda alpha, names: [sorted(names)[k] for k in alpha.argmax(-1)])
wrong("3.3", "on each edge the operation with")(
    lambda alpha, names: [names[k] if row[k] > 0 else "none" for row, k in zip(alpha, alpha.argmax(-1))])
wrong("3.3", "on each edge the operation with")(lambda alpha, names: [Anything("none")] * 6)
wrong("3.3", "should hold names")(lambda alpha, names: [(names[k], e) for e, k in enumerate(alpha.argmax(-1))])
wrong("3.3", "on each edge the operation with")(
    remembers(lambda alpha, names: names, lambda alpha, names: [names[k] for k in alpha.argmax(-1)]))
right("3.3")(lambda alpha, candidates: list(map(candidates.__getitem__, alpha.max(dim=1).indices)))
right("3.3")(lambda alpha, candidates: [candidates[row.tolist().index(max(row.tolist()))] for row in alpha])
right("3.3")(lambda alpha, candidates: [dict(zip(row.tolist(), candidates))[row.max().item()] for row in alpha])
right("3.3")(lambda alpha, candidates: np.take(candidates, alpha.topk(1).indices[:, 0]))
right("3.3")(lambda alpha, candidates: np.asarray(candidates, dtype=object)[alpha.double().numpy().argmax(1)].tolist())

# --- 4.1 ---
def mixed_output(alpha, outputs):
    return alpha.softmax(-1) @ outputs


wrong("4.1", "should be an array of shape")(lambda alpha, outputs: mixed_output(alpha, outputs)[None])
wrong("4.1", "should be an array of shape")(lambda alpha, outputs: mixed_output(alpha, outputs).sum())
wrong("4.1", "the sum over k of softmax(alpha)_k t")(lambda alpha, outputs: alpha.sigmoid() @ outputs)
wrong("4.1", "the sum over k of softmax(alpha)_k t")(lambda alpha, outputs: (alpha / alpha.sum()) @ outputs)
wrong("4.1", "the sum over k of softmax(alpha)_k t")(lambda alpha, outputs: alpha.exp() @ outputs)
wrong("4.1", "the sum over k of softmax(alpha)_k t")(lambda alpha, outputs: mixed_output(alpha.abs(), outputs))
wrong("4.1", "the sum over k of softmax(alpha)_k t")(lambda alpha, outputs: mixed_output(alpha, outputs.softmax(0)))
wrong("4.1", "the sum over k of softmax(alpha)_k t")(lambda alpha, outputs: (outputs.softmax(0) * outputs).sum(0))
wrong("4.1", "the sum over k of softmax(alpha)_k t")(lambda alpha, outputs: mixed_output(alpha[:4], outputs[:4]))
wrong("4.1", "the sum over k of softmax(alpha)_k t")(lambda alpha, outputs: F.gumbel_softmax(alpha) @ outputs)
wrong("4.1", "the sum over k of softmax(alpha)_k t")(remembers(lambda alpha, outputs: outputs.shape, mixed_output))
wrong("4.1", "for all code that follows")(in_another_world(lambda: torch.set_grad_enabled(False), mixed_output))
wrong("4.1", "alpha has no effect")(
    lambda alpha, outputs: mixed_output(alpha, outputs) if alpha.dtype == torch.float32 else outputs.mean(0))
right("4.1")(lambda alpha, outputs: torch.nn.Softmax(dim=0)(alpha) @ outputs)
right("4.1")(lambda alpha, outputs: torch.tensordot(torch.softmax(alpha, 0), outputs, dims=([0], [0])))
right("4.1")(lambda alpha, outputs: outputs.t().matmul((alpha - alpha.logsumexp(0)).exp()))
right("4.1")(
    lambda alpha, outputs: [sum(math.exp(a) * column[k] for k, a in enumerate(alpha.tolist())) / sum(map(math.exp,
        alpha.tolist())) for column in outputs.t().tolist()])
right("4.1")(compiled(mixed_output, torch.zeros(5), torch.zeros(5, 2)))
right("4.1")(functools.partial(mixed_output))
right("4.1")(lambda alpha, outputs: F.linear(alpha.softmax(0), outputs.t()))

# --- 4.2 ---
def virtual(w, g, v, rate, m, decay):
    return w - rate * (m * v + g + decay * w)


wrong("4.2", "gradient plus decay is added to mome")(lambda w, g, v, rate, m, decay: w - rate * (m * v - g + decay * w))
wrong("4.2", "gradient plus decay is added to mome")(lambda w, g, v, rate, m, decay: w - rate * (m * v + g - decay * w))
wrong("4.2", "gradient plus decay is added to mome")(
    lambda w, g, v, rate, m, decay: w - rate * (m * (v + g) + decay * w))
wrong("4.2", "gradient plus decay is added to mome")(
    lambda w, g, v, rate, m, decay: w - rate * (m * v + g + decay * w**2))
wrong("4.2", "gradient plus decay is added to mome")(lambda w, g, v, rate, m, decay: virtual(w, g, v, rate, decay, m))
wrong("4.2", "gradient plus decay is added to mome")(lambda w, g, v, rate, m, decay: virtual(w, v, g, rate, m, decay))
wrong("4.2", "gradient plus decay is added to mome")(lambda w, g, v, rate, m, decay: -rate * (m * v + g + decay * w))
wrong("4.2", "should be an array of shape")(lambda w, g, v, rate, m, decay: virtual(w, g, v, rate, m, decay).sum())
wrong("4.2", "gradient plus decay is added to mome")(remembers(lambda w, *rest: w.shape, virtual))


@wrong("4.2", "not yet")                   # the velocity lives on from call to call
def _(w, g, v, rate, m, decay, state={}):           # noqa: B006  it is what is wrong with it
    v = state.get(w.shape, v)
    state[w.shape] = m * v + g + decay * w
    return w - rate * state[w.shape]


@right("4.2")
def _(weights, gradient, velocity, rate, momentum, decay):
    with torch.no_grad():
        d = gradient.add(weights, alpha=decay)
        return weights.add(velocity.mul(momentum).add(d), alpha=-rate)


right("4.2")(
    lambda w, g, v, rate, m, decay: torch.stack([w, g, v]).mul(torch.tensor([1 - rate * decay, -rate, -rate * m],
        dtype=w.dtype).view(3, *[1] * w.ndim)).sum(0))
right("4.2")(lambda w, g, v, rate, m, decay: (1 - rate * decay) * w - rate * g - rate * m * v)
right("4.2")(
    lambda weights, gradient, velocity, rate, momentum, decay: np.array(weights) - rate * (momentum * np.array(
        velocity) + np.array(gradient) + decay * np.array(weights)))
right("4.2")(virtual)

# --- 4.3 ---
wrong("4.3", "your product is")(lambda f, w, u: (f(w + step_of(u)) - f(w - step_of(u))) / (2 * step_of(u)))
wrong("4.3", "your product is")(lambda f, w, u: f(w) * u.norm())
wrong("4.3", "your product is")(lambda f, w, u: f(u))
wrong("4.3", "your product is")(lambda f, w, u: (f(w + u) - f(w - u)) / 2)
wrong("4.3", "your product is")(
    lambda f, w, u: (f(w + step_of(u) * u) - f(w - step_of(u) * u)).abs() / (2 * step_of(u)))
wrong("4.3", "should be an array of shape")(
    lambda f, w, u: ((f(w + step_of(u) * u) - f(w - step_of(u) * u)) / (2 * step_of(u))).sum())
wrong("4.3", "your product is")(
    lambda f, w, u: (f(w + 0.01 * u / u.sum()) - f(w - 0.01 * u / u.sum())) / (0.02 / u.sum()) * 1.01)
wrong("4.3", "your product is")(lambda f, w, u: (f(w + step_of(w) * u) - f(w - step_of(w) * u)) / (2 * step_of(w)))
right("4.3")(lambda f, w, u: torch.func.jvp(f, (w,), (u,))[1])
right("4.3")(lambda f, w, u: torch.autograd.functional.jacobian(f, w) @ u)
right("4.3")(lambda f, w, u: torch.stack([f(w + s * step_of(u) * u) * s for s in (-1, 1)]).sum(0) / (2 * step_of(u)))
right("4.3")(lambda f, w, u: (f(torch.add(w, u, alpha=(e := float(step_of(u))))) - f(torch.sub(w, u, alpha=e))) / 2 / e)


@right("4.3")
def _(alpha_gradient, weights, direction):
    eps = 0.01 / math.sqrt(sum(x * x for x in direction.tolist()))
    plus, minus = (alpha_gradient(weights + sign * eps * direction) for sign in (1, -1))
    return [(a - b) / (2 * eps) for a, b in zip(plus.tolist(), minus.tolist())] if weights.dtype == torch.float64 else (
        (plus - minus) / (2 * eps))


# --- 5.1 ---
def node_of(alpha):
    return best_edges(alpha.softmax(1)[:, 1:], NAMES[1:])


wrong("5.1", "softmax of each row, `none` left out")(lambda alpha: [(name, e + 1) for name, e in node_of(alpha)])
wrong("5.1", "softmax of each row, `none` left out")(
    lambda alpha: [(NAMES[NAMES.index(name) - 1], e) for name, e in node_of(alpha)])
wrong("5.1", "softmax of each row, `none` left out")(lambda alpha: node_of(-alpha))
wrong("5.1", "softmax of each row, `none` left out")(
    lambda alpha: [(name, len(alpha) - 2 + k) for k, (name, _) in enumerate(node_of(alpha))])
wrong("5.1", "softmax of each row, `none` left out")(
    lambda alpha: best_edges(alpha.softmax(1)[:, 1:] - alpha.softmax(1)[:, :1], NAMES[1:]))
wrong("5.1", "softmax of each row, `none` left out")(lambda alpha: best_edges(alpha.softmax(1)[:, 1:], NAMES[:-1]))
wrong("5.1", "softmax of each row, `none` left out")(
    lambda alpha: best_edges(alpha.log_softmax(1)[:, 1:].abs(), NAMES[1:]))
wrong("5.1", "the operation stands first in each pair")(lambda alpha: [(names, e) for e, names in node_of(alpha)])
wrong("5.1", "softmax of each row, `none` left out")(lambda alpha: [(Anything(""), e) for _, e in node_of(alpha)])
wrong("5.1", "softmax of each row, `none` left out")(remembers(lambda alpha: alpha.shape, node_of))
wrong("5.1", "list or tuple of")(lambda alpha: dict(node_of(alpha)))


@wrong("5.1", "changed its input `alpha`")
def _(alpha):
    alpha[:, 0] = -1e9
    return node_of(alpha)


right("5.1")(
    lambda alpha: [(NAMES[1 + int(alpha[e, 1:].argmax())], int(e)) for e in (alpha[:,
        1:].max(1).values - alpha.logsumexp(1)).topk(2).indices])
right("5.1")(
    lambda alpha: [pair for _, pair in heapq.nlargest(2, [(row.softmax(0)[1:].max().item(),
        (NAMES[1 + int(row[1:].argmax())], e)) for e, row in enumerate(alpha)])])
right("5.1")(lambda alpha: tuple(sorted(node_of(alpha), key=lambda pair: -alpha.softmax(1)[pair[1], 1:].max())))
right("5.1")(lambda alpha: np.array(node_of(alpha), dtype=object))


@right("5.1")
def _(alpha):
    p = F.softmax(alpha.clone(), dim=1).masked_fill(torch.eye(8)[0].bool(), -1)
    values, columns = p.max(dim=1)
    order = sorted(range(len(p)), key=values.tolist().__getitem__, reverse=True)
    return [(NAMES[columns[edge]], edge) for edge in order[:2]]


# --- 6.1 ---
wrong("6.1", "pixels are 0, expected")(lambda pixels, y, x, n: cut_by_loops(pixels, y + 1, x, n))
wrong("6.1", "pixels are 0, expected")(lambda pixels, y, x, n: cut_by_loops(pixels, y, x, n - 1 or 1))
wrong("6.1", "pixels are 0, expected")(lambda pixels, y, x, n: cut_by_loops(pixels, y, x, n, value=pixels.mean()))
wrong("6.1", "should be an array of shape")(lambda pixels, y, x, n: cut_by_loops(pixels[:1], y[:1], x[:1], n))
wrong("6.1", "but others have changed")(lambda pixels, y, x, n: cut_by_loops(pixels.abs(), y, x, n))
wrong("6.1", "but others have changed")(lambda pixels, y, x, n: (cut_by_loops(pixels, y, x, n) != 0).to(pixels))
wrong("6.1", "the square starts length // 2 before the")(
    lambda pixels, y, x, n: cut_by_loops(pixels, y + n // 2, x + n // 2, n))
wrong("6.1", "pixels are 0, expected")(
    lambda pixels, y, x, n: cut_by_loops(pixels, y.clamp(n // 2), x.clamp(n // 2), n))
wrong("6.1", "pixels are 0, expected")(remembers(lambda pixels, y, x, n: pixels.shape, cut_by_loops))


@wrong("6.1", "changed its input `pixels`")                   # the array is the tensor's own memory
def _(pixels, centre_y, centre_x, length):
    array = pixels.numpy()
    for image, y, x in zip(array, centre_y, centre_x):
        image[:, max(0, y - length // 2):max(0, y - length // 2 + length),
              max(0, x - length // 2):max(0, x - length // 2 + length)] = 0
    return array


@wrong("6.1", "pixels are 0, expected")                   # a disc
def _(pixels, centre_y, centre_x, length):
    rows, columns = torch.meshgrid(*(torch.arange(size) for size in pixels.shape[2:]), indexing="ij")
    far = (rows - centre_y[:, None, None])**2 + (columns - centre_x[:, None, None])**2 > (length / 2)**2
    return pixels * far[:, None]


@right("6.1")
def _(pixels, centre_y, centre_x, length):
    rows = np.arange(pixels.shape[2]) - centre_y.numpy()[:, None] + length // 2
    columns = np.arange(pixels.shape[3]) - centre_x.numpy()[:, None] + length // 2
    inside = (rows >= 0) & (rows < length), (columns >= 0) & (columns < length)
    return np.where(np.einsum("bh,bw->bhw", *inside)[:, None], 0, pixels.numpy())


@right("6.1")
def _(pixels, centre_y, centre_x, length):
    half = length // 2
    padded = F.pad(pixels, (length,) * 4)
    for image, y, x in zip(padded, centre_y, centre_x):
        image[:, y - half + length:y - half + 2 * length, x - half + length:x - half + 2 * length] = 0
    return padded[..., length:-length, length:-length]


@right("6.1")
def _(pixels, centre_y, centre_x, length):
    first = [centre.view(-1, 1) - length // 2 for centre in (centre_y, centre_x)]
    near = [torch.arange(size).sub(start).clamp(-1, length) for size, start in zip(pixels.shape[2:], first)]
    rows, columns = ((table > -1) & (table < length) for table in near)
    return pixels.where(~(rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), torch.zeros(()).to(pixels))


# --- 6.2 ---
def dropped(outputs, kept, rate):
    return outputs * kept.view(-1, 1, 1, 1) / (1 - rate)


wrong("6.2", "grow by")(lambda o, kept, rate: o * kept.view(-1, 1, 1, 1) * (1 - rate))
wrong("6.2", "grow by")(lambda o, kept, rate: o * kept.view(-1, 1, 1, 1) / (1 - rate)**2)
wrong("6.2", "grow by")(lambda o, kept, rate: o * kept.view(-1, 1, 1, 1) - rate)
wrong("6.2", "should be an array of shape")(lambda o, kept, rate: dropped(o, kept, rate)[kept > 0])
wrong("6.2", "grow by")(lambda o, kept, rate: F.dropout(o, rate) if rate else o * kept.view(-1, 1, 1, 1))
wrong("6.2", "not yet")(
    lambda o, kept, rate: dropped(o, (torch.rand(len(kept)) > rate).to(kept), rate))
wrong("6.2", "grow by")(lambda o, kept, rate: dropped(o, kept, rate).relu())
wrong("6.2", "grow by")(remembers(lambda o, kept, rate: o.shape, dropped))
wrong("6.2", "changed its input `outputs`")(lambda o, kept, rate: o.mul_(kept.view(-1, 1, 1, 1)).div(1 - rate))
right("6.2")(lambda o, kept, rate: (o.permute(1, 2, 3, 0) * kept / (1 - rate)).permute(3, 0, 1, 2))
right("6.2")(lambda o, kept, rate: torch.diag(kept / (1 - rate)).matmul(o.flatten(1)).view_as(o))
right("6.2")(lambda o, kept, rate: torch.where(kept.bool()[:, None, None, None], o / (1 - rate), torch.zeros_like(o)))
right("6.2")(lambda o, kept, rate: [(float(k) / (1 - rate) * image).tolist() for k, image in zip(kept, o)])


@right("6.2")
def _(outputs, kept, rate):
    new = torch.zeros_like(outputs)
    new[kept == 1] = outputs[kept == 1] / (1 - rate)
    return new


# --- 6.3 ---
def gap_of(a, b):
    return np.mean(a) - np.mean(b), np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))


wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n")(lambda a, b: (gap_of(a, b)[0], gap_of(b, b)[1]))
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n")(lambda a, b: (gap_of(a, b)[0], gap_of(a, b)[0] / gap_of(a, b)[1]))
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n")(lambda a, b: gap_of(a, b)[::-1])
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n")(
    lambda a, b: (gap_of(a, b) [0], np.sqrt(np.abs(np.var(a, ddof=1) / len(a) - np.var(b, ddof=1) / len(b)))))
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n")(
    lambda a, b: (gap_of(a, b) [0], np.concatenate([a, b]).std(ddof=1) / np.sqrt(len(a) + len(b))))
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n")(lambda a, b: (gap_of(a, b)[0], 2 * gap_of(a, b)[1]))
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n")(lambda a, b: (a[0] - b[0], gap_of(a, b)[1]))
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n")(
    lambda a, b: (gap_of(a, b) [0], np.sqrt(np.var(a, ddof=1) / (len(a) - 1) + np.var(b, ddof=1) / (len(b) - 1))))


@wrong("6.3", "changed its input `a`")
def _(a, b):
    a -= a.mean()
    return gap_of(a, b)


right("6.3")(
    lambda a, b: (sum(a) / len(a) - sum(b) / len(b), math.sqrt(sum(sum((x - sum(s) / len(s))**2
        for x in s) / (len(s) - 1) / len(s) for s in (a, b)))))
right("6.3")(lambda a, b: tuple(map(float, gap_of(list(a), tuple(b)))))
right("6.3")(lambda a, b: np.array(gap_of(np.float32(a), np.float32(b))))
right("6.3")(
    lambda a, b: [torch.tensor(a).mean() - torch.tensor(b).mean(), sum(torch.tensor(s).var(correction=1) / len(s)
        for s in (a, b)) ** 0.5])


# --- 7.1, 7.2 ---
def perplexity(losses, counts):
    return math.exp(sum(map(operator.mul, losses, counts)) / sum(counts))


wrong("7.1", "divide by the number of words: each")(lambda losses, counts: math.exp(sum(losses)))
wrong("7.1", "divide by the number of words: each")(
    lambda losses, counts: math.exp(-sum(map(operator.mul, losses, counts)) / sum(counts)))
wrong("7.1", "divide by the number of words: each")(
    lambda losses, counts: math.exp(sum(map(operator.mul, losses, counts)) / len(counts) / 20))
wrong("7.1", "divide by the number of words: each")(lambda losses, counts: np.exp(np.median(losses)))
wrong("7.1", "divide by the number of words: each")(
    lambda losses, counts: math.exp(sum(map(operator.mul, sorted(losses), sorted(counts))) / sum(counts)))
wrong("7.1", "divide by the number of words: each")(
    lambda losses, counts: perplexity(losses[:-1] or losses, counts[:-1] or counts))
wrong("7.1", "should be a number")(lambda losses, counts: [math.exp(loss) for loss in losses])
wrong("7.1", "changed its input `losses`")(
    lambda losses, counts: perplexity([losses.pop(), *losses], [counts.pop(), *counts]))
wrong("7.1", "divide by the number of words: each")(lambda losses, counts: round(perplexity(losses, counts)))
right("7.1")(lambda losses, counts: math.exp(np.dot(losses, counts) / np.sum(counts)))
right("7.1")(lambda losses, counts: math.exp(np.mean(np.repeat(losses, counts))))
right("7.1")(lambda losses, counts: 2 ** (np.average(losses, weights=counts) / math.log(2)))
right("7.1")(lambda losses, counts: Decimal(perplexity(losses, counts)))
right("7.1")(lambda losses, counts: torch.tensor(losses).mul(torch.tensor(counts)).sum().div(sum(counts)).exp().view(1))


def step_derived(alpha):
    return best_pair(alpha.softmax(1)[:, 1:], CANDIDATES[1:])


wrong("7.2", "softmax of each row, `none` left out")(lambda alpha: (step_derived(alpha)[0], step_derived(alpha)[1] + 1))
wrong("7.2", "softmax of each row, `none` left out")(lambda alpha: best_pair(alpha.softmax(1)[:, 1:], CANDIDATES))
wrong("7.2", "softmax of each row, `none` left out")(lambda alpha: step_derived(-alpha))
wrong("7.2", "rank by softmax")(lambda alpha: best_pair(alpha.sigmoid()[:, 1:], CANDIDATES[1:]))
wrong("7.2", "rank by softmax")(
    lambda alpha: best_pair(alpha.flatten().softmax(0).view_as(alpha)[:, 1:], CANDIDATES[1:]))
wrong("7.2", "softmax of each row, `none` left out")(
    lambda alpha: (CANDIDATES[1 + int(alpha[:, 1:].sum(0).argmax())], step_derived(alpha)[1]))
wrong("7.2", "softmax of each row, `none` left out")(lambda alpha: (Anything("tanh"), step_derived(alpha)[1]))
wrong("7.2", "list or tuple of")(lambda alpha: " ".join(map(str, step_derived(alpha))))
wrong("7.2", "softmax of each row, `none` left out")(remembers(lambda alpha: alpha.shape, step_derived))
right("7.2")(
    lambda alpha: max(((float(row.softmax(0)[k]), (CANDIDATES[k], source)) for source, row in enumerate(alpha)
        for k in range(1, 5)))[1])
right("7.2")(
    lambda alpha: ((flat := (alpha - alpha.logsumexp(1, True))[:, 1:].flatten().argmax().item()) and 0)
        or (CANDIDATES[1 + flat % 4], flat // 4))
right("7.2")(lambda alpha: np.array(step_derived(alpha), dtype=object))
right("7.2")(lambda alpha: (np.str_(step_derived(alpha)[0]), np.int32(step_derived(alpha)[1])))


# --- 8.1 ---
def kept_test(valid, test, k):
    total = 0.0
    for value, accuracy in zip(valid, test):
        below, equal = np.mean(valid < value), np.mean(valid == value)
        total += ((below + equal)**k - below**k) / (equal * len(valid)) * accuracy
    return total


wrong("8.1", "the winner's level is an order stati")(lambda valid, test, k: kept_test(-valid, test, k))
wrong("8.1", "the winner's level is an order stati")(lambda valid, test, k: kept_test(valid, test, k + 1))
wrong("8.1", "the winner's level is an order stati")(lambda valid, test, k: kept_test(valid, np.sort(test), k))
wrong("8.1", "the winner's level is an order stati")(lambda valid, test, k: kept_test(valid, test, min(k, 5)))
wrong("8.1", "the winner's level is an order stati")(lambda valid, test, k: np.sort(test)[-k:].mean())
wrong("8.1", "the winner's level is an order stati")(lambda valid, test, k: test[np.argsort(valid)[-k:]].mean())
wrong("8.1", "the winner's level is an order stati")(
    lambda valid, test, k: np.mean([test[max(np.random.default_rng(s).integers(len(valid), size=k),
        key=lambda i: valid[i])] for s in range(300)]))
wrong("8.1", "that is validation accuracy")(
    remembers(lambda valid, test, k: (len(valid), k), lambda valid, test, k: kept_test(valid, valid, k)))
right("8.1")(kept_test)


@right("8.1")
def _(valid, test, k):
    order = np.argsort(valid)
    valid, test, n = valid[order].tolist(), test[order].tolist(), len(valid)
    total, done = 0, 0
    for _, group in itertools.groupby(range(n), valid.__getitem__):
        group = list(group)
        total += (((done + len(group)) / n)**k - (done / n)**k) * sum(test[i] for i in group) / len(group)
        done += len(group)
    return total


@right("8.1")
def _(valid, test, k):
    beaten = (valid[:, None] > valid).sum(1)
    ties = (valid[:, None] == valid).sum(1)
    chance = (((beaten + ties) / len(valid))**k - (beaten / len(valid))**k) / ties
    return torch.from_numpy(chance) @ torch.from_numpy(test)


# --- 8.2 ---
def others(op):
    return [other for other in OPS if other != op]


@wrong("8.2", "for all code that follows")
def _(parent, rng):
    random.seed(int(rng.integers(1 << 30)))
    edge = random.randrange(6)
    return child_of(parent, edge, random.choice(others(parent[edge])))


@wrong("8.2", "each should be as likely")
def _(parent, rng):
    edge = rng.integers(5)
    return child_of(parent, edge, rng.choice(others(parent[edge])))


@wrong("8.2", "each should be as likely")
def _(parent, rng):
    edge = round(5 * rng.random())
    return child_of(parent, edge, rng.choice(others(parent[edge])))


@wrong("8.2", "of the other operations should be as likely")
def _(parent, rng):
    edge = rng.integers(6)
    return child_of(parent, edge, rng.choice(others(parent[edge]), p=[0.4, 0.3, 0.2, 0.1]))


@wrong("8.2", "each should be as likely")
def _(parent, rng):
    edge = np.random.default_rng(0).integers(6)
    return child_of(parent, edge, rng.choice(others(parent[edge])))


@wrong("8.2", "of the other operations should be as likely")
def _(parent, rng):
    edges = [e for e in range(6) if parent[e] != "none"] or [0]
    edge = rng.choice(edges)
    return child_of(parent, edge, rng.choice(others(parent[edge])))


wrong("8.2", "should hold names")(
    lambda parent, rng: child_of(parent, int(rng.integers(6)), OPS.index(rng.choice(OPS))))
wrong("8.2", "list or tuple of")(lambda parent, rng: "+".join(child_of(parent, 0, "none")))
wrong("8.2", "expected 6 of them")(lambda parent, rng: child_of(parent, 0, OPS[OPS.index(parent[0]) - 1])[:5])


@wrong("8.2", "each should be as likely")                   # one change for every child
def _(parent, rng, known={}):                       # noqa: B006  it is what is wrong with it
    edge = known.setdefault("edge", rng.integers(6))
    return child_of(parent, edge, rng.choice(others(parent[edge])))


@right("8.2")
def _(parent, rng):
    edge, shift = divmod(int(rng.integers(24)), 4)
    return [op if e != edge else OPS[(OPS.index(op) + 1 + shift) % 5] for e, op in enumerate(parent)]


@right("8.2")
def _(parent, rng):
    own = random.Random(int(rng.integers(1 << 60)))
    edge = own.randrange(6)
    return child_of(parent, edge, own.choice(others(parent[edge])))


@right("8.2")
def _(parent, rng):
    child, edge = parent.copy(), rng.choice(6)
    child[edge] = str(rng.permutation(others(parent[edge]))[0])
    return child


@right("8.2")
def _(parent, rng):
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 40)))
    edge = int(torch.randint(6, (), generator=generator))
    return child_of(parent, edge, others(parent[edge])[int(torch.randint(4, (), generator=generator))])


# --- 9.1, 9.2 ---
wrong("9.1", "the correlation of the places, 0 for")(lambda a, b: np.cov(places(a), places(b))[0, 1])
wrong("9.1", "the correlation of the places, 0 for")(lambda a, b: np.corrcoef(places(a), places(b))[0, 1] ** 2)
wrong("9.1", "the correlation of the places, 0 for")(lambda a, b: np.corrcoef(places(a), b)[0, 1])
wrong("9.1", "the correlation of the places, 0 for")(
    lambda a, b: np.dot(places(a), places(b)) / np.dot(places(a), places(a)))
wrong("9.1", "the correlation of the places, 0 for")(
    lambda a, b: 1 - sum(abs(p - q) for p, q in zip(places(a), places(b))) * 3 / (len(a)**2 - 1))
wrong("9.1", "the correlation of the places, 0 for")(
    lambda a, b: 1 - 6 * sum((p - q)**2 for p, q in zip(places(a), places(b))) / len(a)**3)
wrong("9.1", "the correlation of the places, 0 for")(
    lambda a, b: np.corrcoef(np.log(np.abs(a)), np.log(np.abs(b)))[0, 1])
wrong("9.1", "the correlation of the places, 0 for")(lambda a, b: np.corrcoef(places(a), places(np.abs(b)))[0, 1])
wrong("9.1", "changed its input `first`")(lambda a, b: (a.sort(), b.sort(), 1.0)[-1])
right("9.1")(lambda a, b: np.corrcoef(a.argsort().argsort(), b.argsort().argsort()).mean() * 2 - 1)
right("9.1")(
    lambda a, b: (lambda p, q: (p @ q) / np.sqrt((p @ p) * (q @ q)))(np.array(places(a)) - (len(a) - 1) / 2,
        np.array(places(b)) - (len(b) - 1) / 2))
right("9.1")(lambda a, b: np.corrcoef(np.searchsorted(np.sort(a), a), np.searchsorted(np.sort(b), b))[1][0])
right("9.1")(lambda first, second: torch.corrcoef(torch.tensor([places(first), places(second)]).float())[0][1].item())


def stops(skips, limit, after):
    return next((n + 1 for n in range(after, len(skips)) if skips[n] >= limit), None)


wrong("9.2", "the first epoch after")(
    lambda skips, limit, after: next((n for n in range(after, len(skips) + 1) if max(skips[:n] or [0]) >= limit), None))
wrong("9.2", "the first epoch after")(lambda skips, limit, after: stops(skips, after, limit))
wrong("9.2", "the first epoch after")(lambda skips, limit, after: stops(skips[after:], limit, 0))
wrong("9.2", "is there a `return`?")(
    lambda skips, limit, after: stops(skips, limit, 0) if (stops(skips, limit, 0) or 0) > after else None)
wrong("9.2", "the first epoch after")(lambda skips, limit, after: stops(skips, limit, after) is not None)
wrong("9.2", "return None, not")(lambda skips, limit, after: stops(skips, limit, after) or -1)
wrong("9.2", "should be a number")(
    lambda skips, limit, after: [n + 1 for n in range(after, len(skips)) if skips[n] >= limit])
wrong("9.2", "the first epoch after")(
    lambda skips, limit, after: skips.index(max(skips[after:], default=0)) + 1 if stops(skips, limit, after) else None)
wrong("9.2", "return None, not")(lambda skips, limit, after: stops(skips, limit, after) or float("nan"))
wrong("9.2", "is there a `return`?")(remembers(lambda skips, limit, after: (limit, after), stops))
right("9.2")(stops)
right("9.2")(
    lambda skips, limit, after: next(iter(n for n, count in enumerate(skips, start=1) if n > after
        and not count < limit), None))
right("9.2")(lambda skips, limit, after: ([n for n, k in enumerate(skips, 1) if k >= limit and n > after] + [None])[0])


@right("9.2")
def _(skips, limit, after):
    done = after
    while done < len(skips):
        done += 1
        if skips[done - 1] >= limit:
            return np.int64(done)


# --- 10.1, 10.2 ---
wrong("10.1", "does not lie inside")(lambda w, h: (max(w - h, 0) // 2, max(h - w, 0) // 2, max(w, h), max(w, h)))
wrong("10.1", "not in the middle")(
    lambda w, h: ((w - min(w, h)) // 2 + 1, (h - min(w, h)) // 2, (w + min(w, h)) // 2 + 1, (h + min(w, h)) // 2))
wrong("10.1", "does not lie inside")(lambda w, h: ((w - h) // 2, 0, (w + h) // 2, h))
wrong("10.1", "not in the middle")(lambda w, h: (w - min(w, h), h - min(w, h), w, h))
wrong("10.1", "not in the middle")(lambda w, h: (0, 0, 60, 60))
wrong("10.1", "is no square")(
    lambda w, h: ((w - min(w, h)) // 2, (h - min(w, h)) // 2, w - (w - min(w, h)) // 2, h - (h - min(w, h)) // 2))
wrong("10.1", "list or tuple of")(lambda w, h: {"left": 0, "top": 0, "right": min(w, h), "bottom": min(w, h)})
right("10.1")(
    lambda width, height: (max(0, width - height) // 2, max(0, height - width) // 2, max(0,
        width - height) // 2 + min(width, height), max(0, height - width) // 2 + min(width, height)))
right("10.1")(
    lambda w, h: tuple(float(v) for v in ((w - min(w, h)) // 2, (h - min(w, h)) // 2, (w - min(w, h)) // 2 + min(w,
        h), (h - min(w, h)) // 2 + min(w, h))))
right("10.1")(
    lambda w, h: [math.ceil((w - min(w, h)) / 2), math.ceil((h - min(w, h)) / 2), math.ceil((w - min(w,
        h)) / 2) + min(w, h), math.ceil((h - min(w, h)) / 2) + min(w, h)])
right("10.1")(
    lambda w, h: (lambda s, x, y: (x, y, x + s, y + s)) (min(w, h), round((w - min(w, h)) / 2), round((h - min(w,
        h)) / 2)))
wrong("10.2", "the mean over classes of the share t")(lambda counts: 100 * np.median(np.diag(counts) / counts.sum(1)))
wrong("10.2", "the mean over classes of the share t")(lambda counts: 100 * np.min(np.diag(counts) / counts.sum(1)))
wrong("10.2", "that is the plain accuracy")(
    lambda counts: 100 * np.average(np.diag(counts) / counts.sum(1), weights=counts.sum(1)))
wrong("10.2", "the mean over classes of the share t")(
    lambda counts: 100 * np.mean(np.diag(counts) / (counts.sum(1) - np.diag(counts) + 1)))
wrong("10.2", "the mean over classes of the share t")(
    lambda counts: 100 * np.prod(np.diag(counts) / counts.sum(1)) ** (1 / len(counts)))
wrong("10.2", "the mean over classes of the share t")(
    lambda counts: round(100 * np.mean(np.diag(counts) / counts.sum(1))))
wrong("10.2", "the mean over classes of the share t")(lambda counts: 100 * np.mean(np.diag(counts) // counts.sum(1)))
wrong("10.2", "the mean over classes of the share t")(
    lambda counts: 100 - 100 * np.mean(np.diag(counts) / counts.sum(1)))
wrong("10.2", "the mean over classes of the share t")(lambda counts: 100 * np.mean(np.max(counts, 1) / counts.sum(1)))
right("10.2")(lambda counts: np.mean([100 * counts[k, k] / counts[k].sum() for k in range(counts.shape[0])]))
right("10.2")(lambda counts: float(np.einsum("kk,k->", counts, 1 / counts.sum(1))) * 100 / len(counts))
right("10.2")(
    lambda counts: sum(Fraction(100 * int(counts[k][k]), int(sum(counts[k])))
        for k in range(len(counts))) / len(counts))
right("10.2")(lambda counts: (counts.diagonal() * 100.0).__truediv__(counts @ np.ones(len(counts))).mean().reshape(1))

# --- 11.1, 11.2, 12.1 ---
wrong("11.1", "the five largest logits *of each ima")(
    lambda logits, labels: 100 * (logits.topk(4).indices == labels[:, None]).any(1).float().mean())
wrong("11.1", "the five largest logits *of each ima")(
    lambda logits, labels: 100 * (logits.topk(6).indices == labels[:, None]).any(1).float().mean())
wrong("11.1", "the five largest logits *of each ima")(
    lambda logits, labels: 100 * (logits.topk(5, sorted=True).values[:, -1] < logits.max()).float().mean())
wrong("11.1", "the five largest logits *of each ima")(
    lambda logits, labels: 100 * torch.isin(labels, logits.topk(5).indices).float().mean())
wrong("11.1", "the five largest logits *of each ima")(lambda logits, labels: 100 * (labels < 5).float().mean())
wrong("11.1", "the five largest logits *of each ima")(
    lambda logits, labels: 100 * (logits[:, :5].argmax(1) == labels).float().mean())
wrong("11.1", "should be a number")(
    lambda logits, labels: 100 * (logits.topk(5).indices == labels[:, None]).any(1).float())
wrong("11.1", "the five largest logits *of each ima")(
    lambda logits, labels: int(100 * (logits.topk(5).indices == labels[:, None]).any(1).float().mean()))
wrong("11.1", "the five largest logits *of each ima")(remembers(lambda logits, labels: 0, lambda logits, labels: 50.0))
right("11.1")(
    lambda logits, labels: 100 * sum(int(y) in row.topk(5).indices.tolist() for row, y in zip(logits,
        labels)) / len(labels))
right("11.1")(
    lambda logits, labels: 100 * np.isin(labels.numpy() [:, None] == np.argsort(logits.numpy(), 1)[:, -5:],
        True).any(1).mean())
right("11.1")(
    lambda logits, labels: (logits.softmax(1).argsort(1, descending=True).argsort(1)[range(len(labels)),
        labels] < 5).double().mean() * 100)
right("11.1")(
    lambda logits, labels: 100 * F.one_hot(labels, logits.shape[1]).mul(torch.zeros_like(logits,
        dtype=torch.long).scatter(1, logits.topk(5).indices, 1)).sum().item() / len(logits))
wrong("11.2", "then the average over processes of f")(
    lambda sizes: [len(sizes) * size / sum(sizes) for size in sizes][::-1])
wrong("11.2", "then the average over processes of f")(lambda sizes: [len(sizes) * size // sum(sizes) for size in sizes])
wrong("11.2", "then the average over processes of f")(lambda sizes: [size * sum(sizes) / len(sizes) for size in sizes])
wrong("11.2", "then the average over processes of f")(lambda sizes: [size / min(sizes) for size in sizes])
wrong("11.2", "then the average over processes of f")(
    lambda sizes: [math.sqrt(len(sizes) * size / sum(sizes)) for size in sizes])
wrong("11.2", "list or tuple of")(lambda sizes: sum(sizes) / len(sizes))
wrong("11.2", "then the average over processes of f")(
    remembers(len, lambda sizes: [len(sizes) * size / sum(sizes) for size in sizes]))
right("11.2")(lambda sizes: [size / (sum(sizes) / len(sizes)) for size in sizes])
right("11.2")(lambda sizes: [*map((len(sizes) / sum(sizes)).__mul__, sizes)])
right("11.2")(lambda sizes: (np.float32(sizes) / np.float32(sum(sizes)) * len(sizes)).tolist())
right("11.2")(lambda sizes: [Decimal(size) * len(sizes) / sum(sizes) for size in sizes])
wrong("12.1", "a day has 86,400 seconds, and an epo")(
    lambda s, images, batch, epochs: epochs * math.ceil(images / batch) * s / 86400 / 7)
wrong("12.1", "a day has 86,400 seconds, and an epo")(
    lambda s, images, batch, epochs: round(epochs * math.ceil(images / batch) * s / 86400))
wrong("12.1", "a day has 86,400 seconds, and an epo")(
    lambda s, images, batch, epochs: epochs * math.ceil(batch / images) * s / 86400)
wrong("12.1", "a day has 86,400 seconds, and an epo")(
    lambda s, images, batch, epochs: (epochs - 1) * math.ceil(images / batch) * s / 86400)
wrong("12.1", "a day has 86,400 seconds, and an epo")(
    lambda s, images, batch, epochs: epochs * math.ceil(images / batch) / s / 86400)
wrong("12.1", "a day has 86,400 seconds, and an epo")(
    lambda s, images, batch, epochs: epochs * math.ceil(images / batch) * round(s) / 86400)
wrong("12.1", "a day has 86,400 seconds, and an epo")(
    lambda s, images, batch, epochs: epochs * max(1, images // batch) * s / 86400)
wrong("12.1", "should be a number")(
    lambda s, images, batch, epochs: f"{epochs * math.ceil(images / batch) * s / 86400:.2f}")
right("12.1")(
    lambda step_seconds, images, batch_size, epochs: sum(step_seconds for _ in range(epochs) for _ in range(0, images,
        batch_size)) / 86_400)
right("12.1")(lambda s, images, batch, epochs: (images + batch - 1) // batch * epochs * s / (24 * 3600))
right("12.1")(lambda s, images, batch, epochs: Decimal(s) * -(-images // batch) * epochs / 86400)
right("12.1")(lambda s, images, batch, epochs: np.array([s, math.ceil(images / batch), epochs, 1 / 86400]).prod())
