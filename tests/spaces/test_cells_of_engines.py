"""Cells of the image spaces, run by each engine, against the plain ones: outputs, all gradients and estimates.

Random mixtures of every kind, with and without running estimates; in double precision engines agree with the plain code to its
rounding, in single precision to single precision's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from operator import call as run_plain

import pytest
import torch
from torch import Tensor, nn

import gdas_lite as gl
from gdas_lite.engines import cpu, cuda, layers
from gdas_lite.genotypes.notation import NASNET_GENOTYPE_OPS
from gdas_lite.relaxation import Mixture, gumbel_mixture, soft_mixture, uniform_mixture
from gdas_lite.runs.cost import multiply_adds
from gdas_lite.spaces import nasbench201, nasnet_cells
from gdas_lite.spaces.operations import LayerStyle

KINDS = ("soft", "soft, constant", "P", "N", "P, constant", "uniform")
SHAPES = {"nasbench201": (6, 5), "nasnet": (14, 8)}


def mixture_of(kind: str, shape: tuple[int, int], seed: int, real: torch.dtype) -> tuple[Tensor | None, Mixture]:
    """An alpha whose gradient is asked, or None, and its mixture; with many `none` for two of three seeds."""
    generator = torch.Generator().manual_seed(seed)
    alpha = torch.randn(shape, generator=generator).to(real)
    alpha[:, 0] += 1.5 * (seed % 3)
    if kind == "uniform":
        return None, uniform_mixture(shape, generator)
    alpha.requires_grad_("constant" not in kind)
    mixture = soft_mixture(alpha) if kind.startswith("soft") else gumbel_mixture(alpha, 0.8, generator, kind[0])
    return (alpha if alpha.requires_grad else None), mixture


def cell_of(space: str, tracks: bool, seed: int, kind: str) -> tuple[nn.Module, list[Tensor]]:
    """A search cell of 8 channels and its inputs. NASNet: both layouts; normal, after a reduction, reduction.

    With running estimates a bias makes rounding errors of a node of zeros, and a separable convolution's ReLU falls as they do;
    then the layout without biases.
    """
    torch.manual_seed(seed)
    if space == "nasbench201":
        return nasbench201.SearchCell(8, tracks), [torch.randn(4, 8, 6, 6)]
    is_reduction, follows = ((False, False), (False, True), (True, False))[seed % 3]
    has_biases = seed % 2 and (not tracks or kind.startswith("soft"))
    style = gl.NASNet(8, "autodl" if has_biases else "paper", track_running_stats=tracks).style
    side = 12 if follows else 6
    return (nasnet_cells.SearchCell((16, 8), 8, is_reduction, follows, style),
            [torch.randn(4, 16, side, side), torch.randn(4, 8, 6, 6)])


def results(run: Callable[..., Tensor], cell: nn.Module, inputs: list[Tensor], options: dict, alpha: Tensor | None,
            ignored: str = "nothing") -> list[Tensor | None]:
    """Output, gradients of alpha, inputs and weights (None for none), buffers. ignored: the end of parameters' names."""
    leaves = [x.contiguous(memory_format=torch.channels_last).requires_grad_() for x in inputs]
    out = run(cell, *leaves, **options)
    wanted = [*([] if alpha is None else [alpha]), *leaves,
              *(param for name, param in cell.named_parameters() if not name.endswith(ignored))]
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(7)).to(out)
    found = torch.autograd.grad((out * direction).sum(), wanted, allow_unused=True, retain_graph=True) \
        if out.requires_grad else [None] * len(wanted)
    return [out.detach(), *found, *cell.buffers()]


def assert_close(found: list[Tensor | None], wanted: list[Tensor | None], tolerance: float) -> None:
    """Up to `tolerance` times the norm, or that of the output, whose entries are summed up. No gradient is one of zeros."""
    for one, other in zip(found, wanted, strict=True):
        if one is not None or other is not None:
            one = torch.zeros_like(other) if one is None else one
            other = torch.zeros_like(one) if other is None else other
            assert float((one - other).double().norm()) <= tolerance * max(wanted[0].numel() ** 0.5, float(other.double().norm()))


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tracks", [False, True])
def test_layers_are_the_plain_cell_in_double_precision(space, kind, tracks):
    for seed in range(9):
        cell, inputs = cell_of(space, tracks, seed, kind)
        alpha, mixture = mixture_of(kind, SHAPES[space], seed, torch.float64)
        plain, fast = (results(run, copy.deepcopy(cell).double(), [x.double() for x in inputs], {"mixture": mixture}, alpha)
                       for run in (run_plain, layers.run_cell))
        assert_close(fast, plain, 1e-10)
        if kind != "N" or space == "nasbench201":       # the layers of NASNet, which has no N, run on zeros with a gradient
            first, count = 1 + (alpha is not None), len(plain) - len(list(cell.buffers()))     # alpha's None becomes zeros, always
            assert [grad is None for grad in fast[first:count]] == [grad is None for grad in plain[first:count]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tracks", [False, True])
def test_layers_are_the_plain_cell_in_single_precision(kind, tracks):
    """Of NAS-Bench-201, where ReLUs stand on nodes alone; inside a separable convolution one may fall otherwise. Biases in front
    of batch norm have gradients of rounding errors."""
    for seed in range(9):
        cell, inputs = cell_of("nasbench201", tracks, seed, kind)
        alpha, mixture = mixture_of(kind, SHAPES["nasbench201"], seed, torch.float32)
        plain, fast = (results(run, copy.deepcopy(cell), inputs, {"mixture": mixture}, alpha, ignored="bias")
                       for run in (run_plain, layers.run_cell))
        assert_close(fast, plain, 4e-6)


@pytest.mark.parametrize("style", [{}, {"pool_norm": True}, {"affine": False, "bias": True}])
@pytest.mark.parametrize("is_reduction", [False, True])
def test_layers_are_the_plain_derived_cells(style, is_reduction):
    """Every operation of the NASNet space, also those that the search has not; and the fixed reduction cell."""
    names = [name for name in NASNET_GENOTYPE_OPS if name != "none"]
    pairs = [(name, index % 2) for index, name in enumerate(names + names)]
    nodes = tuple(tuple(pairs[2 * node:2 * node + 2]) for node in range(len(names)))
    torch.manual_seed(0)
    inputs = [torch.randn(4, 16, 6, 6), torch.randn(4, 8, 6, 6)]
    genotype = gl.NASNetGenotype(nodes, nodes, tuple(range(2, 2 + len(nodes))), tuple(range(2, 2 + len(nodes))))
    for cell in (nasnet_cells.Cell(genotype, is_reduction, (16, 8), 8, False, LayerStyle(**style)),
                 nasnet_cells.FixedReductionCell((16, 8), 8, False, LayerStyle(**style))):
        for options in ({}, {"drop": lambda part: part * 0.5}):
            plain, fast = (results(run, copy.deepcopy(cell).double(), [x.double() for x in inputs], options, None)
                           for run in (run_plain, layers.run_cell))
            assert_close(fast, plain, 1e-10)


class Doubled(nn.Module):
    """A candidate that no engine knows."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class OwnCell(nasbench201.SearchCell):
    """A cell that no engine knows."""

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        return super().forward(2 * x, mixture)


@pytest.mark.parametrize("engine", [layers, cpu, cuda])
def test_what_no_engine_knows_runs_plainly(engine):
    mixture = soft_mixture(torch.zeros(6, 5))
    x = torch.randn(2, 8, 6, 6)
    cell = nasbench201.SearchCell(8, False)
    cell.edges[0][1] = Doubled()
    torch.testing.assert_close(engine.run_cell(cell, x, mixture=mixture), cell(x, mixture))
    own = OwnCell(8, False)
    torch.testing.assert_close(engine.run_cell(own, x, mixture=mixture), own(x, mixture))
    older, mixture = torch.randn(2, 8, 6, 6), soft_mixture(torch.zeros(14, 8))
    cell = nasnet_cells.SearchCell((8, 8), 8, False, False, gl.NASNet(8).style)
    cell.edges[0][3] = Doubled()
    torch.testing.assert_close(engine.run_cell(cell, older, x, mixture=mixture), cell(older, x, mixture))


def test_multiply_adds_are_counted_whatever_engine_is_attached():
    network = gl.NASBench201(4, 1).supernet(10)
    mixtures = {"cell": soft_mixture(torch.zeros(6, 5, device="meta"))}
    plain = multiply_adds(network, (3, 8, 8), mixtures)
    network.run_cell = layers.run_cell
    assert multiply_adds(network, (3, 8, 8), mixtures) == plain
