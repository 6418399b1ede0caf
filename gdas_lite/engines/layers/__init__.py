"""Layers with backward passes of their own, by PyTorch's operations alone."""
