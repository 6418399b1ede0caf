"""The plain twin of the Triton kernels, by PyTorch's operations: as they do, it never asks the host what was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5          # PyTorch's batch norm
NODES = 4


class Moments(NamedTuple):
    """What batch norm found: mean and (biased) variance over a batch's pixels, (6, candidates that run on an edge, C);
    without meaning where a candidate has no batch norm. A convolution's bias is not in the mean."""

    mean: Tensor
    variance: Tensor


def plain_cell(x: Tensor, weights: Tensor, index: Tensor | None, pointwise: Sequence[Tensor], spatial: Sequence[Tensor],
               adds_unsampled: bool = False) -> tuple[Tensor, Moments]:
    """Returns what `cell.search_cell` does. Every candidate is computed; those not drawn get gradients of zeros."""
    nodes, means, variances = [x], [], []
    for dst in range(1, NODES):
        total = torch.zeros_like(x)
        for src in range(dst):
            edge = dst * (dst - 1) // 2 + src
            outputs, mean, variance = _candidates(nodes[src], pointwise[edge], spatial[edge])
            runs = slice(1, None) if index is None else index[edge:edge + 1]
            weight = weights[edge][runs] if index is None else weights[edge].gather(0, runs)
            outputs = outputs[runs] if index is None else outputs.index_select(0, runs)
            total = total + (weight[:, None, None, None, None] * outputs).sum(0)
            if adds_unsampled and index is not None:
                unsampled = weights[edge].sum() - weight.sum()
                total = total + (unsampled - unsampled.detach())        # 0 in value: only the gradient differs
            means.append(mean[runs] if index is None else mean.index_select(0, runs))
            variances.append(variance[runs] if index is None else variance.index_select(0, runs))
        nodes.append(total)
    return nodes[-1], Moments(torch.stack(means), torch.stack(variances))


def _candidates(x: Tensor, pointwise: Tensor, spatial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The five outputs (5, B, C, H, W), and mean and variance (5, C) of what batch norm saw."""
    rectified = F.relu(x)
    narrow, wide = F.conv2d(rectified, pointwise), F.conv2d(rectified, spatial, padding=1)
    pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    outputs = torch.stack([torch.zeros_like(x), x, _normalised(narrow), _normalised(wide), pooled])
    with torch.no_grad():
        found = [torch.var_mean(z.detach(), (0, 2, 3), correction=0) for z in (narrow, wide)]
        (variance1, mean1), (variance3, mean3) = found
        nothing = torch.zeros_like(mean1)
        return (outputs, torch.stack([nothing, nothing, mean1, mean3, nothing]),
                torch.stack([nothing, nothing, variance1, variance3, nothing]))


def _normalised(z: Tensor) -> Tensor:
    return F.batch_norm(z, None, None, training=True, eps=EPSILON)
