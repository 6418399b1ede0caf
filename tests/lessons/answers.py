"""Answers as learners write them: WRONG, each with words of the sentence that helps, and RIGHT in several ways."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from gdas_lite.genotypes.notation import NASBENCH201_OPS as OPS
from gdas_lite.lessons.deriving import CANDIDATES, NAMES

WRONG: dict[str, list] = {}
RIGHT: dict[str, list] = {}


def wrong(number, words):
    return lambda function: WRONG.setdefault(number, []).append((function, words)) or function


def right(number):
    return lambda function: RIGHT.setdefault(number, []).append(function) or function


def pairs_of(arch, node):
    return re.findall(r"([a-z_0-9]+)~(\d)", arch.split("+")[node - 1])


# --- 1.1 ---
wrong("1.1", "the node is a number")(lambda arch, node: pairs_of(arch, node))
wrong("1.1", "belongs to node 1")(lambda arch, node: [(op, int(s)) for op, s in pairs_of(arch, node % 3 + 1)])
wrong("1.1", "stands first")(lambda arch, node: [(int(s), op) for op, s in pairs_of(arch, node)])
wrong("1.1", "is an operation like the others")(lambda arch, node: [(o, int(s)) for o, s in pairs_of(arch, node) if o != "none"])
wrong("1.1", "belongs to node 1")(lambda arch, node: [(op, int(s)) for op, s in pairs_of(arch, 3)][:node])
wrong("1.1", "is there a `return`?")(lambda arch, node: [None] * node)
wrong("1.1", "list or tuple")(lambda arch, node: dict(pairs_of(arch, node)))
wrong("1.1", "list or tuple")(lambda arch, node: ((op, int(s)) for op, s in pairs_of(arch, node)))
right("1.1")(lambda arch, node: [(op, int(s)) for op, s in pairs_of(arch, node)])
right("1.1")(lambda arch, node: tuple([op, np.int64(s)] for op, s in pairs_of(arch, node)))


@right("1.1")
def _(arch, node):
    found = []
    for entry in arch.split("+")[node - 1].split("|"):
        if entry:
            found.append((entry.split("~")[0], int(entry[-1])))
    return found


# --- 1.2 ---
wrong("1.2", "one choice")(lambda nodes, ops: math.prod(math.perm(i + 2, 2) * ops**2 for i in range(nodes)))
wrong("1.2", "an operation of its own")(lambda nodes, ops: math.prod(math.comb(i + 2, 2) * ops for i in range(nodes)))
wrong("1.2", "node i chooses 2 of i + 2")(lambda nodes, ops: math.comb(nodes + 2, 2) * ops**2)
wrong("1.2", "node i chooses 2 of i + 2")(lambda nodes, ops: math.prod(math.comb(i + 2, 2) * 49 for i in range(nodes)))
wrong("1.2", "multiply, do not add")(lambda nodes, ops: sum(math.comb(i + 2, 2) * ops**2 for i in range(nodes)))
right("1.2")(lambda nodes, ops: math.factorial(nodes + 1) * math.factorial(nodes) * ops ** (2 * nodes) // 2**nodes)
right("1.2")(lambda nodes, ops: np.prod([(i + 2) * (i + 1) / 2 * ops**2 for i in range(nodes)]))
right("1.2")(lambda nodes, ops: torch.tensor([math.comb(i + 2, 2) * ops * ops for i in range(nodes)]).prod())

# --- 2.1 ---
wrong("2.1", "the noise decides too")(lambda alpha, gumbel: int(alpha.argmax()))
wrong("2.1", "alpha decides too")(lambda alpha, gumbel: int(gumbel.argmax()))
wrong("2.1", "not on the probabilities")(lambda alpha, gumbel: int((alpha.softmax(-1) + gumbel).argmax()))
wrong("2.1", "not subtracted")(lambda alpha, gumbel: int((alpha - gumbel).argmax()))
wrong("2.1", "fixed by these two rows")(lambda alpha, gumbel: torch.multinomial(alpha.softmax(-1), 1))
wrong("2.1", "fixed by these two rows")(lambda alpha, gumbel: int((alpha + gumbel).abs().argmax()))
wrong("2.1", "which operation has it")(lambda alpha, gumbel: (alpha + gumbel).max())
wrong("2.1", "should be a number")(lambda alpha, gumbel: (alpha + gumbel).softmax(-1))
wrong("2.1", "should be a number, got str")(lambda alpha, gumbel: str(int((alpha + gumbel).argmax())))
right("2.1")(lambda alpha, gumbel: (alpha + gumbel).argmax())
right("2.1")(lambda alpha, gumbel: np.argmax(alpha.numpy() + gumbel.numpy()))
right("2.1")(lambda alpha, gumbel: max(range(5), key=lambda k: alpha[k] + gumbel[k]))
right("2.1")(lambda alpha, gumbel: (alpha.softmax(-1).log() + gumbel).topk(1).indices)
right("2.1")(lambda alpha, gumbel: alpha.clone().add_(gumbel).sort().indices[-1].item())


@wrong("2.1", "changed its input `gumbel`")
def _(alpha, gumbel):
    gumbel += alpha
    return int(gumbel.argmax())


# --- 2.2, 2.3 ---
wrong("2.2", "divides too")(lambda g, p, tau: p * (g - (g * p).sum()))
wrong("2.2", "you multiply")(lambda g, p, tau: tau * p * (g - (g * p).sum()))
wrong("2.2", "sums to")(lambda g, p, tau: p * (1 - p) * g / tau)
wrong("2.2", "stands in front of the sum")(lambda g, p, tau: (p * g - (g * p).mean()) / tau)
wrong("2.2", "turned round")(lambda g, p, tau: p * ((g * p).sum() - g) / tau)
wrong("2.2", "should be an array of shape (5,)")(lambda g, p, tau: (torch.diag(p) - torch.outer(p, p)) / tau)
right("2.2")(lambda g, p, tau: (torch.diag(p) - torch.outer(p, p)) @ g / tau)
right("2.2")(lambda g, p, tau: ((p * g).numpy() - p.numpy() * (g @ p).item()) / tau)
right("2.2")(lambda g, p, tau: [sum(float(g[k] * p[k]) * ((k == m) - float(p[m])) for k in range(5)) / tau for m in range(5)])


@right("2.2")
def _(h_gradient, p, tau):
    z = (tau * p.log()).requires_grad_()
    return torch.autograd.grad((z / tau).softmax(-1), z, h_gradient)[0].float()


@right("2.2")
def _(h_gradient, p, tau):
    out = torch.zeros(5)
    for m in range(5):
        for k in range(5):
            out[m] += h_gradient[k] * p[k] * (float(k == m) - p[m]) / tau
    return out


wrong("2.3", "differentiate p_k too")(lambda losses, alpha: alpha.softmax(-1) * losses)
wrong("2.3", "*expected* loss")(lambda losses, alpha: alpha.softmax(-1) * (losses - losses.mean()))
wrong("2.3", "downhill")(lambda losses, alpha: alpha.softmax(0) * (alpha.softmax(0) @ losses - losses))
wrong("2.3", "no probability yet")(lambda losses, alpha: alpha * (losses - alpha @ losses))
wrong("2.3", "multiplied by pi_m")(lambda losses, alpha: losses - alpha.softmax(0) @ losses)
right("2.3")(lambda losses, alpha: (alpha.exp() / alpha.exp().sum() * (losses - F.softmax(alpha, 0) @ losses)).tolist())


@right("2.3")
def _(losses, alpha):
    alpha = alpha.clone().requires_grad_()
    (alpha.softmax(0) @ losses).backward()
    return alpha.grad


@right("2.3")
def _(losses, alpha):
    p = np.exp(alpha.numpy()) / np.exp(alpha.numpy()).sum()
    return (np.diag(p) - np.outer(p, p)) @ losses.numpy()


# --- 3.1 ---
wrong("3.1", "249 steps")(lambda e, n: 10 - 9.9 * e / n)
wrong("3.1", "corrected it to 0.1")(lambda e, n: 10 - 9 * e / (n - 1))
wrong("3.1", "straight line")(lambda e, n: 0.1 + 9.9 * (1 + math.cos(math.pi * e / (n - 1))) / 2)
wrong("3.1", "straight line")(lambda e, n: 10 - 9.9 * (3 * (e / (n - 1)) ** 2 - 2 * (e / (n - 1)) ** 3))
wrong("3.1", "straight line")(lambda e, n: 10 * 0.01 ** (e / (n - 1)))
wrong("3.1", "straight line")(lambda e, n: 10 - 9.9 * e / 249)
wrong("3.1", "straight line")(lambda e, n: max(0.1, 10 - e))
wrong("3.1", "straight line")(lambda e, n: 0.1 + 9.9 * e / (n - 1))
right("3.1")(lambda e, n: torch.linspace(10, 0.1, n)[e])
right("3.1")(lambda e, n: np.linspace(10, 0.1, n)[e])
right("3.1")(lambda e, n: torch.lerp(torch.tensor(10.0), torch.tensor(0.1), e / (n - 1)))
right("3.1")(lambda e, n: Fraction(100 * (n - 1) - 99 * e, 10 * (n - 1)))

# --- 3.2 ---
wrong("3.2", "with a minus sign")(lambda o, g: ((g * o).sum(), (g * o).sum()))
wrong("3.2", "not a mean")(lambda o, g: ((g * o).mean(), (g * (o - 1)).mean()))
wrong("3.2", "with a minus sign")(lambda o, g: ((g * o).sum(), (g * o + g).sum()))
wrong("3.2", "sum of all entries of G")(lambda o, g: ((g * o).sum(), (g * o).sum() - g.mean()))
wrong("3.2", "sums over all entries")(lambda o, g: ((g * o).sum().abs(), (g * o - g).sum()))
wrong("3.2", "sums over all entries")(lambda o, g: ((g * o).sum(), (g * o - g).sum().abs()))
wrong("3.2", "then S of variant N")(lambda o, g: ((g * o - g).sum(), (g * o).sum()))
wrong("3.2", "list or tuple of 2")(lambda o, g: (g * o).sum())
wrong("3.2", "should be a number")(lambda o, g: (g * o, g * o - g))
right("3.2")(lambda o, g: [torch.tensordot(g, o, 4).item(), (torch.tensordot(g, o, 4) - g.sum()).item()])
right("3.2")(lambda o, g: torch.stack([(g * o).sum(), (g * o - g).sum()]))
right("3.2")(lambda o, g: (np.vdot(g.numpy(), o.numpy()), np.vdot(g.numpy(), o.numpy() - 1)))
right("3.2")(lambda o, g: ((g * o).sum().view(1), sum(sum(row) for row in (g * (o - 1)).flatten(1).tolist())))


@wrong("3.2", "changed its input `output`")
def _(output, gradient):
    first = (gradient * output).sum()
    return first, (gradient * output.sub_(1)).sum()


# --- 3.3 ---
wrong("3.3", "a row of alpha is an edge")(lambda alpha, names: [names[k] for k in alpha.argmax(0)])
wrong("3.3", "`none` may win")(lambda alpha, names: [names[1 + k] for k in alpha[:, 1:].argmax(-1)])
wrong("3.3", "over the edges")(lambda alpha, names: [names[k] for k in alpha.softmax(0).argmax(-1)])
wrong("3.3", "no abs")(lambda alpha, names: [names[k] for k in alpha.abs().argmax(-1)])
wrong("3.3", "expected")(lambda alpha, names: [names[k] for k in alpha.nonzero()[:, 1][:6]])
wrong("3.3", "the largest alpha")(lambda alpha, names: [names[int((row > 0).float().argmax())] for row in alpha])
wrong("3.3", "in `candidates`")(lambda alpha, names: [OPS[k] for k in alpha.argmax(-1)])
wrong("3.3", "asked are the names")(lambda alpha, names: alpha.argmax(-1).tolist())
right("3.3")(lambda alpha, names: [names[k] for k in alpha.softmax(-1).argmax(-1)])
right("3.3")(lambda alpha, names: np.array(names)[np.argmax(alpha.numpy(), 1)])
right("3.3")(lambda alpha, names: tuple(max(zip(row, names))[1] for row in alpha.tolist()))

# --- 4.1 ---
wrong("4.1", "is the softmax missing")(lambda alpha, outputs: (alpha[:, None] * outputs).sum(0))
wrong("4.1", "wrong axis")(lambda alpha, outputs: (alpha.softmax(0) * outputs).sum(0))
wrong("4.1", "a sum, not a mean")(lambda alpha, outputs: (alpha.softmax(0)[:, None] * outputs).mean(0))
wrong("4.1", "alpha has no effect")(lambda alpha, outputs: outputs.mean(0))
wrong("4.1", "DARTS mixes all")(lambda alpha, outputs: outputs[alpha.argmax()])
wrong("4.1", "should be an array of shape")(lambda alpha, outputs: alpha.softmax(0)[:, None] * outputs)
wrong("4.1", "softmax(alpha)_k times row k")(lambda alpha, outputs: alpha.relu().softmax(0) @ outputs)
right("4.1")(lambda alpha, outputs: alpha.softmax(0) @ outputs)
right("4.1")(lambda alpha, outputs: np.exp(alpha.numpy()) @ outputs.numpy() / np.exp(alpha.numpy()).sum())
right("4.1")(lambda alpha, outputs: sum(p * row for p, row in zip(F.softmax(alpha, 0), outputs)))
right("4.1")(lambda alpha, outputs: torch.einsum("k,kn->n", alpha.softmax(0), outputs).float().tolist())
right("4.1")(lambda alpha, outputs: outputs.clone().mul_(alpha.softmax(0)[:, None]).sum(0))


@wrong("4.1", "changed its input `outputs`")
def _(alpha, outputs):
    outputs *= alpha.softmax(-1)[:, None]
    return outputs.sum(0)


# --- 4.2 ---
wrong("4.2", "the velocity has no effect")(lambda w, g, v, rate, m, decay: w - rate * (g + decay * w))
wrong("4.2", "weight decay has no effect")(lambda w, g, v, rate, m, decay: w - rate * (m * v + g))
wrong("4.2", "uphill")(lambda w, g, v, rate, m, decay: w + rate * (m * v + g + decay * w))
wrong("4.2", "Nesterov")(lambda w, g, v, rate, m, decay: w - rate * ((1 + m) * (g + decay * w) + m * m * v))
wrong("4.2", "only `momentum` times")(lambda w, g, v, rate, m, decay: w - rate * (v + g + decay * w))
wrong("4.2", "multiplies the weight decay, too")(lambda w, g, v, rate, m, decay: w * (1 - decay) - rate * (m * v + g))
wrong("4.2", "the rate multiplies all of it")(lambda w, g, v, rate, m, decay: w - 0.1 * (0.9 * v + g + 0.01 * w))
right("4.2")(lambda w, g, v, rate, m, decay: torch.add(w * (1 - rate * decay), m * v + g, alpha=-rate))
right("4.2")(lambda w, g, v, rate, m, decay: w.numpy() - rate * (m * v.numpy() + g.numpy() + decay * w.numpy()))


@right("4.2")
def _(w, g, v, rate, momentum, decay):
    w = torch.nn.Parameter(w.clone())
    sgd = torch.optim.SGD([w], rate, momentum, weight_decay=decay)
    sgd.state[w]["momentum_buffer"] = v.clone()
    w.grad = g
    sgd.step()
    return w


@right("4.2")
def _(w, g, v, rate, momentum, decay):
    new = w.clone()
    new -= rate * (momentum * v).add_(g).add_(decay * w)
    return new


@wrong("4.2", "changed its input `velocity`")
def _(w, g, v, rate, momentum, decay):
    v.mul_(momentum).add_(g + decay * w)
    return w - rate * v


@wrong("4.2", "changed its input `weights`")
def _(w, g, v, rate, momentum, decay):
    w -= rate * (momentum * v + g + decay * w)
    return w


# --- 4.3 ---
def step_of(u):
    return 0.01 / u.norm()


wrong("4.3", "times too small")(lambda f, w, u: (f(w + step_of(u) * u) - f(w - step_of(u) * u)) / 2. * step_of(u))
wrong("4.3", "on one side")(lambda f, w, u: (f(w + step_of(u) * u) - f(w)) / step_of(u))
wrong("4.3", "on both sides")(lambda f, w, u: (f(w) - f(w - step_of(u) * u)) / step_of(u))
wrong("4.3", "on both sides")(lambda f, w, u: (f(w + 1e-7 * u) - f(w)) / 1e-7)
wrong("4.3", "long u")(lambda f, w, u: (f(w + 0.01 * u) - f(w - 0.01 * u)) / 0.02)
wrong("4.3", "on both sides")(lambda f, w, u: (f(w + 1e-9 * u) - f(w - 1e-9 * u)) / 2e-9)
wrong("4.3", "divided by 2, but not by eps")(lambda f, w, u: (f(w + step_of(u) * u) - f(w - step_of(u) * u)) / 2)
wrong("4.3", "divide by 2 eps")(lambda f, w, u: (f(w + step_of(u) * u) - f(w - step_of(u) * u)) / step_of(u))
wrong("4.3", "turned round")(lambda f, w, u: (f(w - step_of(u) * u) - f(w + step_of(u) * u)) / (2 * step_of(u)))
wrong("4.3", "along u itself")(lambda f, w, u: (f(w + 0.01 * u / u.norm()) - f(w - 0.01 * u / u.norm())) / 0.02)
right("4.3")(lambda f, w, u: (f(w + step_of(u) * u) - f(w - step_of(u) * u)) / 2 / step_of(u))
right("4.3")(lambda f, w, u: 50 * u.norm() * (f(w + step_of(u) * u) - f(w - step_of(u) * u)).detach())
right("4.3")(lambda f, w, u: torch.autograd.functional.jvp(f, w, u)[1])


@wrong("4.3", "changed its input `weights`")
def _(f, w, u):
    eps = step_of(u)
    w += eps * u
    a = f(w)
    w -= 2 * eps * u
    return (a - f(w)) / (2 * eps)


@right("4.3")
def _(f, w, u):                     # as DARTS' authors: in place, and put back
    eps = step_of(u)
    w.add_(u, alpha=eps.item())
    a = f(w)
    w.sub_(u, alpha=2 * eps.item())
    b = f(w)
    w.add_(u, alpha=eps.item())
    return (a - b).div_(2 * eps)


# --- 5.1 ---
def best_edges(scores, names):
    return [(names[int(scores[e].argmax())], e) for e in sorted(range(len(scores)), key=lambda e: -float(scores[e].max()))[:2]]


wrong("5.1", "rank by softmax")(lambda alpha: best_edges(alpha[:, 1:], NAMES[1:]))
wrong("5.1", "its share is missing")(lambda alpha: best_edges(alpha[:, 1:].softmax(1), NAMES[1:]))
wrong("5.1", "cannot be derived")(lambda alpha: best_edges(alpha.softmax(1), NAMES))
wrong("5.1", "over the edges")(lambda alpha: best_edges(alpha.softmax(0)[:, 1:], NAMES[1:]))
wrong("5.1", "the better first")(lambda alpha: sorted(best_edges(alpha.softmax(1)[:, 1:], NAMES[1:]), key=lambda pair: pair[1]))
wrong("5.1", "the better edge comes first")(lambda alpha: best_edges(alpha.softmax(1)[:, 1:], NAMES[1:])[::-1])
wrong("5.1", "expected")(lambda alpha: [(NAMES[1 + int(alpha[e, 1:].argmax())], e) for e in (0, 1)])
wrong("5.1", "expected 2 of them")(lambda alpha: best_edges(alpha.softmax(1)[:, 1:], NAMES[1:])[:1])


@wrong("5.1", "two *edges* stay")
def _(alpha):
    scored = [(float(p), NAMES[k + 1], e) for e, row in enumerate(alpha.softmax(1)[:, 1:]) for k, p in enumerate(row)]
    return [(name, e) for _, name, e in sorted(scored, reverse=True)[:2]]


right("5.1")(lambda alpha: best_edges(alpha.softmax(1)[:, 1:], NAMES[1:]))
right("5.1")(lambda alpha: [[name, torch.tensor(e)] for name, e in best_edges(alpha.softmax(1)[:, 1:], NAMES[1:])])


@right("5.1")
def _(alpha):
    p = np.exp(alpha.numpy()) / np.exp(alpha.numpy()).sum(1, keepdims=True)
    p[:, 0] = 0
    edges = np.argsort(-p.max(1))[:2]
    return tuple((NAMES[p[e].argmax()], e) for e in edges)


# --- 7.1 ---
wrong("7.1", "mean of *losses* first")(lambda losses, counts: sum(map(math.exp, losses)) / len(losses))
wrong("7.1", "weigh with its words")(lambda losses, counts: math.exp(sum(losses) / len(losses)))
wrong("7.1", "the exponential comes last")(lambda losses, counts: np.dot(np.exp(losses), counts) / sum(counts))
wrong("7.1", "nats")(lambda losses, counts: 2 ** (np.dot(losses, counts) / sum(counts)))
wrong("7.1", "each *word*")(lambda losses, counts: math.exp(np.dot(losses, counts) / 35 / len(counts)))
right("7.1")(lambda losses, counts: torch.exp((torch.tensor(losses) * torch.tensor(counts)).sum() / sum(counts)))
right("7.1")(lambda losses, counts: np.exp(np.average(losses, weights=counts)))
right("7.1")(lambda losses, counts: math.prod(math.exp(a * n / sum(counts)) for a, n in zip(losses, counts)))


# --- 7.2 ---
def best_pair(scores, names):
    source = max(range(len(scores)), key=lambda row: float(scores[row].max()))
    return names[int(scores[source].argmax())], source


wrong("7.2", "rank by softmax")(lambda alpha: best_pair(alpha[:, 1:], CANDIDATES[1:]))
wrong("7.2", "its share is missing")(lambda alpha: best_pair(alpha[:, 1:].softmax(1), CANDIDATES[1:]))
wrong("7.2", "cannot be derived")(lambda alpha: best_pair(alpha.softmax(1), CANDIDATES))
wrong("7.2", "not only the last")(lambda alpha: (CANDIDATES[1 + int(alpha[-1, 1:].argmax())], len(alpha) - 1))
wrong("7.2", "the activation stands first")(lambda alpha: best_pair(alpha.softmax(1)[:, 1:], CANDIDATES[1:])[::-1])
wrong("7.2", "softmax of each row")(lambda alpha: (CANDIDATES[1 + int(alpha[0, 1:].argmax())], 0))
right("7.2")(lambda alpha: list(best_pair(alpha.softmax(1)[:, 1:], CANDIDATES[1:])))
right("7.2")(lambda alpha: (CANDIDATES[1 + int(k := alpha.softmax(1)[:, 1:].flatten().argmax()) % 4], k // 4))


@right("7.2")
def _(alpha):
    p = np.exp(alpha.numpy()) / np.exp(alpha.numpy()).sum(1)[:, None]
    row, column = np.unravel_index(p[:, 1:].argmax(), p[:, 1:].shape)
    return np.array(CANDIDATES)[column + 1], row


# --- 6.1 ---
def cut_by_loops(pixels, centre_y, centre_x, length, inside=lambda y, x: (y, x), channels=slice(None), value=0):
    cut = pixels.clone()
    for image, y, x in zip(cut, centre_y.tolist(), centre_x.tolist()):
        y, x = inside(y, x)
        top, left = y - length // 2, x - length // 2
        image[channels, max(top, 0):max(top + length, 0), max(left, 0):max(left + length, 0)] = value
    return cut


right("6.1")(cut_by_loops)
right("6.1")(lambda *inputs: cut_by_loops(*inputs).float().numpy())
wrong("6.1", "through all channels")(lambda *inputs: cut_by_loops(*inputs, channels=slice(0, 1)))
wrong("6.1", "all else stays as it is")(lambda *inputs: cut_by_loops(*inputs, value=0.5))
wrong("6.1", "nothing was erased")(lambda pixels, y, x, length: pixels.clone())
wrong("6.1", "its own centre")(lambda pixels, y, x, n: cut_by_loops(pixels, y[:1].expand_as(y), x[:1].expand_as(x), n))
wrong("6.1", "rows and columns are exchanged")(lambda pixels, y, x, length: cut_by_loops(pixels, x, y, length))
wrong("6.1", "the square starts length // 2")(lambda pixels, y, x, length: cut_by_loops(pixels, y, x, 4))


@wrong("6.1", "not moved inside")
def _(pixels, centre_y, centre_x, length):
    half, (height, width) = length // 2, pixels.shape[2:]
    return cut_by_loops(pixels, centre_y.clamp(half, height - length + half), centre_x.clamp(half, width - length + half), length)


@wrong("6.1", "pixels are 0, expected")
def _(pixels, centre_y, centre_x, length):                          # negative starts count from the end
    cut = pixels.clone()
    for image, y, x in zip(cut, centre_y.tolist(), centre_x.tolist()):
        image[:, y - length // 2:y - length // 2 + length, x - length // 2:x - length // 2 + length] = 0
    return cut


@wrong("6.1", "changed its input `pixels`")
def _(pixels, centre_y, centre_x, length):
    return pixels.copy_(cut_by_loops(pixels, centre_y, centre_x, length))


@right("6.1")
def _(pixels, centre_y, centre_x, length):
    mask = torch.ones_like(pixels)
    for number in range(len(pixels)):
        for row in range(pixels.shape[2]):
            for column in range(pixels.shape[3]):
                if 0 <= row - centre_y[number] + length // 2 < length and 0 <= column - centre_x[number] + length // 2 < length:
                    mask[number, :, row, column] = 0
    return pixels * mask


# --- 6.2 ---
wrong("6.2", "has not been enlarged")(lambda outputs, kept, rate: outputs * kept[:, None, None, None])
wrong("6.2", "not by the rate")(lambda outputs, kept, rate: outputs * kept[:, None, None, None] / rate if rate else outputs)
wrong("6.2", "this batch happens to keep")(lambda outputs, kept, rate: outputs * kept[:, None, None, None] / kept.mean())
wrong("6.2", "1 where the path stays")(lambda outputs, kept, rate: outputs * (1 - kept)[:, None, None, None] / (1 - rate))
wrong("6.2", "whatever the rate is")(lambda outputs, kept, rate: outputs * kept[:, None, None, None] * 1.25)
wrong("6.2", "images with kept = 1 grow by")(lambda outputs, kept, rate: outputs * kept[:, None, None, None] * (1 + rate))
wrong("6.2", "images with kept = 1 grow by")(lambda outputs, kept, rate: outputs / (1 - rate))
right("6.2")(lambda outputs, kept, rate: torch.einsum("bchw,b->bchw", outputs, kept / (1 - rate)))
right("6.2")(lambda outputs, kept, rate: outputs.numpy() * (kept.numpy() / (1 - rate)).reshape(-1, 1, 1, 1))
right("6.2")(lambda outputs, kept, rate: torch.stack([image / (1 - rate) if k else 0 * image for image, k in zip(outputs, kept)]))
right("6.2")(lambda outputs, kept, rate: outputs.clone().mul_(kept.view(-1, 1, 1, 1)).div_(1 - rate))


@wrong("6.2", "changed its input `outputs`")
def _(outputs, kept, rate):
    outputs[kept == 0] = 0
    outputs /= 1 - rate
    return outputs


# --- 6.3 ---
wrong("6.3", "n - 1")(lambda a, b: (a.mean() - b.mean(), np.sqrt(a.var() / len(a) + b.var() / len(b))))
wrong("6.3", "spread of single trainings")(lambda a, b: (a.mean() - b.mean(), np.sqrt(a.var(ddof=1) + b.var(ddof=1))))
wrong("6.3", "variances")(lambda a, b: (a.mean() - b.mean(), a.std(ddof=1) / len(a)**.5 + b.std(ddof=1) / len(b)**.5))
wrong("6.3", "second mean")(lambda a, b: (a.mean() - b.mean(), a.std(ddof=1) / len(a)**.5))
wrong("6.3", "its own n")(lambda a, b: (a.mean() - b.mean(), np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))))
wrong("6.3", "minus the mean of b")(lambda a, b: (b.mean() - a.mean(), np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))))
wrong("6.3", "sqrt(s_a^2")(lambda a, b: (a.mean() - b.mean(), np.sqrt(a.var(ddof=1) / 3 + b.var(ddof=1) / 5)))
wrong("6.3", "list or tuple of 2")(lambda a, b: a.mean() - b.mean())
right("6.3")(lambda a, b: (statistics.mean(a) - statistics.mean(b),
                           math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))))
right("6.3")(lambda a, b: [a.mean() - b.mean(), np.hypot(a.std(ddof=1) / len(a)**.5, b.std(ddof=1) / len(b)**.5)])


@right("6.3")
def _(a, b):
    a, b = (torch.tensor(values, dtype=torch.float32) for values in (a, b))
    return a.mean() - b.mean(), (a.var() / len(a) + b.var() / len(b)).sqrt()


# --- 8.1 ---
@right("8.1")
def _(valid, test, k):
    total = 0
    for level in set(valid):
        gained = np.mean(valid <= level) ** k - np.mean(valid < level) ** k
        total += gained * test[valid == level].mean()
    return total


@right("8.1")
def _(valid, test, k):
    levels, counts = torch.unique(torch.tensor(valid), return_counts=True)
    F = counts.cumsum(0) / len(valid)
    means = torch.stack([torch.tensor(test)[torch.tensor(valid) == level].mean() for level in levels])
    return (torch.diff(F**k, prepend=torch.zeros(1)) * means).sum()


@right("8.1")
def _(valid, test, k):
    F = np.array([np.mean(valid <= v) for v in valid])
    below = np.array([np.mean(valid < v) for v in valid])
    return np.sum((F**k - below**k) / (len(valid) * (F - below)) * test)


@wrong("8.1", "are one level")
def _(valid, test, k):
    places = np.arange(1, len(valid) + 1) / len(valid)
    return (np.diff(places**k, prepend=0) * test[np.argsort(valid, kind="stable")]).sum()


@wrong("8.1", "winner's level")
def _(valid, test, k):                                              # without replacement
    n = min(len(valid), 8)
    best = [max(draw, key=lambda i: valid[i]) for draw in itertools.combinations(range(n), min(k, n))]
    return test[best].mean()


wrong("8.1", "cannot see test accuracy")(lambda valid, test, k: RIGHT["8.1"][0](test, test, k))
wrong("8.1", "asked is the winner's *test*")(lambda valid, test, k: RIGHT["8.1"][0](valid, valid, k))
wrong("8.1", "k has no effect")(lambda valid, test, k: np.mean(test))
wrong("8.1", "winner's level")(lambda valid, test, k: RIGHT["8.1"][0](valid, test, 2))


@wrong("8.1", "changed its input `valid`")
def _(valid, test, k):
    answer = RIGHT["8.1"][0](valid, test, k)
    valid.sort()
    return answer


# --- 8.2 ---
def child_of(parent, edge, op):
    return [*parent[:edge], op, *parent[edge + 1:]]


@wrong("8.2", "changed its input `parent`")
def _(parent, rng):
    edge = rng.integers(6)
    parent[edge] = rng.choice([op for op in OPS if op != parent[edge]])
    return parent


wrong("8.2", "equal to its parent")(lambda parent, rng: child_of(parent, rng.integers(6), rng.choice(OPS)))
wrong("8.2", "edges, only one may change")(lambda parent, rng: [OPS[OPS.index(op) - 1] for op in parent])
wrong("8.2", "is no operation of this space")(lambda parent, rng: child_of(parent, rng.integers(6), "conv_3x3"))


@wrong("8.2", "each should be as likely")
def _(parent, rng):
    node = rng.integers(3)
    edge = (0, 1, 3)[node] + rng.integers(node + 1)
    return child_of(parent, edge, rng.choice([op for op in OPS if op != parent[edge]]))


@wrong("8.2", "where about 50 are expected")
def _(parent, rng):
    edge = rng.integers(6)
    return child_of(parent, edge, OPS[(OPS.index(parent[edge]) + rng.integers(1, 4)) % 5])


@wrong("8.2", "draw from `rng`")
def _(parent, rng):
    own = np.random.default_rng()
    edge = own.integers(6)
    return child_of(parent, edge, own.choice([op for op in OPS if op != parent[edge]]))


@right("8.2")
def _(parent, rng):
    edge = int(6 * rng.random())
    while (op := OPS[int(rng.integers(5))]) == parent[edge]:
        pass
    return tuple(child_of(parent, edge, op))


@right("8.2")
def _(parent, rng):
    child = np.array(parent, dtype="U20")
    edge = rng.permutation(6)[0]
    child[edge] = rng.choice(sorted(set(OPS) - {parent[edge]}))
    return child


@right("8.2")
def _(parent, rng):
    children = [child_of(parent, edge, op) for edge in range(6) for op in OPS if op != parent[edge]]
    return children[rng.integers(24)]


# --- 9.1 ---
def places(values):
    return [sum(other < value for other in values) for value in values]


wrong("9.1", "Only the order counts")(lambda a, b: np.corrcoef(a, b)[0, 1])
wrong("9.1", "the place of each cell")(lambda a, b: np.corrcoef(np.argsort(a), np.argsort(b))[0, 1])
wrong("9.1", "share of cells")(lambda a, b: np.mean(np.array(places(a)) == places(b)))
wrong("9.1", "backwards")(lambda a, b: np.corrcoef(places(a), places(-b))[0, 1])
wrong("9.1", "no absolute value")(lambda a, b: abs(np.corrcoef(places(a), places(b))[0, 1]))
wrong("9.1", "should be a number")(lambda a, b: np.corrcoef(places(a), places(b)))
wrong("9.1", "Kendall")(lambda a, b: np.mean([np.sign((a[i] - a[j]) * (b[i] - b[j]))
                                              for i, j in itertools.combinations(range(len(a)), 2)]))
right("9.1")(lambda a, b: 1 - 6 * sum((p - q) ** 2 for p, q in zip(places(a), places(b))) / (len(a) ** 3 - len(a)))
right("9.1")(lambda a, b: statistics.correlation(places(a), places(b)))
right("9.1")(lambda a, b: torch.corrcoef(torch.tensor(np.array([a, b])).argsort(-1).argsort(-1).float())[0, 1])


# --- 9.2 ---
def first_where(rule):
    return lambda skips, limit, after: next((n for n, count in enumerate(skips, 1) if rule(n, count, limit, after)), None)


wrong("9.2", "reach the limit already")(first_where(lambda n, count, limit, after: n > after and count > limit))
wrong("9.2", "jump over the limit")(first_where(lambda n, count, limit, after: n > after and count == limit))
wrong("9.2", "not always 2")(first_where(lambda n, count, limit, after: n > after and count >= 2))
wrong("9.2", "are not looked at")(first_where(lambda n, count, limit, after: count >= limit))
wrong("9.2", "includes the second")(first_where(lambda n, count, limit, after: n >= after and count >= limit))
wrong("9.2", "the first epoch makes 1")(
    lambda skips, limit, after: next((n for n, count in enumerate(skips) if n >= after and count >= limit), None))
wrong("9.2", "for its own cell")(
    lambda skips, limit, after: next((n for n in range(after + 1, len(skips) + 1) if sum(skips[:n]) >= limit), None))
wrong("9.2", "return None")(
    lambda skips, limit, after: next((n for n, count in enumerate(skips, 1) if n > after and count >= limit), len(skips)))
wrong("9.2", "is there a `return`?")(lambda skips, limit, after: None)
wrong("9.2", "is None, not")(first_where(lambda n, count, limit, after: n > 2 and count >= limit))


@wrong("9.2", "changed its input `skips`")
def _(skips, limit, after):
    n = 0
    while skips:
        n, count = n + 1, skips.pop(0)
        if n > after and count >= limit:
            return n
    return None


@right("9.2")
def _(skips, limit, after):
    hits = np.nonzero(np.array(skips[after:], dtype=int) >= limit)[0]
    return after + 1 + hits[0] if len(hits) else None


@right("9.2")
def _(skips, limit, after):
    for epoch in range(after, len(skips)):
        if skips[epoch] >= limit:
            return torch.tensor(epoch + 1)


right("9.2")(lambda skips, limit, after: min((n + 1 for n in range(after, len(skips)) if skips[n] >= limit), default=None))

# --- 10.1 ---
def square_of(width, height, side):
    return (width - side) // 2, (height - side) // 2, (width - side) // 2 + side, (height - side) // 2 + side


wrong("10.1", "not in the middle")(lambda w, h: (0, 0, min(w, h), min(w, h)))
wrong("10.1", "is it the shorter side")(lambda w, h: square_of(w, h, max(w, h)))
wrong("10.1", "is no square")(lambda w, h: (0, 0, w, h))
wrong("10.1", "order is left")(lambda w, h: square_of(h, w, min(w, h)))
wrong("10.1", "unless you mean a size")(lambda w, h: (*square_of(w, h, min(w, h))[:2], min(w, h), min(w, h)))
wrong("10.1", "half pixels")(lambda w, h: ((w - min(w, h)) / 2, (h - min(w, h)) / 2, (w + min(w, h)) / 2, (h + min(w, h)) / 2))
wrong("10.1", "the largest square")(lambda w, h: (w // 2 - min(w, h) // 4, h // 2 - min(w, h) // 4,
                                                  w // 2 + min(w, h) // 4, h // 2 + min(w, h) // 4))
wrong("10.1", "of 4")(lambda w, h: min(w, h))
right("10.1")(lambda w, h: [(w - h) // 2, 0, (w - h) // 2 + h, h] if w > h else [0, (h - w) // 2, w, (h - w) // 2 + w])
right("10.1")(lambda w, h: np.array([w, h, w, h]) // 2 + np.array([-(min(w, h) // 2)] * 2 + [min(w, h) - min(w, h) // 2] * 2)
              if w % 2 == h % 2 else RIGHT["10.1"][0](w, h))
right("10.1")(lambda w, h: torch.tensor(RIGHT["10.1"][0](w, h)))
right("10.1")(lambda w, h: tuple((side + sign * min(w, h) + 1) // 2 for sign in (-1, 1) for side in (w, h)))

# --- 10.2 ---
wrong("10.2", "plain accuracy")(lambda counts: 100 * np.trace(counts) / counts.sum())
wrong("10.2", "rows are the true classes")(lambda counts: 100 * np.mean(np.diag(counts) / counts.sum(0)))
wrong("10.2", "the row's own sum")(lambda counts: 100 * np.mean(np.diag(counts) / counts.sum()))
wrong("10.2", "in percent")(lambda counts: np.mean(np.diag(counts) / counts.sum(1)))
wrong("10.2", "more than two classes")(lambda counts: 50 * (np.diag(counts) / counts.sum(1)).sum())
wrong("10.2", "mean over classes")(lambda counts: 50 * (counts[0, 0] / counts[0].sum() + counts[1, 1] / counts[1].sum()))
wrong("10.2", "shares of the classes")(lambda counts: 100 * np.diag(counts) / counts.sum(1))
right("10.2")(lambda counts: 100 * sum(row[k] / sum(row) for k, row in enumerate(counts.tolist())) / len(counts))
right("10.2")(lambda counts: 100 * (torch.tensor(counts).diag() / torch.tensor(counts).sum(1)).mean())
right("10.2")(lambda counts: np.trace(counts / counts.sum(1, keepdims=True)).astype(np.float32) / len(counts) * 100)


@wrong("10.2", "should be a number, got")
def _(counts):
    return (100 * np.diag(counts) / counts.sum(1)).mean


# --- 11.1 ---
wrong("11.1", "that is top-1")(lambda logits, labels: 100 * (logits.argmax(1) == labels).float().mean())
wrong("11.1", "*smallest*")(lambda logits, labels: 100 * (logits.argsort(1)[:, :5] == labels[:, None]).any(1).float().mean())
wrong("11.1", "in percent")(lambda logits, labels: (logits.topk(5).indices == labels[:, None]).any(1).float().mean())
wrong("11.1", "count images, not guesses")(lambda logits, labels: 100 * (logits.topk(5)[1] == labels[:, None]).float().mean())
wrong("11.1", "*of each image*")(lambda logits, labels: 100 * (logits.topk(5, 0).indices[0] == labels[0]).float().mean())
wrong("11.1", "*of each image*")(
    lambda logits, labels: 100 * (logits.abs().topk(5).indices == labels[:, None]).any(1).float().mean())
wrong("11.1", "is the percentage")(lambda logits, labels: (logits.topk(5).indices == labels[:, None]).sum())
right("11.1")(lambda logits, labels: 100 * np.mean([y in np.argsort(-row)[:5] for row, y in zip(logits.numpy(), labels.numpy())]))
right("11.1")(lambda logits, labels: (logits.topk(5).indices == labels.view(-1, 1)).sum() / len(labels) * 100)
right("11.1")(lambda logits, labels: 100 * ((logits > logits.gather(1, labels[:, None])).sum(1) < 5).double().mean())

# --- 11.2 ---
wrong("11.2", "weigh twice as much")(lambda sizes: [1 for _ in sizes])
wrong("11.2", "*averaged* over the processes")(lambda sizes: [x / sum(sizes) for x in sizes])
wrong("11.2", "*larger* part weighs more")(lambda sizes: [sum(sizes) / len(sizes) / x for x in sizes])
wrong("11.2", "number of images is missing")(lambda sizes: [x / len(sizes) for x in sizes])
wrong("11.2", "the first part")(lambda sizes: [x / sizes[0] for x in sizes])
wrong("11.2", "the average over processes")(lambda sizes: [x / max(sizes) for x in sizes])
wrong("11.2", "the average over processes")(lambda sizes: [3 * x / sum(sizes) for x in sizes])
right("11.2")(lambda sizes: np.array(sizes) / np.mean(sizes))
right("11.2")(lambda sizes: torch.tensor(sizes) / torch.tensor(sizes, dtype=torch.float32).mean())
right("11.2")(lambda sizes: tuple(Fraction(len(sizes) * x, sum(sizes)) for x in sizes))

# --- 12.1 ---
wrong("12.1", "the last, short batch")(lambda s, images, batch, epochs: epochs * (images // batch) * s / 86400)
wrong("12.1", "not two and a half")(lambda s, images, batch, epochs: epochs * images / batch * s / 86400)
wrong("12.1", "there is no short one")(lambda s, images, batch, epochs: epochs * (images // batch + 1) * s / 86400)
wrong("12.1", "1 day")(lambda s, images, batch, epochs: epochs * math.ceil(images / batch) * s / 3600)
wrong("12.1", "whole batch")(lambda s, images, batch, epochs: epochs * images * s / 86400)
wrong("12.1", "round up before")(lambda s, images, batch, epochs: math.ceil(epochs * images / batch) * s / 86400)
wrong("12.1", "`epochs` has no effect")(lambda s, images, batch, epochs: math.ceil(images / batch) * s / 86400)
right("12.1")(lambda s, images, batch, epochs: epochs * math.ceil(images / batch) * s / 3600 / 24)
right("12.1")(lambda s, images, batch, epochs: np.ceil(np.float32(images / batch)) * np.float32(s) * epochs / np.float32(86400))
right("12.1")(lambda s, images, batch, epochs: torch.tensor(s * len(range(0, images, batch)) * epochs) / (60 * 60 * 24))


# --- 3.4, 3.5 ---
def hard(p):
    return torch.zeros_like(p).scatter(1, p.argmax(1, keepdim=True), 1)


def soft(alpha, gumbel, tau):
    return ((alpha + gumbel) / tau).softmax(1)


wrong("3.4", "that is the soft sample")(soft)
wrong("3.4", "no gradient reaches alpha")(lambda *inputs: hard(soft(*inputs)))
wrong("3.4", "tau has no effect")(lambda alpha, gumbel, tau: hard(alpha + gumbel) + (p := soft(alpha, gumbel, 1)) - p.detach())
wrong("3.4", "the noise has no effect")(lambda alpha, gumbel, tau: hard(alpha) + (p := soft(alpha, 0, tau)) - p.detach())
wrong("3.4", "is not one-hot")(lambda alpha, gumbel, tau: F.gumbel_softmax(alpha, tau, hard=True))
wrong("3.4", "its gradient is not")(lambda *inputs: hard(soft(*inputs)) - (p := soft(*inputs)) + p.detach())
right("3.4")(lambda *inputs: hard(soft(*inputs)) - (p := soft(*inputs)).detach() + p)
right("3.4")(lambda alpha, gumbel, tau: hard(alpha + gumbel) + (p := soft(alpha.log_softmax(1), gumbel, tau)) - p.detach())
right("3.4")(lambda *inputs: torch.stack([one + (p - p.detach()) for p, one in zip(soft(*inputs), hard(soft(*inputs)))]))


def cell(x, weights, operations, order=(0, 1, 2, 3, 4, 5), weigh=lambda w: w, columns=lambda row: [row.argmax()],
         mean=False):
    def edge(row, state):
        return sum(weigh(weights[row, k]) * operations[row][k](state) for k in columns(weights[row]))

    a, b, c, d, e, f = order
    first = edge(a, x)
    second = (edge(b, x) + edge(c, first)) / (2 if mean else 1)
    return (edge(d, x) + edge(e, first) + edge(f, second)) / (3 if mean else 1)


wrong("3.5", "multiply each operation's output")(lambda *inputs: cell(*inputs, weigh=lambda weight: weight.detach()))
wrong("3.5", "30 operations ran")(lambda *inputs: cell(*inputs, columns=lambda row: range(5)))
wrong("3.5", "is the sum over the edges")(lambda *inputs: cell(*inputs, mean=True))
wrong("3.5", "in the order")(lambda *inputs: cell(*inputs, order=(0, 1, 3, 2, 4, 5)))
wrong("3.5", "is the sum over the edges")(lambda x, weights, operations: x)
right("3.5")(cell)
right("3.5")(lambda *inputs: cell(*inputs, columns=lambda row: row.nonzero().flatten().tolist()))


@right("3.5")
def _(x, weights, operations):
    nodes = [x]
    for node in (1, 2, 3):
        rows = range(node * (node - 1) // 2, node * (node + 1) // 2)
        nodes.append(torch.stack([weights[row].max() * operations[row][weights[row].argmax()](nodes[source])
                                  for source, row in enumerate(rows)]).sum(0))
    return nodes[-1]


# --- more of the kinds that earlier checks accepted: a curve through the points looked at, an argument ignored, a sign lost ---
wrong("2.1", "fixed by these two rows")(lambda alpha, gumbel: int((alpha.exp() + gumbel).argmax()))
wrong("2.1", "fixed by these two rows")(lambda alpha, gumbel: 3)
wrong("2.2", "sums to")(lambda g, p, tau: p * (g - g.mean()) / tau)
wrong("2.2", "autograd finds")(lambda g, p, tau: p * (g - (g * p).sum()) / tau**2)
wrong("2.3", "sums to")(lambda losses, alpha: alpha.softmax(0) * (1 - alpha.softmax(0)) * losses)
wrong("3.1", "straight line")(lambda e, n: 10 if e == 0 else 0.1 if e == n - 1 else 5.05)
wrong("3.1", "straight line")(lambda e, n: 10 - 9.9 * e / n if e < n - 1 else 0.1)
wrong("3.3", "the largest alpha")(lambda alpha, names: [names[k] for k in (alpha - alpha.mean(0)).argmax(1)])
wrong("4.1", "softmax(alpha)_k times row k")(lambda alpha, outputs: alpha.softmax(0) @ outputs.abs())
wrong("4.2", "the rate multiplies all of it")(lambda w, g, v, rate, m, decay: w - rate * (m * v + (1 - m) * g + decay * w))
wrong("4.3", "on both sides")(lambda f, w, u: (f(w + 1e-6 * u) - f(w)) / 1e-6)
wrong("6.2", "images with kept = 1 grow by")(lambda o, kept, rate: o.abs() * kept[:, None, None, None] / (1 - rate))
wrong("6.3", "sqrt(s_a^2")(lambda a, b: (np.median(a) - np.median(b), np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))))
wrong("9.2", "return None, not 0")(
    lambda skips, limit, after: next((n for n, count in enumerate(skips, 1) if n > after and count >= limit), 0))
wrong("9.2", "the first epoch after")(
    lambda skips, limit, after: next((n for n, count in enumerate(skips[after:], 1) if count >= limit), None))
wrong("10.1", "does not lie inside")(lambda w, h: (abs(w - h) // 2, 0, abs(w - h) // 2 + min(w, h), min(w, h)))
wrong("10.2", "mean over classes")(lambda counts: 50 * (counts[0, 0] / counts[0].sum() + counts[-1, -1] / counts[-1].sum()))
wrong("11.2", "the average over processes")(lambda sizes: [x / np.median(sizes) for x in sizes])
wrong("12.1", "an epoch as many steps")(lambda s, images, batch, epochs: s * epochs * round(images / batch) / 86400)
