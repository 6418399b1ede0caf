"""One NASNet-space search step (weights and alphas) beside the reference formulation: time in turn, peak memory, ratios.

    python benchmarks/nasnet_step.py --algorithm gdas --layout autodl [--threads 2] [--rounds 5] [--batch 64]
    python benchmarks/nasnet_step.py --algorithm gdas darts-v1 --layout autodl paper --save nasnet_step     # four rows, kept

C = 16, 32x32 images, CPU. Both start from the same weights and alphas, and their first losses must agree
(same_loss.py). Each round times one step of the one, then one of the other, with the same draws; the ratio is the median
of the rounds' ratios. Peak memory: of a process of its own that makes a step (GDAS four), over what it held before.
Measure on a quiet machine, or --processor-time with --threads 1; leave OMP_WAIT_POLICY unset: "passive" doubled the
reference's time, not ours.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gdas_lite.engines  # noqa: F401  (registers them)
from benchmarks.nasnet_reference import ReferenceSearch
from benchmarks.same_loss import TOLERANCE, check_same_loss
from gdas_lite.runs.device import computing_in, peak_resident, processor_name
from gdas_lite.runs.engine import SearchSpec, engine_for
from gdas_lite.search.algorithms import Sampler, algorithm_named
from gdas_lite.search.recipes import SearchRecipe
from gdas_lite.search.updates import Bilevel, classification
from gdas_lite.spaces.nasnet import NASNet

RESULTS = Path(__file__).resolve().parent / "results"
CHANNELS, SIDE = 16, 32


def spec_of(batch: int, algorithm: str = "gdas", layout: str = "paper", precision: str = "fp32") -> SearchSpec:
    """Of the package's step, from which a search chooses its engine."""
    order = "alpha_first" if algorithm == "darts-v2" else "weights_first"
    return SearchSpec(NASNet(CHANNELS, layout), algorithm_named(algorithm), SearchRecipe(batch_size=batch, update_order=order),
                      torch.device("cpu"), SIDE, precision)


def batches(size: int, channels_last: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, size, 3, SIDE, SIDE, generator=generator)
    y = torch.randint(10, (2, size), generator=generator)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return [(image.contiguous(memory_format=memory_format), label) for image, label in zip(x, y)]


class Side(NamedTuple):
    """What a step trains, and the step: the loss of its train batch."""

    net: nn.Module
    alphas: dict[str, nn.Parameter]
    step: Callable[[], float]


def reference_side(algorithm: str, layout: str, size: int, _precision: str = "fp32") -> Side:
    """Always in float32."""
    search, (train, valid) = ReferenceSearch(layout, algorithm), batches(size, channels_last=False)
    return Side(search.net, search.alphas, lambda: search.step(train, valid).item())


def our_side(algorithm: str, layout: str, size: int, precision: str = "fp32") -> Side:
    spec = spec_of(size, algorithm, layout, precision)
    space, chosen = spec.space, spec.algorithm
    supernet = space.supernet(10).to(memory_format=torch.channels_last).train()
    alphas = {kind: torch.nn.Parameter(1e-3 * torch.randn(labels.shape)) for kind, labels in space.labels.items()}
    sgd = torch.optim.SGD(supernet.parameters(), 0.025, 0.9, weight_decay=5e-4, nesterov=True)
    objective = computing_in("bf16", torch.device("cpu"))(classification) if precision == "bf16" else classification
    adam = torch.optim.Adam(alphas.values(), 3e-4, (0.5, 0.999), weight_decay=1e-3)
    state = Bilevel(supernet, alphas, sgd, adam, spec.recipe, objective)
    engine_for(spec)[0].attach(SimpleNamespace(state=state, spec=spec))
    draw, (train, valid) = Sampler(space, 10.0, torch.Generator().manual_seed(0)), batches(size, channels_last=True)
    return Side(supernet, alphas, lambda: chosen.step(state, train, valid, draw)[0].loss.item())


SIDES = {"reference": reference_side, "gdas_lite": our_side}


@torch.no_grad()
def copy_weights(source: Side, target: Side) -> None:
    """And alphas. The supernets have their weights in the same order."""
    for a, b in zip([*source.net.parameters(), *source.alphas.values()], [*target.net.parameters(), *target.alphas.values()],
                    strict=True):
        b.copy_(a)


def seconds(step: Callable[[], float], clock: Callable[[], float]) -> float:
    started = clock()
    step()
    return clock() - started


def peak_mib(pair: tuple[str, str], arguments: argparse.Namespace, which: str) -> float:
    """Peak memory of a step, MiB, measured in a process of its own."""
    command = [sys.executable, __file__, "--algorithm", pair[0], "--layout", pair[1], "--threads", str(arguments.threads),
               "--batch", str(arguments.batch), "--precision", arguments.precision, "--memory-of", which]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def print_memory(arguments: argparse.Namespace) -> None:
    """What the process of `peak_mib` does."""
    algorithm, layout = arguments.algorithm[0], arguments.layout[0]
    step = SIDES[arguments.memory_of](algorithm, layout, arguments.batch, arguments.precision).step
    before = peak_resident()
    for _ in range(4 if algorithm == "gdas" else 1):      # GDAS draws: some steps are larger than others
        step()
    print((peak_resident() - before) / 2**20)


def measure(pair: tuple[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    """One row: seconds of each round by side, median and range of the rounds' ratios, peak memory."""
    memory = {} if arguments.no_memory else {which: peak_mib(pair, arguments, which) for which in SIDES}
    sides = {which: make(*pair, arguments.batch, arguments.precision) for which, make in SIDES.items()}
    copy_weights(*sides.values())
    steps = {which: side.step for which, side in sides.items()}
    first = {which: step() for which, step in steps.items()}        # the first step of a process also compiles
    check_same_loss(" ".join(pair), first, TOLERANCE[arguments.precision])
    times: dict[str, list[float]] = {which: [] for which in steps}
    clock = time.process_time if arguments.processor_time else time.perf_counter
    for _ in range(arguments.rounds):
        for which, step in steps.items():
            times[which].append(seconds(step, clock))
    ratios = [reference / ours for reference, ours in zip(times["reference"], times["gdas_lite"], strict=True)]
    return {"algorithm": pair[0], "layout": pair[1], "batch": arguments.batch, "seconds": times,
            "median_seconds": {which: statistics.median(values) for which, values in times.items()},
            "times_as_fast": statistics.median(ratios), "ratio_of_rounds": [min(ratios), max(ratios)], "peak_mib": memory}


def machine(arguments: argparse.Namespace) -> dict[str, Any]:
    """Where and with what this was measured. load: processes waiting when it began; above 1 others were at work."""
    engine, reason = engine_for(spec_of(arguments.batch))
    return {"cpu": processor_name(), "cores": os.cpu_count(), "threads": arguments.threads, "torch": torch.__version__,
            "python": platform.python_version(), "engine": f"{engine.name}: {reason}",
            "load": round(os.getloadavg()[0], 2), "date": datetime.date.today().isoformat()}


def heading(arguments: argparse.Namespace, where: dict[str, Any]) -> str:
    return (f"NASNet space, one search step: C = {CHANNELS}, batch {arguments.batch}, {SIDE}x{SIDE}, package in "
            f"{arguments.precision}, {arguments.rounds} rounds in turn\n"
            f"{where['cpu']}, {where['cores']} cores, {where['threads']} threads, load {where['load']}, "
            f"torch {where['torch']}, Python {where['python']}, {where['date']}\n"
            f"engine of the package {where['engine']}\n{where['command']}")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| search | layout | reference, s | package, s | times as fast (rounds) | reference, peak MiB | package, peak MiB |",
             "|---|---|---|---|---|---|---|"]
    for row in rows:
        median, (lowest, highest) = row["median_seconds"], row["ratio_of_rounds"]
        peaks = [f"{row['peak_mib'][which]:.0f}" if row["peak_mib"] else "-" for which in SIDES]
        lines.append(f"| {row['algorithm']} | {row['layout']} | {median['reference']:.2f} | {median['gdas_lite']:.2f} "
                     f"| **{row['times_as_fast']:.2f}** ({lowest:.2f} to {highest:.2f}) | {peaks[0]} | {peaks[1]} |")
    return "\n".join(lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", nargs="+", choices=("gdas", "darts-v1", "darts-v2"), default=["gdas"])
    parser.add_argument("--layout", nargs="+", choices=("paper", "autodl"), default=["autodl"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the package; the reference is fp32")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--processor-time", action="store_true",
                        help="seconds that the processor worked, of all threads: steadier where others work, too")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, too")
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/NAME.json and NAME.md")
    parser.add_argument("--memory-of", choices=tuple(SIDES), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.memory_of:
        print_memory(arguments)
        return
    where = machine(arguments) | {"command": shlex.join(["python", "benchmarks/nasnet_step.py",
                                                         *(sys.argv[1:] if argv is None else argv)])}
    print(heading(arguments, where) + "\n", flush=True)
    rows = []
    for pair in product(arguments.algorithm, arguments.layout):
        rows.append(measure(pair, arguments))
        print(f"{pair[0]}, {pair[1]}: {rows[-1]['times_as_fast']:.2f} times as fast", file=sys.stderr, flush=True)
    print(table(rows))
    kept = json.dumps({"machine": where, "rows": rows}, indent=1) + "\n"
    if arguments.json:
        Path(arguments.json).write_text(kept)
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{arguments.save}.json").write_text(kept)
        (RESULTS / f"{arguments.save}.md").write_text(
            heading(arguments, where).replace("\n", "  \n") + "\n\n" + table(rows) + "\n")


if __name__ == "__main__":
    main()
