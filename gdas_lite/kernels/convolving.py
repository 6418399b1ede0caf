"""Forward and backward launches of layers (ReLU, convolutions, batch norm), many of them at once.

Maps are (B, H, W, C) and dense. float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from . import table as t
from .graph import Conv, Layer
from .launch import blocks_of, launch

REAL = 4
G = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
TRANSFORM = torch.kron(G, G)        # (16, 9)


@dataclass
class Given:
    """What a layer reads: a map and, if it is to be normalised first, mean and inverse standard deviation (C,)."""

    x: Tensor
    mean: Tensor | None = None
    inverse_std: Tensor | None = None


@dataclass
class Made:
    """A layer's map before its normalisation, and what the backward pass needs with it.

    taps: of each convolution (k*k, C_in), None without depth-wise.
    """

    layer: Layer
    given: Given
    out: Tensor
    mean: Tensor
    inverse_std: Tensor
    taps: list[Tensor | None] = field(default_factory=list)


@dataclass
class Wanted:
    """The gradient of a layer's input, to be computed.

    target: (B, H, W, C_in), added to if `adds`. identity: (C_in,) factor of `through`, a gradient that an identity beside
    the layers passes on. sums: (2, B, C_in): takes sum and projection of the target.
    """

    target: Tensor | None = None
    adds: bool = False
    identity: Tensor | None = None
    through: Tensor | None = None
    sums: Tensor | None = None


def forward_layers(groups: Sequence[tuple[Given, Sequence[Layer]]]) -> list[Made]:
    """Every layer on its group's input, in one launch; results in the order given."""
    made, group_rows, job_rows, kept = [], [], [], []
    images = groups[0][0].x.shape[0]
    statistics = torch.empty(2, sum(len(layers) for _, layers in groups), images,
                             max(layer.channels for _, layers in groups for layer in layers))
    convs = [conv for _, layers in groups for layer in layers for conv in layer.convs]
    taps, matrices = _packed_taps(convs), iter(matrices_of(convs))
    for given, layers in groups:
        first, jobs = len(job_rows), []
        border = border_of(layers, given.x)
        for layer in layers:
            height, width = (layer.convs[0].size_out(side) for side in given.x.shape[1:3])
            out = torch.empty(images, height, width, layer.channels)
            mean_at, squares_at = (part[len(made)] for part in statistics)
            made.append(Made(layer, given, out, None, None))
            for conv in layer.convs:
                made[-1].taps.append(next(taps))
                pointwise = next(matrices)
                kept.append(pointwise)
                row = _row(conv, given, out, made[-1].taps[-1], pointwise, border)
                row[t.IMAGE_MEAN:t.STATISTIC_STEP + 1] = [mean_at.data_ptr() + conv.first_channel * REAL,
                              squares_at.data_ptr() + conv.first_channel * REAL, statistics.shape[3] * REAL]
                jobs.append(row)
        job_rows += sorted(jobs, key=pixels_seen)
        group_rows.append([first, len(job_rows), 0, 0, 0, 0, 0])
    launch(t.FORWARD, images, group_rows, job_rows)
    _set_statistics(made, statistics)
    return made


def border_of(layers: Sequence[Layer], x: Tensor) -> int:
    """Zeros that the widest kernel needs about the image; x (B, H, W, C)."""
    return max(conv.border(*x.shape[1:3]) for layer in layers for conv in layer.convs)


def matrices_of(convs: Sequence[Conv], transposed: bool = False) -> list[Tensor]:
    """What a map's channels are multiplied with: (C_in, C_out), of a 3x3 convolution (16, C_in, C_out); or their transposes."""
    found: list[Tensor | None] = [None] * len(convs)
    dense: dict[torch.Size, list[int]] = {}
    for index, conv in enumerate(convs):
        weight = conv.pointwise.weight.detach()
        if conv.is_dense:
            dense.setdefault(weight.shape, []).append(index)
        else:
            matrix = weight.reshape(weight.shape[:2])
            found[index] = matrix if transposed else matrix.t().contiguous()
    for indices in dense.values():
        together = torch.stack([convs[index].pointwise.weight.detach() for index in indices])
        for index, matrix in zip(indices, transformed(together, transposed), strict=True):
            found[index] = matrix
    return found


def transformed(weights: Tensor, transposed: bool = False) -> Tensor:
    """Winograd's G g G^T of weights (n, C_out, C_in, 3, 3): (n, 16, C_in, C_out), or (n, 16, C_out, C_in)."""
    planes = weights.flatten(3) @ TRANSFORM.T                                   # (n, C_out, C_in, 16)
    return planes.permute(0, 3, 1, 2).contiguous() if transposed else planes.permute(0, 3, 2, 1).contiguous()


def transformed_back(slopes: Tensor) -> Tensor:
    """The adjoint of `transformed`, as weights' gradients are: (n, 16, C_in, C_out) to (n, C_out, C_in, 3, 3)."""
    return (slopes.permute(0, 3, 2, 1) @ TRANSFORM).unflatten(3, (3, 3))


def _packed_taps(convs: Sequence[Conv]):
    """Depth-wise weights as (k*k, C), one conv after the other; those of one shape are turned together."""
    by_shape: dict[torch.Size, list[int]] = {}
    for index, conv in enumerate(convs):
        if conv.kernel:
            by_shape.setdefault(conv.depthwise.weight.shape, []).append(index)
    packed: list[Tensor | None] = [None] * len(convs)
    for shape, indices in by_shape.items():
        together = torch.stack([convs[index].depthwise.weight.detach() for index in indices])
        turned = together.reshape(len(indices), shape[0], -1).transpose(1, 2).contiguous()
        for index, taps in zip(indices, turned.unbind(), strict=True):
            packed[index] = taps
    return iter(packed)


def _row(conv: Conv, given: Given, out: Tensor, taps: Tensor | None, pointwise: Tensor, border: int) -> list[int]:
    """A job's row but for what forward and backward differ in."""
    height, width, channels = given.x.shape[1:]
    every = conv.seen_every
    return [given.x.data_ptr(), address(given.mean), address(given.inverse_std), height, width, every, conv.offset,
            -(-height // every), -(-width // every), conv.kernel, conv.stride, conv.dilation, border, channels,
            conv.pointwise.out_channels, out.shape[1], out.shape[2], address(taps), pointwise.data_ptr(),
            out.data_ptr() + conv.first_channel * REAL, out.shape[3] * REAL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, conv.is_dense]


def pixels_seen(row: Sequence[int]) -> tuple[int, int]:
    """Jobs that see the same pixels of their input shall follow each other: they share its copy."""
    return row[t.EVERY], row[t.OFFSET]


def address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _set_statistics(made: Sequence[Made], statistics: Tensor) -> None:
    """Mean and inverse standard deviation over the batch from those of the images; running estimates, if there are."""
    by_shape: dict[torch.Size, list[int]] = {}
    for index, one in enumerate(made):
        by_shape.setdefault(one.out.shape, []).append(index)
    for shape, indices in by_shape.items():
        pixels, count = shape[1] * shape[2], shape[0] * shape[1] * shape[2]
        means, squares = statistics[:, indices, :, :shape[3]].double()      # (layers, B, C)
        mean = means.mean(1)
        variance = (squares.sum(1) + pixels * (means - mean[:, None]).square_().sum(1)) / count
        eps = torch.tensor([made[index].layer.norm.eps for index in indices], dtype=torch.float64)[:, None]
        inverse_std = (variance + eps).rsqrt().float()
        for place, index in enumerate(indices):
            made[index].mean, made[index].inverse_std = mean[place].float(), inverse_std[place]
            update_estimates(made[index].layer, mean[place], variance[place] * (count / max(count - 1, 1)))


def update_estimates(layer: Layer, mean: Tensor, variance: Tensor) -> None:
    """As nn.BatchNorm2d does in training; the convolutions' bias, which the kernels leave out, is in its mean."""
    bias = [conv.pointwise.bias.detach() for conv in layer.convs if conv.pointwise.bias is not None]
    move_estimates(layer.norm, mean + torch.cat(bias) if bias else mean, variance)


def move_estimates(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Running estimates towards a batch's mean and unbiased variance (C,), if the norm keeps them and is in training."""
    if not (norm.training and norm.track_running_stats):
        return
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), norm.momentum)


def backward_layers(groups: Sequence[tuple[Wanted, Sequence[tuple[Made, Tensor, Tensor]]]], learns: bool
                    ) -> dict[Conv, tuple[Tensor | None, Tensor]]:
    """Gradients of the layers' inputs, written where `Wanted` says, and of the weights, if they learn.

    Of each layer its gradient (as its map) and (3, C): the gradient of its map is [0] * gradient + [1] * map + [2].
    Layers of a group read the same input.
    """
    images = groups[0][1][0][0].out.shape[0]
    partial = _Partial(images, [conv for _, layers in groups for made, _, _ in layers for conv in made.layer.convs]) \
        if learns else None
    group_rows, job_rows = [], []
    matrices = matrices_of([conv for _, layers in groups for made, _, _ in layers for conv in made.layer.convs], transposed=True)
    rest = iter(matrices)       # `matrices` keeps them until the launch is over
    for wanted, layers in groups:
        first, jobs = len(job_rows), []
        border = border_of([made.layer for made, _, _ in layers], layers[0][0].given.x)
        for made, grad, factors in layers:
            for conv, taps in zip(made.layer.convs, made.taps, strict=True):
                row, shift = _row(conv, made.given, made.out, taps, next(rest), border), conv.first_channel * REAL
                row[t.GRAD:t.CONSTANT + 1] = [grad.data_ptr() + shift] + [part.data_ptr() + shift for part in factors]
                if partial is not None:
                    row[t.GRAD_TAPS:t.GRAD_POINTWISE + 1] = partial.addresses(conv)
                jobs.append(row)
        jobs.sort(key=pixels_seen)
        if wanted.sums is not None:
            jobs[0][t.IMAGE_MEAN:t.IMAGE_SQUARES + 1] = [part.data_ptr() for part in wanted.sums]
        jobs[0][t.IDENTITY] = address(wanted.identity)
        job_rows += jobs
        group_rows.append([first, len(job_rows), address(wanted.target), 0, 0, wanted.adds, address(wanted.through)])
    launch(t.BACKWARD, images, group_rows, job_rows)
    return {} if partial is None else partial.gradients()


class _Partial:
    """Memory for the weights' gradients, one for each block of images."""

    def __init__(self, images: int, convs: Sequence[Conv]) -> None:
        self.places: dict[Conv, tuple[tuple[int, ...], int, tuple[int, ...], int]] = {}
        counts: dict[tuple[int, ...], int] = {}
        for conv in convs:
            pair = []
            channels = conv.pointwise.in_channels
            matrix = (channels, conv.pointwise.out_channels)
            for shape in ((conv.kernel**2, channels), (len(TRANSFORM), *matrix) if conv.is_dense else matrix):
                pair += [shape, counts.get(shape, 0)]
                counts[shape] = counts.get(shape, 0) + 1
            self.places[conv] = tuple(pair)
        self.sums = {shape: torch.empty(count, blocks_of(images), *shape) for shape, count in counts.items()}

    def addresses(self, conv: Conv) -> list[int]:
        shape, place, other, other_place = self.places[conv]
        return [self.sums[shape][place].data_ptr(), self.sums[other][other_place].data_ptr()]

    def gradients(self) -> dict[Conv, tuple[Tensor | None, Tensor]]:
        """As the weights' shapes."""
        whole = {shape: _as_weights(parts.sum(1)) for shape, parts in self.sums.items()}
        found = {}
        for conv, (shape, place, other, other_place) in self.places.items():
            taps = whole[shape][place].reshape(conv.depthwise.weight.shape) if conv.kernel else None
            found[conv] = taps, whole[other][other_place].reshape(conv.pointwise.weight.shape)
        return found


def _as_weights(sums: Tensor) -> Sequence[Tensor]:
    """Output channels first, of each convolution of a shape."""
    turned = sums.transpose(1, 2) if sums.ndim == 3 else transformed_back(sums)
    return turned.contiguous().unbind()
