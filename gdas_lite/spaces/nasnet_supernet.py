"""The NASNet space's supernet: every candidate on every edge of normal and reduction cells, with shared weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import kernels
from ..dense import concatenate, global_average
from ..nasnet_primitives import NASNET_CANDIDATES, POOLING, LayerStyle, Pooling, nasnet_operation
from ..primitives import Identity
from ..relaxation import DeviceMixture, Mixture
from .fixed_reduction import FixedReductionCell, InputPair
from .nasbench201 import Zero, add_scalar, sum_of
from .nasnet_graph import fits, graph_of
from .source import Source

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
        graph = graph_of(self, mixture, EDGES, NASNET_CANDIDATES)
        if graph is None:
            return None
        if older.value.is_cuda:
            from .nasnet_sampled import cell_on_gpu
            return cell_on_gpu(self, older.value, newer.value, mixture, graph)
        from ..kernels.fused import run_graph
        return run_graph(graph, (older.value, newer.value), mixture.weights if mixture.weighs else None)

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
            from .nasnet_on_device import cell_on_device  # it builds on this module
            return cell_on_device(cell, older.value, newer.value, mixture)
        out = cell.fused(older, newer, mixture) if is_fused else None
        return cell(older, newer, mixture) if out is None else out

    def _is_fused(self, x: Tensor, first: Tensor) -> bool:
        """first: the stem's output (B, 3C, H, W). On a GPU only where it was asked for: there `search.engines` checked it."""
        if x.is_cuda:
            return self.engine == "fused" and first.dtype in (torch.float32, torch.bfloat16)
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
