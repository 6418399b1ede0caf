"""A map that several edges leave, and what their candidates share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Source:
    """A node or a cell's output: its value (B, C, H, W), None if nothing reaches it.

    Its ReLU and the map of any module without weights (pooling) are computed when first asked for, then shared by all
    edges that leave it.
    """

    def __init__(self, value: Tensor | None) -> None:
        self.value = value
        self._rectified: Tensor | None = None
        self._maps: dict[nn.Module, Tensor] = {}

    @property
    def rectified(self) -> Tensor:
        """relu(value)."""
        if self._rectified is None:
            self._rectified = F.relu(self.value)
        return self._rectified

    def through(self, candidate: nn.Module, weight: Tensor | None = None) -> Tensor:
        """weight * candidate(value)."""
        if candidate.takes_rectified:
            return candidate.from_rectified(self.rectified, weight)
        return candidate(self.value, weight)

    def shared(self, module: nn.Module) -> Tensor:
        """module(value), computed once for all edges."""
        if module not in self._maps:
            self._maps[module] = module(self.value)
        return self._maps[module]
