"""Stacked searches: each is the single search of its seed, they stop together and go on where they were."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.engines.cuda.capturing import CapturingEngine
from gdas_lite.engines.cuda.steps import CapturedSteps
from gdas_lite.reproduction.seeds import StackedSearch

SPACE, SEEDS = gl.NASBench201(2, 1), (3, 0, 7)
needs_numba = pytest.mark.skipif(numba_obstacle() is not None, reason=f"engine cpu: {numba_obstacle()}")
GRAPHS = CapturingEngine()


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(96)), valid_half=data.valid_half.subset(range(96)))


def options(algorithm=None, epochs: int = 2) -> dict:
    algorithm = algorithm or gl.GDAS()
    return {"algorithm": algorithm, "recipe": gl.search_recipe("smoke", SPACE.name, algorithm.name, epochs=epochs,
                                                               batch_size=32, alpha_eps=0.01)}


def stack(data, algorithm=None, epochs: int = 2, **more) -> StackedSearch:
    return StackedSearch(SPACE, data, seeds=SEEDS, **{"workers": 2} | options(algorithm, epochs) | more)


def single(data, seed: int, engine: str, algorithm=None, epochs: int = 2) -> gl.Search:
    return gl.Search(SPACE, data, seed=seed, engine=engine, **options(algorithm, epochs)).run()


def assert_same(a: gl.Search, b: gl.Search) -> None:
    there, here = a.tensors(), b.tensors()
    assert there.keys() == here.keys()
    assert [name for name in there if not torch.equal(there[name], here[name])] == []
    assert [record.to_json() | {"seconds": 0} for record in a.history] == \
        [record.to_json() | {"seconds": 0} for record in b.history]


@needs_numba
@pytest.mark.parametrize("algorithm", [gl.GDAS(), gl.DARTS(1), gl.RandomSearch(5, 32)], ids=lambda algorithm: algorithm.name)
def test_each_is_the_single_search_of_its_seed(digits, algorithm):
    found = stack(digits, algorithm).run()
    assert found.workers == 2 and {search.engine.name for search in found.searches} == {"cpu"}
    for seed, search in zip(SEEDS, found.searches, strict=True):
        assert search.seed == seed
        assert_same(single(digits, seed, "cpu", algorithm), search)
        plain = single(digits, seed, "plain", algorithm, epochs=1).history[0]
        assert search.history[0].train_loss == pytest.approx(plain.train_loss, rel=5e-3)      # three steps: the same draws
    assert found.genotypes == [search.genotype for search in found.searches]
    assert found.alphas["cell"].shape == (3, 2, 6, 5)
    assert not np.array_equal(found.alphas["cell"][0], found.alphas["cell"][1])


@needs_numba
@pytest.mark.parametrize("mine", [{0}, {1, 4}, {0, 1, 2, 3}], ids=len)
def test_no_more_at_a_time_than_processors_that_this_process_may_use(digits, mine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: mine, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert stack(digits, workers=None, engine="cpu").workers == min(len(mine), len(SEEDS))


def test_what_is_not_compiled_runs_in_turn_and_is_the_same(digits):
    found = stack(digits, epochs=1, engine="plain")
    assert found.workers == 1 and len(list(found)) == 1 and found.is_finished
    for seed, search in zip(SEEDS, found.searches, strict=True):
        assert_same(single(digits, seed, "plain", epochs=1), search)


def on_graphs(search: gl.Search) -> gl.Search:
    """As on a GPU: whole steps without the host, here eager."""
    search.engine = GRAPHS
    return search


def test_captured_searches_take_turns_step_by_step_and_each_is_the_single_one(digits):
    found, seen = stack(digits), []
    for search in found.searches:
        on_graphs(search)
    found.on_step = lambda *where: seen.append(where)
    found.run()
    assert found.workers == 3 and "engine cuda: " in repr(found) and ", 3 at a time" in repr(found)
    assert seen == [(seed, epoch, step, 3) for epoch in range(2) for step in (1, 2, 3) for seed in SEEDS]
    for seed, search in zip(SEEDS, found.searches, strict=True):
        assert isinstance(search.state.updates, CapturedSteps)
        assert_same(on_graphs(gl.Search(SPACE, digits, seed=seed, engine="plain", **options())).run(), search)


def test_captured_searches_stop_together_and_one_that_fails_does_not_stop_the_others(digits):
    found = stack(digits)
    for search in found.searches:
        on_graphs(search)
    found.on_step = lambda seed, epoch, step, steps: (seed, step) == (0, 2) and signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        found.run_epoch()
    found.on_step = None
    assert [search.epochs_done for search in found.searches] == [0, 0, 0]
    with torch.no_grad():
        found.searches[1].state.supernet.classifier.weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="became nan in epoch 1, step 3"):
        found.run_epoch()
    assert [search.epochs_done for search in found.searches] == [1, 0, 1]
    for place in (0, 2):
        whole = on_graphs(gl.Search(SPACE, digits, seed=SEEDS[place], engine="plain", **options()))
        whole.run_epoch()
        assert_same(whole, found.searches[place])


@needs_numba
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_stops_all_between_two_steps_and_going_on_changes_nothing(digits, workers):
    found, seen, before = stack(digits, workers=workers), [], signal.getsignal(signal.SIGINT)

    def interrupt_once(seed, epoch, step, steps):
        seen.append((seed, epoch, step))
        if (seed, epoch, step) == (0, 1, 2) and seen.count((0, 1, 2)) == 1:
            signal.raise_signal(signal.SIGINT)
            if workers > 1:         # the main thread hears of it when it next wakes up
                assert found.searches[0].interrupt_when.__self__.wait(60)

    found.on_step = interrupt_once
    with pytest.raises(KeyboardInterrupt):
        found.run()
    assert not found.is_finished
    found.run()
    assert sorted(seen) == [(seed, epoch, step) for seed in sorted(SEEDS) for epoch in range(2) for step in (1, 2, 3)]
    for seed, search in zip(SEEDS, found.searches, strict=True):
        assert_same(single(digits, seed, "cpu"), search)
    assert signal.getsignal(signal.SIGINT) is before       # ignored, where a shell started this behind itself


@needs_numba
def test_a_stack_goes_on_from_its_folders_even_where_one_search_is_ahead(digits, tmp_path):
    first = stack(digits, epochs=3, out=tmp_path)
    first.run_epoch()
    first.searches[1].run_epoch()           # as if the process had died while the searches wrote their folders
    first.close()
    again = stack(digits, epochs=3, out=tmp_path)
    assert again.epochs_done == 1 and [search.epochs_done for search in again.searches] == [1, 2, 1]
    assert [len(records) for records in again] == [3, 3]
    again.close()
    for seed, search in zip(SEEDS, again.searches, strict=True):
        assert_same(single(digits, seed, "cpu", epochs=3), search)
    alone = gl.resume(tmp_path / "seed-7", data=digits)
    assert alone.is_finished and alone.seed == 7
    alone.close()


def test_one_that_fails_does_not_stop_the_others(digits):
    found = stack(digits)
    with torch.no_grad():
        found.searches[0].state.supernet.classifier.weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="became nan in epoch 1, step 1"):
        found.run_epoch()
    if found.workers > 1:
        assert [search.epochs_done for search in found.searches] == [0, 1, 1]


def test_seeds_and_what_is_printed(digits):
    for seeds in ((), (1, 1)):
        with pytest.raises(ValueError, match="one or more different integers"):
            StackedSearch(SPACE, digits, gl.GDAS(), seeds=seeds)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        stack(digits, workers=0)
    text = repr(stack(digits))
    for word in ("3 searches", "seeds 3, 0, 7", "smoke", "engine", "epoch 0 of 2"):
        assert word in text
    with pytest.raises(AttributeError, match="each of stack.searches has one, and gl.watch shows a single search"):
        next(iter(gl.watch(stack(digits))))
    shared = stack(digits).searches
    assert shared[0].task is shared[1].task


def test_searches_makes_a_stack_and_a_search_with_seeds_says_so(digits):
    found = gl.searches(SPACE, digits, options()["algorithm"], recipe=options()["recipe"], seeds=(1, 2), workers=1)
    assert type(found) is StackedSearch and found.seeds == (1, 2)
    assert gl.searches(SPACE, digits, **options()).seeds == tuple(range(8))
    assert type(gl.Search(SPACE, digits, seeds=None, **options())) is gl.Search
    with pytest.raises(ValueError, match="a Search has one seed; gl.searches.* makes one for each"):
        gl.Search(SPACE, digits, seeds=(1, 2), **options())
    with pytest.raises(ValueError, match="seeds must be one or more different integers, got \\[1, 1\\]"):
        gl.searches(SPACE, digits, seeds=(1, 1), **options())
