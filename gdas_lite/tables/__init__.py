"""Tables that come with the package: NAS-Bench-201's accuracies, and every cell of that space trained on the embedded digits.

Beside each table stands a JSON file of the same name: its checksum, and where it comes from: for `digits.csv.gz` the protocol,
the command, the machine and the versions (tables/making.py writes both files); for `nasbench201.npz` citations, sources,
licence, seeds and how its whole numbers become percentages (benchmarks/nasbench201_table.py). `gdas_lite.tabular` reads them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
FILES = {"nasbench201": "nasbench201.npz", "digits": "digits.csv.gz"}


def packaged(name: str, folder: Path = FOLDER) -> tuple[Path, dict[str, Any]]:
    """The file of a packaged table, and what stands in its JSON file ("sha256", "protocol", ...).

    Raises FileNotFoundError if one of the two is missing, ValueError if the JSON file is damaged.
    """
    table, about = folder / FILES[name], folder / f"{name}.json"
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
