"""NAS-Bench-201 supernets on the fused engine's kernels against the plain cell in double precision."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines import cpu, layers
from gdas_lite.engines.cpu.engine import way
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.relaxation import Mixture, gumbel_mixture, soft_mixture
from gdas_lite.search.updates import classification

pytest.importorskip("numba", reason="the fused engine needs numba: the extra `fast`")


def batch(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(6, 3, *size, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last), torch.arange(6)


def compare(channels: int, mixture: Mixture, alpha: torch.Tensor | None, size: tuple[int, int] = (8, 8),
            estimates: bool = False) -> None:
    """Loss, buffers and every gradient, and which weights have none, of a supernet with one cell a stage."""
    torch.manual_seed(0)
    net = gl.NASBench201(channels, 1, estimates).supernet(10).to(memory_format=torch.channels_last).train()
    exact = copy.deepcopy(net).double()
    net.run_cell, exact.run_cell = cpu.run_cell, layers.run_cell
    x, y = batch(size)
    found = []
    for one, dtype in ((net, torch.float32), (exact, torch.float64)):
        weights = mixture.weights.to(dtype)
        loss = classification(one, {"cell": replace(mixture, weights=weights)}, (x.to(dtype), y)).loss
        wanted = {name: param for name, param in one.named_parameters() if not name.endswith("conv.bias")}
        wanted |= {"alpha": alpha} if alpha is not None else {}
        slopes = torch.autograd.grad(loss, list(wanted.values()), retain_graph=True, allow_unused=True)
        found.append((loss.item(), dict(zip(wanted, slopes, strict=True))))
    for (name, ours), (_, wanted) in zip(net.named_buffers(), exact.named_buffers(), strict=True):
        torch.testing.assert_close(ours.double(), wanted.double(), rtol=1e-5, atol=1e-5, msg=name)
    (here, fused), (there, plain) = found
    assert here == pytest.approx(there, rel=1e-5)
    assert [(name, fused[name] is None) for name in plain if (plain[name] is None) != (fused[name] is None)] == []
    for name, slope in plain.items():
        if slope is not None:
            distance = (fused[name].double() - slope).norm()
            cancels = 1.0 if name == "alpha" else 0.02          # sums over whole maps, of which little is left
            assert distance < 1e-5 * max(float(slope.norm()), cancels), name


@pytest.mark.parametrize("channels, size", [(8, (8, 8)), (8, (12, 4)), (16, (4, 8))])
def test_a_soft_mixture(channels, size):
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    compare(channels, soft_mixture(alpha), alpha, size)
    compare(channels, soft_mixture(alpha), alpha, size, estimates=True)


@pytest.mark.parametrize("estimates", [False, True])
def test_a_soft_mixture_whose_gradient_nobody_asks(estimates):
    """The weight step of DARTS. It once ran every candidate with weight 1."""
    compare(8, soft_mixture(torch.randn(6, 5, generator=torch.Generator().manual_seed(0))), None, estimates=estimates)


@pytest.mark.parametrize("variant", ["P", "N"])
@pytest.mark.parametrize("seed", range(8))
def test_draws_of_gdas(variant, seed):
    generator = torch.Generator().manual_seed(seed)
    alpha = torch.randn(6, 5, generator=generator).requires_grad_()
    mixture = gumbel_mixture(alpha, 1.0, generator, variant)
    compare(8, mixture, alpha)
    compare(8, mixture, alpha, estimates=True)


@pytest.mark.parametrize("op", NASBENCH201_OPS)
def test_cells_of_one_operation_and_cells_that_reach_nothing(op):
    space = gl.NASBench201(8, 1)
    for ops in ([op] * 6, [op, "none", "none", "none", "none", op], ["none", op, "skip_connect", "none", "avg_pool_3x3", op],
                ["none"] * 3 + [op, op, "none"]):
        mixture = space.mixtures(gl.NASBench201Genotype(tuple(ops)))["cell"]
        compare(8, mixture, None)
        computes = ops[3] != "none" or ops[1] != "none"         # else the plain output is rounding errors of zero, behind a ReLU
        compare(8, mixture, None, estimates=computes)
        for adds in (False, True):
            weights = mixture.weights.clone().requires_grad_()
            compare(8, replace(mixture, weights=weights, adds_unsampled=adds), weights, estimates=adds and computes)


@pytest.mark.parametrize("algorithm", [gl.GDAS(), gl.DARTS(1), gl.DARTS(2), gl.RandomSearch()], ids=lambda one: one.name)
def test_a_search_follows_the_plain_one(algorithm, monkeypatch):
    monkeypatch.setattr("gdas_lite.engines.cpu.engine._against_loops", lambda asked: "the kernels of cells are tried here")
    data = gl.load_data("digits")
    data = replace(data, train_half=data.train_half.subset(range(64)), valid_half=data.valid_half.subset(range(64)))
    recipe = gl.search_recipe("smoke", "nasbench201", algorithm.name, epochs=1, batch_size=32, alpha_eps=0.01,
                              clip_scope="weights_and_alpha")
    runs = [gl.Search(gl.NASBench201(8, 1), data, algorithm, recipe=recipe, engine=engine).run() for engine in ("plain", "cpu")]
    assert [run.engine.name for run in runs] == ["plain", "cpu"] and way(runs[1].spec) == "cells"
    plain, fused = (run.history[-1] for run in runs)
    assert fused.train_loss == pytest.approx(plain.train_loss, rel=1e-3)
    torch.testing.assert_close(torch.from_numpy(fused.alphas["cell"]), torch.from_numpy(plain.alphas["cell"]), rtol=0, atol=2e-4)
