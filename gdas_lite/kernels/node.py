"""What the forward and the backward pass of a node share: its terms by kind, sums of maps, projections, batch norm's factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from . import table as t
from .convolving import REAL, Made, address, is_half, pixel_step
from .graph import Chain, Identity, Pool, Scalar, Term
from .launch import launch
from .sum_pass import RUN


def split(terms: Sequence[Term]) -> tuple[list[Chain], list[Pool], list[Identity], list[Scalar]]:
    return tuple([term for term in terms if isinstance(term, kind)] for kind in (Chain, Pool, Identity, Scalar))


def sources(terms: Sequence[Term]) -> set[int]:
    return {term.source for term in terms if not isinstance(term, Scalar)}


def moments_of(made: Sequence[Made]) -> np.ndarray:
    """Mean, inverse standard deviation and variance, (maps, 3, C), float64."""
    return np.array([one.moments for one in made], np.float64)


def weighted_sum(out: Tensor, maps: Sequence[Tensor], factors: np.ndarray, addend: Tensor | None = None,
                 copy: Tensor | None = None) -> None:
    """out = copy = (addend +) sum of factors[i] * maps[i] and, after them, a row of constants; maps (B, H, W, C), factors
    (maps + 1, C)."""
    images, height, width, channels = out.shape
    size, at = channels * REAL, factors.ctypes.data
    jobs = [(one.data_ptr(), at + size * index, pixel_step(one), 0, 0) for index, one in enumerate(maps)]
    row = (0, len(jobs), 0, out.data_ptr(), height * width, size, pixel_step(out), address(addend), pixel_step(addend),
           at + size * len(jobs), 0, address(copy), pixel_step(copy))
    launch(t.SUM, images, [row], jobs, max(RUN, size), is_half(out))


def project(grad: Tensor, maps: Sequence[tuple[Tensor | None, int]]) -> np.ndarray:
    """Sum over pixels and images of grad * (map - mean), without a map of grad: (maps, C), float64. mean: an address, 0: none."""
    images, height, width, channels = grad.shape
    of_images, whole = torch.empty(len(maps), images, channels), np.empty((len(maps), channels))
    at, whole_at, size = of_images.data_ptr(), whole.ctypes.data, images * channels * REAL
    jobs = [(address(one), mean, channels * REAL, at + index * size, whole_at + index * channels * 8)
            for index, (one, mean) in enumerate(maps)]
    row = (0, len(jobs), 0, grad.data_ptr(), height * width, channels * REAL, pixel_step(grad)) + (0,) * 6
    launch(t.PROJECT, images, [row], jobs, halves=is_half(grad))
    return whole


def norm_factors(weight: np.ndarray, moments: np.ndarray, total: np.ndarray, projection: np.ndarray, count: int) -> np.ndarray:
    """Batch norm's backward pass as factors (layers, 3, C) of gradient, map and 1, times `weight` (layers, 1).

    moments: (layers, 3, C). total: sum of the gradient (layers or 1, C). projection: of gradient * (map - mean), (layers, C).
    """
    scale = weight * moments[:, 1]
    factors = np.empty(moments.shape)
    factors[:, 0] = scale
    factors[:, 1] = scale * np.square(moments[:, 1]) * projection / -count
    factors[:, 2] = -scale * total / count - factors[:, 1] * moments[:, 0]
    return factors.astype(np.float32)
