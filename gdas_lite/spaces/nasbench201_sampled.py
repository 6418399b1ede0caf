"""A NAS-Bench-201 search cell under a hard mixture by the Triton kernels of kernels/gpu: what was drawn is data on the device.

The plain twin is `SearchCell.forward`. Batch norm takes the batch's statistics (space.track_running_stats is False).
"""

from __future__ import annotations

from torch import Tensor, nn

from ..kernels.gpu.node import sampled_node
from ..relaxation import Mixture
from ..wellformed import NASBENCH201_OPS
from .nasbench201 import EDGES, INCOMING, NUM_NODES, OUTPUT_NODE, AddZero
from .nasbench201_plan import Plan

CONV1, CONV3 = NASBENCH201_OPS.index("nor_conv_1x1"), NASBENCH201_OPS.index("nor_conv_3x3")


def sampled_cell(edges: nn.ModuleList, x: Tensor, mixture: Mixture, plan: Plan) -> Tensor:
    """The cell's output from x (B, C, H, W). edges: of a `SearchCell`. plan: of the mixture."""
    weights = mixture.weights.to(x.device)                              # (edges, candidates), one-hot in value
    index = weights.detach().argmax(-1)
    drawn = weights.gather(1, index[:, None])[:, 0]                     # (edges,), 1 in value
    learning = {(run.row, run.column) for runs in plan.runs for run in runs}
    nodes = [x if plan.reaches_input else x.detach()]
    for dst in range(1, NUM_NODES):
        rows = INCOMING[dst]
        place = slice(rows[0], rows[-1] + 1)                            # the edges into a node follow one another
        kernels = [[_kernel(edges[row][column], (row, column) in learning) for row in rows] for column in (CONV1, CONV3)]
        node = sampled_node([nodes[EDGES[row][0]] for row in rows], index[place], drawn[place], *kernels)
        if mixture.adds_undrawn and weights.requires_grad:              # variant N; the sum is 0 in value
            node = AddZero.apply(node, weights[place].sum() - drawn[place].sum())
        nodes.append(node)
    return nodes[OUTPUT_NODE]


def _kernel(candidate: nn.Module, learns: bool) -> Tensor:
    """A convolution's weight; without gradient where it did not run, so that SGD knows it as not drawn."""
    weight = candidate.conv.weight
    return weight if learns else weight.detach()
