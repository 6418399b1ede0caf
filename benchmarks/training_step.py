"""One training step of derived networks, by the engines `layers` and `cpu`, beside stock layers, in turn.

    python benchmarks/training_step.py                          # all four cases, one thread, three rounds
    python benchmarks/training_step.py --case "GDAS_V1, batch 16" --rounds 5 --save training_step

GDAS_V1: C=36, 20 cells, auxiliary head, drop path 0.2, clipping. NAS-Bench-201: C=16, N=5, its best cell on CIFAR-10.
32x32 images, float32; with --precision bf16 the engines compute under autocast, stock layers do not. The stock network
is written as AutoDL-Projects writes it: PyTorch's default memory layout, each operation with its own ReLU. All start from
the same weights and drop the same paths, and their first losses must agree (same_loss.py). A round times one step of
each in turn. With one thread, the CPU time of the process is what a step costs whatever else the machine does; the
clock's stands beside it.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gdas_lite as gl

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

from benchmarks import reference_nb201  # noqa: E402
from benchmarks.same_loss import TOLERANCE, check_same_loss  # noqa: E402
from gdas_lite.engines.cpu.engine import CpuEngine, numba_obstacle  # noqa: E402
from gdas_lite.engines.layers.engine import LayersEngine  # noqa: E402
from gdas_lite.genotypes.nasnet import NASNetGenotype  # noqa: E402
from gdas_lite.genotypes.zoo import zoo_genotype  # noqa: E402
from gdas_lite.runs.device import computing_in, processor_name  # noqa: E402
from gdas_lite.runs.engine import Engine  # noqa: E402
from gdas_lite.spaces.operations import DropPath  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
SIDE, CLASSES, DROP_RATE = 32, 10, 0.2
BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
ENGINES = {"layers": LayersEngine, "cpu": CpuEngine}
CASES = {"GDAS_V1, batch 16": ("nasnet", 16), "GDAS_V1, batch 64": ("nasnet", 64),
         "NAS-Bench-201, batch 64": ("nasbench201", 64), "NAS-Bench-201, batch 256": ("nasbench201", 256)}
Step = Callable[[], float]      # does a step; its loss


def relu_conv_norm(channels_in: int, channels: int, kernel: int = 1) -> nn.Sequential:
    """Pre-processing of a cell's input, and NAS-Bench-201's convolutions."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=False),
                         nn.BatchNorm2d(channels))


class FactorisedReduction(nn.Module):
    """Two 1x1 convolutions of stride 2, the second shifted by one pixel."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels_in, part, 1, stride=2, bias=False)
                                   for part in (channels // 2, channels - channels // 2))
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.convs[0](x), self.convs[1](shifted)], 1))


def separable_unit(channels: int, kernel: int, stride: int, dilation: int) -> list[nn.Module]:
    """ReLU, depth-wise and point-wise convolution, batch norm."""
    padding = dilation * (kernel - 1) // 2
    return [nn.ReLU(), nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)]


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """An operation of GDAS_V1 by name."""
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorisedReduction(channels, channels)
    kind, _, size = name.partition("_conv_")
    kernel = int(size[0])
    if kind == "dil":
        return nn.Sequential(*separable_unit(channels, kernel, stride, 2))
    return nn.Sequential(*separable_unit(channels, kernel, stride, 1), *separable_unit(channels, kernel, 1, 1))


class Cell(nn.Module):
    """Four nodes, each the sum of two operations, concatenated."""

    def __init__(self, genotype: NASNetGenotype, is_reduction: bool, inputs: tuple[int, int], channels: int,
                 follows_reduction: bool) -> None:
        super().__init__()
        self.nodes = genotype.reduce if is_reduction else genotype.normal
        first = FactorisedReduction if follows_reduction else relu_conv_norm
        self.inputs = nn.ModuleList([first(inputs[0], channels), relu_conv_norm(inputs[1], channels)])
        self.operations = nn.ModuleList(
            operation(name, channels, 2 if is_reduction and src < 2 else 1)
            for node in self.nodes for name, src in node)

    def forward(self, older: Tensor, newer: Tensor, masks: Iterator[Tensor]) -> Tensor:
        nodes = [self.inputs[0](older), self.inputs[1](newer)]
        for number, node in enumerate(self.nodes):
            nodes.append(sum(dropped(self.operations[2 * number + place], nodes[src], masks)
                             for place, (_, src) in enumerate(node)))
        return torch.cat(nodes[2:], 1)


def dropped(operation: nn.Module, x: Tensor, masks: Iterator[Tensor]) -> Tensor:
    """Drop path; a mask holds zeros and ones."""
    if isinstance(operation, nn.Identity):
        return x
    return torch.div(operation(x), 1 - DROP_RATE).mul_(next(masks))


class PlainNetwork(nn.Module):
    """Stem, 20 cells with reductions at 6 and 13, auxiliary head behind the second, classifier. masks: of drop path."""

    def __init__(self, genotype: NASNetGenotype, channels: int = 36, cells: int = 20, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels))
        self.reductions = (cells // 3, 2 * cells // 3)
        self.cells, inputs, follows = nn.ModuleList(), (3 * channels, 3 * channels), False
        for index in range(cells):
            is_reduction = index in self.reductions
            channels *= 2 if is_reduction else 1
            self.cells.append(Cell(genotype, is_reduction, inputs, channels, follows))
            inputs, follows = (inputs[1], 4 * channels), is_reduction
        self.auxiliary = nn.Sequential(
            nn.ReLU(), nn.AvgPool2d(5, 3, count_include_pad=False), nn.Conv2d(4 * channels, 128, 1, bias=False),
            nn.BatchNorm2d(128), nn.ReLU(), nn.Conv2d(128, 768, 2, bias=False), nn.BatchNorm2d(768), nn.ReLU(),
            nn.Flatten(), nn.Linear(768, classes))
        self.classifier = nn.Linear(4 * channels, classes)

    def forward(self, x: Tensor, masks: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
        older = newer = self.stem(x)
        for index, cell in enumerate(self.cells):
            older, newer = newer, cell(older, newer, masks)
            if index == self.reductions[1]:
                auxiliary = self.auxiliary(newer)
        return self.classifier(newer.mean((2, 3))), auxiliary


class InferCell(nn.Module):
    """A derived cell of NAS-Bench-201: node by node the sum of its edges; no edge here is `none`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sources = reference_nb201.INPUTS
        made = {"nor_conv_3x3": lambda: relu_conv_norm(channels, channels, 3), "skip_connect": nn.Identity}
        self.edges = nn.ModuleList(made[name]() for name in gl.parse_genotype(BEST).ops)

    def forward(self, x: Tensor) -> Tensor:
        nodes, edges = [x], iter(self.edges)
        for sources in self.sources.values():
            nodes.append(sum(next(edges)(nodes[src]) for src in sources))
        return nodes[-1]


def plain_nasbench201() -> nn.Module:
    """The reference's skeleton (16 channels, five cells a stage) with derived cells in it."""
    network = reference_nb201.Supernet(classes=CLASSES)
    for index, block in enumerate(network.body):
        if isinstance(block, reference_nb201.SearchCell):
            network.body[index] = InferCell(16 * 2**(index // 6))       # a residual block begins a stage
    return network


def step_of(network: nn.Module, objective: Callable[[], Tensor], clips: bool, engine: Engine | None = None) -> Step:
    """A whole step: loss, backward, clipping, SGD; an engine has what `gl.Training` gives it."""
    params = list(network.parameters())
    sgd = torch.optim.SGD(params, 0.025, momentum=0.9, weight_decay=5e-4, nesterov=not clips)
    if engine is not None:
        engine.attach_network(network)
        sgd = engine.optimizer(network, sgd)
    clip = getattr(sgd, "clip_grad_norm_", nn.utils.clip_grad_norm_)

    def step() -> float:
        sgd.zero_grad()
        loss = objective()
        loss.backward()
        if clips:
            clip(params, 5)
        sgd.step()
        return loss.item()

    return step


def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """The networks have their parameters in the same order."""
    with torch.no_grad():
        for a, b in zip(source.parameters(), target.parameters(), strict=True):
            b.copy_(a)


def steps_of(space: str, size: int, precision: str) -> dict[str, Step]:
    """A case's step by engine and of the stock network, from the same weights, with the same images and masks."""
    torch.manual_seed(0)
    x, y = torch.randn(size, 3, SIDE, SIDE), torch.randint(CLASSES, (size,))
    last = x.contiguous(memory_format=torch.channels_last)
    is_nasnet = space == "nasnet"
    genotype = zoo_genotype("GDAS_V1") if is_nasnet else gl.parse_genotype(BEST)
    plain = PlainNetwork(genotype) if is_nasnet else plain_nasbench201()
    options = {"channels": 36, "cells": 20, "auxiliary": True} if is_nasnet else {"channels": 16, "cells_per_stage": 5}
    ours = gl.network(genotype, classes=CLASSES, **options)
    (copy_parameters if is_nasnet else reference_nb201.copy_weights)(plain, ours)

    def drop_path() -> DropPath:
        return DropPath(DROP_RATE, torch.Generator().manual_seed(0))

    def with_head(outputs: Sequence[Tensor]) -> Tensor:
        return F.cross_entropy(outputs[0], y) + 0.4 * F.cross_entropy(outputs[1], y)

    def of_plain() -> Tensor:
        if not is_nasnet:
            return F.cross_entropy(plain(x, None), y)
        masks = drop_path().masks(sum(cell.num_masks for cell in ours.cells), x)
        return with_head(plain(x, iter(masks.mul(1 - DROP_RATE).round())))

    def of_ours(network: nn.Module) -> Tensor:
        options = {"drop_path": drop_path(), "with_auxiliary": True} if is_nasnet else {}
        with computing_in(precision, torch.device("cpu")):
            outputs = network(last, **options)
        return with_head([each.float() for each in outputs]) if is_nasnet else F.cross_entropy(outputs.float(), y)

    steps = {"stock layers": step_of(plain.train(), of_plain, is_nasnet)}
    for name, engine in ENGINES.items():
        network = copy.deepcopy(ours).to(memory_format=torch.channels_last).train()
        steps[name] = step_of(network, lambda network=network: of_ours(network), is_nasnet, engine())
    return steps


def measure(case: str, rounds: int, precision: str) -> dict[str, list[tuple[float, float]]]:
    """CPU and clock seconds of each round by engine."""
    steps = steps_of(*CASES[case], precision)
    check_same_loss(case, {name: step() for name, step in steps.items()}, TOLERANCE[precision])     # compiles, too
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            cpu, clock = time.process_time(), time.perf_counter()
            step()
            times[name].append((time.process_time() - cpu, time.perf_counter() - clock))
    return times


def row(case: str, times: dict[str, list[tuple[float, float]]]) -> str:
    """A table's row: medians, and how many times as fast by CPU time, with the worst and best round."""
    cells = [f"{statistics.median(cpu for cpu, _ in found):.2f} ({statistics.median(clock for _, clock in found):.2f})"
             for found in times.values()]
    for name in ENGINES:
        ratios = [plain / ours for (plain, _), (ours, _) in zip(times["stock layers"], times[name], strict=True)]
        cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return f"| {case} | {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help="; ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the engines")
    parser.add_argument("--save", help="name of a file in benchmarks/results")
    chosen = parser.parse_args(argv)
    if numba_obstacle() is not None:
        raise SystemExit(f"engine cpu: {numba_obstacle()}")
    torch.set_num_threads(chosen.threads)
    command = shlex.join(["python", "benchmarks/training_step.py", *(sys.argv[1:] if argv is None else argv)])
    lines = [f"One training step: {SIDE}x{SIDE} images, engines in {chosen.precision}, {chosen.rounds} rounds in turn; seconds of CPU time "
             "(of the clock), ratios of CPU time  ",
             f"{processor_name()}, {os.cpu_count()} cores, {chosen.threads} threads, load {os.getloadavg()[0]:.1f}, "
             f"torch {torch.__version__}, {datetime.date.today()}  ", f"`{command}`", "",
             "| network | stock layers | engine layers | engine cpu | layers: times as fast (rounds) "
             "| cpu: times as fast (rounds) |", "|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for case in chosen.case:
        lines.append(row(case, measure(case, chosen.rounds, chosen.precision)))
        print(lines[-1], flush=True)
        if chosen.save:     # a run that is stopped has its rows
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{chosen.save}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
