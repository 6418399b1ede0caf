"""Where Triton kernels run."""

from __future__ import annotations

import os

import torch


def runs_on(device: torch.device) -> bool:
    """Returns whether Triton kernels run on tensors of this device: on a GPU, and in Triton's interpreter."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
