"""Searches of a minute on one core, judged by NAS-Bench-201's table: the laptop recipe, and without each setting.

    python benchmarks/laptop_search.py main:0-15 rule-N:0-3 --into FILE.jsonl [--data-root CIFAR10] [--histories FOLDER]
    python benchmarks/laptop_search.py --table FILE.jsonl --save laptop_search

A run is a variant and a seed. Each that is finished is one line at the end of FILE; what is there already is not run
again. Nothing here looks at the table before the search is over.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gdas_lite as gl  # noqa: E402
from benchmarks.record_search import machine  # noqa: E402

MAIN: dict[str, Any] = {
    "channels": 4, "cells_per_stage": 1, "exclude": ("none",), "algorithm": gl.GDAS((1.0, 0.1), "P")}
# What a variant changes of it: fields of the space and of the recipe, the algorithm, the pictures.
VARIANTS: dict[str, dict[str, Any]] = {
    "main": {},
    "rule-N": {"algorithm": gl.GDAS((1.0, 0.1), "N")},
    "with-none": {"exclude": ()},
    "tau-10": {"algorithm": gl.GDAS((10.0, 0.1), "P")},
    "rate-3e-4": {"alpha_learning_rate": 3e-4},
    "C8": {"channels": 8},
    "N2": {"cells_per_stage": 2},
    "darts-v1": {"algorithm": gl.DARTS(1)},
    "darts-v1-published": {"algorithm": gl.DARTS(1), "exclude": (), "alpha_learning_rate": 3e-4},
    "random": {"algorithm": gl.RandomSearch()},
    "published-rules": {"algorithm": gl.GDAS(), "exclude": (), "alpha_learning_rate": 3e-4},
}
VARIANTS |= {f"{name}-all": changes | {"whole": True} for name, changes in VARIANTS.items()}
SPACE, OWN = ("channels", "cells_per_stage", "exclude"), ("algorithm", "whole")
SETS = {"cifar10": "c10_test_200", "cifar100": "c100_test_200", "imagenet16-120": "in16_test_200"}


def search_of(variant: str, seed: int, data: dict[bool, Any]) -> gl.Search:
    """Returns the search of a variant. data: packaged pictures under False, all of them under True."""
    asked = MAIN | VARIANTS[variant]
    algorithm = asked["algorithm"]
    changes = {name: value for name, value in asked.items() if name not in SPACE + OWN}
    recipe = gl.search_recipe("laptop", "nasbench201", algorithm.name, **changes)
    space = gl.NASBench201(**{name: asked[name] for name in SPACE})
    return gl.Search(space, data[asked.get("whole", False)], algorithm, recipe=recipe, seed=seed, engine="cpu")


def judged(genotype: Any) -> dict[str, Any]:
    """Returns accuracy (percent), rank and regret (points) of a cell in the table, by data set."""
    table = gl.tabular("nasbench201")
    return {name: {"accuracy": round(table.accuracy(genotype, column), 2), "rank": table.rank(genotype, column),
                   "regret": round(table.regret(genotype, column), 2)} for name, column in SETS.items()}


def run(variant: str, seed: int, data: dict[bool, Any]) -> tuple[dict[str, Any], gl.History]:
    """Returns what a finished search is worth, and its history."""
    search = search_of(variant, seed, data)
    started, used = time.perf_counter(), time.process_time()
    search.run()
    seconds, used = time.perf_counter() - started, time.process_time() - used
    last = search.history[-1]
    steps = search.steps_per_epoch * search.total_epochs
    line = {"variant": variant, "seed": seed, "genotype": str(search.genotype), **judged(search.genotype),
            "valid_accuracy": None if np.isnan(last.valid_accuracy) else round(last.valid_accuracy, 2),
            "steps": steps, "seconds": round(seconds, 1), "processor_seconds": round(used, 1),
            "load": round(os.getloadavg()[0], 1), "date": time.strftime("%Y-%m-%d %H:%M"), "machine": machine()}
    return line, search.history


def asked_runs(texts: list[str]) -> Iterator[tuple[str, int]]:
    """Reads "main:0-3" and "rule-N:2": variant and seeds."""
    for text in texts:
        variant, _, seeds = text.partition(":")
        if variant not in VARIANTS:
            raise SystemExit(f"no variant {variant!r}; there are {', '.join(VARIANTS)}")
        first, _, last = seeds.partition("-")
        yield from ((variant, seed) for seed in range(int(first), int(last or first) + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--into", type=Path, default=Path("laptop_search.jsonl"))
    parser.add_argument("--data-root")
    parser.add_argument("--histories", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, root = {False: gl.load_data("thumbnails")}, arguments.data_root
    for variant, seed in asked_runs(arguments.runs):
        done = arguments.into.read_text().splitlines() if arguments.into.exists() else []
        if any((line["variant"], line["seed"]) == (variant, seed) for line in map(json.loads, done)):
            continue
        if VARIANTS[variant].get("whole") and True not in data:
            data[True] = gl.load_data("thumbnails", root=root)
        line, history = run(variant, seed, data)
        with arguments.into.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if arguments.histories:
            arguments.histories.mkdir(parents=True, exist_ok=True)
            packed = gzip.compress(json.dumps(history.to_json()).encode())
            (arguments.histories / f"{variant}-{seed}.json.gz").write_bytes(packed)
        took = f"{line['seconds']} s ({line['processor_seconds']})"
        print(variant, seed, line["cifar10"], line["genotype"], took, flush=True)


if __name__ == "__main__":
    main()
