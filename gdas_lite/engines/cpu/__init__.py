"""The CPU engine: search cells by kernels that numba compiles, small searches by compiled loops."""

from .cells import run_cell as run_cell
