"""Searches of a minute on one core, judged by NAS-Bench-201's table: the laptop recipe, and without each setting.

    python benchmarks/laptop_search.py main:4-15 rule-N:0-3 --into FILE.jsonl [--data-root CIFAR10] [--out RUNS]
    python benchmarks/laptop_search.py --into FILE.jsonl --save        # results/laptop_search.*, and what lessons read

A run is a variant and a seed. Each that is finished is one line at the end of FILE; what is there already is not run
again. Nothing here looks at the table before the search is over.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gdas_lite as gl  # noqa: E402
from benchmarks.record_search import machine  # noqa: E402
from gdas_lite.data import Batches  # noqa: E402
from gdas_lite.genotypes.contents import PARAMETER_FREE  # noqa: E402
from gdas_lite.lessons import laptop  # noqa: E402
from gdas_lite.relaxation import fixed_mixture  # noqa: E402
from gdas_lite.runs.resumable import generator_for  # noqa: E402
from gdas_lite.runs.schema import sealed  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "laptop_search"

MAIN: dict[str, Any] = {
    "channels": 4, "cells_per_stage": 1, "exclude": ("none",), "algorithm": gl.GDAS((1.0, 0.5), "P")}
PUBLISHED: dict[str, Any] = {"exclude": (), "alpha_start": 0.0}
# What a variant changes of it: fields of the space and of the recipe, the algorithm, the pictures.
VARIANTS: dict[str, dict[str, Any]] = {
    "main": {},
    "no-start": {"alpha_start": 0.0},
    "rule-N": {"algorithm": gl.GDAS((1.0, 0.5), "N")},
    "with-none": {"exclude": ()},
    "tau-10": {"algorithm": gl.GDAS((10.0, 0.1), "P")},
    "rate-1e-3": {"alpha_learning_rate": 1e-3},
    "tau-to-0.1": {"algorithm": gl.GDAS((1.0, 0.1), "P")},
    "batch-64": {"batch_size": 64},
    "epochs-120": {"epochs": 120},
    "C8": {"channels": 8},
    "N2": {"cells_per_stage": 2},
    "darts-v1": {"algorithm": gl.DARTS(1)},
    "darts-v1-published": {"algorithm": gl.DARTS(1)} | PUBLISHED,
    "random": {"algorithm": gl.RandomSearch()},
    "published-rules": {"algorithm": gl.GDAS()} | PUBLISHED,
}
# Supernets of two cells a stage, trained on uniformly random cells, say what each operation adds to the loss; the cell
# that adds least, with at most so many operations without weights ("free"). A seed has supernets of its own.
VARIANTS["added-losses"] = {"algorithm": gl.RandomSearch(1, 64), "cells_per_stage": 2, "supernets": 2, "free": 1}
VARIANTS["added-losses, no limit"] = VARIANTS["added-losses"] | {"supernets": 16, "free": 6}
# The recipe had the rate 1e-3 at first; 3e-4 was chosen on the seeds 0 to 3 of "chosen", so "main" has others.
VARIANTS |= {f"{name}, rate 1e-3": changes | {"alpha_learning_rate": 1e-3} for name, changes in VARIANTS.items()}
VARIANTS |= {"chosen": {}}
VARIANTS |= {f"{name}-all": changes | {"whole": True} for name, changes in VARIANTS.items()}
SPACE, OWN = ("channels", "cells_per_stage", "exclude"), ("algorithm", "whole", "supernets", "free")
SCORED_CELLS, PICTURES = 500, 512       # random cells, and pictures of the valid half, the same for all of them
SETS = {"cifar10": "c10_test_200", "cifar100": "c100_test_200", "imagenet16-120": "in16_test_200"}


def search_of(variant: str, seed: int, data: dict[bool, Any], out: Path | None = None) -> gl.Search:
    """Returns the search of a variant.

    data: packaged pictures under False, all of them under True. out: of run folders."""
    asked = MAIN | VARIANTS[variant]
    algorithm = asked["algorithm"]
    changes = {name: value for name, value in asked.items() if name not in SPACE + OWN}
    recipe = gl.search_recipe("laptop", "nasbench201", algorithm.name, **changes)
    space = gl.NASBench201(**{name: asked[name] for name in SPACE})
    return gl.Search(space, data[asked.get("whole", False)], algorithm, recipe=recipe, seed=seed, engine="cpu",
                     out=None if out is None else out / f"{variant}-{seed}")


def added_losses(search: gl.Search, data: Any) -> np.ndarray:
    """Returns what each operation adds to the valid loss of a cell with the shared weights, (edges, candidates): the
    additive model of random cells by least squares. Batch norm takes the batch's statistics."""
    labels, chance = search.space.labels["cell"], generator_for(search.seed, 0, "scoring")
    batch = next(Batches(data.valid_half, data, PICTURES, augmentation=None).epoch(chance))
    edges, candidates = labels.shape
    cells = torch.randint(candidates, (SCORED_CELLS, edges), generator=chance)
    losses = []
    with torch.no_grad():
        for cell in cells.tolist():
            mixture = fixed_mixture(cell, candidates).around(search.space.excluded_columns)
            losses.append(search.state.updates.loss(search.state, {"cell": mixture}, batch).loss.item())
    one_hot = torch.nn.functional.one_hot(cells, candidates).flatten(1).numpy()
    return np.linalg.lstsq(one_hot, losses)[0].reshape(edges, candidates)


def least_added(added: np.ndarray, candidates: Sequence[str], most_free: int) -> gl.NASBench201Genotype:
    """Returns the cell whose operations add least, of those with at most so many operations without weights.

    added: (edges, candidates)."""
    cells = np.array(list(product(range(len(candidates)), repeat=len(added))))
    free = np.isin(candidates, PARAMETER_FREE)[cells].sum(1)
    best = cells[np.where(free <= most_free, added[np.arange(len(added)), cells].sum(1), np.inf).argmin()]
    return gl.NASBench201Genotype(tuple(candidates[column] for column in best))


def judged(genotype: Any) -> dict[str, Any]:
    """Returns accuracy (percent), rank and regret (points) of a cell in the table, by data set."""
    table = gl.tabular("nasbench201")
    return {name: {"accuracy": round(table.accuracy(genotype, column), 2), "rank": table.rank(genotype, column),
                   "regret": round(table.regret(genotype, column), 2)} for name, column in SETS.items()}


def run(variant: str, seed: int, data: dict[bool, Any], out: Path | None = None) -> dict[str, Any]:
    """Returns what a finished search is worth, as a line of the file."""
    changes, added = VARIANTS[variant], []
    supernets = changes.get("supernets", 1)
    started, used = time.perf_counter(), time.process_time()
    for own_seed in range(supernets * seed, supernets * (seed + 1)):
        search = search_of(variant, own_seed, data, out).run()
        if "free" in changes:
            added.append(added_losses(search, data[changes.get("whole", False)]))
    candidates = search.space.labels["cell"].candidates
    genotype = least_added(np.mean(added, 0), candidates, changes["free"]) if added else search.genotype
    seconds, used = time.perf_counter() - started, time.process_time() - used
    last = search.history[-1]
    steps = supernets * search.steps_per_epoch * search.total_epochs
    return {"variant": variant, "seed": seed, "genotype": str(genotype), **judged(genotype),
            "valid_accuracy": None if np.isnan(last.valid_accuracy) else round(last.valid_accuracy, 2),
            **({"added_losses": np.round(added, 5).tolist()} if added else {}),
            "steps": steps, "seconds": round(seconds, 1), "processor_seconds": round(used, 1),
            "load": round(os.getloadavg()[0], 1), "date": time.strftime("%Y-%m-%d"), "machine": machine()}


def save(lines: Sequence[dict[str, Any]]) -> None:
    """Writes all runs as JSON and as a table, and the cells for the lessons."""
    ordered = sorted(lines, key=lambda line: (list(VARIANTS).index(line["variant"]), line["seed"]))
    RESULTS.with_suffix(".json").write_text("[\n" + ",\n".join(map(json.dumps, ordered)) + "\n]\n")
    RESULTS.with_suffix(".md").write_text(table(ordered) + "\n")
    cells: dict[str, dict[int, str]] = {}
    for line in ordered:
        cells.setdefault(line["variant"], {})[line["seed"]] = line["genotype"]
    about = {"made_by": "python benchmarks/laptop_search.py", "machine": ordered[0]["machine"],
             "dates": sorted({line["date"] for line in ordered})}
    content = sealed({"format": laptop.FORMAT, "about": about, "cells": cells})
    laptop.FILE.write_text(json.dumps(content, indent=1) + "\n")


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Returns means and standard deviations over seeds by variant, in Markdown."""
    heads = ("variant", "seeds", "CIFAR-10 (%)", "regret", "ranks of 15,625", "CIFAR-100 (%)", "ImageNet16-120 (%)",
             "processor s")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for variant in dict.fromkeys(line["variant"] for line in lines):
        mine = [line for line in lines if line["variant"] == variant]
        accuracies = [_mean([line[name]["accuracy"] for line in mine]) for name in SETS]
        ranks = ", ".join(f"{line['cifar10']['rank']:,}" for line in mine)
        seconds = np.mean([line["processor_seconds"] for line in mine])
        cells = (variant, ", ".join(str(line["seed"]) for line in mine), accuracies[0],
                 _mean([line["cifar10"]["regret"] for line in mine]), ranks, *accuracies[1:], f"{seconds:.0f}")
        rows.append(f"| {' | '.join(cells)} |")
    rows += other_limits([line for line in lines if line["variant"] == "added-losses"])
    curve = gl.tabular("nasbench201").random_search_curve(4, "c10_test_200", "c10_valid_12")
    rows += [f"| random search in the table, {count} cells of 12 epochs ({count * 300_000:,} images of 32 x 32) "
             f"| exact | {mean:.2f} ± {std:.2f} | {curve.best - mean:.2f} | | | | |"
             for count, mean, std in zip(curve.evaluations, curve.mean, curve.std, strict=True)]
    where = ", ".join(f"{name} {value}" for name, value in lines[0]["machine"].items())
    return "\n".join([*rows, "", f"{where}; one thread, load {min(line['load'] for line in lines)} to "
                                 f"{max(line['load'] for line in lines)}; {lines[-1]['date']}"])


def other_limits(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Returns rows of the same supernets in groups of 1, 2, 4, ..., with other limits, and of all cells within each
    limit, as a random choice has it."""
    if not lines:
        return []
    table, candidates = gl.tabular("nasbench201"), gl.NASBench201(exclude=("none",)).labels["cell"].candidates
    every = [cell for cell in gl.NASBench201Genotype.all() if "none" not in cell.ops]
    free = np.array([sum(op in PARAMETER_FREE for op in cell.ops) for cell in every])
    accuracy, best, rows = np.array([table.accuracy(cell) for cell in every]), table.accuracy(table.best()), []
    each = [added for line in lines for added in line["added_losses"]]
    for most in (0, 1, 6):
        limit = f"at most {most} without weights" if most < 6 else "no limit"
        for size in (2 ** power for power in range(len(each).bit_length())):
            found = [table.accuracy(least_added(np.mean(each[start:start + size], 0), candidates, most))
                     for start in range(0, len(each) - size + 1, size)]
            rows.append(f"| added losses, {limit}, supernets: {size} | the same, n={len(found)} | {_mean(found)} "
                        f"| {best - np.mean(found):.2f} | | | | |")
        within = accuracy[free <= most]
        rows.append(f"| random cells without none, {limit} | all {len(within):,} | {within.mean():.2f} ± "
                    f"{within.std():.2f} | {best - within.mean():.2f} | | | | |")
    return rows


def _mean(numbers: Sequence[float]) -> str:
    return f"{np.mean(numbers):.2f}" + (f" ± {np.std(numbers, ddof=1):.2f}" if len(numbers) > 1 else "")


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
    parser.add_argument("--out", type=Path)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, root = {False: gl.load_data("thumbnails")}, arguments.data_root
    for variant, seed in asked_runs(arguments.runs):
        done = arguments.into.read_text().splitlines() if arguments.into.exists() else []
        if any((line["variant"], line["seed"]) == (variant, seed) for line in map(json.loads, done)):
            continue
        if VARIANTS[variant].get("whole") and True not in data:
            data[True] = gl.load_data("thumbnails", root=root)
        line = run(variant, seed, data, arguments.out)
        with arguments.into.open("a") as file:
            file.write(json.dumps(line) + "\n")
        took = f"{line['seconds']} s ({line['processor_seconds']})"
        print(variant, seed, line["cifar10"], line["genotype"], took, flush=True)
    if arguments.save:
        save([json.loads(line) for line in arguments.into.read_text().splitlines()])


if __name__ == "__main__":
    main()
