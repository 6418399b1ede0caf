"""NAS-Bench-201 under mixtures that stay on the device: a search cell, and which weights of a supernet learn by a draw.

The cell runs by Triton kernels, which want channels in eights; else, and without a GPU, by PyTorch's operations, which
never ask the host what was drawn either. The convolutions' biases are left out: batch norm takes them away again.

SGD needs to know which weights learn: what was never drawn is left alone, and so is, with the recipe's undrawn="skip",
what was not drawn now. Weights that learn together form a group: 0 always, 1 where the output depends on a cell's
input, then one for each convolution on each edge (of all cells). Those of all 15,625 cells are a table on the device.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...genotypes.notation import NASBENCH201_OPS
from ...spaces.nasbench201 import EDGES, INCOMING, NONE, NUM_NODES, SearchCell, Supernet
from ..cpu.terms import term_of
from ..graph import LANES, Graph, Scalar, Term
from .cell_kernels.cell import planned, runs_on
from .cell_kernels.node_plan import SampledEdge
from .draws import DeviceMixture

Moments = Sequence[tuple[Tensor, Tensor]]   # mean and (biased) variance (C,) of each convolution's map without its bias

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

    A convolution learns if it reaches the output and its input is not always zeros, or the cell keeps estimates.
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
    run = kernel_cell if runs_on(x.device) and x.shape[1] % LANES == 0 else plain_cell
    out, moments = run(cell, x, mixture)
    if cell.keeps_estimates:
        with torch.no_grad():
            _keep_estimates(cell, moments, mixture.index, x.numel() // x.shape[1])
    return out


def kernel_cell(cell: SearchCell, x: Tensor, mixture: DeviceMixture) -> tuple[Tensor, Moments]:
    """Returns the output, and the moments in the order of edges and CONVOLUTIONS, by Triton kernels."""
    weights, index, moments = mixture.weights, mixture.index, []
    adds_unsampled = mixture.adds_unsampled and index is not None
    if index is not None:
        drawn = weights.gather(1, index[:, None])[:, 0]
        weights = torch.cat([drawn, weights.sum(1) - drawn]) if adds_unsampled else drawn
    run = planned(cell, (index is None, adds_unsampled), lambda: graph_of(cell, index is not None, adds_unsampled))
    return run((x,), weights, index, moments=moments), moments


def graph_of(cell: SearchCell, is_drawn: bool, adds_unsampled: bool = False) -> Graph:
    """Returns the cell with all candidates on every edge, of which `index` will say the drawn one if one is. Weights of
    drawn candidates stand at their edge's place, those of what was not drawn behind them."""
    sums: list[tuple[Term | SampledEdge, ...]] = []
    for dst in range(1, NUM_NODES):
        terms: list[Term | SampledEdge] = []
        for row in INCOMING[dst]:
            modules, src = list(cell.edges[row])[NONE + 1:], EDGES[row][0]
            if is_drawn:
                terms.append(SampledEdge(src, (None, *(term_of(module, src) for module in modules)), row, row))
            else:
                terms += [term_of(module, src, row * len(NASBENCH201_OPS) + column)
                          for column, module in enumerate(modules, start=NONE + 1)]
        sums.append((*terms, *(Scalar(len(EDGES) + row) for row in INCOMING[dst] if adds_unsampled)))
    return Graph(1, tuple(sums), (NUM_NODES - 1,))


def plain_cell(cell: SearchCell, x: Tensor, mixture: DeviceMixture) -> tuple[Tensor, Moments]:
    """As `kernel_cell`, by PyTorch's operations: every candidate is computed, and which one was drawn is data."""
    nodes, moments, index = [x], [], mixture.index
    for dst in range(1, NUM_NODES):
        total = torch.zeros_like(x)
        for row in INCOMING[dst]:
            weights, runs = mixture.weights[row], slice(1, None) if index is None else index[row:row + 1]
            outputs, found = _candidates(nodes[EDGES[row][0]], *(cell.edges[row][column].conv.weight
                                                                 for column in CONVOLUTIONS))
            outputs, drawn = (one[runs] if index is None else one.index_select(0, runs) for one in (outputs, weights))
            total = total + (drawn[:, None, None, None, None] * outputs).sum(0)
            if mixture.adds_unsampled and index is not None:
                unsampled = weights.sum() - drawn.sum()
                total = total + (unsampled - unsampled.detach())        # 0 in value: only the gradient differs
            moments += found
        nodes.append(total)
    return nodes[-1], moments


def _candidates(x: Tensor, pointwise: Tensor, spatial: Tensor) -> tuple[Tensor, Moments]:
    """The five outputs (5, B, C, H, W), and what the two batch norms found."""
    rectified = F.relu(x)
    maps = F.conv2d(rectified, pointwise), F.conv2d(rectified, spatial, padding=1)
    pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    outputs = [torch.zeros_like(x), x, *(F.batch_norm(z, None, None, training=True) for z in maps), pooled]
    found = [torch.var_mean(z.detach(), (0, 2, 3), correction=0) for z in maps]
    return torch.stack(outputs), [(mean, variance) for variance, mean in found]


def _keep_estimates(cell: SearchCell, moments: Moments, index: Tensor | None, pixels: int) -> None:
    """Running mean and variance of the convolutions that ran, as nn.BatchNorm2d keeps them.

    The moments of the others may be anything, NaN too: they are chosen away, a factor of 0 would not do.
    """
    convolutions = [cell.edges[row][column] for row in range(len(EDGES)) for column in CONVOLUTIONS]
    norms = [one.norm for one in convolutions]
    found = [mean + one.conv.bias for one, (mean, _) in zip(convolutions, moments, strict=True)]
    found += [variance * (pixels / (pixels - 1)) for _, variance in moments]
    running = [norm.running_mean for norm in norms] + [norm.running_var for norm in norms]
    before = torch.stack(running)
    after = before.lerp(torch.stack(found).to(before.dtype), norms[0].momentum)
    ran = torch.ones_like(after[:len(norms), 0], dtype=torch.bool)
    if index is not None:
        ran = torch.stack([index == column for column in CONVOLUTIONS], 1).flatten()
        after = torch.where(ran.repeat(2)[:, None], after, before)
    torch._foreach_copy_(running, [*after.unbind()])
    torch._foreach_add_([norm.num_batches_tracked for norm in norms], list(ran.long().unbind()))
