"""Exercises of notebook 4 on a network: the cell of DARTS, the product without the Hessian, second order."""

import torch
from torch import Tensor

from .building import EDGES, maps_of, run_cell
from .darts_step import mixed_output, virtual_weights
from .exercise import Exercise, normal, same, unchanged
from .guarding import Refused


def mixed_cell(x, alpha, operations):
    nodes = [x, 0, 0, 0]
    for row, (source, node) in enumerate(EDGES):
        outputs = torch.stack([operation(nodes[source]) for operation in operations[row]])
        nodes[node] = nodes[node] + mixed_output(alpha[row], outputs.flatten(1)).view(x.shape)
    return nodes[3]


def put(weights, values):
    with torch.no_grad():
        for weight, value in zip(weights, values):
            weight.copy_(value)


def hessian_product(train_loss, weights, alpha, u):
    before = [w.detach().clone() for w in weights]
    eps, gradients = 0.01 / torch.sqrt(sum((part**2).sum() for part in u)), []
    for step in (eps, -eps):
        put(weights, [w + step * part for w, part in zip(before, u)])
        gradients += torch.autograd.grad(train_loss(), alpha)
    put(weights, before)
    return (gradients[0] - gradients[1]) / (2 * eps)


def second_order(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay):
    before = [w.detach().clone() for w in weights]
    gradients = torch.autograd.grad(train_loss(), weights)
    put(weights, [virtual_weights(w, g, v, rate, momentum, decay) for w, g, v in zip(before, gradients, velocities)])
    d, *u = torch.autograd.grad(valid_loss(), [alpha, *weights])
    put(weights, before)                            # back, before the product: it is taken around w, not around w'
    return d - rate * hessian_product(train_loss, weights, alpha, u)


def _which_cell(found, wanted, *_):
    if found[1] != wanted[1] and same(found[0], wanted[0]):
        return f"{found[1]} operations ran: DARTS runs each of the five on each of the six edges once"
    if not same(found[0], wanted[0]):
        return ("node i is the sum over the edges that lead into it, each its five operations mixed by the softmax of "
                "its row of alpha; the edges are 0→1, 0→2, 1→2, 0→3, 1→3, 2→3; return node 3")
    return ("the output is right, but its gradient does not reach alpha, x and the operations as it should: no detach, "
            "no numbers or lists in between")


def _mixed(weights_of):
    """A wrong cell. weights_of: alpha (6, 5) -> the weights of the operations."""
    def cell(x, alpha, operations):
        weights, nodes = weights_of(alpha), [x, 0, 0, 0]
        for row, (source, node) in enumerate(EDGES):
            nodes[node] = nodes[node] + sum(weights[row, k] * operations[row][k](nodes[source]) for k in range(5))
        return nodes[3]
    return cell


def _problems(rng):
    """x and targets of two losses; weights, one to three of different shapes; alpha; as many velocities; rates."""
    for parts, k, rate, momentum, decay in ((2, 3, 0.5, 0.9, 0.1), (3, 2, 0.3, 0.5, 0.2), (1, 4, 0.8, 0.7, 0.05)):
        shapes = ((3, k), (k, 2), (2,))[:parts]
        weights, velocities = ([normal(rng, *shape) for shape in shapes] for _ in range(2))
        yield normal(rng, 2, 6, 3), normal(rng, 2, 6, 2), weights, normal(rng, k), velocities, rate, momentum, decay


def _products(rng):
    """Directions of any length, with short parts beside long ones: eps depends on the whole."""
    return [(*parts[:4], [length / 30 ** ((number + n) % 2) * part for n, part in enumerate(parts[4])])
            for number, (parts, length) in enumerate(zip(_problems(rng), (1.0, 200.0, 0.02)))]


def _on_network(function, losses, x, y, weights, alpha, *rest):
    """What a function finds for losses that read what weights and alpha hold, leaves in a list of their own."""
    before = [part.detach().clone() for part in weights]
    leaves = [part.requires_grad_() for part in (*weights, alpha)]

    def loss(half):
        mixed = len(alpha) * alpha.softmax(-1) * torch.tanh(x[half] @ leaves[0])
        output = (mixed @ leaves[1] if len(leaves) > 2 else mixed[:, :2]) + (leaves[2] if len(leaves) > 3 else 0)
        return ((3 * torch.tanh(output / 3) - y[half])**2).mean()       # curved in all weights

    found = function(*[lambda half=half: loss(half) for half in range(losses)], list(weights), alpha, *rest)
    if not unchanged(before, leaves[:-1]):
        raise Refused("the weights are not put back: keep copies, `[w.detach().clone() for w in weights]`, "
                      "and end with `put`")
    if not all(leaf.requires_grad for leaf in leaves):
        raise Refused("weights or alpha are left without `requires_grad`: the steps that follow need their gradients")
    return found


def _product_with(length="whole", both=True):
    """A wrong product. length: that eps is divided by, of "each" part of u, of the "whole", or "none"."""
    def product(train_loss, weights, alpha, u):
        before, gradients = [w.detach().clone() for w in weights], []
        whole = torch.sqrt(sum((part**2).sum() for part in u))
        steps = [0.01 / (part.norm() if length == "each" else 1 if length == "none" else whole) for part in u]
        for sign in (1, -1 if both else 0):
            put(weights, [w + sign * step * part for w, step, part in zip(before, steps, u)])
            gradients += torch.autograd.grad(train_loss(), alpha)
        put(weights, before)
        return (gradients[0] - gradients[1]) / ((1 + both) * steps[0])
    return product


def _second_order_with(around="w", sign=-1.0, xi=True, valid_at="w'", direction="w'"):
    """A wrong gradient of second order, by what is exchanged."""
    def gradient(train_loss, valid_loss, weights, alpha, velocities, rate, momentum, decay):
        before = [w.detach().clone() for w in weights]
        there = [virtual_weights(w, g, v, rate, momentum, decay)
                 for w, g, v in zip(before, torch.autograd.grad(train_loss(), weights), velocities)]
        put(weights, there if valid_at == "w'" else before)
        d, *u = torch.autograd.grad(valid_loss(), [alpha, *weights])
        put(weights, there if around == "w'" else before)
        if direction == "train":
            u = torch.autograd.grad(train_loss(), weights)
        found = d + sign * (rate if xi else 1) * hessian_product(train_loss, weights, alpha, u)
        put(weights, before)
        return found
    return gradient


def exact_product(train_loss, weights: list[Tensor], alpha: Tensor, u: list[Tensor]) -> Tensor:
    """Returns the product by differentiating twice, (K,)."""
    slopes, = torch.autograd.grad(train_loss(), alpha, create_graph=True)
    rows = [torch.autograd.grad(slope, weights, retain_graph=True) for slope in slopes]
    return torch.stack([sum((g * part).sum() for g, part in zip(row, u)) for row in rows])


EXERCISES = (
    Exercise("4.4", "the cell of DARTS", 10, mixed_cell, "the cell's output", (
        (_mixed(lambda alpha: alpha), "the softmax is missing: alpha itself is no weight"),
        (_mixed(lambda alpha: alpha.softmax(0)), "the softmax runs over the edges; operations compete along the row"),
        (_mixed(lambda alpha: alpha.flatten().softmax(0).view(6, 5)), "each edge has a softmax of its own"),
        (_mixed(lambda alpha: alpha.softmax(-1).detach()), "no gradient reaches alpha: no detach here"),
        (_mixed(lambda alpha: alpha.softmax(-1) / 5), "the weights of an edge sum to 1 already: a sum, not a mean"),
    ), lambda rng: [(x, normal(rng, 6, 5), normal(rng, 6, 5, 3, 3)) for x in maps_of(rng)],
        explain=_which_cell, probe=run_cell),
    Exercise("4.5", "the product, on a network", 15, hessian_product, "the product", (
        (_product_with(length="each"), "the norm of u is taken over all parts together, one eps for all"),
        (_product_with(length="none"), "eps is 0.01 / ||u||, over all parts of u together"),
        (_product_with(both=False), "a difference on one side is off by a part that grows with eps: use both"),
        (lambda *inputs: 2 * hessian_product(*inputs),
         "between w + eps u and w - eps u lie two steps: divide by 2 eps"),
        (lambda *inputs: -hessian_product(*inputs), "the sign is turned round: the value at w + eps u comes first"),
    ), _products, tolerance=2e-3, also=(exact_product,),
        probe=lambda function, x, y, weights, alpha, u: _on_network(function, 1, x, y, weights, alpha, u),
        reminder="two gradients towards alpha, at w + eps u and w - eps u, divided by 2 eps; one eps for all parts; "
                 "it is 0 where both losses saw the same weights: `put` moves them in place"),
    Exercise("4.6", "alpha's gradient, second order", 20, second_order, "the gradient", (
        (lambda train_loss, valid_loss, weights, alpha, *_: torch.autograd.grad(valid_loss(), alpha)[0],
         "that is first order: the virtual step and the second term are missing"),
        (_second_order_with(around="w'"),
         "the product is taken around w', but it belongs to w: put the weights back first"),
        (_second_order_with(sign=1.0), "the second term is subtracted"),
        (_second_order_with(xi=False), "the product is multiplied by xi, the learning rate"),
        (_second_order_with(sign=0.0), "the second term is missing"),
        (_second_order_with(valid_at="w"), "the valid loss is that of the virtual weights w', not of w"),
        (_second_order_with(direction="train"), "u is the gradient of the *valid* loss at w'"),
        (lambda train_loss, valid_loss, *rest: second_order(valid_loss, train_loss, *rest),
         "the halves are exchanged: virtual step and product on the train loss, d and u on the valid loss"),
        (lambda *inputs: second_order(*inputs[:6], 0.0, inputs[7]), "the velocity has no effect on the virtual step"),
        (lambda *inputs: second_order(*inputs[:7], 0.0), "weight decay has no effect on the virtual step"),
    ), _problems, tolerance=5e-3,
        probe=lambda function, x, y, weights, alpha, velocities, rate, momentum, decay: _on_network(
            function, 2, x, y, weights, alpha, velocities, rate, momentum, decay),
        reminder="d - xi times the product, d and u at w', the product around w"),
)
