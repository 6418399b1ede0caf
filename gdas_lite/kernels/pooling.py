"""Launches of 3x3 pooling as a cell's node shares it among its edges; maps (B, H, W, C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import table as t
from .convolving import REAL, Made, address, eps_bits, is_half, move_estimates, pixel_step
from .graph import Pool
from .launch import launch


@dataclass(slots=True)
class Pooled(Made):
    """A pooled map; its moments are 0, 1, 0 where no batch norm follows. x: what was pooled. positions: of the largest, the
    tap (B, H, W, C)."""

    pool: Pool
    x: Tensor
    positions: Tensor | None

    @property
    def is_normed(self) -> bool:
        return self.pool.norm is not None


def pool_forward(pairs: Sequence[tuple[Pool, Tensor]]) -> list[Pooled]:
    """Every pool on its map, in one launch."""
    made, rows, held = [], [], []
    for pool, x in pairs:
        images, height, width, channels = x.shape
        shape = images, pool.size_out(height), pool.size_out(width), channels
        out, positions = x.new_empty(shape), torch.empty(shape, dtype=torch.uint8) if pool.kind == "max" else None
        moments = np.zeros((3, channels), np.float32)
        moments[1] = 1
        at = moments.ctypes.data
        made.append(Pooled(out, moments, at, channels * REAL, pool, x, positions))
        statistics = (0, 0, 0, 0)
        if pool.norm is not None:
            held.append(torch.empty(2, images, channels))
            mean = held[-1].data_ptr()
            statistics = mean, mean + images * channels * REAL, eps_bits(pool.norm.eps), at
        rows.append((*_geometry(made[-1], 0, 0, out), *statistics, 0, 0, 0, 0))
    largest = max(one.out[0].numel() for one in made) * REAL
    launch(t.POOL, pairs[0][1].shape[0], rows, (), largest, is_half(pairs[0][1]))
    for one in made:
        if one.is_normed:
            move_estimates(one.pool.norm, one)
    return made


def pool_backward(pooled: Pooled, maps: Sequence[Tensor], factors: np.ndarray, target: Tensor, addend: Tensor | None) -> None:
    """target = (addend +) gradient of what was pooled; that of the pooled map is the sum of factors[i] * maps[i], and after
    them a row (C,) of constants."""
    size, at = factors.strides[0], factors.ctypes.data
    jobs = [(one.data_ptr(), at + size * index, pixel_step(one), 0, 0) for index, one in enumerate(maps)]
    row = (*_geometry(pooled, 0, len(jobs), None), 0, 0, 0, 0, target.data_ptr(), address(addend), pixel_step(addend),
           at + size * len(jobs))
    images, height, width, channels = pooled.x.shape
    launch(t.UNPOOL, images, [row], jobs, REAL * channels * ((height + 2) * (width + 2) + width + 8),
           is_half(target))


def _geometry(pooled: Pooled, first: int, last: int, out: Tensor | None) -> tuple[int, ...]:
    _, height, width, channels = pooled.x.shape
    return (first, last, 0, pooled.x.data_ptr(), address(out), address(pooled.positions), height, width,
            pooled.out.shape[1], pooled.out.shape[2], channels * REAL, pooled.pool.stride)
