"""Tensors and a JSON object in one file under one checksum, and what of an optimiser's state goes into it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from .config import RunError, write_atomically
from .schema import open_file

OLD_FORMAT, FORMAT = "gdas-lite checkpoint 1", "gdas-lite checkpoint 2"     # the first seals tensors only


def write_checkpoint(file: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Tensors by name and a JSON object, in one safetensors file that appears only when it is whole."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(state)
    write_atomically(file, save(flat, {"format": FORMAT, "state": text, "sha256": _sealed(text, flat)}))


def read_checkpoint(file: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `write_checkpoint`. Raises RunError for a file that is cut, altered or of another kind."""
    is_utf8 = str(file).encode("utf-8", "ignore").decode() == str(file)     # safetensors opens no other names
    try:                                                                    # and looks at a file's length first
        with open_file(file) as opened, safe_open(file, framework="pt") if is_utf8 else nullcontext():
            content = opened.read()
        tensors = load(content)
        metadata = json.loads(content[8:8 + int.from_bytes(content[:8], "little")]).get("__metadata__") or {}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as problem:
        raise problem if isinstance(problem, PermissionError) else RunError(    # that one is good, for all we know
            f"{file} is damaged or no safetensors file ({problem})") from None
    text, written_as = metadata.get("state", ""), metadata.get("format")
    if written_as not in (FORMAT, OLD_FORMAT):
        raise RunError(f"{file} is no checkpoint of this kit (expected the format {FORMAT!r})")
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        state = None
    expected = digest(tensors) if written_as == OLD_FORMAT else _sealed(text, tensors)
    if metadata.get("sha256") != expected or not isinstance(state, dict):
        raise RunError(f"{file} is damaged: its content does not match its checksum")
    return tensors, state


def _sealed(state: str, tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(f"{digest(tensors)} {state}".encode()).hexdigest()


def digest(tensors: Mapping[str, Tensor]) -> str:
    """A checksum of named tensors: their names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def restore(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Copies tensors by name into existing ones, keeping their layout. Raises RunError on a missing name or shape."""
    with torch.no_grad():
        for name, target in targets.items():
            if name not in tensors or tensors[name].shape != target.shape:
                raise RunError(f"the checkpoint has no {name} of shape {tuple(target.shape)}: it belongs to another "
                               "network")
            target.copy_(tensors[name])


def optimizer_state(optimizer: torch.optim.Optimizer, names: Iterable[str], prefix: str) -> dict[str, Tensor]:
    """State tensors of an optimiser's parameters, by "prefix/parameter/field". names: in the optimiser's order."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    return {f"{prefix}/{name}/{field}": torch.as_tensor(value)
            for name, param in zip(names, params, strict=True)
            for field, value in optimizer.state.get(param, {}).items() if value is not None}


def restore_optimizer(optimizer: torch.optim.Optimizer, names: Iterable[str], prefix: str,
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
