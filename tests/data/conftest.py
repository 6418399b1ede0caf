"""Synthetic data files in the official formats, and an environment in which no data set of this machine is found."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from gdas_lite.data.official import OfficialFile


@pytest.fixture(autouse=True)
def no_data_sets_of_this_machine(monkeypatch, tmp_path_factory):
    monkeypatch.delenv("GDAS_LITE_DATA", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("empty-cache")))


@pytest.fixture
def write_official():
    """A function that pickles an object as an official file and returns its OfficialFile."""

    def write(path: Path, content: object) -> OfficialFile:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(content, protocol=2))
        raw = path.read_bytes()
        return OfficialFile(path.name, hashlib.md5(raw).hexdigest(), len(raw))

    return write


@pytest.fixture
def planes():
    """A function: `count` random images as the official files hold them, uint8 (count, 3 * size * size)."""

    def make(count: int, size: int, seed: int = 0) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return generator.integers(0, 256, (count, 3 * size * size), dtype=np.uint8)

    return make
