"""Searches that come with the package: whole histories, to be drawn, played and looked up without running anything.

Each is a file NAME.json.gz beside this module. benchmarks/record_search.py makes one from a run folder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...genotypes.nasbench201 import NASBench201Genotype
from ...runs.config import misplaced
from ...runs.schema import MIB, check, parsed, read_bytes, said
from ...runs.shapes import RECORDED
from ...search.history import History

T = TypeVar("T")
FORMAT = "gdas-lite recorded search 1"
FOLDER = Path(__file__).parent
FACTS = ("config", "command", "machine", "commit", "date")


def names(folder: str | Path | None = None) -> tuple[str, ...]:
    """Returns the names that `recorded` knows, in alphabetical order; folder: of such files, None for the package's."""
    return tuple(sorted(file.name.removesuffix(".json.gz") for file in Path(folder or FOLDER).glob("*.json.gz")))


def recorded(name: str, folder: str | Path | None = None) -> History:
    """Opens the history of a search that comes with the package, such as "gdas-published-thumbnails-0".

    Its `about` says where it comes from: "name", "config" (what was asked for: space, algorithm, recipe, seed, data),
    "command", "machine" (processor and versions), "commit" of this package's code and "date"; "unfinished" is there,
    and true, where only the first epochs have been run so far. Alphas have six decimals.
    Raises ValueError for an unknown name (with those there are) or a damaged file.
    """
    if name not in names(folder):
        raise ValueError(f"recorded: no search {said(name)}; there are {', '.join(names(folder)) or 'none'}")

    def history_of(content: dict[str, Any]) -> History:
        check(content, RECORDED, "")
        history = History.from_json(content["history"])
        history.about = {"name": name} | {fact: content[fact] for fact in (*FACTS, "unfinished") if fact in content}
        check_history(history)
        return history
    return shipped(Path(folder or FOLDER) / f"{name}.json.gz", "a recorded search", FORMAT, history_of)


def shipped(file: str | Path, what: str, form: str, read: Callable[[dict[str, Any]], T]) -> T:
    """Returns what `read` makes of a JSON file of this package, packed or not, in the format `form`.

    Raises FileNotFoundError, or ValueError in one sentence for a file that does not hold `what`.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, a part of gdas_lite; install gdas_lite again")
    try:
        content = parsed(read_bytes(path, 32 * MIB, packed=True), dict, "its content")
        if content.get("format") != form:
            raise ValueError(f"its format is {content.get('format')!r}, not {form!r}")
        return read(content)
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ValueError(f"{path} does not hold {what} of this version ({problem}); install gdas_lite again") from None


def check_history(history: History) -> None:
    """Raises ValueError unless the epochs are those that its configuration asks for, in order (the first of them, where
    it says that it is unfinished), and each cell the one that its alphas give."""
    config = history.about["config"]
    epochs = config["recipe"]["epochs"]
    if any(misplaced(entry.epoch, number) for number, entry in enumerate(history)) or not len(history) or not (
            len(history) < epochs if history.about.get("unfinished") else len(history) == epochs or (
                len(history) < epochs and history[-1].stopped)):
        raise ValueError(f"expected the epochs 0 to {epochs - 1}")
    for entry in history:
        if config["space"]["name"] == "nasbench201" and np.isfinite(entry.valid_loss):    # alpha moved
            names, columns = history.labels["cell"].candidates, entry.alphas["cell"].argmax(-1)
            if NASBench201Genotype.parse(entry.genotype).ops != tuple(names[column] for column in columns):
                raise ValueError(f"epoch {entry.epoch}: the cell is not that of its alphas")
