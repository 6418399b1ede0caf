"""Exercises of notebook 3: the GDAS step (GDAS paper, section 3.3 and algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from .exercise import Exercise, Function, array_of, number_of

# --- 3.1: the temperature of an epoch ---

def tau_of(epoch: int, epochs: int) -> float:
    return 10 - (10 - 0.1) * epoch / (epochs - 1)


def _never_arrives(epoch: int, epochs: int) -> float:
    return 10 - (10 - 0.1) * epoch / epochs


def _as_printed(epoch: int, epochs: int) -> float:
    return 10 - (10 - 1) * epoch / (epochs - 1)


def check_tau_of(function: Function) -> None:
    first, last = (number_of(function(epoch, 250), f"tau of epoch {epoch}") for epoch in (0, 249))
    assert first == 10, f"the first epoch has tau = 10, got {first:g}"
    assert abs(last - 1) > 1e-9, "the last epoch has tau = 1 here, as the paper prints; its authors corrected it to 0.1"
    assert abs(last - 0.1) < 1e-9, (
        f"the last epoch (249 of 0..249) has tau = 0.1, got {last:g}: between the first and the last of 250 epochs lie 249 steps")
    middle = number_of(function(2, 5), "tau of epoch 2")
    assert abs(middle - 5.05) < 1e-9, f"halfway, epoch 2 of 0..4, tau should be 5.05, got {middle:g}: it falls in a straight line"


# --- 3.2: what the two gradient variants tell alpha ---

def both_variants(output: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return (gradient * output).sum(), (gradient * (output - 1)).sum()


def _same_for_both(output: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return (gradient * output).sum(), (gradient * output).sum()


def _mean_instead_of_sum(output: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return (gradient * output).mean(), (gradient * (output - 1)).mean()


def check_both_variants(function: Function) -> None:
    generator = torch.Generator().manual_seed(0)
    output, gradient = (torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    result = function(output, gradient)
    assert isinstance(result, tuple | list) and len(result) == 2, "return two numbers: S of variant P, S of variant N"
    of_p, of_n = (array_of(value, (), name) for value, name in zip(result, ("S of variant P", "S of variant N"), strict=True))
    wanted_p, wanted_n = (gradient * output).sum(), (gradient * output).sum() - gradient.sum()
    assert not torch.isclose(of_p, wanted_p / output.numel()), (
        "H[e, idx] multiplies every pixel of every image, so its gradient is a sum over all of them, not a mean")
    assert torch.isclose(of_p, wanted_p), f"S of variant P is <G, op(x)> = {wanted_p:.4f}, got {of_p:.4f}"
    assert not torch.isclose(of_n, wanted_p), (
        "variant N also adds the scalars of the operations not drawn; their gradient <G, 1> goes to the other entries of the row "
        "and counts here with a minus sign")
    assert torch.isclose(of_n, wanted_n), f"S of variant N is <G, op(x) - 1> = {wanted_n:.4f}, got {of_n:.4f}"


# --- 3.3: find the bug ---

def derive(alpha: Tensor, candidates: tuple[str, ...]) -> list[str]:
    return [candidates[k] for k in alpha.argmax(-1).tolist()]


def _largest_over_edges(alpha: Tensor, candidates: tuple[str, ...]) -> list[str]:
    return [candidates[k % len(candidates)] for k in alpha.argmax(0).tolist()]


def _without_none(alpha: Tensor, candidates: tuple[str, ...]) -> list[str]:
    return [candidates[k + 1] for k in alpha[:, 1:].argmax(-1).tolist()]


def check_derive(function: Function) -> None:
    candidates = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    alpha = torch.zeros(6, 5)
    wanted = ["nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "none"]
    for row, name in enumerate(wanted):
        alpha[row, candidates.index(name)] = 0.01 * (row + 1)
    found = function(alpha, candidates)
    assert isinstance(found, list | tuple), f"return a list of six names, got {type(found).__name__}"
    found = list(found)
    assert len(found) == 6, f"six edges need six operations, got {len(found)}: a row of alpha is an edge"
    assert "none" in found, "in this space `none` may win an edge (AutoDL-Projects); the NASNet space leaves it out"
    assert found == wanted, f"expected {wanted}, got {found}: on each edge the operation with the largest alpha"


EXERCISES = (
    Exercise("3.1", "the temperature of an epoch", 5, check_tau_of, tau_of,
             ((_never_arrives, "249 steps"), (_as_printed, "corrected it to 0.1"))),
    Exercise("3.2", "what the two variants tell alpha", 15, check_both_variants, both_variants,
             ((_same_for_both, "with a minus sign"), (_mean_instead_of_sum, "not a mean"))),
    Exercise("3.3", "from alpha to a cell", 5, check_derive, derive,
             ((_largest_over_edges, "a row of alpha is an edge"), (_without_none, "`none` may win"))),
)
