"""Copies of a derived network's layers with more channels, all of them zeros, so that channels fill whole vectors.

The published widths (36) do not. A copy's weights are taken from the layer's own before a forward pass; gradients and
running estimates go back to the layer.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@lru_cache(maxsize=1)
def vector_length() -> int:
    """Returns how many channels this processor computes at a time."""
    from .compiled.simd import widest  # which needs numba
    return widest()


def padded_width(channels: int) -> int:
    """Returns the number of channels, rounded up to whole vectors."""
    return -(-channels // vector_length()) * vector_length()


def padded_map(x: Tensor) -> Tensor:
    """Returns x (B, C, H, W) with channels of zeros behind its own, as many as are missing; x itself if none are."""
    missing = padded_width(x.shape[1]) - x.shape[1]
    return F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x


class PaddedConv:
    """A convolution for maps of padded channels. of: the layer that is trained."""

    bias = None

    def __init__(self, conv: nn.Conv2d) -> None:
        self.of = conv
        self.kernel_size, self.stride, self.dilation = conv.kernel_size, conv.stride, conv.dilation
        self.in_channels, self.out_channels = padded_width(conv.in_channels), padded_width(conv.out_channels)
        inner = 1 if conv.groups > 1 else self.in_channels
        self.weight = torch.zeros(self.out_channels, inner, *conv.kernel_size, dtype=torch.float32, device="cpu")

    def refresh(self) -> None:
        """Takes the weights of the layer as they are now; into new memory, since a pass before may still go back."""
        weight, (rows, columns) = self.of.weight.detach(), self.weight.shape[:2]
        self.weight = F.pad(weight, (0, 0, 0, 0, 0, columns - weight.shape[1], 0, rows - weight.shape[0]))


class PaddedNorm:
    """A batch norm for maps of padded channels. of: the layer that is trained."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.of, self.affine = norm, norm.affine
        self.num_features = padded_width(norm.num_features)
        both = torch.zeros(2, self.num_features, dtype=torch.float32, device="cpu")
        self.weight, self.bias = both if norm.affine else (None, None)

    @property
    def eps(self) -> float:
        """The layer's, as it is now."""
        return self.of.eps

    def refresh(self) -> None:
        """Takes weight and bias of the layer as they are now, as `PaddedConv` does."""
        if self.affine:
            missing = self.num_features - self.of.num_features
            self.weight, self.bias = (F.pad(one.detach(), (0, missing)) for one in (self.of.weight, self.of.bias))


def padded(module: nn.Conv2d | nn.BatchNorm2d) -> nn.Conv2d | nn.BatchNorm2d | PaddedConv | PaddedNorm:
    """Returns the layer itself where its channels fill whole vectors, else a padded copy."""
    if isinstance(module, nn.Conv2d):
        widths = module.in_channels, module.out_channels
        return PaddedConv(module) if any(width != padded_width(width) for width in widths) else module
    return module if module.num_features == padded_width(module.num_features) else PaddedNorm(module)
