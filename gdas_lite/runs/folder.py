"""The run folder: what a search or a training writes, so that it can be stopped at any moment and gone on with.

    config.json               what was asked for; a run resumes only under the same configuration
    history.jsonl             a head line, then one record an epoch
    checkpoint-00012.safetensors   state after 12 epochs; the last two are kept
    lock                      held while a process writes here; the system frees it when the process dies

Nothing is pickled. Every file is written beside its name first and moved there when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .config import RunError, differences, fingerprint, stored_config

FORMAT = "gdas-lite checkpoint 1"


KEPT = 2


_CHECKPOINT = re.compile(r"checkpoint-(\d{5})\.safetensors")


class RunFolder:
    """A folder that one process at a time writes a run into. `config` is a JSON object that identifies the run."""

    def __init__(self, path: str | Path, config: Mapping[str, Any], history_head: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.config = json.loads(json.dumps(config))    # as it will be read back: tuples become lists
        with _explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.path / "lock", thread_local=False)       # the run may go on in another thread
            self.claim()
            try:
                self._adopt(history_head)
            except BaseException:
                self.release()
                raise

    def claim(self) -> None:
        """Take the lock. Raises RunError if another process, or another run in this one, writes here."""
        if self._lock.is_locked:
            return
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.path} is in use by another run; wait for it, stop it, or choose another folder"
                           ) from None

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def _adopt(self, history_head: Mapping[str, Any]) -> None:
        config_file = self.path / "config.json"
        if config_file.exists():
            if differing := differences(stored_config(self.path), self.config):
                raise RunError(f"{self.path} holds a run with another configuration ({'; '.join(differing)}); "
                               "choose another folder, or ask for the same settings to go on with it")
            return
        if any(_CHECKPOINT.fullmatch(file.name) for file in self.path.iterdir()):
            raise RunError(f"{self.path} holds checkpoints but no config.json; choose another folder")
        write_atomically(self.path / "history.jsonl", (json.dumps(history_head) + "\n").encode())
        write_atomically(config_file, (json.dumps(self.config, indent=2) + "\n").encode())

    def save(self, epochs_done: int, record: Mapping[str, Any], tensors: Mapping[str, Tensor],
             state: Mapping[str, Any]) -> None:
        """Add the last epoch's record to the history, then write the checkpoint after `epochs_done` epochs.

        In this order a crash between the two leaves a record too many, which the next `load` cuts off.
        Raises RunError if the disk is full; the checkpoint before stays good.
        """
        with _explained(self.path):
            self._append(record)
            write_checkpoint(self.path / f"checkpoint-{epochs_done:05d}.safetensors", tensors,
                             {"epochs_done": epochs_done, "config": fingerprint(self.config), **state})
        for old in checkpoints(self.path)[:-KEPT]:
            old.unlink()

    def _append(self, record: Mapping[str, Any]) -> None:
        with open(self.path / "history.jsonl", "ab") as file:
            file.write((json.dumps(record) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any], list[dict[str, Any]]] | None:
        """Tensors, state and history records of the newest good checkpoint; None if the run has none yet.

        A damaged or foreign checkpoint is passed over with a warning and the one before it is used.
        Raises RunError if there are checkpoints and none is good.
        """
        found = checkpoints(self.path)
        for file in reversed(found):
            try:
                tensors, state = read_checkpoint(file)
                if state["config"] != fingerprint(self.config):
                    raise RunError(f"{file.name} belongs to a run with another configuration")
            except RunError as problem:
                warnings.warn(f"checkpoint refused: {problem}", stacklevel=2)
                continue
            return tensors, state, self._cut_history(state["epochs_done"])
        if found:
            raise RunError(f"none of the {len(found)} checkpoints in {self.path} can be used; start anew in another folder")
        self._cut_history(0)
        return None

    def _cut_history(self, epochs_done: int) -> list[dict[str, Any]]:
        head, *lines = (self.path / "history.jsonl").read_bytes().split(b"\n")
        lines = lines[:epochs_done]     # a torn or surplus line lies behind the checkpoint's epoch
        write_atomically(self.path / "history.jsonl", b"\n".join([head, *lines, b""]))
        return [json.loads(line) for line in lines]


def checkpoints(path: str | Path) -> list[Path]:
    """Checkpoint files of a run folder, oldest first."""
    return sorted(file for file in Path(path).iterdir() if _CHECKPOINT.fullmatch(file.name))


def write_checkpoint(file: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Tensors by name and a JSON object, in one safetensors file that appears only when it is whole."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "state": json.dumps(state), "sha256": digest(flat)}
    temporary = file.with_suffix(".partial")
    try:
        save_file(flat, temporary, metadata)
        _sync(temporary)
        os.replace(temporary, file)
    except SafetensorError as problem:      # how safetensors reports a failed write
        raise OSError(f"{problem}") from problem
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(file: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `write_checkpoint`. Raises RunError for a file that is cut, altered or of another kind."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    except (SafetensorError, OSError, ValueError) as problem:
        raise RunError(f"{file} is damaged or no safetensors file ({problem})") from None
    if metadata.get("format") != FORMAT:
        raise RunError(f"{file} is no checkpoint of this kit (expected the format {FORMAT!r})")
    if metadata.get("sha256") != digest(tensors):
        raise RunError(f"{file} is damaged: its content does not match its checksum")
    return tensors, json.loads(metadata["state"])


def write_atomically(file: Path, content: bytes) -> None:
    """Replace `file` by `content` in one move, so that a reader or a crash never sees half of it."""
    temporary = file.with_name(file.name + ".partial")
    try:
        temporary.write_bytes(content)
        _sync(temporary)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """A checksum of named tensors: their names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sync(file: Path) -> None:
    with open(file, "rb+") as opened:
        os.fsync(opened.fileno())


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if isinstance(problem, Timeout):
            raise
        free = shutil.disk_usage(path if path.exists() else path.anchor or ".").free // 2**20
        raise RunError(f"cannot write the run folder {path} ({problem.strerror or problem}; {free} MiB are free there); "
                       "the last checkpoint is still good: make room or choose another folder, then resume") from problem


def restore(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors by name into existing ones, keeping their memory layout. Raises RunError on a missing name or shape."""
    with torch.no_grad():
        for name, target in targets.items():
            if name not in tensors or tensors[name].shape != target.shape:
                raise RunError(f"the checkpoint has no {name} of shape {tuple(target.shape)}: it belongs to another network")
            target.copy_(tensors[name])


def optimizer_state(optimizer: torch.optim.Optimizer, names: Sequence[str], prefix: str) -> dict[str, Tensor]:
    """State tensors of an optimiser's parameters, by "prefix/parameter/field". names: in the optimiser's order."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    return {f"{prefix}/{name}/{field}": torch.as_tensor(value)
            for name, param in zip(names, params, strict=True)
            for field, value in optimizer.state.get(param, {}).items() if value is not None}


def restore_optimizer(optimizer: torch.optim.Optimizer, names: Sequence[str], prefix: str,
                      tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_state`; a parameter with state has been stepped, so it gets a gradient of zeros."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for name, param in zip(names, params, strict=True):
        start = f"{prefix}/{name}/"
        fields = {key[len(start):]: value for key, value in tensors.items() if key.startswith(start)}
        if not fields:
            continue
        param.grad = torch.zeros_like(param)
        optimizer.state[param] = {
            field: torch.empty_like(param).copy_(value) if value.shape == param.shape else value.clone()
            for field, value in fields.items()}
