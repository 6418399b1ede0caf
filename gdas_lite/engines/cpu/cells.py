"""Which search cells the compiled kernels compute, and when."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...spaces.nasbench201 import SearchCell as NASBench201Cell
from ...spaces.nasnet_cells import SearchCell as NASNetCell
from .. import layers
from ..parts import made_of_modules, parts_of
from . import derived, nasbench201, nasnet

# Of a class of cells whether the kernels can compute one, and how; None where they cannot compute its mixture.
CELLS: dict[type[nn.Module], tuple[Callable[[Any], bool], Callable[..., Tensor | None]]] = {
    NASBench201Cell: (nasbench201.fits, nasbench201.search_cell), NASNetCell: (nasnet.fits, nasnet.search_cell),
    derived.NASBench201Cell: (derived.fits, derived.nasbench201_cell),
    derived.NASNetCell: (derived.fits, derived.nasnet_cell)}
# Numbers of a channel up to which batch norm is left to `layers`: it refuses one, and of a few they are nearer, since
# PyTorch computes statistics in double precision.
FEWEST = 12
_NORMS = made_of_modules()


def run_cell(cell: nn.Module, *inputs: Tensor, **options: Any) -> Tensor:
    """Returns cell(*inputs, **options), by compiled kernels where they can, else by `engines.layers`."""
    out = CELLS[type(cell)][1](cell, *inputs, **options) if takes(cell, inputs) else None
    return layers.run_cell(cell, *inputs, **options) if out is None else out


def takes(cell: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    """Returns whether the kernels can compute a cell: one that they know, without hooks, in float32 or under bfloat16's
    autocast, on the CPU. With running estimates in evaluation mode derived cells only, and without a backward pass;
    norms with such must be in the cell's mode, and whole."""
    real = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32     # weights stay float32
    if parts_of(cell).do_more() or (not cell.training and getattr(cell, "keeps_estimates", torch.is_grad_enabled())):
        return False
    if inputs[-1].shape[0] * inputs[-1].shape[2:].numel() <= FEWEST:
        return False
    norms = _norms_of(cell)
    return (norms is not None and all(x.device.type == "cpu" and x.dtype == real for x in inputs)
            and next((one.dtype for one in cell.parameters()), torch.float32) == torch.float32
            and all(norm.training == cell.training and _is_whole(norm) for norm in norms))


def _is_whole(norm: nn.BatchNorm2d) -> bool:
    """Returns whether it has all that it was built with, and estimates without gaps in memory."""
    estimates = norm._buffers.values() if norm.track_running_stats else ()
    return (norm.momentum is not None and all(one is not None and one.is_contiguous() for one in estimates)
            and all((one is not None) == norm.affine for one in norm._parameters.values()))


def fits(cell: nn.Module) -> bool:
    """Returns whether a cell is one that the kernels can compute."""
    return _norms_of(cell) is not None


def _norms_of(cell: nn.Module) -> list[nn.BatchNorm2d] | None:
    """The norms that keep running estimates, None where a cell does not fit or a module stands in it twice; kept."""
    if cell not in _NORMS:
        known, parts = CELLS.get(type(cell)), [one for _, one in cell.named_modules(remove_duplicate=False)]
        norms = [one for one in parts if isinstance(one, nn.BatchNorm2d) and (
            one.track_running_stats or one.running_mean is not None)]
        _NORMS[cell] = norms if known is not None and len(set(parts)) == len(parts) and known[0](cell) else None
    return _NORMS[cell]
