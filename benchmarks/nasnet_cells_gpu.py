"""NASNet search cells by the Triton kernels on a GPU: first that they are right, then what a cell costs beside PyTorch.

    python benchmarks/nasnet_cells_gpu.py               # the first cells of the published search: C=16, 32x32, batch 64
    python benchmarks/nasnet_cells_gpu.py --precision bf16
    TRITON_INTERPRET=1 python benchmarks/nasnet_cells_gpu.py --quick    # a tiny size without a GPU, in Triton's interpreter

Errors are relative to float64. Those of kernels and autocast in bfloat16 are to be compared: ReLUs that rounding switches make
both large. One is of a captured CUDA graph that is replayed with a draw which it was not captured with: what was drawn is data.
Times are of forward and backward pass of a normal cell, medians, the sides in turn. (The interpreter cuts bfloat16 off
where a GPU rounds.)
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gdas_lite as gl  # noqa: E402
from gdas_lite.engines.cpu.nasnet import graph_of  # noqa: E402
from gdas_lite.engines.cuda.nasnet import cell_on_gpu, sampled_cell  # noqa: E402
from gdas_lite.engines.cuda.selftest import relative  # noqa: E402
from gdas_lite.relaxation import Mixture, fixed_mixture, soft_mixture  # noqa: E402
from gdas_lite.spaces.nasnet_cells import EDGES, SearchCell  # noqa: E402
from gdas_lite.spaces.operations import NASNET_CANDIDATES  # noqa: E402
from tests.engines.nasnet_kernel_errors import beside_autocast, errors, example  # noqa: E402

DRAWS = [4, 6, 3, 5, 1, 7, 2, 4, 6, 3, 0, 5, 7, 1], [1, 0, 5, 4, 3, 2, 6, 7, 4, 4, 5, 6, 2, 3]      # columns of the edges


def small_errors(device: torch.device, arguments: argparse.Namespace) -> dict[str, float]:
    """Of cells with every candidate; bfloat16 beside float64 that is rounded where the kernels store, and what bfloat16 costs."""
    found = {}
    for stride in (1, 2)[arguments.quick:]:
        graph, weights, index = example(arguments.channels, stride, device)
        x = torch.randn(*arguments.shape[:1], 8, *arguments.shape[2:], generator=torch.Generator().manual_seed(1)).to(device)
        for real in (torch.float32, torch.bfloat16):
            case = errors(graph, [x.to(real)], weights, index)
            found |= {f"{real}, stride {stride}, {name}": error for name, error in case.items()}
        for name, sides in beside_autocast(graph, [x.bfloat16()], weights, index).items():
            found |= {f"of {side} in bfloat16, stride {stride}, {name}": error
                      for side, error in zip(("kernels", "autocast"), sides, strict=True)}
    return found


def cell_and_maps(device: torch.device, arguments: argparse.Namespace) -> tuple[SearchCell, list[Tensor]]:
    torch.manual_seed(0)
    cell = SearchCell((arguments.channels,) * 2, arguments.channels, False, False, gl.NASNet(arguments.channels).style)
    maps = [torch.randn(arguments.shape, generator=torch.Generator().manual_seed(seed)) for seed in (2, 3)]
    return cell.to(device), [x.to(device, arguments.real).contiguous(memory_format=torch.channels_last) for x in maps]


def run(step: Callable[..., Tensor], cell: nn.Module, maps: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """Output, gradients of maps, weights and parameters (zeros where there is none)."""
    leaves = [*(x.detach().requires_grad_() for x in maps), weights.detach().requires_grad_(), *cell.parameters()]
    out = step(cell, leaves[0], leaves[1], leaves[2])
    grads = torch.autograd.grad(out, leaves, torch.ones_like(out) * torch.linspace(-1, 1, out.shape[3], device=out.device),
                                allow_unused=True)
    return [out.detach(), *(torch.zeros_like(x) if grad is None else grad for x, grad in zip(leaves, grads, strict=True))]


def plain(mixture: Mixture) -> Callable[..., Tensor]:
    return lambda cell, older, newer, weights: cell(older, newer, Mixture(weights, mixture.active))


def fused(mixture: Mixture) -> Callable[..., Tensor]:
    def step(cell: SearchCell, older: Tensor, newer: Tensor, weights: Tensor) -> Tensor:
        asked = Mixture(weights, mixture.active)
        return cell_on_gpu(cell, older, newer, asked, graph_of(cell, asked))

    return step


def captured(cell: SearchCell, maps: Sequence[Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor, list[Tensor]]:
    """Forward and backward pass as a CUDA graph, the index that it reads, and what it finds."""
    index, ones = (torch.tensor(DRAWS[0], device=maps[0].device), torch.ones(len(EDGES), device=maps[0].device))

    def step(cell: nn.Module, older: Tensor, newer: Tensor, weights: Tensor) -> Tensor:
        return sampled_cell(cell, older, newer, index, weights)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            run(step, cell, maps, ones)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = run(step, cell, maps, ones)
    return graph, index, found


def replayed_error(cell: SearchCell, maps: Sequence[Tensor], graph: torch.cuda.CUDAGraph, index: Tensor, found: list[Tensor]
                   ) -> float:
    """With another draw than the graph was captured with."""
    index.copy_(torch.tensor(DRAWS[1]))
    graph.replay()
    mixture = fixed_mixture(DRAWS[1], len(NASNET_CANDIDATES))
    wanted = run(plain(mixture), copy.deepcopy(cell).double(), [x.double() for x in maps], mixture.weights.to(maps[0].device))
    wanted[3] = wanted[3][range(len(EDGES)), DRAWS[1]]
    return max(map(relative, found[:4], wanted))


def measure(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds by side, the first round left out."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, step in sides.items():
            started = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:
                found[side].append(1e3 * (time.perf_counter() - started))
    return {side: statistics.median(values) for side, values in found.items()}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("channels", 16), ("batch", 64), ("size", 32), ("rounds", 30)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the maps that are timed")
    parser.add_argument("--quick", action="store_true", help="batch 1, 4x3, 1 round, GDAS alone")
    arguments = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.quick:
        arguments.batch, arguments.rounds = 1, 1
    elif device.type == "cpu":
        parser.error("this measures a GPU, and PyTorch sees none; --quick shows that it works")
    arguments.shape = (arguments.batch, arguments.channels, *((4, 3) if arguments.quick else (arguments.size,) * 2))
    arguments.real = {"fp32": torch.float32, "bf16": torch.bfloat16}[arguments.precision]
    print(torch.cuda.get_device_name() if device.type == "cuda" else "Triton's interpreter", torch.__version__, flush=True)
    for name, error in small_errors(device, arguments).items():
        print(f"error, {name}: {error:.1e}", flush=True)
    cell, maps = cell_and_maps(device, arguments)
    more: dict[str, Callable[[], object]] = {}
    if device.type == "cuda":
        graph, index, found = captured(cell, maps)
        more["captured"] = graph.replay
        error = replayed_error(cell, maps, graph, index, found)
        print(f"error, a CUDA graph replayed with another draw: {error:.1e}", flush=True)
    mixtures = {"gdas": fixed_mixture(DRAWS[0], len(NASNET_CANDIDATES))}
    if not arguments.quick:
        mixtures["darts"] = soft_mixture(torch.zeros(len(EDGES), len(NASNET_CANDIDATES)))
    print("\n| cell | side | forward and backward, ms | times as fast |\n|---|---|---|---|")
    for name, mixture in mixtures.items():
        weights = mixture.weights.to(device)
        found = measure({side: lambda make=make, mixture=mixture, weights=weights: run(make(mixture), cell, maps, weights)
                         for side, make in (("plain", plain), ("fused", fused))} | (more if name == "gdas" else {}),
                        arguments.rounds)
        for side, spent in found.items():
            print(f"| {name} | {side} | {spent:.2f} | {found['plain'] / spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
