"""`gdas-lite reproduce`: published tables, the commands behind them, what was measured, what it would cost here."""

from __future__ import annotations

from argparse import Namespace

from ..reproduction import estimate, fill, rows
from ..tabular import tabular


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
