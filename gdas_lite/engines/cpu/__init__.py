"""The CPU engine: search cells by kernels that numba compiles, small searches by compiled loops."""
