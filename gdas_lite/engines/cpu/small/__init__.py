"""Layers of networks of a few channels on the CPU, compiled by numba (the extra `fast`): loops.py, layers.py.

On such networks PyTorch spends its time in calling its operations; here a layer is one compiled loop over maps that stay in
the processor's cache. Used by searches (spaces/nasbench201_compiled.py) and by the digits' table (groundtruth/).
"""
