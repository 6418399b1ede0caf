"""Draws that stay on the device: which weights they give a gradient, beside what autograd reaches in the plain supernet."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import gdas_lite as gl
from gdas_lite.engines.cuda import nasnet as nasnet_learning
from gdas_lite.engines.cuda.draws import DeviceMixture
from gdas_lite.engines.cuda.nasbench201 import ALWAYS, FIRST, REACHES_INPUT, GradientMask, group_of
from gdas_lite.engines.cuda.nasnet import cell_on_device
from gdas_lite.relaxation import Mixture, fixed_mixture
from gdas_lite.spaces.nasbench201 import SearchCell
from gdas_lite.spaces.nasnet_cells import EDGES
from gdas_lite.spaces.operations import NASNET_CANDIDATES

SPACE = gl.NASBench201(2, 1)
SEPARABLE = NASNET_CANDIDATES.index("sep_conv_3x3")


def assert_learns(supernet: nn.Module, learning: GradientMask | nasnet_learning.GradientMask,
                  mixtures: dict[str, Mixture]) -> Tensor:
    """What learns of a supernet on images of one channel is what the device finds; that."""
    supernet.zero_grad(set_to_none=True)
    supernet(torch.randn(3, 1, 4, 4), mixtures).square().sum().backward()
    found = learning.of({kind: DeviceMixture(mixture.weights, torch.tensor(mixture.active)[:, 0])
                         for kind, mixture in mixtures.items()})
    for group, (name, param) in zip(learning.groups, supernet.named_parameters(), strict=True):
        assert found[group] == (param.grad is not None), (name, {kind: one.active for kind, one in mixtures.items()})
    return found


@pytest.mark.parametrize("tracked", [False, True])
def test_nasbench201(tracked):
    """Cells that cover each edge and operation."""
    torch.manual_seed(0)
    supernet, generator = replace(SPACE, track_running_stats=tracked).supernet(2, 1), torch.Generator().manual_seed(1)
    learning = GradientMask(supernet)
    for _ in range(25):
        assert_learns(supernet, learning, SPACE.random_mixtures(generator))
    assert learning.of({"cell": DeviceMixture(torch.ones(6, 5), None)}) is None


def test_groups_by_name():
    assert group_of("classifier.weight") == group_of("last_norm.bias") == ALWAYS
    assert group_of("stem.0.weight") == group_of("reductions.1.norm_a.bias") == REACHES_INPUT
    assert group_of("stages.2.4.edges.0.2.conv.weight") == FIRST
    assert group_of("stages.0.0.edges.5.3.conv.bias") == FIRST + 11


@pytest.mark.parametrize("space", [gl.NASNet(2, cells=4), gl.NASNet(2, "autodl", cells=5),
                                   gl.NASNet(4, cells=5, fixed_reduction=True)],
                         ids=["paper", "autodl", "fixed reduction"])
def test_nasnet(space):
    """Every candidate on every edge, more and more `none`, and cells that leave a given map alone, seldom met by chance."""
    torch.manual_seed(0)
    supernet, generator, learnt = space.supernet(2, 1), torch.Generator().manual_seed(1), []
    learning = nasnet_learning.GradientMask(supernet)
    for number in range(24):
        keeps = torch.rand(len(space.labels), 14, generator=generator) >= (number - 8) / 16
        drawn = (torch.arange(14) + number) % 8 * keeps
        mixtures = {kind: fixed_mixture(columns.tolist(), 8) for kind, columns in zip(space.labels, drawn, strict=True)}
        learnt.append(assert_learns(supernet, learning, mixtures))
    for kind in space.labels:
        for unused in ((0,), (1,), (0, 1)):
            cut = [0 if src in unused else SEPARABLE for src, _ in EDGES]
            others = {other: fixed_mixture([SEPARABLE] * 14, 8) for other in space.labels}
            learnt.append(assert_learns(supernet, learning, others | {kind: fixed_mixture(cut, 8)}))
    assert torch.stack(learnt).any(0).all() and torch.stack(learnt).all(0).sum() == 1       # what always learns is the head
    every = {kind: DeviceMixture(torch.ones(14, 8), None) for kind in space.labels}
    assert learning.of(every) is None


def test_a_plain_cell_takes_no_draw_on_the_device():
    """The two kinds of mixture are told apart by their type; the plain one is unchanged."""
    cell = SearchCell(2, track_running_stats=False)
    mixture = SPACE.random_mixtures(torch.Generator().manual_seed(0))["cell"]
    assert isinstance(mixture, Mixture) and cell(torch.randn(2, 2, 3, 3), mixture).shape == (2, 2, 3, 3)


def test_what_a_nasnet_cell_cannot_do_on_the_device_is_said():
    x, index = torch.randn(2, 6, 4, 4), torch.full((14,), SEPARABLE)
    for space, mixture, words in (
            (gl.NASNet(2, cells=3, track_running_stats=True), DeviceMixture(torch.ones(14, 8), None), "track_running_stats"),
            (gl.NASNet(2, cells=3), DeviceMixture(torch.ones(14, 8), index, adds_unsampled=True), "use variant 'P'")):
        with pytest.raises(ValueError, match=words):
            cell_on_device(space.supernet(2, 1).cells[0], x, x, mixture)
