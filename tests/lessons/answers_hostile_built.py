"""More answers to the exercises in which a search is built, of the kinds of answers_hostile.py."""

from __future__ import annotations

import copy
import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.lessons.building import EDGES

from .answers import cell, hard, right, soft, wrong
from .answers_built import both, by_loops, differences, looped, loss_of, mixed, norm_of, product_of, second, stepped
from .answers_hostile import in_another_world, remembers


# --- 3.4 ---
def draw(alpha, gumbel, tau):
    p = soft(alpha, gumbel, tau)
    return hard(p) + (p - p.detach())


wrong("3.4", "its gradient is not")(lambda alpha, gumbel, tau: hard(p := soft(alpha, gumbel, tau)) * (p / p.detach()))
wrong("3.4", "its gradient is not")(
    lambda alpha, gumbel, tau: hard(p := soft(alpha, gumbel, tau)) * (1 + p - p.detach()))
wrong("3.4", "should be an array of shape")(lambda alpha, gumbel, tau: draw(alpha, gumbel, tau)[:1])
wrong("3.4", "not one-hot")(lambda alpha, gumbel, tau: hard(p := alpha.softmax(1)) + p - p.detach())
wrong("3.4", "its gradient is not")(
    lambda alpha, gumbel, tau: hard(alpha + gumbel) + (p := alpha.softmax(1)) - p.detach())
wrong("3.4", "not one-hot")(
    lambda alpha, gumbel, tau: hard(alpha + gumbel) + (p := soft(alpha, gumbel, tau)) - p.detach() / 1.001)
wrong("3.4", "its gradient is not")(
    lambda alpha, gumbel, tau: hard(alpha + gumbel) + (p := (alpha + gumbel) / tau) - p.detach())
wrong("3.4", "its gradient is not")(
    lambda alpha, gumbel, tau: hard(alpha + gumbel) + (p := soft(alpha, gumbel, tau).log()) - p.detach())
wrong("3.4", "its gradient is not")(
    lambda alpha, gumbel, tau: hard(alpha + gumbel) + (p := soft(alpha, gumbel, tau)) * tau - p.detach() * tau)
wrong("3.4", "the value is right")(lambda alpha, gumbel, tau: soft(alpha, gumbel, 1e-6))
wrong("3.4", "should be an array of shape")(lambda alpha, gumbel, tau: draw(alpha, gumbel, tau).argmax(1))
wrong("3.4", "the value is right")(lambda alpha, gumbel, tau: draw(alpha.detach(), gumbel, tau))
wrong("3.4", "the value is right")(lambda alpha, gumbel, tau: draw(alpha, gumbel, tau).detach().requires_grad_())
wrong("3.4", "the value is right")(lambda alpha, gumbel, tau: draw(alpha, gumbel, tau).tolist())
wrong("3.4", "not yet")(remembers(lambda alpha, gumbel, tau: (alpha.shape, tau), draw))


@wrong("3.4", "changed its input `alpha`")                   # alpha itself is moved by the noise
def _(alpha, gumbel, tau):
    alpha.data += gumbel
    return draw(alpha, 0, tau)


@wrong("3.4", "the value is right")                   # nobody after this has gradients
def _(alpha, gumbel, tau):
    torch.set_grad_enabled(False)
    return hard(soft(alpha, gumbel, tau))


@wrong("3.4", "the value is right")
def _(alpha, gumbel, tau):
    with torch.no_grad():
        return draw(alpha, gumbel, tau)


@right("3.4")
def _(alpha, gumbel, tau):
    class StraightThrough(torch.autograd.Function):
        @staticmethod
        def forward(ctx, p):
            return hard(p)

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    return StraightThrough.apply(soft(alpha, gumbel, tau))


@right("3.4")
def _(alpha, gumbel, tau):
    p = torch.softmax(torch.div(alpha + gumbel, tau), dim=1)
    index = torch.max(p, dim=1, keepdim=True)[1]
    one_hot = torch.zeros(p.shape, dtype=p.dtype)
    one_hot[torch.arange(len(p)), index[:, 0]] = 1
    return one_hot.sub(p.detach()).add(p)


right("3.4")(
    lambda alpha, gumbel, tau: (p := soft(alpha, gumbel, tau)) + (p == p.max(1, keepdim=True).values).to(p) - p.data)
right("3.4")(
    lambda alpha, gumbel, tau: torch.eye(alpha.shape[1])[(alpha + gumbel).argmax(1)] + ((p := soft(alpha, gumbel,
        tau)) - p.detach()))
right("3.4")(
    functools.partial(lambda dim, a, g, tau: F.one_hot((a + g).argmax(dim), a.size(dim)) + (p := soft(a, g,
        tau)) - p.detach(), -1))


# --- 3.5 ---
# the operations that read the input learn nothing
@wrong("3.5", "x or the operations get another gradient")
def _(x, weights, operations):
    nodes = [x, 0, 0, 0]
    for row, (source, node) in enumerate(EDGES):
        k = int(weights[row].argmax())
        output = operations[row][k](nodes[source])
        nodes[node] = nodes[node] + weights[row, k] * (output.detach() if source == 0 else output)
    return nodes[3]


wrong("3.5", "x or the operations get another gradient")(
    lambda x, weights, operations: cell(x.detach(), weights, operations))
wrong("3.5", "is the sum over the edges")(
    lambda x, weights, operations: cell(x, weights, operations) + 0 * weights.sum() + x)
wrong("3.5", "is the sum over the edges")(
    lambda x, weights, operations: cell(x, 1 + weights - weights.detach(), operations))
wrong("3.5", "no gradient reaches the weights")(
    lambda x, weights, operations: cell(x, weights / weights.sum(1, keepdim=True), operations))
wrong("3.5", "is the sum over the edges")(
    lambda x, weights, operations: cell(x, weights, [row[::-1] for row in operations]))
wrong("3.5", "no gradient reaches the weights")(
    lambda x, weights, operations: cell(x, weights, operations, weigh=lambda w: w**2))
wrong("3.5", "should be an array of shape")(lambda x, weights, operations: cell(x, weights, operations).mean())
wrong("3.5", "should be an array of shape")(lambda x, weights, operations: [cell(x, weights, operations)])
wrong("3.5", "should be an array of shape")(lambda x, weights, operations: cell(x[:1], weights, operations))
wrong("3.5", "is the sum over the edges")(
    lambda x, weights, operations: operations[3][int(weights[3].argmax())](x) * weights[3].max())


@wrong("3.5", "no gradient reaches the weights")                   # weighs the input of an operation, not its output
def _(x, weights, operations):
    nodes = [x, 0, 0, 0]
    for row, (source, node) in enumerate(EDGES):
        k = int(weights[row].argmax())
        nodes[node] = nodes[node] + operations[row][k](weights[row, k] * nodes[source])
    return nodes[3]


@right("3.5")
def _(x, weights, operations):
    nodes = {0: x}
    for node in range(1, 4):
        terms = []
        for row, (source, into) in enumerate(EDGES):
            if into == node:
                k = weights[row].tolist().index(1)
                terms.append(operations[row][k](nodes[source]) * weights[row][k])
        nodes[node] = sum(terms[1:], start=terms[0])
    return nodes[3]


@right("3.5")
class Cell(nn.Module):
    """Called as a class: makes a module, and runs it."""

    def __new__(cls, x, weights, operations):
        self = super().__new__(cls)
        nn.Module.__init__(self)
        return self(x, weights, operations)

    def forward(self, x, weights, operations):
        nodes = [x] + [torch.zeros_like(x) for _ in range(3)]
        for (source, node), row, candidates in zip(EDGES, weights, operations):
            index = row.max(0).indices
            nodes[node] += row[index] * candidates[index](nodes[source])
        return nodes[-1]


@right("3.5")
def _(x, weights, operations):
    @functools.cache
    def node(i):
        return x if i == 0 else torch.stack([edge(e, s) for e, (s, n) in enumerate(EDGES) if n == i]).sum(0)

    def edge(e, source):
        k = torch.nonzero(weights[e])[0, 0]
        return torch.mul(operations[e][k](node(source)), weights[e, k])

    return node(3)


right("3.5")(lambda x, weights, operations: cell(x, weights, operations, columns=lambda row: [int(row.topk(1)[1])]))


# --- 3.6 ---
@wrong("3.6", "evaluation mode")                   # in evaluation mode batch norm is another network
def _(supernet, mixture, batch, sgd, limit):
    supernet.eval()
    loss = stepped()(supernet, mixture, batch, sgd, limit)
    supernet.train()
    return loss


@wrong("3.6", "evaluation mode")
def _(supernet, mixture, batch, sgd, limit):
    loss = stepped()(supernet, mixture, batch, sgd, limit)
    supernet.eval()
    return loss


@wrong("3.6", "ran the network 4 times")                   # runs the network twice: its running statistics move twice
def _(supernet, mixture, batch, sgd, limit):
    before = loss_of(supernet, mixture.detach(), batch).item()
    stepped()(supernet, mixture, batch, sgd, limit)
    return before


@wrong("3.6", "changed its input `mixture`")                   # the draw is cut off for everybody
def _(supernet, mixture, batch, sgd, limit):
    mixture.detach_()
    return stepped()(supernet, mixture, batch, sgd, limit)


@wrong("3.6", "the weights are not where")                   # an optimiser of its own has no momentum of earlier steps
def _(supernet, mixture, batch, sgd, limit):
    own = torch.optim.SGD(supernet.parameters(), 0.1, 0.9, nesterov=True, weight_decay=0.1)
    return stepped()(supernet, mixture, batch, own, limit)


@wrong("3.6", "the weights are not where")                   # a loss by sum
def _(supernet, mixture, batch, sgd, limit):
    sgd.zero_grad(set_to_none=False)
    loss = F.cross_entropy(supernet(batch[0], {"cell": mixture.detach()}), batch[1], reduction="sum")
    loss.backward()
    nn.utils.clip_grad_norm_(supernet.parameters(), limit)
    sgd.step()
    return loss.item() / len(batch[1])


@wrong("3.6", "the weights are not where")                   # keeps only what the first parameters have
def _(supernet, mixture, batch, sgd, limit):
    first = next(iter(supernet.parameters()))
    return stepped(clip=lambda params, limit: nn.utils.clip_grad_norm_([first], limit))(
        supernet, mixture, batch, sgd, limit)


wrong("3.6", "the weights are not where")(
    lambda supernet, mixture, batch, sgd, limit: stepped(scale=limit)(supernet, mixture, batch, sgd, limit))
wrong("3.6", "the first loss is")(
    lambda supernet, mixture, batch, sgd, limit: stepped()(supernet, mixture, (batch[0][:-1], batch[1][:-1]), sgd,
        limit))
wrong("3.6", "the first loss is")(
    lambda supernet, mixture, batch, sgd, limit: stepped()(supernet, mixture.roll(1, 1), batch, sgd, limit))
wrong("3.6", "should be a number")(lambda *inputs: np.array([stepped()(*inputs), 0.0]))
wrong("3.6", "is there a `return`?")(lambda *inputs: (stepped()(*inputs), None)[1])
wrong("3.6", "for all code that follows")(in_another_world(lambda: torch.manual_seed(3), stepped()))


@right("3.6")
def _(supernet, mixture, batch, sgd, limit):
    images, labels = batch
    for group in sgd.param_groups:
        for p in group["params"]:
            p.grad = torch.zeros_like(p)
    logits = supernet(images, {"cell": mixture.clone().detach_()})
    loss = -logits.log_softmax(1)[range(len(labels)), labels].mean()
    loss.backward()
    nn.utils.clip_grad_norm_(list(supernet.parameters()), max_norm=limit)
    sgd.step()
    return float(loss)


@right("3.6")
def _(supernet, mixture, batch, sgd, limit):
    for p in supernet.parameters():
        if p.grad is not None:
            p.grad.zero_()
    loss = nn.CrossEntropyLoss()(supernet(batch[0], {"cell": mixture.data}), batch[1])
    loss.backward()
    norm = sum(p.grad.square().sum() for p in supernet.parameters()).sqrt()
    if norm > limit:
        for p in supernet.parameters():
            p.grad *= limit / norm
    sgd.step()
    return loss


@right("3.6")
def _(supernet, mixture, batch, sgd, limit):
    result = []

    def closure():
        sgd.zero_grad(set_to_none=False)
        loss = loss_of(supernet, mixture.detach(), batch)
        loss.backward()
        nn.utils.clip_grad_norm_(supernet.parameters(), limit)
        result.append(loss.item())
        return loss

    sgd.step(closure)
    return result[0]


# --- 3.7 ---
def alpha_moved(supernet, mixture, batch, alpha, adam):
    loss = loss_of(supernet, mixture, batch)
    alpha.grad, = torch.autograd.grad(loss, alpha)
    adam.step()
    return loss.item()


# frozen, and left so: the next weight step has nothing to differentiate
@wrong("3.7", "without `requires_grad`")
def _(supernet, mixture, batch, alpha, adam):
    supernet.requires_grad_(False)
    return alpha_moved(supernet, mixture, batch, alpha, adam)


@wrong("3.7", "evaluation mode")
def _(supernet, mixture, batch, alpha, adam):
    supernet.eval()
    loss = alpha_moved(supernet, mixture, batch, alpha, adam)
    supernet.train()
    return loss


@wrong("3.7", "ran the network 4 times")
def _(supernet, mixture, batch, alpha, adam):
    alpha_moved(supernet, mixture, batch, alpha, adam)
    return loss_of(supernet, mixture, batch).item()


@wrong("3.7", "Adam along its own gradient")                   # Adam anew in each step
def _(supernet, mixture, batch, alpha, adam):
    return alpha_moved(supernet, mixture, batch, alpha, torch.optim.Adam(
        [alpha], 0.05, (0.5, 0.999), weight_decay=1e-2))


@wrong("3.7", "Adam along its own gradient")                   # through softmax(alpha), not through the draw
def _(supernet, mixture, batch, alpha, adam):
    p = alpha.softmax(-1)
    return alpha_moved(supernet, mixture.detach() + (p - p.detach()), batch, alpha, adam)


# resets the gradients of the weights to a value that moves them
@wrong("3.7", "the weights have moved")
def _(supernet, mixture, batch, alpha, adam):
    loss = alpha_moved(supernet, mixture, batch, alpha, adam)
    with torch.no_grad():
        for p in supernet.parameters():
            p.mul_(0.999)
    return loss


@wrong("3.7", "changed its input `batch`")
def _(supernet, mixture, batch, alpha, adam):
    batch[1].fill_(0)
    return alpha_moved(supernet, mixture, batch, alpha, adam)


wrong("3.7", "the first loss is")(
    lambda supernet, mixture, batch, alpha, adam: alpha_moved(supernet, mixture, batch, alpha, adam) * len(batch[1]))
wrong("3.7", "should be a number")(lambda *inputs: [alpha_moved(*inputs)] * 2)


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    adam.zero_grad(set_to_none=False)
    (loss := nn.functional.cross_entropy(supernet(batch[0], {"cell": mixture}), batch[1])).backward(inputs=[alpha])
    adam.step()
    return float(loss)


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    kept = [None if p.grad is None else p.grad.clone() for p in supernet.parameters()]
    alpha.grad = None
    loss = loss_of(supernet, mixture, batch)
    loss.backward()
    for p, gradient in zip(supernet.parameters(), kept):
        p.grad = gradient
    adam.step()
    return np.float64(loss.item())


@right("3.7")
def _(supernet, mixture, batch, alpha, adam):
    logits = supernet(batch[0], {"cell": mixture})
    loss = F.nll_loss(logits.log_softmax(-1), batch[1])
    alpha.grad = torch.autograd.grad([loss], [alpha])[0].clone()
    adam.step()
    return loss.detach().view(1)


# --- 3.8 ---
wrong("3.8", "without gradients")(
    lambda alpha, epochs, pairs, draw, w, a: looped(both)(alpha, epochs, pairs, lambda _, e: draw(alpha.detach(), e),
        w, a))
wrong("3.8", "without gradients")(
    lambda alpha, epochs, pairs, draw, w, a: looped(both)(alpha.detach().clone(), epochs, pairs, draw, w, a))
wrong("3.8", "yours is `")(
    lambda alpha, epochs, pairs, draw, w, a: looped(both)(alpha, epochs, lambda e: pairs(e)[:1], draw, w, a))
wrong("3.8", "yours is `")(
    lambda alpha, epochs, pairs, draw, w, a: looped(both)(alpha, epochs, pairs, lambda x, e: draw(x, e + 1), w, a))
wrong("3.8", "yours is `")(
    lambda alpha, epochs, pairs, draw, w, a: looped(both)(alpha, epochs, lambda e: pairs(e)[::-1], draw, w, a))
wrong("3.8", "the list should hold a copy")(looped(both, keep=lambda alpha: alpha.detach().clone().softmax(-1)))
wrong("3.8", "all entries are one tensor")(looped(both, keep=lambda alpha: alpha.detach().numpy()))
wrong("3.8", "should be an array of shape")(looped(both, keep=lambda alpha: alpha.argmax(-1)))
wrong("3.8", "yours is `")(
    looped(lambda draw, w, a, train, valid: (w(draw(), train), a(draw(), valid), a(draw(), valid))))


@wrong("3.8", "without gradients")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    with torch.no_grad():
        return looped(both)(alpha, epochs, pairs, draw, weight_step, alpha_step)


@wrong("3.8", "only `alpha_step` may")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    history = looped(both)(alpha, epochs, pairs, draw, weight_step, alpha_step)
    with torch.no_grad():
        alpha.zero_()
    return history


@wrong("3.8", "yours is `")                   # all weight steps of an epoch first
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    history = []
    for epoch in range(epochs):
        batches = list(pairs(epoch))
        for train, _ in batches:
            weight_step(draw(alpha, epoch), train)
        for _, valid in batches:
            alpha_step(draw(alpha, epoch), valid)
        history.append(alpha.detach().clone())
    return history


@wrong("3.8", "expected 2 of them")                   # a copy in each step
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    history = []
    for epoch in range(epochs):
        for train, valid in pairs(epoch):
            weight_step(draw(alpha, epoch), train)
            alpha_step(draw(alpha, epoch), valid)
            history.append(alpha.detach().clone())
    return history


@right("3.8")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    history = []
    for epoch in range(epochs):
        for batch in pairs(epoch=epoch):
            weight_step(mixture=draw(alpha, epoch=epoch), batch=batch[0])
            alpha_step(mixture=draw(alpha=alpha, epoch=epoch), batch=batch[1])
        history += [copy.deepcopy(alpha.detach())]
    return history


@right("3.8")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    history = torch.empty(epochs, *alpha.shape, dtype=alpha.dtype)
    for epoch, kept in enumerate(history):
        for train, valid in iter(pairs(epoch)):
            with torch.no_grad():
                mixture = draw(alpha, epoch)
            weight_step(mixture, train)
            alpha_step(draw(alpha, epoch), valid)
        kept.copy_(alpha.detach())
    return history


@right("3.8")
def _(alpha, epochs, pairs, draw, weight_step, alpha_step):
    def one(epoch):
        for train, valid in pairs(epoch):
            weight_step(draw(alpha.detach(), epoch), train)
            alpha_step(draw(alpha, epoch), valid)
        return alpha.data.clone()

    return [one(epoch) for epoch in range(epochs)]


# --- 4.4 ---
wrong("4.4", "alpha, x and the operations")(lambda x, alpha, operations: mixed(x.detach(), alpha, operations))
wrong("4.4", "is the sum over the edges")(lambda *inputs: mixed(*inputs, weights_of=lambda row: row.sigmoid()))
wrong("4.4", "is the sum over the edges")(
    lambda *inputs: mixed(*inputs, weights_of=lambda row: hard(row.softmax(0)[None])[0] + row.softmax(
        0) - row.softmax(0).detach()))
wrong("4.4", "is the sum over the edges")(lambda *inputs: mixed(*inputs, weights_of=lambda row: row.exp()))
wrong("4.4", "alpha, x and the operations")(
    lambda x, alpha, operations: mixed(x, alpha, [[lambda s, f=f: f(s).detach() for f in row] for row in operations]))
wrong("4.4", "alpha, x and the operations")(
    lambda x, alpha, operations: mixed(x, alpha, [[lambda s, f=f, row=row: f(s).detach() if row is operations[0]
        else f(s) for f in row] for row in operations]))
wrong("4.4", "is the sum over the edges")(lambda x, alpha, operations: mixed(x, alpha, operations) / 3)
wrong("4.4", "alpha, x and the operations")(
    lambda x, alpha, operations: mixed(x, alpha, operations).detach().requires_grad_())
wrong("4.4", "is the sum over the edges")(lambda x, alpha, operations: mixed(x, alpha[0].expand(6, 5), operations))
wrong("4.4", "should be an array of shape")(lambda x, alpha, operations: mixed(x, alpha, operations).flatten(1))


@wrong("4.4", "should be an array of shape")                   # right for a batch of vectors, not for maps
def _(x, alpha, operations):
    nodes = [x, 0, 0, 0]
    for row, (source, node) in enumerate(EDGES):
        outputs = torch.stack([f(nodes[source]) for f in operations[row]])
        nodes[node] = nodes[node] + (alpha[row].softmax(0)[:, None, None] * outputs).sum(0)
    return nodes[3]


@right("4.4")                       # for maps
def _(x, alpha, operations):
    nodes = [x, 0, 0, 0]
    for row, (source, node) in enumerate(EDGES):
        outputs = torch.stack([f(nodes[source]) for f in operations[row]])
        nodes[node] = nodes[node] + (alpha[row].softmax(0)[:, None, None, None, None] * outputs).sum(0)
    return nodes[3]


right("4.4")(
    lambda x, alpha, operations: functools.reduce(lambda nodes, edge: [state + (sum(p * f(nodes[edge[1]]) for p,
        f in zip(alpha[edge[0]].softmax(-1), operations[edge[0]])) if i == edge[2] else 0) for i,
        state in enumerate(nodes)], [(row, *pair) for row, pair in enumerate(EDGES)], [x, *torch.zeros(3, *x.shape,
        dtype=x.dtype)])[3])


@right("4.4")
def _(x, alpha, operations):
    weights, known = F.softmax(alpha, dim=1), [x]
    for node in (1, 2, 3):
        known.append(sum(torch.einsum("k,k...->...", weights[row], torch.stack([f(known[j]) for f in operations[row]]))
                         for row, (j, into) in enumerate(EDGES) if into == node))
    return known.pop()


# --- 4.5 ---
# puts other tensors into the list: the network does not see them
@wrong("4.5", "two gradients towards alpha, at w +")
def _(train_loss, weights, alpha, u):
    kept, eps, found = list(weights), 0.01 / norm_of(u), []
    for sign in (1, -1):
        for k, part in enumerate(u):
            weights[k] = (kept[k] + sign * eps * part).detach().requires_grad_()
        found += torch.autograd.grad(train_loss(), alpha)
    weights[:] = kept
    return (found[0] - found[1]) / (2 * eps)


@wrong("4.5", "two gradients towards alpha, at w +")                   # two parts, never more
def _(train_loss, weights, alpha, u):
    return product_of(train_loss, weights[:2], alpha, u[:2])


@wrong("4.5", "without `requires_grad`")                   # frozen, and left so
def _(train_loss, weights, alpha, u):
    found = product_of(train_loss, weights, alpha, u)
    for w in weights:
        w.requires_grad_(False)
    return found


@wrong("4.5", "changed its input `alpha`")                   # alpha is moved
def _(train_loss, weights, alpha, u):
    found = product_of(train_loss, weights, alpha, u)
    alpha.data -= 0.1 * found
    return found


@wrong("4.5", "not put back")                   # only half the way back
def _(train_loss, weights, alpha, u):
    eps = 0.01 / norm_of(u)
    plus, minus = (None, None)
    with torch.no_grad():
        for w, part in zip(weights, u):
            w += eps * part
    plus, = torch.autograd.grad(train_loss(), alpha)
    with torch.no_grad():
        for w, part in zip(weights, u):
            w -= 2 * eps * part
    minus, = torch.autograd.grad(train_loss(), alpha)
    with torch.no_grad():
        for w, part in zip(weights, u):
            w += 2 * eps * part
    return (plus - minus) / (2 * eps)


wrong("4.5", "two gradients towards alpha, at w +")(lambda f, w, alpha, u: product_of(f, w, alpha, u).abs())
wrong("4.5", "two gradients towards alpha, at w +")(lambda f, w, alpha, u: product_of(f, w, alpha, u) * norm_of(u))
wrong("4.5", "two gradients towards alpha, at w +")(lambda f, w, alpha, u: torch.autograd.grad(f(), alpha)[0])
wrong("4.5", "should be an array of shape")(lambda f, w, alpha, u: product_of(f, w, alpha, u).sum())
wrong("4.5", "two gradients towards alpha, at w +")(
    lambda f, w, alpha, u: product_of(f, w, alpha, [part.sign() for part in u]))
wrong("4.5", "two gradients towards alpha, at w +")(
    lambda f, w, alpha, u: product_of(f, w, alpha, u, eps_of=lambda u: 0.01 / max(part.norm() for part in u),
        divide=2.2))


@right("4.5")
def _(train_loss, weights, alpha, u):
    from torch.nn.utils import parameters_to_vector, vector_to_parameters
    with torch.no_grad():
        start, along = parameters_to_vector(weights).clone(), parameters_to_vector(u)
    eps, gradients = 0.01 / along.norm(), []
    for sign in (1, -1):
        vector_to_parameters(start + sign * eps * along, weights)
        gradients.append(torch.autograd.grad(train_loss(), alpha)[0])
    vector_to_parameters(start, weights)
    return gradients[0].sub(gradients[1]).div(2 * eps)


@right("4.5")
def _(train_loss, weights, alpha, u):
    eps = 0.01 / np.sqrt(sum(float((part**2).sum()) for part in u))
    before = copy.deepcopy([w.data for w in weights])

    def at(sign):
        with torch.no_grad():
            for w, old, part in zip(weights, before, u):
                w[...] = old + sign * eps * part
        return torch.autograd.grad(train_loss(), [alpha])[0]

    try:
        return (at(1) - at(-1)) / 2 / eps
    finally:
        for w, old in zip(weights, before):
            w.data[:] = old


@right("4.5")                       # the other order of differentiation
def _(train_loss, weights, alpha, u):
    gradients = torch.autograd.grad(train_loss(), weights, create_graph=True)
    return torch.autograd.grad(sum((g * part).sum() for g, part in zip(gradients, u)), alpha)[0]


# --- 4.6 ---
wrong("4.6", "d - xi times the product, d and u at")(lambda *inputs: second(*inputs).abs())
wrong("4.6", "d - xi times the product, d and u at")(
    lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, v, rate, m, decay, xi=rate**2))
wrong("4.6", "d - xi times the product, d and u at")(
    lambda f, g, w, a, v, rate, m, decay: second(f, g, w[:2], a, v[:2], rate, m, decay))
wrong("4.6", "d - xi times the product, d and u at")(
    lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, [m * part for part in v], rate, m, decay))
wrong("4.6", "d - xi times the product, d and u at")(
    lambda f, g, w, a, v, rate, m, decay: second(f, f, w, a, v, rate, m, decay))
wrong("4.6", "d - xi times the product, d and u at")(
    lambda f, g, w, a, v, rate, m, decay: second(f, g, w, a, v, rate, decay, m))
wrong("4.6", "d - xi times the product, d and u at")(
    lambda f, g, w, a, v, *rest: torch.autograd.grad(f(), a)[0] + torch.autograd.grad(g(), a)[0])


@wrong("4.6", "changed its input `velocities`")                   # the virtual step stays in the velocities
def _(f, g, weights, alpha, velocities, rate, momentum, decay):
    found = second(f, g, weights, alpha, velocities, rate, momentum, decay)
    for k, gradient in enumerate(torch.autograd.grad(f(), weights)):
        velocities[k] = momentum * velocities[k] + gradient
    return found


@wrong("4.6", "not put back")                   # a real optimiser step in the place of the virtual one
def _(f, g, weights, alpha, velocities, rate, momentum, decay):
    found = second(f, g, weights, alpha, velocities, rate, momentum, decay)
    with torch.no_grad():
        for w in weights:
            w -= 1e-3 * rate * w
    return found


@wrong("4.6", "changed its input `alpha`")
def _(f, g, weights, alpha, velocities, rate, momentum, decay):
    found = second(f, g, weights, alpha, velocities, rate, momentum, decay)
    alpha.data.sub_(found)
    return found


@wrong("4.6", "d - xi times the product, d and u at")                   # Nesterov's step
def _(f, g, weights, alpha, velocities, rate, momentum, decay):
    gradients = torch.autograd.grad(f(), weights)
    ahead = [momentum * v + gr + decay * w.detach() for w, gr, v in zip(weights, gradients, velocities)]
    return second(f, g, weights, alpha, ahead, rate, momentum, decay)


@right("4.6")
def _(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay):
    """A real optimiser on copies of state, the weights put back from a state dict."""
    module = nn.ParameterList()
    kept = [w.detach().clone() for w in weights]
    gradients = torch.autograd.grad(train_loss(), weights)
    sgd = torch.optim.SGD(weights, rate, momentum, weight_decay=decay)
    for w, g, v in zip(weights, gradients, velocities):
        w.grad = g.clone()
        sgd.state[w]["momentum_buffer"] = v.clone()
    sgd.step()
    for w in weights:
        w.grad = None
    alpha.grad = None
    valid_loss().backward()
    d, u = alpha.grad.clone(), [w.grad.clone() for w in weights]
    with torch.no_grad():
        for w, old in zip(weights, kept):
            w.copy_(old)
            w.grad = None
    alpha.grad = None
    assert not list(module)
    return d - rate * product_of(train_loss, weights, alpha, u)


@right("4.6")
def _(f, g, weights, alpha, velocities, rate, momentum, decay):
    old = [w.data.clone() for w in weights]
    for w, gradient, v in zip(weights, torch.autograd.grad(f(), weights), velocities):
        w.data = w.data - rate * (v * momentum + gradient + w.data * decay)
    valid = g()
    d = torch.autograd.grad(valid, alpha, retain_graph=True)[0]
    u = torch.autograd.grad(valid, weights)
    for w, value in zip(weights, old):
        w.data = value
    towards = torch.autograd.grad(f(), weights, create_graph=True)
    return d - rate * torch.autograd.grad(towards, alpha, grad_outputs=u)[0]


right("4.6")(functools.partial(second, around_virtual=False))

# --- 8.3 to 8.5 ---
wrong("8.3", "f is defined for any h")(lambda table, h: by_loops(table, h / h.sum(1, keepdims=True)))
wrong("8.3", "the sum over all cells of accuracy t")(lambda table, h: by_loops(np.abs(table), h))
wrong("8.3", "the sum over all cells of accuracy t")(lambda table, h: by_loops(table, np.abs(h)))
wrong("8.3", "the sum over all cells of accuracy t")(lambda table, h: by_loops(table, np.sort(h)))
wrong("8.3", "the sum over all cells of accuracy t")(lambda table, h: by_loops(table, h).clip(0, 100))
wrong("8.3", "the sum over all cells of accuracy t")(
    lambda table, h: np.log(np.abs(by_loops(np.exp(table / 100), h))) * 100)
wrong("8.3", "the sum over all cells of accuracy t")(
    lambda table, h: h[0] @ table if len(h) == 1 else np.einsum("ij,i,j->", table, *h) if len(h) == 2 else 0)
wrong("8.3", "should be a number")(lambda table, h: np.array([by_loops(table, h)] * 2))
wrong("8.3", "the sum over all cells of accuracy t")(
    remembers(lambda table, h: h.shape, lambda table, h: by_loops(table, h)))
right("8.3")(lambda table, h: functools.reduce(lambda t, row: np.einsum("i,i...->...", row, t), h, table))
right("8.3")(lambda table, h: float(table.ravel() @ functools.reduce(np.kron, h)))
right("8.3")(lambda table, h: (table * functools.reduce(np.multiply.outer, h)).sum())
right("8.3")(lambda table, h: by_loops(table.tolist() and table, torch.from_numpy(h).numpy()))


@right("8.3")
def relaxed(table, h):
    if len(h) == 0:
        return table
    return sum(entry * relaxed(part, h[1:]) for entry, part in zip(h[0], table))


wrong("8.4", "should be an array of shape")(lambda table, h: differences(table, h).sum(1))
wrong("8.4", "entry (e, k) is f with row e of h re")(lambda table, h: differences(table, h).T)
wrong("8.4", "entry (e, k) is f with row e of h re")(lambda table, h: differences(table, h / h.sum(1, keepdims=True)))
wrong("8.4", "entry (e, k) is f with row e of h re")(
    lambda table, h: differences(table, h, f=lambda t, h: by_loops(t, h / h.sum(1, keepdims=True))))
wrong("8.4", "entry (e, k) is f with row e of h re")(lambda table, h: np.abs(differences(table, h)))
wrong("8.4", "entry (e, k) is f with row e of h re")(
    lambda table, h: np.stack([np.tensordot(h[0], table, 1) if table.ndim == 2 else table.mean(tuple(range(1,
        table.ndim)))] * len(h)))
wrong("8.4", "entry (e, k) is f with row e of h re")(
    lambda table, h: (by_loops(table, h + 1e-4) - by_loops(table, h)) / 1e-4 * np.ones_like(h))
wrong("8.4", "entry (e, k) is f with row e of h re")(remembers(lambda table, h: h.shape, differences))


@wrong("8.4", "changed its input `h`")                   # differences on an h that is never put back
def _(table, h):
    found = np.zeros(h.shape)
    for place in np.ndindex(h.shape):
        before = by_loops(table, h)
        h[place] += 1e-6
        found[place] = (by_loops(table, h) - before) / 1e-6
    return found


@right("8.4")
def _(table, h):
    return [[by_loops(np.take(table, k, axis=edge), np.delete(h, edge, 0)) if len(h) > 1 else table[k]
             for k in range(h.shape[1])] for edge in range(len(h))]


@right("8.4")
def _(table, h):
    h, value = torch.tensor(h, requires_grad=True), torch.tensor(table)
    for row in h:
        value = torch.tensordot(row, value, dims=1)
    return torch.autograd.grad(value, h)[0].numpy()


right("8.4")(
    lambda table, h: np.stack([functools.reduce(lambda t, pair: t if pair[0] == edge
        else np.apply_along_axis(lambda column: [column @ pair[1]], pair[0], t), enumerate(h), table).ravel()
        for edge in range(len(h))]))


def climbing(table, alpha):
    p = np.exp(alpha) / np.exp(alpha).sum(1, keepdims=True)
    g = differences(table, p)
    return p * (g - (p * g).sum(1, keepdims=True))


wrong("8.5", "on each row p times (slope minus the")(lambda table, alpha: np.abs(climbing(table, alpha)))
wrong("8.5", "on each row p times (slope minus the")(
    lambda table, alpha: climbing(table, alpha) / np.abs(climbing(table, alpha)).max())
wrong("8.5", "on each row p times (slope minus the")(lambda table, alpha: climbing(table, np.abs(alpha)))
wrong("8.5", "on each row p times (slope minus the")(lambda table, alpha: climbing(table - table.mean(), alpha) * 1.01)
wrong("8.5", "on each row p times (slope minus the")(lambda table, alpha: climbing(np.abs(table), alpha))
wrong("8.5", "on each row p times (slope minus the")(lambda table, alpha: differences(table, alpha))
wrong("8.5", "on each row p times (slope minus the")(lambda table, alpha: climbing(table.T, alpha))
wrong("8.5", "on each row p times (slope minus the")(remembers(lambda table, alpha: alpha.shape, climbing))


@wrong("8.5", "changed its input `alpha`")
def _(table, alpha):
    alpha -= alpha.max(1, keepdims=True)
    return climbing(table, alpha)


right("8.5")(
    lambda table, alpha: np.stack([(np.diag(p) - np.outer(p, p)) @ g for p, g in zip(F.softmax(torch.tensor(alpha),
        1).numpy(), differences(table, F.softmax(torch.tensor(alpha), 1).numpy()))]))
right("8.5")(
    lambda table, alpha: torch.func.grad(lambda a: functools.reduce(lambda t, row: torch.tensordot(row, t, 1),
        a.softmax(1), torch.tensor(table)))(torch.tensor(alpha)).tolist())


@right("8.5")
def _(table, alpha):
    z = alpha - alpha.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    rest = [functools.reduce(lambda t, row: np.tensordot(row, t, 1), [*p[:e], *p[e + 1:]], np.moveaxis(table, e, -1))
            for e in range(len(p))]
    g = np.stack(rest)
    return p * (g - np.einsum("ek,ek->e", p, g)[:, None])
