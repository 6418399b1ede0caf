"""Layers with backward passes of their own, by PyTorch's operations alone: what "auto" takes on the CPU."""

from .cells import run_cell as run_cell
