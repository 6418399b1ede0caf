"""Output layer and cross entropy in one: logits of a few words at a time, never all of them at once.

With 10,000 words the logits of a batch are the largest arrays of a language model, and reading and writing them takes as
long as a matrix product. Here a block of rows is multiplied, turned into the gradient where it lies, and used up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 2**21       # logits of a block: 8 MiB, small enough to stay in a shared cache


class WordLoss(NamedTuple):
    """loss: mean cross entropy, nats a word. correct: number of words where the target was the most probable."""

    loss: Tensor
    correct: Tensor


def word_loss(outputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> WordLoss:
    """Cross entropy of softmax(outputs @ weight.T + bias), averaged over the rows.

    Shapes: outputs (N, H), weight (V, H), bias (V,), targets int64 (N,).
    Raises ValueError if a target is no row of `weight`.
    """
    return WordLoss(*_WordLoss.apply(torch.is_grad_enabled(), outputs, weight, bias, targets))


class _WordLoss(torch.autograd.Function):
    """The gradients are made in the forward pass, where the softmax lies in the cache; backward only scales them."""

    @staticmethod
    def forward(ctx: Any, grad_mode: bool, outputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
                ) -> tuple[Tensor, Tensor]:
        _, wants_outputs, wants_weight, wants_bias, _ = (grad_mode and needed for needed in ctx.needs_input_grad)
        count, rows = len(targets), max(1, BLOCK // len(weight))
        loss = outputs.new_zeros(())
        correct = torch.zeros((), dtype=torch.int64, device=outputs.device)
        d_outputs = torch.empty_like(outputs) if wants_outputs else None
        d_weight = torch.zeros_like(weight) if wants_weight else None
        d_bias = torch.zeros_like(bias) if wants_bias else None
        weight_t = weight.t()
        for start in range(0, count, rows):
            block, target = outputs[start:start + rows], targets[start:start + rows, None]
            logits = torch.addmm(bias, block, weight_t)                     # (rows, V)
            highest = logits.amax(1, keepdim=True)
            chosen = logits.gather(1, target)
            correct += (chosen == highest).sum()
            logits.sub_(highest).exp_()
            total = logits.sum(1, keepdim=True)
            loss += (total.log() + highest - chosen).sum()
            if not (wants_outputs or wants_weight or wants_bias):
                continue
            logits.div_(total * count)                                      # softmax / N
            logits.scatter_add_(1, target, logits.new_full(target.shape, -1 / count))
            if wants_outputs:
                torch.mm(logits, weight, out=d_outputs[start:start + rows])
            if wants_weight:
                d_weight.addmm_(logits.t(), block)
            if wants_bias:
                d_bias += logits.sum(0)
        ctx.mark_non_differentiable(correct)
        ctx.gradients = (d_outputs, d_weight, d_bias)
        return loss / count, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(None if found is None else found * grad for found in ctx.gradients), None
