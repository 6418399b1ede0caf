"""Convolution weights in the order that the passes read them in.

Forward and backward launches of layers (ReLU, convolutions, batch norm), many of them at once.

Maps are (B, H, W, C) and dense; gradients may have gaps between pixels. All maps of a cell are float32, or all are bfloat16:
then they are rounded when they are stored, and what is computed from them is float32.

Launches of 3x3 pooling as a cell's node shares it among its edges; maps (B, H, W, C).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from ..graph import PLANES, Conv, Layer, Pool, own
from .compiled import job_table as t
from .compiled.launch import blocks_of, launch

REAL = 4


G = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


TRANSFORM = torch.kron(G, G)        # (16, 9)


IN_FLOAT32 = torch.autocast("cpu", enabled=False)       # autocast would make bfloat16 of a matrix product


class Turned:
    """Weights as FORWARD reads them: depth-wise as (k*k, C), point-wise as (C_in, C_out). of: the addresses of both and of
    the point-wise weight itself, (C_out, C_in), which BACKWARD reads. halves: as the passes' maps, so that one compilation
    serves them all."""

    def __init__(self, convs: Iterable[Conv], halves: bool = False) -> None:
        self.of: dict[Conv, tuple[int, int, int]] = {}
        self._kept: list[Tensor] = []
        rows, places, size, dense = [], [], 0, {}
        for conv in convs:
            if conv.is_dense:
                dense.setdefault(conv.pointwise.weight.shape, []).append(conv)
                continue
            pointwise = self._matrix(conv.pointwise)
            at = [0, size, pointwise.data_ptr()]
            rows.append([pointwise.data_ptr(), size, conv.pointwise.out_channels, conv.pointwise.in_channels])
            size += pointwise.numel()
            if conv.kernel:
                depthwise = self._matrix(conv.depthwise)
                at[0] = size
                rows.append([depthwise.data_ptr(), size, depthwise.shape[0], conv.kernel**2])
                size += depthwise.numel()
            places.append((conv, at))
        self._turned = torch.empty(size)
        base = self._turned.data_ptr()
        for row in rows:
            row[t.TURNED] = base + row[t.TURNED] * REAL
        for conv, (taps, pointwise, matrix) in places:
            self.of[conv] = base + taps * REAL, base + pointwise * REAL, matrix
        if rows:
            launch(t.TURN, 1, rows, halves=halves)
        for alike in dense.values():
            self._transform(alike)

    def _transform(self, convs: Sequence[Conv]) -> None:
        """3x3 convolutions with weights of one shape."""
        together = torch.stack([conv.pointwise.weight.detach() for conv in convs])
        pairs = transformed(together), transformed(together, transposed=True)
        self._kept += pairs
        for conv, forward, backward in zip(convs, *pairs, strict=True):
            self.of[conv] = 0, forward.data_ptr(), backward.data_ptr()

    def _matrix(self, module: nn.Module) -> Tensor:
        weight = module.weight.detach()
        if not weight.is_contiguous():
            weight = weight.contiguous()
            self._kept.append(weight)
        return weight


@IN_FLOAT32
def transformed(weights: Tensor, transposed: bool = False) -> Tensor:
    """Winograd's G g G^T of weights (n, C_out, C_in, 3, 3): (n, 16, C_in, C_out), or (n, 16, C_out, C_in)."""
    planes = weights.flatten(3) @ TRANSFORM.T                                   # (n, C_out, C_in, 16)
    return planes.permute(0, 3, 1, 2).contiguous() if transposed else planes.permute(0, 3, 2, 1).contiguous()


@IN_FLOAT32
def transformed_back(slopes: Tensor) -> Tensor:
    """The adjoint of `transformed`, as weights' gradients are: (n, 16, C_in, C_out) to (n, C_out, C_in, 3, 3)."""
    return (slopes.permute(0, 3, 2, 1) @ TRANSFORM).unflatten(3, (3, 3))


@dataclass(slots=True)
class Made:
    """A map before its batch norm and the norm's moments: mean, inverse standard deviation and variance, (3, C).

    address: of the moments, which are `step` bytes apart. affine: (2, C), weight * inverse standard deviation and bias of an
    affine norm, else None.
    """

    out: Tensor
    moments: np.ndarray
    address: int
    step: int
    affine: np.ndarray | None = field(default=None, init=False)

    @property
    def norm(self) -> nn.BatchNorm2d | None:
        raise NotImplementedError

    def settle(self, bias: Tensor | None = None) -> None:
        """What follows the launch: running estimates move, or stand in the moments' place; the affine parameters are taken."""
        norm = self.norm
        if norm is None:
            return
        trained = own(norm)
        if trained.track_running_stats:
            if trained.training:
                move_estimates(trained, self, bias)
            else:
                width = trained.num_features
                mean = trained.running_mean if bias is None else trained.running_mean - bias
                self.moments[0, :width], self.moments[2, :width] = mean, trained.running_var
                self.moments[1, :width] = (trained.running_var + trained.eps).rsqrt()
        if norm.affine:
            self.affine = np.empty((2, norm.num_features), np.float32)
            np.multiply(self.moments[1], norm.weight.detach().numpy(), out=self.affine[0])
            self.affine[1] = norm.bias.detach().numpy()


@dataclass(slots=True)
class MadeLayer(Made):
    """given: the map that the layer reads, and the norm to be applied to it before, if any."""

    layer: Layer
    x: Tensor
    given: Made | None

    @property
    def norm(self) -> nn.BatchNorm2d:
        return self.layer.norm

    @property
    def conv_bias(self) -> Tensor | None:
        """The convolutions' bias, which the kernels leave out: it is in the batch's mean only."""
        bias = [conv.pointwise.bias.detach() for conv in self.layer.convs if conv.pointwise.bias is not None]
        return torch.cat(bias) if bias else None


@dataclass(slots=True)
class Wanted:
    """The gradient of a layer's input, to be computed.

    target: (B, H, W, C_in), takes it. addend: to be added to it. identity: (C_in,) factor of `through`, a gradient that an
    identity beside the layers passes on. factors: (3, C_in), takes the factors of the backward pass of the batch norm before;
    (5, C_in) where it is affine: and the gradients of its weight and bias.
    """

    target: Tensor | None = None
    addend: Tensor | None = None
    identity: np.ndarray | None = None
    through: Tensor | None = None
    factors: np.ndarray | None = None


def forward_layers(groups: Sequence[tuple[Tensor, Made | None, Sequence[Layer]]], turned: Turned) -> list[MadeLayer]:
    """Every layer on its group's input (a map, and the norm to be applied to it before), in one launch; results in the
    order given."""
    made, group_rows, job_rows = [], [], []
    images = groups[0][0].shape[0]
    widest = max(layer.channels for _, _, layers in groups for layer in layers)
    count = sum(len(layers) for _, _, layers in groups)
    statistics, moments = torch.empty(2, count, images, widest), np.empty((count, 3, widest), np.float32)
    at, step, moments_at = statistics.data_ptr(), widest * REAL, moments.ctypes.data
    squares = count * images * step
    for x, given, layers in groups:
        first, jobs, border = len(job_rows), [], border_of(layers, x)
        height, width = x.shape[1:3]
        for layer in layers:
            row = layer.convs[0].row_of(height, width)
            out = torch.empty(images, row[t.OUT_HEIGHT], row[t.OUT_WIDTH], layer.channels, dtype=x.dtype)
            one = MadeLayer(out, moments[len(made), :, :layer.channels], moments_at, step, layer, x, given)
            for conv in layer.convs:
                row, shift = _row(conv, one, border, *turned.of[conv][:2]), conv.first_channel * REAL
                row[t.IMAGE_MEAN:t.EPS + 1] = (at + shift, at + squares + shift, step, moments_at + shift, step,
                                               eps_bits(layer.norm.eps))
                jobs.append(row)
            at += images * step
            moments_at += 3 * step
            made.append(one)
        jobs.sort(key=pixels_seen)
        job_rows += jobs
        group_rows.append((first, len(job_rows), 0) + (0,) * 10)
    launch(t.FORWARD, images, group_rows, job_rows, halves=is_half(made[0].out))
    for one in made:
        one.settle(one.conv_bias)
    return made


def border_of(layers: Sequence[Layer], x: Tensor) -> int:
    """Zeros that the widest kernel needs about the image; x (B, H, W, C)."""
    height, width = x.shape[1:3]
    return max(conv.row_of(height, width)[t.BORDER] for layer in layers for conv in layer.convs)


def _row(conv: Conv, made: MadeLayer, border: int, taps: int, pointwise: int) -> list[int]:
    """A job's row but for what forward and backward differ in."""
    height, width = made.x.shape[1:3]
    row = conv.row_of(height, width, border).copy()
    row[t.X] = made.x.data_ptr()
    if made.given is not None:
        row[t.MEAN], row[t.INVERSE_STD] = made.given.address, made.given.address + made.given.step
        if made.given.affine is not None:
            row[t.GAIN], row[t.BIAS] = (factors.ctypes.data for factors in made.given.affine)
    row[t.TAPS], row[t.POINTWISE] = taps, pointwise
    element = made.out.element_size()
    row[t.OUT], row[t.OUT_STEP] = made.out.data_ptr() + conv.first_channel * element, made.layer.channels * element
    return row


def pixels_seen(row: Sequence[int]) -> tuple[int, int]:
    """Jobs that see the same pixels of their input shall follow each other: they share its copy."""
    return row[t.EVERY], row[t.OFFSET]


def address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def pixel_step(x: Tensor | None) -> int:
    """Bytes from a pixel of (B, H, W, C) to the next."""
    return 0 if x is None else x.stride(2) * x.element_size()


def image_step(factors: np.ndarray) -> int:
    """Bytes from an image's factors to the next one's: factors (maps, B, C); 0 for (maps, C), the same for all images."""
    return factors.strides[1] if factors.ndim == 3 else 0


def is_half(x: Tensor) -> bool:
    """Whether it is a map of bfloat16; else it is float32."""
    return x.dtype == torch.bfloat16


@lru_cache
def eps_bits(eps: float) -> int:
    """As a table holds it."""
    return int(np.float64(eps).view(np.int64))


def move_estimates(norm: nn.BatchNorm2d, made: Made, bias: Tensor | None = None) -> None:
    """Moves running estimates towards a batch's mean and unbiased variance, as nn.BatchNorm2d does in training."""
    mean, _, variance = torch.from_numpy(made.moments)[:, :norm.num_features]
    count = made.out.numel() // made.out.shape[3]
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_((mean if bias is None else mean + bias).to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_((variance * (count / max(count - 1, 1))).to(norm.running_var.dtype), norm.momentum)


def backward_layers(groups: Sequence[tuple[Wanted, Sequence[tuple[MadeLayer, Tensor, np.ndarray, np.ndarray | None]]]], learns: bool,
                    turned: Turned) -> dict[Conv, tuple[Tensor | None, Tensor]]:
    """Gradients of the layers' inputs, written where `Wanted` says, and of the weights, if they learn.

    Of each layer its gradient (as its map) and (3, C): the gradient of its map is [0] * gradient + [1] * map + [2]; last, in the
    place of [0], (B, C) where images differ. Layers of a group read the same input.
    """
    images = groups[0][1][0][0].out.shape[0]
    convs = [conv for _, layers in groups for made, *_ in layers for conv in made.layer.convs] if learns else []
    found, partial = _room_for_gradients(convs, images)
    group_rows, job_rows = [], []
    for wanted, layers in groups:
        first, jobs, border = len(job_rows), [], border_of([made.layer for made, *_ in layers], layers[0][0].x)
        for made, grad, factors, scales in layers:
            at, step = factors.ctypes.data, factors.strides[0]
            scale = at if scales is None else scales.ctypes.data
            for conv in made.layer.convs:
                taps, _, pointwise = turned.of[conv]
                row, shift = _row(conv, made, border, taps, pointwise), conv.first_channel * REAL
                row[t.GRAD:t.CONSTANT + 1] = (grad.data_ptr() + conv.first_channel * grad.element_size(), pixel_step(grad),
                                              scale + shift, at + step + shift, at + 2 * step + shift)
                row[t.SCALE_STEP] = 0 if scales is None else scales.strides[0]
                if learns:
                    row[t.GRAD_TAPS:t.SUM_POINTWISE + 1] = partial[conv]
                jobs.append(row)
        jobs.sort(key=pixels_seen)
        if wanted.factors is not None:
            sums = torch.empty(2, images, layers[0][0].x.shape[3])
            jobs[0][t.IMAGE_MEAN], jobs[0][t.IMAGE_SQUARES] = sums[0].data_ptr(), sums[1].data_ptr()
            jobs[0][t.MOMENTS] = wanted.factors.ctypes.data
            partial[wanted.factors.ctypes.data] = sums      # held until the launch is over
        if wanted.identity is not None:
            jobs[0][t.IDENTITY] = wanted.identity.ctypes.data
        job_rows += jobs
        target, addend, through = wanted.target, wanted.addend, wanted.through
        group_rows.append((first, len(job_rows), 0, address(target), 0, 0, pixel_step(target), address(addend),
                           pixel_step(addend), address(through), pixel_step(through), 0, 0))
    launch(t.BACKWARD, images, group_rows, job_rows, halves=is_half(groups[0][1][0][0].out))
    if any(conv.is_dense for conv in convs):
        _transform_back(found, partial)
    return found


def _room_for_gradients(convs: Sequence[Conv], images: int) -> tuple[dict, dict]:
    """The gradients of depth-wise and point-wise weights, and where the blocks' and they themselves stand."""
    found, blocks = {}, blocks_of(images)
    sizes = [(conv.kernel**2 * conv.pointwise.in_channels,
              conv.pointwise.in_channels * conv.pointwise.out_channels * (PLANES if conv.is_dense else 1)) for conv in convs]
    parts = torch.empty(blocks * sum(map(sum, sizes)))
    at, partial = parts.data_ptr(), {None: parts}
    for conv, (of_taps, of_pointwise) in zip(convs, sizes, strict=True):
        taps = torch.empty(conv.depthwise.weight.shape) if conv.kernel else None
        pointwise = torch.empty(conv.pointwise.weight.shape)
        found[conv] = taps, pointwise
        between = at + blocks * of_taps * REAL
        partial[conv] = at, between, address(taps), pointwise.data_ptr()
        at = between + blocks * of_pointwise * REAL
    return found, partial


def _transform_back(found: dict[Conv, tuple[Tensor | None, Tensor]], partial: dict) -> None:
    """Gradients of the 3x3 convolutions' weights from their sixteen matrices, which stand where the first block's were."""
    parts = partial[None]
    for conv, (_, gradient) in found.items():
        if conv.is_dense:
            channels_out, channels = gradient.shape[:2]
            first = (partial[conv][1] - parts.data_ptr()) // REAL
            slopes = parts[first:first + PLANES * channels * channels_out].view(1, PLANES, channels, channels_out)
            gradient.copy_(transformed_back(slopes)[0])


@dataclass(slots=True)
class Pooled(Made):
    """A pooled map; its moments are 0, 1, 0 where no batch norm follows. x: what was pooled. positions: of the largest, the
    tap (B, H, W, C)."""

    pool: Pool
    x: Tensor
    positions: Tensor | None

    @property
    def norm(self) -> nn.BatchNorm2d | None:
        return self.pool.norm


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
        rows.append((*_geometry(made[-1], 0, 0, out), *statistics, 0, 0, 0, 0, 0))
    largest = max(one.out[0].numel() for one in made) * REAL
    launch(t.POOL, pairs[0][1].shape[0], rows, (), largest, is_half(pairs[0][1]))
    for one in made:
        one.settle()
    return made


def pool_backward(pooled: Pooled, maps: Sequence[Tensor], factors: np.ndarray, target: Tensor, addend: Tensor | None) -> None:
    """target = (addend +) gradient of what was pooled; that of the pooled map is the sum of factors[i] * maps[i], and after
    them constants; factors (maps + 1, C), or (maps + 1, B, C) where images differ."""
    size, at, step = factors.strides[0], factors.ctypes.data, image_step(factors)
    jobs = [(one.data_ptr(), at + size * index, pixel_step(one), 0, 0, step) for index, one in enumerate(maps)]
    row = (*_geometry(pooled, 0, len(jobs), None), 0, 0, 0, 0, target.data_ptr(), address(addend), pixel_step(addend),
           at + size * len(jobs), step)
    images, height, width, channels = pooled.x.shape
    launch(t.UNPOOL, images, [row], jobs, REAL * channels * ((height + 2) * (width + 2) + width + 8),
           is_half(target))


def _geometry(pooled: Pooled, first: int, last: int, out: Tensor | None) -> tuple[int, ...]:
    _, height, width, channels = pooled.x.shape
    return (first, last, 0, pooled.x.data_ptr(), address(out), address(pooled.positions), height, width,
            pooled.out.shape[1], pooled.out.shape[2], channels * REAL, pooled.pool.stride)
