"""3x3 convolutions of the fused engine against PyTorch's in double precision."""

from __future__ import annotations

import itertools
import math
from functools import reduce
from threading import Barrier, Thread

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("numba", reason="the fused engine needs numba: the extra `fast`")

from numba import njit

from gdas_lite.engines.cpu import packed_weights
from gdas_lite.engines.cpu.compiled import job_table as t
from gdas_lite.engines.cpu.compiled.simd import lanes_of
from gdas_lite.engines.cpu.compiled.tiles import INPUT, INPUT_BACK, OUTPUT, OUTPUT_BACK, STAGES, kernel_matrix
from gdas_lite.engines.cpu.compiled.winograd import kernel_gradient
from gdas_lite.engines.cpu.packed_weights import transformed
from gdas_lite.engines.graph import (
    LARGE,
    SMALL,
    TILES_TOGETHER,
    Chain,
    Conv,
    Graph,
    Identity,
    Layer,
    Pool,
    Scalar,
    side_for,
)
from tests.engines.test_fused import assert_equal, maps, norm


@njit
def transform_back(*given):
    kernel_gradient(lanes_of(8, False), *given)


def transformed_back(planes: torch.Tensor, into: torch.Tensor) -> torch.Tensor:
    """Matrices (side^2, C_in, C_out), which are overwritten, to the gradient (C_out, C_in, 3, 3) in its own order."""
    side, (of_input, of_tap) = math.isqrt(len(planes)), (4 * step for step in into.stride()[1::2])
    transform_back(side, into.data_ptr(), planes.data_ptr(), planes.shape[1], 4 * planes.shape[2], of_input, of_tap)
    return into


def dense_layer(channels: int, out: int) -> Layer:
    return Layer((Conv(nn.Conv2d(channels, out, 3, padding=1, bias=False)),), norm(out))


@pytest.mark.parametrize("side", [SMALL, LARGE])
def test_the_matrices_of_a_tile_are_a_correlation(side):
    stages, generator = STAGES[side], np.random.default_rng(0)
    line, kernel = generator.normal(size=side), generator.normal(size=3)
    wanted = [line[place:place + 3] @ kernel for place in range(side - 2)]
    there, back = (reduce(lambda value, matrix: matrix @ value, stages[what], np.eye(side)) for what in (INPUT, OUTPUT))
    assert np.allclose(back @ (there @ line * (kernel_matrix(side) @ kernel)), wanted, rtol=1e-12)
    for forward, backward in ((INPUT, INPUT_BACK), (OUTPUT, OUTPUT_BACK)):
        one, other = (np.linalg.multi_dot([*reversed(stages[what])]) for what in (forward, backward))
        assert np.array_equal(one, other.T)


def test_images_of_sixteen_large_tiles_take_them():
    assert [side_for(*size) for size in ((8, 8), (15, 17), (16, 16), (1, 300))] == [SMALL, SMALL, LARGE, LARGE]


@pytest.mark.parametrize("side", [SMALL, LARGE])
def test_what_the_last_tiles_reach_has_room(side):
    conv = Conv(nn.Conv2d(16, 16, 3, padding=1, bias=False))
    for height, width in itertools.product(range(1, 20), repeat=2):
        row, apart = conv.row_of(height, width, side), side - 2
        down, right = (-(-pixels // apart) * apart + 2 for pixels in (height, width))       # of all tiles
        border, *sizes = row[t.BORDER], *(size // 64 for size in row[t.SIZES:])
        assert border - 1 + down <= height + 2 * border and border - 1 + right <= width + 2 * border
        assert right <= width + 16 and (down - 1) * (width + 16) + right <= sizes[4]
        numbers = max(TILES_TOGETHER // (right // apart), 1) * (right // apart)
        assert 2 * side**2 * (16 * numbers + 16) + 16 * apart**2 <= row[t.SIZES + 5] // 4


@pytest.mark.parametrize("channels, out, size, images", [
    (8, 8, (8, 8), 3), (16, 16, (7, 9), 5), (8, 24, (5, 34), 2), (24, 8, (1, 2), 6), (16, 16, (3, 1), 4),
    (32, 16, (16, 16), 20), (128, 128, (4, 5), 3), (16, 16, (17, 18), 3), (24, 8, (19, 23), 3), (8, 24, (1, 300), 2),
    (32, 32, (15, 20), 2)])
def test_a_layer_equals_pytorchs_in_value_and_every_gradient(channels, out, size, images):
    torch.manual_seed(0)
    graph = Graph(1, ((Chain(0, (dense_layer(channels, out),), 0),),), (1,))
    assert_equal(graph, [maps(images, channels, *size)], torch.tensor([0.7]))


def test_beside_other_operations_on_one_source_and_behind_others():
    torch.manual_seed(0)
    pointwise = Layer((Conv(nn.Conv2d(16, 16, 1, bias=False)),), norm(16))
    first = (Chain(0, (dense_layer(16, 16),), 0), Chain(0, (pointwise,), 1), Identity(0, 2), Pool(0, "avg", 1, None, 3))
    second = (Chain(1, (dense_layer(16, 16),), 4), Chain(0, (dense_layer(16, 16),), 5), Identity(1, 6))
    assert_equal(Graph(1, (first, second), (2,)), [maps(5, 16, 6, 9)], torch.linspace(0.3, 1.2, 7), tolerance=2e-5)


def test_two_threads_transform_at_once_and_keep_their_own_autocast(monkeypatch):
    G = torch.from_numpy(kernel_matrix(SMALL)).float()
    both, weights, found = Barrier(2), torch.ones(1, 2, 2, 3, 3), {}

    class Meeting:
        def __matmul__(self, rows):
            both.wait(60)
            return torch.kron(G, G) @ rows

    def run(enabled):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            kind = transformed(weights, SMALL).dtype
            both.wait(60)
            found[enabled] = torch.is_autocast_enabled("cpu"), kind

    monkeypatch.setitem(packed_weights.TRANSFORMS, SMALL, Meeting())
    threads = [Thread(target=run, args=(enabled,)) for enabled in (False, True)]
    _ = [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert found == {enabled: (enabled, torch.float32) for enabled in (False, True)}


@pytest.mark.parametrize("side", [SMALL, LARGE])
def test_the_transform_of_weights_has_its_adjoint_and_keeps_a_kernel_of_one_tap(side):
    """Gradients go back by the adjoint: <T w, s> = <w, T* s>. A kernel that only copies gives G's column."""
    generator = torch.Generator().manual_seed(0)
    weights, slopes = (torch.randn(shape, generator=generator) for shape in ((3, 16, 5, 3, 3), (3, side**2, 5, 16)))
    here, G = (transformed(weights, side).mT * slopes).sum(), torch.from_numpy(kernel_matrix(side)).float()
    for order in (torch.contiguous_format, torch.channels_last):
        there = [(one * transformed_back(slope.clone(), torch.empty_like(one, memory_format=order))).sum()
                 for one, slope in zip(weights, slopes, strict=True)]
        assert here.item() == pytest.approx(sum(there).item(), rel=1e-5)
    wanted = torch.einsum("ia,ncdab,jb->nijcd", G, weights, G).flatten(1, 2)
    torch.testing.assert_close(transformed(weights, side), wanted)
    copying = torch.zeros(1, 1, 1, 3, 3)
    copying[..., 1, 1] = 1
    torch.testing.assert_close(transformed(copying, side).reshape(side, side), torch.outer(G[:, 1], G[:, 1]))
    assert side == LARGE or torch.equal(G[:, 1], torch.tensor([0.0, 0.5, -0.5, 0.0]))


@pytest.mark.parametrize("threads", [2, 3])
def test_many_threads_give_the_bits_of_one(threads):
    graph = Graph(1, ((Chain(0, (dense_layer(8, 8),)),),), (1,))
    x, before = maps(18, 8, 6, 6), torch.get_num_threads()
    from gdas_lite.engines.cpu.cell import run_graph
    found = []
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            given = x.clone().requires_grad_()
            out = run_graph(graph, [given], None)
            found.append([out.detach(), *torch.autograd.grad(out.square().sum() + out.sum(), [
                given, graph.sums[0][0].layers[0].convs[0].pointwise.weight])])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_a_scalar_of_value_zero_has_the_gradient_of_a_number_added_to_every_pixel():
    graph = Graph(1, ((Scalar(1),), (Identity(0, 0), Identity(1, 2), Scalar(3), Scalar(4))), (2,))
    x, slope = maps(2, 8, 3, 4).requires_grad_(), maps(2, 8, 3, 4, seed=1)
    weights = torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0], requires_grad=True)
    from gdas_lite.engines.cpu.cell import run_graph
    out = run_graph(graph, [x], weights)
    assert torch.equal(out, x)
    of_x, of_weights = torch.autograd.grad(out, [x, weights], slope)
    assert torch.equal(of_x, slope)
    wanted = torch.stack([(slope * x).sum(), 0.5 * slope.sum(), torch.zeros(()), slope.sum(), slope.sum()])
    torch.testing.assert_close(of_weights, wanted.detach(), rtol=1e-5, atol=1e-5)
