"""The pooling kernels against PyTorch's pooling in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

pytest.importorskip("numba", reason="the fused engine needs numba: the extra `fast`")

from gdas_lite.engines.cpu.maps import pool_backward, pool_forward
from gdas_lite.engines.graph import Pool


def pooled_slowly(x: Tensor, kind: str, stride: int) -> Tensor:
    """x and result (B, H, W, C)."""
    x = x.permute(0, 3, 1, 2)
    pooled = F.max_pool2d(x, 3, stride, 1) if kind == "max" else F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    return pooled.permute(0, 2, 3, 1)


def maps(*shape: int, seed: int = 0, ties: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, shape, generator=generator).float() if ties else torch.randn(*shape, generator=generator)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (6, 5), (2, 3), (1, 1), (1, 4)])
@pytest.mark.parametrize("ties", [False, True])
def test_pools_equal_pytorchs_in_values_moments_and_gradients(kind, stride, size, ties):
    x = maps(5, *size, 24, ties=ties)
    norm = nn.BatchNorm2d(24, affine=False, track_running_stats=False)
    made, = pool_forward([(Pool(0, kind, stride, norm), x)])
    exact = x.double().requires_grad_()
    slow = pooled_slowly(exact, kind, stride)
    torch.testing.assert_close(made.out.double(), slow, rtol=1e-6, atol=1e-6)
    variance, mean = torch.var_mean(slow.detach(), (0, 1, 2), correction=0)
    expected = torch.stack([mean, (variance + norm.eps).rsqrt(), variance])
    torch.testing.assert_close(torch.from_numpy(made.moments).double(), expected, rtol=1e-4, atol=1e-5)

    grads = [maps(*made.out.shape, seed=1), maps(*made.out.shape, seed=2)]
    wide = maps(*made.out.shape[:3], 48, seed=3)
    grads.append(wide[..., 8:32])                                   # with gaps between pixels
    factors = maps(4, 24, seed=4)
    addend = maps(*x.shape[:3], 32, seed=5)[..., :24]
    target = torch.empty_like(x)
    pool_backward(made, grads, factors.numpy(), target, addend)
    direction = sum(factor.double() * grad for factor, grad in zip(factors, grads, strict=False)) + factors[3]
    slow.backward(direction)
    torch.testing.assert_close(target.double(), exact.grad + addend, rtol=1e-5, atol=1e-5)


def test_several_pools_in_one_launch_and_none_normalised():
    first, second = maps(3, 4, 5, 8), maps(3, 6, 2, 16, seed=1)
    made = pool_forward([(Pool(0, "max", 1, None), first), (Pool(1, "avg", 2, None), second), (Pool(0, "avg", 1, None), first)])
    for one, x in zip(made, (first, second, first), strict=True):
        torch.testing.assert_close(one.out, pooled_slowly(x, one.pool.kind, one.pool.stride))
        assert np.array_equal(one.moments, np.repeat([[0], [1], [0]], x.shape[3], 1))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_largest_of_what_is_no_number_is_no_number(stride):
    x = maps(2, 6, 6, 8)
    x[0, 3, 2, 4], x[1, 0, 0, 1], x[1, 0, 1, 1] = float("nan"), float("nan"), float("nan")
    made, = pool_forward([(Pool(0, "max", stride, None), x)])
    torch.testing.assert_close(made.out, pooled_slowly(x, "max", stride), equal_nan=True)


def test_running_estimates_move_as_in_batch_norm():
    norm, other = (nn.BatchNorm2d(8, affine=False) for _ in range(2))
    x = maps(3, 5, 6, 8)
    pool_forward([(Pool(0, "avg", 1, norm), x)])
    other(pooled_slowly(x, "avg", 1).permute(0, 3, 1, 2))
    torch.testing.assert_close(norm.state_dict(), other.state_dict())
