"""One training step of the published CIFAR network of GDAS_V1 beside a plain formulation of it, in turn.

    python benchmarks/training_step.py              # C=36, 20 cells, auxiliary head, batch 16, 32x32, float32, 2 threads

The plain formulation is the same network from stock layers in PyTorch's default memory layout, each operation with its
own ReLU, as AutoDL-Projects writes it. Drop path is off in both. After one step each to warm up, a round times one step
of the one, then one of the other; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gdas_lite as gl

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

from gdas_lite.genotypes.nasnet import NASNetGenotype  # noqa: E402
from gdas_lite.genotypes.zoo import zoo_genotype  # noqa: E402
from gdas_lite.spaces.cost import count_parameters  # noqa: E402


def relu_conv_norm(channels_in: int, channels: int) -> nn.Sequential:
    """Pre-processing of a cell's input."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels))


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
            operation(name, channels, 2 if is_reduction and src < 2 else 1) for node in self.nodes for name, src in node)

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        nodes = [self.inputs[0](older), self.inputs[1](newer)]
        for number, node in enumerate(self.nodes):
            nodes.append(sum(self.operations[2 * number + place](nodes[src]) for place, (_, src) in enumerate(node)))
        return torch.cat(nodes[2:], 1)


class PlainNetwork(nn.Module):
    """Stem, 20 cells with reductions at 6 and 13, auxiliary head behind the second, classifier."""

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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        older = newer = self.stem(x)
        for index, cell in enumerate(self.cells):
            older, newer = newer, cell(older, newer)
            if index == self.reductions[1]:
                auxiliary = self.auxiliary(newer)
        return self.classifier(newer.mean((2, 3))), auxiliary


def step_of(network: nn.Module, x: Tensor, y: Tensor, outputs: Callable[[], tuple[Tensor, Tensor]]) -> Callable[[], None]:
    """A whole step: both losses, backward, clipping, SGD."""
    sgd = torch.optim.SGD(network.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)

    def step() -> None:
        sgd.zero_grad()
        logits, auxiliary = outputs()
        (F.cross_entropy(logits, y) + 0.4 * F.cross_entropy(auxiliary, y)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5)
        sgd.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    genotype = zoo_genotype("GDAS_V1")
    x, y = torch.randn(chosen.batch, 3, 32, 32), torch.randint(10, (chosen.batch,))
    plain = PlainNetwork(genotype).train()
    ours = gl.network(genotype, channels=36, cells=20, classes=10, auxiliary=True).to(memory_format=torch.channels_last).train()
    assert count_parameters(plain) == count_parameters(ours)
    channels_last = x.contiguous(memory_format=torch.channels_last)
    steps = {"plain": step_of(plain, x, y, lambda: plain(x)),
             "gdas_lite": step_of(ours, x, y, lambda: ours(channels_last, with_auxiliary=True))}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(chosen.rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn:
                times[name].append(time.perf_counter() - start)
    print(f"GDAS_V1, C=36, 20 cells, batch {chosen.batch}, {chosen.threads} threads, torch {torch.__version__}, "
          f"{chosen.rounds} rounds in turn")
    for name, seconds in times.items():
        print(f"{name:10} median {statistics.median(seconds):.3f} s (from {min(seconds):.3f} to {max(seconds):.3f})")
    print(f"{statistics.median(times['plain']) / statistics.median(times['gdas_lite']):.2f} times as fast")


if __name__ == "__main__":
    main()
