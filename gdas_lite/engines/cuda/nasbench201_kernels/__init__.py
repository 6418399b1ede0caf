"""Triton kernels for NVIDIA GPUs: a NAS-Bench-201 search cell, with one drawn candidate an edge or with all.

    device_functions.py       what the kernels share: layout, neighbourhoods, products
    forward.py, backward.py   the kernels; what was drawn is read on the device
    cell.py                   the cell as a differentiable function
    eager.py                  its plain twin

They have run in Triton's interpreter on the CPU only, never on a GPU yet; so selftest.py checks them where they are to
be used.
"""
