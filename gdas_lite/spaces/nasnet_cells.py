"""The cells of the NASNet space: the search cell, a derived cell, and the fixed reduction cell of GDAS-FRC.

All have two inputs, the outputs of cells k-2 and k-1 as maps (B, channels_in, H, W), which they bring to their channels
C, and put out `parts` times as many. follows_reduction: whether cell k-1 reduces; k-2's output then has twice its side.

Sources: DARTS paper, sections 2.1 and 3.1; GDAS paper, section 3.3 and figure 4; AutoDL-Projects' `GDAS_Reduction_Cell`
for the groups, which the figure does not show.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..genotypes.nasnet import NASNetGenotype
from ..relaxation import Mixture
from .operations import (
    NASNET_CANDIDATES,
    POOLING,
    FactorisedReduction,
    Identity,
    LayerStyle,
    NodeValue,
    Pooling,
    ReLUConvBN,
    Zero,
    add_terms,
    nasnet_operation,
)

Drop = Callable[[Tensor], Tensor]

NUM_INPUTS, NUM_STEPS = 2, 4
NODES = range(NUM_INPUTS, NUM_INPUTS + NUM_STEPS)                       # computation nodes
EDGES = tuple((src, dst) for dst in NODES for src in range(dst))        # rows of the alpha matrix
INCOMING = {node: tuple(row for row, (_, dst) in enumerate(EDGES) if dst == node) for node in NODES}
NONE = NASNET_CANDIDATES.index("none")
GROUPS = 8


def stride_of(is_reduction: bool, src: int) -> int:
    """Returns the stride of the edges that leave node `src`: those of the inputs halve a reduction cell's side."""
    return 2 if is_reduction and src < NUM_INPUTS else 1


class InputPair(nn.Module):
    """Brings a cell's two inputs to its channels: ReLU, 1x1 convolution, batch norm; the older one by a factorised
    reduction where the cell before was a reduction."""

    def __init__(self, channels_in: tuple[int, int], channels: int, follows_reduction: bool, style: LayerStyle) -> None:
        super().__init__()
        older, newer = channels_in
        self.older = FactorisedReduction(older, channels, style) if follows_reduction else \
            ReLUConvBN(older, channels, 1, style)
        self.newer = ReLUConvBN(newer, channels, 1, style)

    def forward(self, older: Tensor, newer: Tensor) -> tuple[Tensor, Tensor]:
        return self.older(older), self.newer(newer)                     # (B, C, H, W) each


class SearchCell(nn.Module):
    """Node i = sum over edges (j, i) of sum over active k of weights[e, k] * op_k(node j).

    The output is the concatenation of nodes 2..5, (B, 4C, H, W).
    """

    parts = NUM_STEPS

    def __init__(self, channels_in: tuple[int, int], channels: int, is_reduction: bool, follows_reduction: bool,
                 style: LayerStyle) -> None:
        super().__init__()
        self.is_reduction, self.kind = is_reduction, "reduce" if is_reduction else "normal"
        self.keeps_estimates = style.track_running_stats
        self.inputs = InputPair(channels_in, channels, follows_reduction, style)

        def candidate(name: str, src: int) -> nn.Module:
            stands_elsewhere = name == "none" or name in POOLING
            return Zero() if stands_elsewhere else nasnet_operation(name, channels, stride_of(is_reduction, src), style)

        self.edges = nn.ModuleList(
            nn.ModuleList(candidate(name, src) for name in NASNET_CANDIDATES) for src, _ in EDGES)
        self.pooling = nn.ModuleList(       # by source: its edges share the pooled maps
            nn.ModuleDict({name: Pooling(name, channels, stride_of(is_reduction, src), style) for name in POOLING})
            for src in range(NODES.stop - 1))

    def candidate(self, row: int, column: int) -> nn.Module:
        """Returns the module of a candidate on an edge."""
        name = NASNET_CANDIDATES[column]
        return self.pooling[EDGES[row][0]][name] if name in POOLING else self.edges[row][column]

    def forward(self, older: Tensor, newer: Tensor, mixture: Mixture) -> Tensor:
        nodes = [NodeValue(x) for x in self.inputs(older, newer)]
        zeros = self.zeros(nodes[0].value)
        for dst in NODES:
            running = [(nodes[EDGES[row][0]], row, k)
                       for row in INCOMING[dst] for k in mixture.active[row] if k != NONE]
            terms = [node.through(self.candidate(row, k), mixture.weight(row, k)) for node, row, k in running]
            is_zero = not self.keeps_estimates and all(node.is_zero for node, _, _ in running)
            nodes.append(NodeValue(add_terms(terms, mixture.unsampled(INCOMING[dst]), zeros), is_zero))
        return torch.cat([node.value for node in nodes[NUM_INPUTS:]], 1)

    def zeros(self, like: Tensor) -> Tensor:
        """Returns what a node is that nothing reaches, of one number in memory. like: node 0."""
        height, width = (-(-side // stride_of(self.is_reduction, 0)) for side in like.shape[2:])
        return like.new_zeros(()).expand(*like.shape[:2], height, width)


class Cell(nn.Module):
    """A derived cell: node i is the sum of its two operations; the output concatenates the genotype's nodes.

    operands: of each node, of its two operations the name among `operations` and the node that it is applied to.
    """

    def __init__(self, genotype: NASNetGenotype, is_reduction: bool, channels_in: tuple[int, int], channels: int,
                 follows_reduction: bool, style: LayerStyle) -> None:
        super().__init__()
        nodes = genotype.reduce if is_reduction else genotype.normal
        self.concat = genotype.reduce_concat if is_reduction else genotype.normal_concat
        self.parts = len(self.concat)
        self.inputs = InputPair(channels_in, channels, follows_reduction, style)
        self.operations = nn.ModuleDict()       # pooling that stands twice on one input is one module
        self.operands: list[list[tuple[str, int]]] = []
        for node, pairs in enumerate(nodes):
            self.operands.append([])
            for index, (operation, src) in enumerate(pairs, start=2 * node):
                name = f"{operation} from {src}" if operation in POOLING else f"{index} {operation}"
                if name not in self.operations:
                    self.operations[name] = nasnet_operation(operation, channels, stride_of(is_reduction, src), style)
                self.operands[-1].append((name, src))
        self.num_masks = sum(
            not isinstance(self.operations[name], Identity) for pair in self.operands for name, _ in pair)

    def forward(self, older: Tensor, newer: Tensor, drop: Drop | None = None) -> Tensor:
        """Returns the cell's output. drop: drop path, applied to every operand that is no identity."""
        nodes = [NodeValue(x) for x in self.inputs(older, newer)]
        for pair in self.operands:
            first, second = (self.operand(nodes[src], self.operations[name], drop) for name, src in pair)
            nodes.append(NodeValue(first + second))
        return torch.cat([nodes[index].value for index in self.concat], 1)

    @staticmethod
    def operand(node: NodeValue, operation: nn.Module, drop: Drop | None) -> Tensor:
        """Returns what an operation and drop path make of a node."""
        out = node.through(operation)
        return out if drop is None or isinstance(operation, Identity) else drop(out)


class FixedReductionCell(nn.Module):
    """Output [branch(s0), branch'(s1), norm(max_pool(s0)), norm(max_pool(s1))], 4C channels, half the side.

    A branch: ReLU, 1x3 and 3x1 convolution with stride 2 along their long sides and 8 groups (nothing between them),
    batch norm, ReLU, 1x1 convolution, batch norm. C = channels, divisible by 8.
    Raises ValueError if it is not.
    """

    parts = num_masks = 4

    def __init__(self, channels_in: tuple[int, int], channels: int, follows_reduction: bool, style: LayerStyle) -> None:
        super().__init__()
        check_groups(channels)
        self.inputs = InputPair(channels_in, channels, follows_reduction, style)
        self.branches = nn.ModuleList(_branch(channels, style) for _ in range(2))
        self.pool_norms = nn.ModuleList(style.norm(channels) for _ in range(2))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, older: Tensor, newer: Tensor, drop: Drop | None = None) -> Tensor:
        """Returns the cell's output. drop: drop path, applied to each of the four parts."""
        nodes = [NodeValue(x) for x in self.inputs(older, newer)]
        parts = [branch(node.relu) for branch, node in zip(self.branches, nodes, strict=True)]
        parts += [norm(self.pool(node.value)) for norm, node in zip(self.pool_norms, nodes, strict=True)]
        return torch.cat(parts if drop is None else [drop(part) for part in parts], 1)


def _branch(channels: int, style: LayerStyle) -> nn.Sequential:
    """From the rectified input on. The first bias counts at the border: between it and the norm is a convolution."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, (1, 3), (1, 2), (0, 1), groups=GROUPS, bias=style.bias),
        style.conv(channels, channels, (3, 1), stride=(2, 1), padding=(1, 0), groups=GROUPS),
        style.norm(channels), nn.ReLU(inplace=True), style.conv(channels, channels), style.norm(channels))


def check_groups(channels: int) -> None:
    """Raises ValueError unless a fixed reduction cell can have this number of channels."""
    if channels % GROUPS:
        raise ValueError(
            f"the fixed reduction cell splits its channels into {GROUPS} groups, but a reduction cell here has "
            f"{channels}; take first-cell channels divisible by 4 (the paper has 52 where the searched cell has 50)")
