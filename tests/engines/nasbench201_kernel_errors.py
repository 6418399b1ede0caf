"""The Triton kernels of a NAS-Bench-201 search cell beside PyTorch's operations in double precision, on the device at
hand."""

from __future__ import annotations

import torch
from torch import Tensor

from gdas_lite.engines.cuda.cell_kernels.cell import CellOnGPU
from gdas_lite.engines.cuda.nasbench201 import CONV1, CONVOLUTIONS, graph_of
from gdas_lite.engines.cuda.selftest import relative
from gdas_lite.engines.graph import Graph
from gdas_lite.spaces.nasbench201 import SearchCell
from tests.engines import nasnet_kernel_errors as of_graphs

Size = tuple[int, int, int, int]


def errors(draw: list[int] | None, shape: Size, device: torch.device, dtype: torch.dtype = torch.float32,
           adds_unsampled: bool = True, seed: int = 0, level: float = 0.3) -> dict[str, float]:
    """Relative errors of each result of a cell with random inputs. draw: (6,) columns, None for all candidates. level:
    the mean of the input, whose deviation is 1.

    In bfloat16 PyTorch's operations round where the kernels do, so that what is seen is theirs.
    """
    graph, x, weights, index = _example(draw, shape, device, dtype, adds_unsampled and draw is not None, seed, level)
    ours: list[tuple[Tensor, Tensor]] = []
    wanted: list[tuple[Tensor, Tensor]] = []
    CellOnGPU(graph)([x], weights, index, moments=ours)
    parameters = {weight: weight.detach().double() for weight in of_graphs.weights_in(graph)}
    of_graphs.plain_graph(graph, [x.double()], weights.double(), index, parameters,
                          None if dtype == torch.float32 else dtype, wanted)
    if draw is not None:        # kernels have a place for each convolution of an edge
        ours = [ours[2 * row + column - CONV1] for row, column in enumerate(draw) if column in CONVOLUTIONS]
    found = {name: relative(*(torch.cat([pair[place] for pair in pairs]) for pairs in (ours, wanted)))
             for place, name in enumerate(("mean", "variance"))}
    return of_graphs.errors(graph, [x], weights, index) | found


def beside_autocast(draw: list[int] | None, shape: Size, device: torch.device) -> dict[str, tuple[float, float]]:
    """See `nasnet_kernel_errors.beside_autocast`."""
    graph, x, weights, index = _example(draw, shape, device, torch.bfloat16, False, 0, 0.3)
    return of_graphs.beside_autocast(graph, [x], weights, index)


def _example(draw: list[int] | None, shape: Size, device: torch.device, dtype: torch.dtype, adds_unsampled: bool,
             seed: int, level: float) -> tuple[Graph, Tensor, Tensor, Tensor | None]:
    """A cell as a graph, its input, the weights of the mixture, the drawn columns."""
    generator = torch.Generator().manual_seed(shape[1] + 1000 * seed)
    cell = SearchCell(shape[1], False)
    for param in cell.parameters():
        param.data = torch.randn(param.shape, generator=generator)
    cell.to(device, memory_format=torch.channels_last)
    weights = 1 + 0.3 * torch.randn(30 if draw is None else 6, generator=generator)
    if adds_unsampled:          # of what was not drawn the weights are 0
        weights = torch.cat([weights, torch.zeros(6)])
    x = (torch.randn(shape, generator=generator) + level).to(device, dtype, memory_format=torch.channels_last)
    return (graph_of(cell, draw is not None, adds_unsampled), x, weights.to(device),
            None if draw is None else torch.tensor(draw, device=device))
