"""Operations of the NASNet space against their definitions, in value and every gradient; counts to the unit."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

from gdas_lite.engines.layers.cells import Node
from gdas_lite.engines.layers.maps import concatenate, even_and_odd
from gdas_lite.genotypes.notation import NASNET_GENOTYPE_OPS
from gdas_lite.runs.cost import count_parameters
from gdas_lite.spaces.operations import (
    FactorisedReduction,
    LayerStyle,
    NodeValue,
    nasnet_operation,
)
from tests.spaces.slow_nasnet import slow_operation

STYLES = {
    "network": LayerStyle(),
    "original GDAS network": LayerStyle(pool_norm=True),
    "search, papers": LayerStyle(affine=False, track_running_stats=False, pool_norm=True),
    "search, AutoDL-Projects": LayerStyle(affine=False, bias=True),
}


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last)


def gradients(output: torch.Tensor, inputs: list[torch.Tensor]) -> tuple[torch.Tensor | None, ...]:
    direction = maps(*output.shape, seed=9)
    return torch.autograd.grad((output * direction).sum(), inputs, allow_unused=True)


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    """Double precision, and no weight at its neutral initial value."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.double().parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    return module


@pytest.mark.parametrize("name", NASNET_GENOTYPE_OPS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
@pytest.mark.parametrize("node", [NodeValue, Node])
def test_operation_equals_its_definition_in_value_and_every_gradient(name, stride, style, size, node):
    operation = randomised(nasnet_operation(name, 4, stride, STYLES[style]))
    x = maps(3, 4, *size).requires_grad_()
    ours = node(x).through(operation)
    slow = slow_operation(name, x, operation, stride, STYLES[style].pool_norm)
    torch.testing.assert_close(ours, slow)
    inputs = [x, *operation.parameters()]
    for a, b in zip(gradients(ours, inputs), gradients(slow, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", NASNET_GENOTYPE_OPS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("node", [NodeValue, Node])
def test_weight_multiplies_the_output_and_gets_its_gradient(name, stride, node):
    style = STYLES["search, papers"]
    operation = randomised(nasnet_operation(name, 4, stride, style))
    x = maps(3, 4, 6, 6).requires_grad_()
    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    ours, product = node(x).through(operation, weight), weight * slow_operation(name, x, operation, stride, True)
    torch.testing.assert_close(ours, product)
    inputs = [x, weight, *operation.parameters()]
    for a, b in zip(gradients(ours, inputs), gradients(product, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("node", [NodeValue, Node])
def test_max_pooling_gives_a_tie_to_the_first_pixel_alone(node):
    x = torch.ones(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    node(x).through(nasnet_operation("max_pool_3x3", 1, 2, LayerStyle())).sum().backward()
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]


COUNTS_C16 = {      # name: (search, search stride 2, network, network stride 2), DARTS code
    "max_pool_3x3": (0, 0, 0, 0), "avg_pool_3x3": (0, 0, 0, 0), "skip_connect": (0, 256, 0, 288),
    "sep_conv_3x3": (800, 800, 864, 864), "sep_conv_5x5": (1312, 1312, 1376, 1376),
    "dil_conv_3x3": (400, 400, 432, 432), "dil_conv_5x5": (656, 656, 688, 688),
    "sep_conv_7x7": (2080, 2080, 2144, 2144), "conv_7x1_1x7": (3584, 3584, 3616, 3616),
}


@pytest.mark.parametrize("name", COUNTS_C16)
def test_weights_at_16_channels(name):
    styles = (STYLES["search, papers"], STYLES["network"])
    found = tuple(count_parameters(nasnet_operation(name, 16, stride, style)) for style in styles for stride in (1, 2))
    assert found == COUNTS_C16[name]


def test_weights_of_both_code_bases_to_the_unit(shared_spec):
    reference = json.loads((shared_spec / "reference-counts.json").read_text())["operation_params_C16"]
    lineages = {"quark0_darts": LayerStyle(affine=False), "autodl_search_operations": LayerStyle(affine=False, bias=True)}
    checked = 0
    for lineage, search in lineages.items():
        for name, row in reference[lineage].items():
            name = name.replace("dua_sepc", "sep_conv").replace("dil_sepc", "dil_conv")
            if name not in NASNET_GENOTYPE_OPS:     # none; and NAS-Bench-201's
                continue
            for when, style in (("search", search), ("eval", LayerStyle())):
                for stride in (1, 2):
                    found = count_parameters(nasnet_operation(name, 16, stride, style))
                    assert found == row[f"{when}_stride{stride}"], (lineage, name, when, stride)
                    checked += 1
    assert checked >= 60


def test_unknown_operation_is_refused_by_name():
    with pytest.raises(KeyError, match="unknown operation 'sep_conv_9x9'; the NASNet space has skip_connect"):
        nasnet_operation("sep_conv_9x9", 8, 1, LayerStyle())


def test_a_reduction_to_one_channel_is_refused():
    with pytest.raises(ValueError, match="in two halves and needs at least 2, got 1"):
        FactorisedReduction(8, 1, LayerStyle())
    assert FactorisedReduction(8, 5, LayerStyle())(torch.randn(2, 8, 4, 4)).shape == (2, 5, 2, 2)


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 6), (3, 7)])
def test_even_and_odd_pixels_and_their_gradient(size):
    x = maps(2, 3, *size).requires_grad_()
    even, odd = even_and_odd(x)
    slow_odd = F.pad(x, (0, 1, 0, 1))[:, :, 1::2, 1::2][:, :, :even.shape[2], :even.shape[3]]
    torch.testing.assert_close(even, x[:, :, ::2, ::2])
    torch.testing.assert_close(odd, slow_odd)
    ours = torch.autograd.grad((even * 2 + odd * maps(*odd.shape, seed=3)).sum(), x)[0]
    slow = torch.autograd.grad((x[:, :, ::2, ::2] * 2).sum() + (slow_odd * maps(*odd.shape, seed=3)).sum(), x)[0]
    torch.testing.assert_close(ours, slow)


def test_gradients_of_joined_and_averaged_maps_are_dense():
    """Batch norm's backward pass is ten times as slow on views with gaps."""
    parts = [maps(2, channels, 4, 4, seed=channels).requires_grad_() for channels in (2, 3)]
    torch.testing.assert_close(concatenate(parts), torch.cat(parts, 1))
    direction = maps(2, 5, 4, 4, seed=7)
    ours = torch.autograd.grad((concatenate(parts) * direction).sum(), parts)
    for found, expected in zip(ours, direction.split([2, 3], 1), strict=True):
        torch.testing.assert_close(found, expected)
        assert found.is_contiguous(memory_format=torch.channels_last)
    averaged = torch.autograd.grad((concatenate(parts).mean((2, 3)) * direction[:, :, 0, 0]).sum(), parts)
    for found, expected in zip(averaged, (direction[:, :, :1, :1] / 16).split([2, 3], 1), strict=True):
        torch.testing.assert_close(found, expected.expand_as(found))
        assert found.is_contiguous(memory_format=torch.channels_last)
