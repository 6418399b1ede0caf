"""Which engine computes the cells of a search on the CPU: "plain" (PyTorch's operations) or "fused".

    from gdas_lite import kernels
    kernels.use("plain")            # or "fused", "auto" (the default); the environment variable GDAS_LITE_ENGINE likewise
    print(kernels.chosen())         # fused: kernels compiled by numba, half a minute the first time

"auto" takes the fused kernels where numba is installed and the maps are large enough to pay for them. The engines' results
agree to float32's rounding, not to the bit: a run that is to be resumed bit for bit needs the same engine.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

ENGINES = ("auto", "plain", "fused")
SMALLEST = 2**18        # elements of a batch's map in the first cell from which the kernels are quicker

_wanted: str | None = None


@dataclass(frozen=True)
class Engine:
    """name: "plain" or "fused". reason: one sentence. by: what computes "fused": "cells" (kernels of a search cell), "loops"
    (a compiled small network with its whole update), "graphs" (captured steps on a GPU); "" for plain,
    and for a GPU's kernels that the host launches."""

    name: str
    reason: str
    by: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def use(engine: str) -> None:
    """From now on, in this process. Raises ValueError for an unknown engine, or if "fused" cannot be."""
    global _wanted
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "fused" and (missing := obstacle()) is not None:
        raise ValueError(f"engine 'fused' is not to be had: {missing}")
    _wanted = engine


def wanted() -> str:
    """What was asked for: by `use`, else by GDAS_LITE_ENGINE, else "auto"."""
    if _wanted is not None:
        return _wanted
    named = os.environ.get("GDAS_LITE_ENGINE", "auto")
    if named not in ENGINES:
        raise ValueError(f"GDAS_LITE_ENGINE must be one of {', '.join(ENGINES)}, it is {named!r}")
    return named


def chosen(elements: int | None = None, engine: str | None = None) -> Engine:
    """The engine and why. elements: of a batch's map in the first cell, if known (B * C * H * W). engine: what is asked
    for, None: what `use` or the environment ask for."""
    engine = engine or wanted()
    if engine == "plain":
        return Engine("plain", "it was asked for")
    if (missing := obstacle()) is not None:
        return Engine("plain", missing)
    if engine == "auto" and elements is not None and elements < SMALLEST:
        return Engine("plain", f"maps of {elements:,} numbers are too small for the kernels to pay; they begin at {SMALLEST:,}")
    return Engine("fused", "kernels compiled by numba, half a minute the first time", "cells")


def obstacle() -> str | None:
    """Why no compiled kernel can run here, or None."""
    return _obstacle()


@lru_cache(maxsize=1)
def _obstacle() -> str | None:
    """Why the kernels cannot run here, or None. Does not compile."""
    if find_spec("numba") is None:
        return "numba is not installed; pip install 'gdas-lite[fast]' makes searches faster on the CPU"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from . import launch  # noqa: F401
    except Exception as error:      # an installed numba that does not fit numpy or Python says so in many ways
        return f"numba is installed but does not work here ({type(error).__name__}: {str(error).splitlines()[0]})"
    return None
