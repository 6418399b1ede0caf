"""Searches that went wrong, kept for the lesson on failures: recorded on CIFAR-10 thumbnails, and one-shot scores.

Both come with the package; benchmarks/failed_searches.py makes them.
"""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..genotypes.nasbench201 import NASBench201Genotype
from ..relaxation import Mixture
from ..runs.checkpoint import restore
from ..runs.device import sensible_threads
from ..runs.schema import sealed
from ..search.algorithms import Algorithm
from ..search.recipes import SearchRecipe, search_recipe
from .recorded import recorded, shipped

FORMAT = "gdas-lite one-shot scores 1"
FILE = Path(__file__).with_name("one_shot_scores.json.gz")
RECORDED = {**{f"DARTS, seed {seed}": f"darts-v1-thumbnails-{seed}" for seed in (0, 1)},
            **{f"GDAS, seed {seed}": f"gdas-published-thumbnails-{seed}" for seed in range(5)}}


def as_published(algorithm: Algorithm) -> SearchRecipe:
    """Returns the recipe of these searches: "laptop", but with batches of 64, and alpha learns from the first step."""
    return search_recipe("laptop", "nasbench201", algorithm.name, epochs=50, batch_size=64, alpha_start=0.0)


@dataclass(frozen=True)
class OneShot:
    """Architecture strings, and their `one_shot_accuracy` by statistics of the batch and by running estimates."""

    cells: tuple[str, ...]
    batch: np.ndarray
    running: np.ndarray


@dataclass(frozen=True)
class Failures:
    """histories: {name: History}, such as "DARTS, seed 0"; each has an `about` of its own.

    one_shot: of a supernet whose batch norms keep running estimates. about: its command, machine, versions, date.
    """

    histories: dict[str, Any]
    one_shot: OneShot
    about: dict[str, Any]


def load_failures(file: str | Path = FILE) -> Failures:
    """Opens the shipped searches and scores.

    file: of the scores. Raises FileNotFoundError, or ValueError in one sentence for a file that does not hold them.
    """
    return Failures({name: recorded(searched) for name, searched in RECORDED.items()}, *shipped(
        file, "one-shot scores", FORMAT, lambda content: (_one_shot(content), dict(content["about"]))))


def write_one_shot(file: str | Path, one_shot: OneShot, about: Mapping[str, Any]) -> None:
    """Writes scores as `load_failures` reads them."""
    scores = {name: np.round(getattr(one_shot, name), 3).tolist() for name in ("batch", "running")}
    content = sealed({"format": FORMAT, "about": dict(about), "cells": list(one_shot.cells), **scores})
    Path(file).write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), 9, mtime=0))  # no time


def _one_shot(data: Mapping[str, Any]) -> OneShot:
    cells = tuple(str(NASBench201Genotype.parse(cell)) for cell in data["cells"])
    scores = [np.asarray(data[name], dtype=float) for name in ("batch", "running")]
    if any(score.shape != (len(cells),) or not ((0 <= score) & (score <= 100)).all() for score in scores):
        raise ValueError(f"one_shot: expected {len(cells)} percentages of each kind")
    return OneShot(cells, *scores)


def one_shot_accuracy(supernet: nn.Module, mixtures: Mapping[str, Mixture], batches: Iterable[tuple[Tensor, Tensor]],
                      statistics: Literal["batch", "running"] = "batch") -> float:
    """Returns the percent of right answers of one mixture (such as `space.mixtures(genotype)`) on batches of (x, y).

    statistics: "batch" normalises with mean and variance of the batch at hand, in the whole supernet. "running"
        normalises with the estimates that the search has gathered, as evaluation mode does, wherever a batch norm keeps
        some; in the cells only those of a space with track_running_stats=True do. They are means over all cells that
        were drawn, so they are those of no cell (quark0/darts issue 10, AutoDL-Projects issues 39 and 115).
    The supernet is left as it was, its estimates included. Raises ValueError for other statistics or no batch.
    """
    if statistics not in ("batch", "running"):
        raise ValueError(f"statistics must be 'batch' or 'running', got {statistics!r}")
    was_training, kept = supernet.training, {name: value.clone() for name, value in supernet.named_buffers()}
    supernet.train(statistics == "batch")
    width = next(weight.shape[0] for weight in supernet.parameters() if weight.ndim == 4)       # of the first maps
    right = count = 0
    try:
        with torch.no_grad():
            for x, y in batches:
                with sensible_threads(x.device, len(x) * width * x.shape[2] * x.shape[3]):
                    right += int((supernet(x, mixtures).argmax(-1) == y).sum())
                count += len(y)
    finally:
        supernet.train(was_training)
        restore(dict(supernet.named_buffers()), kept)
    if not count:
        raise ValueError("there is no batch to score the mixture on")
    return 100 * right / count
