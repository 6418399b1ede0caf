"""A new algorithm, as somebody would write it: one class in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gdas_lite.search.algorithms import Algorithm


@dataclass(frozen=True)
class Lukewarm(Algorithm):
    """GDAS at one temperature."""

    tau: float = 2.0
    name: ClassVar[str] = "lukewarm"

    def tau_at(self, epoch, epochs):
        return self.tau

    def mixtures(self, alphas, sampler):
        return {kind: sampler.gumbel(alpha, "P") for kind, alpha in alphas.items()}
