"""What identifies a run or an export: its JSON file, read without PyTorch, and how two differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .schema import check, read_json, said
from .shapes import CONFIGS, EXPORT

VERSION = "0.1.0"         # of this package
EXPORT_FORMAT = "gdas-lite network 1"


class RunError(RuntimeError):
    """A run folder that cannot be used as asked; the message says why and what to do."""


def read_config(path: str | Path) -> dict[str, Any]:
    """Returns config.json of a run folder, with all fields of its kind. Raises RunError if there is none or it is damaged."""
    config = stored_config(path)
    try:
        check(config, CONFIGS.get(str(config.get("kind")), dict), "")
    except ValueError as problem:
        raise RunError(f"{Path(path) / 'config.json'} is damaged: {problem}") from None
    return config


def stored_config(path: str | Path) -> dict[str, Any]:
    """Returns the same whatever its fields are, to be compared. Raises RunError if there is none or it is no JSON object."""
    file = Path(path) / "config.json"
    try:
        return read_json(file, dict)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{path} is no run folder: it has no config.json") from None
    except OSError as problem:
        raise RunError(f"{file} cannot be read ({problem.strerror})") from None
    except ValueError as problem:
        raise RunError(str(problem)) from None


def fingerprint(config: Mapping[str, Any]) -> str:
    """A checksum that two configurations share only if they are equal."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def differences(there: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Where two configurations differ, as short texts "name: there, asked"."""
    found = []
    for key in sorted(there.keys() | asked.keys()):
        a, b = there.get(key), asked.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}: {a!r} there, {b!r} asked")
    return found


def read_export(path: Path) -> dict[str, Any]:
    """Returns network.json of an exported network. Raises FileNotFoundError without one, ValueError if it is damaged."""
    file = path / "network.json"
    try:
        content = read_json(file, dict)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{path} holds no exported network: there is no {file.name} in it") from None
    if content.get("format") != EXPORT_FORMAT:
        raise ValueError(f"{file} is no export that this version can read: its format is {said(content.get('format'))}, not "
                         f"{EXPORT_FORMAT!r}")
    try:
        check(content, EXPORT, "")
    except ValueError as problem:
        raise ValueError(f"{file} does not describe a network ({problem}); export it again") from None
    return content
