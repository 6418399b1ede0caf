"""The cells of the image spaces by the functions of this folder: the numbers of the plain cells, faster and in less
memory.

`run_cell` stands in the place of a call of the cell. Work from which nothing reaches a cell's output is left out,
and so are convolutions of zeros, whose batch statistics make zeros of them. What is not in the tables runs as it is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...genotypes.notation import NASBENCH201_OPS
from ...relaxation import Mixture
from ...spaces import nasbench201, nasnet_cells
from ...spaces.operations import (
    AvgPool3x3,
    DilatedConv,
    FactorisedReduction,
    Identity,
    NodeValue,
    Pooling,
    ReLUConvBN,
    ReluFirst,
    SeparableConv,
)
from .convolutions import convolve, depthwise, pointwise_norm, pointwise_norm_depthwise, weighted_norm
from .maps import add_scalar, concatenate, even_and_odd, scaled, sum_of
from .pooling import average_pool, max_pool


def run_cell(cell: nn.Module, *inputs: Tensor, **options: Any) -> Tensor:
    """Returns cell(*inputs, **options); by a function of this module if there is one for its class."""
    return CELLS.get(type(cell), type(cell).__call__)(cell, *inputs, **options)


# Operations

class Node(NodeValue):
    """A node whose value passes through candidates by the functions of this module.

    is_zero: nothing but `none` leads here. The value is then None, or a map of zeros that carries a gradient (variant
    N).
    """

    def through(self, module: nn.Module, weight: Tensor | None = None) -> Tensor:
        """Returns weight * module(value), (B, C, H', W')."""
        operation = OPERATIONS.get(type(module))
        if operation is None:
            return scaled(self._run(module), weight)
        return operation(module, self.relu if isinstance(module, ReluFirst) else self.value, weight)

    def _run(self, module: nn.Module) -> Tensor:
        if type(module) is Pooling and module not in self._pooled:
            self._pooled[module] = _pooling(module, self.value)
        return super()._run(module)


def _separable(module: SeparableConv, x: Tensor, weight: Tensor | None) -> Tensor:
    first, second = module.first, module.second
    depth = pointwise_norm_depthwise(depthwise(first.depthwise, x), first.pointwise, first.norm, second.depthwise)
    return pointwise_norm(depth, second.pointwise, second.norm, weight)


def _reduction(module: FactorisedReduction, x: Tensor, weight: Tensor | None) -> Tensor:
    even, odd = even_and_odd(x)                                         # (B, C_in, H/2, W/2) each
    return weighted_norm(module.norm, concatenate([convolve(module.even, even), convolve(module.odd, odd)]), weight)


def _pooling(module: Pooling, x: Tensor) -> Tensor:
    pooled = max_pool(x, module.stride) if isinstance(module.pool, nn.MaxPool2d) else average_pool(x, module.stride)
    return pooled if module.norm is None else module.norm(pooled)


# Of a module, relu(x) for a `ReluFirst` else x, and the weight of its output.
OPERATIONS: dict[type[nn.Module], Callable[[Any, Tensor, Tensor | None], Tensor]] = {
    SeparableConv: _separable, FactorisedReduction: _reduction,
    ReLUConvBN: lambda module, x, weight: weighted_norm(module.norm, convolve(module.conv, x), weight),
    DilatedConv: lambda module, x, weight: pointwise_norm(
        depthwise(module.depthwise, x), module.pointwise, module.norm, weight),
    Identity: lambda _module, x, weight: scaled(x, weight),
    AvgPool3x3: lambda module, x, weight: average_pool(x, module.stride, weight)}


# NAS-Bench-201

def useful_nodes(active: Sequence[Sequence[int]]) -> set[int]:
    """Returns the nodes from which the output is reached over edges that run something other than `none`."""
    useful = {nasbench201.NUM_NODES - 1}
    for row in reversed(range(len(nasbench201.EDGES))):
        src, dst = nasbench201.EDGES[row]
        if dst in useful and any(NASBENCH201_OPS[column] != "none" for column in active[row]):
            useful.add(src)
    return useful


def nasbench201_search_cell(cell: nasbench201.SearchCell, x: Tensor, mixture: Mixture) -> Tensor:
    """Returns the cell's output, of the size of x. With running estimates, which see zeros, nothing is left out."""
    nodes, useful, skips = [Node(x)], useful_nodes(mixture.active), not cell.keeps_estimates
    for dst in range(1, nasbench201.NUM_NODES):
        running = [(nodes[nasbench201.EDGES[row][0]], row, column) for row in nasbench201.INCOMING[dst]
                   for column in mixture.active[row] if column != nasbench201.NONE]
        total = None
        if dst in useful or not skips:
            total = sum_of(
                node.through(cell.edges[row][column], mixture.weight(row, column)) for node, row, column in running
                if node.value is not None
                and not (skips and node.is_zero and isinstance(cell.edges[row][column], ReluFirst)))
            total = add_scalar(total, mixture.unsampled(nasbench201.INCOMING[dst]), like=x)
        if total is None and not skips:
            total = torch.zeros_like(x)
        nodes.append(Node(total, is_zero=all(node.is_zero for node, _, _ in running)))
    return torch.zeros_like(x) if total is None else total


def nasbench201_cell(cell: nasbench201.Cell, x: Tensor) -> Tensor:
    """Returns the output of a derived cell, of the size of x."""
    nodes = [Node(x)]
    for dst in range(1, nasbench201.NUM_NODES):
        total = sum_of(nodes[nasbench201.EDGES[row][0]].through(cell.edges[str(row)])
                       for row in nasbench201.INCOMING[dst] if str(row) in cell.edges)
        nodes.append(Node(torch.zeros_like(x) if total is None else total))
    return nodes[-1].value


# NASNet

def nasnet_search_cell(cell: nasnet_cells.SearchCell, older: Tensor, newer: Tensor, mixture: Mixture) -> Tensor:
    """Returns the cell's output (B, 4C, H, W)."""
    nodes = inputs_of(cell.inputs, older, newer)
    zeros = cell.zeros(nodes[0].value)
    for dst in nasnet_cells.NODES:
        running = [(nodes[nasnet_cells.EDGES[row][0]], row, column) for row in nasnet_cells.INCOMING[dst]
                   for column in mixture.active[row] if column != nasnet_cells.NONE]
        total = sum_of(node.through(cell.candidate(row, column), mixture.weight(row, column))
                       for node, row, column in running if node.value is not None)
        total = add_scalar(total, mixture.unsampled(nasnet_cells.INCOMING[dst]), like=zeros)
        nodes.append(Node(zeros if total is None and cell.keeps_estimates else total))
    return concatenate([zeros if node.value is None else node.value for node in nodes[nasnet_cells.NUM_INPUTS:]])


def nasnet_cell(cell: nasnet_cells.Cell, older: Tensor, newer: Tensor, drop: nasnet_cells.Drop | None = None) -> Tensor:
    """Returns the output of a derived cell, (B, concatenated nodes * C, H, W)."""
    nodes = inputs_of(cell.inputs, older, newer)
    for pair in cell.operands:
        first, second = (cell.operand(nodes[src], cell.operations[name], drop) for name, src in pair)
        nodes.append(Node(first + second))
    return concatenate([nodes[index].value for index in cell.concat])


def nasnet_fixed_reduction(cell: nasnet_cells.FixedReductionCell, older: Tensor, newer: Tensor,
                           drop: nasnet_cells.Drop | None = None) -> Tensor:
    """Returns the output of the fixed reduction cell, (B, 4C, H/2, W/2)."""
    nodes = inputs_of(cell.inputs, older, newer)
    parts = [_branch(branch, node.relu) for branch, node in zip(cell.branches, nodes, strict=True)]
    parts += [norm(max_pool(node.value, 2)) for norm, node in zip(cell.pool_norms, nodes, strict=True)]
    return concatenate(parts if drop is None else [drop(part) for part in parts])


def _branch(branch: nn.Sequential, x: Tensor) -> Tensor:
    for layer in branch:
        x = convolve(layer, x) if isinstance(layer, nn.Conv2d) else layer(x)
    return x


def inputs_of(pair: nasnet_cells.InputPair, older: Tensor, newer: Tensor) -> list[Node]:
    """Returns a cell's nodes 0 and 1."""
    nodes = Node(older), Node(newer)
    for node in nodes:
        node.relu = _relu_of_output(node.value)
    return [Node(nodes[0].through(pair.older)), Node(nodes[1].through(pair.newer))]


def _relu_of_output(x: Tensor) -> Tensor:
    """relu(x) of a cell's output, which the next two cells take: kept with the tensor, so that it is computed once."""
    if x.grad_fn is None or not torch.is_grad_enabled():
        return F.relu(x)
    kept = vars(x).get("kept_relu")
    if kept is None or kept[0] != x._version:
        kept = x.kept_relu = x._version, F.relu(x)
    return kept[1]


CELLS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nasbench201.SearchCell: nasbench201_search_cell, nasbench201.Cell: nasbench201_cell,
    nasnet_cells.SearchCell: nasnet_search_cell, nasnet_cells.Cell: nasnet_cell,
    nasnet_cells.FixedReductionCell: nasnet_fixed_reduction}
