"""How good the cells are that searches find on the embedded digits: regret among all 15,625 cells, over many search seeds.

    python benchmarks/searches_on_the_digits.py [--seeds 16] [--algorithms gdas darts-v1] [--save NAME]

Searches run stacked, with the recipe `lesson` and the network size of the table. Beside them stands random search that trains as
many cells as make the same number of image passes (a search trains on half of the images for the weights and on the other
half for alpha, random search on the first alone), chosen by validation accuracy; exact.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import date
from itertools import permutations
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gdas_lite as gl  # noqa: E402
from benchmarks.digits_table.shards import machine  # noqa: E402
from gdas_lite.search.algorithms import algorithm_named  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"


def measure(name: str, seeds: int, recipe: str) -> tuple[np.ndarray, int, float]:
    """Regret of each seed's cell (seeds,), epochs of a search, seconds of all."""
    table, started = gl.tabular("digits"), time.perf_counter()
    protocol = table.about["protocol"]
    space = gl.NASBench201(protocol["channels"], protocol["cells_per_stage"])
    stack = gl.StackedSearch(space, gl.load_data("digits"), algorithm_named(name), seeds=range(seeds), recipe=recipe).run()
    return gl.landscape.regrets(table, stack.genotypes), len(stack.searches[0].history), time.perf_counter() - started


def line(name: str, regret: np.ndarray, epochs: int, seconds: float) -> str:
    """A row of the table."""
    table = gl.tabular("digits")
    rivals = max(1, round((1 if name == "random" else 2) * epochs / table.about["protocol"]["recipe"]["epochs"]))
    # one training of a cell chooses, another judges: a lucky one would be chosen for its luck, and judged with it
    chance = table.values(table.default_column).max() - np.mean([table.random_search_curve(
        rivals, f"digits_test_6_seed{judge}", f"digits_valid_6_seed{chooser}").mean[-1]
        for chooser, judge in permutations(range(3), 2)])
    spread = f" ± {regret.std(ddof=1):.1f}" if len(regret) > 1 else ""
    return (f"| {name} | {len(regret)} | {epochs} | {regret.mean():.1f}{spread} | {np.median(regret):.1f} | "
            f"{regret.min():.1f} to {regret.max():.1f} | {chance:.1f} (best of {rivals}) | {seconds:.0f} s |")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", default=["gdas", "darts-v1"], choices=("gdas", "darts-v1", "random"))
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--recipe", default="lesson")
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/NAME.md")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    table = gl.tabular("digits")
    values = table.values(table.default_column)
    middle = values.max() - np.median(values)
    lines = [f"Points below the best of all cells ({values.max():.2f} %; the median cell: {middle:.1f})", "",
             "| search | seeds | epochs | regret | median | from, to | random search, as many images | all searches |",
             "|---|---|---|---|---|---|---|---|"]
    for name in arguments.algorithms:
        lines.append(line(name, *measure(name, arguments.seeds, arguments.recipe)))
        print(lines[-1], flush=True)
    facts = machine()
    command = shlex.join(["python", "benchmarks/searches_on_the_digits.py", *(sys.argv[1:] if argv is None else argv)])
    lines += ["", f"{facts['processor']}, torch {facts['torch']}, Python {facts['python']}, {date.today()}  ", command]
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{arguments.save}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
