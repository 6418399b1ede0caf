"""Answers to the exercises in which a search is built (0.1, 3.6 to 3.8, 4.4 to 4.6, 8.3 to 8.5): see answers.py."""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.lessons.building import EDGES

from .answers import right, wrong

# --- 0.1 ---
wrong("0.1", "do not count as better")(lambda every, one: (sum(a >= one for a in every) + 1, max(every) - one))
wrong("0.1", "rank 1, not 0")(lambda every, one: (sorted(every, reverse=True).index(one), max(every) - one))
wrong("0.1", "not the worst")(lambda every, one: (1 + sorted(every).index(one), max(every) - one))
wrong("0.1", "at least 0")(lambda every, one: (1 + sum(a > one for a in every), one - max(every)))
wrong("0.1", "not against 100")(lambda every, one: (1 + sum(a > one for a in every), 100 - one))
wrong("0.1", "each counts")(lambda every, one: (1 + sorted(set(every), reverse=True).index(one), max(every) - one))
wrong("0.1", "the best minus this one")(lambda every, one: (sum(a >= one for a in every), max(every) - one))
wrong("0.1", "list or tuple of 2")(lambda every, one: 1 + sum(a > one for a in every))
wrong("0.1", "strictly better")(lambda every, one: (1 + sum(a > one + 0.5 for a in every), max(every) - one))
right("0.1")(lambda every, one: (1 + sorted(every, reverse=True).index(one), max(every) - one))
right("0.1")(lambda every, one: np.array([1 + (np.array(every) > one).sum(), np.max(every) - one]))
right("0.1")(lambda every, one: [torch.tensor(every).gt(one).sum() + 1, torch.tensor(every).max() - one])


@wrong("0.1", "changed its input `accuracies`")
def _(every, one):
    every.sort(reverse=True)
    return every.index(one) + 1, every[0] - one


# --- 3.6 ---
def loss_of(supernet, mixture, batch):
    return F.cross_entropy(supernet(batch[0], {"cell": mixture}), batch[1])


def stepped(zero=lambda sgd: sgd.zero_grad(set_to_none=False), clip=nn.utils.clip_grad_norm_, constant=True, steps=1,
            scale=1.0):
    def step(supernet, mixture, batch, sgd, limit):
        zero(sgd)
        loss = loss_of(supernet, mixture.detach() if constant else mixture, batch)
        (scale * loss).backward()
        clip(supernet.parameters(), limit)
        for _ in range(steps):
            sgd.step()
        return loss.item()
    return step


wrong("3.6", "set them to zero first")(stepped(zero=lambda sgd: None))
wrong("3.6", "momentum and its decay")(stepped(zero=lambda sgd: sgd.zero_grad()))
wrong("3.6", "are not clipped")(stepped(clip=lambda params, limit: None))
wrong("3.6", "not each entry")(stepped(clip=nn.utils.clip_grad_value_))
wrong("3.6", "whatever it is")(stepped(clip=lambda params, limit: nn.utils.clip_grad_norm_(params, 1)))
wrong("3.6", "has got a gradient")(stepped(constant=False))
wrong("3.6", "the weights have not moved")(stepped(steps=0))
wrong("3.6", "the weights are not where")(stepped(steps=2))
wrong("3.6", "the weights are not where")(stepped(scale=-1.0))
wrong("3.6", "the weights are not where")(stepped(clip=lambda params, limit: [
    nn.utils.clip_grad_norm_([param], limit) for param in params]))


@wrong("3.6", "are not clipped")
def _(supernet, mixture, batch, sgd, limit):                        # after the step
    loss = stepped(clip=lambda params, limit: None)(supernet, mixture, batch, sgd, limit)
    nn.utils.clip_grad_norm_(supernet.parameters(), limit)
    return loss


@wrong("3.6", "of the batch, before the step")
def _(supernet, mixture, batch, sgd, limit):
    stepped()(supernet, mixture, batch, sgd, limit)
    return loss_of(supernet, mixture, batch)


@wrong("3.6", "the weights are not where")
def _(supernet, mixture, batch, sgd, limit):                        # plain gradient descent, no optimiser
    loss = stepped(steps=0)(supernet, mixture, batch, sgd, limit)
    with torch.no_grad():
        for param in supernet.parameters():
            param -= 0.1 * param.grad
    return loss


right("3.6")(stepped())
right("3.6")(lambda supernet, mixture, batch, sgd, limit: torch.tensor(
    stepped(zero=lambda sgd: supernet.zero_grad(set_to_none=False))(supernet, mixture.detach(), batch, sgd, limit)))


@right("3.6")
def _(supernet, mixture, batch, sgd, limit):
    supernet.train()
    params = list(supernet.parameters())
    loss = loss_of(supernet, mixture.detach(), batch)
    gradients = torch.autograd.grad(loss, params, allow_unused=True)
    gradients = [torch.zeros_like(w) if g is None else g for w, g in zip(params, gradients)]
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    for w, g in zip(params, gradients):
        w.grad = g * min(1, limit / (norm.item() + 1e-6))
    sgd.step()
    return loss.detach()


# --- 3.7 ---
@wrong("3.7", "of earlier steps")
def _(supernet, mixture, batch, alpha, adam):
    loss = loss_of(supernet, mixture, batch)
    loss.backward()
    adam.step()
    return loss.item()


@wrong("3.7", "uphill")
def _(supernet, mixture, batch, alpha, adam):
    loss = loss_of(supernet, mixture, batch)
    alpha.grad, = torch.autograd.grad(-loss, alpha)
    adam.step()
    return loss.item()


@wrong("3.7", "they are constants in an alpha step")
def _(supernet, mixture, batch, alpha, adam):                       # moves the weights, too
    loss = loss_of(supernet, mixture, batch)
    adam.zero_grad()
    loss.backward()
    adam.step()
    with torch.no_grad():
        for param in supernet.parameters():
            param -= 0.01 * (param.grad if param.grad is not None else 0)
    return loss.item()


@wrong("3.7", "Adam along its own gradient")
def _(supernet, mixture, batch, alpha, adam):                       # plain gradient descent
    loss = loss_of(supernet, mixture, batch)
    with torch.no_grad():
        alpha -= 0.05 * torch.autograd.grad(loss, alpha)[0]
    return loss.item()


@wrong("3.7", "Adam along its own gradient")
def _(supernet, mixture, batch, alpha, adam):
    for _ in range(2):
        adam.zero_grad()
        loss = loss_of(supernet, mixture, batch)
        loss.backward(retain_graph=True)
        adam.step()
    return loss.item()


wrong("3.7", "alpha has not moved")(lambda supernet, mixture, batch, *rest: loss_of(supernet, mixture, batch).item())


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    adam.zero_grad()
    loss = loss_of(supernet, mixture, batch)
    loss.backward()
    adam.step()
    return loss


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    for param in supernet.parameters():
        param.requires_grad_(False)
    loss = loss_of(supernet, mixture, batch)
    alpha.grad = None
    loss.backward()
    adam.step()
    for param in supernet.parameters():
        param.requires_grad_(True)
    return loss.detach().numpy()


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    loss = loss_of(supernet, mixture, batch)
    towards_mixture, = torch.autograd.grad(loss, mixture, retain_graph=True)
    alpha.grad = torch.autograd.grad(mixture, alpha, towards_mixture)[0]
    adam.step()
    return loss.item()


# --- 3.8 ---
def looped(body, keep=lambda alpha: alpha.detach().clone(), epochs_of=range):
    def search(alpha, epochs, pairs, draw, weight_step, alpha_step):
        kept = []
        for epoch in epochs_of(epochs):
            for train, valid in pairs(epoch):
                body(lambda epoch=epoch: draw(alpha, epoch), weight_step, alpha_step, train, valid)
            kept.append(keep(alpha))
        return kept
    return search


def both(draw, weights, alphas, train, valid):
    weights(draw(), train)
    alphas(draw(), valid)


wrong("3.8", "weights go first")(looped(lambda draw, w, a, train, valid: (a(draw(), valid), w(draw(), train))))
wrong("3.8", "a draw of its own")(looped(lambda draw, w, a, train, valid: (w(m := draw(), train), a(m, valid))))
wrong("3.8", "alpha on the valid batch")(looped(lambda draw, w, a, train, valid: (w(draw(), valid), a(draw(), train))))
wrong("3.8", "never saw the valid batch")(looped(lambda draw, w, a, train, valid: (w(draw(), train), a(draw(), train))))
wrong("3.8", "all entries are one tensor")(looped(both, keep=lambda alpha: alpha))
wrong("3.8", "all entries are one tensor")(looped(both, keep=lambda alpha: alpha.data))
wrong("3.8", "the history")(looped(both, epochs_of=lambda epochs: range(1, epochs)))
wrong("3.8", "yours is")(looped(both, epochs_of=lambda epochs: range(1, epochs + 1)))
wrong("3.8", "yours is `weights: draw 1")(looped(lambda draw, w, a, train, valid: w(draw(), train)))
wrong("3.8", "the history")(lambda *inputs: looped(both)(*inputs)[-1])


@wrong("3.8", "yours is")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):         # one draw for a whole epoch
    kept = []
    for epoch in range(epochs):
        mixture = draw(alpha, epoch)
        for train, valid in pairs(epoch):
            weight_step(mixture, train)
            alpha_step(mixture, valid)
        kept.append(alpha.detach().clone())
    return kept


@wrong("3.8", "the history")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):         # a copy before each epoch, too
    return [alpha.detach().clone(), *looped(both)(alpha, epochs, pairs, draw, weight_step, alpha_step)]


right("3.8")(looped(both))
right("3.8")(looped(both, keep=lambda alpha: alpha.detach().numpy().copy()))
right("3.8")(lambda *inputs: torch.stack(looped(both, keep=lambda alpha: alpha.clone())(*inputs)))
right("3.8")(lambda *inputs: tuple(looped(both, keep=lambda alpha: alpha.tolist())(*inputs)))


# --- 4.4 ---
def mixed(x, alpha, operations, weights_of=lambda row: row.softmax(0), order=EDGES, ran=range(5)):
    nodes = [x] + [torch.zeros_like(x)] * 3
    for row, (source, node) in enumerate(order):
        weights = weights_of(alpha[row])
        nodes[node] = nodes[node] + sum(weights[k] * operations[row][k](nodes[source]) for k in ran)
    return nodes[-1]


wrong("4.4", "the softmax is missing")(lambda *inputs: mixed(*inputs, weights_of=lambda row: row))
wrong("4.4", "compete along the row")(
    lambda x, alpha, operations: mixed(x, alpha.softmax(0), operations, lambda row: row))
wrong("4.4", "no detach here")(lambda *inputs: mixed(*inputs, weights_of=lambda row: row.softmax(0).detach()))
wrong("4.4", "not a mean")(lambda *inputs: mixed(*inputs, weights_of=lambda row: row.softmax(0) / 5))
wrong("4.4", "mixed by the softmax")(lambda *inputs: mixed(*inputs, ran=range(1, 5)))
wrong("4.4", "mixed by the softmax")(
    lambda *inputs: mixed(*inputs, order=((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))))
wrong("4.4", "mixed by the softmax")(lambda x, alpha, operations: mixed(x, alpha, operations) + x)
wrong("4.4", "mixed by the softmax")(
    lambda *inputs: mixed(*inputs, weights_of=lambda row: F.one_hot(row.argmax(), 5).to(row)))
wrong("4.4", "60 operations ran")(lambda *inputs: (mixed(*inputs), mixed(*inputs))[0])
right("4.4")(mixed)
right("4.4")(lambda x, alpha, operations: mixed(x, alpha.softmax(-1), operations, lambda row: row))


@right("4.4")
def _(x, alpha, operations):
    a = torch.einsum("k,k...->...", alpha[0].softmax(0), torch.stack([f(x) for f in operations[0]]))
    b = sum(p * f(x) for p, f in zip(alpha[1].softmax(0), operations[1]))
    b = b + sum(p * f(a) for p, f in zip(alpha[2].softmax(0), operations[2]))
    into = zip((x, a, b), alpha[3:].softmax(1), operations[3:])
    return sum(p * f(node) for node, row, functions in into for p, f in zip(row, functions))


# --- 4.5 ---
def norm_of(parts):
    return torch.cat([part.flatten() for part in parts]).norm()


def moved(train_loss, weights, alpha, u, eps, back=True, per_part=False):
    """Two gradients at w + eps u and w - eps u, the weights moved in place."""
    found, total = [], 0
    for step in (eps, -2 * eps):
        with torch.no_grad():
            for w, part in zip(weights, u):
                w += step * part / (part.norm() / norm_of(u) if per_part else 1)
        found += torch.autograd.grad(train_loss(), alpha)
        total += step
    if back:
        with torch.no_grad():
            for w, part in zip(weights, u):
                w += eps * part
    return found


def product_of(train_loss, weights, alpha, u, eps_of=lambda u: 0.01 / norm_of(u), divide=2.0, **options):
    eps = eps_of(u)
    plus, minus = moved(train_loss, weights, alpha, u, eps, **options)
    return (plus - minus) / (divide * eps)


wrong("4.5", "not put back")(lambda *inputs: product_of(*inputs, back=False))
wrong("4.5", "divide by 2 eps")(lambda *inputs: product_of(*inputs, divide=1.0))
wrong("4.5", "0.01 / ||u||")(lambda *inputs: product_of(*inputs, eps_of=lambda u: torch.tensor(0.01)))
wrong("4.5", "divided by 2 eps")(lambda *inputs: product_of(*inputs, eps_of=lambda u: 3 / norm_of(u)))
wrong("4.5", "turned round")(lambda *inputs: -product_of(*inputs))
wrong("4.5", "divided by 2 eps")(
    lambda f, w, alpha, u: product_of(f, w, alpha, u) * (2 * 0.01 / norm_of(u)) ** 2)      # the bug of 4.3
wrong("4.5", "divided by 2 eps")(lambda f, w, alpha, u: product_of(f, w, alpha, [u[0], torch.zeros_like(u[1])]))


@wrong("4.5", "use both")
def _(train_loss, weights, alpha, u):
    before, = torch.autograd.grad(train_loss(), alpha)
    eps = 0.01 / norm_of(u)
    with torch.no_grad():
        for w, part in zip(weights, u):
            w.add_(part, alpha=eps.item())
    after, = torch.autograd.grad(train_loss(), alpha)
    with torch.no_grad():
        for w, part in zip(weights, u):
            w.sub_(part, alpha=eps.item())
    return (after - before) / eps


@wrong("4.5", "changed its input `u`")
def _(train_loss, weights, alpha, u):
    eps = 0.01 / norm_of(u)
    for part in u:
        part *= eps
    plus, minus = moved(train_loss, weights, alpha, u, 1.0)
    return (plus - minus) / (2 * eps)


@wrong("4.6", "changed its input `velocities`")
def _(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay):
    for v in velocities:
        v *= momentum
    return second(train_loss, valid_loss, weights, alpha, velocities, rate, 1.0, decay)


@wrong("3.6", "changed its input `batch`")
def _(supernet, mixture, batch, sgd, limit):
    batch[0].div_(batch[0].abs().max())
    return stepped()(supernet, mixture, batch, sgd, limit)


right("4.5")(product_of)


@right("4.5")
def _(train_loss, weights, alpha, u):
    kept, eps = [w.clone() for w in weights], 0.01 / sum((part**2).sum() for part in u).sqrt().item()
    found = []
    for sign in (-1, 1):
        for w, old, part in zip(weights, kept, u):
            w.data = old.data + sign * eps * part
        alpha.grad = None
        train_loss().backward()
        found.append(alpha.grad.clone())
    for w, old in zip(weights, kept):
        w.data.copy_(old)
    return ((found[1] - found[0]) / eps / 2).numpy()


@right("4.5")
def _(train_loss, weights, alpha, u):                               # twice differentiated
    first, = torch.autograd.grad(train_loss(), alpha, create_graph=True)
    return [sum((g * part).sum() for g, part in zip(torch.autograd.grad(entry, weights, retain_graph=True), u))
            for entry in first]


# --- 4.6 ---
def second(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay, around_virtual=False, back=True,
           xi=None, sign=-1, clip=None, product=product_of):
    before = [w.detach().clone() for w in weights]
    gradients = torch.autograd.grad(train_loss(), weights)
    virtual = [w - rate * (momentum * v + g + decay * w) for w, g, v in zip(before, gradients, velocities)]
    for w, there in zip(weights, virtual):
        w.data.copy_(there)
    d, *u = torch.autograd.grad(valid_loss(), [alpha, *weights])
    if not around_virtual:
        for w, old in zip(weights, before):
            w.data.copy_(old)
    found = d + sign * (rate if xi is None else xi) * product(train_loss, weights, alpha, u)
    if back:
        for w, old in zip(weights, before):
            w.data.copy_(old)
    return found


wrong("4.6", "that is first order")(lambda f, g, w, alpha, *rest: torch.autograd.grad(g(), alpha)[0])
wrong("4.6", "belongs to w")(lambda *inputs: second(*inputs, around_virtual=True))
wrong("4.6", "not put back")(lambda *inputs: second(*inputs, around_virtual=True, back=False))
wrong("4.6", "is subtracted")(lambda *inputs: second(*inputs, sign=1))
wrong("4.6", "the learning rate")(lambda *inputs: second(*inputs, xi=1))
wrong("4.6", "d - xi times")(lambda *inputs: second(*inputs, xi=0.025))
wrong("4.6", "second term is missing")(lambda *inputs: second(*inputs, sign=0))
wrong("4.6", "halves are exchanged")(lambda f, g, *rest: second(g, f, *rest))
wrong("4.6", "velocity has no effect")(lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, v, rate, 0, decay))
wrong("4.6", "weight decay has no effect")(lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, v, rate, m, 0))
wrong("4.6", "d - xi times")(lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, v, -rate, m, decay))
wrong("4.6", "d - xi times")(
    lambda f, g, *rest: second(f, g, *rest, product=lambda f, w, a, u: product_of(g, w, a, u)))
wrong("4.6", "not put back")(
    lambda *inputs: second(*inputs, product=lambda *given: product_of(*given, back=False), back=False))
right("4.6")(second)


@right("4.6")
def _(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay):
    """Exact: differentiates through the virtual step, the losses as functions of what the weights hold."""
    kept = [w.data.clone() for w in weights]
    slope, = torch.autograd.grad(train_loss(), alpha, create_graph=True)
    gradients = torch.autograd.grad(train_loss(), weights)
    for w, g, v in zip(weights, gradients, velocities):
        w.data -= rate * (momentum * v + g + decay * w.data)
    alpha.grad = None
    for w in weights:
        w.grad = None
    valid_loss().backward()
    d, u = alpha.grad.clone(), [w.grad.clone() for w in weights]
    for w, old in zip(weights, kept):
        w.data = old
    slope, = torch.autograd.grad(train_loss(), alpha, create_graph=True)
    hvp = torch.stack([sum((g * part).sum() for g, part in zip(torch.autograd.grad(s, weights, retain_graph=True), u))
                       for s in slope])
    return (d - rate * hvp).tolist()


right("4.6")(lambda *inputs: second(*inputs).numpy())


# --- 8.3 ---
def by_loops(table, h):
    return sum(table[cell] * np.prod([h[edge, k] for edge, k in enumerate(cell)])
               for cell in itertools.product(*map(range, table.shape)))


wrong("8.3", "the wrong order")(lambda table, h: by_loops(table.T, h))
wrong("8.3", "most probable")(lambda table, h: table[tuple(np.argmax(row) for row in h)])
wrong("8.3", "h has no effect")(lambda table, h: np.mean(table))
wrong("8.3", "no mean")(lambda table, h: by_loops(table, h) / table.size)
wrong("8.3", "times the product")(lambda table, h: sum(
    table[cell] * sum(h[e, k] for e, k in enumerate(cell)) for cell in np.ndindex(table.shape)) / table.size)
wrong("8.3", "times the product")(lambda table, h: by_loops(table, h**2))
wrong("8.3", "times the product")(lambda table, h: by_loops(table, h / h.max()))
wrong("8.3", "should be a number")(lambda table, h: np.tensordot(table, h, 0))
right("8.3")(by_loops)
right("8.3")(lambda table, h: torch.from_numpy(table).float().flatten() @ torch.cartesian_prod(
    *torch.from_numpy(h).float()).reshape(table.size, -1).prod(1))


@right("8.3")
def _(table, h):
    letters = "abcdef"[:len(h)]
    return np.einsum(f"{letters},{','.join(letters)}->", table, *h)


@right("8.3")
def _(table, h):
    for row in h[::-1]:
        table = table @ row
    return table


@wrong("8.3", "changed its input `table`")
def _(table, h):
    for edge, row in enumerate(h):
        table *= row.reshape([-1 if a == edge else 1 for a in range(table.ndim)])
    return table.sum()


# --- 8.4, 8.5 ---
def differences(table, h, eps=1e-4, f=by_loops):
    found = np.zeros(h.shape)
    for place in np.ndindex(h.shape):
        up, down = h.copy(), h.copy()
        up[place] += eps
        down[place] -= eps
        found[place] = (f(table, up) - f(table, down)) / (2 * eps)
    return found


def soft(alpha, axis=1):
    return np.exp(alpha) / np.exp(alpha).sum(axis, keepdims=True)


wrong("8.4", "how much f changes")(lambda table, h: differences(table, h) - by_loops(table, h))
wrong("8.4", "do not multiply by h")(lambda table, h: h * differences(table, h))
wrong("8.4", "do not round them")(lambda table, h: differences(table, (h == h.max(1, keepdims=True)).astype(float)))
wrong("8.4", "h has no effect")(lambda table, h: np.stack(
    [table.mean(tuple(a for a in range(len(h)) if a != e)) for e in range(len(h))]))
wrong("8.4", "no mean over edges")(lambda table, h: differences(table, h) / len(h))
wrong("8.4", "by a 1 at k")(lambda table, h: -differences(table, h))
wrong("8.4", "by a 1 at k")(lambda table, h: differences(table, h) - differences(table, h).mean(1, keepdims=True))
right("8.4")(differences)
right("8.4")(lambda table, h: torch.autograd.functional.jacobian(
    lambda h: torch.einsum(torch.from_numpy(table), list(range(len(h))), *itertools.chain(
        *((row, [e]) for e, row in enumerate(h))), []), torch.from_numpy(h)))


@right("8.4")
def _(table, h):
    found = []
    for edge in range(len(h)):
        rest = np.moveaxis(table, edge, -1)
        for other in np.delete(h, edge, 0):
            rest = np.tensordot(other, rest, 1)
        found.append(rest.tolist())
    return found


@wrong("8.4", "changed its input `h`")
def _(table, h):
    found = np.zeros(h.shape)
    for edge, k in np.ndindex(h.shape):
        h[edge] = 0
        h[edge, k] = 1
        found[edge, k] = by_loops(table, h)
    return found


def through(table, alpha, p=soft, mean=lambda p, g: (p * g).sum(1, keepdims=True)):
    p = p(alpha)
    g = differences(table, p)
    return p * (g - mean(p, g))


wrong("8.5", "is missing")(lambda table, alpha: differences(table, soft(alpha)))
wrong("8.5", "not its negative")(lambda table, alpha: -through(table, alpha))
wrong("8.5", "is taken off")(lambda table, alpha: through(table, alpha, mean=lambda p, g: 0))
wrong("8.5", "weighted by p")(lambda table, alpha: through(table, alpha, mean=lambda p, g: g.mean(1, keepdims=True)))
wrong("8.5", "not of all edges")(lambda table, alpha: through(table, alpha, mean=lambda p, g: (p * g).sum()))
wrong("8.5", "a softmax of its own")(
    lambda table, alpha: through(table, alpha, p=lambda alpha: soft(alpha, None), mean=lambda p, g: (p * g).sum()))
wrong("8.5", "as in exercise 2.2")(lambda table, alpha: through(table, alpha, p=lambda alpha: soft(alpha, 0)))
wrong("8.5", "p stands in front")(lambda table, alpha: through(table, alpha) / soft(alpha))
right("8.5")(through)
right("8.5")(lambda table, alpha: differences(table, alpha, f=lambda table, alpha: by_loops(table, soft(alpha))))


@right("8.5")
def _(table, alpha):
    alpha = torch.from_numpy(alpha).requires_grad_()
    value = torch.from_numpy(table)
    for row in alpha.softmax(1):
        value = torch.tensordot(row, value, 1)
    value.backward()
    return alpha.grad
