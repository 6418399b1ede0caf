"""Captured searches in the space NAS-Bench-201 on a GPU: first that they are right, then what a step costs, in turn with others.

    python benchmarks/captured_search.py                # published size: C=16, N=5, batch 64, 32x32
    python benchmarks/captured_search.py --precision bf16
    python benchmarks/captured_search.py --searches 8   # so many at once, beside one
    python benchmarks/captured_search.py --quick        # a tiny size; without a GPU too, where steps run eagerly
    python benchmarks/captured_search.py --save h200    # also writes benchmarks/results/h200.json

A round runs 50 steps of each side: the reference formulation (benchmarks/reference_nb201.py, on batches that lie ready), the
package's plain loop, captured steps, and a stack of captured searches. What is reported is the median over rounds; for a stack,
of one step of all its searches. Noise takes the place of CIFAR-10. The first epoch, in which steps are captured, is not timed.

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
from benchmarks.reference_nb201 import ReferenceSearch, Supernet  # noqa: E402
from benchmarks.search_step import machine  # noqa: E402
from gdas_lite.data.images import Augmentation, ImageData, ImageSet  # noqa: E402
from gdas_lite.kernels import Engine  # noqa: E402
from gdas_lite.search.algorithms import algorithm_named  # noqa: E402
from gdas_lite.search.loop import Search  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
ALGORITHMS = ("gdas", "darts-v1", "darts-v2", "random")
EPOCH = 391             # steps of the published protocol
UPDATES = {"darts-v2": 5, "random": 1}      # passes forward and backward of a step, else two
PASSES = 4              # over a map: written, read, read again backwards, its gradient written
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


def searches(algorithm: str, data: ImageData, arguments: argparse.Namespace, count: int, engine: Engine | None) -> Any:
    """One search or a stack, whose `run_epoch` is a round. engine: what runs it, None for the plain loop."""
    space = gl.NASBench201(arguments.channels, arguments.cells_per_stage, track_running_stats=algorithm == "gdas")
    recipe = gl.search_recipe("paper", space.name, algorithm, batch_size=arguments.batch)
    options = {"recipe": recipe, "device": arguments.device, "engine": "plain", "precision": arguments.precision}
    run = Search(space, data, algorithm_named(algorithm), **({"seeds": range(count)} if count > 1 else {"seed": 0}), **options)
    for one in (run.searches if count > 1 else [run]):
        one.engine = engine or one.engine       # by hand: "fused" would first check what this has checked already
    return run


def reference(algorithm: str, arguments: argparse.Namespace) -> Rounds:
    torch.manual_seed(0)
    net = Supernet(arguments.channels, arguments.cells_per_stage, 10).train()
    search = ReferenceSearch(net, algorithm, torch.Generator().manual_seed(0))
    net.to(arguments.device)
    search.alpha.data = search.alpha.data.to(arguments.device)
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
    graphs, many = Engine("fused", "to be measured", "graphs"), f"{arguments.searches} captured"
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
    return {"algorithm": algorithm, "ms": found, "memory": memory, "kernels": inside}


def floor_bytes(algorithm: str, arguments: argparse.Namespace) -> float:
    """Of a step's maps; see the text above."""
    nodes, convolutions = 3, 12
    maps = nodes + convolutions * (1 if algorithm.startswith("darts") else 1 / 5)
    stages = sum(arguments.channels * 2**stage * (arguments.size // 2**stage)**2 for stage in range(3))
    numbers = arguments.batch * arguments.cells_per_stage * stages
    return UPDATES.get(algorithm, 2) * PASSES * maps * numbers * (2 if arguments.precision == "bf16" else 4)


def copy_speed(device: torch.device, size: int) -> float:
    """Bytes a second that a copy of `size` bytes reads and writes, the best of ten."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target, best = torch.empty_like(source), float("inf")
    for _ in range(10):
        started = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size / best


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
    """Markdown lines of one algorithm; the protocol is its step times 391 times its epochs."""
    epochs = gl.search_recipe("paper", "nasbench201", row["algorithm"]).epochs
    first, lines = statistics.median(next(iter(row["ms"].values()))), []
    for side, values in row["ms"].items():
        median = statistics.median(values)
        lines.append(f"| {row['algorithm']} | {side} | {median:.2f} | {first / median:.1f} | "
                     f"{median * EPOCH * epochs / 60e3:.1f} min |")
    if "floor_ms" in row:
        lines.append(f"| {row['algorithm']} | floor | {row['floor_ms']:.2f} | | |")
    return "\n".join(lines)


def kernel_table(row: dict[str, Any]) -> str:
    """Markdown."""
    return "\n".join([f"| {row['algorithm']}, a captured step | calls | ms |", "|---|---|---|",
                      *(f"| `{one['kernel']}` | {one['calls']:.1f} | {one['ms']:.3f} |" for one in row["kernels"])])


def checks(device: str) -> dict[str, float]:
    """The errors that an engine "fused" must keep small before it is used."""
    from gdas_lite.search import captured_check
    found = {"captured search, relative to the plain one": captured_check.largest_error(torch.device(device))}
    if device == "cuda":
        from gdas_lite.kernels.gpu import check
        found |= {f"search cell, {dtype}": check.largest_error(torch.device(device), dtype)
                  for dtype in (torch.float32, torch.bfloat16)}
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    for name, value in (("channels", 16), ("cells-per-stage", 5), ("batch", 64), ("size", 32), ("steps", 50), ("rounds", 5),
                        ("searches", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--quick", action="store_true", help="C=2, N=1, batch 4, 8x8, 2 steps, 1 round")
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/NAME.json")
    arguments = parser.parse_args(argv)
    arguments.device = "cuda" if torch.cuda.is_available() else "cpu"
    if arguments.quick:
        arguments.channels, arguments.cells_per_stage, arguments.batch, arguments.size = 2, 1, 4, 8
        arguments.steps, arguments.rounds = 2, 1
    elif arguments.device == "cpu":
        parser.error("this measures a GPU, and PyTorch sees none; --quick shows that it works")
    speed = copy_speed(torch.device(arguments.device), 2**20 if arguments.quick else 2**30)
    where = machine() | {"gpu": torch.cuda.get_device_name() if arguments.device == "cuda" else None, "copy_tb_s": speed / 1e12}
    print(f"{where}\nprecision {arguments.precision}; TF32 {torch.backends.cudnn.allow_tf32}\n")
    errors = checks(arguments.device)
    for name, error in errors.items():
        print(f"largest error, {name}: {error:.1e}")
    print("\n| search | side | a step, ms | times as fast | published protocol |\n|---|---|---|---|---|", flush=True)
    data, rows = noise(arguments), []
    for algorithm in arguments.algorithms:
        rows.append(measure(algorithm, data, arguments) | {"floor_ms": 1e3 * floor_bytes(algorithm, arguments) / speed})
        print(table(rows[-1]), flush=True)
    print("\n" + "\n\n".join(map(kernel_table, rows)))
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{arguments.save}.json").write_text(json.dumps({"machine": where, "errors": errors, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
