"""The compiled loops themselves; everything here needs numba."""
