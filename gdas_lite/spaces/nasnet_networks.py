"""The networks of the NASNet space: the supernet, and the network of a genotype for CIFAR-like images or for ImageNet.

Sources: DARTS paper, appendix A.2; GDAS paper, section 4.2; quark0/darts and AutoDL-Projects for the rest.
"""

from collections.abc import Mapping
from operator import call
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..genotypes.nasnet import NASNetGenotype
from ..relaxation import Mixture
from ..runs.schema import check, check_sizes
from .nasnet_cells import Cell, Drop, FixedReductionCell, SearchCell
from .operations import DropPath, LayerStyle

STEM_MULTIPLIER = 3


class Supernet(nn.Module):
    """`forward(x, mixtures)` runs the mixtures under "normal" and "reduce" ("normal" alone if reduction is fixed).

    run_cell: calls a cell; an engine puts its own function here.
    """

    run_cell = staticmethod(call)

    def __init__(self, space: object, classes: int, image_channels: int = 3) -> None:
        super().__init__()
        self.stem = conv_norm(image_channels, STEM_MULTIPLIER * space.channels)
        self.cells = nn.ModuleList()
        channels, widths, follows_reduction = space.channels, (STEM_MULTIPLIER * space.channels,) * 2, False
        for index in range(space.cells):
            is_reduction = index in reductions_at(space.cells)
            channels = channels * 2 if is_reduction else channels
            is_fixed = is_reduction and space.fixed_reduction
            self.cells.append(FixedReductionCell(widths, channels, follows_reduction, space.style) if is_fixed else
                              SearchCell(widths, channels, is_reduction, follows_reduction, space.style))
            widths, follows_reduction = (widths[1], self.cells[-1].parts * channels), is_reduction
        self.last_norm = nn.BatchNorm2d(widths[1]) if space.layout == "autodl" else None
        self.classifier = nn.Linear(widths[1], classes)

    def forward(self, x: Tensor, mixtures: Mapping[str, Mixture]) -> Tensor:
        """Returns the logits (B, classes) of images x (B, image_channels, H, W). Raises ValueError below 4 pixels."""
        check_image_size(*x.shape[-2:])
        older = newer = self.stem(x)                                            # (B, 3C, H, W)
        for cell in self.cells:
            options = {} if isinstance(cell, FixedReductionCell) else {"mixture": mixtures[cell.kind]}
            older, newer = newer, self.run_cell(cell, older, newer, **options)
        if self.last_norm is not None:
            newer = F.relu(self.last_norm(newer))
        return self.classifier(mean_of_pixels(newer))                           # from (B, 16C, H/4, W/4)


class AuxiliaryHead(nn.Module):
    """A second classifier on the output of the second reduction cell, for training only.

    ReLU, 5x5 average, 1x1 convolution to 128, batch norm, ReLU, 2x2 convolution to 768, batch norm, ReLU, linear.
    stride: of the average, 3 for CIFAR (8x8 maps), 2 for ImageNet (7x7 maps); both leave 2x2. last_norm: False leaves
    the second batch norm out, as the DARTS and original GDAS codes do for ImageNet (a slip they kept).
    """

    def __init__(self, channels: int, classes: int, stride: int, last_norm: bool) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride, padding=0, count_include_pad=False)
        self.narrow = nn.Sequential(nn.Conv2d(channels, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(inplace=True))
        norm = nn.BatchNorm2d(768) if last_norm else nn.Identity()
        self.wide = nn.Sequential(nn.Conv2d(128, 768, 2, bias=False), norm, nn.ReLU(inplace=True))
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (B, classes) of a map (B, channels, H, W); larger ones than 2x2 are averaged once more."""
        return self.classifier(self.wide(self.narrow(self.pool(F.relu(x)))).mean((2, 3)))


def mean_of_pixels(x: Tensor) -> Tensor:
    """Returns the average (B, C) of maps (B, C, H, W), with gradients in the maps' own order in memory.

    Those of `x.mean((2, 3))` are never channels_last, and what meets both orders is ten times as slow."""
    if x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)
    return x.mean((2, 3))


def conv_norm(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Returns a 3x3 convolution and batch norm, no ReLU; with 3C channels it is the stem for CIFAR."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out))


class ImageNetStem(nn.Module):
    """Three 3x3 convolutions of stride 2: 224 to 56 pixels (cell k-2's place) and to 28 (cell k-1's), C each."""

    def __init__(self, channels: int, image_channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*conv_norm(image_channels, channels // 2, 2), nn.ReLU(inplace=True),
                                   *conv_norm(channels // 2, channels, 2))
        self.second = conv_norm(channels, channels, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        older = self.first(x)                                           # (B, C, H/4, W/4)
        return older, self.second(F.relu(older))                        # (B, C, H/8, W/8)


class Network(nn.Module):
    """The network of a genotype.

    channels: C of the first cells, at least 2 (36 for CIFAR as published; ImageNet: GDAS 50, GDAS-FRC 52, DARTS 48);
        doubled by each reduction cell. With the fixed reduction cell (genotype.reduce None) divisible by 4.
    cells: 20 for CIFAR, 14 for ImageNet; reduction cells at cells // 3 and 2 * cells // 3.
    stem: "cifar" keeps the image's size, "imagenet" divides it by 8 before the first cell.
    auxiliary: whether it has the auxiliary head; auxiliary_last_norm: whether that has its second batch norm.
    pool_norm: batch norm without affine after pooling, as in the original GDAS code; others have it in searches alone.
    Raises ValueError for sizes that cannot be built.
    """

    run_cell = staticmethod(call)

    def __init__(self, genotype: NASNetGenotype, channels: int = 36, cells: int = 20, classes: int = 10,
                 image_channels: int = 3, stem: Literal["cifar", "imagenet"] = "cifar", auxiliary: bool = False,
                 auxiliary_last_norm: bool = True, pool_norm: bool = False) -> None:
        if stem not in ("cifar", "imagenet"):
            raise ValueError(f"stem must be cifar or imagenet, got {stem!r}")
        check_sizes(channels=channels, cells=cells, classes=classes, image_channels=image_channels)
        flags = {"auxiliary": auxiliary, "auxiliary_last_norm": auxiliary_last_norm, "pool_norm": pool_norm}
        check(flags, {str: bool}, "")
        super().__init__()
        self.genotype = genotype
        self.settings = {"channels": channels, "cells": cells, "classes": classes, "image_channels": image_channels,
                         "stem": stem} | flags          # with the genotype, all that rebuilds this network
        is_imagenet = stem == "imagenet"
        self.stem = ImageNetStem(channels, image_channels) if is_imagenet else \
            conv_norm(image_channels, STEM_MULTIPLIER * channels)
        self.cells = nn.ModuleList()
        widths = (channels if is_imagenet else STEM_MULTIPLIER * channels,) * 2     # of the last two outputs
        style, follows_reduction = LayerStyle(pool_norm=pool_norm), is_imagenet     # the stem halves, too
        for index in range(cells):
            is_reduction = index in reductions_at(cells)
            channels = channels * 2 if is_reduction else channels
            is_fixed = is_reduction and genotype.reduce is None
            self.cells.append(FixedReductionCell(widths, channels, follows_reduction, style) if is_fixed else
                              Cell(genotype, is_reduction, widths, channels, follows_reduction, style))
            widths, follows_reduction = (widths[1], self.cells[-1].parts * channels), is_reduction
            if index == reductions_at(cells)[1] and auxiliary:
                self.auxiliary = AuxiliaryHead(widths[1], classes, 2 if is_imagenet else 3,
                                               auxiliary_last_norm or not is_imagenet)
        self.classifier = nn.Linear(widths[1], classes)

    def forward(self, x: Tensor, drop_path: DropPath | None = None, with_auxiliary: bool = False
                ) -> Tensor | tuple[Tensor, Tensor]:
        """Returns logits (B, classes) of images x (B, image_channels, H, W); with_auxiliary: and the auxiliary head's.

        drop_path: for a forward pass in training. Raises ValueError for images that are too small.
        """
        self.check_image_size(*x.shape[-2:], with_auxiliary)
        drop = None if drop_path is None or drop_path.rate == 0 else self._drop(drop_path, x)
        older, newer = self.stem(x) if isinstance(self.stem, ImageNetStem) else (self.stem(x),) * 2
        for index, cell in enumerate(self.cells):
            older, newer = newer, self.run_cell(cell, older, newer, drop=drop)
            if with_auxiliary and index == reductions_at(len(self.cells))[1]:
                auxiliary_logits = self.auxiliary(newer)
        logits = self.classifier(newer.mean((2, 3)))
        return (logits, auxiliary_logits) if with_auxiliary else logits

    def _drop(self, drop_path: DropPath, x: Tensor) -> Drop:
        masks = iter(drop_path.masks(sum(cell.num_masks for cell in self.cells), like=x))
        return lambda part: part * next(masks)

    def check_image_size(self, height: int, width: int, with_auxiliary: bool) -> None:
        """Raises ValueError unless images of this size in pixels reach the classifier (and the auxiliary head)."""
        is_imagenet = self.settings["stem"] == "imagenet"
        check_image_size(height, width, 32 if is_imagenet else 4,
                         "the stem and two reduction cells" if is_imagenet else "two reduction cells")
        if with_auxiliary:
            if not self.settings["auxiliary"]:
                raise ValueError("this network has no auxiliary head; build it with auxiliary=True, or train it with "
                                 "an auxiliary_weight of 0")
            check_image_size(height, width, 193 if is_imagenet else 29, "the auxiliary head")


def reductions_at(cells: int) -> tuple[int, int]:
    """Returns which of `cells` cells are reduction cells: at a third and at two thirds (6 and 13 of 20)."""
    return cells // 3, 2 * cells // 3


def check_image_size(height: int, width: int, smallest: int = 4, what: str = "two reduction cells") -> None:
    """Raises ValueError if an image is smaller than `smallest` pixels on a side."""
    if min(height, width) < smallest:
        raise ValueError(f"images of {height} x {width} pixels are too small for {what}; "
                         f"the smallest side is {smallest} pixels")
