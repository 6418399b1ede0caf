"""The fused engine against the plain one: whole supernets, and each pass against PyTorch's layers."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from operator import call as run_plain

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.engines.cpu.cells import fits, run_cell
from gdas_lite.engines.cuda.selftest import relative
from gdas_lite.engines.graph import Chain, Conv, Graph, Identity, Layer, Pool
from gdas_lite.relaxation import Mixture, gumbel_mixture, soft_mixture
from gdas_lite.search.updates import classification
from gdas_lite.spaces.nasnet import NASNet
from gdas_lite.spaces.operations import depthwise_conv

pytest.importorskip("numba", reason="the fused engine needs numba: the extra `fast`")

from gdas_lite.engines.cpu.cell import handed_on, run_graph
from gdas_lite.engines.cpu.layers import forward_layers
from gdas_lite.engines.cpu.packed_weights import PackedWeights


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last)


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, affine=False, track_running_stats=False)


def conv_of(channels: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> Conv:
    return Conv(nn.Conv2d(channels, out, 1, bias=False), depthwise_conv(channels, kernel, stride, dilation) if kernel else None)


def layer_of(channels: int, out: int, *geometry: int) -> Layer:
    return Layer((conv_of(channels, out, *geometry),), norm(out))


def slow_layer(x: torch.Tensor, layer: Layer, parameters: dict, kept: Callable = lambda x: x) -> torch.Tensor:
    """In double precision, by PyTorch's layers. kept: what becomes of a map that is stored."""
    parts = []
    for conv in layer.convs:
        seen = F.relu(x)
        if conv.offset:
            seen = F.pad(seen, (0, 1, 0, 1))[:, :, 1::2, 1::2][:, :, :-(-x.shape[2] // 2), :-(-x.shape[3] // 2)]
        elif conv.every == 2:
            seen = seen[:, :, ::2, ::2]
        if conv.depthwise is not None:
            seen = F.conv2d(seen, parameters[conv.depthwise.weight], None, conv.depthwise.stride, conv.depthwise.padding,
                            conv.depthwise.dilation, groups=seen.shape[1])
        parts.append(F.conv2d(seen, parameters[conv.pointwise.weight], padding=conv.pointwise.padding))
    return F.batch_norm(kept(torch.cat(parts, 1)), None, None, None, None, True)


def slow_graph(graph: Graph, inputs: list[torch.Tensor], weights: torch.Tensor, parameters: dict,
               kept: Callable = lambda x: x) -> torch.Tensor:
    """The definition, a term at a time."""
    values = list(inputs)
    for terms in graph.sums:
        total = 0.0
        for term in terms:
            value = values[term.source]
            if isinstance(term, Chain):
                for layer in term.layers:
                    value = slow_layer(value, layer, parameters, kept)
            elif isinstance(term, Pool):
                pool = F.max_pool2d if term.kind == "max" else lambda *args: F.avg_pool2d(*args, count_include_pad=False)
                value = kept(pool(value, 3, term.stride, 1))
                value = value if term.norm is None else F.batch_norm(value, None, None, None, None, True)
            total = total + (value if term.weight is None else weights.reshape(-1)[term.weight] * value)
        values.append(kept(total))
    return torch.cat([values[node] for node in graph.outputs], 1)


def assert_equal(graph: Graph, inputs: list[torch.Tensor], weights: torch.Tensor, tolerance: float = 1e-5) -> None:
    """Values and every gradient, of fused float32 against double."""
    parameters = [parameter for parameter in graph.parameters() if parameter is not None]
    doubles = {parameter: parameter.detach().double().requires_grad_() for parameter in parameters}
    exact = [x.detach().double().requires_grad_() for x in inputs]
    exact_weights = weights.detach().double().requires_grad_()
    ours = run_graph(graph, [x.requires_grad_() for x in inputs], weights.requires_grad_())
    slow = slow_graph(graph, exact, exact_weights, doubles)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert relative(ours, slow) < tolerance
    direction = maps(*slow.shape, seed=7)
    found = torch.autograd.grad((ours * direction).sum(), [*inputs, weights, *parameters])
    expected = torch.autograd.grad((slow * direction).sum(), [*exact, exact_weights, *doubles.values()])
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.shape == other.shape
        cancels = float(direction.norm()) if place == len(inputs) else 0.0      # one number, the sum of a whole map
        assert float((one - other).norm()) < tolerance * max(float(other.norm()), cancels)


GEOMETRIES = [(0, 1, 1), *((kernel, stride, dilation) for kernel in (3, 5) for stride in (1, 2) for dilation in (1, 2))]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("channels, out, size, images", [
    (8, 8, (7, 9), 3), (16, 16, (8, 8), 5), (24, 40, (6, 11), 2), (32, 16, (16, 16), 20), (128, 128, (5, 4), 4),
    (16, 8, (5, 21), 3), (8, 24, (3, 2), 17)])
def test_a_layer_equals_pytorchs_layers_in_value_and_every_gradient(geometry, channels, out, size, images):
    graph = Graph(1, ((Chain(0, (layer_of(channels, out, *geometry),), 0),),), (1,))
    assert_equal(graph, [maps(images, channels, *size)], torch.tensor([0.7]))


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (4, 9)])
def test_a_factorised_reduction_equals_its_definition(size):
    even, odd = conv_of(8, 8, 0), conv_of(8, 16, 0)
    layer = Layer((Conv(even.pointwise, every=2), Conv(odd.pointwise, every=2, offset=1, first_channel=8)), norm(24))
    assert_equal(Graph(1, ((Chain(0, (layer,), 0),),), (1,)), [maps(3, 8, *size)], torch.tensor([1.3]))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("normed", [True, False])
def test_pooling_and_identities_share_their_sources(stride, normed):
    def pool(kind: str, source: int, weight: int) -> Pool:
        return Pool(source, kind, stride, norm(16) if normed else None, weight)

    same = {kind: pool(kind, 0, 0) for kind in ("max", "avg")}
    second = tuple(Pool(0, kind, stride, same[kind].norm, 3 + place) for place, kind in enumerate(same))
    sums = ((Pool(0, "max", stride, same["max"].norm, 1), Pool(0, "avg", stride, same["avg"].norm, 2)),
            (*second, Identity(1, 5), Chain(1, (layer_of(16, 16, 3),), 6)), (Identity(1, 7), Identity(2, 8)))
    graph = Graph(1, sums, (1, 2, 3))
    assert_equal(graph, [maps(4, 16, 9, 8)], torch.rand(9, generator=torch.Generator().manual_seed(1)))


def cell_of_everything() -> Graph:
    """Of maps with 32 channels, with eight weights."""
    torch.manual_seed(0)
    even, odd = (conv_of(32, 16, 0).pointwise for _ in range(2))
    reduction = Layer((Conv(even, every=2), Conv(odd, every=2, offset=1, first_channel=16)), norm(32))
    dense = Layer((Conv(nn.Conv2d(32, 32, 3, padding=1, bias=False)),), norm(32))
    first = (Chain(0, (reduction,), 0), Chain(0, (layer_of(32, 32, 3, 2, 2),), 1), Chain(0, (layer_of(32, 32, 5, 2),), 2),
             Pool(0, "max", 2, norm(32), 3))
    second = (Chain(1, (layer_of(32, 32, 3),), 4), Chain(1, (dense,), 5), Pool(1, "avg", 1, norm(32), 6), Identity(1, 7))
    return Graph(1, (first, second), (1, 2))


@pytest.mark.parametrize("lanes", [8, 16])
def test_processors_with_eight_lanes_and_with_sixteen_compute_the_same(lanes, monkeypatch):
    monkeypatch.setattr("gdas_lite.engines.cpu.compiled.launch.widest", lambda: lanes)
    assert_equal(cell_of_everything(), [maps(5, 32, 9, 14)], torch.linspace(0.3, 1.2, 8), tolerance=2e-5)


@pytest.mark.parametrize("channels, out, lanes", [((16, 32), 16, 16), ((8, 16), 16, 8), ((16, 16), 24, 8)])
def test_sixteen_lanes_where_they_are_whole_vectors_everywhere(channels, out, lanes, monkeypatch):
    monkeypatch.setattr("gdas_lite.engines.cpu.compiled.launch.widest", lambda: 16)
    used = []
    monkeypatch.setattr("gdas_lite.engines.cpu.compiled.launch.entry", lambda count, halves: used.append(count))
    monkeypatch.setattr("gdas_lite.engines.cpu.compiled.launch.run_on_threads", lambda *launch: None)
    convs = [conv_of(count, out, 3) for count in channels]
    forward_layers([(maps(2, 4, 4, count), None, [Layer((conv,), norm(out))]) for conv, count in zip(convs, channels)],
                   PackedWeights(convs))
    assert used[-1] == lanes


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_two_layers_beside_others_on_one_source(kernel, stride):
    chains = (Chain(0, (layer_of(16, 16, kernel, stride), layer_of(16, 16, kernel)), 0),
              Chain(0, (layer_of(16, 16, 3, stride, 2),), 1), Chain(1, (layer_of(8, 16, 5, stride),), 2))
    graph = Graph(2, (chains, (Chain(2, (layer_of(16, 16, 3), layer_of(16, 16, 3)), 3), Identity(2, 4))), (2, 3))
    inputs = [maps(6, 16, 10, 7), maps(6, 8, 10, 7, seed=1)]
    assert_equal(graph, inputs, torch.tensor([0.3, -0.4, 1.1, 0.6, 0.9]), tolerance=2e-4)   # the inner ReLU's kinks


def supernet_gradients(engine: str, layout: str, draw: int | None, learns: bool, tracks: bool = False) -> tuple:
    """Loss, gradients of alpha and weights, buffers. draw: seed of a GDAS draw, None for DARTS."""
    torch.manual_seed(0)
    space = NASNet(8, layout, cells=3, track_running_stats=tracks)
    net = space.supernet(10).to(memory_format=torch.channels_last).train().requires_grad_(learns)
    net.run_cell = run_cell if engine == "cpu" else run_plain
    generator = torch.Generator().manual_seed(3)
    alphas = {kind: torch.randn(14, 8, generator=generator).requires_grad_() for kind in space.labels}
    if draw is None:
        mixtures = {kind: soft_mixture(alpha) for kind, alpha in alphas.items()}
    else:
        chance = torch.Generator().manual_seed(draw)
        mixtures = {kind: gumbel_mixture(alpha, 5.0, chance) for kind, alpha in alphas.items()}
    batch = maps(5, 3, 8, 10, seed=4), torch.arange(5)
    loss = classification(net, mixtures, batch).loss
    wanted = [*alphas.values(), *(net.parameters() if learns else ())]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return loss.detach(), found, [buffer.clone() for buffer in net.buffers()]


@pytest.mark.parametrize("layout", ["paper", "autodl"])
@pytest.mark.parametrize("draw", [None, 0, 1, 2])
@pytest.mark.parametrize("learns", [True, False])
def test_a_supernet_gives_the_plain_engines_loss_gradients_and_estimates(layout, draw, learns):
    tracks = layout == "autodl"
    plain, fused = (supernet_gradients(engine, layout, draw, learns, tracks) for engine in ("plain", "cpu"))
    torch.testing.assert_close(fused[0], plain[0], rtol=1e-5, atol=1e-5)
    for one, other in zip(fused[2], plain[2], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert [part is None for part in fused[1]] == [part is None for part in plain[1]]
    pairs = [(a, b) for a, b in zip(fused[1], plain[1], strict=True) if a is not None]
    distance = sum(float((a - b).square().sum()) for a, b in pairs) / sum(float(b.square().sum()) for _, b in pairs)
    assert distance ** 0.5 < 0.05       # float32 decides a few ReLUs otherwise in either engine


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_no_bit(threads):
    chains = (Chain(0, (layer_of(16, 16, 5), layer_of(16, 16, 5)), 0), Chain(0, (layer_of(16, 16, 3, 1, 2),), 1))
    graph = Graph(1, (chains, (Chain(1, (layer_of(16, 16, 3),), 2), Identity(0, 3))), (1, 2))
    x, weights = maps(21, 16, 8, 8).requires_grad_(), torch.rand(4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    parameters = [parameter for parameter in graph.parameters() if parameter is not None]

    def run() -> list[torch.Tensor]:
        out = run_graph(graph, [x], weights)
        return [out.detach(), *torch.autograd.grad((out * maps(*out.shape, seed=7)).sum(), [x, weights, *parameters])]

    before, once = torch.get_num_threads(), run()
    torch.set_num_threads(threads)
    try:
        again = run()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def test_a_second_backward_pass_is_refused_in_a_sentence():
    graph = Graph(1, ((Chain(0, (layer_of(8, 8, 3),), None),),), (1,))
    out = run_graph(graph, [maps(2, 8, 4, 4).requires_grad_()], None).sum()
    out.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="can run once only; use engine 'plain' for more"):
        out.backward()


def test_what_is_not_a_number_stays_so():
    graph = Graph(1, ((Chain(0, (layer_of(8, 8, 3),), None),),), (1,))
    x = maps(2, 8, 4, 4)
    x[0, 0, 1, 1] = float("nan")
    assert torch.isnan(run_graph(graph, [x], None)).any()
    assert not torch.isnan(run_graph(graph, [maps(2, 8, 4, 4)], None)).any()


def test_mixtures_that_the_kernels_cannot_do_go_the_plain_way():
    space = NASNet(8, "paper", cells=3)
    net, (mixture, x) = space.supernet(10).train(), (soft_mixture(torch.zeros(14, 8)), maps(2, 3, 8, 8))
    odd = Mixture(mixture.weights.requires_grad_(), mixture.active, adds_unsampled=True)
    narrow = NASNet(4, "paper", cells=3).supernet(10).train()
    for one, mix in ((net, odd), (narrow, mixture)):
        one.run_cell = run_cell
        assert one(x, {"normal": mix, "reduce": mix}).shape == (2, 10)
        assert not fits(one.cells[0]) or mix.adds_unsampled


def three_cells(hands_on: bool) -> tuple[list[torch.Tensor], int, list[weakref.ref]]:
    """Gradients of images and parameters through three graphs, each of which reads the two results before it; how many
    additions of maps autograd made; the results, which must be gone by now."""
    torch.manual_seed(0)
    graphs = [Graph(2, ((Chain(0, (layer_of(16, 16, 3),)), Chain(1, (layer_of(16, 16, 3),))), (Identity(2),)), (3,))
              for _ in range(3)]
    x, slope, results = maps(3, 16, 8, 8).requires_grad_(), maps(3, 16, 8, 8, seed=5), []
    older = newer = x
    for graph in graphs:
        given = [handed_on(older) if hands_on else older, newer]
        older, newer = newer, run_graph(graph, given, None, None, hands_on)
        results.append(weakref.ref(newer))
    parameters = [parameter for graph in graphs for parameter in graph.parameters() if parameter is not None]
    with torch.profiler.profile() as profile:
        found = torch.autograd.grad((newer * slope).sum(), [x, *parameters])
    additions = sum(event.count for event in profile.key_averages() if event.key in ("aten::add", "aten::add_"))
    return list(found), additions, results


def test_the_gradient_of_a_result_that_two_cells_read_is_added_up_in_a_kernel():
    (plain, before, _), (found, after, results) = three_cells(False), three_cells(True)
    assert all(torch.equal(one, other) for one, other in zip(found, plain, strict=True))
    assert after == before - 1
    assert [result() for result in results] == [None] * 3


def test_second_derivatives_are_refused_where_autograd_would_leave_them_out():
    x = maps(2, 8, 4, 4).requires_grad_()
    out = run_graph(Graph(1, ((Chain(0, (layer_of(8, 8, 3),)),),), (1,)), [x], None)
    with pytest.raises(RuntimeError, match="has no gradient itself"):
        torch.autograd.grad(out.sum(), x, create_graph=True)


def test_a_gradient_that_others_read_is_not_written_to():
    graph = Graph(2, ((Chain(0, (layer_of(8, 8, 3),)), Chain(1, (layer_of(8, 8, 3),))),), (2,))
    older, newer, beside = (maps(2, 8, 4, 4, seed=seed).requires_grad_() for seed in range(3))
    out = run_graph(graph, [older, newer], None, None, True)
    slope = maps(2, 8, 4, 4, seed=7)
    total = (out * slope).sum() + ((handed_on(newer) + beside) * slope).sum()
    of_newer, of_beside = torch.autograd.grad(total, [newer, beside])
    assert torch.equal(of_beside, slope) and not torch.equal(of_newer, slope)


def test_a_result_handed_on_has_a_gradient_where_the_cell_itself_has_none():
    graph = Graph(2, ((Chain(0, (layer_of(8, 8, 3),)), Chain(1, (layer_of(8, 8, 3),))),), (2,))
    older, newer = (maps(2, 8, 4, 4, seed=seed).requires_grad_() for seed in range(2))
    run_graph(graph, [older, newer], None, None, True)
    slope = maps(2, 8, 4, 4, seed=7)
    of_older, of_newer = torch.autograd.grad((handed_on(newer) * slope).sum(), [older, newer], allow_unused=True)
    assert of_older is None and torch.equal(of_newer, slope)
