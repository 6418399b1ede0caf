"""Which search cells run by Triton kernels, and when."""

from typing import Any

import torch
from torch import Tensor, nn

from ...relaxation import Mixture
from ...spaces.nasbench201 import SearchCell as NASBench201Cell
from ...spaces.nasnet_cells import SearchCell as NASNetCell
from .. import layers
from ..cpu.cells import fits
from ..cpu.nasnet import graph_of
from ..parts import parts_of
from . import nasbench201, nasnet
from .draws import DeviceMixture

ON_DEVICE = {NASBench201Cell: nasbench201.sampled_cell, NASNetCell: nasnet.cell_on_device}


def run_cell(cell: nn.Module, *inputs: Tensor, **options: Any) -> Tensor:
    """Returns cell(*inputs, **options); mixtures that stay on the device and, on a GPU, NASNet's mixtures by Triton
    kernels, everything else by the functions of `engines.layers`. Raises ValueError for hooks in a cell whose mixture
    stays on the device."""
    mixture, parts = options.get("mixture"), parts_of(cell)
    if isinstance(mixture, DeviceMixture):
        if parts.have_hooks():
            raise ValueError("captured steps call no hooks of the modules in a cell; take them away, or search with "
                             "engine='layers'")
        return ON_DEVICE[type(cell)](cell, *inputs, mixture)
    if not parts.do_more() and takes(cell, inputs, mixture) and (graph := graph_of(cell, mixture)) is not None:
        return nasnet.cell_on_gpu(cell, *inputs, mixture, graph)
    return layers.run_cell(cell, *inputs, **options)


def takes(cell: nn.Module, inputs: tuple[Tensor, ...], mixture: Mixture | None) -> bool:
    """Returns whether the kernels can compute a cell with a mixture of the host: no running estimates, no variant N."""
    return type(cell) is NASNetCell and not (cell.keeps_estimates or mixture.adds_unsampled) and all(
        x.is_cuda and x.dtype in (torch.float32, torch.bfloat16) for x in inputs) and fits(cell)
