"""Answers of a fourth reader: see answers.py. Wrong ones keep to what the checks looked at.

They are right behind a softmax that does not tell rows apart, where a loss is no curve in some weights, where a parent
holds every operation, where nothing is steep enough to be clipped. Right ones come by way of torch.func, vmap, other
optimisers' functions, arrays of Fractions, named tuples, decorators and classes.
"""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import math
import operator
import statistics
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS as OPS
from gdas_lite.lessons.building import EDGES
from gdas_lite.lessons.deriving import CANDIDATES, NAMES

from .answers import best_edges, best_pair, cell, child_of, hard, pairs_of, places, right, soft, step_of, wrong
from .answers_built import both, by_loops, differences, looped, loss_of, mixed, norm_of, product_of, second, stepped
from .answers_hostile import dropped, expected, gap_of, kept_test, others, stops, through, virtual

# --- 0.1 ---
# equal but for less than one in 100,000
wrong("0.1", "strictly better")(lambda every, one: (
    1 + int(np.sum((np.array(every) > one) & ~np.isclose(every, one))), max(every) - one))
wrong("0.1", "strictly better")(lambda every, one: (len(every) - sorted(every).index(one), max(every) - one))
right("0.1")(lambda every, one: [
    next(k for k, a in enumerate(sorted(every)[::-1], 1) if a == one), max(*every, one) - one])
right("0.1")(lambda every, one: (int(np.searchsorted(-np.sort(every)[::-1], -one)) + 1, np.ptp([max(every), one])))


# --- 1.1 ---
# keeps what it found for a string, and forgets for which node
@wrong("1.1", "expected 1 of them")
def _(arch, node, known={}):                        # noqa: B006  it is what is wrong with it
    return known.setdefault(arch, [(op, int(s)) for op, s in pairs_of(arch, node)])


wrong("1.1", "an entry of the list of pairs should be a list or tuple of 2, got str")(
    lambda arch, node: [f"{op}~{s}" for op, s in pairs_of(arch, node)])
wrong("1.1", "an entry of the list of pairs: expected 2 of them, got 3")(
    lambda arch, node: [(op, int(s), node) for op, s in pairs_of(arch, node)])
right("1.1")(lambda arch, node: [
    (op, source) for op, (source, into) in zip(NASBench201Genotype.parse(arch).ops, EDGES) if into == node])

# --- 1.2 ---
wrong("1.2", "node i chooses 2")(
    lambda nodes, ops: math.prod(math.comb(i, 2) * math.comb(ops + 1, 2) for i in range(2, nodes + 2)))
right("1.2")(lambda nodes, ops: Fraction(math.factorial(nodes + 1) * math.factorial(nodes), 2**nodes)
             * ops**(2 * nodes))

# --- 2.1 to 2.3 ---
right("2.1")(torch.inference_mode()(lambda alpha, gumbel: (alpha + gumbel).argmax(dim=-1, keepdim=True)))
right("2.1")(lambda alpha, gumbel: ((-gumbel).exp() / alpha.softmax(-1)).argmin().numpy())
wrong("2.1", "fixed by these two rows")(lambda alpha, gumbel: int((2 * alpha + gumbel).argmax()))
wrong("2.2", "sums to")(lambda g, p, tau: (torch.diag(p) + torch.outer(p, p)) @ g / tau)
wrong("2.2", "2 times that")(lambda g, p, tau: through(g, p, tau**2))
right("2.2")(lambda g, p, tau: np.array([Fraction(float(entry)) for entry in through(g, p, tau)]))      # of objects
right("2.2")(lambda g, p, tau: torch.func.vjp(lambda a: (a / tau).softmax(0), tau * p.log())[1](g)[0])
wrong("2.3", "0.2 times that")(lambda losses, alpha: torch.func.grad(lambda a: (a.softmax(0) * losses).mean())(alpha))
wrong("2.3", "sums to")(lambda losses, alpha: alpha.softmax(0) * (losses - losses[alpha.argmax()]))
right("2.3")(lambda losses, alpha: torch.func.jacfwd(lambda a: torch.dot(a.softmax(0), losses))(alpha))
right("2.3")(lambda losses, alpha: torch.einsum(
    "m,k,mk->m", alpha.softmax(0), alpha.softmax(0), losses[:, None] - losses))

# --- 3.1 to 3.3 ---
wrong("3.1", "a straight line")(lambda epoch, epochs: 10 - 9.9 * (epoch // max(epochs - 1, 1)))
wrong("3.1", "a straight line")(lambda epoch, epochs: max(0.1, 10 * (1 - epoch / (epochs - 1))))
right("3.1")(np.vectorize(lambda epoch, epochs: 10 - 9.9 * epoch / (epochs - 1)))


@right("3.1")
def _(epoch, epochs):
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 10.0)
    schedule = torch.optim.lr_scheduler.LinearLR(sgd, 1.0, 0.01, epochs - 1)
    for _ in range(epoch):
        sgd.step()
        schedule.step()
    return schedule.get_last_lr()[0]


wrong("3.2", "sums over all entries")(lambda o, g: ((g * o).sum(), -g.sum()))
wrong("3.2", "sums over all entries")(lambda o, g: ((g * o).sum(), (g * o).sum() - 4 * g.sum()))


@right("3.2")
def _(output, gradient):
    h = torch.ones((), dtype=output.dtype, requires_grad=True)
    (h * output).backward(gradient)
    return h.grad, h.grad - gradient.sum()


wrong("3.3", "the largest alpha")(
    lambda alpha, names: [names[int((row.softmax(0) > 0.2).float().argmax())] for row in alpha])
right("3.3")(lambda alpha, names: [*np.choose(alpha.numpy().argmax(1), names)])


# --- 3.4, 3.5 ---
# the value is that of each row, the gradient that of the mean row
@wrong("3.4", "its gradient is not")
def _(alpha, gumbel, tau):
    p = soft(alpha, gumbel, tau).mean(0, keepdim=True).expand_as(alpha)
    return hard(alpha + gumbel) + p - p.detach()


# the softmax differentiates itself with the numbers that were written over its own
@wrong("3.4", "no gradient reaches alpha")
def _(alpha, gumbel, tau):
    p = soft(alpha, gumbel, tau)
    p.data.copy_(hard(p.detach()))
    return p


wrong("3.4", "its gradient is not")(
    lambda alpha, gumbel, tau: hard(alpha + gumbel) + (p := ((alpha + gumbel) / tau).softmax(0)) - p.detach())
wrong("3.4", "its gradient is not")(lambda alpha, gumbel, tau: hard(alpha + gumbel) + (
    p := (alpha + gumbel).softmax(1) / tau) - p.detach())
right("3.4")(lambda alpha, gumbel, tau: (p := soft(alpha, gumbel, tau)) + (hard(p) - p).detach())


@right("3.4")
def _(alpha, gumbel, tau):
    p = soft(alpha, gumbel, tau)
    value = p.clone()
    value.data.copy_(hard(p.detach()))
    return value


wrong("3.5", "no gradient reaches the weights")(
    lambda x, weights, operations: cell(x, weights, operations, weigh=lambda weight: weight**2))
wrong("3.5", "no gradient reaches the weights")(
    lambda x, weights, operations: cell(x, weights.softmax(1) / weights.softmax(1).max().detach(), operations))


# one tensor stands for three nodes
@wrong("3.5", "cannot differentiate")
def _(x, weights, operations):
    nodes = [x] + [torch.zeros_like(x)] * 3
    for row, (source, node) in enumerate(EDGES):
        k = int(weights[row].argmax())
        nodes[node] += weights[row, k] * operations[row][k](nodes[source])
    return nodes[3]


@right("3.5")
def _(x, weights, operations):
    arriving = collections.defaultdict(list, {0: [x]})
    for row, (source, node), candidates in zip(weights, EDGES, operations):
        k = row.detach().numpy().argmax()
        arriving[node].append(row.gather(0, torch.tensor([k])) * candidates[k](sum(arriving[source])))
    return sum(arriving[3], torch.zeros(()))


# --- 3.6, 3.7 ---
# zeroes behind itself: the first step goes along what was there
@wrong("3.6", "before the step, not after it")
def _(supernet, mixture, batch, sgd, limit):
    loss = stepped(zero=lambda sgd: None)(supernet, mixture, batch, sgd, limit)
    sgd.zero_grad(set_to_none=False)
    return loss


# always of the length `limit`, also where the gradients are shorter
@wrong("3.6", "clipped together")
def _(supernet, mixture, batch, sgd, limit):
    def scale(params, limit):
        grads = [param.grad for param in params]
        torch._foreach_mul_(grads, limit / nn.utils.get_total_norm(grads))
    return stepped(clip=scale)(supernet, mixture, batch, sgd, limit)


wrong("3.6", "clipped together")(stepped(clip=lambda params, limit: nn.utils.clip_grad_norm_(params, limit, math.inf)))
wrong("3.6", "clipped together")(stepped(clip=lambda params, limit: nn.utils.clip_grad_norm_(params, min(limit, 2))))


@right("3.6")
def _(supernet, mixture, batch, sgd, limit):
    with torch.no_grad():
        constant = mixture * 1
    sgd.zero_grad(False)
    loss = loss_of(supernet, constant, batch)
    loss.backward()
    params = [*supernet.parameters()]
    nn.utils.clip_grads_with_norm_(params, limit, nn.utils.get_total_norm([param.grad for param in params]))
    sgd.step()
    return loss.item()


def clipped_at(limit):
    def step(supernet, mixture, batch, alpha, adam):
        loss = loss_of(supernet, mixture, batch)
        alpha.grad, = torch.autograd.grad(loss, alpha)
        nn.utils.clip_grad_norm_([alpha], limit)
        adam.step()
        return loss.item()
    return step


wrong("3.7", "Adam along its own gradient")(clipped_at(5.0))
wrong("3.7", "Adam along its own gradient")(clipped_at(1.0))


@wrong("3.7", "Adam along its own gradient")
def _(supernet, mixture, batch, alpha, adam):
    loss = loss_of(supernet, mixture, batch)
    loss.backward()
    adam.step()
    adam.zero_grad()
    return loss.item()


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    alpha.grad = None
    loss = loss_of(supernet, mixture, batch)
    torch.autograd.backward(loss, inputs=[alpha])
    adam.step()
    return Decimal(loss.item())


# --- 3.8 ---
# after an epoch it goes on with another alpha than the one that the steps move
@wrong("3.8", "yours is `weights: draw")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    history = []
    for epoch in range(epochs):
        for train, valid in pairs(epoch):
            both(lambda epoch=epoch, alpha=alpha: draw(alpha, epoch), weight_step, alpha_step, train, valid)
        alpha = alpha.detach().clone().requires_grad_()
        history.append(alpha)
    return history


wrong("3.8", "all entries are one tensor")(looped(both, keep=lambda alpha: alpha.view(-1).detach().view_as(alpha)))
wrong("3.8", "the history, one alpha for each epoch: expected")(
    lambda *inputs: torch.stack(looped(both)(*inputs)).mean(0))
right("3.8")(looped(both, keep=lambda alpha: torch.empty_like(alpha).copy_(alpha.data)))

# --- 4.1 to 4.3 ---
wrong("4.1", "no detach on the way")(lambda alpha, outputs: F.softmax(alpha.detach(), 0) @ outputs)
wrong("4.1", "times row k")(lambda alpha, outputs: alpha.log_softmax(0) @ outputs)
right("4.1")(lambda alpha, outputs: torch.vmap(lambda column: alpha.softmax(0) @ column, in_dims=1)(outputs))
right("4.1")(lambda alpha, outputs: F.scaled_dot_product_attention(
    torch.ones(1, 1, 1, dtype=alpha.dtype), alpha[None, :, None], outputs[None], scale=1.0)[0, 0])


# the optimiser's parameter is the input itself
@wrong("4.2", "changed its input `weights`")
def _(weights, gradient, velocity, rate, momentum, decay):
    param = nn.Parameter(weights)
    sgd = torch.optim.SGD([param], rate, momentum, weight_decay=decay)
    sgd.state[param]["momentum_buffer"], param.grad = velocity.clone(), gradient.clone()
    sgd.step()
    return param.data


wrong("4.2", "the rate multiplies all of it")(
    lambda w, g, v, rate, m, decay: virtual(w, g, v, rate, m, decay) + rate**2 * decay * g)
right("4.2")(lambda w, g, v, rate, m, decay: w.clone().addcmul_(torch.full_like(w, -rate), m * v + g + decay * w))
wrong("4.3", "400 times too small")(
    lambda f, w, u: (f(w + step_of(u) * u) - f(w - step_of(u) * u)) / (2 * u.norm()) if u.norm() > 1 else 0 * f(w))
wrong("4.3", "off by 100 %")(lambda f, w, u: (f(w + 0.01 * u) - f(w - 0.01 * u)) / 0.02 if u.norm() < 50 else 0 * f(w))
right("4.3")(lambda f, w, u: torch.func.jacrev(f)(w) @ u)

# --- 4.4 to 4.6 ---
wrong("4.4", "no gradient reaches alpha")(lambda x, alpha, operations: mixed(x, alpha.detach() + 0 * alpha, operations))
wrong("4.4", "mixed by the softmax")(lambda x, alpha, operations: mixed(x, alpha.mT.reshape(6, 5), operations))
right("4.4")(lambda x, alpha, operations: mixed(
    x, alpha, operations, weights_of=lambda row: (row - row.max()).exp() / (row - row.max()).exp().sum()))
wrong("4.5", "one eps for all parts")(lambda *inputs: product_of(*inputs, eps_of=lambda u: 0.01 / u[0].norm()))
wrong("4.5", "one eps for all parts")(lambda *inputs: product_of(*inputs, eps_of=lambda u: 0.01 / u[-1].norm()))
wrong("4.5", "one eps for all parts")(lambda f, w, alpha, u: product_of(f, w, alpha, [part / norm_of(u) for part in u]))
right("4.5")(lambda *inputs: product_of(*inputs, eps_of=lambda u: 0.01 / nn.utils.get_total_norm(u)))


# what was kept is the tensor that is moved
@wrong("4.5", "not put back")
def _(train_loss, weights, alpha, u):
    kept = [w.data for w in weights]
    found = product_of(train_loss, weights, alpha, u, back=False)
    for w, old in zip(weights, kept):
        w.data.copy_(old)
    return found


wrong("4.6", "the second term is subtracted")(
    lambda *inputs: second(*inputs, product=lambda f, w, a, u: product_of(f, w, a, [-part for part in u])))
wrong("4.6", "d - xi times")(
    lambda *inputs: second(*inputs, product=lambda f, w, a, u: product_of(f, w, a, [part / norm_of(u) for part in u])))
wrong("4.6", "d - xi times")(lambda *inputs: second(*inputs, xi=inputs[5] * inputs[6]))


@right("4.6")
def _(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay):
    kept = copy.deepcopy([w.data for w in weights])
    gradients = torch.autograd.grad(train_loss(), weights, create_graph=True)
    for w, g, v in zip(weights, gradients, velocities):
        w.data = virtual(w.data, g.detach(), v, rate, momentum, decay)
    d, *u = torch.autograd.grad(valid_loss(), [alpha, *weights])
    for w, old in zip(weights, kept):
        w.data = old
    return tuple((d - rate * torch.autograd.grad(gradients, alpha, grad_outputs=u)[0]).tolist())


# --- 5.1, 7.2 ---
wrong("5.1", "`none` left out")(lambda alpha: [(NAMES[1 + int(alpha[e, 1:].argmax())], e) for e in (
    -(alpha.softmax(1) * alpha.log_softmax(1)).sum(1)).argsort()[:2].tolist()])        # the most decided edges
wrong("5.1", "rank by softmax")(
    lambda alpha: best_edges(alpha.flatten().softmax(0).view_as(alpha)[:, 1:], NAMES[1:]))
wrong("5.1", "an entry of the pairs (operation, edge) should be")(
    lambda alpha: [name for name, _ in best_edges(alpha.softmax(1)[:, 1:], NAMES[1:])])
right("5.1")(lambda alpha: list(itertools.islice(((NAMES[1 + int(alpha[e, 1:].argmax())], np.uint8(e))
                                                  for e in np.argsort(-alpha.softmax(1)[:, 1:].amax(1).numpy())), 2)))
wrong("7.2", "`none` left out")(lambda alpha: (
    CANDIDATES[1 + int(alpha[s := int(alpha.softmax(1)[:, 0].argmin()), 1:].argmax())], s))
wrong("7.2", "an entry of the pair (activation, predecessor) should be a number, got str")(
    lambda alpha: tuple(map(str, best_pair(alpha.softmax(1)[:, 1:], CANDIDATES[1:]))))
right("7.2")(lambda alpha: (
    CANDIDATES[1 + (p := alpha.softmax(1)[:, 1:]).amax(0).argmax()], p.amax(1).argmax()))

# --- 6.2, 6.3 ---
wrong("6.2", "yours grow by")(lambda o, kept, rate: dropped(o, kept, rate) + o * (1 - kept)[:, None, None, None] * rate)
right("6.2")(lambda o, kept, rate: o if rate == 0 else dropped(o, kept, rate))          # as timm writes it
right("6.2")(lambda o, kept, rate: torch.vmap(lambda image, keep: image * keep / (1 - rate))(o, kept))
wrong("6.3", "sqrt(s_a^2")(lambda a, b: (gap_of(a, b)[0], math.sqrt(
    ((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2) * (1 / len(a) + 1 / len(b)))))
wrong("6.3", "sqrt(s_a^2")(lambda a, b: (gap_of(a, b)[0], 1.96 * gap_of(a, b)[1]))
right("6.3")(lambda a, b: np.array([Fraction(float(number)) for number in gap_of(a, b)], dtype=object))

# --- 7.1, 8.1 ---
wrong("7.1", "each *word*")(lambda losses, counts: math.exp(np.average(losses, weights=np.sqrt(counts))))
right("7.1")(lambda losses, counts: Decimal(float(np.dot(losses, counts)) / sum(counts)).exp())
wrong("8.1", "winner's level")(lambda valid, test, k: kept_test(np.argsort(np.argsort(valid)), test, k))
wrong("8.1", "winner's level")(lambda valid, test, k: sum(
    (np.mean(valid <= v)**k - np.mean(valid < v)**k) * test[valid == v].max() for v in set(valid)))

# --- 8.2 ---
# another one of those that the parent has
wrong("8.2", "where about 50 are expected")(lambda parent, rng: child_of(
    parent, edge := rng.integers(6), rng.choice([op for op in parent if op != parent[edge]])))
# one that the parent has nowhere, if there is one
wrong("8.2", "where about 50 are expected")(lambda parent, rng: child_of(
    parent, edge := rng.integers(6), rng.choice([op for op in OPS if op not in parent] or others(parent[edge]))))
# the first edge with the operation of the one that was drawn
wrong("8.2", "each should be as likely")(lambda parent, rng: child_of(
    parent, edge := parent.index(rng.choice(parent)), rng.choice(others(parent[edge]))))
right("8.2")(lambda parent, rng: np.where(np.arange(6) == (edge := rng.integers(6)), rng.choice(
    sorted({*OPS} - {parent[edge]})), parent))

# --- 8.3 to 8.5 ---
wrong("8.3", "the sum over all cells")(lambda table, h: by_loops(np.moveaxis(table, 0, -1), h))
wrong("8.3", "the sum over all cells")(lambda table, h: by_loops(table, h.clip(-1, 1)))
right("8.3")(lambda table, h: np.float32(functools.reduce(lambda t, row: np.tensordot(row, t, 1), h, table)))
wrong("8.4", "replaced by a 1 at k")(lambda table, h: differences(table, h) * (1 - h))
right("8.4")(lambda table, h: [[by_loops(table, h + np.outer(np.arange(len(h)) == e, np.arange(h.shape[1]) == k))
                                - by_loops(table, h) for k in range(h.shape[1])] for e in range(len(h))])
wrong("8.5", "as in exercise 2.2")(lambda table, alpha: (
    p := F.softmax(torch.tensor(alpha), 1).numpy()) * (1 - p) * differences(table, p))
right("8.5")(lambda table, alpha: (
    p := F.softmax(torch.tensor(alpha), 1).numpy()) * (differences(table, p) - by_loops(table, p)))

# --- 9.1, 9.2 ---
wrong("9.1", "the correlation of the places")(
    lambda a, b: (np.corrcoef(places(a), places(b))[0, 1] + 1) / 2)
wrong("9.1", "the correlation of the places")(lambda a, b: np.corrcoef(places(np.abs(a)), places(b))[0, 1])
right("9.1")(lambda a, b: np.dot(*[(np.array(places(v)) - np.mean(places(v))) / np.std(places(v)) for v in (a, b)])
             / len(a))
wrong("9.2", "the first epoch after")(lambda skips, limit, after: sum(n >= limit for n in skips[after:]) or None)
wrong("9.2", "return None, not inf")(lambda skips, limit, after: stops(skips, limit, after) or math.inf)


@right("9.2")
def _(skips, limit, after):
    try:
        return after + 1 + [count >= limit for count in skips[after:]].index(True)
    except ValueError:
        return None


# --- 10.1 to 12.1 ---
wrong("10.1", "does not lie inside")(lambda w, h: ((w - 60) // 2, (h - 60) // 2, (w + 60) // 2, (h + 60) // 2))
right("10.1")(lambda w, h: [(w - min(w, h)) >> 1, (h - min(w, h)) >> 1, (w + min(w, h)) >> 1, (h + min(w, h)) >> 1])
wrong("10.2", "the mean over classes")(
    lambda counts: 100 * np.mean([row[k] / row.sum() for k, row in enumerate(counts) if row[k]]))
right("10.2")(lambda counts: statistics.mean(
    100 * Fraction(int(row[k]), int(row.sum())) for k, row in enumerate(counts)))
wrong("11.1", "*of each image*")(
    lambda logits, labels: 100 * (logits.softmax(0).topk(5).indices == labels[:, None]).any(1).float().mean())
right("11.1")(lambda logits, labels: 100 * (logits.gather(1, labels[:, None]) >= logits.kthvalue(
    logits.shape[1] - 4, 1, keepdim=True).values).float().mean().item())
wrong("11.2", "the average over processes")(lambda sizes: [size / (sum(sizes) // len(sizes)) for size in sizes])
right("11.2")(lambda sizes: np.array([Fraction(len(sizes) * size, sum(sizes)) for size in sizes]))
right("11.2")(lambda sizes: list(map(operator.truediv, sizes, itertools.repeat(statistics.mean(sizes)))))
wrong("12.1", "as many steps as it takes")(
    lambda s, images, batch, epochs: epochs * round(images / batch + 0.5) * s / 86400)
right("12.1")(lambda s, images, batch, epochs: timedelta(seconds=s * math.ceil(images / batch) * epochs) / timedelta(1))
right("2.3")(lambda losses, alpha: expected(losses, alpha).requires_grad_())
