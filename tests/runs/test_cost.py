"""What a network costs, and what of it reaches the output of its cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.genotypes.functions import computed_function
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype

SIZES = {"channels": 4, "cells_per_stage": 1}
HALF_DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def some_cells(count=60, seed=0):
    rng = np.random.default_rng(seed)
    return [NASBench201Genotype.parse(HALF_DEAD), *(NASBench201Genotype.random(rng) for _ in range(count))]


def without(cell, edge):
    return NASBench201Genotype((*cell.ops[:edge], "none", *cell.ops[edge + 1:]))


def test_the_live_cell_computes_the_same_and_every_operation_of_it_counts():
    for cell in NASBench201Genotype.all():
        assert computed_function(cell.live.edges) == computed_function(cell.edges)
    for cell in some_cells(400):
        for edge in (edge for edge, op in enumerate(cell.live.ops) if op != "none"):
            assert computed_function(without(cell, edge).edges) != computed_function(cell.edges)


@pytest.mark.parametrize("shape", [(3, -4, -4), (3, 0, 8), (3, 10**9, 10**9), (3, 8), (3, 8.5, 8)])
def test_a_shape_that_no_image_has_is_a_sentence(shape):
    with pytest.raises(ValueError, match="^input_shape"):
        gl.cost_of(gl.network(gl.zoo_genotype("all_c1x1"), channels=2, cells_per_stage=1), shape)


def test_frozen_weights_count():
    network = gl.network(gl.zoo_genotype("resnet"), 2, 1)
    before = gl.cost_of(network, (3, 8, 8))
    network.requires_grad_(False)
    assert gl.count_parameters(network) == before.parameters and gl.cost_of(network, (3, 8, 8)) == before


@pytest.mark.parametrize("value", [gl.zoo_genotype("resnet"), "GDAS_V1", None, torch.nn.ReLU], ids=str)
def test_what_is_no_network_is_a_sentence(value):
    with pytest.raises(ValueError, match="^network must be what gl.network returns, got"):
        gl.cost_of(value, (3, 32, 32))


@pytest.mark.parametrize("name, sizes", [("resnet", (2, 1)), ("GDAS_V1", (2, 3))])
def test_an_image_in_the_place_of_its_shape_or_of_a_batch_is_a_sentence(name, sizes):
    network, image = gl.network(gl.zoo_genotype(name), *sizes), torch.zeros(3, 32, 32)
    for count in (gl.cost_of, gl.multiply_adds):
        with pytest.raises(ValueError, match="^input_shape must be a list"):
            count(network, image[None])
    with pytest.raises(ValueError, match="expected 4D input"):
        network(image)


@pytest.mark.parametrize("cell", some_cells(12), ids=str)
def test_live_parameters_are_those_that_the_loss_reaches(cell):
    """The slow way, by the gradient. A batch norm behind zeros adds its bias, which knows nothing of the image: dead as well."""
    network = gl.network(cell, **SIZES)
    cost = gl.cost_of(network, (3, 8, 8))
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    live_names = {name for name, _ in gl.network(cell.live, **SIZES).named_parameters()}
    dead = {name: parameter for name, parameter in network.named_parameters() if name not in live_names}
    assert not [name for name, parameter in dead.items()
                if parameter.grad is not None and parameter.grad.any() and not name.endswith("bias")]
    assert cost.live.parameters == cost.parameters - sum(parameter.numel() for parameter in dead.values())
    assert cost.live == gl.cost_of(gl.network(cell.live, **SIZES), (3, 8, 8)).live


def test_a_cost_tells_the_live_part_only_where_it_is_less():
    whole = gl.cost_of(gl.network(NASBench201Genotype(("nor_conv_3x3",) * 6), **SIZES), (3, 8, 8))
    assert whole.live.parameters == whole.parameters and "live" not in str(whole)
    half = gl.cost_of(gl.network(NASBench201Genotype.parse(HALF_DEAD), **SIZES), (3, 8, 8))
    assert half.live.multiply_adds < half.multiply_adds
    assert str(half) == (f"{half.parameters:,} parameters, {half.multiply_adds:,} multiply-adds; "
                         f"live: {half.live.parameters:,} parameters, {half.live.multiply_adds:,} multiply-adds")
    assert gl.cost_of(gl.network(gl.zoo_genotype("GDAS_V1"), channels=8, cells=3), (3, 32, 32)).live is None
