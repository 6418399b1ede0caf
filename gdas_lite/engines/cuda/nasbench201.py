"""NAS-Bench-201 under mixtures that stay on the device: a search cell, and which weights of a supernet a draw gives a
gradient.

The cell runs by Triton kernels; without a GPU PyTorch's operations do the same, for tests. The convolutions' biases are
left out: batch norm takes them away again.

SGD needs to know which weights learn: what was never drawn is left alone, and so is, with the recipe's undrawn="skip",
what was not drawn now. Weights that learn together form a group: 0 always, 1 where the output depends on a cell's
input, then a group for each convolution on each edge (of all cells). The groups of all 15,625 cells are a table that a
device can look up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor, nn

from ...genotypes.notation import NASBENCH201_OPS
from ...spaces.nasbench201 import EDGES, INCOMING, NONE, NUM_NODES, SearchCell, Supernet
from .draws import DeviceMixture
from .nasbench201_kernels.eager import Moments, plain_cell
from .triton_device import runs_on

CONVOLUTIONS = CONV1, CONV3 = NASBENCH201_OPS.index("nor_conv_1x1"), NASBENCH201_OPS.index("nor_conv_3x3")
ALWAYS, REACHES_INPUT, FIRST = 0, 1, 2
GROUPS = FIRST + len(EDGES) * len(CONVOLUTIONS)


def group_of(name: str) -> int:
    """Returns the group of a supernet's parameter, by its name in `named_parameters`."""
    place = name.split(".")
    if place[0] == "stages":            # stages.STAGE.CELL.edges.ROW.COLUMN.conv.weight
        return FIRST + int(place[4]) * len(CONVOLUTIONS) + CONVOLUTIONS.index(int(place[5]))
    return REACHES_INPUT if place[0] in ("stem", "reductions") else ALWAYS


def learning(index: Tensor, keeps_estimates: bool = False) -> Tensor:
    """Returns whether each group learns, (cells, GROUPS) bool, where `index` (cells, edges) was drawn.

    A convolution learns if the output is reached from it and its input is not zeros for certain, or the cell keeps
    estimates.
    """
    count = len(index)
    useful = [torch.zeros(count, dtype=torch.bool)
              for _ in range(NUM_NODES - 1)] + [torch.ones(count, dtype=torch.bool)]
    for row in reversed(range(len(EDGES))):
        src, dst = EDGES[row]
        useful[src] = useful[src] | useful[dst] & (index[:, row] != NONE)
    is_zero = [torch.zeros(count, dtype=torch.bool)]
    for dst in range(1, NUM_NODES):
        is_zero.append(torch.stack([(index[:, row] == NONE) | is_zero[EDGES[row][0]] for row in INCOMING[dst]]).all(0))
    convolutions = [(index[:, row] == column) & useful[dst] & (~is_zero[src] | keeps_estimates)
                    for row, (src, dst) in enumerate(EDGES) for column in CONVOLUTIONS]
    return torch.stack([torch.ones(count, dtype=torch.bool), useful[0], *convolutions], 1)


class GradientMask:
    """Of a supernet: `learning` of all 15,625 cells, looked up on the device.

    groups: of each parameter, in their order, the number of its group. params_in_use: what a pass on the device uses of
    them, not the biases in front of a batch norm.
    """

    def __init__(self, supernet: Supernet) -> None:
        named = dict(supernet.named_parameters())
        self.groups = [group_of(name) for name in named]
        self.params_in_use: list[nn.Parameter] = [
            param for name, param in named.items() if not (name.startswith("stages.") and name.endswith("conv.bias"))]
        device = self.params_in_use[0].device
        self._table = _all_cells(supernet.stages[0][0].keeps_estimates).to(device)
        self._places = len(NASBENCH201_OPS) ** torch.arange(len(EDGES) - 1, -1, -1).to(device)

    def of(self, mixtures: Mapping[str, DeviceMixture]) -> Tensor | None:
        """Returns whether each group learns, (groups,) bool; None: all do, since all candidates run."""
        index = mixtures["cell"].index
        return None if index is None else self._table.index_select(0, (index * self._places).sum().reshape(1))[0]


@lru_cache(maxsize=2)
def _all_cells(keeps_estimates: bool) -> Tensor:
    return learning(torch.tensor(list(product(range(len(NASBENCH201_OPS)), repeat=len(EDGES)))), keeps_estimates)


def sampled_cell(cell: SearchCell, x: Tensor, mixture: DeviceMixture) -> Tensor:
    """Returns the cell's output from x (B, C, H, W), with batch statistics. What was not drawn gets gradients of zeros.

    Raises ValueError where the cell would normalise with running estimates.
    """
    if cell.keeps_estimates and not cell.training:
        raise ValueError("a draw on the device runs with the batch's statistics only; in evaluation mode give a space "
                         "with track_running_stats=True a Mixture")
    kernels = [[cell.edges[row][column].conv.weight for row in range(len(EDGES))] for column in CONVOLUTIONS]
    out, moments = _function(x.device)(x, mixture.weights, mixture.index, *kernels, mixture.adds_unsampled)
    if cell.keeps_estimates:
        with torch.no_grad():
            _keep_estimates(cell, moments, mixture.index, x.numel() // x.shape[1])
    return out


def _keep_estimates(cell: SearchCell, moments: Moments, index: Tensor | None, pixels: int) -> None:
    """Running mean and variance of the convolutions that ran, as nn.BatchNorm2d keeps them."""
    convolutions = [cell.edges[row][column] for row in range(len(EDGES)) for column in CONVOLUTIONS]
    norms, slots = [one.norm for one in convolutions], slice(CONV1 - 1, CONV3) if index is None else slice(None)
    dtype = norms[0].running_mean.dtype
    mean, variance = (one[:, slots].expand(-1, 2, -1).flatten(0, 1).to(dtype) for one in moments)       # (12, C)
    if index is None:
        ran = torch.ones(len(norms), dtype=torch.bool, device=mean.device)
    else:
        ran = torch.stack([index == column for column in CONVOLUTIONS], 1).flatten()
    found = [mean + torch.stack([one.conv.bias for one in convolutions]), variance * (pixels / (pixels - 1))]
    share = (ran[:, None] * norms[0].momentum).to(dtype).repeat(1, mean.shape[1])
    running = [norm.running_mean for norm in norms] + [norm.running_var for norm in norms]
    torch._foreach_lerp_(running, [one for rows in found for one in rows.unbind()], [*share.unbind()] * 2)
    torch._foreach_add_([norm.num_batches_tracked for norm in norms], list(ran.long().unbind()))


@lru_cache(maxsize=8)
def _function(device: torch.device) -> Callable[..., tuple[Tensor, Moments]]:
    if not runs_on(device):
        return plain_cell
    from .nasbench201_kernels.cell import search_cell  # Triton is there where it runs
    return search_cell
