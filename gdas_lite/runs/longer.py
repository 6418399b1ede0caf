"""A finished run that is to have more epochs: a new folder begins where the old one ended, which is only read."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoint import write_checkpoint
from .config import RunError, fingerprint, path_of, read_config, read_lines, seal, sync, write_atomically
from .folder import explained, load_newest


def last_state(path: str | Path) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Returns tensors and history records of a finished run's folder. Raises RunError if unfinished or damaged."""
    config = read_config(path)
    found, epochs = load_newest(path_of(path), config), config["recipe"]["epochs"]
    done = 0 if found is None else found[1]["epochs_done"]
    if done != epochs:
        raise RunError(f"{path} is after epoch {done} of {epochs}; finish it first (resume), then it can be longer")
    return found[0], found[2]


def begin_longer(new: Path, old: str | Path, config: Mapping[str, Any]) -> None:
    """Makes the folder `new`, whose run is that of `config` after the epochs of the finished run in `old`: its history
    and its last checkpoint. It appears in one move. Raises RunError as `last_state`, or if `new` holds something.
    """
    tensors, records = last_state(old)
    config = {**config, "continues": {"run": str(old), "epochs": len(records)}}
    head = {**read_lines(path_of(old) / "history.jsonl", most=1).lines[0], "config": fingerprint(config)}
    lines, check = b"", ""
    for content in (head, *records):
        line, check = seal(check, content)
        lines += line
    aside = new.with_name(f".{new.name}.partial")
    with explained(new):
        shutil.rmtree(aside, ignore_errors=True)        # of a killed attempt
        aside.mkdir(parents=True)
        write_atomically(aside / "history.jsonl", lines)
        write_checkpoint(aside / f"checkpoint-{len(records):05d}.safetensors", tensors, {
            "epochs_done": len(records), "config": fingerprint(config), "history": check, "torch": torch.__version__})
        write_atomically(aside / "config.json", (json.dumps(config, indent=2) + "\n").encode())
        try:
            if new.is_dir() and not any(new.iterdir()):
                new.rmdir()
            aside.rename(new)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        sync(new.parent)
