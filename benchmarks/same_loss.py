"""Before two formulations of a search are timed: do they compute the same?"""

from __future__ import annotations

import math
from collections.abc import Mapping

TOLERANCE = {"fp32": 1e-4, "bf16": 3e-2}        # relative, by the package's precision


def check_same_loss(search: str, losses: Mapping[str, float], tolerance: float) -> None:
    """losses: by formulation, of the first train batch, from the same weights, alphas and draws. Raises SystemExit where they
    differ by more than `tolerance`, relative: whatever is timed then, it is not this search."""
    lowest, highest = min(losses.values()), max(losses.values())
    if not (math.isfinite(sum(losses.values())) and highest - lowest <= tolerance * abs(lowest)):
        said = ", ".join(f"{loss:.6g} ({name})" for name, loss in losses.items())
        raise SystemExit(f"{search}: the losses of the first step are {said}; they differ by more than {tolerance:g}, relative, "
                         f"so nothing is timed")
