"""The GPU engine: Triton kernels, and search steps captured as CUDA graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def run_cell(cell: nn.Module, *inputs: Any, mixture: Any = None, **options: Any) -> Tensor:
    """A search cell's output by Triton kernels, under a mixture that stays on the device or an ordinary one; a cell that they do
    not know is called as it is.

    Raises ValueError for a mixture on the device where the cell would normalise with running estimates.
    """
    from ...relaxation import DeviceMixture
    from ...spaces import nasbench201, nasnet_networks
    if isinstance(mixture, DeviceMixture):
        if type(cell) is nasbench201.SearchCell:
            if not (cell.training or cell.exact_zero):
                raise ValueError("a draw on the device runs with the batch's statistics only; in evaluation mode give a space "
                                 "with track_running_stats=True a Mixture")
            from .nasbench201 import sampled_cell
            return sampled_cell(cell, *inputs, mixture)
        from .nasnet import cell_on_device
        return cell_on_device(cell, *(one.value for one in inputs), mixture)
    if mixture is not None and type(cell) is nasnet_networks.SearchCell and inputs[0].value.is_cuda and (
            inputs[0].value.dtype in (torch.float32, torch.bfloat16)):
        out = cell.fused(*inputs, mixture)
        if out is not None:
            return out
    return cell(*inputs, **({} if mixture is None else {"mixture": mixture}), **options)
