"""DARTS, second order: alpha's gradient after one virtual step of the weights.

    w' = w - xi * (m * v + grad_w L_train(w, A) + wd * w)
    d  = grad_A L_valid(w', A),   u = grad_w' L_valid(w', A),   epsilon = 0.01 / ||u||
    hvp = (grad_A L_train(w + epsilon u, A) - grad_A L_train(w - epsilon u, A)) / (2 epsilon)
    gradient = d - xi * hvp

Source: DARTS paper, equations 7 and 8; quark0/darts' architect and AutoDL-Projects' DARTS-V2 for what they leave open:
the perturbation is of w, not of w'; the virtual step has plain momentum, no clipping; v's own dependence on A and the
chain rule through the decay are ignored. In the recurrent space quark0/darts clips, see `VirtualStep`, and has no v.

One difference from that code, on purpose: its unrolled recurrent model keeps the old embedding, which is tied to the
output layer (loading the weights, the old matrix comes last, under its second name). Here w' is the formula's in all
weights. On four small trained models the cosine of the two gradients of alpha was below 0 on 20 of 43 windows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .updates import frozen, gradients_of

RADIUS = 0.01
Loss = Callable[[], Tensor]     # computes it afresh


@dataclass(frozen=True)
class VirtualStep:
    """xi: step size (the current learning rate), a number or a scalar on the device. momentum, weight_decay: SGD's.

    velocity: SGD's momentum buffer of each weight, None before its first step.
    clip_norm: None for no clipping (images). A number (recurrent space, 0.25): the train gradient is scaled to at most
        this norm before decay is added, by cc = clip_norm / (norm + 1e-6) if that is below 1; u is clipped in the same
        way before the finite difference uses it; and the correction becomes xi * cc * hvp. There the code takes cc as
        it is, also where it exceeds 1 because nothing was clipped; so do we.
    """

    xi: float | Tensor
    momentum: float
    weight_decay: float
    velocity: Sequence[Tensor | None]
    clip_norm: float | None = None


def second_order_gradient(train_loss: Loss, valid_loss: Loss, net_params: Sequence[nn.Parameter],
                          alphas: Sequence[nn.Parameter], step: VirtualStep, buffers: Sequence[Tensor] = ()
                          ) -> tuple[list[Tensor], Tensor]:
    """alpha's gradients (shapes of `alphas`) and the valid loss after the virtual step.

    train_loss, valid_loss: compute L(w, A) afresh from the current values of `net_params` and `alphas`.
    buffers: batch norm's running estimates. What the virtual network would do to them is thrown away; the three passes
    on the train batch update them, as in both code bases. The weights are changed in place and put back exactly.
    """
    original = [torch.empty_like(param) for param in net_params]
    _copy([param.detach() for param in net_params], original)
    try:
        ratio = _virtual_step(train_loss, net_params, step)
        before = [buffer.clone() for buffer in buffers]
        loss = valid_loss()
        gradients = gradients_of(loss, [*alphas, *net_params])
        direct, u = gradients[:len(alphas)], gradients[len(alphas):]
        _copy(before, buffers)
        clip(u, step.clip_norm)
        hvp = hessian_vector_product(train_loss, net_params, alphas, original, u)
    finally:
        _copy(original, net_params)
    return [d - step.xi * ratio * h for d, h in zip(direct, hvp, strict=True)], loss.detach()


def hessian_vector_product(train_loss: Loss, net_params: Sequence[nn.Parameter], alphas: Sequence[nn.Parameter],
                           original: Sequence[Tensor], u: Sequence[Tensor]) -> list[Tensor]:
    """grad^2_{A, w} L_train(w, A) u by central differences around w = `original`; leaves the weights perturbed.

    The norm of u is taken over all weights together. u = 0 gives 0. Nothing is asked of the host on the way.
    """
    norm = _norm(u)
    epsilon = RADIUS / torch.where(norm == 0, 1.0, norm)

    def alpha_gradient_at(sign: float) -> list[Tensor]:
        _copy(torch._foreach_add(original, torch._foreach_mul(u, sign * epsilon)), net_params)      # around w, not w'
        with frozen(net_params):
            return gradients_of(train_loss(), alphas)

    plus, minus = alpha_gradient_at(1.0), alpha_gradient_at(-1.0)
    return [torch.where(norm == 0, 0.0, (p - n) / (2 * epsilon)) for p, n in zip(plus, minus, strict=True)]


def clip(gradients: Sequence[Tensor], norm: float | None) -> Tensor | float:
    """Scale gradients in place to at most `norm` over all of them together, None for not at all.

    Returns norm / (their norm + 1e-6), what they were multiplied with if it is below 1; 1 without clipping.
    """
    if norm is None:
        return 1.0
    ratio = norm / (_norm(gradients) + 1e-6)
    for gradient in gradients:
        gradient.mul_(ratio.clamp(max=1))
    return ratio


def _virtual_step(train_loss: Loss, net_params: Sequence[nn.Parameter], step: VirtualStep) -> Tensor | float:
    """Move the weights; returns the ratio of clipping."""
    gradients = gradients_of(train_loss(), net_params)
    ratio = clip(gradients, step.clip_norm)
    with torch.no_grad():       # torch._foreach_*: one launch for all weights of a GPU, a loop on the CPU
        moves = torch._foreach_add(gradients, net_params, alpha=step.weight_decay)
        known = [(move, velocity) for move, velocity in zip(moves, step.velocity, strict=True) if velocity is not None]
        if known:
            torch._foreach_add_(*zip(*known, strict=True), alpha=step.momentum)
        if isinstance(step.xi, Tensor):
            torch._foreach_sub_(net_params, torch._foreach_mul(moves, step.xi))
        else:
            torch._foreach_sub_(net_params, moves, alpha=step.xi)
    return ratio


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)))


def _copy(values: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    if targets:
        with torch.no_grad():
            torch._foreach_copy_(targets, values)
