"""Triton kernels for NVIDIA GPUs: a NASNet search cell, given as the `Graph` of the CPU kernels, or with edges whose candidate
is drawn on the device (`Drawn`). DARTS and GDAS are the same launches; what differs is data. A search step that is captured as
a CUDA graph (search/captured.py) runs on them, by spaces/nasnet_on_device.py.

    table.py                        a job as a row of numbers
    window.py, layers.py, sums.py   kernels: which pixels a tap meets; maps and statistics; a node's sum, batch norm backwards
    gradients.py                    kernels: through the layers to source and weights
    book.py                         a pass as jobs and launches, planned once; the drawn candidate's row is picked on the device
    terms.py, forward.py, backward.py   which jobs and launches a cell is
    cell.py                         the cell as one differentiable function: `run_graph_on_gpu`, `CellOnGPU`
    check.py                        the same by PyTorch's operations, and the one against the other

They have run in Triton's interpreter on the CPU, and Triton compiles them for compute capability 7.5 to 9.0; they have never run
on a GPU, so nothing is known of their speed there and `obstacle` checks them where they are to be used.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from ..proving import obstacle_on


@lru_cache(maxsize=8)
def obstacle(device: torch.device, dtype: torch.dtype = torch.float32) -> str | None:
    """Why the kernels cannot be used on this GPU, or None. Compiles them and compares them with PyTorch's operations.

    dtype: of the maps, float32 or bfloat16.
    """
    return obstacle_on(device, dtype, _largest_error)


def _largest_error(device: torch.device, dtype: torch.dtype) -> float:
    from .check import largest_error
    return largest_error(device, dtype)
