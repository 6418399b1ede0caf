"""The command `gdas-lite`: the calls of the notebooks, from a shell, for long runs."""
