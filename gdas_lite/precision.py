"""float32 or bfloat16: what searches and trainings compute their networks in. What is updated is float32 always."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def check_precision(precision: str) -> None:
    """Raise ValueError unless it is one of the two."""
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be 'fp32' or 'bf16', got {precision!r}")


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """Inside, networks compute in bfloat16 where PyTorch holds that safe, or in float32 as always."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
