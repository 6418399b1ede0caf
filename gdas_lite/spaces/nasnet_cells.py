"""The reduction cell of GDAS-FRC: fixed, so that only the normal cell is searched.

Source: GDAS paper, section 3.3 and figure 4; AutoDL-Projects' `GDAS_Reduction_Cell` for the groups, which the figure does
not show.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..engines.layers.maps import concatenate
from ..engines.layers.pooling import MaxPool3x3
from .operations import FactorisedReduction, LayerStyle, Source

GROUPS = 8


class InputPair(nn.Module):
    """Brings a cell's two inputs to its channels: ReLU, 1x1 convolution, batch norm; the older one by a factorised
    reduction where the cell before was a reduction, since it has twice the side then.

    channels_in: of the outputs of cells k-2 and k-1.
    """

    def __init__(self, channels_in: tuple[int, int], channels: int, follows_reduction: bool, style: LayerStyle) -> None:
        super().__init__()
        older, newer = channels_in
        self.older = FactorisedReduction(older, channels, style) if follows_reduction \
            else style.relu_conv_norm(older, channels)
        self.newer = style.relu_conv_norm(newer, channels)

    def forward(self, older: Source, newer: Source) -> tuple[Source, Source]:
        return Source(older.through(self.older)), Source(newer.through(self.newer))


class FixedReductionCell(nn.Module):
    """Output [branch(s0), branch'(s1), norm(max_pool(s0)), norm(max_pool(s1))], 4C channels, half the side.

    A branch: ReLU, 1x3 and 3x1 convolution with stride 2 along their long sides and 8 groups (nothing between them), batch
    norm, ReLU, 1x1 convolution, batch norm. C = channels, divisible by 8.
    Raises ValueError if it is not.
    """

    num_masks = 4

    def __init__(self, channels_in: tuple[int, int], channels: int, follows_reduction: bool, style: LayerStyle) -> None:
        super().__init__()
        check_groups(channels)
        self.inputs = InputPair(channels_in, channels, follows_reduction, style)
        self.branches = nn.ModuleList(_branch(channels, style) for _ in range(2))
        self.pool_norms = nn.ModuleList(style.norm(channels) for _ in range(2))
        self.pool = MaxPool3x3(stride=2)

    def forward(self, older: Source, newer: Source, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """drop: drop path, applied to each of the four parts."""
        sources = self.inputs(older, newer)
        parts = [branch(source.rectified) for branch, source in zip(self.branches, sources, strict=True)]
        parts += [norm(self.pool(source.value)) for norm, source in zip(self.pool_norms, sources, strict=True)]
        return concatenate(parts if drop is None else [drop(part) for part in parts])


def _branch(channels: int, style: LayerStyle) -> nn.Sequential:
    """From the rectified input on."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, (1, 3), (1, 2), (0, 1), groups=GROUPS, bias=style.bias),
        nn.Conv2d(channels, channels, (3, 1), (2, 1), (1, 0), groups=GROUPS, bias=style.bias),
        style.norm(channels), nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 1, bias=style.bias), style.norm(channels))


def check_groups(channels: int) -> None:
    """Raise ValueError unless a fixed reduction cell can have this number of channels."""
    if channels % GROUPS:
        raise ValueError(
            f"the fixed reduction cell splits its channels into {GROUPS} groups, but a reduction cell here has {channels}; "
            f"take first-cell channels divisible by 4 (the paper has 52 where the searched cell has 50)")
