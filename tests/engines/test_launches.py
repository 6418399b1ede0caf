"""Launches that wait for each other: their order, and that what they read and write is theirs until they have run."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("numba")

from gdas_lite.engines.cpu.compiled.launch import data_of, in_a_row, then
from gdas_lite.engines.cpu.layers import InputGradient, backward_layers, forward_layers
from gdas_lite.engines.cpu.maps import ONE, mixing, pool_backward, pool_forward, project, weighted_sum
from gdas_lite.engines.cpu.packed_weights import PackedWeights
from gdas_lite.engines.graph import Conv, Layer, Pool

SHAPE = 2, 6, 6, 16
BUSY = 60000            # numbers of the largest block of memory that the launches below may have freed


def numbers(*shape: int) -> torch.Tensor:
    return torch.rand(shape) - 0.5


def factors(rows: int) -> np.ndarray:
    return numbers(rows, SHAPE[3]).numpy()


def layer() -> Layer:
    return Layer((Conv(nn.Conv2d(16, 16, 1, bias=False), nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)),),
                 nn.BatchNorm2d(16, affine=False, track_running_stats=False))


def a_sum() -> list:
    out = torch.empty(SHAPE)
    weighted_sum(out, [numbers(*SHAPE), numbers(*SHAPE)], factors(3), numbers(*SHAPE))
    return [out]


def a_projection() -> list:
    one, nothing = mixing(None, data_of(ONE), 0), (0, 0, 0, 0)
    return list(project(numbers(*SHAPE), [(None, one, nothing), (numbers(*SHAPE), one, nothing)]))


def a_layer_forwards_and_backwards() -> list:
    one = layer()
    packed = PackedWeights(one.convs)
    made, = forward_layers([(numbers(*SHAPE), None, [one])], packed)
    wanted = InputGradient(torch.empty(SHAPE), numbers(*SHAPE), factors=np.empty((3, SHAPE[3]), np.float32))
    made.given, target, sums = made, wanted.target, wanted.factors      # its own moments will do for the norm before
    found = backward_layers([(wanted, [(made, numbers(*SHAPE), factors(3), None)])], True, packed)
    return [made.out, made.moments, target, sums, *found[one.convs[0]]]


def a_pool_forwards_and_backwards() -> list:
    norm = nn.BatchNorm2d(16, affine=False, track_running_stats=False)
    made, = pool_forward([(Pool(0, "max", 1, norm), numbers(*SHAPE))])
    target = torch.empty(SHAPE)
    pool_backward(made, [numbers(*SHAPE)], factors(2), target, numbers(*SHAPE))
    return [made.out, made.moments, target]


@pytest.mark.parametrize("run", [a_sum, a_projection, a_layer_forwards_and_backwards, a_pool_forwards_and_backwards])
def test_what_a_waiting_launch_needs_is_kept_until_it_has_run(run):
    results = []
    for row in nullcontext(), in_a_row():
        torch.manual_seed(0)
        with row:
            made = run()
            if results:         # memory that nothing holds is taken and written over
                _ = [np.full(size, np.nan, np.float32) for size in np.geomspace(8, BUSY, 400).astype(int)]
                _ = [torch.full((size,), np.nan) for size in np.geomspace(8, BUSY, 400).astype(int).tolist() * 2]
        results.append([torch.as_tensor(one).clone() for one in made])
    for at_once, waited in zip(*results, strict=True):
        assert torch.equal(at_once, waited) and waited.isfinite().all()


def test_tasks_in_a_row_run_at_its_end_and_in_order():
    ran = []
    with in_a_row():
        then(lambda: ran.append(1))
        then(lambda: ran.append(2))
        assert ran == []
    then(lambda: ran.append(3))
    assert ran == [1, 2, 3]


def test_a_row_that_fails_runs_nothing_and_leaves_nothing_waiting():
    ran = []
    with pytest.raises(ZeroDivisionError), in_a_row():
        then(lambda: ran.append(1))
        raise ZeroDivisionError
    then(lambda: ran.append(2))
    assert ran == [2]
