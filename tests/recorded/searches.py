"""Short seeded searches, one for each space and algorithm, on every engine that can do them; what they were, recorded.

The recipes are ones in which rounding stays small: with the usual ones two right engines drift apart within an epoch,
as Adam divides by the gradient's size. What a search did to alpha is measured by the way that alpha went.
`python -m tests.recorded` writes the record anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import gdas_lite as gl
from gdas_lite.engines.cpu import engine as cpu
from gdas_lite.engines.cuda.capturing import CapturingEngine

FILE = Path(__file__).with_name("alphas.json")
ALPHAS = 0.01       # of the way of all alphas together; between two engines here at most a thousandth of that
LOSSES = 2e-4       # of the loss
SPACES = {"nasbench201": gl.NASBench201(8, 1), "nasnet": gl.NASNet(8, cells=3), "recurrent": gl.Recurrent(hidden=8)}
ALGORITHMS = {"gdas": gl.GDAS(), "darts-v1": gl.DARTS(1), "darts-v2": gl.DARTS(2), "random": gl.RandomSearch(2, 8)}
ENGINES = ("plain", "layers", "cells", "loops", "words", "captured")


@dataclass(frozen=True)
class Case:
    """A search. engine: of ENGINES; cells, loops and words are the ways of the engine "cpu", captured is what "cuda" does
    on a GPU, by PyTorch's operations."""

    space: str
    algorithm: str
    engine: str = "plain"

    @property
    def name(self) -> str:
        return f"{self.space}, {self.algorithm}"

    @property
    def is_possible(self) -> bool:
        if self.space == "recurrent":
            return self.engine in ("plain", "layers", "words")
        return self.engine != "words" and (self.engine != "loops" or self.space == "nasbench201")


class Compiled(cpu.CpuEngine):
    """The engine "cpu" in one of its ways, whatever the size of the maps."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def attach(self, search: gl.Search) -> None:
        with mock.patch.object(cpu, "LARGEST", 0 if self.kind == "cells" else cpu.LARGEST):
            assert cpu.way(search.spec) == self.kind
            super().attach(search)


CASES = [case for space in SPACES for algorithm in ALGORITHMS for engine in ENGINES
         if (case := Case(space, algorithm, engine)).is_possible]


@lru_cache
def data_of(space: str) -> Any:
    if space == "recurrent":
        text = gl.load_data("grammar")
        return replace(text, train=text.train[:320], valid=text.valid[:320])
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(24)), valid_half=data.valid_half.subset(range(24)))


def search(case: Case, seed: int = 0, **changes: Any) -> gl.Search:
    """Two epochs. changes: of the recipe."""
    space, algorithm = SPACES[case.space], ALGORITHMS[case.algorithm]
    small = {"epochs": 2, "batch_size": 8, "learning_rate": 0.002, "alpha_learning_rate": 0.01, "alpha_eps": 0.1}
    if case.space == "recurrent":
        small |= {"learning_rate": 0.2, "learning_rate_end": 0.2, "bptt": 5, "batch_size": 16}
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, **small | changes)
    asked = case.engine if case.engine in ("plain", "layers") else "plain"
    run = gl.Search(space, data_of(case.space), algorithm, recipe=recipe, seed=seed, device="cpu", engine=asked)
    if case.engine == "captured":
        run.engine = CapturingEngine()
    elif case.engine in ("cells", "loops", "words"):
        run.engine = Compiled(case.engine)
        assert run.engine.obstacle(run.spec) is None
    return run


def done(run: gl.Search) -> dict[str, Any]:
    """What a search did: alphas at its start and end in one row, losses of each epoch, the cell."""
    def row() -> list[float]:
        return [float(f"{value:.7g}") for kind in sorted(run.state.alphas)
                for value in run.state.alphas[kind].detach().flatten().tolist()]

    start = row()
    run.run()
    losses = [float(f"{loss:.7g}") for record in run.history for loss in (record.train_loss, record.valid_loss)
              if np.isfinite(loss)]
    return {"start": start, "end": row(), "losses": losses, "cell": str(run.genotype)}


def noise() -> list[float]:
    """Numbers of which Gumbel noise is made: PyTorch 2.4 draws others, and other dropout masks, than 2.11 and 2.15."""
    return torch.empty(2).exponential_(generator=torch.Generator().manual_seed(3)).tolist()


def recorded() -> dict[str, Any]:
    """By name what each search was; "noise": that of the PyTorch that recorded them."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def differences(found: dict[str, Any], wanted: dict[str, Any], is_random: bool) -> dict[str, float]:
    """How far a search is from the recorded one, by what: shares of the tolerance, so that at most 1 is right."""
    start, end, here = (np.array(values) for values in (wanted["start"], wanted["end"], found["end"]))
    way = np.linalg.norm(end - start)
    assert (way == 0) == is_random and len(found["losses"]) == len(wanted["losses"])
    off = {"alphas": np.linalg.norm(here - end) / way / ALPHAS if way else float(np.abs(here - end).max()) / 1e-6,
           "start": float(np.abs(np.array(found["start"]) - start).max()) / 1e-6,
           "losses": max(abs(a / b - 1) for a, b in zip(found["losses"], wanted["losses"])) / LOSSES}
    return {name: float(value) for name, value in off.items()}
