"""Exercises of notebook 3 that make a search of a draw and a cell: the two steps, and the loop around them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .building import one_hot_draw
from .exercise import Exercise, normal, numbers, refuse_change, same


def weight_step(supernet, mixture, batch, sgd, limit):
    x, y = batch
    sgd.zero_grad(set_to_none=False)  # zeros, so that what was not drawn keeps its momentum and its decay
    loss = F.cross_entropy(supernet(x, {"cell": mixture.detach()}), y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(supernet.parameters(), limit)
    sgd.step()
    return loss.item()


def alpha_step(supernet, mixture, batch, alpha, adam):
    x, y = batch
    loss = F.cross_entropy(supernet(x, {"cell": mixture}), y)
    alpha.grad, = torch.autograd.grad(loss, alpha)  # of alpha alone: nothing is added to the weights' gradients
    adam.step()
    return loss.item()


def search(alpha, epochs, pairs, draw, weight_step, alpha_step):
    history = []
    for epoch in range(epochs):
        for train, valid in pairs(epoch):
            weight_step(draw(alpha, epoch), train)
            alpha_step(draw(alpha, epoch), valid)
        history.append(alpha.detach().clone())
    return history


EVALUATED = "your step runs the network in evaluation mode, in which batch norm is another function: no `eval()`"
RAN = "ran the network"


class _Supernet(nn.Module):
    """One edge: a common layer with batch norm, then the drawn one of several linear maps. Counts its passes."""

    def __init__(self, common: Tensor, maps: Tensor) -> None:
        super().__init__()
        self.common, self.maps = nn.Parameter(common.clone()), nn.ParameterList(maps.clone().unbind())
        self.norm = nn.BatchNorm1d(common.shape[1], dtype=common.dtype)
        self.passes, self.was_training = 0, True

    def forward(self, x: Tensor, mixtures: dict[str, Tensor]) -> Tensor:
        self.passes, self.was_training = self.passes + 1, self.was_training and self.training
        row, hidden = mixtures["cell"][0], self.norm(torch.tanh(x @ self.common))
        return sum(row[k] * (hidden @ self.maps[k]) for k in row.nonzero().flatten().tolist())


def _two_steps(rng):
    """Steep and flat losses, so that clipping shows in some trials; in each, two batches and the noise of two draws."""
    for steepness, limit in ((30.0, 5.0), (1.0, 1.0), (0.3, 5.0), (2.0, 0.5)):
        shapes = ((2, 7, 4), (4, 3), (3, 3, 5), (1, 3))
        x, common, maps, alpha = (torch.from_numpy(rng.normal(size=shape)) for shape in shapes)
        noise = torch.eye(3, dtype=torch.float64)[[1, 2], None] - alpha     # the second step draws another map
        yield x, torch.from_numpy(rng.integers(0, 5, (2, 7))), common, steepness * maps, alpha, noise, limit


def _start(common, maps, alpha):
    """Network, alpha and optimisers of a search that has been running: momentum is there, and old gradients are."""
    supernet, alpha = _Supernet(common, maps), nn.Parameter(alpha.clone())
    sgd = torch.optim.SGD(supernet.parameters(), 0.1, 0.9, nesterov=True, weight_decay=0.1)
    adam = torch.optim.Adam([alpha], 0.05, (0.5, 0.999), weight_decay=1e-2)
    for param in (*supernet.parameters(), alpha):
        param.grad = torch.ones_like(param)
    sgd.step()
    return supernet, alpha, sgd, adam


def _two_of(kind):
    """The probe: losses, alpha and weights of two steps, "weights" or "alpha", and what is not as it should be left."""
    def probe(function, x, y, common, maps, alpha, noise, limit):
        supernet, alpha, sgd, adam = _start(common, maps, alpha)
        losses, drawn, last = [], [], (sgd, limit) if kind == "weights" else (alpha, adam)
        if kind == "weights":
            alpha.grad = None
        for number in range(2):
            batch = x[number].clone(), y[number].clone()
            drawn.append(one_hot_draw(alpha, noise[number], 1.0))
            losses.append(function(supernet, drawn[-1], batch, *last))
            refuse_change("batch", (x[number], y[number]), batch)
        remark = next((sentence for is_so, sentence in (
            (not supernet.was_training, EVALUATED),
            (kind == "weights" and alpha.grad is not None, "alpha has got a gradient, but it is a constant in a weight "
             "step: `mixture.detach()`"),
            (any(mixture.grad_fn is None for mixture in drawn),
             "your function has changed its input `mixture`: `detach()` gives a new tensor, `detach_()` does not"),
            (not supernet.training, "the network is left in evaluation mode, but a search goes on in training mode"),
            (kind == "alpha" and any(param.grad is None for param in supernet.parameters()),
             "weights are left with `None` for a gradient, so what is not drawn stands still in the next weight step: "
             "leave their gradients alone"),
            (not all(param.requires_grad for param in (*supernet.parameters(), alpha)),
             "weights or alpha are left without `requires_grad`: the next steps need their gradients"),
            (supernet.passes != 2, f"two steps {RAN} {supernet.passes} times. Once a step is enough; each "
             "pass moves the running statistics of batch norm"),
        ) if is_so), kind)
        return None if any(loss is None for loss in losses) else (
            *losses, alpha.detach(), *(w.detach() for w in supernet.parameters()), remark)
    return probe


def _weights(zero=lambda sgd: sgd.zero_grad(False), clip=nn.utils.clip_grad_norm_, move=torch.optim.SGD.step):
    """A wrong weight step, by what is exchanged."""
    def step(supernet, mixture, batch, sgd, limit):
        zero(sgd)
        loss = F.cross_entropy(supernet(batch[0], {"cell": mixture.detach()}), batch[1])
        loss.backward()
        clip(supernet.parameters(), limit)
        move(sgd)
        return loss.item()
    return step


def _alphas(sign=1, adds=False, moves=True):
    """A wrong alpha step, by what is exchanged. adds: to the gradient that is there."""
    def step(supernet, mixture, batch, alpha, adam):
        loss = F.cross_entropy(supernet(batch[0], {"cell": mixture}), batch[1])
        gradient, = torch.autograd.grad(loss, alpha)
        alpha.grad = sign * gradient + (alpha.grad if adds else 0)
        if moves:
            adam.step()
        return loss.item()
    return step


def _which_step(found, wanted, *_):
    which = "second" if same(found[0], wanted[0]) and same(found[2:-1], wanted[2:-1]) else "first"
    loss, right = (numbers(losses[which == "second"]) for losses in (found, wanted))
    if not same(loss, right) and found[-1] != EVALUATED:
        return f"the {which} loss is {right:.4f}, yours is {loss:.4f}: the cross entropy of the batch, before the step"
    if found[-1] != wanted[-1] and RAN not in found[-1]:
        return found[-1]
    if wanted[-1] == "alpha" and not same(found[3:-1], wanted[3:-1]):
        return "the weights have moved, but they are constants in an alpha step"
    if same(found[:-1], wanted[:-1]):
        return found[-1]
    return ("alpha is not where one step of Adam along its own gradient takes it" if wanted[-1] == "alpha" else
            "the weights are not where one step of SGD takes them, along the gradients of this batch, clipped together")


def _events(function, alpha, epochs, steps):
    """What the loop did, in order, and the alphas that it returns; each alpha step moves alpha in place.

    Draws for alpha, and steps, have to have gradients."""
    alpha, log, draws, cut = alpha.clone().requires_grad_(), [], iter(range(10_000)), " without gradients"

    def draw(alpha, epoch):
        is_cut = not (alpha.requires_grad and torch.is_grad_enabled())
        return f"draw {next(draws)} of epoch {epoch} from {alpha.sum().item():.4f}{cut * is_cut}"

    def step_on(kind):
        def step(mixture, batch):
            mixture = mixture.removesuffix(cut) if kind == "weights" else mixture
            log.append(f"{kind}: {mixture}, {batch}{cut * (not torch.is_grad_enabled())}")
            with torch.no_grad():
                alpha.mul_(1 if kind == "weights" else 0.9)
            return 1.0
        return step

    found = function(alpha, epochs, lambda epoch: [(f"train {epoch}.{n}", f"valid {epoch}.{n}") for n in range(steps)],
                     draw, step_on("weights"), step_on("alpha"))
    return None if found is None else (found, "; ".join(log), alpha.detach())


def _loop(body, kept=lambda alpha: alpha.detach().clone()):
    """A wrong search. body: (draw, weights, alphas, train, valid) -> anything, for a step; kept: after an epoch."""
    def wrong(alpha, epochs, pairs, draw, weight_step, alpha_step):
        history = []
        for epoch in range(epochs):
            for train, valid in pairs(epoch):
                body(lambda epoch=epoch: draw(alpha, epoch), weight_step, alpha_step, train, valid)
            history.append(kept(alpha))
        return history
    return wrong


def _which_event(found, wanted, *_):
    mine, right = (log.split("; ") for log in (found[1], wanted[1]))
    number = next((n for n, (a, b) in enumerate(zip(mine, right)) if a != b), min(len(mine), len(right)))
    if number < max(len(mine), len(right)):
        got, want = ((log[number] if number < len(log) else "nothing") for log in (mine, right))
        return f"step {number + 1} should be `{want}`, yours is `{got}`"
    return ("steps and list are right, but your loop moves alpha: only `alpha_step` may" if same(found[0], wanted[0])
            else "the steps are right; the list should hold a copy of alpha after each epoch")


EXERCISES = (
    Exercise("3.6", "the weight step", 15, weight_step, "the loss", (
        (_weights(zero=lambda sgd: None), "the gradients of the step before are still there: set them to zero first"),
        (_weights(lambda sgd: None, move=lambda sgd: (sgd.step(), sgd.zero_grad(False))),
         "set the gradients to zero before the step, not after it: nobody says what they hold when it begins"),
        (_weights(zero=torch.optim.SGD.zero_grad), "what was not drawn has stood still: with a gradient of zero, not "
         "None, it keeps its momentum and its decay: `zero_grad(set_to_none=False)`"),
        (_weights(clip=lambda *_: None), "the gradients are not clipped at `limit` before the step"),
        (_weights(clip=nn.utils.clip_grad_value_), "clip the norm of all gradients together, not each entry"),
        (_weights(clip=lambda params, limit: nn.utils.clip_grad_norm_(params, 1.0)), "clip at `limit`, whatever it is"),
        (_weights(move=lambda sgd: None), "the weights have not moved: `sgd.step()`"),
    ), _two_steps, explain=_which_step, probe=_two_of("weights")),
    Exercise("3.7", "the alpha step", 10, alpha_step, "the loss", (
        (_alphas(adds=True), "alpha's gradients of earlier steps are added to this one's"),
        (_alphas(sign=-1), "your step goes uphill: Adam subtracts by itself"),
        (_alphas(moves=False), "alpha has not moved: `adam.step()`, while `alpha.grad` holds its gradient"),
    ), _two_steps, explain=_which_step, probe=_two_of("alpha")),
    Exercise("3.8", "the search", 15, search, "the history, one alpha for each epoch,", (
        (_loop(lambda draw, w, a, train, valid: (a(draw(), valid), w(draw(), train))),
         "here the weights go first, then alpha"),
        (_loop(lambda draw, w, a, train, valid: (first := draw(), a(draw(), valid), w(first, train))),
         "here the weights go first, then alpha"),
        (_loop(lambda draw, w, a, train, valid: (w(mixture := draw(), train), a(mixture, valid))),
         "alpha's step needs a draw of its own"),
        (_loop(lambda draw, w, a, train, valid: (w(draw(), valid), a(draw(), train))),
         "the weights learn on the train batch, alpha on the valid batch"),
        (_loop(lambda draw, w, a, train, valid: (w(draw(), train), a(draw(), train))),
         "alpha never saw the valid batch, and learning both on one half rewards what memorises best"),
        (_loop(lambda draw, w, a, train, valid: (w(draw(), train), a(draw(), valid)), lambda alpha: alpha.detach()),
         "all entries are one tensor, which Adam moves in place: keep a copy, `alpha.detach().clone()`"),
        (lambda alpha, epochs, pairs, *rest: search(alpha, epochs, lambda epoch: pairs(0), *rest),
         "each epoch has its own batches: `pairs(epoch)`"),
        (lambda alpha, epochs, pairs, draw, *rest: search(alpha, epochs, pairs, lambda a, _: draw(a, 0), *rest),
         "each epoch has its own temperature: `draw(alpha, epoch)`"),
    ), lambda rng: [(normal(rng, 6, 5), epochs, steps) for epochs, steps in ((2, 3), (1, 1), (3, 2), (4, 1))],
        explain=_which_event, probe=_events),
)
