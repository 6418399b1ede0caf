"""Layers with backward passes of their own, by PyTorch's operations alone: what "auto" takes on the CPU."""

from __future__ import annotations

from .cells import run_cell

__all__ = ["run_cell"]
