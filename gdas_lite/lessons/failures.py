"""Searches that went wrong, kept for the lesson on failures: real histories on the embedded digits, and one-shot scores.

They come with the package in `failed_searches.json.gz`; benchmarks/failed_searches.py makes the file.
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

FORMAT = "gdas-lite failed searches 1"
FILE = Path(__file__).with_name("failed_searches.json.gz")


@dataclass(frozen=True)
class OneShot:
    """Cells scored with shared weights, percent, in two ways; see search/one_shot.py.

    cells: architecture strings. batch, running: (cells,) accuracies by the statistics of the batch, by running estimates.
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
    """The shipped searches. Raises FileNotFoundError, or ValueError in one sentence for a file that is not one of them."""
    from ..search.history import History  # it stands above this room

    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, a part of gdas_lite; install gdas_lite again")
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
        if content.get("format") != FORMAT:
            raise ValueError(f"its format is {content.get('format')!r}, not {FORMAT!r}")
        histories = {run["name"]: History.from_json(run["history"]) for run in content["runs"]}
        configs = {run["name"]: run["config"] for run in content["runs"]}
        for name, history in histories.items():
            _check_history(name, history, configs[name])
        return Failures(histories, configs, _one_shot(content["one_shot"]), dict(content["about"]))
    except (OSError, EOFError, KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ValueError(f"{path} does not hold failed searches of this version ({problem}); install gdas_lite again") from None


def write_failures(file: str | Path, runs: Mapping[str, tuple[dict[str, Any], Any]], one_shot: OneShot, about: Mapping[str, Any]
                   ) -> None:
    """Write {name: (config, history)} and scores as `load_failures` reads them; alphas are kept to five decimals."""
    content = {"format": FORMAT, "about": dict(about),
               "runs": [{"name": name, "config": config, "history": _rounded(history.to_json())}
                        for name, (config, history) in runs.items()],
               "one_shot": {"cells": list(one_shot.cells), "batch": np.round(one_shot.batch, 3).tolist(),
                            "running": np.round(one_shot.running, 3).tolist()}}
    text = json.dumps(content, separators=(",", ":"))
    Path(file).write_bytes(gzip.compress(text.encode(), 9, mtime=0))     # no time of day: same content, same bytes


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return {key: _rounded(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def _check_history(name: str, history: Any, config: Mapping[str, Any]) -> None:
    """Epochs as asked for, in order, and each cell the one that its alphas give."""
    if [record.epoch for record in history] != list(range(config["recipe"]["epochs"])):
        raise ValueError(f"{name}: expected the epochs 0 to {config['recipe']['epochs'] - 1}")
    labels = history.labels["cell"]
    for record in history:
        alpha = record.alphas["cell"]
        if alpha.shape != labels.shape or not np.isfinite(alpha).all():
            raise ValueError(f"{name}, epoch {record.epoch}: alpha should be {labels.shape} finite numbers")
        chosen = tuple(labels.candidates[column] for column in alpha.argmax(-1))
        if NASBench201Genotype.parse(record.genotype).ops != chosen:
            raise ValueError(f"{name}, epoch {record.epoch}: the cell is not that of its alphas")


def _one_shot(data: Mapping[str, Any]) -> OneShot:
    cells = tuple(str(NASBench201Genotype.parse(cell)) for cell in data["cells"])
    scores = [np.asarray(data[name], dtype=float) for name in ("batch", "running")]
    if any(score.shape != (len(cells),) or not ((0 <= score) & (score <= 100)).all() for score in scores):
        raise ValueError(f"one_shot: expected {len(cells)} percentages of each kind")
    return OneShot(cells, *scores)
