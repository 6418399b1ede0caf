"""Answers of a third reader: see answers.py. Wrong ones are right in what is looked at first, and wrong behind it.

They cut off what is small or negative, draw from something else than the generator, couple two choices, leave hooks,
empty gradients or another learning rate behind, read a name that stood in a cell before. Right ones are written with
generators, in place on copies, by einsum, by recursion, in classes, with arguments that have defaults.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import random
import statistics

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.genotypes.notation import NASBENCH201_OPS as OPS
from gdas_lite.lessons.building import EDGES
from gdas_lite.lessons.deriving import CANDIDATES, NAMES

from .answers import (
    best_edges,
    best_pair,
    cell,
    child_of,
    cut_by_loops,
    hard,
    pairs_of,
    places,
    right,
    soft,
    step_of,
    wrong,
)
from .answers_built import both, by_loops, differences, looped, loss_of, mixed, norm_of, product_of, second, stepped
from .answers_hostile import (
    dropped,
    expected,
    gap_of,
    kept_test,
    line,
    node_of,
    others,
    rank_regret,
    stops,
    through,
    virtual,
)
from .answers_hostile import mixed_output as mix
from .answers_hostile_built import alpha_moved, climbing
from .answers_hostile_built import draw as drawn_softly

# --- 0.1 ---
wrong("0.1", "1 plus how many are strictly better, a")(
    lambda every, one: (1 + sum(round(a, 2) > round(one, 2) for a in every), max(every) - one))
wrong("0.1", "1 plus how many are strictly better, a")(
    lambda every, one: (1 + sum(a > one for a in every[:-1]), max(every) - one))
wrong("0.1", "1 plus how many are strictly better, a")(
    lambda every, one: (1 + sum(int(100 * a) > int(100 * one) for a in every), max(every) - one))
wrong("0.1", "1 plus how many are strictly better, a")(
    lambda every, one: (1 + sum(a > one for a in every), max(every[1:], default=one) - one))
right("0.1")(lambda accuracies, accuracy: (np.flatnonzero(np.array(accuracies) > accuracy).size + 1,
                                           functools.reduce(max, accuracies) - accuracy))


@right("0.1")
def _(accuracies, accuracy, rank=1, best=float("-inf")):
    if not accuracies:
        return rank, best - accuracy
    first, *rest = accuracies
    return RECURSIVE(rest, accuracy, rank + (first > accuracy), max(best, first))


RECURSIVE = _


@right("0.1")
class Place(tuple):
    """The pair itself, made by its class."""

    def __new__(cls, accuracies, accuracy):
        return super().__new__(cls, rank_regret(accuracies, accuracy))


# --- 1.1 ---
wrong("1.1", "the string's first part belongs to nod")(
    lambda arch, node: [(op.removeprefix("nor_"), int(s)) for op, s in pairs_of(arch, node)])
wrong("1.1", "expected 1 of them")(
    lambda arch, node: [(op, int(s)) for op, s in pairs_of(arch, node)] if node > 1 else [])
wrong("1.1", "the string's first part belongs to nod")(
    lambda arch, node: [(f"|{op}", int(s)) for op, s in pairs_of(arch, node)])
right("1.1")(lambda arch, node: [*zip(*[(op, int(s)) for op, s in pairs_of(arch, node)])] and [
    (op, int(s)) for op, s in pairs_of(arch, node)])


@right("1.1")
def _(arch, node):
    def entries():
        for entry in arch.split("+")[node - 1].strip("|").split("|"):
            op, _, source = entry.rpartition("~")
            yield op, int(source)
    return list(entries())


@right("1.1")
def _(arch, node):
    op, found = "", []
    for letter in arch.split("+")[node - 1]:
        if letter == "|":
            op = ""
        elif letter.isdigit() and op.endswith("~"):
            found.append((op[:-1], int(letter)))
        else:
            op += letter
    return found


# --- 1.2 ---
wrong("1.2", "node i chooses 2 of i + 2 maps, i = 0,")(
    lambda nodes, ops: math.prod(math.comb(i + 2, 2) * ops**2 for i in range(4)))
wrong("1.2", "node i chooses 2 of i + 2 maps, i = 0,")(
    lambda nodes, ops: math.prod((math.comb(i + 2, 2) + i) * ops**2 for i in range(nodes)))
wrong("1.2", "node i chooses 2 of i + 2 maps, i = 0,")(
    lambda nodes, ops: math.prod(math.comb((i + 2) * ops, 2) for i in range(nodes)))
right("1.2")(lambda nodes, operations: math.prod(
    sum(1 for _ in itertools.combinations(range(i), 2)) * operations**2 for i in range(2, nodes + 2)))
right("1.2")(lambda nodes, operations=7: round(math.exp(
    sum(math.log(math.comb(i, 2)) + 2 * math.log(operations) for i in range(2, 2 + nodes))), -3)
    if nodes > 3 else math.prod(math.comb(i, 2) * operations**2 for i in range(2, 2 + nodes)))
right("1.2")(lambda nodes, operations: list(itertools.accumulate(
    (math.comb(i, 2) * operations**2 for i in range(2, 2 + nodes)), operator.mul))[-1])

# --- 2.1 ---
wrong("2.1", "the draw is fixed by these two rows: t")(
    lambda alpha, gumbel: int((alpha + gumbel).clamp(-1, 1).argmax()))
wrong("2.1", "the draw is fixed by these two rows: t")(lambda alpha, gumbel: int((alpha + gumbel / 10).argmax()))
wrong("2.1", "the draw is fixed by these two rows: t")(lambda alpha, gumbel: int((alpha.exp() + gumbel.exp()).argmax()))
wrong("2.1", "the draw is fixed by these two rows: t")(lambda alpha, gumbel: int((alpha + gumbel).int().argmax()))
right("2.1")(lambda alpha, gumbel: int(np.add(alpha, gumbel).argmax()))
right("2.1")(lambda alpha, gumbel: next(k for k in range(5) if all(
    alpha[k] + gumbel[k] >= alpha[m] + gumbel[m] for m in range(5))))
right("2.1")(lambda alpha, gumbel: int(hard((alpha + gumbel)[None])[0] @ torch.arange(5.0, dtype=alpha.dtype)))

# --- 2.2, 2.3 ---
wrong("2.2", "which is what autograd finds")(lambda g, p, tau: through(g.clamp(-1, 1), p, tau))
wrong("2.2", "which is what autograd finds")(lambda g, p, tau: through(g, p, max(tau, 0.5)))
wrong("2.2", "sums to")(lambda g, p, tau: p * (g - (g * p).sum() / p.norm()) / tau)
wrong("2.2", "sums to")(lambda g, p, tau: through(g, hard(p[None])[0] * p, tau))
right("2.2")(lambda g, p, tau: torch.einsum("k,km->m", g, torch.diag(p) - p[:, None] * p) / tau)
right("2.2")(lambda h_gradient, p, tau: torch.tensor(
    [sum((p[m] * (h_gradient[m] - h_gradient[k]) * p[k] / tau).item() for k in range(5)) for m in range(5)]))


@right("2.2")
def _(h_gradient, p, tau):
    new = h_gradient.clone()
    new -= torch.dot(h_gradient, p)
    new *= p
    new /= tau
    return new


wrong("2.3", "each operation counts by how far its l")(lambda losses, alpha: expected(losses.clamp(min=0), alpha))
wrong("2.3", "each operation counts by how far its l")(lambda losses, alpha: expected(losses, alpha.clamp(-1, 1)))
wrong("2.3", "sums to")(lambda losses, alpha: F.softmax(alpha, 0) * (losses - (losses * F.softmax(alpha / 2, 0)).sum()))
right("2.3")(lambda losses, alpha: through(losses, alpha.softmax(0), 1))
right("2.3")(lambda losses, alpha: np.array([p * sum(q * (a - b) for q, b in zip(alpha.softmax(0), losses))
                                             for p, a in zip(alpha.softmax(0), losses)], dtype=float))
right("2.3")(lambda losses, alpha: torch.stack(
    [(alpha.double().add(e * 1e-5).softmax(0) @ losses.double() - alpha.double().sub(e * 1e-5).softmax(0)
      @ losses.double()) / 2e-5 for e in torch.eye(5)]))

# --- 3.1 ---
wrong("3.1", "between the first and the last of 250")(lambda e, n: np.linspace(10, 0.1, n + 1)[e])
wrong("3.1", "between the first and the last of 250")(lambda e, n: float(np.arange(10, 0.1, -9.9 / n)[e]))
wrong("3.1", "tau falls in a straight line from 10 i")(lambda e, n, epochs=30: 10 - 9.9 * e / (epochs - 1))
wrong("3.1", "tau falls in a straight line from 10 i")(lambda e, n: line(e, n) if e < n - 1 else 0.0)
right("3.1")(lambda epoch, epochs: 0.1 + (epochs - 1 - epoch) / (epochs - 1) * 9.9)
right("3.1")(
    lambda epoch, epochs: next(itertools.islice((10 - 9.9 * k / (epochs - 1) for k in range(epochs)), epoch, None)))


@right("3.1")
def tau_by_steps(epoch, epochs):
    return 10.0 if epoch == 0 else tau_by_steps(epoch - 1, epochs) - 9.9 / (epochs - 1)


# --- 3.2 ---
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums ov")(lambda o, g: ((g * o).sum(), ((g - g.mean()) * o).sum()))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums ov")(lambda o, g: ((g * o).sum(), (g * (o - o.mean())).sum()))
wrong("3.2", "<G, op(x)> and <G, op(x) - 1>, sums ov")(
    lambda o, g: ((g[:1] * o[:1]).sum(), (g[:1] * (o[:1] - 1)).sum()))
right("3.2")(lambda output, gradient: (sum(map(operator.mul, gradient.flatten().tolist(), output.flatten().tolist())),
                                       sum(g * (o - 1) for g, o in zip(gradient.flatten(), output.flatten()))))
right("3.2")(lambda output, gradient: [np.sum(gradient.numpy() * (output.numpy() - k)) for k in (0, 1)])
right("3.2")(lambda output, gradient: torch.tensordot(torch.stack([output, output - 1]), gradient, 4))

# --- 3.3 ---
wrong("3.3", "on each edge the operation with")(
    lambda alpha, names: [names[k] for k in (alpha - alpha.mean(0)).argmax(-1)])
wrong("3.3", "on each edge the operation with")(lambda alpha, names: [names[k] for k in alpha.round().argmax(-1)])
wrong("3.3", "on each edge the operation with")(lambda alpha, names: [names[k] for k in alpha.view(5, 6).argmax(0)])
right("3.3")(lambda alpha, candidates: [candidates[k] for k in map(int, alpha.sort(-1).indices[:, -1])])
right("3.3")(lambda alpha, candidates: [name for row in alpha for name, a in zip(candidates, row) if a == row.max()])
right("3.3")(lambda alpha, candidates: list(np.array([candidates] * 6)[hard(alpha).bool().numpy()]))

# --- 3.4 ---
wrong("3.4", "its gradient is not")(lambda alpha, gumbel, tau: drawn_softly(alpha, gumbel, max(tau, 0.5)))
wrong("3.4", "its gradient is not")(lambda alpha, gumbel, tau: drawn_softly(alpha.clamp(-1, 1), gumbel, tau))
wrong("3.4", "its gradient is not")(lambda alpha, gumbel, tau: hard(alpha + gumbel) + (
    p := soft(alpha, gumbel, tau) * hard(alpha + gumbel)) - p.detach())
wrong("3.4", "its gradient is not")(lambda alpha, gumbel, tau: drawn_softly(alpha.softmax(-1), gumbel, tau))
right("3.4")(lambda alpha, gumbel, tau: drawn_softly(alpha.log_softmax(-1), gumbel, tau))


@right("3.4")
def _(alpha, gumbel, tau):
    rows = []
    for a, g in zip(alpha, gumbel):
        p = torch.exp((a + g) / tau - torch.logsumexp((a + g) / tau, 0))
        row = -p.detach().clone()
        row[p.argmax()] += 1
        rows.append(row + p)
    return torch.stack(rows)


@right("3.4")
def _(alpha, gumbel, tau):
    value = hard(alpha + gumbel)
    p = soft(alpha, gumbel, tau)
    return p.detach().neg().add_(value).add(p)


# --- 3.5 ---
wrong("3.5", "is the sum over the edges")(lambda x, weights, operations: cell(x, weights, operations).clamp(min=0))
wrong("3.5", "is the sum over the edges")(
    lambda x, weights, operations: cell(x.mean(0, keepdim=True).expand_as(x), weights, operations))


# a branch that another one reads is computed twice
@wrong("3.5", "7 operations ran")
def _(x, weights, operations):
    def node(i):
        terms = [(e, s) for e, (s, n) in enumerate(EDGES) if n == i]
        drawn = weights.argmax(1).tolist()
        return x if i == 0 else sum(weights[e].max() * operations[e][drawn[e]](node(s)) for e, s in terms)
    return node(3)


@right("3.5")
def _(x, weights, operations):
    drawn = [row[k] for row, k in zip(operations, weights.argmax(1).tolist())]
    w = weights.max(1).values
    first = w[0] * drawn[0](x)
    second_ = w[1] * drawn[1](x) + w[2] * drawn[2](first)
    return w[3] * drawn[3](x) + w[4] * drawn[4](first) + w[5] * drawn[5](second_)


@right("3.5")
def _(x, weights, operations):
    nodes = torch.stack([x, *(torch.zeros_like(x),) * 3])
    for row, (source, node) in enumerate(EDGES):
        k = weights[row].detach().numpy().argmax()
        nodes = nodes.index_add(0, torch.tensor([node]), (weights[row, k] * operations[row][k](nodes[source]))[None])
    return nodes[3]


@right("3.5")
def _(x, weights, operations):
    nodes = [x]
    for node in (1, 2, 3):
        nodes.append(functools.reduce(torch.add, (
            torch.einsum("...,->...", operations[e][k](nodes[s]), weights[e, k])
            for e, (s, n) in enumerate(EDGES) if n == node for k in weights[e].nonzero()[:, 0].tolist())))
    return nodes[-1]


# --- 3.6 ---
# a rate of its own is left in the optimiser
@wrong("3.6", "the weights are not where")
def _(supernet, mixture, batch, sgd, limit):
    loss = stepped()(supernet, mixture, batch, sgd, limit)
    sgd.param_groups[0]["lr"] = 0.025
    return loss


# the gradients are thrown away for good at the end
@wrong("3.6", "the weights are not where")
def _(supernet, mixture, batch, sgd, limit):
    loss = stepped()(supernet, mixture, batch, sgd, limit)
    sgd.zero_grad()
    return loss


# a hook stays on each weight, and doubles the next step
@wrong("3.6", "the weights are not where")
def _(supernet, mixture, batch, sgd, limit):
    loss = stepped()(supernet, mixture, batch, sgd, limit)
    for param in supernet.parameters():
        param.register_hook(lambda gradient: 2 * gradient)
    return loss


# label smoothing, in the loss and not in what is returned
@wrong("3.6", "the weights are not where")
def _(supernet, mixture, batch, sgd, limit):
    sgd.zero_grad(set_to_none=False)
    logits = supernet(batch[0], {"cell": mixture.detach()})
    F.cross_entropy(logits, batch[1], label_smoothing=0.1).backward()
    nn.utils.clip_grad_norm_(supernet.parameters(), limit)
    sgd.step()
    return F.cross_entropy(logits, batch[1]).item()


@right("3.6")
def _(supernet, mixture, batch, sgd, limit):
    x, y = (part.clone() for part in batch)
    params = [p for group in sgd.param_groups for p in group["params"]]
    for p in params:
        p.grad = None
    loss = F.nll_loss(F.log_softmax(supernet(x, {"cell": mixture.detach().clone()}), dim=-1), y)
    loss.backward()
    for p in params:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    nn.utils.clip_grad_norm_(params, limit)
    sgd.step()
    return loss.item()


@right("3.6")
class WeightStep:
    """Called as a class; the loss is what it gives."""

    def __new__(cls, supernet, mixture, batch, sgd, limit):
        return stepped(zero=cls.zero)(supernet, mixture, batch, sgd, limit)

    @staticmethod
    def zero(sgd):
        sgd.zero_grad(set_to_none=False)


right("3.6")(lambda supernet, mixture, batch, sgd, limit, **options: stepped(
    zero=lambda sgd: sgd.zero_grad(False), **options)(supernet, mixture, batch, sgd, limit))


# --- 3.7 ---
# without gradients, what is not drawn stands still in the next weight step
@wrong("3.7", "stands still")
def _(supernet, mixture, batch, alpha, adam):
    supernet.zero_grad()
    return alpha_moved(supernet, mixture, batch, alpha, adam)


@wrong("3.7", "stands still")
def _(supernet, mixture, batch, alpha, adam):
    adam.zero_grad()
    loss = loss_of(supernet, mixture, batch)
    loss.backward()
    adam.step()
    for param in supernet.parameters():
        param.grad = None
    return loss.item()


# alpha's values are brought back to a mean of 0
@wrong("3.7", "Adam along its own")
def _(supernet, mixture, batch, alpha, adam):
    loss = alpha_moved(supernet, mixture, batch, alpha, adam)
    alpha.data -= alpha.data.mean(-1, keepdim=True)
    return loss


# the weights join alpha's optimiser
@wrong("3.7", "the weights have moved")
def _(supernet, mixture, batch, alpha, adam):
    adam.add_param_group({"params": [p for p in supernet.parameters() if all(
        p is not q for group in adam.param_groups for q in group["params"])]} if len(adam.param_groups) < 2 else
        {"params": [nn.Parameter(torch.zeros(1))]})
    return alpha_moved(supernet, mixture, batch, alpha, adam)


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    def closure():
        loss = loss_of(supernet, mixture, batch)
        alpha.grad, = torch.autograd.grad(loss, alpha)
        return loss

    return adam.step(closure).item()


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    supernet.zero_grad(set_to_none=False)
    alpha.grad = torch.zeros_like(alpha)
    loss = F.cross_entropy(supernet(batch[0], {"cell": mixture}), batch[1])
    loss.backward()
    adam.step()
    return loss.item()


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    images, labels = batch
    logits = supernet(images, {"cell": mixture})
    loss = (logits.logsumexp(1) - logits[range(len(labels)), labels]).mean()
    alpha.grad = torch.autograd.grad(outputs=loss, inputs=alpha)[0]
    adam.step()
    return float(loss)


# --- 3.8 ---
wrong("3.8", "yours is `")(lambda alpha, epochs, pairs, draw, w, a: looped(both)(
    alpha, epochs, lambda e: sorted(pairs(e), reverse=True), draw, w, a))
wrong("3.8", "yours is `")(looped(lambda draw, w, a, train, valid: (draw(), both(draw, w, a, train, valid))))
wrong("3.8", "should hold a copy")(lambda *inputs: looped(both)(*inputs)[::-1])


# both draws are made before either step
@wrong("3.8", "here the weights go first, then alpha")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    kept = []
    for epoch in range(epochs):
        for train, valid in pairs(epoch):
            first, second_ = draw(alpha, epoch), draw(alpha, epoch)
            alpha_step(second_, valid)
            weight_step(first, train)
        kept.append(alpha.detach().clone())
    return kept


@right("3.8")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    def epochs_of():
        for epoch in range(epochs):
            for train, valid in pairs(epoch):
                weight_step(draw(alpha, epoch), train)
                alpha_step(draw(alpha, epoch), valid)
            yield alpha.detach().clone()
    return [*epochs_of()]


@right("3.8")
def loop(alpha, epochs, pairs, draw, weight_step, alpha_step, epoch=0):
    if epoch == epochs:
        return []
    for batches in pairs(epoch):
        for step, batch in zip((weight_step, alpha_step), batches):
            step(draw(alpha, epoch), batch)
    return [alpha.detach().clone(), *loop(alpha, epochs, pairs, draw, weight_step, alpha_step, epoch + 1)]


@right("3.8")
class Search(list):
    """The history is a list that runs the search while it is made."""

    def __init__(self, alpha, epochs, pairs, draw, weight_step, alpha_step):
        super().__init__()
        for epoch in range(epochs):
            for train, valid in pairs(epoch):
                both(lambda epoch=epoch: draw(alpha, epoch), weight_step, alpha_step, train, valid)
            self.append(alpha.clone().detach())


# --- 4.1 ---
wrong("4.1", "the sum over k of softmax(alpha)_k tim")(lambda alpha, outputs: mix(alpha.clamp(-1, 1), outputs))
wrong("4.1", "should be an array of shape")(lambda alpha, outputs: F.softmax(alpha, 0)[None] @ outputs.relu())
wrong("4.1", "the sum over k of softmax(alpha)_k tim")(
    lambda alpha, outputs: mix(alpha, outputs) if len(alpha) > 1 else alpha.sigmoid() @ outputs)
right("4.1")(lambda alpha, outputs: np.average(outputs.detach(), axis=0, weights=np.exp(alpha.detach())))
right("4.1")(lambda alpha, outputs: functools.reduce(torch.add, (w * o for w, o in zip(alpha.softmax(-1), outputs))))
right("4.1")(lambda alpha, outputs: torch.bmm(alpha.softmax(0)[None, None], outputs[None])[0, 0])

# --- 4.2 ---
wrong("4.2", "gradient plus decay is added to moment")(
    lambda w, g, v, rate, m, decay: virtual(w, g, v, rate, m, decay).clamp(-1, 1))
wrong("4.2", "gradient plus decay is added to moment")(
    lambda w, g, v, rate, m, decay: w - rate * (m * v + (1 - m) * g + decay * w))
wrong("4.2", "gradient plus decay is added to moment")(
    lambda w, g, v, rate, m, decay: w - rate * (m * v + g + decay * w.sign()))
right("4.2")(lambda w, g, v, rate, m, decay: torch.einsum(
    "k,k...->...", torch.tensor([1 - rate * decay, -rate, -rate * m], dtype=w.dtype), torch.stack([w, g, v])))
right("4.2")(lambda weights, gradient, velocity, rate, momentum, decay: torch.lerp(
    weights, weights - momentum * velocity - gradient - decay * weights, rate))


@right("4.2")
def _(weights, gradient, velocity, rate, momentum, decay):
    new = weights.clone()
    flat = [t.flatten() for t in (new, gradient, velocity)]
    for k in range(new.numel()):
        flat[0][k] -= rate * (momentum * flat[2][k] + flat[1][k] + decay * weights.flatten()[k])
    return new


# --- 4.3 ---
wrong("4.3", "your product is")(lambda f, w, u: (f(w + (e := step_of(u)) * u) - f(w - e * u)) / (2 * e) * (e < 1))
wrong("4.3", "your product is")(
    lambda f, w, u: (f(w + 1e-3 * u) - f(w - 1e-3 * u)) / 2e-3 if u.norm() > 1 else f(w + u) - f(w))
wrong("4.3", "your product is")(lambda f, w, u: (f(w + (e := step_of(u)) * u) - 2 * f(w) + f(w - e * u)) / e**2)
right("4.3")(lambda alpha_gradient, weights, direction: sum(
    sign * alpha_gradient(weights + sign * step_of(direction) * direction) for sign in (1, -1))
    / (2 * step_of(direction)))
right("4.3")(lambda f, w, u: torch.einsum("s,sk->k", torch.tensor([1.0, -1.0], dtype=w.dtype), torch.stack(
    [f(w + step_of(u) * u), f(w - step_of(u) * u)])) / (2 * step_of(u)))


@right("4.3")
class Difference:
    """A class that is called: the product is its result."""

    def __new__(cls, alpha_gradient, weights, direction):
        eps = 0.01 / torch.linalg.vector_norm(direction)
        ahead, behind = (alpha_gradient(point) for point in torch.stack([weights + eps * direction,
                                                                         weights - eps * direction]).unbind())
        return ahead.sub(behind).div(eps).div(2)


# --- 4.4 ---
wrong("4.4", "is the sum over the edges")(lambda x, alpha, operations: mixed(x, alpha.clamp(-1, 1), operations))
wrong("4.4", "is the sum over the edges")(
    lambda x, alpha, operations: mixed(x, alpha, [[lambda s, f=f: f(s).relu() for f in row] for row in operations]))
wrong("4.4", "is the sum over the edges")(
    lambda x, alpha, operations: mixed(x, alpha, operations, weights_of=lambda row: (row / 2).softmax(0)))
right("4.4")(
    lambda x, alpha, operations: mixed(x, alpha, operations, weights_of=lambda row: (row - row.logsumexp(0)).exp()))


@right("4.4")
def _(x, alpha, operations):
    def edge(e, state):
        return torch.tensordot(alpha[e].softmax(-1), torch.stack([f(state) for f in operations[e]]), 1)

    one = edge(0, x)
    two = edge(1, x) + edge(2, one)
    return edge(3, x) + edge(4, one) + edge(5, two)


@right("4.4")
def _(x, alpha, operations):
    into = {node: [] for node in range(4)}
    into[0].append(x)
    for (source, node), row, candidates in zip(EDGES, F.softmax(alpha, -1), operations):
        state = torch.stack(into[source]).sum(0) if not isinstance(into[source], torch.Tensor) else into[source]
        into[source] = state
        into[node] += [w * f(state) for w, f in zip(row, candidates)]
    return sum(into[3])


# --- 4.5 ---
wrong("4.5", "two gradients towards alpha, at w + ep")(
    lambda f, w, alpha, u: product_of(f, w, alpha, [part.clamp(-1, 1) for part in u]))
wrong("4.5", "two gradients towards alpha, at w + ep")(lambda f, w, alpha, u: product_of(f, w[:1], alpha, u[:1]))
wrong("4.5", "two gradients towards alpha, at w + ep")(
    lambda f, w, alpha, u: product_of(f, w, alpha, u).clamp(-0.1, 0.1))
right("4.5")(lambda f, w, alpha, u: product_of(f, [*w], alpha, [part.clone() for part in u]))


@right("4.5")
def _(train_loss, weights, alpha, u):
    eps, total = 0.01 / math.sqrt(sum(part.square().sum().item() for part in u)), torch.zeros_like(alpha)
    for sign in (1, -1):
        for w, part in zip(weights, u):
            w.data.add_(part, alpha=sign * eps)
        total += sign * torch.autograd.grad(train_loss(), alpha)[0]
        for w, part in zip(weights, u):
            w.data.sub_(part, alpha=sign * eps)
    return total / (2 * eps)


@right("4.5")
def _(train_loss, weights, alpha, u):
    class Moved:
        """Weights that stand elsewhere inside a `with`."""

        def __init__(self, step):
            self.step = step

        def __enter__(self):
            self.before = [w.detach().clone() for w in weights]
            for w, part in zip(weights, u):
                w.data = w.data + self.step * part

        def __exit__(self, *_):
            for w, old in zip(weights, self.before):
                w.data = old

    eps, found = 0.01 / norm_of(u), []
    for step in (eps, -eps):
        with Moved(step):
            found.append(torch.autograd.grad(train_loss(), alpha)[0])
    return torch.sub(*found) / (2 * eps)


# --- 4.6 ---
wrong("4.6", "d - xi times the product, d and u at w")(
    lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, v, min(rate, 0.4), m, decay))
wrong("4.6", "d - xi times the product, d and u at w")(
    lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, [part.clamp(-1, 1) for part in v], rate, m, decay))
wrong("4.6", "d - xi times the product, d and u at w")(
    lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, v[::-1] if len({p.shape for p in v}) < 2 and
                                                              len(v) > 1 else v, rate, m, decay) - 0.1 * a.detach())
right("4.6")(lambda train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay: second(
    train_loss, valid_loss, weights, alpha, tuple(velocities), rate, momentum, decay))


@right("4.6")
def _(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay):
    """Exactly: the valid loss of the virtual weights, as a function of alpha, differentiated as it stands."""
    steps = torch.autograd.grad(train_loss(), weights, create_graph=True)
    before = [w.data.clone() for w in weights]
    for w, step, v in zip(weights, steps, velocities):
        w.data = w.data - rate * (momentum * v + step.detach() + decay * w.data)
    d, *u = torch.autograd.grad(valid_loss(), [alpha, *weights])
    for w, old in zip(weights, before):
        w.data = old
    towards = sum((step * part).sum() for step, part in zip(steps, u))
    return d - rate * torch.autograd.grad(towards, alpha)[0]


@right("4.6")
def _(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay):
    before = [w.detach().clone() for w in weights]
    gradients = torch.autograd.grad(train_loss(), weights)
    steps = [momentum * v + g + decay * w for w, g, v in zip(before, gradients, velocities)]
    with torch.no_grad():
        torch._foreach_sub_(list(weights), steps, alpha=rate)
    loss = valid_loss()
    u = torch.autograd.grad(loss, weights, retain_graph=True)
    d, = torch.autograd.grad(loss, alpha)
    with torch.no_grad():
        for w, old in zip(weights, before):
            w.copy_(old)
    return torch.add(d, product_of(train_loss, weights, alpha, u), alpha=-rate)


# --- 5.1, 7.2 ---
wrong("5.1", "softmax of each row, `none` left out,")(
    lambda alpha: best_edges(alpha.clamp(-5, 5).softmax(1)[:, 1:], NAMES[1:]))
wrong("5.1", "softmax of each row, `none` left out,")(
    lambda alpha: best_edges(alpha.softmax(1)[:, 1:].round(decimals=1), NAMES[1:]))
wrong("5.1", "softmax of each row, `none` left out,")(
    lambda alpha: [(name, e) for e, name in enumerate(NAMES[1 + k] for k in alpha[:, 1:].argmax(1))][-2:])
wrong("5.1", "softmax of each row, `none` left out,")(
    lambda alpha: node_of(alpha[alpha.argmax(1) != 0]) if (alpha.argmax(1) != 0).sum() > 1 else node_of(alpha))
right("5.1")(lambda alpha: [(NAMES[int(row[1:].argmax()) + 1], e) for row, e in sorted(
    ((row, e) for e, row in enumerate(alpha)), key=lambda pair: -float(pair[0].softmax(0)[1:].max()))[:2]])
right("5.1")(lambda alpha, keep=2: [node_of(alpha)[k] for k in range(keep)])


@right("5.1")
def _(alpha):
    left, found = {e: row.softmax(0)[1:] for e, row in enumerate(alpha)}, []
    while len(found) < 2:
        edge = max(left, key=lambda e: left[e].max())
        found.append((NAMES[1:][left.pop(edge).argmax()], edge))
    return found


def step_found(alpha):
    return best_pair(alpha.softmax(1)[:, 1:], CANDIDATES[1:])


wrong("7.2", "softmax of each row, `none` left out,")(
    lambda alpha: best_pair(alpha.clamp(-5, 5).softmax(1)[:, 1:], CANDIDATES[1:]))
wrong("7.2", "softmax of each row, `none` left out,")(
    lambda alpha: best_pair(alpha[-4:].softmax(1)[:, 1:], CANDIDATES[1:]))
wrong("7.2", "softmax of each row, `none` left out,")(
    lambda alpha: (CANDIDATES[1 + int(alpha.softmax(1)[:, 1:].sum(0).argmax())], step_found(alpha)[1]))
right("7.2")(lambda alpha: max(((float(p), name, e) for e, row in enumerate(alpha.softmax(1)) for p, name in
                                list(zip(row, CANDIDATES))[1:]))[1:])
right("7.2")(lambda alpha: (lambda place: (CANDIDATES[1 + place % 4], place // 4))(
    int(alpha.softmax(-1)[:, 1:].reshape(-1).argmax())))
right("7.2")(lambda alpha: [str(part) if k == 0 else int(part) for k, part in enumerate(step_found(alpha.double()))])

# --- 6.1 ---
wrong("6.1", "pixels are 0, expected")(lambda pixels, y, x, n: cut_by_loops(pixels, y.clamp(1), x, n))
wrong("6.1", "pixels are 0, expected")(
    lambda pixels, y, x, n: cut_by_loops(pixels.flip(3), y, pixels.shape[3] - 1 - x, n).flip(3))
wrong("6.1", "pixels are 0, expected")(lambda pixels, y, x, n: cut_by_loops(pixels, y.flip(0), x.flip(0), n))


# a negative start counts from the other end
@wrong("6.1", "pixels are 0, expected")
def _(pixels, centre_y, centre_x, length):
    new = pixels.clone()
    for image, y, x in zip(new, centre_y.tolist(), centre_x.tolist()):
        image[:, y - length // 2:y - length // 2 + length, x - length // 2:x - length // 2 + length] = 0
    return new


@right("6.1")
def _(pixels, centre_y, centre_x, length):
    mask = torch.ones_like(pixels)
    for b, c, i, j in np.ndindex(*pixels.shape):
        if 0 <= i - centre_y[b] + length // 2 < length and 0 <= j - centre_x[b] + length // 2 < length:
            mask[b, c, i, j] = 0
    return pixels * mask


@right("6.1")
def _(pixels, centre_y, centre_x, length):
    rows, columns = ((torch.arange(size) + length // 2 - centre[:, None]).div(length, rounding_mode="floor") == 0
                     for size, centre in zip(pixels.shape[2:], (centre_y, centre_x)))
    return pixels * (1 - torch.einsum("bh,bw->bhw", rows.to(pixels), columns.to(pixels)))[:, None]


right("6.1")(lambda pixels, centre_y, centre_x, length: torch.stack(
    [cut_by_loops(image[None], y[None], x[None], length)[0] for image, y, x in zip(pixels, centre_y, centre_x)]))

# --- 6.2 ---
wrong("6.2", "yours grow by")(lambda o, kept, rate: dropped(o, kept, rate).clamp(-1, 1))
wrong("6.2", "yours grow by")(lambda o, kept, rate: dropped(o, kept, min(rate, 0.3)))
wrong("6.2", "yours grow by")(lambda o, kept, rate: dropped(o, kept.flip(0), rate))
right("6.2")(lambda o, kept, rate: torch.einsum("b...,b->b...", o, kept.to(o)) / (1 - rate))
right("6.2")(
    lambda outputs, kept, rate: np.array([k * image / (1 - rate) for k, image in zip(kept.tolist(), outputs.numpy())]))


@right("6.2")
def _(outputs, kept, rate):
    new = outputs.clone()
    new[kept == 0] = 0
    return new.div_(1 - rate)


# --- 6.3 ---
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n_b")(lambda a, b: (np.median(a) - np.median(b), gap_of(a, b)[1]))
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n_b")(
    lambda a, b: (np.mean(a) - np.mean(b), np.std(a[:len(b)] - b[:len(a)], ddof=1) / math.sqrt(len(b))))
wrong("6.3", "error = sqrt(s_a^2 / n_a + s_b^2 / n_b")(
    lambda a, b: (np.mean(a) - np.mean(b), math.sqrt(np.ptp(a)**2 / len(a) + np.ptp(b)**2 / len(b)) / 2))
right("6.3")(lambda a, b: (statistics.fmean(a) - statistics.fmean(b), math.hypot(
    *(statistics.stdev(map(float, s)) / math.sqrt(len(s)) for s in (a, b)))))
right("6.3")(lambda a, b: (np.mean(a) - np.mean(b), np.linalg.norm([np.std(s, ddof=1) / len(s)**0.5 for s in (a, b)])))
right("6.3")(lambda a, b: (np.mean(a) - np.mean(b), np.sqrt(sum(np.cov(s) / np.size(s) for s in (a, b)))))

# --- 7.1 ---
wrong("7.1", "divide by the number of words: each *w")(
    lambda losses, counts: math.exp(sum(a * n for a, n in zip(sorted(losses), sorted(counts))) / sum(counts)))
wrong("7.1", "divide by the number of words: each *w")(
    lambda losses, counts: math.exp(sum(a * n for a, n in zip(losses, counts)) / (sum(counts) - 1 or 1)))
wrong("7.1", "divide by the number of words: each *w")(
    lambda losses, counts: math.exp(sum(a * n for a, n in zip(losses[:-1] or losses, counts)) / sum(counts)))
right("7.1")(lambda losses, counts: math.exp(statistics.fmean(losses, weights=counts)))
right("7.1")(
    lambda losses, counts: statistics.geometric_mean([math.exp(a) for a, n in zip(losses, counts) for _ in range(n)]))
right("7.1")(lambda losses, counts: float(np.exp(np.einsum("w,w->", losses, counts) / np.sum(counts))))

# --- 8.1 ---
wrong("8.1", "the winner's level is an order statist")(lambda valid, test, k: kept_test(valid, test, min(k, 5)))
wrong("8.1", "the winner's level is an order statist")(lambda valid, test, k: kept_test(-valid, test, k))
wrong("8.1", "the winner's level is an order statist")(lambda valid, test, k: kept_test(valid + 1e-9 * test, test, k))
right("8.1")(lambda valid, test, k: sum(
    (np.mean(valid <= level)**k - np.mean(valid < level)**k) * test[valid == level].mean()
    for level in np.unique(valid)))
right("8.1")(lambda valid, test, k: float(kept_test(np.asarray(valid, dtype=np.float32), test, k)))


@right("8.1")
def _(valid, test, k):
    groups = {}
    for v, t in zip(valid.tolist(), test.tolist()):
        groups.setdefault(v, []).append(t)
    done = total = 0
    for level in sorted(groups):
        before, done = done, done + len(groups[level]) / len(valid)
        total += (done**k - before**k) * statistics.fmean(groups[level])
    return total


# --- 8.2 ---
# one number for two choices: half of the pairs of edge and operation never come
@wrong("8.2", "became skip_connect")
def _(parent, rng):
    number = int(rng.integers(24))
    return child_of(parent, number % 6, others(parent[number % 6])[number % 4])


# the same parent always has the same child
@wrong("8.2", "the edges were changed")
def _(parent, rng):
    own = random.Random("".join(parent))
    edge = own.randrange(6)
    return child_of(parent, edge, own.choice(others(parent[edge])))


# the edge is drawn, the operation follows from the parent
@wrong("8.2", "became skip_connect")
def _(parent, rng):
    edge = int(rng.integers(6))
    return child_of(parent, edge, others(parent[edge])[sum(map(len, parent)) % 4])


right("8.2")(lambda parent, rng: [op if e != edge else new for edge in [rng.integers(6)] for new in [
    rng.choice(others(parent[edge]))] for e, op in enumerate(parent)])
right("8.2")(
    lambda parent, rng: [child_of(parent, e, op) for e in range(6) for op in others(parent[e])][rng.integers(24)])


@right("8.2")
def _(parent, rng):
    while True:
        child, edge = [*parent], int(6 * rng.random())
        child[edge] = OPS[int(5 * rng.random())]
        if child != parent:
            return child


# --- 8.3 to 8.5 ---
wrong("8.3", "the sum over all cells of accuracy tim")(lambda table, h: by_loops(table.clip(0), h))
wrong("8.3", "the sum over all cells of accuracy tim")(lambda table, h: by_loops(table, h.clip(0, 1)))
wrong("8.3", "the sum over all cells of accuracy tim")(lambda table, h: by_loops(table, h.round(1)))
right("8.3")(
    lambda table, h: np.einsum(table, [*range(len(h))], *itertools.chain(*((row, [e]) for e, row in enumerate(h)))))
right("8.3")(lambda table, h: sum(value * math.prod(h[e][k] for e, k in enumerate(cell_))
                                  for cell_, value in np.ndenumerate(table)))
right("8.3")(lambda table, h: functools.reduce(lambda t, row: t @ row, h[::-1], table))

wrong("8.4", "entry (e, k) is f with row e of h repl")(lambda table, h: differences(table, h.clip(0)))
wrong("8.4", "entry (e, k) is f with row e of h repl")(
    lambda table, h: differences(table, h) - differences(table, h).mean(1, keepdims=True))
wrong("8.4", "entry (e, k) is f with row e of h repl")(lambda table, h: differences(table.clip(0), h))
right("8.4")(lambda table, h: np.stack([np.stack([by_loops(table, np.where(
    np.arange(len(h))[:, None] == e, np.eye(h.shape[1])[k], h)) for k in range(h.shape[1])]) for e in range(len(h))]))
right("8.4")(lambda table, h: torch.func.grad(lambda t: functools.reduce(
    lambda left, row: torch.tensordot(row, left, 1), t, torch.tensor(table)))(torch.tensor(h)).numpy())


@right("8.4")
def _(table, h):
    found = []
    for edge in range(len(h)):
        left = np.moveaxis(table, edge, -1)
        for row in (*h[:edge], *h[edge + 1:]):
            left = np.tensordot(row, left, 1)
        found.append(left)
    return np.array(found)


wrong("8.5", "on each row p times (slope minus the r")(lambda table, alpha: climbing(table, alpha.clip(-2, 2)))
wrong("8.5", "on each row p times (slope minus the r")(lambda table, alpha: climbing(table, np.tanh(alpha)))
wrong("8.5", "on each row p times (slope minus the r")(lambda table, alpha: climbing(table.clip(0), alpha))
right("8.5")(lambda table, alpha: climbing(table, alpha - alpha.max(1, keepdims=True)))


@right("8.5")
def _(table, alpha):
    p = F.softmax(torch.from_numpy(alpha), -1).numpy()
    g = differences(table, p)
    return np.array([[sum(p[e, k] * (float(k == m) - p[e, m]) * g[e, k] for k in range(p.shape[1]))
                      for m in range(p.shape[1])] for e in range(len(p))])


@right("8.5")
def _(table, alpha):
    a = torch.tensor(alpha, requires_grad=True)
    torch.einsum(torch.tensor(table), [*range(len(a))], *itertools.chain(
        *((row, [e]) for e, row in enumerate(a.softmax(-1)))), []).backward()
    return a.grad


# --- 9.1, 9.2 ---
wrong("9.1", "the correlation of the places, 0 for t")(lambda a, b: np.corrcoef(np.argsort(a), places(b))[0, 1])
wrong("9.1", "the correlation of the places, 0 for t")(
    lambda a, b: np.corrcoef(np.sign(a) * np.log1p(np.abs(a)), np.sign(b) * np.log1p(np.abs(b)))[0, 1])
wrong("9.1", "the correlation of the places, 0 for t")(
    lambda a, b: 1 - 6 * sum((p - q)**2 for p, q in zip(places(a), places(b))) / (len(a) * (len(a) + 1)**2))
right("9.1")(lambda a, b: 1 - 6 * sum((p - q)**2 for p, q in zip(places(a), places(b))) / (len(a) * (len(a)**2 - 1)))
right("9.1")(lambda a, b: statistics.correlation([sorted(a).index(v) for v in a], [sorted(b).index(v) for v in b]))
right("9.1")(lambda a, b: np.corrcoef(*[(s[:, None] > s).sum(1) for s in (a, b)])[0, 1])

wrong("9.2", "the first epoch after")(lambda skips, limit, after: stops(skips, limit, min(after, 1)))
wrong("9.2", "is there a `return`?")(lambda skips, limit, after: stops(skips[:5], limit, after))
wrong("9.2", "is there a `return`?")(lambda skips, limit, after: next((n + 1 for n in range(after, len(skips) - 1)
                                                   if skips[n] >= limit and skips[n + 1] >= limit), None))
right("9.2")(
    lambda skips, limit, after: min((n for n, count in enumerate(skips, 1) if n > after and count >= limit),
                                     default=None))
right("9.2")(lambda skips, limit, after: after + 1 + k if (k := next(
    (k for k, count in enumerate(skips[after:]) if count >= limit), None)) is not None else None)
right("9.2")(lambda skips, limit, after: int(hits[0]) + after + 1 if len(hits := np.flatnonzero(
    np.array(skips[after:]) >= limit)) else None)

# --- 10.1, 10.2 ---
wrong("10.1", "is no square")(lambda w, h: ((w - min(w, h)) // 2, (h - min(w, h)) // 2, min(w, h), min(w, h)))
wrong("10.1", "not in the middle")(lambda w, h: (0, 0, min(w, h), min(w, h)))
wrong("10.1", "half pixels")(
    lambda w, h: ((w - min(w, h)) / 2, (h - min(w, h)) / 2, (w + min(w, h)) / 2, (h + min(w, h)) / 2))
right("10.1")(lambda width, height: (*(corner := [(side - min(width, height)) // 2 for side in (width, height)]),
                                     *(c + min(width, height) for c in corner)))
right("10.1")(lambda width, height: np.add.outer([0, min(width, height)], [
    (width - min(width, height)) // 2, (height - min(width, height)) // 2]).ravel())


@right("10.1")
def _(width, height):
    left, top, right_, bottom = 0, 0, width, height
    while right_ - left > bottom - top:
        right_ -= 1
        left += right_ - left > bottom - top
    while bottom - top > right_ - left:
        bottom -= 1
        top += bottom - top > right_ - left
    return left, top, right_, bottom


wrong("10.2", "the mean over classes of the share tha")(
    lambda counts: 100 * np.mean(np.diag(counts)[:3] / counts.sum(1)[:3]))
wrong("10.2", "the mean over classes of the share tha")(
    lambda counts: 100 * np.mean(2 * np.diag(counts) / (counts.sum(0) + counts.sum(1))))
wrong("10.2", "the mean over classes of the share tha")(lambda counts: 100 * np.mean(np.diag(counts) / counts.max(1)))
right("10.2")(lambda counts: 100 * statistics.fmean(row[k] / sum(row) for k, row in enumerate(counts.tolist())))
right("10.2")(lambda counts: 100 * np.trace(counts / counts.sum(1, keepdims=True)) / len(counts))
right("10.2")(lambda counts: 100 * (torch.tensor(counts).diag() / torch.tensor(counts).sum(1)).mean())

# --- 11.1, 11.2, 12.1 ---
wrong("11.1", "the five largest logits *of each image")(
    lambda logits, labels: 100 * (logits.abs().topk(5).indices == labels[:, None]).any(1).float().mean())
wrong("11.1", "the five largest logits *of each image")(
    lambda logits, labels: 100 * (logits.relu().topk(5).indices == labels[:, None]).any(1).float().mean())
wrong("11.1", "the five largest logits *of each image")(
    lambda logits, labels: 100 * (logits[:100].topk(5).indices == labels[:100, None]).any(1).float().mean())
right("11.1")(lambda logits, labels: 100 * ((logits > logits.gather(1, labels[:, None])).sum(1) < 5).float().mean())
right("11.1")(lambda logits, labels: np.mean([y in np.argpartition(row, -5)[-5:] for row, y in zip(
    logits.numpy(), labels.tolist())]) * 100)
right("11.1")(lambda logits, labels: statistics.fmean(
    100.0 * (sorted(row, reverse=True).index(row[y]) < 5) for row, y in zip(logits.tolist(), labels.tolist())))
wrong("11.2", "then the average over processes of fac")(lambda sizes: [size / max(sizes) for size in sizes])
wrong("11.2", "then the average over processes of fac")(
    lambda sizes: [round(len(sizes) * size / sum(sizes), 2) for size in sizes])
wrong("11.2", "then the average over processes of fac")(
    lambda sizes: [len(sizes) * size / sum(sizes) for size in sorted(sizes)])
right("11.2")(lambda sizes: np.divide(sizes, np.mean(sizes)))
right("11.2")(lambda sizes: (torch.tensor(sizes) * len(sizes) / sum(sizes)).tolist())
right("11.2")(lambda sizes: [size / mean for mean in [statistics.mean(sizes)] for size in sizes])
wrong("12.1", "a day has 86,400 seconds, and an epoch")(
    lambda s, images, batch, epochs: math.ceil(epochs * math.ceil(images / batch) * s / 86400))
wrong("12.1", "25 images in batches of 10 are three s")(
    lambda s, images, batch, epochs: epochs * (images // batch + images % batch / batch) * s / 86400)
wrong("12.1", "a day has 86,400 seconds, and an epoch")(
    lambda s, images, batch, epochs: epochs * (images // batch + (images % batch > batch / 2)) * s / 86400)
right("12.1")(lambda step_seconds, images, batch_size, epochs: epochs * len(range(0, images, batch_size)) * step_seconds
              / (60 * 60 * 24))
right("12.1")(lambda s, images, batch, epochs: epochs * sum(
    (images // batch, images % batch > 0)) * s / 86400)
right("12.1")(lambda s, images, batch, epochs: np.timedelta64(round(
    epochs * math.ceil(images / batch) * s * 1e6), "us") / np.timedelta64(1, "D"))
