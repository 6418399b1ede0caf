"""A captured search must prove itself on the GPU at hand before it is used: it is compared with the plain one."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from ...data.augment import Augmentation
from ...data.images import ImageData, ImageSet
from ...search.algorithms import DARTS, GDAS
from ...search.recipes import search_recipe
from ...spaces.nasbench201 import NASBench201
from ...spaces.nasnet import NASNet
from .capturing import CapturingEngine
from .proving import first_line

TOLERANCE = 1e-3


class Case(NamedTuple):
    """What is searched. size: pixels on a side. The deeper a network, the more a ReLU or a maximum that falls on its other side
    does to later losses; large maps and small steps keep a case's errors at rounding (cells off by 1e-6: losses by 1e-5)."""

    space: NASBench201 | NASNet
    size: int
    changes: dict[str, float]


CASES = {"nasbench201": Case(NASBench201(4, 1), 8, {}),
         "nasnet": Case(NASNet(8, cells=3), 16, {"learning_rate": 0.005, "alpha_learning_rate": 0.05})}


@lru_cache(maxsize=8)
def obstacle(device: torch.device, space: str) -> str | None:
    """Why captured steps of a space, given by its name, cannot be used on this GPU, or None. Runs searches of six steps."""
    try:
        error = largest_error(device, space)
    except Exception as problem:        # a capture fails in many ways
        return f"steps cannot be captured here ({first_line(problem)})"
    return None if error < TOLERANCE else f"captured steps are wrong here: their losses differ from the plain ones by {error:.1g}"


def largest_error(device: torch.device, space: str) -> float:
    """Of the mean losses of small captured searches beside the plain ones, relative; the last batch of an epoch is short."""
    worst = 0.0
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for algorithm in (GDAS(), DARTS(1)):
            plain, captured = (_losses(CASES[space], algorithm, device, is_captured) for is_captured in (False, True))
            worst = max([worst, *(abs(a - b) / abs(a) if a == a and b == b else float("inf")
                                  for a, b in zip(plain, captured, strict=True))])
    return worst


def _losses(case: Case, algorithm: GDAS | DARTS, device: torch.device, is_captured: bool) -> list[float]:
    from ...search.loop import Search  # it builds on the engines
    recipe = search_recipe("smoke", case.space.name, algorithm.name, epochs=2, batch_size=8, alpha_eps=0.01, **case.changes)
    search = Search(case.space, _data(case.size), algorithm, recipe=recipe, device=device, engine="plain")
    if is_captured:
        search.engine = CapturingEngine()
    search.run()
    return [loss for record in search.history for loss in (record.train_loss, record.valid_loss)]


def _data(size: int) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    halves = [ImageSet(torch.randint(256, (20, 3, size, size), dtype=torch.uint8, generator=generator), torch.arange(20) % 2)
              for _ in range(2)]
    return ImageData("noise", 2, ("a", "b"), size, 3, (0.5,) * 3, (0.25,) * 3, Augmentation(1, True, 2), halves[0], *halves, {})
