"""The GPU engine: Triton kernels, and search steps captured as CUDA graphs."""
