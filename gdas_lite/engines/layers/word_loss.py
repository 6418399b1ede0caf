"""Output layer and cross entropy in one: logits of a few words at a time, never all of them at once.

With 10,000 words the logits of a batch are the largest arrays of a language model, and reading and writing them takes
as long as a matrix product. Here a block of rows is multiplied, turned into the gradient where it lies, and used up.

Output dropout has one mask a sequence: what it drops is dropped at every word. At the published rate of 0.75 three
quarters of the products would be with zeros, so `dropped_word_loss` multiplies a sequence with the kept units' rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...spaces import language_model
from ...spaces.language_model import WordLoss
from ..first_order import first_order
from ..parts import is_following
from .products import product

BlockLoss = Callable[[Tensor, Tensor, int, bool], tuple[Tensor, Tensor]]

BLOCK = 2**21           # logits of a block: 8 MiB, small enough to stay in a shared cache
MOSTLY_DROPPED = 0.5    # share of kept units below which it pays to leave the others out


def word_loss(outputs: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor, targets: Tensor,
              block: BlockLoss | None = None, dropped: Callable[..., WordLoss] | None = None) -> WordLoss:
    """Returns the same as `spaces.language_model.word_loss`. Shapes: see there. block, dropped: in place of
    `block_loss` and `dropped_word_loss`.

    Raises RuntimeError or IndexError (PyTorch's) if a target is no row of `weight`.
    """
    if is_following() or targets.dtype != torch.int64 or targets.shape != outputs.shape[:2]:    # which PyTorch refuses
        return language_model.word_loss(outputs, mask, weight, bias, targets)
    if mask is not None:
        if mask.device.type == "cpu" and mask.shape == outputs.shape[1:] and (
                mask.count_nonzero() < MOSTLY_DROPPED * mask.numel()):
            return (dropped or dropped_word_loss)(outputs, mask, weight, bias, targets, block)
        outputs = outputs * mask
    return whole_word_loss(outputs.flatten(0, 1), weight, bias, targets.flatten(), block)


def whole_word_loss(outputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, block: BlockLoss | None = None
                    ) -> WordLoss:
    """Returns the cross entropy of softmax(outputs @ weight.T + bias), averaged over the rows, with all units.

    Shapes: outputs (N, H), weight (V, H), bias (V,), targets int64 (N,).
    """
    return WordLoss(*_WordLoss.apply(block or block_loss, torch.is_grad_enabled(), outputs, weight, bias, targets))


def dropped_word_loss(outputs: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, targets: Tensor,
                      block: BlockLoss | None = None) -> WordLoss:
    """Returns the cross entropy of `outputs * mask`, without the products of units that the mask drops.

    Shapes: outputs (T, B, H), mask (B, H), targets int64 (T, B). Pays where most units are dropped, on a CPU.
    """
    grad_mode = torch.is_grad_enabled()
    return WordLoss(*_DroppedWordLoss.apply(block or block_loss, grad_mode, outputs, mask, weight, bias, targets))


@dataclass
class _Sums:
    """What the blocks add up to. loss: sum over words, not the mean."""

    loss: Tensor
    correct: Tensor
    d_bias: Tensor | None

    def add(self, logits: Tensor, targets: Tensor, count: int, differentiates: bool, block: BlockLoss) -> None:
        """Count a block of logits, see `block_loss`."""
        loss, correct = block(logits, targets, count, differentiates)
        self.loss += loss
        self.correct += correct
        if differentiates and self.d_bias is not None:
            self.d_bias += logits.sum(0)


def block_loss(logits: Tensor, targets: Tensor, count: int, differentiates: bool) -> tuple[Tensor, Tensor]:
    """Returns loss and right words of a block of logits (rows, V), summed. Differentiated, the gradient of the mean of
    `count` words replaces the logits."""
    target = targets[:, None]
    highest = logits.amax(1, keepdim=True)
    chosen = logits.gather(1, target)
    correct = (chosen == highest).sum()
    logits.sub_(highest).exp_()
    total = logits.sum(1, keepdim=True)
    loss = (total.log() + highest - chosen).sum()
    if differentiates:
        logits.div_(total * count)                                          # softmax / N
        logits.scatter_add_(1, target, logits.new_full(target.shape, -1 / count))
    return loss, correct


def _new_sums(outputs: Tensor, bias: Tensor, wants_bias: bool) -> _Sums:
    return _Sums(outputs.new_zeros(()), torch.zeros((), dtype=torch.int64, device=outputs.device),
                 torch.zeros_like(bias) if wants_bias else None)


class Scales(torch.autograd.Function):
    """The gradients are made in the forward pass, where the softmax lies in the cache; backward only scales them."""

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(None if gradient is None else gradient * grad for gradient in ctx.gradients)


class _WordLoss(Scales):

    @staticmethod
    def forward(ctx: Any, block: BlockLoss, grad_mode: bool, outputs: Tensor, weight: Tensor, bias: Tensor,
                targets: Tensor) -> tuple[Tensor, Tensor]:
        _, _, wants_outputs, wants_weight, wants_bias, _ = (grad_mode and needed for needed in ctx.needs_input_grad)
        count, rows = len(targets), max(1, BLOCK // len(weight))
        sums = _new_sums(outputs, bias, wants_bias)
        d_outputs = torch.empty_like(outputs) if wants_outputs else None
        d_weight = torch.zeros_like(weight) if wants_weight else None
        for start in range(0, count, rows):
            part = outputs[start:start + rows]
            logits = product(part, weight, bias)                            # (rows, V)
            sums.add(logits, targets[start:start + rows], count, wants_outputs or wants_weight or wants_bias, block)
            if wants_outputs:
                d_outputs[start:start + rows] = product(logits, weight.t())
            if wants_weight:
                d_weight += product(logits.t(), part.t())
        ctx.mark_non_differentiable(sums.correct)
        ctx.gradients = (None, None, d_outputs, d_weight, sums.d_bias, None)
        return sums.loss / count, sums.correct


class _DroppedWordLoss(Scales):
    """One sequence at a time; its weights are the rows of its kept units in weight.T, gathered."""

    @staticmethod
    def forward(ctx: Any, block: BlockLoss, grad_mode: bool, outputs: Tensor, mask: Tensor, weight: Tensor,
                bias: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        _, _, wants_outputs, _, wants_weight, wants_bias, _ = (grad_mode and needed for needed in ctx.needs_input_grad)
        sums = _new_sums(outputs, bias, wants_bias)
        d_outputs = torch.zeros_like(outputs) if wants_outputs else None
        by_unit = weight.t().contiguous()                                   # (H, V)
        d_by_unit = torch.zeros_like(by_unit) if wants_weight else None
        for b, target in enumerate(targets.unbind(1)):
            kept = mask[b].nonzero()[:, 0]
            scale, rows = mask[b, kept], by_unit.index_select(0, kept)      # (K,), (K, V)
            part = outputs[:, b].index_select(1, kept).mul_(scale)          # (T, K)
            logits = product(part, rows.t(), bias)                          # (T, V)
            sums.add(logits, target, targets.numel(), wants_outputs or wants_weight or wants_bias, block)
            if wants_outputs:
                d_outputs[:, b].index_copy_(1, kept, product(logits, rows).mul_(scale))
            if wants_weight:
                d_by_unit.index_add_(0, kept, product(part.t(), logits.t()))
        d_weight = d_by_unit.t() if wants_weight else None
        ctx.mark_non_differentiable(sums.correct)
        ctx.gradients = (None, None, d_outputs, None, d_weight, sums.d_bias, None)
        return sums.loss / targets.numel(), sums.correct
