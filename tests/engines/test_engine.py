"""Whether numba is there, and how "auto" goes by the size of maps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import gdas_lite as gl
from gdas_lite.engines.cpu import engine
from gdas_lite.engines.cpu.engine import SMALLEST, CpuEngine
from gdas_lite.runs.engine import SearchSpec

CPU = SimpleNamespace(type="cpu")


def spec(elements: int) -> SearchSpec:
    """A NASNet search whose maps have that many numbers."""
    return SearchSpec(gl.NASNet(8), gl.GDAS(), SimpleNamespace(batch_size=elements // 32), CPU, image_size=2)


def test_without_numba_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(engine, "numba_obstacle", lambda: "numba is not installed; pip install it")
    assert CpuEngine().obstacle(spec(2**20)) == "numba is not installed; pip install it"


def test_small_maps_do_not_pay(monkeypatch):
    monkeypatch.setattr(engine, "numba_obstacle", lambda: None)
    assert CpuEngine().obstacle(spec(1024)) is None
    assert CpuEngine().pays(spec(SMALLEST)) is None
    assert "maps of 1,024 numbers are too small" in CpuEngine().pays(spec(1024))


def test_a_numba_that_does_not_work_is_named(monkeypatch):
    import sys
    pytest.importorskip("numba", reason="needs numba to be found")
    engine.numba_obstacle.cache_clear()
    monkeypatch.setitem(sys.modules, "gdas_lite.engines.cpu.compiled.launch", None)      # makes its import fail
    monkeypatch.delattr("gdas_lite.engines.cpu.compiled.launch", raising=False)
    try:
        assert "numba is installed but does not work here (" in engine.numba_obstacle()
    finally:
        engine.numba_obstacle.cache_clear()
