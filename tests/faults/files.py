"""JSON that one value of is another: of run folders, exports, recorded searches and tables.

What is under a checksum must be refused, or an older state used. Anything else is refused, or read as what it says.
"""

from __future__ import annotations

import gzip
import json
import math
import shutil
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

import gdas_lite as gl
from gdas_lite.benchmark import files as tables
from gdas_lite.lessons import recorded as shipped
from gdas_lite.search.history import History
from gdas_lite.training.history import TrainingRecord
from gdas_lite.training.language import LanguageRecord
from tests.faults.injections import (
    CASES,
    EQUAL,
    REFUSED,
    TRACEBACK,
    WRONG,
    is_sentence,
    judged,
    loaded,
    make,
    resume,
)
from tests.runs.test_schema import bare, damages, unsealed

KINDS = ("config", "history", "history without checks", "records", "export", "recorded", "table")
RECORDED = "gdas-published-thumbnails-0"


def mutated(folder: Path, resting: Callable[[str], Path], draw: Random) -> tuple[str, str]:
    """What was changed in which file, and what came of it. resting: the folder of a case's run at rest."""
    kind = draw.choice(KINDS)
    act = {"config": _config, "history": _history, "history without checks": _old_history, "records": _records,
           "export": _export, "recorded": _recorded, "table": _table}[kind]
    folder.mkdir()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            what, outcome = act(folder, resting, draw)
    except Told as told:
        what, outcome = told.args
    return f"{kind}: {what}", outcome


class Told(Exception):
    """(what was done, outcome) of a file that was refused."""


def _change(value: Any, draw: Random) -> tuple[str, Any]:
    return next(damages(value, draw.random(), 1))


def _perhaps_bare(content: dict[str, Any], draw: Random) -> dict[str, Any]:
    """In half of the cases as versions wrote it that had no checksum."""
    return content if draw.random() < 0.5 else bare(content)


def _read(what: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as problem:
        is_meant = is_sentence(problem) or (isinstance(problem, (KeyError, TypeError)) and len(str(problem)) > 20)
        raise Told(what, REFUSED if is_meant else TRACEBACK) from None


def _config(folder: Path, resting: Callable[[str], Path], draw: Random) -> tuple[str, str]:
    case = draw.choice(CASES)
    run = shutil.copytree(resting(case), folder / "run")
    what, config = _change(json.loads((run / "config.json").read_text()), draw)
    (run / "config.json").write_text(json.dumps(config))
    return _judged(case, run, f"{case}, {what}")


def _history(folder: Path, resting: Callable[[str], Path], draw: Random) -> tuple[str, str]:
    case = draw.choice(CASES)
    run = shutil.copytree(resting(case), folder / "run")
    lines = (run / "history.jsonl").read_text().splitlines()
    number = draw.randrange(len(lines))
    what, line = _change(json.loads(lines[number]), draw)
    lines[number] = json.dumps(line)
    (run / "history.jsonl").write_text("\n".join(lines) + "\n")
    return _judged(case, run, f"{case}, line {number}, {what}")


def _judged(case: str, run: Path, what: str) -> tuple[str, str]:
    if case != "search" and (outcome := loaded(case, run)) in (TRACEBACK, WRONG):
        return f"{what}, loaded", outcome
    return what, judged(case, run, lambda: resume(case, run))


def _says(record: dict[str, Any], written: dict[str, Any]) -> bool:
    """Whether what was read has the values that the file has, to float32's precision."""
    return all(_same(record.get(key), value) for key, value in json.loads(json.dumps(written)).items())


def _same(read: Any, written: Any) -> bool:
    if isinstance(written, list):
        return isinstance(read, list) and len(read) == len(written) and all(map(_same, read, written))
    if isinstance(written, dict):
        return isinstance(read, dict) and read.keys() == written.keys() and all(_same(read[key], written[key]) for key in read)
    if isinstance(written, float) and isinstance(read, float):
        return math.isclose(read, written, rel_tol=1e-6, abs_tol=1e-7) or (math.isnan(read) and math.isnan(written))
    return read == written


def _old_history(folder: Path, resting: Callable[[str], Path], draw: Random) -> tuple[str, str]:
    lines = unsealed(map(json.loads, (resting("search") / "history.jsonl").read_text().splitlines()))
    what, lines = _change(lines, draw)
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = _read(what, lambda: History.read(folder))
    records = [record.to_json() for record in found]
    is_right = len(records) == len(lines) - 1 and all(map(_says, records, lines[1:]))
    return what, EQUAL if is_right else WRONG


def _records(folder: Path, resting: Callable[[str], Path], draw: Random) -> tuple[str, str]:
    case, cls = draw.choice((("training", TrainingRecord), ("text", LanguageRecord)))
    record = unsealed([json.loads((resting(case) / "history.jsonl").read_text().splitlines()[1])])[0]
    what, record = _change(record, draw)
    found = _read(what, lambda: cls.from_json(record))
    return f"{case}, {what}", EQUAL if _says(found.to_json(), record) else WRONG


@lru_cache
def _exported(folder: Path) -> tuple[Path, torch.Tensor]:
    """An export, and what its network says of some noise."""
    make("training", None)
    run = make("training", folder / "trained").run()
    path = gl.export_network(run, folder / "whole")
    run.close()
    return path, gl.load_exported(path)(_noise())


def _noise() -> torch.Tensor:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def _export(folder: Path, resting: Callable[[str], Path], draw: Random) -> tuple[str, str]:
    whole, logits = _exported(resting("training").parent / "export")
    export = shutil.copytree(whole, folder / "export")
    what, content = _change(_perhaps_bare(json.loads((export / "network.json").read_text()), draw), draw)
    (export / "network.json").write_text(json.dumps(content))
    network = _read(what, lambda: gl.load_exported(export))
    read = _read(what, lambda: gl.read_exported(export)).to_json()
    is_right = all(read[key] == json.loads(json.dumps(content[key])) for key in ("genotype", "settings", "scores"))
    return what, EQUAL if torch.equal(network(_noise()), logits) and is_right else WRONG


@lru_cache
def _shipped() -> str:
    return gzip.decompress((shipped.FOLDER / f"{RECORDED}.json.gz").read_bytes()).decode()


def _recorded(folder: Path, resting: Callable[[str], Path], draw: Random) -> tuple[str, str]:
    what, content = _change(_perhaps_bare(json.loads(_shipped()), draw), draw)
    (folder / f"{RECORDED}.json.gz").write_bytes(gzip.compress(json.dumps(content).encode(), 1))
    found = _read(what, lambda: shipped.recorded(RECORDED, folder))
    written = content["history"]["records"]
    is_right = len(found) == len(written) and all(_says(record.to_json(), line) for record, line in zip(found, written))
    return what, EQUAL if is_right and _same(found.about["config"], content["config"]) else WRONG


def _columns(folder: Path = tables.FOLDER) -> dict[str, np.ndarray]:
    file, about = tables.packaged("nasbench201", folder)
    return tables.read_packed(file, about["parts"], about["sha256"])[1]


def _table(folder: Path, resting: Callable[[str], Path], draw: Random) -> tuple[str, str]:
    shutil.copy(tables.FOLDER / "nasbench201.npz", folder)
    what, facts = _change(_perhaps_bare(json.loads((tables.FOLDER / "nasbench201.json").read_text()), draw), draw)
    (folder / "nasbench201.json").write_text(json.dumps(facts))
    found, right = _read(what, lambda: _columns(folder)), _columns()
    return what, EQUAL if all(np.array_equal(values, right[name]) for name, values in found.items()) else WRONG
