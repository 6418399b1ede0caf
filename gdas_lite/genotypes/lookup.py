"""A cell from whatever names it: an architecture string, a JSON file, a zoo name or a run folder."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..runs.config import RunError, read_config, read_export, read_history
from ..runs.schema import said, text_of
from .notation import MAX_TEXT, NASBENCH201_OPS, nearest
from .parse import Genotype, genotype_from_json, parse_genotype
from .pasted import AROUND, STARTS, benchmark_index, fragments, naslib_ops, plain
from .zoo import ZooEntry, zoo, zoo_entry


@dataclass(frozen=True)
class CellSource:
    """A cell and where it was found.

    name: short, fit for a file name. origin: for people to read. search: the run folder, if it is that of a search.
    entry: the zoo's, if it is a published cell.
    """

    genotype: Genotype
    name: str
    origin: str
    search: Path | None = None
    entry: ZooEntry | None = None


def load_cell(text: str | Path) -> Genotype:
    """Returns the cell that `text` names, looked up and parsed, never evaluated.

    text: a genotype in any notation of `parse_genotype`; the index of a cell in NATS-Bench (`1234`, 0..15,624) or
        NASLib's six digits (`403143`); a zoo name ("GDAS_V1", "DARTS_V1@recurrent"); the path of a file that holds a
        genotype; the run folder of a search (the cell after its last epoch, though it may not be over), of a training,
        or an exported network. A zoo name goes before a file of that name; ./GDAS_V1, or a Path, is the file.
    Raises ValueError for what is no genotype, KeyError with the nearest names, RunError for a folder that is no run.
    Example: load_cell("|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    """
    return find_cell(text).genotype


def find_cell(text: str | Path) -> CellSource:
    """Returns the cell of `load_cell` and where it was found. Raises as `load_cell`."""
    if not isinstance(text, (str, os.PathLike)):
        raise ValueError(f"a cell is named by a text or a path, got {said(text)}")
    # a Path drops the ./ before a name, and is no name
    text = text.strip() if isinstance(text, str) else os.path.join(os.path.dirname(text) or ".", os.path.basename(text))
    pasted = plain(text[:MAX_TEXT]).strip(AROUND)
    if "|" in pasted or STARTS.match(pasted):
        return _of_text(text)
    with suppress(KeyError, ValueError):        # ValueError: NAME@space with an unknown space, which may be a path
        entry = zoo_entry(text)
        return CellSource(entry.genotype, entry.name, f"zoo, {entry.space}: {entry.note}", entry=entry)
    path = os.path.expanduser(text)
    number = _of_number(text)
    if number and text.isalnum() and os.path.exists(path):
        raise ValueError(f"{text} is {number.origin}, and a file or folder here; write ./{text} for that")
    if os.path.isdir(path):
        return _of_folder(Path(path))
    if os.path.isfile(path):
        return CellSource(_of_file(Path(path)), Path(path).stem, f"file {text}")
    if number:
        return number
    if fragments(pasted) != [pasted]:
        return _of_text(text)
    with suppress(ValueError):      # what a space of one's own reads
        return _of_text(text)
    known = [name for entry in zoo().values() for name in (entry.name, *entry.aliases)]
    raise KeyError(f"no cell {said(text)}: it is no architecture string, no file or folder here, and in the zoo "
                   f"{nearest(text, dict.fromkeys(known))}")


def _of_text(text: str, origin: str = "given as text") -> CellSource:
    """Its name is that of the space; of NAS-Bench-201 the six columns of alpha as digits."""
    genotype = parse_genotype(text)
    is_small = genotype.space == "nasbench201"
    digits = "".join(str(NASBENCH201_OPS.index(op)) for op in genotype.ops) if is_small else ""
    return CellSource(genotype, f"cell{digits}" if is_small else genotype.space, origin)


def _of_number(text: str) -> CellSource | None:
    """NASLib's six digits, or an index of the benchmark, with what they mean."""
    if naslib_ops(text) is not None:
        return _of_text(text, "six operation indices of NASLib (0 skip, 1 none, 2 3x3, 3 1x1, 4 pooling; edges 0-1, "
                              "0-2, 0-3, 1-2, 1-3, 2-3)")
    if (index := benchmark_index(text, is_named=False)) is not None:
        return _of_text(f"index {index}", f"index {index} of NATS-Bench, in the order of the benchmark's files")
    return None


def _of_file(path: Path) -> Genotype:
    try:
        if path.stat().st_size > 4 * MAX_TEXT:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, a genotype has some hundreds")
        return parse_genotype(text_of(path.read_bytes()))
    except (OSError, ValueError) as problem:
        reason = "it is not text" if isinstance(problem, UnicodeDecodeError) else problem
        raise ValueError(f"{path} holds no genotype: {reason}") from None


def _of_folder(path: Path) -> CellSource:
    name = path.resolve().name
    if os.path.exists(path / "network.json") and not os.path.exists(path / "config.json"):
        return CellSource(genotype_from_json(read_export(path)["genotype"]), name, f"exported network in {path}")
    config = read_config(path)
    if config.get("kind") == "search":
        records = read_history(path / "history.jsonl")[1]       # the whole lines
        if not records or not records[-1].get("genotype"):
            raise ValueError(f"the search in {path} has no cell yet, after {len(records)} epochs; go on with it first "
                             f"(gdas-lite resume {path})")
        return CellSource(parse_genotype(records[-1]["genotype"]), name,
                          f"search in {path}, after {len(records)} of {config['recipe']['epochs']} epochs", path)
    if config.get("genotype", {"space": "tanh"}) == {"space": "tanh"}:      # the latter: a plain RNN
        raise RunError(f"{path} holds a run without a cell (kind {config.get('kind')!r})")
    return CellSource(genotype_from_json(config["genotype"]), name, f"training in {path}")
