"""The plain twin of the Triton kernels, by PyTorch's operations: as they do, it never asks the host what was drawn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5          # PyTorch's batch norm


def plain_node(sources: Sequence[Tensor], index: Tensor, weights: Tensor, pointwise: Sequence[Tensor],
               spatial: Sequence[Tensor]) -> Tensor:
    """As node.sampled_node. Every candidate is computed and the drawn one taken, so the others get zeros as gradients."""
    total = torch.zeros_like(sources[0])
    for edge, x in enumerate(sources):
        rectified = F.relu(x)
        outputs = torch.stack([
            torch.zeros_like(x), x, _normalised(F.conv2d(rectified, pointwise[edge])),
            _normalised(F.conv2d(rectified, spatial[edge], padding=1)),
            F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)])
        total = total + weights[edge] * outputs.index_select(0, index[edge:edge + 1])[0]
    return total


def _normalised(z: Tensor) -> Tensor:
    return F.batch_norm(z, None, None, training=True, eps=EPSILON)
