"""TODO docstring of runs.config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RunError(RuntimeError):
    """A run folder that cannot be used as asked; the message says why and what to do."""


def read_config(path: str | Path) -> dict[str, Any]:
    """config.json of a run folder. Raises RunError if there is none or it cannot be read."""
    file = Path(path) / "config.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is no run folder: it has no config.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise RunError(f"{file} is damaged; it should be a JSON object") from None


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
