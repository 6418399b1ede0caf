"""Put the history of a finished search into the package: from its run folder to gdas_lite/lessons/recorded/NAME.json.gz.

    python benchmarks/record_search.py RUN NAME --command "gdas-lite search ..." --commit SHA [--machine FILE.json]
        [--unfinished] [--into DIR]

The command must be the one of the run, without paths of your machine. machine: a JSON object with the processor and the
versions it ran with; without it, those of here.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdas_lite.lessons.recorded import FACTS, FOLDER, FORMAT, check_history
from gdas_lite.reproduction import protocol
from gdas_lite.runs.config import read_config
from gdas_lite.runs.device import processor_name
from gdas_lite.runs.schema import sealed
from gdas_lite.search.history import History

VERSIONS = ("torch", "numpy", "numba", "gdas-lite")
MAX_BYTES = 60_000


def machine() -> dict[str, str]:
    """Returns processor and versions of here."""
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"processor": processor_name(), "python": platform.python_version(), **versions}


def record(file: Path, history: History, about: Mapping[str, Any]) -> None:
    """Writes a history as `recorded` reads it. about: the facts that are named there. Same content, same bytes.

    Raises ValueError for a search that is not at its end and does not say "unfinished", a file that would be larger than
    60 KB, or alphas whose cell changes when they are rounded.
    """
    content = {"format": FORMAT, **{fact: about[fact] for fact in (*FACTS, "unfinished") if fact in about},
               "history": rounded(history.to_json())}
    kept = History.from_json(content["history"])
    kept.about = dict(about)
    check_history(kept)
    data = gzip.compress(json.dumps(sealed(content), separators=(",", ":")).encode(), 9, mtime=0)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{file.name}: {len(data):,} bytes, more than {MAX_BYTES:,}")
    file.write_bytes(data)


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return {key: rounded(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--command", required=True)
    parser.add_argument("--commit", required=True, help="of this package's code that ran")
    parser.add_argument("--machine", type=Path)
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"))
    parser.add_argument("--unfinished", action="store_true", help="its first epochs; everything that shows it says so")
    parser.add_argument("--into", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    config = read_config(arguments.run)
    if not protocol(arguments.command).is_of(config):
        raise SystemExit(f"{arguments.run} is not a run of {arguments.command!r}: its config.json says something else")
    about = {"config": config, "command": arguments.command, "commit": arguments.commit, "date": arguments.date,
             **({"unfinished": True} if arguments.unfinished else {}),
             "machine": machine() if arguments.machine is None else json.loads(arguments.machine.read_text())}
    file = arguments.into / f"{arguments.name}.json.gz"
    record(file, History.read(arguments.run), about)
    print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
