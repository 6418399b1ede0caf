"""What a search step must move at least on a GPU: of every map, by the speed of a copy. See captured_search.py."""

from __future__ import annotations

import argparse
import time

import torch

UPDATES = {"darts-v2": 5, "random": 1}      # passes forward and backward of a step, else two
PASSES = 4              # over a map: written, read, read again backwards, its gradient written


def floor_bytes(algorithm: str, arguments: argparse.Namespace) -> float:
    """Of a step's maps: those of every convolution and pooling that a batch norm follows, and every node."""
    numbers = {"nasbench201": nasbench201_maps, "nasnet": nasnet_maps}[arguments.space](algorithm, arguments)
    return UPDATES.get(algorithm, 2) * PASSES * numbers * arguments.batch * (2 if arguments.precision == "bf16" else 4)


def nasbench201_maps(algorithm: str, arguments: argparse.Namespace) -> float:
    """Numbers of a pass for each image. Of the twelve convolutions of a cell a draw takes a fifth."""
    nodes, convolutions = 3, 12
    maps = nodes + convolutions * (1 if algorithm.startswith("darts") else 1 / 5)
    return arguments.cells * maps * sum(arguments.channels * 2**stage * (arguments.size // 2**stage)**2 for stage in range(3))


def nasnet_maps(algorithm: str, arguments: argparse.Namespace) -> float:
    """Numbers of a pass for each image, in the paper's layout. An edge's two separable, two dilated convolutions and two poolings
    make eight maps, in a reduction cell a skip connection from a given map makes one more; DARTS' edges from a node share its
    pooled maps. GDAS draws one of eight candidates for each of fourteen edges, random search one of seven for two edges a node.
    """
    nodes, edges, of_given, sources = 4, 14, 8, 5
    if algorithm.startswith("darts"):
        maps, skips = nodes + 6 * edges + 2 * sources, of_given
    elif algorithm == "gdas":
        maps, skips = nodes + 8 / 8 * edges, of_given / 8
    else:
        maps, skips = nodes + 8 / 7 * 2 * nodes, sum(2 * 2 / before for before in range(2, 6)) / 7
    channels, size, numbers = arguments.channels, arguments.size, 0.0
    for cell in range(arguments.cells):
        is_reduction = cell in (arguments.cells // 3, 2 * arguments.cells // 3)
        channels *= 1 + is_reduction
        numbers += 2 * channels * size**2               # the given maps, brought to the cell's channels
        size //= 1 + is_reduction
        numbers += (maps + skips * is_reduction) * channels * size**2
    return numbers


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
