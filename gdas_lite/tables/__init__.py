"""Tables that come with the package: `digits.csv.gz`, every NAS-Bench-201 cell trained on the embedded digits.

Beside each table stands a JSON file of the same name: its checksum, the protocol it was computed by, the command, the
machine and the versions. tables/making.py writes both; `gdas_lite.tabular` reads them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PACKAGED = ("digits",)


def packaged(name: str, folder: Path = FOLDER) -> tuple[Path, dict[str, Any]]:
    """The file of a packaged table, and what stands in its JSON file ("sha256", "protocol", ...).

    Raises FileNotFoundError if one of the two is missing, ValueError if the JSON file is damaged.
    """
    table, about = folder / f"{name}.csv.gz", folder / f"{name}.json"
    for file in (table, about):
        if not file.is_file():
            raise FileNotFoundError(f"Table {name}: {file.name} is missing in {folder}, a part of gdas_lite; install "
                                    f"gdas_lite again")
    try:
        facts = json.loads(about.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"Table {name}: {about.name} is damaged ({error}); install gdas_lite again") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str):
        raise ValueError(f"Table {name}: {about.name} names no sha256; install gdas_lite again")
    return table, facts
