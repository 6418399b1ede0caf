"""Which engine runs, and what is said about it."""

from __future__ import annotations

import pytest

from gdas_lite.engines import choose as engine
from gdas_lite.engines import choose as kernels


@pytest.fixture(autouse=True)
def engine_as_before(monkeypatch):
    monkeypatch.setattr(engine, "_wanted", None)
    monkeypatch.delenv("GDAS_LITE_ENGINE", raising=False)


def test_without_numba_the_plain_engine_runs_and_says_how_to_get_the_other(monkeypatch):
    monkeypatch.setattr(engine, "_numba_obstacle", lambda: "numba is not installed; pip install it")
    assert str(kernels.chosen(2**30)) == "plain: numba is not installed; pip install it"
    with pytest.raises(ValueError, match="engine 'fused' is not to be had: numba is not installed"):
        kernels.use("fused")


def test_small_maps_stay_with_the_plain_engine_unless_fused_is_asked_for(monkeypatch):
    monkeypatch.setattr(engine, "_numba_obstacle", lambda: None)
    assert kernels.chosen(engine.SMALLEST).name == "fused"
    small = kernels.chosen(1000)
    assert small.name == "plain" and "maps of 1,000 numbers are too small" in small.reason
    kernels.use("fused")
    assert kernels.chosen(1000).name == "fused"
    kernels.use("plain")
    assert str(kernels.chosen(2**30)) == "plain: it was asked for"


def test_the_environment_chooses_and_a_wrong_name_is_refused(monkeypatch):
    monkeypatch.setenv("GDAS_LITE_ENGINE", "plain")
    assert kernels.chosen(2**30).name == "plain"
    monkeypatch.setenv("GDAS_LITE_ENGINE", "quick")
    with pytest.raises(ValueError, match="GDAS_LITE_ENGINE must be one of auto, plain, fused, it is 'quick'"):
        kernels.chosen()
    with pytest.raises(ValueError, match="engine must be one of auto, plain, fused, got 'quick'"):
        kernels.use("quick")


def test_a_numba_that_does_not_work_is_named(monkeypatch):
    import sys
    pytest.importorskip("numba", reason="needs numba to be found")
    engine._numba_obstacle.cache_clear()
    monkeypatch.setitem(sys.modules, "gdas_lite.engines.cpu.compiled.launch", None)      # makes its import fail
    monkeypatch.delattr("gdas_lite.engines.cpu.compiled.launch", raising=False)
    try:
        assert "numba is installed but does not work here (" in kernels.chosen(2**30).reason
    finally:
        engine._numba_obstacle.cache_clear()
