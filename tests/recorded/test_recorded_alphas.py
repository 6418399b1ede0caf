"""Each search on each engine is still the recorded one; and what would change its numbers is noticed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any
from unittest import mock

import pytest

import gdas_lite as gl
from tests.engines.test_every_mixture import WRONG_CELLS, PlanOfOnes
from tests.recorded import searches
from tests.recorded.searches import (
    ALGORITHMS,
    CASES,
    Case,
    differences,
    done,
    noise,
    recorded,
    search,
)

HAS_NUMBA = find_spec("numba") is not None
AS_RECORDED = dict(ALGORITHMS)


@lru_cache
def wanted(case: Case) -> dict[str, Any]:
    """The recorded search; where this PyTorch draws other Gumbel noise and dropout masks, the plain engine's here."""
    draws_alike = noise() == recorded()["noise"] or (case.space != "recurrent" and case.algorithm != "gdas")
    with mock.patch.dict(ALGORITHMS, AS_RECORDED):
        return recorded()[case.name] if draws_alike else done(search(replace(case, engine="plain")))


def off(case: Case, *seed: int, **changes: object) -> dict[str, float]:
    """Where a search is further from the recorded one than the tolerance."""
    found = differences(done(search(case, *seed, **changes)), wanted(case), case.algorithm == "random")
    return {name: share for name, share in found.items() if share > 1}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}, {case.engine}")
def test_a_search_is_the_recorded_one(case):
    if case.engine in ("cells", "loops", "words") and not HAS_NUMBA:
        pytest.skip("engine cpu: numba is not installed")
    assert not off(case)
    if case.engine == "plain":
        assert done(search(case))["cell"] == wanted(case)["cell"]


def test_every_space_and_algorithm_is_recorded_once():
    assert list(recorded())[1:] == [case.name for case in CASES if case.engine == "plain"] and len(recorded()) == 13
    assert {case.engine for case in CASES} == set(searches.ENGINES)


@pytest.mark.parametrize("changes", [
    {"alpha_learning_rate": 0.0108}, {"alpha_eps": 0.11}, {"alpha_betas": (0.6, 0.999)},
    {"learning_rate": 0.003}, {"update_order": "alpha_first"}, {"redraw": False}], ids=str)
def test_a_change_of_the_updates_is_noticed(changes):
    assert off(Case("nasbench201", "gdas"), **changes)


@pytest.mark.parametrize("space", searches.SPACES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_seed_is_noticed(space, algorithm):
    assert off(Case(space, algorithm), 1)


@pytest.mark.parametrize("algorithm", [gl.GDAS(tau=(10, 1)), gl.GDAS(tau=(9, 0.1)), gl.GDAS(variant="P"), gl.DARTS(1)],
                         ids=str)
def test_another_algorithm_is_noticed(algorithm, monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "gdas", algorithm)
    assert off(Case("nasbench201", "gdas"))


def test_the_first_order_is_not_the_second(monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "darts-v2", gl.DARTS(1))
    assert off(Case("nasbench201", "darts-v2"))


@pytest.mark.skipif(not HAS_NUMBA, reason="engine cpu: numba is not installed")
@pytest.mark.parametrize("engine, fault", [
    ("cells", WRONG_CELLS), ("loops", ("gdas_lite.engines.cpu.small.supernet.Plan", PlanOfOnes))])
def test_an_engine_that_computes_another_network_is_noticed(engine, fault, monkeypatch):
    monkeypatch.setattr(*fault)
    assert off(Case("nasbench201", "darts-v1", engine))
