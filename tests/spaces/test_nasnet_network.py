"""Networks of NASNet genotypes: counts to the unit, cells against their definition, auxiliary head, drop path, bad input."""

from __future__ import annotations

import json
from operator import call as run_plain

import pytest
import torch
import torch.nn.functional as F

import gdas_lite as gl
from gdas_lite.engines import layers
from gdas_lite.genotypes.nasnet import NASNetGenotype
from gdas_lite.genotypes.zoo import zoo_genotype
from gdas_lite.runs.cost import count_parameters, multiply_adds
from gdas_lite.spaces.nasnet_cells import Cell, FixedReductionCell
from gdas_lite.spaces.nasnet_networks import AuxiliaryHead, ImageNetStem, Network, mean_of_pixels
from gdas_lite.spaces.operations import DropPath, FactorisedReduction, Identity, LayerStyle
from tests.spaces.slow_nasnet import slow_conv, slow_inputs, slow_norm, slow_operation, slow_pool

RUNS = {"plain": run_plain, "layers": layers.run_cell}
CIFAR = [       # genotype, classes, total, auxiliary, net, multiply-adds; C=36, 20 cells
    ("GDAS_V1", 10, 3_845_208, 476_426, 3_368_782, 519_428_736), ("GDAS_F1", 10, 3_019_440, 476_426, 2_543_014, 402_781_824),
    ("DARTS_V2", 100, 3_946_908, 545_636, 3_401_272, 528_410_880), ("NASNet", 10, 4_288_944, 457_994, 3_830_950, 603_452_448),
    ("AmoebaNet", 10, 3_603_072, 457_994, 3_145_078, 488_931_552), ("SETN", 10, 5_095_632, 476_426, 4_619_206, 722_392_704),
]
IMAGENET = [    # genotype, C, cells, auxiliary's second norm, total, auxiliary, net, multiply-adds
    ("GDAS_V1", 50, 14, False, 6_609_947, 1_264_872, 5_345_075, 581_009_000),
    ("GDAS_V1", 50, 14, True, 6_611_483, 1_266_408, 5_345_075, 581_009_000),
    ("GDAS_F1", 52, 14, False, 5_699_354, 1_268_968, 4_430_386, 496_733_952),
    ("DARTS_V2", 48, 14, False, 5_979_528, 1_260_776, 4_718_752, 529_911_552),
    ("SETN", 73, 5, True, 6_557_613, 1_313_512, 5_244_101, 597_041_320),
]
FIRST_NODE = (("sep_conv_3x3", 0), ("skip_connect", 1))
SMALL = NASNetGenotype(
    normal=(FIRST_NODE, (("max_pool_3x3", 0), ("dil_conv_3x3", 2)), (("skip_connect", 0), ("skip_connect", 3)),
            (("max_pool_3x3", 0), ("sep_conv_5x5", 1))),
    reduce=((("avg_pool_3x3", 0), ("skip_connect", 1)), (("avg_pool_3x3", 0), ("dil_conv_5x5", 2)),
            (("skip_connect", 2), ("sep_conv_3x3", 1)), (("max_pool_3x3", 1), ("skip_connect", 0))))
SMALL_FRC = NASNetGenotype(SMALL.normal, None)


def check_counts(network: Network, side: int, total: int, auxiliary: int, net: int, macs: int) -> None:
    assert count_parameters(network) == total
    assert count_parameters(network.auxiliary) == auxiliary
    assert total - auxiliary == net
    assert multiply_adds(network, (3, side, side)) == macs      # the head does not run in evaluation


@pytest.mark.parametrize("name, classes, total, auxiliary, net, macs", CIFAR)
def test_published_counts_of_cifar_networks(name, classes, total, auxiliary, net, macs):
    with torch.device("meta"):
        network = gl.network(zoo_genotype(name), channels=36, cells=20, classes=classes, auxiliary=True)
    check_counts(network, 32, total, auxiliary, net, macs)


@pytest.mark.parametrize("name, channels, cells, last_norm, total, auxiliary, net, macs", IMAGENET)
def test_published_counts_of_imagenet_networks(name, channels, cells, last_norm, total, auxiliary, net, macs):
    with torch.device("meta"):
        network = gl.network(zoo_genotype(name), channels=channels, cells=cells, classes=1000, stem="imagenet",
                                             auxiliary=True, auxiliary_last_norm=last_norm)
    check_counts(network, 224, total, auxiliary, net, macs)


def test_every_cifar_network_of_the_reference_to_the_unit(shared_spec):
    rows = json.loads((shared_spec / "reference-counts.json").read_text())["nasnet_cifar_networks"]
    assert len(rows) >= 22
    for row in rows:
        with torch.device("meta"):      # without memory
            network = Network(zoo_genotype(row["genotype"]), row["C"], row["cells"], row["classes"], auxiliary=True)
        check_counts(network, 32, row["total"], row["auxiliary"], row["net"], row["macs"])


def test_every_imagenet_network_of_the_reference_to_the_unit(shared_spec):
    rows = json.loads((shared_spec / "reference-counts.json").read_text())["nasnet_imagenet_networks"]
    assert len(rows) >= 11
    for row in rows:
        for last_norm, suffix in ((False, "without_bn768"), (True, "with_bn768")):
            if f"total_aux_{suffix}" in row:
                with torch.device("meta"):
                    network = Network(zoo_genotype(row["genotype"]), row["C"], row["cells"], 1000, stem="imagenet",
                                      auxiliary=True, auxiliary_last_norm=last_norm)
                check_counts(network, 224, row[f"total_aux_{suffix}"], row[f"auxiliary_{suffix}"], row["net"], row["macs"])


def test_every_network_that_autodl_retrains_to_the_unit(shared_spec):
    rows = json.loads((shared_spec / "reference-counts.json").read_text())["autodl_retrain_networks"]["rows"]
    assert len(rows) >= 6
    for row in rows:
        with torch.device("meta"):
            network = Network(zoo_genotype(row["genotype"]), row["C"], row["cells"], row["classes"], auxiliary=True,
                              pool_norm=True)
        last_norm = 2 * network.classifier.in_features      # theirs has one before the classifier, the paper's has none
        check_counts(network, 32, row["total"] - last_norm, row["auxiliary"], row["net"] - last_norm, row["macs"])


def test_a_fixed_reduction_cell_has_the_published_weights():
    cell = FixedReductionCell((144, 144), 72, False, LayerStyle())      # CIFAR, C=36, after cells of 144 channels
    assert count_parameters(cell) == 40_032


# Cells against their definition

def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(1)
    for parameter in module.double().parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    return module


def same_gradients(ours: torch.Tensor, slow: torch.Tensor, variables: list[torch.Tensor]) -> None:
    torch.testing.assert_close(ours, slow)
    direction = maps(*ours.shape, seed=9).detach()
    found, expected = (torch.autograd.grad((out * direction).sum(), variables) for out in (ours, slow))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def slow_cell(cell: Cell, pairs, concat, is_reduction: bool, older: torch.Tensor, newer: torch.Tensor) -> torch.Tensor:
    nodes = slow_inputs(older, newer, cell.inputs)
    for index, node in enumerate(pairs):
        terms = []
        for which, (operation, src) in enumerate(node):
            module = cell.operations[operation + f" from {src}"] if "pool" in operation else \
                cell.operations[f"{2 * index + which} {operation}"]
            terms.append(slow_operation(operation, nodes[src], module, 2 if is_reduction and src < 2 else 1, False))
        nodes.append(terms[0] + terms[1])
    return torch.cat([nodes[index] for index in concat], 1)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("is_reduction", [False, True])
@pytest.mark.parametrize("follows_reduction", [False, True])
def test_derived_cell_equals_its_definition_in_value_and_every_gradient(is_reduction, follows_reduction, run):
    """Two pools of one input, one operation twice, identities."""
    genotype = NASNetGenotype(SMALL.normal, SMALL.reduce, (2, 4, 5), (3, 4, 5))
    cell = randomised(Cell(genotype, is_reduction, (6, 5), 4, follows_reduction, LayerStyle()))
    older, newer = maps(3, 6, *(2 * (12 if follows_reduction else 6,))), maps(3, 5, 6, 6, seed=2)
    pairs, concat = (genotype.reduce, (3, 4, 5)) if is_reduction else (genotype.normal, (2, 4, 5))
    slow = slow_cell(cell, pairs, concat, is_reduction, older, newer)
    same_gradients(run(cell, older, newer), slow, [older, newer, *cell.parameters()])


def slow_branch(x: torch.Tensor, branch: torch.nn.Sequential) -> torch.Tensor:
    first, second, norm, _, last, last_norm = branch
    out = slow_conv(x.clamp_min(0), first.weight, (1, 2), groups=8)
    out = slow_norm(slow_conv(out, second.weight, (2, 1), groups=8), norm.weight, norm.bias)
    return slow_norm(slow_conv(out.clamp_min(0), last.weight), last_norm.weight, last_norm.bias)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("side", [6, 5])
def test_fixed_reduction_cell_equals_its_definition_in_value_and_every_gradient(side, run):
    cell = randomised(FixedReductionCell((6, 5), 8, False, LayerStyle()))
    older, newer = maps(3, 6, side, side), maps(3, 5, side, side, seed=2)
    inputs = slow_inputs(older, newer, cell.inputs)
    parts = [slow_branch(x, branch) for x, branch in zip(inputs, cell.branches, strict=True)]
    parts += [slow_norm(slow_pool("max_pool_3x3", x, 2), norm.weight, norm.bias)
              for x, norm in zip(inputs, cell.pool_norms, strict=True)]
    same_gradients(run(cell, older, newer), torch.cat(parts, 1), [older, newer, *cell.parameters()])


@pytest.mark.parametrize("stride, side, last_norm", [(3, 8, True), (2, 7, False), (2, 7, True)])
def test_auxiliary_head_equals_its_definition(stride, side, last_norm):
    head = randomised(AuxiliaryHead(4, 3, stride, last_norm))
    x = maps(3, 4, side, side)
    windows = x.clamp_min(0).unfold(2, 5, stride).unfold(3, 5, stride).mean((-2, -1))
    assert windows.shape[2:] == (2, 2)
    narrow = slow_norm(slow_conv(windows, head.narrow[0].weight), head.narrow[1].weight, head.narrow[1].bias).clamp_min(0)
    wide = torch.einsum("bcij,ocij->bo", narrow, head.wide[0].weight)[:, :, None, None]
    if last_norm:
        wide = slow_norm(wide, head.wide[1].weight, head.wide[1].bias)
    expected = wide.clamp_min(0)[:, :, 0, 0] @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(head(x), expected)


def test_imagenet_stem_divides_the_side_by_four_and_by_eight():
    older, newer = ImageNetStem(6, 3)(torch.randn(2, 3, 64, 64))
    assert older.shape == (2, 6, 16, 16) and newer.shape == (2, 6, 8, 8)
    network = Network(SMALL, 4, 5, 7, stem="imagenet")
    assert isinstance(network.cells[0].inputs.older, FactorisedReduction)       # "the cell before" halved, too
    assert network(torch.randn(2, 3, 64, 64)).shape == (2, 7)
    assert network(torch.randn(2, 3, 37, 41)).shape == (2, 7)


def test_only_the_cell_after_a_reduction_reduces_its_older_input():
    network = Network(SMALL, 4, 8)
    factorised = [isinstance(cell.inputs.older, FactorisedReduction) for cell in network.cells]
    assert factorised == [False, False, False, True, False, False, True, False]


def test_nothing_stands_between_the_last_cell_and_the_average():
    """Stem, cells and head put together by hand."""
    network = Network(SMALL, 4, 3).double()
    x = maps(2, 3, 8, 8).detach()
    stem = network.stem(x)
    outs = [stem, stem]
    for cell in network.cells:
        outs.append(cell(outs[-2], outs[-1]))
    torch.testing.assert_close(network(x), F.linear(outs[-1].mean((2, 3)), network.classifier.weight, network.classifier.bias))


@pytest.mark.parametrize("genotype", [SMALL, SMALL_FRC])
def test_a_network_is_rebuilt_from_genotype_and_settings(genotype):
    network = gl.network(genotype, channels=8, cells=3, classes=5, image_channels=1, auxiliary=True, pool_norm=True)
    again = gl.network(NASNetGenotype.from_json(network.genotype.to_json()), **network.settings)
    again.load_state_dict(network.state_dict())
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(again.eval()(x), network.eval()(x))


def test_every_weight_learns_with_the_auxiliary_loss():
    for genotype in (SMALL, SMALL_FRC):
        torch.manual_seed(0)
        network = Network(genotype, 8, 3, auxiliary=True).to(memory_format=torch.channels_last)
        logits, auxiliary_logits = network(torch.randn(4, 3, 32, 32), with_auxiliary=True)
        (F.cross_entropy(logits, torch.arange(4)) + 0.4 * F.cross_entropy(auxiliary_logits, torch.arange(4))).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_the_auxiliary_head_does_not_change_the_logits():
    network = Network(SMALL, 4, 3, auxiliary=True).eval()
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(x), network(x, with_auxiliary=True)[0])


# Drop path in the network

class FixedMasks:
    """Stands for DropPath; hands out masks that were made before."""

    rate = 0.5

    def __init__(self, values: torch.Tensor) -> None:       # (count, B)
        self.values = values

    def masks(self, count: int, like: torch.Tensor) -> torch.Tensor:
        assert self.values.shape == (count, like.shape[0])
        return self.values[:, :, None, None, None]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("genotype, count", [(SMALL, 5 + 7 + 7), (SMALL_FRC, 5 + 4 + 4)])
def test_masks_of_one_leave_the_network_as_it_is_and_an_image_is_dropped_by_itself(genotype, count, run):
    """Three of eight operands are identities in the normal cell, one in the reduction cell."""
    network = Network(genotype, 8, 3).double().eval()       # evaluation mode: images do not meet in batch statistics
    network.run_cell = run
    x = maps(3, 3, 8, 8).detach()
    ones = torch.ones(count, 3, dtype=torch.float64)
    torch.testing.assert_close(network(x, FixedMasks(ones)), network(x))
    dropped = ones.clone()
    dropped[:, 1] = 0
    out = network(x, FixedMasks(dropped))
    torch.testing.assert_close(out[[0, 2]], network(x)[[0, 2]])
    assert not torch.allclose(out[1], network(x)[1])
    singly = []
    for which in (0, count // 2, count - 1):      # every operand has a mask of its own, no mask serves two
        one = ones.clone()
        one[which, 1] = 0
        singly.append(network(x, FixedMasks(one))[1])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(singly[a], singly[b]) and not torch.allclose(singly[a], out[1])


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_identities_are_never_dropped_and_factorised_reductions_are(run):
    skip = (("skip_connect", 0), ("skip_connect", 1))
    genotype = NASNetGenotype((skip,) * 4, (skip,) * 4)
    older, newer = maps(2, 6, 6, 6).detach(), maps(2, 5, 6, 6, seed=1).detach()
    for is_reduction in (False, True):
        cell = Cell(genotype, is_reduction, (6, 5), 4, False, LayerStyle()).double()
        assert all(isinstance(operation, Identity) != is_reduction for operation in cell.operations.values())
        out = run(cell, older, newer, drop=lambda part: part * 0)
        if is_reduction:
            assert out.abs().max() == 0
        else:
            torch.testing.assert_close(out, cell(older, newer))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_each_operand_has_its_own_mask(run):
    node = (("max_pool_3x3", 0), ("max_pool_3x3", 0))       # one shared map, two masks
    cell = Cell(NASNetGenotype((node,) * 4, None), False, (6, 5), 4, False, LayerStyle()).double()
    inputs = [maps(2, 6, 6, 6).detach(), maps(2, 5, 6, 6, seed=1).detach()]
    factors = iter(range(1, 9))
    out = run(cell, *inputs, drop=lambda part: part * next(factors))
    plain = cell(*inputs)
    torch.testing.assert_close(out, torch.cat([part * k / 2 for part, k in zip(plain.split(4, 1), (3, 7, 11, 15))], 1))


def test_the_drop_is_random_by_generator_and_absent_without():
    network = Network(SMALL, 4, 3)
    x = torch.randn(4, 3, 8, 8)
    a, b, c = (network(x, DropPath(0.4, torch.Generator().manual_seed(seed))) for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(network(x, DropPath(0.0, torch.Generator())), network(x))


# Bad input

@pytest.mark.parametrize("settings, sentence", [
    ({"channels": 1}, "channels must be at least 2, a whole number, got 1"),
    ({"cells": 2}, "cells must be at least 3, a whole number, got 2"),
    ({"classes": 1}, "classes must be at least 2, a whole number, got 1"),
    ({"stem": "mnist"}, "stem must be cifar or imagenet, got 'mnist'"),
])
def test_impossible_networks_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        gl.network(SMALL, **settings)


def test_channels_that_do_not_fit_the_fixed_reduction_are_refused():
    with pytest.raises(ValueError, match="8 groups, but a reduction cell here has 100; .*the paper has 52 where"):
        gl.network(SMALL_FRC, channels=50, cells=14, stem="imagenet")


def test_too_small_images_are_refused():
    cifar, imagenet = (Network(SMALL, 4, 3, stem=stem, auxiliary=True) for stem in ("cifar", "imagenet"))
    for network, side, with_auxiliary, sentence in (
        (cifar, 3, False, "images of 3 x 3 pixels are too small for two reduction cells; the smallest side is 4 pixels"),
        (cifar, 28, True, "images of 28 x 28 pixels are too small for the auxiliary head; the smallest side is 29"),
        (imagenet, 31, False, "too small for the stem and two reduction cells; the smallest side is 32 pixels"),
        (imagenet, 192, True, "too small for the auxiliary head; the smallest side is 193 pixels"),
    ):
        with pytest.raises(ValueError, match=sentence):
            network(torch.zeros(2, 3, side, side), with_auxiliary=with_auxiliary)
    assert cifar(torch.randn(2, 3, 29, 29), with_auxiliary=True)[1].shape == (2, 10)
    assert imagenet(torch.randn(2, 3, 193, 193), with_auxiliary=True)[1].shape == (2, 10)
    with pytest.raises(ValueError, match="no auxiliary head; build it with auxiliary=True"):
        Network(SMALL, 4, 3)(torch.zeros(2, 3, 32, 32), with_auxiliary=True)


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_the_average_of_a_map_is_the_mean_and_its_gradient_has_the_maps_order_in_memory(memory_format):
    x = torch.randn(3, 16, 5, 4).contiguous(memory_format=memory_format).requires_grad_()
    direction = torch.randn(3, 16)
    (gradient,), (expected,) = (torch.autograd.grad((average * direction).sum(), [x])
                                for average in (mean_of_pixels(x), x.mean((2, 3))))
    assert torch.equal(mean_of_pixels(x), x.mean((2, 3))) and torch.equal(gradient, expected)
    if memory_format == torch.channels_last:        # PyTorch's own mean has this order in neither case
        assert gradient.is_contiguous(memory_format=memory_format)
