"""Numba's cache on disk, damaged or nowhere to be had: the function is compiled anew."""

from __future__ import annotations

import pytest

numba = pytest.importorskip("numba")
from gdas_lite.engines.cpu.compiled.cache import keep  # noqa: E402


def function(x):
    return 2 * x + 1


def compiled() -> tuple[int, int]:
    """The function's value, and how often it was found in the cache."""
    found = numba.njit(function)
    keep(found, function, "compiling a test")
    return found(20), sum(found.stats.cache_hits.values())


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:len(content) // 2], lambda content: b"x" * 100],
                         ids=["emptied", "cut", "other"])
def test_a_damaged_cache_is_written_anew(tmp_path, monkeypatch, suffix, damage):
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path))
    assert [compiled(), compiled()] == [(41, 0), (41, 1)]
    for file in tmp_path.rglob(f"*.{suffix}"):
        file.write_bytes(damage(file.read_bytes()))
    assert [compiled(), compiled()] == [(41, 0), (41, 1)]


def test_without_a_place_for_the_cache_it_is_compiled_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", numba.core.caching.CacheImpl._locator_classes[:1])
    assert [compiled(), compiled()] == [(41, 0), (41, 0)]


def test_a_full_disk_is_no_matter(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, "save", full)
    assert [compiled(), compiled()] == [(41, 0), (41, 0)]
