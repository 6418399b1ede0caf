"""What somebody changes or puts in place is what an engine computes: his optimiser and hooks, other strides and dilations, a
bias. And PyTorch's transformations go through a network on any engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import gdas_lite as gl
from gdas_lite.engines import cpu
from gdas_lite.engines.cpu import engine as cpu_engine
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.genotypes.recurrent import RecurrentGenotype
from gdas_lite.relaxation import soft_mixture
from gdas_lite.runs.engine import ENGINES
from gdas_lite.spaces.nasnet_cells import Cell
from gdas_lite.spaces.operations import LayerStyle

if numba_obstacle() is not None:
    pytest.skip(f"engine cpu: {numba_obstacle()}", allow_module_level=True)

from gdas_lite.engines.cpu.sgd import SGD

SPACES = {"loops": gl.NASBench201(4, 1), "cells": gl.NASNet(8, cells=3)}
every_way = pytest.mark.parametrize("way", SPACES)


class Slow(torch.optim.SGD):
    """Takes a hundredth of each step."""

    def step(self, closure=None):
        params = [param for group in self.param_groups for param in group["params"]]
        before = [param.detach().clone() for param in params]
        super().step(closure)
        with torch.no_grad():
            for param, old in zip(params, before, strict=True):
                param.lerp_(old, 0.99)


def own_sgd(search: gl.Search) -> None:
    search.state.sgd = Slow(search.state.supernet.parameters(), 0.01, momentum=0.9)


def adam(search: gl.Search) -> None:
    search.state.sgd = torch.optim.Adam(search.state.supernet.parameters(), 1e-3, eps=0.1)


def maximise(search: gl.Search) -> None:
    search.state.sgd.param_groups[0]["maximize"] = True


def dampen(search: gl.Search) -> None:
    search.state.sgd.param_groups[0]["dampening"] = 0.5


def hook_of_steps(search: gl.Search) -> None:
    search.state.sgd.register_step_post_hook(lambda *_: search.state.supernet.stem[0].weight.data.mul_(0.9))


def hook_of_a_gradient(search: gl.Search) -> None:
    search.state.supernet.classifier.weight.register_hook(lambda grad: 0 * grad)


def hook_after_a_gradient(search: gl.Search) -> None:
    search.state.supernet.classifier.weight.register_post_accumulate_grad_hook(lambda param: param.grad.zero_() is None or None)


def dilate_the_stem(search: gl.Search) -> None:
    search.state.supernet.stem[0].padding = search.state.supernet.stem[0].dilation = (3, 3)


def count_the_borders(search: gl.Search) -> None:
    for layer in search.state.supernet.modules():
        count_the_border(layer)


def weights_of(search: gl.Search) -> torch.Tensor:
    return torch.cat([param.detach().flatten() for param in search.state.supernet.parameters()])


def nothing(search: gl.Search) -> None:
    pass


@cache
def searched(way: str, engine: str, change: Callable[[gl.Search], None], epoch: int) -> torch.Tensor:
    """The weights' way in two epochs of two steps. epoch: before which the change comes."""
    data = gl.load_data("digits")
    halves = {name: getattr(data, name).subset(range(12)) for name in ("train_half", "valid_half")}
    recipe = gl.search_recipe("smoke", SPACES[way].name, "gdas", epochs=2, batch_size=6, learning_rate=0.002, alpha_eps=0.1)
    run = gl.Search(SPACES[way], replace(data, **halves), gl.GDAS(), recipe=recipe, engine=engine)
    assert run.engine.name == engine
    start = weights_of(run)
    for at in range(2):
        if at == epoch:
            change(run)
        run.run_epoch()
    return weights_of(run) - start


@pytest.mark.parametrize("change, epoch", [
    (own_sgd, 0), (own_sgd, 1), (adam, 0), (maximise, 0), (maximise, 1), (dampen, 0), (dampen, 1), (hook_of_steps, 0),
    (hook_of_steps, 1), (hook_of_a_gradient, 0), (hook_after_a_gradient, 1), (dilate_the_stem, 0), (count_the_borders, 0)])
@every_way
def test_a_search_moves_as_its_optimiser_and_hooks_say(way, change, epoch):
    wanted, found = (searched(way, engine, change, epoch) for engine in ("plain", "cpu"))
    assert (found - wanted).norm() <= 0.02 * wanted.norm()
    usual = searched(way, "plain", nothing, 0)
    assert (usual - wanted).norm() > 0.05 * wanted.norm()       # or it would show nothing


@pytest.mark.parametrize("momentum, pays", [(0.9, True), (0.9, False), (0.0, True)])
def test_hooks_of_a_step_run_once(momentum, pays):
    param, calls = nn.Parameter(torch.ones(3)), []
    sgd = torch.optim.SGD([param], 0.1, momentum=momentum)
    sgd.register_step_pre_hook(lambda *_: calls.append("before"))
    taken = SGD.taking_over(sgd, lambda: pays)
    taken.register_step_post_hook(lambda *_: calls.append("after"))
    param.grad = torch.ones(3)
    taken.step()
    assert calls == ["before", "after"] and param[0].item() == pytest.approx(0.9)


def network(engine: str, channels: int = 16) -> nn.Module:
    torch.manual_seed(0)
    nodes = (("max_pool_3x3", 0), ("avg_pool_3x3", 1)), (("sep_conv_3x3", 2), ("dil_conv_3x3", 1))
    made = gl.network(gl.NASNetGenotype(nodes, nodes, (2, 3), (2, 3)), channels=channels, cells=3)
    made.to(memory_format=torch.channels_last)
    ENGINES[engine].attach_network(made)
    return made


@pytest.fixture
def images(monkeypatch) -> torch.Tensor:
    monkeypatch.setattr(cpu_engine, "SMALLEST", 0)
    return torch.randn(2, 3, 7, 7, generator=torch.Generator().manual_seed(1))


def dilate(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.kernel_size == (3, 3) and layer.stride == (1, 1):
        layer.padding = layer.dilation = (2, 2)


def wrap_around(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        layer.padding_mode, layer._reversed_padding_repeated_twice = "circular", [layer.padding[0]] * 4


def pool_farther(layer: nn.Module) -> None:
    if isinstance(layer, nn.MaxPool2d) and layer.stride == 1:
        layer.dilation, layer.kernel_size = 2, 2


def count_the_border(layer: nn.Module) -> None:
    if isinstance(layer, nn.AvgPool2d):
        layer.count_include_pad = True


@pytest.mark.parametrize("change", [dilate, wrap_around, pool_farther, count_the_border])
@pytest.mark.parametrize("engine", ["layers", "cpu"])
def test_layers_whose_settings_were_changed_compute_by_these(engine, change, images):
    outputs = {}
    for name in ("plain", engine):
        made = network(name).train()
        before = made(images)
        for layer in made.modules():
            change(layer)
        outputs[name] = made(images)
    assert torch.allclose(outputs[engine], outputs["plain"], atol=1e-4)
    assert not torch.allclose(before, outputs[engine], atol=1e-2)


def separable(cell: nn.Module) -> nn.Module:
    return next(one for name, one in cell.operations.items() if "sep_conv" in name).first


def convolve_across(cell: nn.Module) -> None:
    separable(cell).depthwise = nn.Conv2d(16, 16, 3, padding=1, bias=False)


def widen_the_last_convolution(cell: nn.Module) -> None:
    separable(cell).pointwise = nn.Conv2d(16, 16, 3, padding=1, bias=False)


def convolve_channels_apart(cell: nn.Module) -> None:
    cell.inputs.newer.conv = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)


def normalise_fewer(cell: nn.Module) -> None:
    separable(cell).norm = nn.BatchNorm2d(8)


def convolve_fewer(cell: nn.Module) -> None:
    separable(cell).depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)


@pytest.mark.parametrize("change", [convolve_across, widen_the_last_convolution, convolve_channels_apart, normalise_fewer,
                                    convolve_fewer])
def test_a_layer_of_another_kind_computes_what_it_is_and_one_that_fits_nowhere_is_refused(change):
    """The kernels would read beyond its numbers."""
    nodes, found = ((("sep_conv_3x3", 0), ("skip_connect", 1)),), []
    for run in (nn.Module.__call__, cpu.run_cell):
        torch.manual_seed(0)
        cell = Cell(gl.NASNetGenotype(nodes, nodes, (2,), (2,)), False, (16, 16), 16, False, LayerStyle())
        change(cell)
        try:
            found.append(run(cell, *torch.randn(2, 4, 16, 8, 8)))
        except RuntimeError as error:       # PyTorch's own
            found.append(error)
    assert type(found[0]) is type(found[1])
    assert change in (normalise_fewer, convolve_fewer) or torch.allclose(*found, atol=1e-4)


@pytest.mark.parametrize("channels", [12, 16])
def test_running_estimates_see_a_bias_that_somebody_added(channels, images):
    means = []
    for engine in ("plain", "cpu"):
        made = network(engine, channels=channels)
        layer = made.cells[0].inputs.newer
        layer.conv = nn.Conv2d(layer.conv.in_channels, channels, 1)
        nn.init.constant_(layer.conv.weight, 0.1), nn.init.constant_(layer.conv.bias, 3)
        made.train()(images)
        means.append(layer.norm.running_mean)
    assert torch.allclose(*means, atol=1e-4)


def supernet(space: object) -> nn.Module:
    torch.manual_seed(0)
    return space.supernet(2)


@pytest.mark.parametrize("space", [gl.NASBench201(8, 1, track_running_stats=True), gl.NASNet(8, cells=3)], ids=lambda space: space.name)
def test_an_operation_on_two_edges_has_the_gradient_of_both(space, images):
    """And its running estimates see both in their order."""
    found = []
    for run in (None, cpu.run_cell):
        made = supernet(space).to(torch.float32 if run else torch.float64)
        for cell in made.modules():
            if hasattr(cell, "keeps_estimates"):
                cell.edges[1] = cell.edges[0]
        made.__dict__ |= {} if run is None else {"run_cell": run}
        mixtures = {kind: soft_mixture(torch.linspace(-1, 1, labels.shape[0] * labels.shape[1]).view(labels.shape))
                    for kind, labels in space.labels.items()}
        made(torch.nn.functional.pad(images, (0, 1, 0, 1)).to(made.classifier.weight.dtype), mixtures).logsumexp(-1).sum().backward()
        found.append([param.grad for param in made.parameters()] + [one for one in made.buffers() if one.is_floating_point()])
    assert all((one.double() - other).norm() <= 1e-3 * other.norm() + 1e-4 for other, one in zip(*found, strict=True))


def language_model(engine: str) -> nn.Module:
    torch.manual_seed(0)
    made = gl.network(RecurrentGenotype((("tanh", 0), ("relu", 1), ("sigmoid", 1)), (1, 2, 3)), 256, 30)
    made.reset_parameters()
    ENGINES[engine].attach_network(made)
    return made


class Followed(TorchDispatchMode):
    """What is computed, as FlopCounterMode, FakeTensorMode and make_fx see it."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.operations.append(operation)
        return operation(*args, **kwargs or {})


@pytest.mark.filterwarnings("ignore")       # of tracing itself
@pytest.mark.parametrize("engine", ["layers", "cpu"])
@pytest.mark.parametrize("make", [network, language_model])
def test_a_network_can_be_traced_followed_and_transformed(make, engine, images):
    words = torch.randint(30, (3, 16), generator=torch.Generator().manual_seed(1))
    given, wanted, made = words if make is language_model else images, make("plain").eval(), make(engine).eval()

    def first(found):
        return found[0] if isinstance(found, tuple) else found

    followed = [Followed(), Followed()]
    for one, mode in zip((wanted, made), followed, strict=True):
        with mode, torch.no_grad():
            one(given)
    assert followed[0].operations == followed[1].operations
    with torch.no_grad():
        traced = torch.jit.trace(made, given, check_trace=False)
        assert torch.allclose(first(traced(given.flip(0))), first(wanted(given.flip(0))), atol=1e-4)
    slopes = []
    for one in (wanted, made):
        params = {name: param.detach() for name, param in one.named_parameters()}
        slopes.append(torch.func.grad(
            lambda params, one=one: first(torch.func.functional_call(one, params, (given,))).logsumexp(-1).sum())(params))
    assert all(torch.allclose(slopes[1][name], slope, atol=1e-3) for name, slope in slopes[0].items())


@pytest.mark.parametrize("engine", ["layers", "cpu"])
def test_the_loss_of_words_can_be_transformed(engine):
    words, made, plain = torch.randint(30, (3, 16)), language_model(engine), language_model("plain")
    outputs = torch.randn(3, 16, 256)
    slopes = [torch.func.grad(lambda weight, one=one: one.word_loss(outputs, None, weight, one.bias.detach(), words).loss)(
        plain.embedding.detach()) for one in (made, plain)]
    assert torch.allclose(*slopes, atol=1e-6)


@pytest.mark.parametrize("engine", ["layers", "cpu"])
@pytest.mark.parametrize("make", [network, language_model])
def test_another_default_device_is_not_the_networks(make, engine, images):
    given = torch.randint(30, (3, 16), generator=torch.Generator().manual_seed(1)) if make is language_model else images
    slopes = []
    for one in (make("plain"), make(engine)):
        optimiser = SGD(one.parameters(), 0.1, 0.9)
        with torch.device("meta" if slopes else "cpu"):     # as who sets one for all that he makes
            found = one(given)
            (found[0] if isinstance(found, tuple) else found).logsumexp(-1).sum().backward()
            optimiser.step()
        slopes.append([param.grad for param in one.parameters()] + list(one.parameters()))
    assert all(torch.allclose(one, other, atol=1e-3) for one, other in zip(*slopes, strict=True))
