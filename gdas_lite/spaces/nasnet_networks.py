"""The network that is built from a NASNet genotype, for CIFAR-like images or for ImageNet.

Sources: DARTS paper, appendix A.2; GDAS paper, section 4.2; quark0/darts and AutoDL-Projects for what papers leave open.

The NASNet space's supernet: every candidate on every edge of normal and reduction cells, with shared weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..engines.layers.maps import concatenate, global_average
from ..genotypes.nasnet import NASNetGenotype
from ..relaxation import DeviceMixture, Mixture
from ..runs.schema import check_sizes
from .nasbench201 import Zero, add_scalar, sum_of
from .nasnet_cells import FixedReductionCell, InputPair, check_groups
from .operations import (
    NASNET_CANDIDATES,
    POOLING,
    DropPath,
    Identity,
    LayerStyle,
    Pooling,
    Source,
    nasnet_operation,
)

Drop = Callable[[Tensor], Tensor]


class Cell(nn.Module):
    """A derived cell: node i is the sum of its two operations; the output concatenates the genotype's nodes."""

    def __init__(self, genotype: NASNetGenotype, is_reduction: bool, channels_in: tuple[int, int], channels: int,
                 follows_reduction: bool, style: LayerStyle) -> None:
        super().__init__()
        self.nodes = genotype.reduce if is_reduction else genotype.normal
        self.concat = genotype.reduce_concat if is_reduction else genotype.normal_concat
        self.inputs = InputPair(channels_in, channels, follows_reduction, style)
        self.operations = nn.ModuleDict()       # pooling that stands twice on one input is one module
        for index, (operation, src) in enumerate(self._pairs()):
            stride = 2 if is_reduction and src < 2 else 1
            name = _module_name(index, operation, src)
            if name not in self.operations:
                self.operations[name] = nasnet_operation(operation, channels, stride, style)
        names = [_module_name(index, *pair) for index, pair in enumerate(self._pairs())]
        self.num_masks = sum(not isinstance(self.operations[name], Identity) for name in names)

    def _pairs(self) -> Iterator[tuple[str, int]]:
        return (pair for node in self.nodes for pair in node)

    def forward(self, older: Source, newer: Source, drop: Drop | None = None) -> Tensor:
        """drop: drop path, applied to every operand that is no identity."""
        nodes = list(self.inputs(older, newer))
        operands = (self._operand(nodes[src], _module_name(index, operation, src), drop)
                    for index, (operation, src) in enumerate(self._pairs()))
        for _ in self.nodes:
            nodes.append(Source(next(operands) + next(operands)))
        return concatenate([nodes[index].value for index in self.concat])

    def _operand(self, source: Source, name: str, drop: Drop | None) -> Tensor:
        operation = self.operations[name]
        if isinstance(operation, Identity):
            return source.value
        out = source.through(operation) if operation.takes_rectified else source.shared(operation)
        return out if drop is None else drop(out)


def _module_name(index: int, operation: str, src: int) -> str:
    return f"{operation} from {src}" if operation in POOLING else f"{index} {operation}"


class AuxiliaryHead(nn.Module):
    """A second classifier on the output of the second reduction cell, for training only.

    ReLU, 5x5 average, 1x1 convolution to 128, batch norm, ReLU, 2x2 convolution to 768, batch norm, ReLU, linear.
    stride: of the average, 3 for CIFAR (8x8 maps), 2 for ImageNet (7x7 maps); both leave 2x2. last_norm: False leaves the
    second batch norm out, as the DARTS and original GDAS codes do for ImageNet (a slip they kept).
    """

    def __init__(self, channels: int, classes: int, stride: int, last_norm: bool) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride, padding=0, count_include_pad=False)
        self.narrow = nn.Sequential(nn.Conv2d(channels, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(inplace=True))
        self.wide = nn.Sequential(nn.Conv2d(128, 768, 2, bias=False), nn.BatchNorm2d(768) if last_norm else nn.Identity(),
                                  nn.ReLU(inplace=True))
        self.classifier = nn.Linear(768, classes)

    def forward(self, source: Source) -> Tensor:
        """Logits (B, classes) of a map (B, channels, H, W); larger maps than 2x2 after the average are averaged again."""
        return self.classifier(self.wide(self.narrow(self.pool(source.rectified))).mean((2, 3)))


def cifar_stem(channels: int, image_channels: int) -> nn.Sequential:
    """3x3 convolution to 3C channels, batch norm; no ReLU. Keeps the size."""
    return _conv_norm(image_channels, STEM_MULTIPLIER * channels, 1)


def _conv_norm(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out))


class ImageNetStem(nn.Module):
    """Three 3x3 convolutions of stride 2: 224 to 56 pixels (cell k-2's place) and to 28 (cell k-1's), C channels each."""

    def __init__(self, channels: int, image_channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_conv_norm(image_channels, channels // 2, 2), nn.ReLU(inplace=True),
                                   *_conv_norm(channels // 2, channels, 2))
        self.second = _conv_norm(channels, channels, 2)

    def forward(self, x: Tensor) -> tuple[Source, Source]:
        older = Source(self.first(x))                                   # (B, C, H/4, W/4)
        return older, Source(self.second(older.rectified))              # (B, C, H/8, W/8)


class Network(nn.Module):
    """The network of a genotype. `forward(x)` gives logits (B, classes).

    channels: C of the first cells, at least 2 (36 for CIFAR as published; ImageNet: GDAS 50, GDAS-FRC 52, DARTS 48); doubled
        by each reduction cell. With the fixed reduction cell (genotype.reduce None) divisible by 4.
    cells: 20 for CIFAR, 14 for ImageNet; reduction cells at cells // 3 and 2 * cells // 3.
    stem: "cifar" keeps the image's size, "imagenet" divides it by 8 before the first cell.
    auxiliary: whether it has the auxiliary head; auxiliary_last_norm: whether that has its second batch norm.
    pool_norm: batch norm without affine after pooling, as in the original GDAS code; the other codes have it in the search
        alone.
    Raises ValueError for sizes that cannot be built.
    """

    def __init__(self, genotype: NASNetGenotype, channels: int = 36, cells: int = 20, classes: int = 10,
                 image_channels: int = 3, stem: Literal["cifar", "imagenet"] = "cifar", auxiliary: bool = False,
                 auxiliary_last_norm: bool = True, pool_norm: bool = False) -> None:
        check_size(genotype, channels, cells, classes, stem)
        check_sizes(image_channels=image_channels)
        super().__init__()
        self.genotype = genotype
        self.settings = {"channels": channels, "cells": cells, "classes": classes, "image_channels": image_channels,
                         "stem": stem, "auxiliary": auxiliary, "auxiliary_last_norm": auxiliary_last_norm,
                         "pool_norm": pool_norm}        # with the genotype, all that rebuilds this network
        is_imagenet = stem == "imagenet"
        self.stem = ImageNetStem(channels, image_channels) if is_imagenet else cifar_stem(channels, image_channels)
        self.cells = nn.ModuleList()
        widths = (channels,) * 2 if is_imagenet else (STEM_MULTIPLIER * channels,) * 2
        style, follows_reduction = LayerStyle(pool_norm=pool_norm), is_imagenet     # the stem halves, too
        for index in range(cells):
            is_reduction = index in reductions_at(cells)
            channels = channels * 2 if is_reduction else channels
            if is_reduction and genotype.reduce is None:
                self.cells.append(FixedReductionCell(widths, channels, follows_reduction, style))
                parts = FixedReductionCell.num_masks
            else:
                self.cells.append(Cell(genotype, is_reduction, widths, channels, follows_reduction, style))
                parts = len(self.cells[-1].concat)
            widths, follows_reduction = (widths[1], parts * channels), is_reduction
            if index == reductions_at(cells)[1] and auxiliary:
                self.auxiliary = AuxiliaryHead(widths[1], classes, 2 if is_imagenet else 3,
                                               auxiliary_last_norm or not is_imagenet)
        self.classifier = nn.Linear(widths[1], classes)

    def forward(self, x: Tensor, drop_path: DropPath | None = None, with_auxiliary: bool = False
                ) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B, classes) of images x (B, image_channels, H, W); with_auxiliary: and those of the auxiliary head.

        drop_path: for a forward pass in training. Raises ValueError for images that are too small.
        """
        self.check_image_size(x.shape[2], x.shape[3], with_auxiliary)
        drop = None if drop_path is None or drop_path.rate == 0 else self._drop(drop_path, x)
        older, newer = self._stem(x)
        for index, cell in enumerate(self.cells):
            older, newer = newer, Source(cell(older, newer, drop))
            if with_auxiliary and index == reductions_at(len(self.cells))[1]:
                auxiliary_logits = self.auxiliary(newer)
        logits = self.classifier(global_average(newer.value))
        return (logits, auxiliary_logits) if with_auxiliary else logits

    def _stem(self, x: Tensor) -> tuple[Source, Source]:
        if isinstance(self.stem, ImageNetStem):
            return self.stem(x)
        source = Source(self.stem(x))
        return source, source

    def _drop(self, drop_path: DropPath, x: Tensor) -> Drop:
        masks = iter(drop_path.masks(sum(cell.num_masks for cell in self.cells), like=x))
        return lambda part: part * next(masks)

    def check_image_size(self, height: int, width: int, with_auxiliary: bool) -> None:
        """Raise ValueError unless images of this size in pixels reach the classifier, and the auxiliary head if asked."""
        is_imagenet = self.settings["stem"] == "imagenet"
        check_image_size(height, width, 32 if is_imagenet else 4,
                         "the stem and two reduction cells" if is_imagenet else "two reduction cells")
        if with_auxiliary:
            if not self.settings["auxiliary"]:
                raise ValueError("this network has no auxiliary head; build it with auxiliary=True, or train it with an "
                                 "auxiliary_weight of 0")
            check_image_size(height, width, 193 if is_imagenet else 29, "the auxiliary head")


def check_size(genotype: NASNetGenotype, channels: int, cells: int, classes: int, stem: str) -> None:
    """Raise ValueError unless a network of this size can be built."""
    if stem not in ("cifar", "imagenet"):
        raise ValueError(f"stem must be cifar or imagenet, got {stem!r}")
    check_sizes(channels=channels, cells=cells, classes=classes)
    if channels < 2:
        raise ValueError(f"channels must be at least 2, since a factorised reduction makes them in two halves, "
                         f"got {channels}")
    if cells < 3:
        raise ValueError(f"a network needs at least 3 cells, two of them reductions, got {cells}")
    if classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, got {classes}")
    if genotype.reduce is None:
        check_groups(2 * channels)


NUM_INPUTS, NUM_STEPS = 2, 4


NODES = range(NUM_INPUTS, NUM_INPUTS + NUM_STEPS)                       # computation nodes


EDGES = tuple((src, dst) for dst in NODES for src in range(dst))        # rows of the alpha matrix


INCOMING = {node: tuple(row for row, (_, dst) in enumerate(EDGES) if dst == node) for node in NODES}


STEM_MULTIPLIER = 3


class SearchCell(nn.Module):
    """One cell with every candidate on every edge.

    Node i = sum over edges (j, i) of sum over active k of weights[e, k] * op_k(node j); the output is the concatenation
    of nodes 2..5. In a reduction cell the edges from nodes 0 and 1 halve the side.

    channels_in: of the outputs of cells k-2 and k-1. channels: C; the output has 4C.
    follows_reduction: whether cell k-1 is a reduction cell, so that the output of k-2 has twice its side.
    """

    def __init__(self, channels_in: tuple[int, int], channels: int, is_reduction: bool, follows_reduction: bool,
                 style: LayerStyle) -> None:
        super().__init__()
        self.is_reduction = is_reduction
        self.exact_zero = not style.track_running_stats     # then batch norm of a map of zeros is zero
        self.inputs = InputPair(channels_in, channels, follows_reduction, style)
        self.edges = nn.ModuleList(
            nn.ModuleList(self._candidate(name, channels, self._stride(src), style) for name in NASNET_CANDIDATES)
            for src, _ in EDGES)
        self.pooling = nn.ModuleList(       # by source: its edges share the pooled maps
            nn.ModuleDict({name: Pooling(name, channels, self._stride(src), style) for name in POOLING})
            for src in range(NODES.stop - 1))
        from ..engines.cpu.nasnet import fits
        self.fits = fits(self)

    def _stride(self, src: int) -> int:
        return 2 if self.is_reduction and src < NUM_INPUTS else 1

    @staticmethod
    def _candidate(name: str, channels: int, stride: int, style: LayerStyle) -> nn.Module:
        return Zero() if name == "none" or name in POOLING else nasnet_operation(name, channels, stride, style)

    def forward(self, older: Source, newer: Source, mixture: Mixture) -> Tensor:
        nodes = list(self.inputs(older, newer))
        zeros = self._zeros(nodes[0].value)
        for dst in NODES:
            total = sum_of(self._terms(nodes, dst, mixture))
            total = add_scalar(total, mixture.undrawn(INCOMING[dst]), like=zeros)
            nodes.append(Source(zeros if total is None and not self.exact_zero else total))
        return concatenate([zeros if node.value is None else node.value for node in nodes[NUM_INPUTS:]])

    def fused(self, older: Source, newer: Source, mixture: Mixture) -> Tensor | None:
        """As `forward`, by compiled kernels; None where they cannot compute this cell."""
        uses_batch = self.training or self.exact_zero       # statistics of the batch, not the running estimates
        if mixture.adds_undrawn or not (self.fits and uses_batch):
            return None
        if older.value.is_cuda and not self.exact_zero:         # the Triton kernels keep no running estimates
            return None
        from ..engines.cpu.nasnet import graph_of
        graph = graph_of(self, mixture, EDGES, NASNET_CANDIDATES)
        if graph is None:
            return None
        if older.value.is_cuda:
            from ..engines.cuda.nasnet import cell_on_gpu
            return cell_on_gpu(self, older.value, newer.value, mixture, graph)
        from ..engines.cpu.cell import run_graph
        weighs = mixture.weight(0, 0) is not None
        return run_graph(graph, (older.value, newer.value), mixture.weights if weighs else None)

    def _terms(self, nodes: Sequence[Source], dst: int, mixture: Mixture) -> Iterator[Tensor]:
        for row in INCOMING[dst]:
            src = EDGES[row][0]
            if nodes[src].value is None:
                continue
            for column in mixture.active[row]:
                name, weight = NASNET_CANDIDATES[column], mixture.weight(row, column)
                if name in POOLING:
                    yield scaled(nodes[src].shared(self.pooling[src][name]), weight)
                elif name != "none":
                    yield nodes[src].through(self.edges[row][column], weight)

    def _zeros(self, like: Tensor) -> Tensor:
        """A node that nothing reaches; one number in memory."""
        batch, channels, height, width = like.shape
        if self.is_reduction:
            height, width = -(-height // 2), -(-width // 2)
        return like.new_zeros(()).expand(batch, channels, height, width)


scaled = Identity()     # map, weight -> map * weight


class Supernet(nn.Module):
    """`forward(x, mixtures)` runs the mixtures under "normal" and "reduce" ("normal" alone if reduction is fixed).

    engine: "plain" or "fused" for every batch; None lets `kernels.chosen` say for each. Mixtures that stay on the device have
    kernels of their own (nasnet_on_device.py).
    """

    def __init__(self, space: object, classes: int, image_channels: int = 3) -> None:
        super().__init__()
        self.engine: str | None = None
        style, channels = space.style, space.channels
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, STEM_MULTIPLIER * channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM_MULTIPLIER * channels))
        self.cells = nn.ModuleList()
        channels_in, follows_reduction = (STEM_MULTIPLIER * channels,) * 2, False
        for index in range(space.cells):
            is_reduction = index in reductions_at(space.cells)
            channels = channels * 2 if is_reduction else channels
            if is_reduction and space.fixed_reduction:
                cell = FixedReductionCell(channels_in, channels, follows_reduction, style)
            else:
                cell = SearchCell(channels_in, channels, is_reduction, follows_reduction, style)
            self.cells.append(cell)
            channels_in, follows_reduction = (channels_in[1], NUM_STEPS * channels), is_reduction
        self.last_norm = nn.BatchNorm2d(channels_in[1]) if space.layout == "autodl" else None
        self.classifier = nn.Linear(channels_in[1], classes)

    def forward(self, x: Tensor, mixtures: Mapping[str, Mixture | DeviceMixture]) -> Tensor:
        """x (B, image_channels, H, W), H and W at least 4; logits (B, classes). Raises ValueError for smaller images."""
        check_image_size(x.shape[2], x.shape[3], smallest=4)
        older = newer = Source(self.stem(x))                                    # (B, 3C, H, W)
        is_fused = isinstance(mixtures["normal"], Mixture) and self._is_fused(x, older.value)
        for cell in self.cells:
            older, newer = newer, Source(self._run(cell, older, newer, mixtures, is_fused))
        features = newer.value                                                  # (B, 16C, H/4, W/4)
        if self.last_norm is not None:
            features = F.relu(self.last_norm(features))
        return self.classifier(global_average(features))

    @staticmethod
    def _run(cell: nn.Module, older: Source, newer: Source, mixtures: Mapping[str, Mixture | DeviceMixture], is_fused: bool
             ) -> Tensor:
        if isinstance(cell, FixedReductionCell):
            return cell(older, newer)
        mixture = mixtures["reduce" if cell.is_reduction else "normal"]
        if isinstance(mixture, DeviceMixture):
            from ..engines.cuda.nasnet import cell_on_device  # it builds on this module
            return cell_on_device(cell, older.value, newer.value, mixture)
        out = cell.fused(older, newer, mixture) if is_fused else None
        return cell(older, newer, mixture) if out is None else out

    def _is_fused(self, x: Tensor, first: Tensor) -> bool:
        """first: the stem's output (B, 3C, H, W). On a GPU only where it was asked for: there `search.engines` checked it."""
        if x.is_cuda:
            return self.engine == "fused" and first.dtype in (torch.float32, torch.bfloat16)
        from ..engines import choose as kernels
        halves = torch.is_autocast_enabled("cpu")       # then the weights are float32 all the same
        suits = x.device.type == "cpu" and first.dtype == (torch.bfloat16 if halves else torch.float32)
        return suits and (self.engine or kernels.chosen(first.numel() // STEM_MULTIPLIER).name) == "fused"


def reductions_at(cells: int) -> tuple[int, int]:
    """Which of `cells` cells are reduction cells: at a third and at two thirds (6 and 13 of 20; DARTS and GDAS codes)."""
    return cells // 3, 2 * cells // 3


def check_image_size(height: int, width: int, smallest: int, what: str = "two reduction cells") -> None:
    """Raise ValueError if an image is smaller than `smallest` pixels on a side."""
    if min(height, width) < smallest:
        raise ValueError(f"images of {height} x {width} pixels are too small for {what}; "
                         f"the smallest side is {smallest} pixels")
