"""Eight stacked small searches (C=4, N=1, digits) beside one `Search`: the time of a step of all eight over that of one.

    python benchmarks/stacked_search.py                     # GDAS, eight seeds, two threads
    python benchmarks/stacked_search.py --algorithm darts-v1 --rounds 5
    python benchmarks/stacked_search.py --save stacked_search

One search is as `gl.Search` runs it by itself (engine "plain"; and, to compare, "cpu"). After an epoch each to warm up, a
round times an epoch of the stack, then one of each single search; the ratio is that of the medians over all rounds. Beside
it stands the ratio of processor time, of all threads together, which other programs at work change little: it is what the
ratio would be if the stack had one core only.
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
from gdas_lite.reproduction.seeds import StackedSearch  # noqa: E402
from gdas_lite.search.algorithms import algorithm_named  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds and processor seconds of an epoch by side and round, the sides in turn."""
    data, algorithm = gl.load_data("digits"), algorithm_named(arguments.algorithm)
    space = gl.NASBench201(arguments.channels, arguments.cells_per_stage)
    recipe = gl.search_recipe("lesson", space.name, algorithm.name, epochs=arguments.rounds + 1)
    sides = {"stacked": StackedSearch(space, data, algorithm, seeds=range(arguments.searches), recipe=recipe,
                                         workers=arguments.workers)}
    for engine in ("plain", "cpu"):
        sides[f"one, {engine}"] = gl.Search(space, data, algorithm, seed=0, recipe=recipe, engine=engine)
    print(repr(sides["stacked"]) + "\n", flush=True)
    seconds, processor = ({side: [] for side in sides} for _ in range(2))
    for number in range(arguments.rounds + 1):
        for side, run in sides.items():
            started, used = time.perf_counter(), time.process_time()
            run.run_epoch()
            if number:
                seconds[side].append(time.perf_counter() - started)
                processor[side].append(time.process_time() - used)
    return {"algorithm": arguments.algorithm, "searches": arguments.searches, "steps": -(-len(data.train_half) // 64),
            "seconds": seconds, "processor": processor}


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    lines = [f"| {found['algorithm']} | ms a step | {found['searches']} stacked over it (rounds) | processor ms | ratio |",
             "|---|---|---|---|---|"]
    medians = {kind: {side: statistics.median(values) for side, values in found[kind].items()}
               for kind in ("seconds", "processor")}
    for side, values in found["seconds"].items():
        wall, used = (1000 * medians[kind][side] / found["steps"] for kind in ("seconds", "processor"))
        over = [a / b for a, b in zip(found["seconds"]["stacked"], values, strict=True)]
        wall_ratio, used_ratio = (medians[kind]["stacked"] / medians[kind][side] for kind in ("seconds", "processor"))
        if side == "stacked":
            lines.append(f"| {side} | {wall:.1f} | | {used:.1f} | |")
            continue
        lines.append(f"| {side} | {wall:.1f} | **{wall_ratio:.2f}** ({min(over):.2f} to {max(over):.2f}) | {used:.1f} "
                     f"| **{used_ratio:.2f}** |")
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
