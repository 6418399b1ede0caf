"""Answers of a fifth reader: see answers.py. Wrong ones hand over too much or too little of the right thing.

They return a list of one, a dictionary, rows in a list, rounded or huge numbers; they step with nothing in `grad`, or
move a copy. Right ones go by PyTorch's own functions, by closures, by other sums and by recursion.
"""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import math
import re
import statistics

import numpy as np
import torch
import torch.nn.functional as F

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
from .answers_built import both, differences, looped, loss_of, mixed, norm_of, product_of, second, stepped
from .answers_hostile import dropped, expected, gap_of, line, others, rank_regret, stops, through, virtual

# --- 0.1 to 1.2 ---
wrong("0.1", "expected [10.0, 10.5411], got [11.0, 10.5411]")(      # equal ones share a place
    lambda every, one: (sum(a > one for a in every) + (every.count(one) + 1) // 2, max(every) - one))
wrong("0.1", "should be a list or tuple of 2, got dict")(lambda every, one: {"rank": 1, "regret": max(every) - one})
wrong("0.1", "should be a number, got list of shape (1,)")(lambda every, one: ([1], [max(every) - one]))
wrong("0.1", "79.3495: expected [5.0, 3.8626]")(
    lambda every, one: (rank_regret(every, one)[0], round(max(every) - one, 2)))
right("0.1")(lambda every, one: (1 + int((np.sort(every)[::-1] == one).argmax()), max(every) - one))
wrong("1.1", "expected 3 of them, got 6")(lambda arch, node: [part for pair in pairs_of(arch, node) for part in pair])
wrong("1.1", "an entry of the list of pairs: expected 2 of them, got 1")(
    lambda arch, node: [[(op, int(s))] for op, s in pairs_of(arch, node)])
wrong("1.1", "should hold names, got int")(lambda arch, node: [(OPS.index(op), int(s)) for op, s in pairs_of(arch, node)])
right("1.1")(lambda arch, node: [(m[1], int(m[2])) for m in re.finditer(r"\|([^|~]+)~(\d)", arch.split("+")[node - 1])])
wrong("1.2", "expected 49, got inf")(lambda nodes, operations: math.factorial(3000 * nodes))
wrong("1.2", "expected 49, got inf")(lambda nodes, operations: -10**400 * nodes)
wrong("1.2", "got 28")(lambda nodes, ops: math.prod(math.comb(i + 2, 2) * math.comb(ops + 1, 2) for i in range(nodes)))
right("1.2")(lambda nodes, ops: math.exp(sum(math.log(math.comb(i + 2, 2) * ops**2) for i in range(nodes))))

# --- 2.1 to 2.3 ---
wrong("2.1", "should be a number, got max of shape (2,)")(lambda alpha, gumbel: torch.max(alpha + gumbel, 0))
wrong("2.1", "should be a number, got Tensor of shape (5,)")(lambda alpha, gumbel: (alpha + gumbel).argsort())
wrong("2.1", "the draw is fixed")(lambda alpha, gumbel: (alpha / 10 + gumbel).argmax())
right("2.1")(lambda alpha, gumbel: torch.nonzero(alpha + gumbel == (alpha + gumbel).max())[0])
right("2.1")(torch.inference_mode()(lambda *rows: sum(rows).argmax()))
wrong("2.2", "e-05 away: is something rounded?")(lambda g, p, tau: through(g, p, tau).half())
wrong("2.2", "0.0, 0.0, 0.0]; which is what autograd finds")(lambda g, p, tau: (torch.diag(p) - torch.outer(p, p)).sum(1) / tau)
wrong("2.2", "which is what autograd finds")(lambda g, p, tau: through(g, p, max(tau, 1)))
right("2.2")(lambda g, p, tau: torch.func.jacrev(lambda a: (a / tau).softmax(0))(tau * p.log()).T @ g)
right("2.2")(torch.inference_mode()(lambda g, p, tau: p * (g - g @ p) / tau))
wrong("2.3", "0.2 times that")(lambda losses, alpha: expected(losses, alpha) / 5)
wrong("2.3", "sums to")(lambda losses, alpha: alpha.softmax(0) * (losses - losses.min()))
right("2.3")(lambda losses, alpha: torch.stack([((alpha + e).softmax(0) - (alpha - e).softmax(0)) @ losses / 0.02
                                                for e in 0.01 * torch.eye(5).to(alpha)]))

# --- 3.1 to 3.3 ---
wrong("3.1", "tau should be a number, got tuple of shape (1,)")(lambda epoch, epochs: (line(epoch, epochs),))
wrong("3.1", "got 0.0999756")(lambda epoch, epochs: torch.linspace(10, 0.1, epochs)[epoch].half())
wrong("3.1", "expected 7.525, got 5.05")(lambda epoch, epochs: {0: 10, epochs - 1: 0.1}.get(epoch, 5.05))
right("3.1")(lambda epoch, epochs: np.interp(epoch, [0, epochs - 1], [10, 0.1]))
right("3.1")(functools.partial(lambda first, last, e, n: first * (n - 1 - e) / (n - 1) + last * e / (n - 1), 10, 0.1))
wrong("3.2", "sums over all entries")(lambda o, g: ((g * o).sum(), -g.sum()))
wrong("3.2", "an entry of S of P and S of N should be a number")(lambda o, g: ((g * o).sum(0), (g * (o - 1)).sum(0)))
right("3.2")(lambda o, g: (torch.vdot(g.ravel(), o.ravel()), torch.vdot(g.ravel(), (o - 1).ravel())))
wrong("3.3", "should hold names, got tuple")(lambda alpha, names: [(names[k], e) for e, k in enumerate(alpha.argmax(1))])
wrong("3.3", "the largest alpha")(
    lambda alpha, names: [names[k] if row[k] > 0 else "none" for row, k in zip(alpha, alpha.argmax(1))])
right("3.3")(lambda alpha, names: [dict(zip(row.tolist(), names))[max(row.tolist())] for row in alpha])


# --- 3.4, 3.5 ---
class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p):
        return hard(p)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


wrong("3.4", "the draw, edges by operations, should be an array of shape (3, 4), got one of shape (2, 3, 4)")(
    lambda alpha, gumbel, tau: (hard(p := soft(alpha, gumbel, tau)), p))
wrong("3.4", "and return one tensor")(lambda alpha, gumbel, tau: [*hard(p := soft(alpha, gumbel, tau)) + p - p.detach()])
wrong("3.4", "the draw, edges by operations, is None, not [[0, 1, 0, 0]")(lambda alpha, gumbel, tau: None)
wrong("3.4", "its gradient is not")(lambda alpha, gumbel, tau: hard(soft(alpha, gumbel, tau)) + alpha - alpha.detach())
right("3.4")(lambda alpha, gumbel, tau: StraightThrough.apply(soft(alpha, gumbel, tau)))
wrong("3.5", "the cell's output should be an array of shape (2, 1, 4, 3), got one of shape ()")(lambda x, weights, operations: 0)
wrong("3.5", "the cell's output should be an array")(lambda x, *rest: torch.cat([x, cell(x, *rest)], 1))
wrong("3.5", "and return one tensor")(lambda *inputs: [*cell(*inputs)])


@right("3.5")
def _(x, weights, operations):
    ks = weights.argmax(1).tolist()
    a, b, c, d, e, f = (lambda node, row=row, k=k: weights[row, k] * operations[row][k](node) for row, k in enumerate(ks))
    one = a(x)
    two = b(x) + c(one)
    return d(x) + e(one) + f(two)


# --- 3.6 to 3.8 ---
wrong("3.6", "the loss should be a number, got tuple of shape (1,)")(lambda *inputs: (stepped()(*inputs),))
wrong("3.6", "the loss should be a number, got str")(lambda *inputs: f"{stepped()(*inputs):.4f}")
wrong("3.6", "the weights are not where")(lambda supernet, *rest: stepped()(copy.deepcopy(supernet), *rest))


@right("3.6")
def _(supernet, mixture, batch, sgd, limit):
    def closure():
        sgd.zero_grad(set_to_none=False)
        loss = loss_of(supernet, mixture.data, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(sgd.param_groups[0]["params"], limit)
        return loss
    return float(sgd.step(closure))


@wrong("3.7", "while `alpha.grad` holds its gradient")      # emptied between backward and step
def _(supernet, mixture, batch, alpha, adam):
    loss = loss_of(supernet, mixture, batch)
    loss.backward()
    adam.zero_grad()
    adam.step()
    return loss.item()


@wrong("3.7", "while `alpha.grad` holds its gradient")      # a new tensor by the old name
def _(supernet, mixture, batch, alpha, adam):
    loss = loss_of(supernet, mixture, batch)
    alpha = alpha - 0.05 * torch.autograd.grad(loss, alpha)[0]
    return loss.item()


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    supernet.requires_grad_(False)
    loss = loss_of(supernet, mixture, batch)
    adam.zero_grad()
    loss.backward()
    adam.step()
    supernet.requires_grad_(True)
    return loss


wrong("3.8", "not yet. the history, one alpha for each epoch: expected 2 of them, got 3")(
    lambda alpha, *rest: [alpha.detach().clone(), *looped(both)(alpha, *rest)])
wrong("3.8", "not yet. the history, one alpha for each epoch, should be a list or tuple of 2, got generator")(
    lambda *inputs: (alpha for alpha in looped(both)(*inputs)))
wrong("3.8", "all entries are one tensor")(looped(both, keep=lambda alpha: alpha.detach().numpy()))
right("3.8")(looped(both, keep=copy.deepcopy))

# --- 4.1 to 4.6 ---
wrong("4.1", "no detach on the way")(lambda alpha, outputs: alpha.softmax(0) @ outputs.detach())
wrong("4.1", "times row k")(lambda alpha, outputs: alpha.softmax(0) @ outputs if len(alpha) > 1 else 0 * outputs[0])
right("4.1")(lambda alpha, outputs: torch.addmv(outputs.new_zeros(outputs.shape[1]), outputs.T, alpha.softmax(0)))
wrong("4.2", "should be an array of shape (3, 4), got one of shape (12,)")(lambda *inputs: virtual(*inputs).flatten())
wrong("4.2", "the rate multiplies all of it")(lambda w, g, v, rate, m, decay: w - rate * (m * v + (1 - m) * (g + decay * w)))
right("4.2")(lambda w, g, v, rate, m, decay: (1 - rate * decay) * w - rate * m * v - rate * g)
wrong("4.3", "alpha_gradient = a function, weights = [0.1257")(lambda f, w, u: print(f(w)))
wrong("4.3", "what is it divided by?")(lambda f, w, u: (f(w + step_of(u)) - f(w - step_of(u))) / (2 * step_of(u)))
right("4.3")(lambda f, w, u: (8 * (f(w + (h := step_of(u)) * u) - f(w - h * u)) - f(w + 2 * h * u) + f(w - 2 * h * u)) / (12 * h))
wrong("4.4", "not yet. the cell's output should be an array")(lambda *inputs: torch.stack([mixed(*inputs)] * 4))
wrong("4.4", "no numbers or lists in between")(lambda *inputs: [*mixed(*inputs)])
right("4.4")(lambda x, alpha, operations: (node := functools.cache(lambda n: x if n == 0 else sum(
    p * op(node(source)) for row, (source, into) in enumerate(EDGES) if into == n
    for p, op in zip(alpha[row].softmax(0), operations[row]))))(3))


# puts other tensors into the list: the network keeps its own
@wrong("4.5", "where both losses saw the same weights")
def _(train_loss, weights, alpha, u):
    kept, eps, found = [*weights], 0.01 / norm_of(u), []
    for step in (eps, -eps):
        weights[:] = [w + step * part for w, part in zip(kept, u)]
        found += torch.autograd.grad(train_loss(), alpha)
    weights[:] = kept
    return (found[0] - found[1]) / (2 * eps)


wrong("4.5", "should be an array of shape (3,), got one of shape (1, 3)")(lambda *inputs: [product_of(*inputs)])
right("4.5")(lambda f, w, alpha, u: torch.autograd.grad(sum((g * part).sum() for g, part in zip(torch.autograd.grad(
    f(), w, create_graph=True), u)), alpha)[0])
wrong("4.6", "d - xi times")(lambda *inputs: second(*inputs, xi=1 / inputs[5]))
wrong("4.6", "d - xi times")(lambda f, g, *rest: second(lambda: f() + g(), g, *rest))

# --- 5.1, 7.2 ---
wrong("5.1", "should be a number, got list of shape (1,)")(
    lambda alpha: [(op, [edge]) for op, edge in best_edges(alpha.softmax(1)[:, 1:], NAMES[1:])])
wrong("5.1", "`none` left out")(lambda alpha: [(op, edge + 2) for op, edge in best_edges(alpha.softmax(1)[:, 1:], NAMES[1:])])
right("5.1")(lambda alpha: sorted(((NAMES[1 + int(row.argmax())], edge) for edge, row in enumerate(alpha.softmax(1)[:, 1:])),
                                  key=lambda pair: -float(alpha.softmax(1)[pair[1], 1:].max()))[:2])
wrong("7.2", "expected 2 of them, got 1")(lambda alpha: [best_pair(alpha.softmax(1)[:, 1:], CANDIDATES[1:])])
wrong("7.2", "`none` left out")(lambda alpha: best_pair(alpha.sigmoid()[:, 1:], CANDIDATES[1:]) if len(alpha) < 8 else ("relu", 9))
right("7.2")(lambda alpha: max((float(p), CANDIDATES[k], s) for s, row in enumerate(alpha.softmax(1))
                               for k, p in enumerate(row) if k)[1:])

# --- 6.1 to 7.1 ---
wrong("6.1", "others have changed")(
    lambda pixels, *rest: cut_by_loops(pixels, *rest) * pixels.numel() / (cut_by_loops(pixels, *rest) != 0).sum())
wrong("6.1", "0 pixels are 0")(lambda pixels, *rest: torch.where(
    cut_by_loops(torch.ones_like(pixels), *rest) == 0, pixels.mean(), pixels))
right("6.1")(lambda pixels, *rest: pixels * cut_by_loops(torch.ones_like(pixels), *rest))
wrong("6.2", "got one of shape (2, 3, 3, 3)")(lambda o, kept, rate: o[kept.bool()] / (1 - rate))
wrong("6.2", "with rate 0.0")(lambda o, kept, rate: dropped(o, kept, rate) if rate else 0 * o)
right("6.2")(lambda o, kept, rate: (o.permute(1, 2, 3, 0) * kept / (1 - rate)).permute(3, 0, 1, 2))
wrong("6.3", "got [2.6923, 1.3658]")(lambda a, b: (gap_of(a, b)[0] / gap_of(a, b)[1], gap_of(a, b)[1]))
wrong("6.3", "got [3.7, 1.4]")(lambda a, b: tuple(round(number, 1) for number in gap_of(a, b)))
right("6.3")(lambda a, b: (a.mean() - b.mean(), sum(torch.tensor(s).var() / len(s) for s in (a, b)).sqrt()))
wrong("7.1", "each *word*")(lambda losses, counts: math.exp(sum(losses) / sum(counts)))
wrong("7.1", "should be a number, got list of shape (1,)")(
    lambda losses, counts: [math.exp(np.average(losses, weights=counts))])
right("7.1")(lambda losses, counts: np.exp(np.repeat(losses, counts).mean()))

# --- 8.1 to 8.5 ---
wrong("8.1", "winner's level")(lambda valid, test, k: test[np.argsort(valid)[-k:]].mean())
wrong("8.1", "expected 25, got 24.88")(lambda valid, test, k: np.mean([test[(drawn := np.random.default_rng(
    seed).integers(len(valid), size=k))[valid[drawn].argmax()]] for seed in range(500)]))
right("8.1")(lambda valid, test, k: sum(((valid <= v).mean()**k - (valid < v).mean()**k) * t / (valid == v).sum()
                                        for v, t in zip(valid, test)))
wrong("8.2", "differs on 2 edges")(lambda parent, rng: [*parent[:4], *(rng.choice(others(op)) for op in parent[4:])])
right("8.2")(lambda parent, rng: (pair := divmod(int(rng.integers(24)), 4)) and child_of(
    parent, pair[0], OPS[(OPS.index(parent[pair[0]]) + 1 + pair[1]) % 5]))
wrong("8.3", "the sum over all cells")(lambda table, h: sum(
    table[k] * sum(h[e, op] for e, op in enumerate(k)) for k in np.ndindex(table.shape)))
right("8.3")(lambda table, h: np.einsum(table, [*range(len(h))], *itertools.chain(*zip(h, ([e] for e in range(len(h))))), []))
wrong("8.4", "2 times that")(lambda table, h: 2 * differences(table, h))
right("8.4")(lambda table, h: [[sum(table[k] * math.prod(h[j, k[j]] for j in range(len(h)) if j != e) for k in np.ndindex(
    table.shape) if k[e] == op) for op in range(h.shape[1])] for e in range(len(h))])
wrong("8.5", "as in exercise 2.2")(lambda table, alpha: alpha - alpha.mean() + differences(table, alpha))
right("8.5")(lambda table, alpha: np.stack([(np.diag(p) - np.outer(p, p)) @ g for ps in [
    F.softmax(torch.tensor(alpha), 1).numpy()] for p, g in zip(ps, differences(table, ps))]))

# --- 9.1 to 12.1 ---
wrong("9.1", "got Result of shape (2,)")(                            # as scipy's
    lambda a, b: collections.namedtuple("Result", "statistic pvalue")(np.corrcoef(places(a), places(b))[0, 1], 0.05))
wrong("9.1", "got ndarray of shape (2, 2)")(lambda a, b: np.corrcoef(places(a), places(b)))
right("9.1")(lambda a, b: torch.corrcoef(torch.tensor([places(a), places(b)]).double())[0, 1])
wrong("9.2", "so return None, not 'None'")(lambda skips, limit, after: stops(skips, limit, after) or "None")
wrong("9.2", "the first epoch after 0")(lambda skips, limit, after: stops(skips, limit, after) is not None or None)
right("9.2")(lambda skips, limit, after, done=0: None if done == len(skips) else done + 1 if done >= after and skips[
    done] >= limit else stops(skips, limit, max(after, done + 1)))
wrong("10.1", "expected 4 of them, got 2")(lambda w, h: ((0, 0), (min(w, h), min(w, h))))
wrong("10.1", "the largest square has the side 60")(lambda w, h: (
    (w - min(w, h)) // 2, (h - min(w, h)) // 2, (w + min(w, h)) // 2 - 1, (h + min(w, h)) // 2 - 1))
right("10.1")(lambda w, h: ((w - h) // 2, 0, (w - h) // 2 + h, h) if w > h else (0, (h - w) // 2, w, (h - w) // 2 + w))
wrong("10.2", "should be a number, got tuple of shape (1,)")(lambda counts: (100 * np.mean(np.diag(counts) / counts.sum(1)),))
wrong("10.2", "the mean over classes")(lambda counts: 100 * np.median(np.diag(counts) / counts.sum(1)))
right("10.2")(lambda counts: 100 * np.mean(np.diag(counts / counts.sum(1))))    # the diagonal has column = row
wrong("11.1", "and how often its label is among them")(
    lambda logits, labels: 100 * torch.isin(labels, logits.topk(5).indices).float().mean())
wrong("11.1", "should be a number, got str")(lambda logits, labels: f"{len(labels)} %")
right("11.1")(lambda logits, labels: 100 * np.mean(
    np.argsort(np.argsort(-logits.numpy(), 1), 1)[np.arange(len(labels)), labels.numpy()] < 5))
wrong("11.2", "expected 3 of them, got 1")(lambda sizes: [np.array(sizes) / np.mean(sizes)])
wrong("11.2", "the average over processes")(lambda sizes: [size / statistics.median(sizes) for size in sizes])
right("11.2")(lambda sizes: tuple(size * share for share in [len(sizes) / sum(sizes)] for size in sizes))
wrong("12.1", "should be a number, got timedelta64")(lambda s, images, batch, epochs: np.timedelta64(epochs, "D"))
wrong("12.1", "should be a number, got list of shape (1,)")(lambda s, images, batch, epochs: [
    epochs * math.ceil(images / batch) * s / 86400])
right("12.1")(lambda s, images, batch, epochs: sum(s for _ in range(epochs) for _ in range(0, images, batch)) / 86400)
