"""From architecture parameters to what one forward pass uses: alpha -> Mixture.

Every algorithm of the kit is one way to make a `Mixture`; every supernet understands nothing else.

| algorithm | mixture.weights | mixture.active |
|---|---|---|
| DARTS | softmax(alpha) | all candidates |
| GDAS | one-hot sample, gradient of the soft sample | the sampled one |
| random search with weight sharing, a fixed genotype | 1 | the drawn / chosen one |

Sources: GDAS paper, sections 3.2-3.3; DARTS paper, equation 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Variant = Literal["P", "N"]
MAX_REDRAWS = 100


@dataclass(frozen=True)
class Mixture:
    """What one forward pass uses on each edge: `sum(weights[e, k] * op_k(x) for k in active[e])`.

    weights: tensor (num_edges, num_candidates); carries the gradient towards alpha, if any.
    active: for each edge the columns of the candidates that run.
    is_hard: the active weights are exactly 1, so the product can be left out where no gradient is asked.
    adds_unsampled: gradient variant N (see `gumbel_mixture`): an edge also adds the *scalars* of the candidates
        that do not run; their value is 0, so only the gradient differs.
    """

    weights: Tensor
    active: tuple[tuple[int, ...], ...]
    is_hard: bool = False
    adds_unsampled: bool = False

    @property
    def weighs(self) -> bool:
        """Whether outputs are multiplied by their weights: not by ones whose gradient nobody asks."""
        return self.weights.requires_grad or not self.is_hard

    def weight(self, edge: int, candidate: int) -> Tensor | None:
        """The scalar that multiplies a candidate's output; None where it is exactly 1 and nobody asks its gradient."""
        return self.weights[edge, candidate] if self.weighs else None

    def unsampled(self, edges: Sequence[int]) -> Tensor | None:
        """Variant N: the sum of the scalars of all candidates on `edges` that do not run (value 0), else None."""
        if not self.adds_unsampled or not self.weights.requires_grad:
            return None
        pairs = [(row, k) for row in edges for k in range(self.weights.shape[1]) if k not in self.active[row]]
        return self.weights[[row for row, _ in pairs], [k for _, k in pairs]].sum()

    def around(self, excluded: Sequence[int]) -> Mixture:
        """Returns this mixture of some candidates as one of all: columns `excluded` never run, their weight is 0."""
        if not excluded:
            return self
        kept = [column for column in range(self.weights.shape[1] + len(excluded)) if column not in excluded]
        active = tuple(tuple(kept[k] for k in columns) for columns in self.active)
        return replace(self, weights=with_zeros(self.weights, excluded), active=active)


def with_zeros(weights: Tensor, columns: Sequence[int]) -> Tensor:
    """Returns weights (edges, k) as (edges, k + len(columns)), with zeros in these columns of the result."""
    given, zeros = iter(weights.unbind(-1)), weights.new_zeros(len(weights))
    return torch.stack([zeros if column in columns else next(given)
                        for column in range(weights.shape[1] + len(columns))], -1)


def sample_gumbel(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard Gumbel noise, -log of an Exp(1) draw; on the CPU, so a seed means the same noise on every device."""
    return -torch.empty(tuple(shape), dtype=dtype, device="cpu").exponential_(generator=generator).log()


def hard_gumbel(alpha: Tensor, tau: float, gumbel: Tensor) -> Tensor:
    """Draw one candidate an edge: one-hot forward, gradient of the soft sample backward.

    Source: GDAS paper, section 3.2. With z = (log_softmax(alpha) + gumbel) / tau and p = softmax(z), the value is
    one_hot(argmax p) and dL/dalpha_m = (1/tau) * sum_k dL/dh_k * p_k * (delta_km - p_m).
    Shapes: alpha, gumbel and result (num_edges, num_candidates).
    tau: temperature, > 0, no unit. It changes the gradient, never who is drawn.
    Raises ValueError if tau <= 0 or the shapes differ.
    """
    check_tau(tau)
    if alpha.shape != gumbel.shape:
        raise ValueError(
            f"alpha is {tuple(alpha.shape)} but gumbel is {tuple(gumbel.shape)}; draw one number for each entry")
    return one_hot_sample(alpha, tau, gumbel)


def one_hot_sample(alpha: Tensor, tau: float | Tensor, gumbel: Tensor) -> Tensor:
    """`hard_gumbel` without its checks; tau may be a tensor ()."""
    soft = ((alpha.log_softmax(-1) + gumbel) / tau).softmax(-1)     # p, (edges, candidates)
    one_hot = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return one_hot + (soft - soft.detach())     # the bracket is exactly 0: the value is one_hot, the gradient p's


def check_tau(tau: float) -> None:
    """Raise ValueError unless tau is a positive, finite number."""
    if not 0 < tau < float("inf"):
        raise ValueError(f"tau must be a finite number > 0, got {tau}: the logits are divided by it")


def soft_mixture(alpha: Tensor) -> Mixture:
    """DARTS (paper, equation 2): every candidate runs, weighted by softmax(alpha), (num_edges, num_candidates)."""
    edges, candidates = alpha.shape
    return Mixture(alpha.softmax(-1), (tuple(range(candidates)),) * edges)


def gumbel_mixture(alpha: Tensor, tau: float, generator: torch.Generator, variant: Variant = "P") -> Mixture:
    """GDAS: one candidate an edge is drawn and runs; the draw is repeated if noise or p come out infinite or NaN.

    alpha: (num_edges, num_candidates). tau > 0. One draw serves all cells of a kind and the whole mini-batch, as in
    the authors' code (the paper speaks of one draw per sample).
    variant "P" (paper; AutoDL-Projects in the NASNet space): the edge is H[e, idx] * op_idx(x), nothing else.
    variant "N" (AutoDL-Projects in NAS-Bench-201): the edge also adds the scalars H[e, k] of the candidates not drawn.
        Their value is 0; the gradient becomes that of P with a baseline of ones taken from the operation's output.
    Raises ValueError for a bad tau or variant, FloatingPointError if alpha itself is not finite.
    """
    if variant not in ("P", "N"):
        raise ValueError(f"variant must be 'P' or 'N', got {variant!r}")
    for _ in range(MAX_REDRAWS):
        gumbel = sample_gumbel(alpha.shape, generator, alpha.dtype).to(alpha.device)
        sample = hard_gumbel(alpha, tau, gumbel)
        if bool(torch.isfinite(gumbel).all() & torch.isfinite(sample).all()):
            drawn = tuple((column,) for column in sample.argmax(-1).tolist())
            return Mixture(sample, drawn, is_hard=True, adds_unsampled=variant == "N")
    raise FloatingPointError(f"no finite Gumbel sample in {MAX_REDRAWS} draws: alpha holds NaN or infinite numbers")


def uniform_mixture(shape: tuple[int, int], generator: torch.Generator) -> Mixture:
    """Random search with weight sharing: on each of `shape[0]` edges one of `shape[1]` candidates, uniformly."""
    edges, candidates = shape
    return fixed_mixture(torch.randint(candidates, (edges,), generator=generator, device="cpu").tolist(), candidates)


def fixed_mixture(choices: Sequence[int], num_candidates: int) -> Mixture:
    """A discrete cell in the supernet: on edge e runs the candidate of column choices[e], with weight 1.

    Raises ValueError if a choice is no column.
    """
    bad = [choice for choice in choices if not 0 <= choice < num_candidates]
    if bad:
        raise ValueError(f"candidate {bad[0]} does not exist; columns are 0..{num_candidates - 1}")
    one_hot = torch.nn.functional.one_hot(torch.tensor(list(choices)), num_candidates).float()
    return Mixture(one_hot, tuple((int(choice),) for choice in choices), is_hard=True)


def linear_tau(tau_max: float, tau_min: float, epoch: int, epochs: int) -> float:
    """Temperature of `epoch` (0-based) of `epochs`: tau_max - (tau_max - tau_min) * epoch / (epochs - 1).

    Source: AutoDL-Projects; 10 to 0.1 (the paper prints 10 to 1, which its authors corrected). One epoch: tau_max.
    Raises ValueError if a temperature is not positive or the epoch is not in 0..epochs-1.
    """
    check_tau(tau_max)
    check_tau(tau_min)
    if not 0 <= epoch < epochs:
        raise ValueError(f"epoch must be in 0..{epochs - 1}, got {epoch}")
    return tau_max if epochs == 1 else tau_max - (tau_max - tau_min) * epoch / (epochs - 1)
