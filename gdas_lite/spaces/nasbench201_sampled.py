"""A NAS-Bench-201 search cell under a mixture that stays on the device, by the Triton kernels of kernels/gpu.

The plain twin is `SearchCell.forward`. The convolutions' biases are left out: batch norm takes them away again. Without a GPU
PyTorch's operations do the same, for tests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from ..kernels.gpu import runs_on
from ..kernels.gpu.plain import Moments, plain_cell
from ..relaxation import DeviceMixture
from ..wellformed import NASBENCH201_OPS
from .nasbench201 import EDGES, SearchCell

CONVOLUTIONS = CONV1, CONV3 = NASBENCH201_OPS.index("nor_conv_1x1"), NASBENCH201_OPS.index("nor_conv_3x3")


def sampled_cell(cell: SearchCell, x: Tensor, mixture: DeviceMixture) -> Tensor:
    """The cell's output from x (B, C, H, W), with batch statistics. What was not drawn gets gradients of zeros."""
    kernels = [[cell.edges[row][column].conv.weight for row in range(len(EDGES))] for column in CONVOLUTIONS]
    out, moments = _function(x.device)(x, mixture.weights, mixture.index, *kernels, mixture.adds_undrawn)
    if not cell.exact_zero:
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
    from ..kernels.gpu.cell import search_cell  # Triton is there where it runs
    return search_cell
