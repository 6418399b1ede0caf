"""A NAS-Bench-201 search cell under a hard mixture whose draw is data on the device, by the Triton kernels of kernels/gpu.

The plain twin is `SearchCell.forward`. Batch norm takes the batch's statistics (space.track_running_stats is False). The
convolutions' biases are left out: batch norm takes them away again. Without a GPU PyTorch's operations do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

from ..kernels.gpu import runs_on
from ..kernels.gpu.plain import plain_node
from ..relaxation import DeviceMixture
from ..wellformed import NASBENCH201_OPS
from .nasbench201 import EDGES, INCOMING, NUM_NODES, OUTPUT_NODE, AddZero

CONV1, CONV3 = NASBENCH201_OPS.index("nor_conv_1x1"), NASBENCH201_OPS.index("nor_conv_3x3")


def sampled_cell(edges: nn.ModuleList, x: Tensor, mixture: DeviceMixture) -> Tensor:
    """The cell's output from x (B, C, H, W). edges: of a `SearchCell`. What was not drawn gets gradients of zeros."""
    weights, index = mixture.weights, mixture.index
    drawn = weights.gather(1, index[:, None])[:, 0]                     # (edges,), 1 in value
    node, nodes = _node(x.device), [x]
    for dst in range(1, NUM_NODES):
        rows = INCOMING[dst]
        place = slice(rows[0], rows[-1] + 1)                            # the edges into a node follow one another
        kernels = [[edges[row][column].conv.weight for row in rows] for column in (CONV1, CONV3)]
        value = node([nodes[EDGES[row][0]] for row in rows], index[place], drawn[place], *kernels)
        if mixture.adds_undrawn and weights.requires_grad:              # variant N; the sum is 0 in value
            value = AddZero.apply(value, weights[place].sum() - drawn[place].sum())
        nodes.append(value)
    return nodes[OUTPUT_NODE]


@lru_cache(maxsize=8)
def _node(device: torch.device) -> Callable[..., Tensor]:
    if not runs_on(device):
        return plain_node
    from ..kernels.gpu.node import sampled_node  # Triton is there where it runs
    return sampled_node
