"""The NAS-Bench-201 space: counts, mixtures and derived cells, against a slow cell written from the definition."""

from __future__ import annotations

import json
from operator import call as run_plain

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gdas_lite as gl
from gdas_lite.engines import layers
from gdas_lite.engines.layers.cells import useful_nodes
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.relaxation import gumbel_mixture, soft_mixture
from gdas_lite.runs.cost import cost_of, count_parameters, multiply_adds
from gdas_lite.spaces.nasbench201 import EDGES, NASBench201, Network, SearchCell

ALL_SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
ALL_C3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
RUNS = {"plain": run_plain, "layers": layers.run_cell}
RESNET = "|nor_conv_3x3~0|+|nor_conv_3x3~1|+|skip_connect~0|skip_connect~2|"


@pytest.mark.parametrize("arch, classes, size, parameters, macs", [
    (ALL_SKIP, 10, 32, 73_306, 7_783_040), (ALL_C3, 10, 32, 1_531_546, 220_119_680),
    (ALL_C3, 120, 16, 1_538_696, None), (RESNET, 10, 32, 559_386, 78_561_920), (RESNET, 100, 32, 565_236, 78_567_680),
])
def test_published_counts(arch, classes, size, parameters, macs):
    network = gl.network(NASBench201Genotype.parse(arch), classes=classes)
    found = cost_of(network, (3, size, size))
    assert found.parameters == parameters
    assert macs is None or found.multiply_adds == macs


def test_every_network_and_supernet_of_the_reference_to_the_unit(shared_spec):
    reference = json.loads((shared_spec / "reference-counts.json").read_text())
    data_sets = {"cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}
    for row in reference["nb201_networks"]:
        for name, (classes, size) in data_sets.items():
            network = gl.network(NASBench201Genotype.parse(row["arch"]), row["C"], row["N"], classes)
            found = cost_of(network, (3, size, size))
            assert (found.parameters, found.multiply_adds) == (row[name]["params"], row[name]["macs"]), row["arch"]
    mixture = {"cell": soft_mixture(torch.zeros(6, 5, device="meta"))}
    for classes, row in reference["nb201_supernet"]["by_num_classes"].items():
        supernet = NASBench201().supernet(int(classes))
        size = 16 if classes == "120" else 32
        assert count_parameters(supernet) == row["weights"]
        assert multiply_adds(supernet, (3, size, size), mixture) == row["macs_all_operations_on"]
        assert sum(np.prod(labels.shape) for labels in NASBench201().labels.values()) == row["alphas"]
    cells = reference["nb201_supernet"]["search_cell_params"]
    assert {c: count_parameters(SearchCell(int(c[1:]), False)) for c in cells} == cells and len(cells) == 3
    parts, network = reference["nb201_parts"], gl.network(NASBench201Genotype.parse(RESNET), classes=10)
    whole = (network.stem, *network.reductions, network.last_norm, network.classifier)
    found = dict(zip(parts, [*map(count_parameters, whole), sum(map(len, network.stages)) + len(network.reductions)]))
    assert found == parts and len(parts) == 6


def slow_op(cell: SearchCell, edge: int, column: int, x: torch.Tensor) -> torch.Tensor:
    """A candidate from PyTorch's functions alone; batch statistics."""
    name = NASBENCH201_OPS[column]
    if name == "none":
        return x * 0
    if name == "skip_connect":
        return x
    if name == "avg_pool_3x3":
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    conv = cell.edges[edge][column].conv
    z = F.conv2d(F.relu(x), conv.weight, conv.bias, padding=conv.padding)
    return (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()


def slow_cell(cell: SearchCell, x: torch.Tensor, weights: torch.Tensor, active, adds_unsampled: bool) -> torch.Tensor:
    """All nodes and edges, nothing left out: node i = sum of the edges; variant N adds the scalars not drawn."""
    nodes = [x]
    for node in (1, 2, 3):
        total = torch.zeros_like(x)
        for edge, (src, dst) in enumerate(EDGES):
            if dst != node:
                continue
            for column in range(5):
                if column in active[edge]:
                    total = total + weights[edge, column] * slow_op(cell, edge, column, nodes[src])
                elif adds_unsampled:
                    total = total + weights[edge, column]
        nodes.append(total)
    return nodes[3]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("variant", ["soft", "P", "N"])
@pytest.mark.parametrize("seed", range(8))
def test_cell_equals_the_slow_cell_in_value_and_every_gradient(variant, seed, run):
    """Also where edges draw none, nodes are dead, or nothing reaches the output."""
    torch.manual_seed(seed)
    cell = SearchCell(4, track_running_stats=False).double()
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    alpha = torch.randn(6, 5, dtype=torch.float64)
    alpha[:, 0] += 1.5 * (seed % 3)      # many `none`
    alpha.requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    mixture = soft_mixture(alpha) if variant == "soft" else gumbel_mixture(alpha, 0.8, generator, variant)
    ours = run(cell, x, mixture=mixture)
    slow = slow_cell(cell, x, mixture.weights, mixture.active, mixture.adds_unsampled)
    torch.testing.assert_close(ours, slow)
    inputs = [alpha, x, *cell.parameters()]
    direction = torch.randn_like(slow)
    expected = torch.autograd.grad((slow * direction).sum(), inputs, allow_unused=True, retain_graph=True)
    found = torch.autograd.grad((ours * direction).sum(), inputs, allow_unused=True) if ours.requires_grad \
        else [None] * len(inputs)
    for a, b in zip(found, expected, strict=True):
        b = torch.zeros(()) if b is None else b
        torch.testing.assert_close(torch.zeros_like(b) if a is None else a, b, rtol=1e-7, atol=1e-9)


DEAD = {     # draws that leave a node, or the whole output, without input
    "convolutions behind a dead node": [0, 0, 3, 0, 1, 3], "dead node passed on": [0, 0, 1, 0, 4, 1],
    "nothing reaches the output": [0, 0, 3, 0, 3, 3], "all none": [0] * 6,
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("columns", DEAD.values(), ids=DEAD.keys())
def test_rounding_errors_behind_a_dead_node_are_not_blown_up(columns, run):
    """Batch norm of a map that is zero up to rounding multiplies by 300; six cells of it once gave alpha gradients of 17
    where 0.02 is usual, and Adam stood still on those edges for the rest of the search."""
    gradients = {}
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(1)
        supernet = NASBench201(4, 2).supernet(10).to(dtype)
        supernet.run_cell = run
        alpha = torch.zeros(6, 5, dtype=dtype)
        alpha[range(6), columns] = 60.0     # so the draw is certain, and p is set by tau alone
        alpha.requires_grad_()
        mixture = gumbel_mixture(alpha, 50.0, torch.Generator().manual_seed(0), "N")
        assert [active[0] for active in mixture.active] == columns
        x = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(2)).to(dtype)
        loss = F.cross_entropy(supernet(x, {"cell": mixture}), torch.arange(32) % 10)
        gradients[dtype], = torch.autograd.grad(loss, alpha)
    scale = gradients[torch.float64].abs().max()
    assert scale < 0.1
    torch.testing.assert_close(gradients[torch.float32].double(), gradients[torch.float64], rtol=0.02, atol=1e-3 * scale + 1e-9)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_weight_step_sees_no_product_and_the_same_values(run):
    cell = SearchCell(4, track_running_stats=False)
    alpha = torch.randn(6, 5, requires_grad=True)
    x = torch.randn(2, 4, 8, 8)
    with_gradient = gumbel_mixture(alpha, 1.0, torch.Generator().manual_seed(4), "N")
    constant = gumbel_mixture(alpha.detach(), 1.0, torch.Generator().manual_seed(4), "N")
    torch.testing.assert_close(run(cell, x, mixture=with_gradient), run(cell, x, mixture=constant))


def test_only_what_was_drawn_runs(monkeypatch):
    """`layers` runs nothing on a node that does not reach the output, either."""
    cell, space, called = SearchCell(4, track_running_stats=False), NASBench201(4, 1), []
    weights = {cell.edges[edge][column].conv.weight: (edge, column) for edge in range(6) for column in (2, 3)}
    convolution = torch.nn.functional.conv2d

    def noted(x: torch.Tensor, weight: torch.Tensor, *others: object) -> torch.Tensor:
        called.extend([weights[weight]] if weight in weights else [])
        return convolution(x, weight, *others)

    monkeypatch.setattr(torch.nn.functional, "conv2d", noted)
    dead_end = NASBench201Genotype.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|none~1|skip_connect~2|")
    for run, wanted in ((run_plain, [(0, 3), (1, 3), (3, 2)]), (layers.run_cell, [(1, 3), (3, 2)])):
        called.clear()
        run(cell, torch.randn(2, 4, 8, 8), mixture=space.mixtures(dead_end)["cell"])
        assert called == wanted
    assert useful_nodes(space.mixtures(dead_end)["cell"].active) == {0, 2, 3}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_running_estimates_are_kept_when_asked_for(run):
    tracked, batch = NASBench201(4, 1, track_running_stats=True).supernet(10), NASBench201(4, 1).supernet(10)
    assert any("edges" in name for name, _ in tracked.named_buffers())
    assert not any("edges" in name for name, _ in batch.named_buffers())
    mixtures = NASBench201(4, 1).mixtures(NASBench201Genotype.parse(ALL_C3))
    tracked.run_cell = run
    tracked(torch.randn(4, 3, 8, 8), mixtures)
    assert tracked.stages[0][0].edges[0][3].norm.num_batches_tracked == 1
    assert tracked.stages[0][0].edges[0][2].norm.num_batches_tracked == 0


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_derived_network_equals_the_supernet_with_one_hot_mixture(run):
    """Same weights, no bias, neutral affine: then the two are the same function."""
    genotype = NASBench201Genotype.parse(
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|")
    space = NASBench201(4, 2)
    supernet, network = space.supernet(10).double(), Network(genotype, 4, 2, 10).double()
    wanted = supernet.state_dict()
    for name, value in network.state_dict().items():
        parts = name.split(".")
        if "edges" in parts:
            edge = int(parts[parts.index("edges") + 1])
            parts.insert(parts.index("edges") + 2, str(NASBENCH201_OPS.index(genotype.ops[edge])))
        if (source := wanted.get(".".join(parts))) is not None:
            value.copy_(source)
    for cell in (cell for stage in supernet.stages for cell in stage):
        for name, parameter in cell.named_parameters():
            if name.endswith("bias"):
                parameter.data.zero_()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    network.run_cell = run
    torch.testing.assert_close(network(x), supernet(x, space.mixtures(genotype)))


def test_derive_takes_the_best_of_every_row_none_included():
    alphas = {"cell": torch.full((6, 5), -1.0)}
    columns = [0, 1, 2, 3, 4, 0]
    alphas["cell"][range(6), columns] = 1.0
    assert NASBench201().derive(alphas).ops == tuple(NASBENCH201_OPS[column] for column in columns)
    assert NASBench201().derive({"cell": np.zeros((6, 5))}).ops == ("none",) * 6


def test_mixtures_and_genotype_of_are_inverse():
    rng = np.random.default_rng(0)
    for _ in range(20):
        genotype = NASBench201Genotype.random(rng)
        assert NASBench201().genotype_of(NASBench201().mixtures(genotype)) == genotype


@pytest.mark.parametrize("sizes, sentence", [
    ({"channels": 15}, "channels must be an even number"), ({"channels": 0}, "channels must be at least 2"),
    ({"cells_per_stage": 0}, "cells_per_stage must be at least 1"),
])
def test_impossible_sizes_are_refused(sizes, sentence):
    with pytest.raises(ValueError, match=sentence):
        NASBench201(**sizes)
    with pytest.raises(ValueError, match=sentence):
        gl.network(NASBench201Genotype.parse(ALL_SKIP), **sizes)
    with pytest.raises(ValueError, match="classes must be at least 2"):
        NASBench201().supernet(classes=1)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_weight_of_the_supernet_learns_under_a_soft_mixture(run):
    supernet = NASBench201(4, 1).supernet(10)
    supernet.run_cell = run
    alpha = torch.zeros(6, 5, requires_grad=True)
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8)
    F.cross_entropy(supernet(x, {"cell": soft_mixture(alpha)}), y).backward()
    for name, parameter in supernet.named_parameters():
        assert parameter.grad is not None, name
        if not (name.endswith("conv.bias")):     # a bias before batch statistics has gradient zero, up to rounding
            assert parameter.grad.abs().max() > 0, name
    assert alpha.grad is not None and (alpha.grad.abs().sum(-1) > 0).all()
