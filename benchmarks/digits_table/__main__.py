"""python -m benchmarks.digits_table FOLDER [--workers 2]: train all cells on the digits; run it again to go on.

When every cell is trained, the table stands in the folder as digits.csv.gz and digits.json, as gdas_lite/benchmark/ holds them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .shards import compute, write_digits


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits_table", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the shards are kept")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each (default 2)")
    parser.add_argument("--limit", type=int, help="train the first cells only, for a trial; no table is written")
    arguments = parser.parse_args()
    started, first = time.perf_counter(), None
    for done, total in compute(arguments.folder, arguments.workers, limit=arguments.limit):
        first = done if first is None else first
        seconds = time.perf_counter() - started
        left = seconds / (done - first) * (total - done) / 60 if done > first else float("nan")
        print(f"{done} of {total} shards, {left:.0f} minutes left", flush=True)
    if arguments.limit is None:
        print(f"digits.csv.gz in {arguments.folder}, sha256 {write_digits(arguments.folder, arguments.folder)}")


if __name__ == "__main__":
    main()
