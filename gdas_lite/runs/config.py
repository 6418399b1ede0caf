"""What identifies a run or an export: its JSON file, read without PyTorch, and how two differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = "0.1.0"         # of this package
EXPORT_FORMAT = "gdas-lite network 1"


class RunError(RuntimeError):
    """A run folder that cannot be used as asked; the message says why and what to do."""


def read_config(path: str | Path) -> dict[str, Any]:
    """Returns config.json of a run folder. Raises RunError if there is none or it cannot be read."""
    file = Path(path) / "config.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is no run folder: it has no config.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise RunError(f"{file} is damaged; it should be a JSON object") from None


def fingerprint(config: Mapping[str, Any]) -> str:
    """Returns a checksum that two configurations share only if they are equal."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def differences(there: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns where two configurations differ, as short texts "name: there, asked"."""
    found = []
    for key in sorted(there.keys() | asked.keys()):
        a, b = there.get(key), asked.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}: {a!r} there, {b!r} asked")
    return found


def read_export(path: Path) -> dict[str, Any]:
    """Returns network.json of an export. Raises FileNotFoundError without one, ValueError if it is damaged."""
    file = path / "network.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{path} holds no exported network: there is no {file.name} in it") from None
    except (ValueError, UnicodeDecodeError):
        raise ValueError(f"{file} is damaged: it should be a JSON object") from None
    if not isinstance(content, dict) or content.get("format") != EXPORT_FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise ValueError(f"{file} is no export that this version can read: its format is {found!r}, not "
                         f"{EXPORT_FORMAT!r}")
    return content
