"""The cells of the image spaces by the functions of this folder: the numbers of the plain cells, faster.

`run_cell` stands in the place of a call of the cell. Work from which nothing reaches the output is left out, and so
are convolutions of zeros, of which batch statistics make zeros. What is not in the tables runs as it is written.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...genotypes.notation import NASBENCH201_OPS
from ...relaxation import Mixture
from ...spaces import nasbench201, nasnet_cells
from ...spaces.operations import DilatedConv, FactorisedReduction, NodeValue, ReLUConvBN, SeparableConv
from ..parts import parts_of
from .convolutions import depthwise, weighted_norm
from .maps import add_scalar, concatenate, even_and_odd, sum_of


def run_cell(cell: nn.Module, *inputs: Tensor, **options: Any) -> Tensor:
    """Returns cell(*inputs, **options); by a function of this module, if its class has one and no part of it a hook."""
    run = CELLS.get(type(cell))
    if run is None or (not torch.compiler.is_compiling() and parts_of(cell).do_more()):
        return cell(*inputs, **options)
    return run(cell, *inputs, **options)


# Operations

class Node(NodeValue):
    """A node whose value passes through candidates by this module's functions; None where nothing but `none` leads."""

    def through(self, module: nn.Module, weight: Tensor | None = None) -> Tensor | None:
        operation = OPERATIONS.get(type(module))
        if operation is None or self.is_zero or not _is_as_built(module):
            return super().through(module, weight)
        return weighted_norm(*operation(module, self.relu), weight)


def _separable(module: SeparableConv, x: Tensor) -> tuple[nn.BatchNorm2d, Tensor]:
    norm, first = _dilated(module.first, x)
    return _dilated(module.second, F.relu_(norm(first)))


def _dilated(module: DilatedConv, x: Tensor) -> tuple[nn.BatchNorm2d, Tensor]:
    return module.norm, module.pointwise(depthwise(module.depthwise, x))


def _reduction(module: FactorisedReduction, x: Tensor) -> tuple[nn.BatchNorm2d, Tensor]:
    even, odd = even_and_odd(x)                                         # (B, C_in, H/2, W/2) each
    return module.norm, concatenate([module.even(even), module.odd(odd)])


# Of a module and relu(x), the last batch norm and what it normalises.
OPERATIONS: dict[type[nn.Module], Callable[[Any, Tensor], tuple[nn.BatchNorm2d, Tensor]]] = {
    SeparableConv: _separable, DilatedConv: _dilated, FactorisedReduction: _reduction,
    ReLUConvBN: lambda module, x: (module.norm, module.conv(x))}


def _is_as_built(module: nn.Module) -> bool:
    """Whether nobody put a layer of his own in the place of a norm or of a half."""
    if type(module) is SeparableConv:
        return all(type(half) is DilatedConv and _is_as_built(half) for half in (module.first, module.second))
    return type(module.norm) is nn.BatchNorm2d


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
            total = sum_of(node.through(cell.edges[row][column], mixture.weight(row, column))
                           for node, row, column in running if node.value is not None)
            total = add_scalar(total, mixture.unsampled(nasbench201.INCOMING[dst]), like=x)
        if total is None and not skips:
            total = torch.zeros_like(x)
        nodes.append(Node(total, is_zero=skips and all(node.is_zero for node, _, _ in running)))
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
        is_zero = not cell.keeps_estimates and all(node.is_zero for node, _, _ in running)
        nodes.append(Node(zeros if total is None and cell.keeps_estimates else total, is_zero))
    return concatenate([zeros if node.value is None else node.value for node in nodes[nasnet_cells.NUM_INPUTS:]])


def nasnet_cell(cell: nasnet_cells.Cell, older: Tensor, newer: Tensor, drop: nasnet_cells.Drop | None = None) -> Tensor:
    """Returns the output of a derived cell, (B, concatenated nodes * C, H, W)."""
    nodes = inputs_of(cell.inputs, older, newer)
    for pair in cell.operands:
        first, second = (cell.operand(nodes[src], cell.operations[name], drop) for name, src in pair)
        nodes.append(Node(first + second))
    return concatenate([nodes[index].value for index in cell.concat])


def inputs_of(pair: nasnet_cells.InputPair, older: Tensor, newer: Tensor) -> list[Node]:
    """Returns a cell's nodes 0 and 1."""
    return [Node(Node(older).through(pair.older)), Node(Node(newer).through(pair.newer))]


CELLS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nasbench201.SearchCell: nasbench201_search_cell, nasbench201.Cell: nasbench201_cell,
    nasnet_cells.SearchCell: nasnet_search_cell, nasnet_cells.Cell: nasnet_cell}
