"""Exercises of notebook 3 whose code the search of the notebook then runs: the draw, and the forward pass of a cell."""

import re

import torch
import torch.nn.functional as F
from torch import Tensor

from .exercise import Exercise, normal, refuse_change, same
from .guarding import Refused

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def one_hot_draw(alpha: Tensor, gumbel: Tensor, tau: float) -> Tensor:
    p = ((alpha + gumbel) / tau).softmax(-1)
    one_hot = F.one_hot(p.argmax(-1), p.shape[-1]).to(p)
    return one_hot + (p - p.detach())               # value: one-hot; gradient: that of p


def cell_output(x, weights, operations):
    nodes = [x, 0, 0, 0]
    for row, (source, node) in enumerate(EDGES):
        k = int(weights[row].argmax())
        nodes[node] = nodes[node] + weights[row, k] * operations[row][k](nodes[source])
    return nodes[3]


def gradients(result, *towards):
    """The gradients of the result's weighted sum, zeros where none arrives."""
    if not isinstance(result, Tensor) or not result.requires_grad:
        return [torch.zeros_like(part) for part in towards]
    weighted = (result * torch.arange(1, 1 + result.numel()).cos().view(result.shape)).sum()    # no rows weigh alike
    try:
        found = torch.autograd.grad(weighted, towards, allow_unused=True)
    except RuntimeError as error:
        first = re.split(r"\n|\. ", str(error))[0]
        raise Refused(f"PyTorch cannot differentiate your result: {first}") from None
    return [torch.zeros_like(part) if gradient is None else gradient for part, gradient in zip(towards, found)]


def _draw(function, alpha, gumbel, tau):
    weights = function(alpha.requires_grad_(), gumbel, tau)
    return None if weights is None else (weights, *gradients(weights, alpha))


def run_cell(function, x, weights, matrices):
    """The cell with five maps on an edge: the output, how many maps ran, and the gradients towards weights, x, maps."""
    ran, maps = [], x.requires_grad_().clone()      # no leaf, as in a network

    def operation(row, k):
        return lambda state: ran.append((row, k)) or 3 * torch.tanh(state @ matrices[row, k])

    matrices.requires_grad_()
    output = function(maps, weights.requires_grad_(), [[operation(row, k) for k in range(5)] for row in range(6)])
    refuse_change("x", x, maps)
    return None if output is None else (output, len(ran), *gradients(output, weights, x, matrices))


def maps_of(rng):
    """Maps (B, C, H, 3) of which no two sizes are equal; the operations of the check mix the last one."""
    return [normal(rng, *shape, 3) for shape in ((2, 1, 4), (1, 5, 2), (4, 2, 6), (5, 4, 1))]


def _draws(rng):
    sizes = ((3, 4), (6, 5), (6, 5), (14, 8), (1, 2))
    return [(normal(rng, *size), torch.from_numpy(rng.gumbel(size=size)), tau)
            for size, tau in zip(sizes, (0.7, 1.0, 0.4, 10.0, 3.0))]


def _value_or_gradient(found, wanted, *_):
    return ("the value is right, its gradient is not: it should be that of p" if same(found[0], wanted[0]) else
            "the value is not one-hot where alpha + gumbel is largest in its row")


def _which_part(found, wanted, *_):
    if not same(found[0], wanted[0]):
        return ("node i is the sum over the edges that lead into it, in the order 0→1, 0→2, 1→2, 0→3, 1→3, 2→3, each "
                "with the operation at the 1 of its row; return node 3")
    if found[1] != wanted[1]:
        return f"{found[1]} operations ran: on each of the six edges only the drawn one is to run"
    if not same(found[2], wanted[2]):
        return ("the output is right, but no gradient reaches the weights, or another one: multiply each operation's "
                "output by its weight, and return one tensor")
    return "the output is right, but x or the operations get another gradient than they should: no detach on the way"


EXERCISES = (
    Exercise("3.4", "a draw whose gradient is soft", 10, one_hot_draw, "the draw, edges by operations,", (
        (lambda alpha, gumbel, tau: ((alpha + gumbel) / tau).softmax(-1),
         "that is the soft sample; the *value* is to be one-hot, so that one operation runs on each edge"),
        (lambda *inputs: one_hot_draw(*inputs).detach(),
         "the value is right, but no gradient reaches alpha: add p - p.detach(), and return one tensor"),
        (lambda alpha, gumbel, tau: one_hot_draw(alpha, 0 * gumbel, tau), "the noise has no effect: add it to alpha"),
        (lambda alpha, gumbel, tau: one_hot_draw(alpha, gumbel, 1), "tau has no effect: it divides alpha + gumbel"),
    ), _draws, explain=_value_or_gradient, probe=_draw),
    Exercise("3.5", "the forward pass of a cell", 15, cell_output, "the cell's output", (),
             lambda rng: [(x, F.one_hot(torch.from_numpy(rng.integers(0, 5, 6)), 5).double(), normal(rng, 6, 5, 3, 3))
                          for x in maps_of(rng)],
             explain=_which_part, probe=run_cell),
)
