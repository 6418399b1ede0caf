"""`gdas-lite bench`: seconds a step here, and how long each published protocol would take.

`gdas-lite reproduce`: published tables, the commands behind them, what was measured, what it would cost here.

Each protocol of `bench` is measured in a process of its own (this module, run as a program), so that the process'
largest resident size is that protocol's memory, and one that does not fit does not take the others with it.
"""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import torch

from ...benchmark.table import tabular
from ...runs.config import path_of
from ...runs.device import device_name, peak_resident, pick_device, processor_name, processors
from ...runs.printing import duration, say
from ...runs.schema import Range, check, packaged_json, said
from ...search.algorithms import GDAS, RandomSearch
from ..compare import fill
from ..costs import estimate, fitting_batch
from ..protocols import DATASETS, PublishedProtocol
from ..published import rows
from .values import protocol

LIMIT_S = 120           # of one protocol
SEARCHED, TRAINED, PICTURES = 64, 16, 4     # images of a measured step on a CPU: of a search, a training, large ones
DRAWS = 4               # times as many steps where each computes what it drew
QUICK = ("NAS-Bench-201, GDAS", "NASNet space, GDAS", "recurrent, GDAS on PTB", "NAS-Bench-201 network, CIFAR-10",
         "GDAS_V1, CIFAR-10")


def run_bench(arguments: Namespace) -> int:
    """`gdas-lite bench [WORD ...]`."""
    asked = {name: each for name, each in protocols(arguments.quick).items()
             if all(word.lower() in name.lower() for word in arguments.words)}
    if not asked:
        raise ValueError(f"no protocol has {' and '.join(map(repr, arguments.words))} in its name; there are "
                         f"{'; '.join(protocols(arguments.quick))}")
    check(arguments.limit, Range(above=0), "limit")
    lines = bench(asked, device=arguments.device, steps=1 if arguments.quick else 2, limit_s=arguments.limit)
    if arguments.json:
        say(as_json(lines))
        return 0
    device = pick_device(arguments.device)
    name = device_name(device) if device.type == "cuda" else f"{processor_name()}, {device_name(device)}"
    say(f"{name}, {processors()} processors, torch {torch.__version__}; published protocols, from "
        f"{'one step' if arguments.quick else 'two steps'} each, {DRAWS} times as many of searches that draw")
    for line in table(lines):
        say(line)
    say("without reading files and without evaluation; other programs at work make it slower")
    return 0


def reproduce(arguments: Namespace) -> int:
    """`gdas-lite reproduce [RUNS ...]`."""
    wanted = rows(space=arguments.space, data=arguments.data, source=arguments.source)
    if absent := [run for run in arguments.runs if run != "runs" and not os.path.isdir(path_of(run, "the folder"))]:
        raise FileNotFoundError(f"there is no folder {said(absent[0])} with runs in it")
    if not arguments.commands and not arguments.cost:
        say(fill(arguments.runs, wanted, tabular("nasbench201", arguments.table)))
        return 0
    for command, asked in {row.command: row.protocol for row in wanted if row.command}.items():
        say(command)
        if arguments.cost:
            say(f"  {estimate(asked, device=arguments.device)}")
    return 0


@dataclass(frozen=True)
class Line:
    """A protocol here. step_s: seconds of a step at the protocol's batch; protocol_s: of the whole protocol, without
    reading files and evaluating. memory: bytes, of the GPU, or the process' largest resident size. Where
    `measured_batch` is not `batch`, times are in proportion, memory is on the line through this batch and half of it.
    problem: why there is no measurement (then they are None)."""

    name: str
    command: str
    batch: int
    measured_batch: int
    step_s: float | None = None
    protocol_s: float | None = None
    memory: float | None = None
    device: str = ""
    problem: str = ""


def protocols(quick: bool = False) -> dict[str, PublishedProtocol]:
    """Returns the published protocols by name, of which bench.json has the commands. quick: a few of each kind."""
    commands = packaged_json(resources.files(__package__) / "bench.json", {str: str})
    return {name: protocol(commands[name]) for name in (QUICK if quick else commands)}


def bench(asked: dict[str, PublishedProtocol], *, device: str | None = None, steps: int = 2, limit_s: float = LIMIT_S,
          run: Callable[..., Any] = subprocess.run) -> Iterator[Line]:
    """Yields a line for each protocol, one after the other.

    steps: measured, after as many to warm up; of searches that draw DRAWS times as many. run: as subprocess.run.
    """
    for name, each in asked.items():
        yield _line(name, each, device, steps, limit_s, run)


def _line(name: str, asked: PublishedProtocol, device: str | None, steps: int, limit_s: float, run: Callable[..., Any]
          ) -> Line:
    command, own = asked.command, asked.recipe.batch_size
    size = fitting_batch(asked, pick_device(device or None), SEARCHED if asked.kind == "search" else TRAINED, PICTURES)
    steps *= DRAWS if isinstance(asked.algorithm, (GDAS, RandomSearch)) else 1
    words = [sys.executable, "-m", "gdas_lite.reproduction.cli.tables", command, str(size), str(steps), device or ""]
    try:
        done = run(words, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return Line(name, command, own, size, problem=f"{2 * steps} steps took more than {limit_s:g} s")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [""]
        killed = "the system ended it, most likely for want of memory" if done.returncode < 0 else last[0]
        return Line(name, command, own, size, problem=killed)
    result = json.loads(done.stdout.splitlines()[-1])
    speed, step_items = result["per_second"], own * (asked.recipe.bptt if DATASETS[asked.data].is_text else 1)
    return Line(name, command, own, result["batch"], step_items / speed, result["items"] / speed, result["memory"],
                result["device"])


def measured(asked: PublishedProtocol, batch: int, steps: int, device: str | None) -> dict[str, Any]:
    """In this process: what `_line` asks for."""
    own, less, half = asked.recipe.batch_size, peak_resident(), max(batch // 2, 1)
    if half < batch < own:
        estimate(asked, batch=half, steps=1, device=device)
        less = peak_resident()
    cost = estimate(asked, batch=batch, steps=steps, device=device)
    peak = peak_resident()
    memory = cost.memory * own / batch if cost.memory else peak + (peak - less) / max(batch - half, 1) * (own - batch)
    return {name: getattr(cost, name) for name in ("items", "per_second", "batch", "device")} | {"memory": memory}


def table(lines: Iterable[Line]) -> Iterator[str]:
    """The lines as text, each as soon as it is there."""
    yield f"{'protocol':<34} {'a step':>9} {'in all':>14} {'memory':>9}   measured at batch"
    for line in lines:
        if line.problem:
            yield f"{line.name:<34} not measured: {line.problem}"
            continue
        of = "" if line.measured_batch == line.batch else f" of {line.batch}, scaled"
        yield (f"{line.name:<34} {line.step_s:>7.2f} s {duration(line.protocol_s):>14} {line.memory / 1e9:>6.1f} GB   "
               f"{line.measured_batch}{of}")


def as_json(lines: Iterable[Line]) -> str:
    """A list of objects with the fields of `Line`."""
    return json.dumps([asdict(line) for line in lines], indent=1)


if __name__ == "__main__":
    print(json.dumps(measured(protocol(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] or None)))
