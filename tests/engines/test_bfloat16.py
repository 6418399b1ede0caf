"""Feature maps stored as bfloat16 by the fused engine: rounded when they are stored, float32 between."""

from __future__ import annotations

import pytest
import torch
from torch import nn

pytest.importorskip("numba", reason="the fused engine needs numba: the extra `fast`")

from gdas_lite.engines.cpu.cell import run_graph
from gdas_lite.engines.cpu.compiled import job_table, launch
from gdas_lite.engines.cuda.selftest import relative
from gdas_lite.engines.graph import Chain, Conv, Graph, Identity, Layer
from tests.engines.stored import stored
from tests.engines.test_fused import cell_of_everything, layer_of, maps, norm, slow_graph

TOLERANCE = 1e-2


def assert_near(graph: Graph, inputs: list[torch.Tensor], weights: torch.Tensor) -> None:
    """Values and every gradient, of fused bfloat16 against double where maps are rounded when they are stored."""
    parameters = [parameter for parameter in graph.parameters() if parameter is not None]
    doubles = {parameter: parameter.detach().double().requires_grad_() for parameter in parameters}
    halves = [x.bfloat16().requires_grad_() for x in inputs]
    exact = [x.detach().double().requires_grad_() for x in halves]
    exact_weights = weights.double().requires_grad_()
    ours = run_graph(graph, halves, weights.requires_grad_())
    slow = slow_graph(graph, exact, exact_weights, doubles, lambda x: stored(x, torch.bfloat16, gradient=False))
    assert ours.dtype == torch.bfloat16 and relative(ours, slow) < TOLERANCE
    direction = maps(*slow.shape, seed=7).bfloat16()
    found = torch.autograd.grad(ours, [*halves, weights, *parameters], direction)
    expected = torch.autograd.grad(slow, [*exact, exact_weights, *doubles.values()], direction.double())
    for one, other, of in zip(found, expected, [*halves, weights, *parameters], strict=True):
        cancels = float(direction.norm()) if of is weights else 0.0     # sums of whole maps
        assert one.dtype == of.dtype
        assert float((one.double() - other).norm()) < TOLERANCE * max(float(other.norm()), cancels)


@pytest.mark.parametrize("geometry", [(0,), (3,), (5, 2), (3, 2, 2), (5, 1, 2)])
@pytest.mark.parametrize("channels, out, size, images", [(8, 8, (7, 9), 3), (16, 32, (8, 11), 5), (24, 40, (6, 11), 2)])
def test_a_layer_is_near_pytorchs_in_value_and_every_gradient(geometry, channels, out, size, images):
    torch.manual_seed(0)
    graph = Graph(1, ((Chain(0, (layer_of(channels, out, *geometry),), 0),),), (1,))
    assert_near(graph, [maps(images, channels, *size)], torch.tensor([0.7]))


@pytest.mark.parametrize("lanes", [8, 16])
def test_a_cell_of_everything_is_near_its_definition(lanes, monkeypatch):
    monkeypatch.setattr("gdas_lite.engines.cpu.compiled.launch.widest", lambda: lanes)
    assert_near(cell_of_everything(), [maps(5, 32, 9, 14)], torch.linspace(0.3, 1.2, 8))


def by_lanes(lanes: int, graph: Graph, x: torch.Tensor) -> list[torch.Tensor]:
    """Result and gradients by so many lanes."""
    weights = [torch.tensor([0.7]).requires_grad_(), *(one for one in graph.parameters() if one is not None)]
    inputs = [x.clone().requires_grad_(), *weights]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gdas_lite.engines.cpu.compiled.launch.widest", lambda: lanes)
        out = run_graph(graph, inputs[:1], inputs[1])
        slopes = torch.autograd.grad(out, inputs, maps(*out.shape, seed=7).to(x.dtype))
    return [one.detach() for one in (out, *slopes)]


ALIKE = {torch.float32: 1e-6, torch.bfloat16: 2e-4}     # the order of some sums; few numbers lie that near to a tie


def assert_lanes_are_alike(geometry: tuple[int, ...], out: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    graph = Graph(1, ((Chain(0, (layer_of(32, out, *geometry),), 0),),), (1,))
    x = maps(3, 32, 5, 21).to(dtype)
    for eight, sixteen in zip(by_lanes(8, graph, x), by_lanes(16, graph, x), strict=True):
        assert relative(sixteen, eight) < ALIKE[dtype]


@pytest.mark.parametrize("dtype", ALIKE)
@pytest.mark.parametrize("geometry, out", [((0,), 16), ((0,), 48), ((3,), 32), ((5, 2, 2), 96), ((5,), 16)])
def test_sixteen_lanes_compute_what_eight_do(geometry, out, dtype):
    """In products of one, two, three and more vectors; PyTorch is not as near to maps of bfloat16 as they are."""
    assert_lanes_are_alike(geometry, out, dtype)


@pytest.mark.parametrize("field", [job_table.INNER_IN, job_table.INNER_OUT])
def test_a_fault_in_sixteen_lanes_alone_is_noticed(field, monkeypatch):
    lanes_for = launch.lanes_for

    def short_by_a_channel(kind, groups, jobs):
        lanes = lanes_for(kind, groups, jobs)
        if lanes == 16 and kind in (job_table.FORWARD, job_table.BACKWARD):
            jobs[:, field] -= 1
        return lanes

    monkeypatch.setattr(launch, "lanes_for", short_by_a_channel)
    with pytest.raises(AssertionError):
        assert_lanes_are_alike((3,), 32, torch.bfloat16)


def test_autocast_changes_no_bit_not_even_around_the_backward_pass():
    torch.manual_seed(0)
    layer = Layer((Conv(nn.Conv2d(16, 16, 3, padding=1, bias=False)),), norm(16))
    graph, direction, found = Graph(1, ((Chain(0, (layer,), 0),),), (1,)), maps(3, 16, 6, 8, seed=1).bfloat16(), []
    for enabled in (False, True):
        x, weights = maps(3, 16, 6, 8).bfloat16().requires_grad_(), torch.tensor([0.7], requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = run_graph(graph, [x], weights)
            slopes = torch.autograd.grad(out, [x, weights, layer.convs[0].pointwise.weight], direction)
        found.append([out, *slopes])
    assert all(torch.equal(plain, under) for plain, under in zip(*found, strict=True))


def test_what_is_stored_is_rounded_as_pytorch_rounds():
    numbers = torch.randn(2, 16, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    numbers.view(-1)[:6] = torch.tensor([float("nan"), float("inf"), -float("inf"), 3e38, 1e-39, 0.0])
    x, weight = numbers.contiguous(memory_format=torch.channels_last), torch.tensor([1 + 2**-8])     # 1.0 becomes a tie
    x[1, 0] = 1.0
    out = run_graph(Graph(1, ((Identity(0, 0),),), (1,)), [x], weight)
    expected = (x.float() * weight).bfloat16()
    assert torch.equal(out.isnan(), expected.isnan()) and int(out.isnan().sum()) == 1
    assert torch.equal(out.nan_to_num(), expected.nan_to_num())


def test_weights_of_other_types_are_refused():
    layer = Layer((Conv(nn.Conv2d(8, 8, 1, bias=False)),), nn.BatchNorm2d(8).double())
    with pytest.raises(ValueError, match="need weights of float32, some of these are"):
        run_graph(Graph(1, ((Chain(0, (layer,)),),), (1,)), [maps(2, 8, 4, 4)], None)


@pytest.mark.parametrize("dtypes", [(torch.float64,) * 2, (torch.float32, torch.bfloat16)])
def test_maps_of_other_types_or_of_two_are_refused(dtypes):
    with pytest.raises(ValueError, match="need maps of float32, or all of bfloat16, these are"):
        run_graph(Graph(2, ((Identity(0), Identity(1)),), (2,)), [maps(1, 8, 4, 4).to(dtype) for dtype in dtypes], None)
