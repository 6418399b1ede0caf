"""Before two formulations of a search are timed: do they compute the same?"""

from __future__ import annotations

import math
from collections.abc import Mapping

# Relative, by the package's precision. DARTS at the published size is off by 2e-7 and 1e-4; with every candidate's weight 1,
# by 2.4e-2: at the start of a search the loss hardly depends on what the network computes.
TOLERANCE = {"fp32": 1e-4, "bf16": 5e-3}


def check_same_loss(search: str, losses: Mapping[str, float], tolerance: float) -> None:
    """losses: by formulation, of the first train batch, from the same weights, alphas and draws. Raises SystemExit where they
    differ by more than `tolerance`, relative: whatever is timed then, it is not this search."""
    lowest, highest = min(losses.values()), max(losses.values())
    if not (math.isfinite(sum(losses.values())) and highest - lowest <= tolerance * abs(lowest)):
        said = ", ".join(f"{loss:.6g} ({name})" for name, loss in losses.items())
        raise SystemExit(f"{search}: the losses of the first step are {said}; they differ by more than {tolerance:g}, relative, "
                         f"so nothing is timed")
