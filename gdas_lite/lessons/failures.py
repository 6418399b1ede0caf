"""Searches that went wrong, kept for the lesson on failures: recorded on the embedded digits, and one-shot scores.

Both come with the package; benchmarks/failed_searches.py makes them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..genotypes.nasbench201 import NASBench201Genotype
from ..runs.schema import MIB, parsed, read_bytes, sealed

FORMAT = "gdas-lite one-shot scores 1"
FILE = Path(__file__).with_name("one_shot_scores.json.gz")
RECORDED = {**{f"DARTS, seed {seed}": f"darts-v1-digits-{seed}" for seed in (0, 1)},
            **{f"GDAS, seed {seed}": f"gdas-digits-{seed}" for seed in range(5)}}


@dataclass(frozen=True)
class OneShot:
    """Cells scored with shared weights, percent, in two ways; see search/one_shot.py.

    cells: architecture strings. batch, running: (cells,) accuracies by statistics of the batch, by running estimates.
    """

    cells: tuple[str, ...]
    batch: np.ndarray
    running: np.ndarray


@dataclass(frozen=True)
class Failures:
    """histories: {name: History}, such as "DARTS, seed 0". configs: what each search was asked for, by the same names.

    one_shot: of a supernet whose batch norms keep running estimates. about: command, machine, versions, date.
    """

    histories: dict[str, Any]
    configs: dict[str, dict[str, Any]]
    one_shot: OneShot
    about: dict[str, Any]


def load_failures(file: str | Path = FILE) -> Failures:
    """Opens the shipped searches and scores.

    file: of the scores. Raises FileNotFoundError, or ValueError in one sentence for a file that does not hold them.
    """
    from ..search.recorded import recorded  # it stands above this room

    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, a part of gdas_lite; install gdas_lite again")
    try:
        content = parsed(read_bytes(path, 4 * MIB, packed=True), dict, "its content")
        if content.get("format") != FORMAT:
            raise ValueError(f"its format is {content.get('format')!r}, not {FORMAT!r}")
        one_shot, about = _one_shot(content), dict(content["about"])
    except (OSError, EOFError, KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ValueError(f"{path} does not hold one-shot scores of this version ({problem}); "
                         "install gdas_lite again") from None
    histories = {name: recorded(file) for name, file in RECORDED.items()}
    return Failures(histories, {name: history.about["config"] for name, history in histories.items()}, one_shot, about)


def write_one_shot(file: str | Path, one_shot: OneShot, about: Mapping[str, Any]) -> None:
    """Writes scores as `load_failures` reads them."""
    content = {"format": FORMAT, "about": dict(about), "cells": list(one_shot.cells),
               "batch": np.round(one_shot.batch, 3).tolist(), "running": np.round(one_shot.running, 3).tolist()}
    text = json.dumps(sealed(content), separators=(",", ":"))
    Path(file).write_bytes(gzip.compress(text.encode(), 9, mtime=0))     # no time of day: same content, same bytes


def _one_shot(data: Mapping[str, Any]) -> OneShot:
    cells = tuple(str(NASBench201Genotype.parse(cell)) for cell in data["cells"])
    scores = [np.asarray(data[name], dtype=float) for name in ("batch", "running")]
    if any(score.shape != (len(cells),) or not ((0 <= score) & (score <= 100)).all() for score in scores):
        raise ValueError(f"one_shot: expected {len(cells)} percentages of each kind")
    return OneShot(cells, *scores)
