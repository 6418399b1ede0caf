"""Eight stacked small searches (C=4, N=1, digits) beside one `Search`: the time of a step of all eight over that of one.

    python benchmarks/stacked_search.py                     # GDAS, eight seeds, two threads
    python benchmarks/stacked_search.py --algorithm darts-v1 --rounds 5
    python benchmarks/stacked_search.py --save stacked_search

One search is as `gl.Search` runs it by itself (engine "plain"; and, to compare, "fused"). After an epoch each to warm up, a
round times an epoch of the stack, then one of each single search; the ratio is that of the medians over all rounds.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gdas_lite as gl  # noqa: E402
from benchmarks.search_step import machine  # noqa: E402
from gdas_lite.search.algorithms import algorithm_named  # noqa: E402
from gdas_lite.search.stacked import StackedSearch  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of an epoch by side and round, the sides in turn."""
    data, algorithm = gl.load_data("digits"), algorithm_named(arguments.algorithm)
    space = gl.NASBench201(arguments.channels, arguments.cells_per_stage)
    recipe = gl.search_recipe("lesson", space.name, algorithm.name, epochs=arguments.rounds + 1)
    sides = {"stacked": StackedSearch(space, data, algorithm, seeds=range(arguments.searches), recipe=recipe,
                                         workers=arguments.workers)}
    for engine in ("plain", "fused"):
        sides[f"one, {engine}"] = gl.Search(space, data, algorithm, seed=0, recipe=recipe, engine=engine)
    print(repr(sides["stacked"]) + "\n", flush=True)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(arguments.rounds + 1):
        for side, run in sides.items():
            started = time.perf_counter()
            run.run_epoch()
            if number:
                seconds[side].append(time.perf_counter() - started)
    return {"algorithm": arguments.algorithm, "searches": arguments.searches, "steps": -(-len(data.train_half) // 64),
            "seconds": seconds}


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    stacked = found["seconds"]["stacked"]
    lines = [f"| {found['algorithm']} | ms a step | {found['searches']} stacked over it (rounds) |", "|---|---|---|"]
    for side, values in found["seconds"].items():
        ratios = [a / b for a, b in zip(stacked, values, strict=True)]
        ratio = "" if side == "stacked" else (f"**{statistics.median(stacked) / statistics.median(values):.2f}** "
                                              f"({min(ratios):.2f} to {max(ratios):.2f})")
        lines.append(f"| {side} | {1000 * statistics.median(values) / found['steps']:.1f} | {ratio} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", choices=("gdas", "darts-v1", "random"), default="gdas")
    parser.add_argument("--searches", type=int, default=8)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--cells-per-stage", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/NAME.json and NAME.md")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    found = measure(arguments)
    where = machine() | {"command": shlex.join(["python", "benchmarks/stacked_search.py",
                                                *(sys.argv[1:] if argv is None else argv)])}
    heading = (f"{where['cpu']}, {where['cores']} cores, load {where['load']}, torch {where['torch']}, Python "
               f"{where['python']}, {where['date']}  \n{where['command']}")
    print(table(found) + "\n\n" + heading)
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{arguments.save}.json").write_text(json.dumps({"machine": where} | found, indent=1) + "\n")
        (RESULTS / f"{arguments.save}.md").write_text(table(found) + "\n\n" + heading + "\n")


if __name__ == "__main__":
    main()
