"""Searches that come with the package: whole histories, to be drawn, played and looked up without running anything.

Each is a file NAME.json.gz beside this module. benchmarks/record_search.py makes one from a run folder.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...genotypes.nasbench201 import NASBench201Genotype
from ...genotypes.notation import shown
from ...runs.schema import MIB, check, parsed, read_bytes
from ...runs.shapes import RECORDED
from ..history import History

FORMAT = "gdas-lite recorded search 1"
FOLDER = Path(__file__).parent
MAX_BYTES = 60_000
FACTS = ("config", "command", "machine", "commit", "date")


def names(folder: Path | None = None) -> tuple[str, ...]:
    """Returns the names that `recorded` knows, in alphabetical order; folder: of such files, None for the package's."""
    return tuple(sorted(file.name.removesuffix(".json.gz") for file in (folder or FOLDER).glob("*.json.gz")))


def recorded(name: str, folder: Path | None = None) -> History:
    """Opens the history of a search that comes with the package, such as "gdas-digits-0".

    Its `about` says where it comes from: "name", "config" (what was asked for: space, algorithm, recipe, seed, data), "command",
    "machine" (processor and versions), "commit" of this package's code and "date". Alphas have six decimals.
    Raises ValueError for an unknown name (with those there are) or a damaged file.
    """
    if name not in names(folder):
        raise ValueError(f"recorded: no search {shown(name)}; there are {', '.join(names(folder)) or 'none'}")
    file = (folder or FOLDER) / f"{name}.json.gz"
    try:
        content = parsed(read_bytes(file, 32 * MIB, packed=True), dict, "its content")
        if content.get("format") != FORMAT:
            raise ValueError(f"its format is {content.get('format')!r}, not {FORMAT!r}")
        check(content, RECORDED, "")
        history = History.from_json(content["history"])
        history.about = {"name": name} | {fact: content[fact] for fact in FACTS}
        _check(history)
        return history
    except (OSError, EOFError, KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ValueError(f"{file.name} does not hold a recorded search of this version ({problem}); install gdas_lite "
                         f"again") from None


def record(file: Path, history: History, about: Mapping[str, Any]) -> None:
    """Writes a history as `recorded` reads it. about: the facts that are named there. Same content, same bytes.

    Raises ValueError for a search that is not at its end, a file that would be larger than 60 KB, or alphas whose cell
    changes when they are rounded.
    """
    content = {"format": FORMAT, **{fact: about[fact] for fact in FACTS}, "history": _rounded(history.to_json())}
    rounded = History.from_json(content["history"])
    rounded.about = dict(about)
    _check(rounded)
    data = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), 9, mtime=0)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{file.name}: {len(data):,} bytes, more than {MAX_BYTES:,}")
    file.write_bytes(data)


def _check(history: History) -> None:
    """Epochs as asked for, in order, finite alphas, and each cell the one that its alphas give."""
    config = history.about["config"]
    epochs = config["recipe"]["epochs"]
    if [entry.epoch for entry in history] != list(range(len(history))) or not len(history) or not (
            len(history) == epochs or (len(history) < epochs and history[-1].stopped)):
        raise ValueError(f"expected the epochs 0 to {epochs - 1}")
    for entry in history:
        for kind, labels in history.labels.items():
            alpha = entry.alphas[kind]
            if alpha.shape != labels.shape or not np.isfinite(alpha).all():
                raise ValueError(f"epoch {entry.epoch}: alpha should be {labels.shape} finite numbers")
        if config["space"]["name"] == "nasbench201" and np.isfinite(entry.valid_loss):    # alpha moved
            labels, alpha = history.labels["cell"], entry.alphas["cell"]
            chosen = tuple(labels.candidates[column] for column in alpha.argmax(-1))
            if NASBench201Genotype.parse(entry.genotype).ops != chosen:
                raise ValueError(f"epoch {entry.epoch}: the cell is not that of its alphas")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return {key: _rounded(entry) for key, entry in value.items()} if isinstance(value, dict) else value
