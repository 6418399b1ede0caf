"""Captured searches on a GPU: first that they are right, then what a step costs, in turn with others.

    python benchmarks/captured_search.py                # NAS-Bench-201 as published: C=16, N=5, batch 64, 32x32
    python benchmarks/captured_search.py --space nasnet # as published: C=16, 8 cells, 32x32, batch 256 (GDAS) or 64
    python benchmarks/captured_search.py --precision bf16
    python benchmarks/captured_search.py --searches 8   # so many at once, beside one
    python benchmarks/captured_search.py --quick        # a tiny size; without a GPU too, where steps run eagerly
    python benchmarks/captured_search.py --save h200    # also writes benchmarks/results/h200.json

A round runs 50 steps of each side: the reference formulation (benchmarks/reference_nb201.py, nasnet_reference.py, on batches that
lie ready), the package's plain loop, captured steps, and a stack of captured searches. What is reported is the median over
rounds; for a stack, of one step of all its searches. Noise takes the place of CIFAR-10. The first epoch, in which steps are
captured, is not timed.

The floor is what the maps of a captured step must move at least, at the speed of a copy measured here: every convolution's map
and every node written and read once forward, read once and its gradient written once backward, in every update (of an algorithm
that draws, as many convolutions as uniform draws give). Below it stand the kernels of captured steps, from PyTorch's profiler.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gdas_lite as gl  # noqa: E402
from benchmarks import nasnet_reference, reference_nb201  # noqa: E402
from benchmarks.captured_floor import copy_speed, floor_bytes  # noqa: E402
from benchmarks.search_step import machine  # noqa: E402
from gdas_lite.data.images import Augmentation, ImageData, ImageSet  # noqa: E402
from gdas_lite.engines.cuda.capturing import CapturingEngine  # noqa: E402
from gdas_lite.search.algorithms import algorithm_named  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
ALGORITHMS = ("gdas", "darts-v1", "darts-v2", "random")
IMAGES = 25_000         # of the published protocols' train half
SIZES = {"nasbench201": {"channels": 16, "cells": 5}, "nasnet": {"channels": 16, "cells": 8}}      # cells: a stage's, or all
QUICK = {"nasbench201": {"channels": 2, "cells": 1}, "nasnet": {"channels": 8, "cells": 3}}
LARGEST = 15            # kernels that are named
Rounds = Callable[[], None]


def noise(arguments: argparse.Namespace) -> ImageData:
    """CIFAR-10's shapes; one epoch is as long as a round and its batches are full."""
    generator, count = torch.Generator().manual_seed(0), arguments.batch * arguments.steps
    shape = (count, 3, arguments.size, arguments.size)
    halves = [ImageSet(torch.randint(256, shape, dtype=torch.uint8, generator=generator),
                       torch.randint(10, (count,), generator=generator)) for _ in range(2)]
    return ImageData("noise", 10, tuple("abcdefghij"), arguments.size, 3, (0.5,) * 3, (0.25,) * 3, Augmentation(4, True),
                     halves[0], *halves, {"test": halves[0]})


def searches(algorithm: str, data: ImageData, arguments: argparse.Namespace, count: int, engine: CapturingEngine | None) -> Any:
    """One search or a stack, whose `run_epoch` is a round. engine: what runs it, None for the plain loop."""
    if arguments.space == "nasnet":
        space = gl.NASNet(arguments.channels, cells=arguments.cells)
    else:
        space = gl.NASBench201(arguments.channels, arguments.cells, track_running_stats=algorithm == "gdas")
    recipe = gl.search_recipe("paper", space.name, algorithm, batch_size=arguments.batch)
    options = {"recipe": recipe, "device": arguments.device, "engine": "plain", "precision": arguments.precision}
    make = gl.searches if count > 1 else gl.Search
    run = make(space, data, algorithm_named(algorithm), **({"seeds": range(count)} if count > 1 else {"seed": 0}), **options)
    for one in (run.searches if count > 1 else [run]):
        one.engine = engine or one.engine       # by hand: asked for, it would first check what this has checked already
    return run


def reference(algorithm: str, arguments: argparse.Namespace) -> Rounds:
    torch.manual_seed(0)
    if arguments.space == "nasnet":
        search = nasnet_reference.ReferenceSearch("paper", algorithm, arguments.channels, arguments.cells)
        alphas = search.alphas.values()
    else:
        net = reference_nb201.Supernet(arguments.channels, arguments.cells, 10).train()
        search = reference_nb201.ReferenceSearch(net, algorithm, torch.Generator().manual_seed(0))
        alphas = [search.alpha]
    search.net.to(arguments.device)
    for alpha in alphas:
        alpha.data = alpha.data.to(arguments.device)
    shape = (arguments.batch, 3, arguments.size, arguments.size)
    train, valid = ((torch.randn(shape, device=arguments.device), torch.zeros(arguments.batch, dtype=torch.int64,
                                                                              device=arguments.device)) for _ in range(2))

    def steps() -> None:
        for _ in range(arguments.steps):
            search.step(train, valid)
        if train[0].is_cuda:
            torch.cuda.synchronize()

    return steps


def measure(algorithm: str, data: ImageData, arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a step by side and round, and the largest GPU memory in bytes."""
    graphs, many = CapturingEngine(), f"{arguments.searches} captured"
    captured = searches(algorithm, data, arguments, 1, graphs)
    sides: dict[str, Rounds] = {"plain": searches(algorithm, data, arguments, 1, None).run_epoch, "captured": captured.run_epoch}
    if algorithm != "random":
        sides = {"reference": reference(algorithm, arguments)} | sides
    if arguments.searches > 1:
        sides[many] = searches(algorithm, data, arguments, arguments.searches, graphs).run_epoch
    found: dict[str, list[float]] = {side: [] for side in sides}
    memory = dict.fromkeys(sides, 0)
    for number in range(arguments.rounds + 1):
        for side, run in sides.items():
            if arguments.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            run()
            if number:
                found[side].append(1e3 * (time.perf_counter() - started) / arguments.steps)
            if arguments.device == "cuda":
                memory[side] = max(memory[side], torch.cuda.max_memory_allocated())
    inside = kernels(captured, arguments)
    return {"space": arguments.space, "algorithm": algorithm, "batch": arguments.batch, "ms": found, "memory": memory,
            "kernels": inside}


def kernels(run: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Of an epoch of captured steps: calls and ms of a step by kernel (without a GPU: by operation), the longest first."""
    from torch.profiler import ProfilerActivity, profile

    on_gpu = arguments.device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as seen:
        run.run_epoch()
    rows = [{"kernel": event.key[:70], "calls": event.count / arguments.steps,
             "ms": (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e3 / arguments.steps}
            for event in seen.key_averages()]
    return sorted((row for row in rows if row["ms"] > 0), key=lambda row: -row["ms"])[:LARGEST]


def table(row: dict[str, Any]) -> str:
    """Markdown lines of one algorithm; the protocol is its step times the steps of its epochs."""
    steps = -(-IMAGES // row["batch"]) * gl.search_recipe("paper", row["space"], row["algorithm"]).epochs
    first, lines = statistics.median(next(iter(row["ms"].values()))), []
    for side, values in row["ms"].items():
        median = statistics.median(values)
        lines.append(f"| {row['algorithm']} | {side} | {median:.2f} | {first / median:.1f} | "
                     f"{median * steps / 60e3:.1f} min |")
    if "floor_ms" in row:
        lines.append(f"| {row['algorithm']} | floor | {row['floor_ms']:.2f} | | |")
    return "\n".join(lines)


def kernel_table(row: dict[str, Any]) -> str:
    """Markdown."""
    return "\n".join([f"| {row['algorithm']}, a captured step | calls | ms |", "|---|---|---|",
                      *(f"| `{one['kernel']}` | {one['calls']:.1f} | {one['ms']:.3f} |" for one in row["kernels"])])


def checks(device: str, space: str) -> dict[str, float]:
    """The errors that the engine "cuda" must keep small before it is used."""
    from gdas_lite.engines.cuda import selftest
    where = torch.device(device)
    found = {"captured search, relative to the plain one": selftest.steps_error(where, space)}
    if device == "cuda":
        found |= {f"search cell, {dtype}": selftest.kernel_error(where, space, dtype)
                  for dtype in (torch.float32, torch.bfloat16)}
    if device == "cuda" and space == "nasbench201":
        from tests.engines import nasbench201_kernel_errors as check
        from tests.engines.nasnet_kernel_errors import geometric_mean
        pairs = [pair for draw in check.DRAWS for pair in check.beside_autocast(draw, check.SHAPE, where).values()]
        for side, values in zip(("kernels", "autocast"), zip(*pairs, strict=True), strict=True):
            found[f"of a search cell in bfloat16 by {side} beside float64, mean"] = geometric_mean(values)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--space", choices=tuple(SIZES), default="nasbench201")
    for name, value in (("size", 32), ("steps", 50), ("rounds", 5), ("searches", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--channels", type=int, help="16 as published")
    parser.add_argument("--cells", type=int, help="of each stage in NAS-Bench-201 (5 as published), in all in NASNet (8)")
    parser.add_argument("--batch", type=int, help="as published unless given")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--quick", action="store_true", help="C=2, N=1 (NASNet: C=8, 3 cells), batch 4, 8x8, 2 steps, 1 round")
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/NAME.json")
    arguments = parser.parse_args(argv)
    arguments.device = "cuda" if torch.cuda.is_available() else "cpu"
    if arguments.quick:
        arguments.batch, arguments.size, arguments.steps, arguments.rounds = 4, 8, 2, 1
    elif arguments.device == "cpu":
        parser.error("this measures a GPU, and PyTorch sees none; --quick shows that it works")
    for name, value in (QUICK if arguments.quick else SIZES)[arguments.space].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    speed = copy_speed(torch.device(arguments.device), 2**20 if arguments.quick else 2**30)
    where = machine() | {"gpu": torch.cuda.get_device_name() if arguments.device == "cuda" else None, "copy_tb_s": speed / 1e12}
    print(f"{where}\nprecision {arguments.precision}; TF32 {torch.backends.cudnn.allow_tf32}\n")
    errors = checks(arguments.device, arguments.space)
    for name, error in errors.items():
        print(f"error, {name}: {error:.1e}")
    print("\n| search | side | a step, ms | times as fast | published protocol |\n|---|---|---|---|---|", flush=True)
    rows = []
    for algorithm in arguments.algorithms:
        published = gl.search_recipe("paper", arguments.space, algorithm).batch_size
        one = argparse.Namespace(**vars(arguments) | {"batch": arguments.batch or published})
        rows.append(measure(algorithm, noise(one), one) | {"floor_ms": 1e3 * floor_bytes(algorithm, one) / speed})
        print(table(rows[-1]), flush=True)
    print("\n" + "\n\n".join(map(kernel_table, rows)))
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{arguments.save}.json").write_text(json.dumps({"machine": where, "errors": errors, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
