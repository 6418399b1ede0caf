"""The NAS-Bench-201 space: four nodes, six edges, five candidates; 15,625 cells.

Source: NAS-Bench-201 paper (ICLR 2020), section 2; AutoDL-Projects' networks for what the paper leaves out (the batch
norm and ReLU before pooling, the shortcut without batch norm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..genotype import NASBench201Genotype
from ..labels import CellLabels
from ..primitives import nasbench201_candidate
from ..relaxation import DeviceMixture, Mixture, fixed_mixture, uniform_mixture
from ..wellformed import NASBENCH201_OPS

EDGES = NASBench201Genotype.EDGES
NUM_NODES = 4
OUTPUT_NODE = NUM_NODES - 1
INCOMING = tuple(tuple(row for row, (_, dst) in enumerate(EDGES) if dst == node) for node in range(NUM_NODES))


class SearchCell(nn.Module):
    """One cell with every candidate on every edge; all maps are (B, C, H, W).

    Node i = sum over edges (j, i) of sum over active k of weights[e, k] * op_k(node j).
    """

    def __init__(self, channels: int, track_running_stats: bool) -> None:
        super().__init__()
        # With batch statistics a convolution of zeros is normalised to zeros, in value and gradient, so it is left out.
        # Computing it would do harm: batch norm blows rounding errors up 300 times, layer after layer.
        self.exact_zero = not track_running_stats
        self.edges = nn.ModuleList(
            nn.ModuleList(
                nasbench201_candidate(name, channels, affine=False, track_running_stats=track_running_stats) or Zero()
                for name in NASBENCH201_OPS)
            for _ in EDGES)

    def forward(self, x: Tensor, mixture: Mixture, x_is_zero: bool = False) -> Tensor:
        """x_is_zero: the caller knows that x holds zeros only."""
        nodes = [Node(x, x_is_zero)]
        useful = useful_nodes(mixture.active)
        for dst in range(1, NUM_NODES):
            total = self._sum(nodes, dst, mixture) if dst in useful or not self.exact_zero else None
            if total is None and (dst == OUTPUT_NODE or not self.exact_zero):
                total = torch.zeros_like(x)
            is_zero = all(nodes[src].is_zero for src, _, _ in self._running(dst, mixture))
            nodes.append(Node(total, is_zero))
        return nodes[OUTPUT_NODE].value

    def _sum(self, nodes: Sequence[Node], dst: int, mixture: Mixture) -> Tensor | None:
        total = sum_of(self._terms(nodes, dst, mixture))
        return add_scalar(total, mixture.undrawn(INCOMING[dst]), like=nodes[0].value)

    def _terms(self, nodes: Sequence[Node], dst: int, mixture: Mixture) -> Iterator[Tensor]:
        for src, row, column in self._running(dst, mixture):
            source, candidate = nodes[src], self.edges[row][column]
            is_dead = source.is_zero and self.exact_zero and candidate.takes_rectified
            if source.value is not None and not is_dead:
                yield source.through(candidate, mixture.weight(row, column))

    def _running(self, dst: int, mixture: Mixture) -> Iterator[tuple[int, int, int]]:
        """(source node, row, column) of what runs on the edges into `dst`, `none` left out."""
        for row in INCOMING[dst]:
            for column in mixture.active[row]:
                if not isinstance(self.edges[row][column], Zero):
                    yield EDGES[row][0], row, column


class Zero(nn.Module):
    """`none`: keeps the columns of alpha and of the module list aligned; it is never called."""


class Node:
    """A node's value and its ReLU, computed once for all candidates that start with one.

    is_zero: nothing but `none` leads here. The value is then None, or a map of zeros that carries a gradient (variant N).
    """

    def __init__(self, value: Tensor | None, is_zero: bool = False) -> None:
        self.value, self.is_zero = value, is_zero
        self._rectified: Tensor | None = None

    def through(self, candidate: nn.Module, weight: Tensor | None = None) -> Tensor:
        """weight * candidate(value), (B, C, H, W)."""
        if not candidate.takes_rectified:
            return candidate(self.value, weight)
        if self._rectified is None:
            self._rectified = F.relu(self.value)
        return candidate.from_rectified(self._rectified, weight)


def sum_of(terms: Iterable[Tensor]) -> Tensor | None:
    """Sum of a node's terms, None if there are none. In place from the third on: the first sum is a fresh map, but a
    term may be another node's own value (skip_connect)."""
    total, is_fresh = None, False
    for term in terms:
        if total is None:
            total = term
        elif is_fresh:
            total.add_(term)
        else:
            total, is_fresh = total + term, True
    return total


def add_scalar(total: Tensor | None, scalar: Tensor | None, like: Tensor) -> Tensor | None:
    """Variant N: add a scalar of value 0 for its gradient's sake; a node that nothing reaches becomes a map of zeros."""
    if scalar is None:
        return total
    return AddZero.apply(torch.zeros_like(like) if total is None else total, scalar)


class AddZero(torch.autograd.Function):
    """`x + scalar` where the scalar's value is known to be 0: x forward, <G, 1> to the scalar backward."""

    @staticmethod
    def forward(ctx, x: Tensor, scalar: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad.sum()


def useful_nodes(active: Sequence[Sequence[int]]) -> set[int]:
    """Nodes from which the output is reached over edges that run something other than `none`."""
    useful = {OUTPUT_NODE}
    for row in reversed(range(len(EDGES))):
        src, dst = EDGES[row]
        if dst in useful and any(NASBENCH201_OPS[column] != "none" for column in active[row]):
            useful.add(src)
    return useful


class ResidualBlock(nn.Module):
    """Halves the image, doubles the channels: two ReLU-conv3x3-BN beside average pooling and a 1x1 convolution, added.

    The shortcut has no batch norm. Always affine and tracked, in the supernet too.
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
    """The macro structure shared by supernet and network: stem, three stages of cells, two residual blocks, head."""

    def __init__(self, cells: Iterator[nn.Module], channels: int, cells_per_stage: int, classes: int,
                 image_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.stages = nn.ModuleList(
            nn.ModuleList(next(cells) for _ in range(cells_per_stage)) for _ in range(3))
        self.reductions = nn.ModuleList(ResidualBlock(channels * factor, channels * factor * 2) for factor in (1, 2))
        self.last_norm = nn.BatchNorm2d(channels * 4)
        self.classifier = nn.Linear(channels * 4, classes)

    def features(self, x: Tensor, run: Callable[[nn.Module, Tensor, int], Tensor]) -> Tensor:
        """Images (B, image_channels, H, W) to logits (B, classes). run: (cell, its input, its place in the stage)."""
        x = self.stem(x)                                                        # (B, C, H, W)
        for index, stage in enumerate(self.stages):
            if index:
                x = self.reductions[index - 1](x)
            for place, cell in enumerate(stage):
                x = run(cell, x, place)
        x = F.relu(self.last_norm(x)).mean((2, 3))                              # (B, 4C)
        return self.classifier(x)


def _widths(channels: int, cells_per_stage: int) -> list[int]:
    return [channels * factor for factor in (1, 2, 4) for _ in range(cells_per_stage)]


class Supernet(Skeleton):
    """All 15,625 cells in one network with shared weights; `forward(x, mixtures)` runs the mixture under "cell".

    engine: "fused" runs the cells by the compiled kernels of kernels/ (nasbench201_graph.py), on the CPU.
    """

    engine = "plain"

    def __init__(self, space: NASBench201, classes: int, image_channels: int = 3) -> None:
        cells = (SearchCell(width, space.track_running_stats)
                 for width in _widths(space.channels, space.cells_per_stage))
        super().__init__(cells, space.channels, space.cells_per_stage, classes, image_channels)
        self.keeps_estimates = space.track_running_stats

    def forward(self, x: Tensor, mixtures: Mapping[str, Mixture | DeviceMixture]) -> Tensor:
        """x (B, image_channels, H, W), mixtures {"cell": ...}; logits (B, classes).

        Raises ValueError for a mixture on the device where the cells would normalise with running estimates.
        """
        mixture, uses_batch = mixtures["cell"], self.training or not self.keeps_estimates
        if isinstance(mixture, DeviceMixture):
            if not uses_batch:
                raise ValueError("a draw on the device runs with the batch's statistics only; in evaluation mode give a space "
                                 "with track_running_stats=True a Mixture")
            from .nasbench201_sampled import sampled_cell  # it builds on this module
            return self.features(x, lambda cell, x, _place: sampled_cell(cell, x, mixture))
        if self.engine == "fused" and uses_batch:
            from .nasbench201_graph import fused_cell
            from .nasbench201_plan import Plan
            plan = Plan(mixture)
            return self.features(x, lambda cell, x, _place: fused_cell(cell, x, mixture, plan))
        gives_zero = 0 not in useful_nodes(mixture.active)      # nothing leads from a cell's input to its output
        return self.features(x, lambda cell, x, place: cell(x, mixture, x_is_zero=gives_zero and place > 0))


class Cell(nn.Module):
    """A derived cell: one operation an edge, `none` left out. Every other operation runs, as in the reference, even on a
    node that nothing reaches: behind an affine batch norm such a map is not zero."""

    def __init__(self, genotype: NASBench201Genotype, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict({
            str(row): nasbench201_candidate(op, channels, affine=True, track_running_stats=True)
            for row, op in enumerate(genotype.ops) if op != "none"})

    def forward(self, x: Tensor) -> Tensor:
        nodes = [Node(x)]
        for dst in range(1, NUM_NODES):
            total = sum_of(nodes[EDGES[row][0]].through(self.edges[str(row)])
                           for row in INCOMING[dst] if str(row) in self.edges)
            nodes.append(Node(torch.zeros_like(x) if total is None else total))
        return nodes[OUTPUT_NODE].value


class Network(Skeleton):
    """The network built from a genotype: `forward(x)` gives logits (B, classes). C=16, N=5 as published."""

    def __init__(self, genotype: NASBench201Genotype, channels: int = 16, cells_per_stage: int = 5, classes: int = 10,
                 image_channels: int = 3) -> None:
        check_size(channels, cells_per_stage, classes)
        cells = (Cell(genotype, width) for width in _widths(channels, cells_per_stage))
        super().__init__(cells, channels, cells_per_stage, classes, image_channels)
        self.genotype = genotype
        self.settings = {"channels": channels, "cells_per_stage": cells_per_stage, "classes": classes,
                         "image_channels": image_channels}      # with the genotype, all that rebuilds this network

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x, lambda cell, x, _place: cell(x))


def check_size(channels: int, cells_per_stage: int, classes: int) -> None:
    """Raise ValueError unless a network of this size can be built."""
    if channels < 2 or channels % 2:
        raise ValueError(f"channels must be an even number >= 2, got {channels}")
    if cells_per_stage < 1:
        raise ValueError(f"cells_per_stage must be at least 1, got {cells_per_stage}")
    if classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, got {classes}")


@dataclass(frozen=True)
class NASBench201:
    """The space as a value: sizes of its supernet, and how alphas, mixtures and genotypes translate into each other.

    channels: C of the first stage (16 as published), even. cells_per_stage: N (5 as published).
    track_running_stats: whether batch norm in the *search cells* keeps running estimates (AutoDL-Projects' argument "BN").
        False: batch statistics in evaluation too; the authors found that better with shared weights. Stem, residual
        blocks and the last batch norm always keep estimates.
    """

    channels: int = 16
    cells_per_stage: int = 5
    track_running_stats: bool = False

    name: ClassVar[str] = "nasbench201"
    labels: ClassVar[dict[str, CellLabels]] = {"cell": CellLabels(EDGES, NASBENCH201_OPS)}
    gdas_variant: ClassVar[str] = "N"       # what AutoDL-Projects uses in this space

    def __post_init__(self) -> None:
        check_size(self.channels, self.cells_per_stage, classes=2)

    def supernet(self, classes: int, image_channels: int = 3) -> Supernet:
        """The network with all candidates. Raises ValueError for fewer than two classes."""
        check_size(self.channels, self.cells_per_stage, classes)
        return Supernet(self, classes, image_channels)

    def network(self, genotype: NASBench201Genotype, classes: int = 10, image_channels: int = 3) -> Network:
        """The derived network of this space's size."""
        return Network(genotype, self.channels, self.cells_per_stage, classes, image_channels)

    def derive(self, alphas: Mapping[str, Tensor | np.ndarray]) -> NASBench201Genotype:
        """argmax of every row, `none` included (AutoDL-Projects); ties go to the first column."""
        columns = np.asarray(torch.as_tensor(alphas["cell"]).detach().cpu()).argmax(-1)
        return NASBench201Genotype(tuple(NASBENCH201_OPS[column] for column in columns))

    def mixtures(self, genotype: NASBench201Genotype) -> dict[str, Mixture]:
        """A genotype as mixtures of the supernet (one-shot evaluation)."""
        choices = [NASBENCH201_OPS.index(op) for op in genotype.ops]
        return {"cell": fixed_mixture(choices, len(NASBENCH201_OPS))}

    def random_mixtures(self, generator: torch.Generator) -> dict[str, Mixture]:
        """A uniformly random cell: each edge any of the five candidates, `none` included."""
        return {kind: uniform_mixture(labels.shape, generator) for kind, labels in self.labels.items()}

    def genotype_of(self, mixtures: Mapping[str, Mixture]) -> NASBench201Genotype:
        """The cell that hard mixtures run: the inverse of `mixtures`."""
        return NASBench201Genotype(tuple(NASBENCH201_OPS[columns[0]] for columns in mixtures["cell"].active))
