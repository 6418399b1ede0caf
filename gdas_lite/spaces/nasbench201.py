"""The NAS-Bench-201 space: four nodes, six edges, five candidates; 15,625 cells.

Source: NAS-Bench-201 paper (ICLR 2020), section 2; AutoDL-Projects' networks for what the paper leaves out (the batch
norm and ReLU before pooling, the shortcut without batch norm).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import call
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..genotypes.labels import CellLabels
from ..genotypes.nasbench201 import NASBench201Genotype
from ..genotypes.notation import NASBENCH201_OPS, check_name
from ..relaxation import Mixture, fixed_mixture, uniform_mixture
from ..runs.schema import check_fields, check_has, check_sizes
from .operations import LayerStyle, NodeValue, add_terms, nasbench201_operation

EDGES = NASBench201Genotype.EDGES
NUM_NODES = 4
NONE = NASBENCH201_OPS.index("none")
INCOMING = tuple(tuple(row for row, (_, dst) in enumerate(EDGES) if dst == node) for node in range(NUM_NODES))    # rows


class SearchCell(nn.Module):
    """Node i = sum over edges (j, i) of sum over active k of weights[e, k] * op_k(node j); maps are (B, C, H, W)."""

    def __init__(self, channels: int, track_running_stats: bool) -> None:
        super().__init__()
        self.keeps_estimates = track_running_stats
        style = LayerStyle(affine=False, bias=True, track_running_stats=track_running_stats)      # as AutoDL-Projects
        self.edges = nn.ModuleList(
            nn.ModuleList(nasbench201_operation(name, channels, style) for name in NASBENCH201_OPS) for _ in EDGES)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        nodes, zeros = [NodeValue(x)], torch.zeros_like(x)
        for dst in range(1, NUM_NODES):
            running = [(nodes[EDGES[row][0]], row, k)
                       for row in INCOMING[dst] for k in mixture.active[row] if k != NONE]
            terms = [node.through(self.edges[row][k], mixture.weight(row, k)) for node, row, k in running]
            is_zero = not self.keeps_estimates and all(node.is_zero for node, _, _ in running)
            nodes.append(NodeValue(add_terms(terms, mixture.unsampled(INCOMING[dst]), zeros), is_zero))
        return nodes[-1].value


def check_image_size(height: int, width: int) -> None:
    """Raises ValueError unless images of this size in pixels halve twice: in a residual block the pooled shortcut
    rounds an odd side down and the convolution rounds it up, so the two could not be added."""
    if height % 4 or width % 4:
        below = height // 4 * 4
        raise ValueError(f"images of {height} x {width} pixels do not halve twice; networks of the space nasbench201 "
                         f"need sides that are multiples of 4, such as {max(4, below)} or {below + 4}")


class ResidualBlock(nn.Module):
    """Halves the image, doubles the channels: two ReLU-conv3x3-BN, plus average pooling and a 1x1 convolution.

    Batch norm is affine and keeps estimates, in the supernet too.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv_a = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False)
        self.norm_a = nn.BatchNorm2d(channels_out)
        self.conv_b = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm_b = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:                                     # (B, C, H, W)
        out = self.norm_a(self.conv_a(F.relu(x)))                               # (B, 2C, H/2, W/2)
        out = self.norm_b(self.conv_b(F.relu(out)))
        return out + self.shortcut(F.avg_pool2d(x, 2, stride=2))


class Skeleton(nn.Module):
    """The macro structure shared by supernet and network: stem, three stages of cells, two residual blocks, head.

    cell: makes the cell of a number of channels. run_cell: calls a cell; an engine puts its own function here.
    """

    check_image_size = staticmethod(check_image_size)
    run_cell = staticmethod(call)

    def __init__(self, cell: Callable[[int], nn.Module], channels: int, cells_per_stage: int, classes: int,
                 image_channels: int) -> None:
        check_sizes(image_channels=image_channels)
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.stages = nn.ModuleList(
            nn.ModuleList(cell(channels * factor) for _ in range(cells_per_stage)) for factor in (1, 2, 4))
        self.reductions = nn.ModuleList(ResidualBlock(channels * factor, channels * factor * 2) for factor in (1, 2))
        self.last_norm = nn.BatchNorm2d(channels * 4)
        self.classifier = nn.Linear(channels * 4, classes)

    def features(self, x: Tensor, **options: Any) -> Tensor:
        """Returns the logits (B, classes) of images (B, image_channels, H, W). options: of every cell."""
        check_image_size(*x.shape[-2:])
        x = self.stem(x)                                                        # (B, C, H, W)
        for index, stage in enumerate(self.stages):
            if index:
                x = self.reductions[index - 1](x)
            for cell in stage:
                x = self.run_cell(cell, x, **options)
        x = F.relu(self.last_norm(x)).mean((2, 3))                              # (B, 4C)
        return self.classifier(x)


class Supernet(Skeleton):
    """All 15,625 cells in one network with shared weights; `forward(x, mixtures)` runs the mixture under "cell"."""

    def __init__(self, space: NASBench201, classes: int, image_channels: int = 3) -> None:
        super().__init__(lambda channels: SearchCell(channels, space.track_running_stats), space.channels,
                         space.cells_per_stage, classes, image_channels)

    def forward(self, x: Tensor, mixtures: Mapping[str, Mixture]) -> Tensor:
        """Returns the logits (B, classes). x: (B, image_channels, H, W). mixtures: {"cell": ...}."""
        return self.features(x, mixture=mixtures["cell"])


class Cell(nn.Module):
    """A derived cell: one operation an edge, `none` left out; maps (B, C, H, W). Every other operation runs, as in the
    reference, even on a node that nothing reaches: behind an affine batch norm such a map is not zero."""

    def __init__(self, genotype: NASBench201Genotype, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict({str(row): nasbench201_operation(op, channels, LayerStyle())
                                    for row, op in enumerate(genotype.ops) if op != "none"})

    def forward(self, x: Tensor) -> Tensor:
        nodes, zeros = [NodeValue(x)], torch.zeros_like(x)
        for dst in range(1, NUM_NODES):
            rows = [row for row in INCOMING[dst] if str(row) in self.edges]
            terms = [nodes[EDGES[row][0]].through(self.edges[str(row)]) for row in rows]
            nodes.append(NodeValue(add_terms(terms, None, zeros)))
        return nodes[-1].value


class Network(Skeleton):
    """The network built from a genotype: `forward(x)` gives logits (B, classes). C=16, N=5 as published.

    Raises ValueError for sizes that cannot be built.
    """

    def __init__(self, genotype: NASBench201Genotype, channels: int = 16, cells_per_stage: int = 5, classes: int = 10,
                 image_channels: int = 3) -> None:
        check_size(channels, cells_per_stage, classes)
        super().__init__(lambda channels: Cell(genotype, channels), channels, cells_per_stage, classes, image_channels)
        self.genotype = genotype
        self.settings = {"channels": channels, "cells_per_stage": cells_per_stage, "classes": classes,
                         "image_channels": image_channels}

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


def check_size(channels: int, cells_per_stage: int, classes: int) -> None:
    """Raises ValueError unless a network of this size can be built."""
    check_sizes(channels=channels, cells_per_stage=cells_per_stage, classes=classes)
    if channels % 2:
        raise ValueError(f"channels must be an even number, got {channels}")


def _without(exclude: tuple[str, ...]) -> tuple[str, ...]:
    """The candidates that are left. Raises ValueError for names that are none, twice the same, or too many."""
    if not isinstance(exclude, tuple):
        raise ValueError(f"exclude must be names of candidates, such as ('none',), got {exclude!r}")
    for name in exclude:
        check_name(name, NASBENCH201_OPS, "exclude")
    left = tuple(op for op in NASBENCH201_OPS if op not in exclude)
    if len(set(exclude)) < len(exclude) or len(left) < 2:
        raise ValueError(f"exclude must name different candidates and leave at least two, got {exclude!r}")
    return left


@dataclass(frozen=True)
class NASBench201:
    """The space as a value: sizes of its supernet, and how alphas, mixtures and genotypes translate into each other.

    channels: C of the first stage (16 as published), even. cells_per_stage: N (5 as published).
    track_running_stats: whether batch norm in the *search cells* keeps running estimates (AutoDL-Projects' argument
        "BN"). False: batch statistics in evaluation too; the authors found that better with shared weights. Stem,
        residual blocks and the last batch norm always keep estimates.
    exclude: candidates that the search may not choose, such as ("none",): alpha has no column for them. At least two
        must be left. Cells that have them can still be scored.
    Raises ValueError for sizes that cannot be built, or other names to exclude.
    """

    channels: int = 16
    cells_per_stage: int = 5
    track_running_stats: bool = False
    exclude: tuple[str, ...] = field(default=(), metadata={"kept": "if set"})

    check_image_size = staticmethod(check_image_size)

    name: ClassVar[str] = "nasbench201"
    network_class: ClassVar[type[nn.Module]] = Network
    labels: ClassVar[dict[str, CellLabels]] = {"cell": CellLabels(EDGES, NASBENCH201_OPS)}
    gdas_variant: ClassVar[str] = "N"       # what AutoDL-Projects uses in this space
    data_kind: ClassVar[str] = "images"     # or "text"
    default_recipe: ClassVar[dict[str, Any]] = {}       # changes of SearchRecipe's values, which are this space's GDAS

    def __post_init__(self) -> None:
        check_size(self.channels, self.cells_per_stage, classes=2)
        if isinstance(self.exclude, list):
            object.__setattr__(self, "exclude", tuple(self.exclude))
        left = _without(self.exclude)
        check_fields(self)
        if self.exclude:
            object.__setattr__(self, "labels", {"cell": CellLabels(EDGES, left)})

    @property
    def excluded_columns(self) -> tuple[int, ...]:
        """Columns of a mixture that alpha lacks; mixtures and supernet have all candidates."""
        return tuple(column for column, op in enumerate(NASBENCH201_OPS) if op in self.exclude)

    def supernet(self, classes: int, image_channels: int = 3) -> Supernet:
        """Returns the network with all candidates. Raises ValueError for fewer than two classes."""
        check_size(self.channels, self.cells_per_stage, classes)
        return Supernet(self, classes, image_channels)

    def derive(self, alphas: Mapping[str, Tensor | np.ndarray]) -> NASBench201Genotype:
        """Returns the argmax of every row, `none` included (AutoDL-Projects); ties go to the first column. Raises
        ValueError for alphas of another shape or with NaN."""
        labels = self.labels["cell"]
        return NASBench201Genotype(tuple(labels.candidates[best] for best in labels.alpha(alphas, "cell").argmax(-1)))

    def mixtures(self, genotype: NASBench201Genotype) -> dict[str, Mixture]:
        """Returns a genotype as mixtures of the supernet (one-shot evaluation). Raises ValueError for another cell."""
        check_has(genotype, "ops", "genotype", "a cell of the space nasbench201")
        choices = [NASBENCH201_OPS.index(op) for op in genotype.ops]
        return {"cell": fixed_mixture(choices, len(NASBENCH201_OPS))}

    def random_mixtures(self, generator: torch.Generator) -> dict[str, Mixture]:
        """Returns a uniformly random cell: each edge any of the candidates, `none` included, without those excluded."""
        return {"cell": uniform_mixture(self.labels["cell"].shape, generator).around(self.excluded_columns)}

    def genotype_of(self, mixtures: Mapping[str, Mixture]) -> NASBench201Genotype:
        """Returns the cell that hard mixtures run: the inverse of `mixtures`."""
        return NASBench201Genotype(tuple(NASBENCH201_OPS[columns[0]] for columns in mixtures["cell"].active))
