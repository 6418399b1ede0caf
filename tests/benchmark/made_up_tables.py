"""A made-up table with the columns of the digits table: accuracies that a few rules and a seed give."""

from __future__ import annotations

import numpy as np

from gdas_lite.genotypes.functions import computed_function
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS

EPOCHS, SEEDS = 4, (0, 1, 2)
WORTH = dict(zip(NASBENCH201_OPS, (0.0, 3.0, 6.0, 8.0, 2.0)))       # of an operation on any edge, percentage points


def representatives() -> list[NASBench201Genotype]:
    """The first cell of each function, in the order of all cells."""
    first: dict[str, NASBench201Genotype] = {}
    for cell in NASBench201Genotype.all():
        first.setdefault(computed_function(cell.edges), cell)
    return list(first.values())


def made_up_results(seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays as shards.py's `collect` gives them."""
    rng, cells = np.random.default_rng(seed), representatives()
    worth = np.array([sum(WORTH[op] for op in cell.ops) if cell.is_connected else 0.0 for cell in cells])
    progress = np.array([0.4, 0.7, 0.9, 1.0])
    shape = (len(cells), len(SEEDS), EPOCHS)
    valid = 45 + worth[:, None, None] * progress + rng.normal(0, 1.0, shape)
    test = valid[:, :, -1] - 1 + rng.normal(0, 1.0, shape[:2])
    grid = 100 / 395                # accuracies are whole numbers of images
    return {"cells": np.array([str(cell) for cell in cells]),
            "train_loss": (2.3 - worth[:, None, None] / 30 * progress + rng.normal(0, 0.02, shape)).astype(np.float32),
            "valid": np.clip(np.round(valid / grid), 0, 395) * grid,
            "test": np.clip(np.round(test / grid), 0, 395) * grid,
            "seconds": 0.5 + worth[:, None] / 20 + rng.uniform(0, 0.1, shape[:2])}
