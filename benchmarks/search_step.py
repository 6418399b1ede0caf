"""One NAS-Bench-201 search step (weights and alpha) of the package beside the reference formulation: time and memory.

    python benchmarks/search_step.py                    # published size: C=16, N=5, batch 64, 32x32, float32, 2 threads
    python benchmarks/search_step.py --small            # C=4, N=1, one thread: by the compiled loops
    python benchmarks/search_step.py --quick            # a tiny size: shows that it works, measures nothing
    python benchmarks/search_step.py --save two-cores   # also writes benchmarks/results/two-cores.json and .md

Both start from the same weights, the same alpha and the same noise, so GDAS draws the same candidates in both. After one
step each to warm up, whose losses must agree (same_loss.py), a round times one step of the one, then one of the other; the
ratio is that of the medians over all rounds. Beside it stands the ratio of processor time, of all threads together,
which other programs at work change less.
Memory is the largest resident size of a process of its own that makes `--memory-steps` steps of one kind;
nothing is subtracted. How much of it was there before the first step (Python, PyTorch, the network) stands beside it.
1 GB = 10^9 bytes.
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
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gdas_lite.engines  # noqa: E402, F401  (registers them)
from benchmarks.reference_nb201 import ReferenceSearch, Supernet, copy_weights  # noqa: E402
from benchmarks.same_loss import TOLERANCE, check_same_loss  # noqa: E402
from gdas_lite.data.images import Augmentation, ImageData, ImageSet  # noqa: E402
from gdas_lite.runs.device import peak_resident, processor_name  # noqa: E402
from gdas_lite.runs.engine import ENGINES  # noqa: E402
from gdas_lite.search.algorithms import Sampler, algorithm_named  # noqa: E402
from gdas_lite.search.loop import Search  # noqa: E402
from gdas_lite.search.recipes import search_recipe  # noqa: E402
from gdas_lite.spaces.nasbench201 import NASBench201  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
ALGORITHMS = ("gdas", "darts-v1", "darts-v2")
SIZE, CLASSES, TAU, SEED = 32, 10, 10.0, 0
IMAGES = 25_000         # of CIFAR-10's train half
Step = Callable[[], float]      # does a step; the loss of its train batch


class Side(NamedTuple):
    """A supernet and the step that trains it."""

    net: nn.Module
    step: Step


def batches(batch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A train and a valid batch of normal noise, NCHW."""
    generator = torch.Generator().manual_seed(SEED)
    return [(torch.randn(batch, 3, SIZE, SIZE, generator=generator),
             torch.randint(CLASSES, (batch,), generator=generator)) for _ in range(2)]


def unused_data(batch: int) -> ImageData:
    """What `Search` needs to set itself up; its images are not looked at."""
    images = ImageSet(torch.zeros(batch, 3, SIZE, SIZE, dtype=torch.uint8), torch.zeros(batch, dtype=torch.int64))
    return ImageData("noise", CLASSES, tuple(map(str, range(CLASSES))), SIZE, 3, (0.5,) * 3, (0.5,) * 3, Augmentation(),
                     images, images, images, {"test": images})


def alpha_and_noise() -> tuple[torch.Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(SEED)
    return 1e-3 * torch.randn(6, 5, generator=generator), generator


def package_side(algorithm: str, arguments: argparse.Namespace) -> Side:
    """As `Search` sets it up: the paper's recipe, channels_last, the engine that it chooses for that many steps."""
    recipe = search_recipe("paper", "nasbench201", algorithm, batch_size=arguments.batch)
    recipe = replace(recipe, epochs=recipe.epochs * -(-IMAGES // arguments.batch))      # here one has one step
    search = Search(NASBench201(arguments.channels, arguments.cells_per_stage), unused_data(arguments.batch),
                    algorithm_named(algorithm), seed=SEED, device="cpu", engine=arguments.engine, precision=arguments.precision,
                    recipe=recipe)
    search.attach()
    alpha, noise = alpha_and_noise()
    with torch.no_grad():
        search.state.alphas["cell"].copy_(alpha)
    draw = Sampler(search.space, TAU, noise)
    train, valid = ((x.contiguous(memory_format=torch.channels_last), y) for x, y in batches(arguments.batch))
    return Side(search.state.supernet, lambda: search.algorithm.step(search.state, train, valid, draw)[0].loss.item())


def reference_side(algorithm: str, arguments: argparse.Namespace) -> Side:
    torch.manual_seed(SEED)
    net = Supernet(arguments.channels, arguments.cells_per_stage, CLASSES).train()
    search = ReferenceSearch(net, algorithm, torch.Generator().manual_seed(SEED), TAU)     # draws alpha first, too
    train, valid = batches(arguments.batch)
    return Side(net, lambda: search.step(train, valid).item())


SIDES = {"reference": reference_side, "package": package_side}


def seconds_in_turn(algorithm: str, steps: dict[str, Step], arguments: argparse.Namespace
                    ) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds and processor seconds of one step by side, one a round, the sides in turn (A B A B ...)."""
    check_same_loss(algorithm, {side: step() for side, step in steps.items()}, TOLERANCE[arguments.precision])
    seconds, processor = ({side: [] for side in steps} for _ in range(2))
    for _ in range(arguments.rounds):
        for side, step in steps.items():
            started, used = time.perf_counter(), time.process_time()
            step()
            seconds[side].append(time.perf_counter() - started)
            processor[side].append(time.process_time() - used)
    return seconds, processor


def peak_gb(algorithm: str, side: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Largest resident size of a fresh process before its first step and after steps of one side, GB."""
    command = [sys.executable, __file__, "--memory-of", algorithm, side, "--engine", arguments.engine,
               "--precision", arguments.precision]
    for name in ("channels", "cells_per_stage", "batch", "threads", "memory_steps"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measure(algorithm: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One row of the table: median seconds by side, their ratio, the range of the rounds' ratios, peak memory."""
    sides = {name: make(algorithm, arguments) for name, make in SIDES.items()}
    copy_weights(sides["reference"].net, sides["package"].net)
    seconds, processor = seconds_in_turn(algorithm, {name: side.step for name, side in sides.items()}, arguments)
    of_rounds = [a / b for a, b in zip(seconds["reference"], seconds["package"], strict=True)]
    medians, used = ({side: statistics.median(values) for side, values in each.items()}
                     for each in (seconds, processor))
    memory = {} if arguments.no_memory else {side: peak_gb(algorithm, side, arguments) for side in SIDES}
    return {"algorithm": algorithm, "seconds": seconds, "median_seconds": medians,
            "times_as_fast": medians["reference"] / medians["package"],
            "processor_seconds": processor, "times_as_fast_by_processor": used["reference"] / used["package"],
            "ratio_of_rounds": [min(of_rounds), max(of_rounds)], "peak_gb": memory}


def machine() -> dict[str, Any]:
    """Where and with what this was measured. load: processes waiting when it began; above 1 others were at work."""
    return {"cpu": processor_name(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__,
            "python": platform.python_version(), "load": round(os.getloadavg()[0], 2),
            "date": datetime.date.today().isoformat()}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| search | reference, s | package, s | times as fast (rounds) | by processor time "
             "| reference, peak GB (before) | package, peak GB (before) |",
             "|---|---|---|---|---|---|---|"]
    for row in rows:
        median, memory = row["median_seconds"], row["peak_gb"]
        peaks = [f"{memory[side]['peak']:.2f} ({memory[side]['before']:.2f})" if memory else "-" for side in SIDES]
        lowest, highest = row["ratio_of_rounds"]
        lines.append(f"| {row['algorithm']} | {median['reference']:.3f} | {median['package']:.3f} "
                     f"| **{row['times_as_fast']:.2f}** ({lowest:.2f} to {highest:.2f}) "
                     f"| {row['times_as_fast_by_processor']:.2f} | {peaks[0]} | {peaks[1]} |")
    return "\n".join(lines)


def heading(arguments: argparse.Namespace, where: dict[str, Any]) -> str:
    return (f"NAS-Bench-201, one search step: C={arguments.channels}, N={arguments.cells_per_stage}, batch "
            f"{arguments.batch}, {SIZE}x{SIZE}, package in {arguments.precision}, {arguments.rounds} rounds in turn\n"
            f"{where['cpu']}, {where['cores']} cores, {where['threads']} threads, load {where['load']}, "
            f"torch {where['torch']}, Python {where['python']}, {where['date']}\n{where['command']}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells-per-stage", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--engine", choices=("auto", *ENGINES), default="auto", help="of the package")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the package; the reference is fp32")
    parser.add_argument("--memory-steps", type=int, default=4)
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--small", action="store_true", help="C=4, N=1, 1 thread")
    parser.add_argument("--quick", action="store_true", help="C=4, N=1, batch 8, 1 thread, 2 rounds")
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/NAME.json and NAME.md")
    parser.add_argument("--memory-of", nargs=2, metavar=("ALGORITHM", "SIDE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.small or arguments.quick:
        arguments.channels, arguments.cells_per_stage, arguments.threads = 4, 1, 1
    if arguments.quick:
        arguments.batch, arguments.rounds = 8, 2
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    torch.set_num_threads(arguments.threads)
    if arguments.memory_of:
        algorithm, side = arguments.memory_of
        step = SIDES[side](algorithm, arguments).step
        before = peak_resident() / 1e9
        for _ in range(arguments.memory_steps):
            step()
        print(json.dumps({"before": before, "peak": peak_resident() / 1e9}))
        return
    where = machine() | {"command": shlex.join(["python", "benchmarks/search_step.py",
                                                *(sys.argv[1:] if argv is None else argv)])}
    print(heading(arguments, where) + "\n", flush=True)
    rows = []
    for algorithm in arguments.algorithms:
        rows.append(measure(algorithm, arguments))
        print(f"{algorithm}: {rows[-1]['times_as_fast']:.2f} times as fast", file=sys.stderr, flush=True)
    print(table(rows))
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{arguments.save}.json").write_text(json.dumps({"machine": where, "rows": rows}, indent=1) + "\n")
        (RESULTS / f"{arguments.save}.md").write_text(
            heading(arguments, where).replace("\n", "  \n") + "\n\n" + table(rows) + "\n")


if __name__ == "__main__":
    main()
