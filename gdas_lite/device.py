"""One place that chooses where tensors live."""

from __future__ import annotations

import torch


def pick_device(name: str | torch.device | None = None) -> torch.device:
    """The device of that name; without a name the first CUDA GPU, else the CPU.

    Raises ValueError if a GPU is asked for and none is there.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but torch {torch.__version__} sees no CUDA GPU; leave it out "
                         "or say 'cpu'")
    return device


def device_name(device: torch.device) -> str:
    """What to print for a device: the GPU's own name, or "CPU, n threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
