"""`gdas-lite bench`: seconds a step here, and how long each published protocol would take.

`gdas-lite reproduce`: published tables, the commands behind them, what was measured, what it would cost here.
"""

from __future__ import annotations

import os
from argparse import Namespace

import torch

from ...benchmark.table import tabular
from ...runs.device import device_name, pick_device, processor_name
from .. import estimate, fill, rows
from ..estimate import DRAWS, as_json, bench, protocols, table


def run_bench(arguments: Namespace) -> int:
    """`gdas-lite bench [WORD ...]`."""
    commands = {name: command for name, command in protocols(arguments.quick).items()
                if all(word.lower() in name.lower() for word in arguments.words)}
    if not commands:
        raise ValueError(f"no protocol has {' and '.join(map(repr, arguments.words))} in its name; there are "
                         f"{'; '.join(protocols(arguments.quick))}")
    lines = bench(commands, device=arguments.device, steps=1 if arguments.quick else 2, limit_s=arguments.limit)
    if arguments.json:
        print(as_json(lines))
        return 0
    device = pick_device(arguments.device)
    name = device_name(device) if device.type == "cuda" else f"{processor_name()}, {device_name(device)}"
    print(f"{name}, {os.cpu_count()} processors, torch {torch.__version__}; published protocols, from "
          f"{'one step' if arguments.quick else 'two steps'} each, {DRAWS} times as many of searches that draw", flush=True)
    for line in table(lines):
        print(line, flush=True)
    print("without reading files and without evaluation; other programs at work make it slower")
    return 0


def reproduce(arguments: Namespace) -> int:
    """`gdas-lite reproduce [RUNS ...]`."""
    wanted = rows(space=arguments.space, data=arguments.data, source=arguments.source)
    if not arguments.commands and not arguments.cost:
        print(fill(arguments.runs, wanted, tabular("nasbench201", arguments.table)))
        return 0
    for command in dict.fromkeys(row.command for row in wanted if row.command):
        print(command, flush=True)
        if arguments.cost:
            print(f"  {estimate(command, device=arguments.device)}", flush=True)
    return 0
