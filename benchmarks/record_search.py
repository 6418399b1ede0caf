"""Put the history of a finished search into the package: from its run folder to gdas_lite/search/recorded/NAME.json.gz.

    python benchmarks/record_search.py RUN NAME --command "gdas-lite search ..." --commit SHA [--machine FILE.json] [--into DIR]

The command must be the one of the run, without paths of your machine. machine: a JSON object with the processor and the
versions it ran with; without it, those of here.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import time
from pathlib import Path

from gdas_lite.device import processor_name
from gdas_lite.reproduction import protocol
from gdas_lite.runs import read_config
from gdas_lite.search.history import History
from gdas_lite.search.recorded import FOLDER, record

VERSIONS = ("torch", "numpy", "numba", "gdas-lite")


def machine() -> dict[str, str]:
    """Returns processor and versions of here."""
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"processor": processor_name(), "python": platform.python_version(), **versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--command", required=True)
    parser.add_argument("--commit", required=True, help="of this package's code that ran")
    parser.add_argument("--machine", type=Path)
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"))
    parser.add_argument("--into", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    config = read_config(arguments.run)
    if not protocol(arguments.command).is_of(config):
        raise SystemExit(f"{arguments.run} is not a run of {arguments.command!r}: its config.json says something else")
    about = {"config": config, "command": arguments.command, "commit": arguments.commit, "date": arguments.date,
             "machine": machine() if arguments.machine is None else json.loads(arguments.machine.read_text())}
    file = arguments.into / f"{arguments.name}.json.gz"
    record(file, History.read(arguments.run), about)
    print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
