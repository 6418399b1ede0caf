"""What identifies a run or an export: its JSON files, read and checked without PyTorch, and how two differ."""

import errno
import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

from .schema import MIB, check, fingerprint, open_file, python_number, read_json, said
from .shapes import CONFIGS, EXPORT

VERSION = "0.1.0"         # of this package
EXPORT_FORMAT = "gdas-lite network 1"
MOST_BYTES = 512 * MIB     # of a history.jsonl; 10,000 epochs have some 10 MiB
HOW_LOADED = ("image_size", "grey")     # of pictures of one's own, options of `load_data`
YOUNGER = {"sizes", "augmentation"}     # fields of data that older folders do not have


class RunError(RuntimeError):
    """A run folder that cannot be used as asked; the message says why and what to do."""


def path_of(path: str | os.PathLike, name: str = "out") -> Path:
    """Returns a path that somebody gave, its `~` expanded. Raises ValueError if it is empty, holds a null byte or is
    too long, but as the name of a run folder, which says so with the rest of what it cannot write."""
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError(f"{name} must be a path, got {said(text)}"
                         + (", which holds a null byte" if isinstance(text, str) and text else ""))
    return Path(os.path.expanduser(text)) if name == "out" else short_enough(text, name)


def short_enough(path: str | os.PathLike, name: str) -> Path:
    """Returns a path, its `~` expanded. Raises ValueError if it is too long for the system, or not ours to read."""
    found = Path(os.path.expanduser(os.fspath(path)))
    try:
        os.lstat(os.path.join(found, "."))
    except (OSError, ValueError) as problem:
        if (number := getattr(problem, "errno", None)) == errno.EACCES:
            raise ValueError(f"{name} cannot be used ({problem.strerror}): {found}") from None
        if number == errno.ENAMETOOLONG:
            raise ValueError(f"{name} cannot be a path, it is too long for this system: {said(str(path))}, "
                             f"{len(os.fsencode(found)):,} bytes") from None
    return found


def write_atomically(file: Path, content: bytes) -> None:
    """Replace `file` by `content` in one move, so that a reader or a crash never sees half of it."""
    temporary = file.with_name(file.name + ".partial")
    try:
        temporary.write_bytes(content)
        sync(temporary)
        os.replace(temporary, file)
        sync(file.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file written down, or, where the system can do that, the names in a folder."""
    with suppress(OSError) if path.is_dir() else nullcontext():
        opened = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def read_config(path: str | Path, is_checked: bool = True) -> dict[str, Any]:
    """Returns config.json of a run folder, with all fields of its kind (not is_checked: with whatever fields it has).

    Raises RunError if there is none, it cannot be read, is damaged or not the one of the history.
    """
    file = path_of(path, "the run folder") / "config.json"
    config = _read_object(file, RunError(f"{path} is no run folder: it has no config.json"), RunError)
    try:
        check(config, CONFIGS.get(str(config.get("kind")), dict) if is_checked else dict, "")
    except ValueError as problem:
        raise RunError(f"{file} is damaged: {problem}") from None
    head = next(iter(read_lines(file.with_name("history.jsonl"), most=1).lines), {})
    if head.get("config", fingerprint(config)) != fingerprint(config):      # older heads do not name it
        raise RunError(f"{file} is damaged: history.jsonl beside it was begun under another configuration")
    return config


def _read_object(file: Path, absent: Exception, refused: type[Exception], advice: str = "") -> dict[str, Any]:
    try:
        return read_json(file, dict)
    except (FileNotFoundError, NotADirectoryError):
        raise absent from None
    except OSError as problem:
        raise refused(f"{file} cannot be read ({problem.strerror})") from None
    except ValueError as problem:
        raise refused(f"{problem}{advice}") from None


class HistoryFile(NamedTuple):
    """What history.jsonl holds: lines[0] is its head, then a record for each epoch, up to the first that is not as it
    was written. checks, ends: checksum of everything up to a line, and where it ends in the file. problem: what is
    wrong with the next line, None if it is missing or not yet whole."""

    lines: list[dict[str, Any]]
    checks: list[str]
    ends: list[int]
    problem: str | None


def seal(before: str, content: Mapping[str, Any]) -> tuple[bytes, str]:
    """Returns a line of history.jsonl and its check: a checksum of `content` and of the line before's check."""
    checksum = hashlib.sha256((before + json.dumps(content)).encode()).hexdigest()[:16]
    return (json.dumps({**content, "check": checksum}) + "\n").encode(), checksum


def read_lines(file: Path, most: int | None = None) -> HistoryFile:
    """Returns the good lines of a history.jsonl, `most` of them at most; whoever needs them all asks for `problem`.

    Histories of versions that wrote no checks are read as they are; after a line with a check each needs one.
    """
    found, is_sealed, line = HistoryFile([], [], [], None), False, b""
    try:
        with open_file(file) as opened:
            if os.fstat(opened.fileno()).st_size > MOST_BYTES:
                return found._replace(problem=f"it is larger than {MOST_BYTES // MIB} MiB, which no history is")
            for number, line in enumerate(opened):
                if number == most:
                    break
                content = json.loads(line)
                there = content.pop("check", None)
                checksum = seal(found.checks[-1] if number else "", content)[1]
                is_sealed = is_sealed or there is not None
                if is_sealed and there != checksum:
                    raise ValueError
                if number and (problem := misplaced(content.get("epoch"), number - 1)):
                    return found._replace(problem=problem)
                found.lines.append(content)
                found.checks.append(checksum)
                found.ends.append(len(line) + (found.ends[-1] if number else 0))
    except FileNotFoundError:
        return found._replace(problem="it is missing")
    except OSError as problem:
        return found._replace(problem=f"it cannot be read ({problem.strerror})")
    except (ValueError, RecursionError, AttributeError, TypeError) as problem:
        if not line:
            return found._replace(problem=str(problem))
        if line.endswith(b"\n"):     # else it is being written
            return found._replace(problem=f"line {len(found.lines) + 1} is not as it was written")
    return found


def misplaced(epoch: Any, number: int) -> str | None:
    """Returns what is wrong where the record of an epoch is not that of epoch `number`; None where it is."""
    return None if epoch == number else f"its epochs are not 0, 1, 2 ... in order; epoch {said(epoch)} is out of place"


def read_history(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns head and records of a history.jsonl. Raises ValueError if a line is damaged or there is no head."""
    lines, _, _, problem = read_lines(file)
    if problem or not lines:
        raise ValueError(f"{file} is damaged: {problem or 'it is empty'}")
    return lines[0], lines[1:]


def how_loaded(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of `load_data` that a run's own pictures, or streamed ones, were loaded with, as far as is
    known. data: of its config.json."""
    if data.get("streamed") is not None:
        return {"streamed": True, "upright": False} | data["streamed"]
    data = {"grey": len(data["mean"]) == 1} | data if "mean" in data else data      # of a named data set it is not kept
    return {key: data[key] for key in HOW_LOADED if "grey" in data}


def settings_of(value: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass as a run folder keeps them. A field that is younger than the first folders (its
    metadata say so) stands there only where it is not at its default, so that those read as before."""
    unset = {each.name for each in fields(value)
             if each.metadata.get("kept") == "if set" and getattr(value, each.name) == each.default}
    return {name: content for name, content in asdict(value).items() if name not in unset}


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a run's configuration as it will be read back: tuples are lists, NumPy's numbers Python's.

    Raises ValueError, before anything is computed, if a field is such that the run could not be read again.
    """
    kept = json.loads(json.dumps(config, default=_for_json))
    check(kept, CONFIGS.get(kept["kind"], dict), "")
    return kept


def _for_json(value: Any) -> Any:
    if (found := python_number(value)) is value:
        raise ValueError(f"a run's configuration cannot hold {said(value)}")
    return found


def described(value: Any) -> dict[str, Any]:
    """Returns name and fields of a space, an algorithm or a rule as a run folder keeps them."""
    return {"name": value.name, **settings_of(value)}


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration without what the checksum of its data makes superfluous, how they are called and loaded,
    and without the folder that a longer run began in."""
    data, config = config.get("data"), {key: value for key, value in config.items() if key != "continues"}
    if not isinstance(data, Mapping) or "checksum" not in data:
        return config
    return {**config, "data": {key: value for key, value in data.items() if key not in ("name", *HOW_LOADED)}}


def differences(there: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Where two configurations differ, as short texts "name: there, asked", but in what older folders lack."""
    found = []
    for key in sorted((there.keys() | asked.keys()) - (YOUNGER - there.keys())):
        a, b = there.get(key), asked.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif not _is_same(a, b):
            found.append(f"{prefix}{key}: {a!r} there, {b!r} asked")
    return found


def _is_same(a: Any, b: Any) -> bool:
    """Up to the last digit of numbers: the sums of mean and std depend on the processor's order of adding."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_is_same, a, b))
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-12))


def read_export(path: Path) -> dict[str, Any]:
    """Returns network.json of an exported network. Raises FileNotFoundError, or ValueError if it is damaged."""
    file = path / "network.json"
    absent = FileNotFoundError(f"{path} holds no exported network: there is no {file.name} in it; "
                               "export_network makes one of a trained network")
    content = _read_object(file, absent, ValueError, "; export the network again")
    if content.get("format") != EXPORT_FORMAT:
        raise ValueError(f"{file} is no export that this version can read: its format is "
                         f"{said(content.get('format'))}, not {EXPORT_FORMAT!r}")
    try:
        check(content, EXPORT, "")
    except ValueError as problem:
        raise ValueError(f"{file} does not describe a network ({problem}); export it again") from None
    return content
