"""Searches in bfloat16: the losses under autocast, everything that is updated in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..precision import check_precision, computing_in
from .updates import Judged, Mixtures, Objective


def check_search_precision(precision: str, is_text: bool) -> None:
    """Raise ValueError for an unknown precision, or bfloat16 on a text."""
    check_precision(precision)
    if is_text and precision == "bf16":
        raise ValueError("searches on a text are computed in fp32 only, got precision 'bf16'")


def in_bfloat16(objective: Objective, device: torch.device) -> Objective:
    """The objective with its network under autocast; the loss is float32."""

    def judged(supernet: nn.Module, mixtures: Mixtures, batch: Any) -> Judged:
        with computing_in("bf16", device):
            return objective(supernet, mixtures, batch)

    return judged
