"""Forward and backward launches of layers (ReLU, convolutions, batch norm), many of them at once. Maps: see maps.py."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..graph import Conv, Layer
from .compiled import job_table as t
from .compiled.launch import blocks_of, data_of, launch
from .maps import LayerOutput, address, bits_of, is_half, norm_row, pixel_step, settle_all
from .packed_weights import REAL, PackedWeights


@dataclass(slots=True)
class ConvOutput(LayerOutput):
    """given: the map that the layer reads, and the norm to be applied to it before, if any."""

    layer: Layer
    x: Tensor
    given: LayerOutput | None

    def bias(self) -> Tensor | None:
        return self.layer.bias()


# Of a layer: its output's gradient, as its map, and (3, C): its map's gradient is [0] * gradient + [1] * map + [2];
# then what stands in the place of [0] where images differ, (B, C).
Gradient = tuple[Tensor, np.ndarray, np.ndarray | None]


@dataclass(slots=True)
class InputGradient:
    """The gradient of a layer's input, to be computed.

    target: (B, H, W, C_in), takes it. addend: to be added to it. identities: gradients that identities beside the
    layers pass on, with factors (1, C_in). factors: (3, C_in), takes the factors of the backward pass of the batch norm
    before; (5, C_in) where that is affine: and the gradients of its weight and bias.
    """

    target: Tensor | None = None
    addend: Tensor | None = None
    identities: Sequence[tuple[Tensor, np.ndarray]] = field(default_factory=list)
    factors: np.ndarray | None = None


def forward_layers(groups: Sequence[tuple[Tensor, LayerOutput | None, Sequence[Layer]]],
                   packed: PackedWeights) -> list[ConvOutput]:
    """Returns each layer's output, in order; a group's layers read its map through its norm. All are one launch."""
    made, group_rows, job_rows, norms = [], [], [], []
    images = groups[0][0].shape[0]
    widest = max(layer.channels for _, _, layers in groups for layer in layers)
    count = sum(len(layers) for _, _, layers in groups)
    statistics = torch.empty(2, count, images, widest, dtype=torch.float32, device="cpu")
    moments = np.empty((count, 3, widest), np.float32)
    at, step, moments_at = statistics.data_ptr(), widest * REAL, data_of(moments)
    squares = count * images * step
    for x, given, layers in groups:
        first, jobs, border = len(job_rows), [], border_of(layers, x, packed.side)
        height, width = x.shape[1:3]
        for layer in layers:
            check_widths(layer.convs[0].pointwise.in_channels, x.shape[3])
            row = layer.convs[0].row_of(height, width, packed.side)
            out = torch.empty(images, row[t.OUT_HEIGHT], row[t.OUT_WIDTH], layer.channels, dtype=x.dtype, device="cpu")
            one = ConvOutput(out, moments[len(made), :, :layer.channels], moments_at, step, layer.norm, layer, x, given)
            for conv in layer.convs:
                row, shift = _row(conv, one, packed.side, border, *packed.of[conv][:2]), conv.first_channel * REAL
                row[t.IMAGE_MEAN:t.EPS + 1] = array("q", (
                    at + shift, at + squares + shift, step, moments_at + shift, step, bits_of(layer.norm.eps)))
                bias = None if conv.pointwise.bias is None else conv.pointwise.bias.detach().contiguous()
                norm = norm_row(one, conv.pointwise.out_channels, conv.first_channel, bias)
                if norm is not None:
                    norms += [bias, np.array(norm, np.int64)]
                    row[t.NORM] = data_of(norms[-1])
                jobs.append(row)
            at += images * step
            moments_at += 3 * step
            made.append(one)
        jobs.sort(key=pixels_seen)
        job_rows += jobs
        group_rows.append((first, len(job_rows), 0) + (0,) * 10)
    launch(t.FORWARD, images, group_rows, job_rows, halves=is_half(
        made[0].out), held=(made, statistics, moments, packed, norms))
    settle_all(made)
    return made


def check_widths(built: int, given: int) -> None:
    """Raises ValueError for a map that a convolution was not built for."""
    if built != given:
        raise ValueError(f"a convolution of this cell was built for maps of {built} channels, this one has {given}")


def border_of(layers: Sequence[Layer], x: Tensor, side: int) -> int:
    """Returns zeros that the widest kernel needs about the image; x (B, H, W, C)."""
    height, width = x.shape[1:3]
    return max(conv.row_of(height, width, side)[t.BORDER] for layer in layers for conv in layer.convs)


def _row(conv: Conv, made: ConvOutput, side: int, border: int, taps: int, pointwise: int) -> array:
    """A job's row but for what forward and backward differ in."""
    height, width = made.x.shape[1:3]
    row = conv.row_of(height, width, side, border)[:]
    row[t.X] = made.x.data_ptr()
    if made.given is not None:
        row[t.MEAN], row[t.INVERSE_STD] = made.given.address, made.given.address + made.given.step
        if made.given.affine is not None:
            row[t.GAIN], row[t.BIAS] = map(data_of, made.given.affine)
    row[t.TAPS], row[t.POINTWISE] = taps, pointwise
    element = made.out.element_size()
    row[t.OUT], row[t.OUT_STEP] = made.out.data_ptr() + conv.first_channel * element, made.layer.channels * element
    return row


def pixels_seen(row: Sequence[int]) -> tuple[int, int]:
    """Jobs that see the same pixels of their input shall follow each other: they share its copy."""
    return row[t.EVERY], row[t.OFFSET]


def backward_layers(groups: Sequence[tuple[InputGradient, Sequence[tuple[ConvOutput, *Gradient]]]],
                    learns: bool, packed: PackedWeights) -> dict[Conv, tuple[Tensor | None, Tensor]]:
    """Returns gradients of the layers' inputs, written where `InputGradient` says, and of the weights, if they learn.

    Layers of a group read the same input.
    """
    images = groups[0][1][0][0].out.shape[0]
    convs = [conv for _, layers in groups for made, *_ in layers for conv in made.layer.convs] if learns else []
    found, partial = _room_for_gradients(convs, images, packed.side)
    group_rows, job_rows = [], []
    for wanted, layers in groups:
        first, jobs, border = len(job_rows), [], border_of(
            [made.layer for made, *_ in layers], layers[0][0].x, packed.side)
        for made, grad, factors, scales in layers:
            at, step = data_of(factors), factors.strides[0]
            scale = at if scales is None else data_of(scales)
            for conv in made.layer.convs:
                taps, _, pointwise = packed.of[conv]
                row, shift = _row(conv, made, packed.side, border, taps, pointwise), conv.first_channel * REAL
                row[t.GRAD:t.CONSTANT + 1] = array("q", (
                    grad.data_ptr() + conv.first_channel * grad.element_size(), pixel_step(grad), scale + shift,
                    at + step + shift, at + 2 * step + shift))
                row[t.SCALE_STEP] = 0 if scales is None else scales.strides[0]
                if learns:
                    row[t.GRAD_TAPS:t.SUM_POINTWISE + 1] = array("q", partial[conv])
                    if conv.is_dense:
                        row[t.IN_STEP], row[t.TAP_STEP] = (REAL * step for step in found[conv][1].stride()[1::2])
                jobs.append(row)
        jobs.sort(key=pixels_seen)
        if wanted.factors is not None:
            sums = torch.empty(2, images, layers[0][0].x.shape[3], dtype=torch.float32, device="cpu")
            jobs[0][t.IMAGE_MEAN], jobs[0][t.IMAGE_SQUARES] = sums[0].data_ptr(), sums[1].data_ptr()
            jobs[0][t.MOMENTS] = data_of(wanted.factors)
            partial[data_of(wanted.factors)] = sums      # held until the launch is over
        job_rows += jobs
        target, addend, last = wanted.target, wanted.addend, len(job_rows)
        for grad, factor in wanted.identities if target is not None else ():
            row = array("q", bytes(8 * t.JOB))
            row[t.GRAD:t.SCALE + 1] = array("q", (grad.data_ptr(), pixel_step(grad), data_of(factor)))
            job_rows.append(row)
        group_rows.append((first, last, 0, address(target), 0, 0, pixel_step(target), address(addend),
                           pixel_step(addend), len(job_rows), 0, 0, 0))
    launch(t.BACKWARD, images, group_rows, job_rows, halves=is_half(groups[0][1][0][0].out),
           held=(groups, partial, found, packed))
    return found


def _room_for_gradients(convs: Sequence[Conv], images: int, side: int) -> tuple[dict, dict]:
    """The gradients of depth-wise and point-wise weights, and where the blocks' and they themselves stand."""
    found, blocks = {}, blocks_of(images)
    sizes = [(conv.kernel**2 * conv.pointwise.in_channels,
              conv.pointwise.in_channels * conv.pointwise.out_channels * (side**2 if conv.is_dense else 1))
             for conv in convs]
    parts = torch.empty(blocks * sum(map(sum, sizes)), dtype=torch.float32, device="cpu")
    at, partial = parts.data_ptr(), {None: parts}
    for conv, (of_taps, of_pointwise) in zip(convs, sizes, strict=True):
        taps = torch.empty_like(conv.depthwise.weight, memory_format=torch.contiguous_format) if conv.kernel else None
        weight = conv.pointwise.weight
        is_last = conv.is_dense and weight.is_contiguous(memory_format=torch.channels_last)
        pointwise = torch.empty_like(weight, memory_format=torch.channels_last if is_last else torch.contiguous_format)
        found[conv] = taps, pointwise
        between = at + blocks * of_taps * REAL
        partial[conv] = at, between, address(taps), pointwise.data_ptr()
        at = between + blocks * of_pointwise * REAL
    return found, partial
