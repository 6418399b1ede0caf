"""The batch norm of a search cell: one without affine part for all states, (state - mean) / sqrt(var + eps) over the batch.

Written out on a CPU, where PyTorch's own layer shares even a small state among the threads, and waking them up for each
of the nine states of every word takes longer than the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NORM_EPS, NORM_MOMENTUM = 1e-5, 0.1


@dataclass(frozen=True)
class Norm:
    """mean, var: running estimates, updated in training; None where none are kept. uses_batch: normalise by the batch."""

    mean: Tensor | None
    var: Tensor | None
    uses_batch: bool
    eps: float = NORM_EPS


class Normaliser:
    """A `Norm` for states of a (B, H), with scratch memory. `like` is a state."""

    def __init__(self, norm: Norm, like: Tensor) -> None:
        self._norm = norm
        self._scratch, self._row = torch.empty_like(like), torch.empty_like(like[:1])
        self._averaging = None if like.is_cuda else like.new_full((1, len(like)), 1 / len(like))
        self._writes_out = norm.uses_batch and norm.mean is None and not like.is_cuda

    def forward(self, raw: Tensor, state: Tensor, rstd: Tensor) -> None:
        """Normalised `raw` into `state`, (B, H), and what its distance from the mean was multiplied with into rstd, (H,)."""
        norm = self._norm
        if self._writes_out:
            torch.sub(raw, self._mean(raw), out=state)
            torch.mul(state, state, out=self._scratch)
            torch.add(self._mean(self._scratch)[0], norm.eps, out=rstd).rsqrt_()
            state.mul_(rstd)
        elif norm.uses_batch:
            torch.native_batch_norm(raw, None, None, norm.mean, norm.var, True, NORM_MOMENTUM, norm.eps,
                                    out=(state, self._row[0], rstd))
        else:
            torch.add(norm.var, norm.eps, out=rstd).rsqrt_()
            torch.sub(raw, norm.mean, out=state).mul_(rstd)

    def backward(self, g: Tensor, state: Tensor, rstd: Tensor) -> Tensor:
        """From dL/d state to dL/d raw: rstd (g - mean(g) - state mean(g state)); rstd g where the batch was not used."""
        if not self._norm.uses_batch:
            return g * rstd
        product = self._mean(torch.mul(g, state, out=self._scratch))
        found = torch.addcmul(g, state, product, value=-1)
        return found.sub_(self._mean(g)).mul_(rstd)

    def _mean(self, values: Tensor) -> Tensor:
        """Over the batch, (1, H); in memory that the next call writes to. A product with 1/B is the quickest on a CPU."""
        if self._averaging is None:
            return torch.mean(values, 0, keepdim=True, out=self._row)
        return torch.mm(self._averaging, values, out=self._row)
