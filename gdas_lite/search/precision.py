"""Searches in bfloat16: the losses under autocast, everything that is updated in float32."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from .updates import Judged, Mixtures, Objective

Precision = Literal["fp32", "bf16"]


def check_precision(precision: str, is_text: bool) -> None:
    """Raise ValueError for an unknown precision, or bfloat16 on a text."""
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be 'fp32' or 'bf16', got {precision!r}")
    if is_text and precision == "bf16":
        raise ValueError("searches on a text are computed in fp32 only, got precision 'bf16'")


def in_bfloat16(objective: Objective, device: torch.device) -> Objective:
    """The objective with its network under autocast; the loss is float32."""

    def judged(supernet: nn.Module, mixtures: Mixtures, batch: Any) -> Judged:
        with torch.autocast(device.type, torch.bfloat16):
            return objective(supernet, mixtures, batch)

    return judged
