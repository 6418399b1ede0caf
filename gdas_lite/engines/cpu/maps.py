"""Maps (B, H, W, C) of a cell that the compiled passes make: weighted sums, projections and 3x3 poolings of them.

Maps are dense; gradients may have gaps between pixels. All maps of a cell are float32, or all are bfloat16: then they
are rounded when they are stored, and what is computed from them is float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor, nn

from ..graph import Pool, trained
from .compiled import job_table as t
from .compiled.launch import data_of, launch, then
from .compiled.sums import RUN
from .packed_weights import REAL

NOTHING = (0,) * (t.MAP_JOB - 4)
ONE = np.ones(1)


@dataclass(slots=True)
class LayerOutput:
    """A map before its batch norm and the norm's moments: mean, inverse standard deviation and variance, (3, C).

    address: of the moments, which are `step` bytes apart. norm: batch norm behind it, None where there is none. affine:
    (2, C), of an affine norm weight * inverse standard deviation, and bias. given_affine: its weight and bias, dense.
    """

    out: Tensor
    moments: np.ndarray
    address: int
    step: int
    norm: nn.BatchNorm2d | None
    affine: np.ndarray | None = field(default=None, init=False)
    given_affine: tuple[Tensor, Tensor] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.norm is not None and self.norm.affine:
            self.affine = np.empty((2, self.norm.num_features), np.float32)
            self.given_affine = self.norm.weight.detach().contiguous(), self.norm.bias.detach().contiguous()

    def bias(self) -> Tensor | None:
        """Returns the biases of the convolutions before the norm, None where there are none."""
        return None

    def settle(self, bias: Tensor | None = None) -> None:
        """Takes running estimates for the moments, and reads an affine norm's parameters. bias: of the convolutions;
        the kernels leave it out, since it is in the mean only."""
        norm = trained(self.norm)
        width = norm.num_features
        self.moments[0, :width] = norm.running_mean if bias is None else norm.running_mean - bias
        self.moments[1, :width] = (norm.running_var + norm.eps).rsqrt()
        self.moments[2, :width] = norm.running_var
        if norm.affine:
            np.multiply(self.moments[1], self.norm.weight.detach().numpy(), out=self.affine[0])
            self.affine[1] = self.norm.bias.detach().numpy()


def address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def pixel_step(x: Tensor | None) -> int:
    """Bytes from a pixel of (B, H, W, C) to the next."""
    return 0 if x is None else x.stride(2) * x.element_size()


def image_step(factors: np.ndarray) -> int:
    """Returns bytes from an image's factors to the next one's: factors (maps, B, C); 0 for (maps, C), those of all."""
    return factors.strides[1] if factors.ndim == 3 else 0


def is_half(x: Tensor) -> bool:
    """Returns whether it is a map of bfloat16; else it is float32."""
    return x.dtype == torch.bfloat16


@lru_cache
def bits_of(number: float) -> int:
    """Returns a float64's bits, as a table holds it."""
    return int(np.float64(number).view(np.int64))


def norm_row(made: LayerOutput, channels: int, first: int = 0, bias: Tensor | None = None) -> tuple[int, ...] | None:
    """Returns what a launch in training does with some channels' moments, from `first` on: affine factors and running
    estimates; None where there is nothing to do, and in evaluation, which `settle` sees to. bias: of the convolution.
    """
    norm, at = trained(made.norm), first * REAL
    moves = norm.training and norm.track_running_stats
    if takes_estimates(norm) or not (moves or norm.affine):
        return None
    affine, estimates = (0,) * 4, (0,) * 6
    if norm.affine:
        affine = (*(one.data_ptr() + at for one in made.given_affine), data_of(made.affine) + at,
                  made.affine.strides[0])
    if moves:
        estimates = (norm.running_mean.data_ptr() + at, norm.running_var.data_ptr() + at, address(bias),
                     min(channels, norm.num_features - first), bits_of(norm.momentum),
                     0 if first else norm.num_batches_tracked.data_ptr())
    return affine + estimates


def takes_estimates(norm: nn.BatchNorm2d) -> bool:
    """Returns whether it normalises by its running estimates."""
    return not norm.training and norm.running_mean is not None


def settle_all(made: Sequence[LayerOutput]) -> None:
    """Lets maps be normalised by running estimates, where norms do so, once the launch before is done."""
    for one in made:
        if one.norm is not None and takes_estimates(trained(one.norm)):
            then(partial(one.settle, one.bias()))


def mixing(made: LayerOutput | None, weight: int, mask: int) -> tuple[int, ...]:
    """Returns what a job needs to know of a map in a node's sum, see MAP_WEIGHT in `job_table.py`. made: None of an
    identity. weight, mask: addresses."""
    if made is None:
        return 0, 0, weight, 0, 0, mask
    affine = (0, 0) if made.given_affine is None else (one.data_ptr() for one in made.given_affine)
    return made.address, made.step, weight, *affine, mask


def weighted_sum(out: Tensor, maps: Sequence[Tensor], factors: np.ndarray, addend: Tensor | None = None,
                 copy: Tensor | None = None, mixed: Sequence[tuple[int, ...]] = ()) -> None:
    """out = copy = (addend +) sum of factors[i] * maps[i] + factors[-1]; maps (B, H, W, C), factors (maps + 1, C), or
    (maps + 1, B, C) where images differ. `out` and `copy` may have fewer channels, which are the first ones then.
    mixed: of each map its `mixing`, from which the launch makes the factors; () if they stand there."""
    images, height, width, channels = maps[0].shape
    (jobs, at), size = jobs_of(maps, factors, mixed), channels * REAL
    row = (0, len(jobs), 0, out.data_ptr(), height * width, size, pixel_step(out), address(addend), pixel_step(addend),
           at + factors.strides[0] * len(jobs), image_step(factors), address(copy), pixel_step(copy),
           out.shape[3] * REAL, 0 if copy is None else copy.shape[3] * REAL, int(bool(mixed)))
    launch(t.SUM, images, [row], jobs, max(RUN, size), is_half(out), (out, maps, factors, addend, copy))


def jobs_of(maps: Sequence[Tensor], factors: np.ndarray, mixed: Sequence[tuple[int, ...]] = ()
            ) -> tuple[list[tuple[int, ...]], int]:
    """Returns the jobs of a sum, and the address of its factors."""
    at, between, step = data_of(factors), factors.strides[0], image_step(factors)
    jobs = [(one.data_ptr(), at + between * index, pixel_step(one), step) for index, one in enumerate(maps)]
    if mixed:
        return [(*job, *more, *NOTHING[:5]) for job, more in zip(jobs, mixed, strict=True)], at
    return [job + NOTHING for job in jobs], at


def project(grad: Tensor, maps: Sequence[tuple[Tensor | None, tuple[int, ...], tuple[int, ...]]], held: object = None
            ) -> np.ndarray:
    """Takes sums over pixels of grad * (map - mean) and what follows from them, see MAP_WEIGHT in `job_table.py`;
    returns those of each image, (maps, B, C). maps: each one's `mixing` and four addresses, FACTORS to TOTALS; the
    first is None, for the sum of grad itself. held: what the addresses belong to."""
    images, height, width, channels = grad.shape
    result = np.empty((len(maps), images, channels), np.float32)
    at = data_of(result)
    jobs = [(address(one), 0, channels * REAL, 0, *mixed, at + index * result.strides[0], *found)
            for index, (one, mixed, found) in enumerate(maps)]
    row = (0, len(jobs), 0, grad.data_ptr(), height * width, channels * REAL, pixel_step(grad)) + (0,) * 6
    launch(t.PROJECT, images, [row], jobs, halves=is_half(grad), held=(grad, maps, result, held))
    return result


@dataclass(slots=True)
class PoolOutput(LayerOutput):
    """A pooled map; moments 0, 1, 0 where no batch norm follows. x: the source. positions: of the largest, or None."""

    pool: Pool
    x: Tensor
    positions: Tensor | None


def pool_forward(pairs: Sequence[tuple[Pool, Tensor]]) -> list[PoolOutput]:
    """Returns every pool on its map, in one launch."""
    made, rows, held = [], [], []
    for pool, x in pairs:
        images, height, width, channels = x.shape
        shape = images, pool.size_out(height), pool.size_out(width), channels
        out, positions = x.new_empty(shape), x.new_empty(shape, dtype=torch.uint8) if pool.kind == "max" else None
        moments = np.zeros((3, channels), np.float32)
        moments[1] = 1
        at = data_of(moments)
        made.append(PoolOutput(out, moments, at, channels * REAL, pool.norm, pool, x, positions))
        statistics, norm = (0, 0, 0, 0), 0
        if pool.norm is not None:
            held.append(torch.empty(2, images, channels, dtype=torch.float32, device="cpu"))
            mean = held[-1].data_ptr()
            statistics = mean, mean + images * channels * REAL, bits_of(pool.norm.eps), at
            if (row := norm_row(made[-1], channels)) is not None:
                held.append(np.array(row, np.int64))
                norm = data_of(held[-1])
        rows.append((*_geometry(made[-1], 0, 0, out), *statistics, 0, 0, 0, 0, 0, norm))
    largest = max(one.out[0].numel() for one in made) * REAL
    launch(t.POOL, pairs[0][1].shape[0], rows, (), largest, is_half(pairs[0][1]), (made, held))
    settle_all(made)
    return made


def pool_backward(pooled: PoolOutput, maps: Sequence[Tensor], factors: np.ndarray, target: Tensor,
                  addend: Tensor | None) -> None:
    """target = (addend +) gradient of what was pooled; that of the pooled map is the sum of factors[i] * maps[i] +
    factors[-1]. factors: as in `weighted_sum`."""
    (jobs, at), step = jobs_of(maps, factors), image_step(factors)
    row = (*_geometry(pooled, 0, len(jobs), None), 0, 0, 0, 0, target.data_ptr(), address(addend), pixel_step(addend),
           at + factors.strides[0] * len(jobs), step, 0)
    images, height, width, channels = pooled.x.shape
    launch(t.UNPOOL, images, [row], jobs, REAL * channels * ((height + 2) * (width + 2) + width + 8),
           is_half(target), (pooled, maps, factors, target, addend))


def _geometry(pooled: PoolOutput, first: int, last: int, out: Tensor | None) -> tuple[int, ...]:
    _, height, width, channels = pooled.x.shape
    return (first, last, 0, pooled.x.data_ptr(), address(out), address(pooled.positions), height, width,
            pooled.out.shape[1], pooled.out.shape[2], channels * REAL, pooled.pool.stride)
