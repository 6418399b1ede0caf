"""One NASNet-space search step (weights and alphas) beside the reference formulation: time in turn, peak memory, ratios.

    python benchmarks/nasnet_step.py --algorithm gdas --layout autodl [--threads 2] [--rounds 5] [--batch 64]

C = 16, 32x32 images, float32, CPU. Each round times one step of the one, then one of the other, with the same draws; the
ratio is the median of the rounds' ratios. Peak memory: of a process of its own that makes a step (GDAS four), over what
it held before. On a machine that others use too, set OMP_WAIT_POLICY=passive.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.nasnet_reference import ReferenceSearch
from gdas_lite import kernels
from gdas_lite.kernels.sgd import SGD
from gdas_lite.search.algorithms import Draw, algorithm_named
from gdas_lite.search.recipes import SearchRecipe
from gdas_lite.search.updates import Bilevel, classification
from gdas_lite.spaces.nasnet import NASNet


def batches(size: int, channels_last: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, size, 3, 32, 32, generator=generator)
    y = torch.randint(10, (2, size), generator=generator)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return [(image.contiguous(memory_format=memory_format), label) for image, label in zip(x, y)]


def reference_step(algorithm: str, layout: str, size: int) -> Callable[[], None]:
    search, (train, valid) = ReferenceSearch(layout, algorithm), batches(size, channels_last=False)
    return lambda: search.step(train, valid)


def our_step(algorithm: str, layout: str, size: int) -> Callable[[], None]:
    space, recipe = NASNet(16, layout), SearchRecipe()
    supernet = space.supernet(10).to(memory_format=torch.channels_last).train()
    alphas = {kind: torch.nn.Parameter(1e-3 * torch.randn(labels.shape)) for kind, labels in space.labels.items()}
    sgd = SGD(supernet.parameters(), 0.025, 0.9, weight_decay=5e-4, nesterov=True)
    sgd.is_compiled = kernels.chosen(size * 16 * 32 * 32).name == "fused"      # as a search does
    adam = torch.optim.Adam(alphas.values(), 3e-4, (0.5, 0.999), weight_decay=1e-3)
    state, chosen = Bilevel(supernet, alphas, sgd, adam, recipe, classification), algorithm_named(algorithm)
    draw, (train, valid) = Draw(space, 10.0, torch.Generator().manual_seed(0)), batches(size, channels_last=True)
    return lambda: chosen.step(state, train, valid, draw)


STEPS = {"reference": reference_step, "gdas_lite": our_step}


def seconds(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def peak_mib(arguments: argparse.Namespace, which: str) -> float:
    """Peak memory of a step, MiB, measured in a process of its own."""
    command = [sys.executable, __file__, "--algorithm", arguments.algorithm, "--layout", arguments.layout, "--threads",
               str(arguments.threads), "--batch", str(arguments.batch), "--memory-of", which]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", choices=("gdas", "darts-v1"), default="gdas")
    parser.add_argument("--layout", choices=("paper", "autodl"), default="autodl")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--memory-of", choices=tuple(STEPS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.memory_of:
        step = STEPS[arguments.memory_of](arguments.algorithm, arguments.layout, arguments.batch)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(4 if arguments.algorithm == "gdas" else 1):      # GDAS draws: some steps are larger than others
            step()
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
        return
    memory = {which: peak_mib(arguments, which) for which in STEPS}
    steps = {which: make(arguments.algorithm, arguments.layout, arguments.batch) for which, make in STEPS.items()}
    for step in steps.values():     # the first step of a process also compiles
        step()
    times: dict[str, list[float]] = {which: [] for which in steps}
    for _ in range(arguments.rounds):
        for which, step in steps.items():
            times[which].append(seconds(step))
    print(f"{arguments.algorithm}, layout {arguments.layout}, batch {arguments.batch}, {arguments.threads} threads, "
          f"torch {torch.__version__}, {platform.machine()}")
    for which, values in times.items():
        print(f"  {which:<10} {statistics.median(values):7.2f} s a step (fastest {min(values):.2f}), "
              f"peak {memory[which]:6.0f} MiB")
    ratios = [reference / ours for reference, ours in zip(times["reference"], times["gdas_lite"], strict=True)]
    print(f"  times as fast: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
          f"memory {memory['gdas_lite'] / memory['reference']:.2f}")


if __name__ == "__main__":
    main()
