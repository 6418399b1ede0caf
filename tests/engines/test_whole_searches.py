"""Twenty steps of every algorithm on every engine, followed beside the plain search.

Two searches that differ by rounding drift apart: ReLUs fall on their other side, batch norms blow differences up. So weights,
alphas and running estimates are measured by the way that the plain search has gone from the start; a right engine ends within
TOLERANCE of that way (seen: 0.04 for weights, 0.08 for alphas), the old wrong one was off by the whole of it. In small steps:
with the recipe's own rate of 0.025 plain float32 itself is off from double precision by a fifth of the way, here by a
hundredth (weights) and a thirtieth (alphas).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

import gdas_lite as gl
from gdas_lite.data.augment import Augmentation
from gdas_lite.data.images import ImageData, ImageSet
from gdas_lite.engines.cpu.engine import numba_obstacle, way
from gdas_lite.engines.cuda.capturing import CapturingEngine
from tests.engines.test_every_mixture import WRONG_CELLS, PlanOfOnes

needs_numba = pytest.mark.skipif(numba_obstacle() is not None, reason=f"engine cpu: {numba_obstacle()}")
STEPS, TOLERANCE, CLASSES = 20, 0.25, 4
ALGORITHMS = {"gdas": gl.GDAS(), "gdas P": gl.GDAS(variant="P"), "darts-v1": gl.DARTS(1), "darts-v2": gl.DARTS(2),
              "random": gl.RandomSearch(2, 8)}


@dataclass(frozen=True)
class Size:
    """side: pixels."""

    space: gl.NASBench201 | gl.NASNet
    side: int
    batch: int


LARGE = Size(gl.NASBench201(8, 1), 32, 32)              # the smallest that "auto" runs on the compiled cells
SMALL = Size(gl.NASBench201(4, 1), 8, 16)               # stacked, "auto" runs it on the compiled loops
NASNET = Size(gl.NASNet(8, cells=3), 8, 8)              # asked for: where "auto" takes it, these steps take a minute


def images(size: Size) -> ImageData:
    """A pattern for each class, in noise."""
    generator, count = torch.Generator().manual_seed(0), STEPS * size.batch
    patterns = torch.randint(256, (CLASSES, 3, size.side, size.side), generator=generator).float()

    def half() -> ImageSet:
        labels = torch.randint(CLASSES, (count,), generator=generator)
        noise = torch.randint(256, (count, *patterns.shape[1:]), generator=generator)
        return ImageSet(((patterns[labels] + noise) / 2).to(torch.uint8), labels)

    halves = half(), half()
    return ImageData("patterns", CLASSES, tuple("abcd"), size.side, 3, (0.5,) * 3, (0.25,) * 3, Augmentation(1, True, 0),
                     halves[0], *halves, {})


def search(size: Size, algorithm: str, engine: str, changes: dict | None = None, **options: object
           ) -> gl.Search | gl.StackedSearch:
    """alpha_eps: Adam divides by the gradient's size, which blows the rounding error of a small gradient up to a step.
    changes: of the recipe."""
    chosen = ALGORITHMS[algorithm]
    recipe = gl.search_recipe("smoke", size.space.name, chosen.name, epochs=1, batch_size=size.batch, learning_rate=0.002,
                              alpha_learning_rate=0.01, alpha_eps=0.1, **changes or {})
    make = gl.searches if "seeds" in options else gl.Search
    return make(size.space, images(size), chosen, recipe=recipe, engine=engine, **options)


def places(run: gl.Search) -> dict[str, torch.Tensor]:
    """Weights, alphas and running estimates, each as one vector."""
    found = {"weights": run.state.supernet.parameters(), "alphas": run.state.alphas.values(),
             "estimates": [one for one in run.state.supernet.buffers() if one.is_floating_point()]}
    return {name: torch.cat([one.detach().double().flatten() for one in tensors]) for name, tensors in found.items()}


def assert_follows(run: gl.Search, size: Size, algorithm: str, changes: dict | None = None) -> None:
    """The search with seed 0 beside the plain one, both to the end."""
    plain = search(size, algorithm, "plain", changes)
    start, begins = places(plain), places(run)
    assert all(torch.equal(start[name], begins[name]) for name in start)
    plain.run(), run.run()
    here, there = places(run), places(plain)
    ways = {name: (there[name] - start[name]).norm() for name in start}
    assert ways["weights"] > 0 and (ways["alphas"] > 0) == (algorithm != "random")
    off = {name: ((here[name] - there[name]).norm() / way.clamp_min(1e-9)).item() for name, way in ways.items()}
    assert max(off.values()) <= TOLERANCE, f"{run.engine.name} ends off the plain way: {off}"
    assert run.history[0].train_loss == pytest.approx(plain.history[0].train_loss, rel=1e-3)


@needs_numba
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_compiled_cells(algorithm):
    run = search(LARGE, algorithm, "auto")
    assert (run.engine.name, way(run.spec)) == ("cpu", "cells")
    assert_follows(run, LARGE, algorithm)


@needs_numba
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_compiled_cells_of_nasnet(algorithm):
    run = search(NASNET, algorithm, "cpu")
    assert (run.engine.name, way(run.spec)) == ("cpu", "cells")
    assert_follows(run, NASNET, algorithm)


@needs_numba
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_compiled_loops(algorithm):
    run, = search(SMALL, algorithm, "auto", seeds=(0,)).searches
    assert (run.engine.name, way(run.spec)) == ("cpu", "loops")
    assert_follows(run, SMALL, algorithm)


@needs_numba
@pytest.mark.parametrize("algorithm", ["gdas", "darts-v2", "random"])
def test_compiled_loops_with_running_estimates(algorithm):
    size = replace(SMALL, space=replace(SMALL.space, track_running_stats=True))
    run = search(size, algorithm, "cpu")
    assert (run.engine.name, way(run.spec)) == ("cpu", "loops")
    assert_follows(run, size, algorithm)


@needs_numba
@pytest.mark.parametrize("algorithm", ["gdas", "darts-v1"])
def test_compiled_loops_with_alpha_in_the_clipped_norm(algorithm):
    clip = {"clip_scope": "weights_and_alpha", "grad_clip_norm": 0.5}
    run = search(SMALL, algorithm, "cpu", changes=clip)
    assert (run.engine.name, way(run.spec)) == ("cpu", "loops")
    assert_follows(run, SMALL, algorithm, clip)


@pytest.mark.parametrize("size, algorithm", [*((SMALL, name) for name in ALGORITHMS), (NASNET, "gdas"), (NASNET, "darts-v1"),
                                             (NASNET, "random")],
                         ids=lambda one: one.space.name if isinstance(one, Size) else one)
def test_captured_steps(size, algorithm):
    """By PyTorch's operations, eagerly."""
    run = search(size, algorithm, "plain")
    run.engine = CapturingEngine()
    assert_follows(run, size, algorithm)


EXCLUDES = ("none", "avg_pool_3x3")


@pytest.mark.parametrize("algorithm", ["gdas", "gdas P", "darts-v1", "random"])
@pytest.mark.parametrize("engine, size", [("layers", SMALL), ("cells", LARGE), ("loops", SMALL), ("captured", SMALL)],
                         ids=["layers", "cells", "loops", "captured"])
def test_searches_with_candidates_excluded(engine, size, algorithm):
    if engine in ("cells", "loops") and numba_obstacle() is not None:
        pytest.skip(numba_obstacle())
    size = replace(size, space=replace(size.space, exclude=EXCLUDES))
    name = "cpu" if engine in ("cells", "loops") else "plain" if engine == "captured" else engine
    run, = search(size, algorithm, name, seeds=(0,)).searches
    assert run.engine.name == name and (name != "cpu" or way(run.spec) == engine)
    if engine == "captured":
        run.engine = CapturingEngine()
    assert_follows(run, size, algorithm)
    assert run.state.alphas["cell"].shape == (6, 3) and not set(run.genotype.ops) & set(EXCLUDES)


@needs_numba
@pytest.mark.parametrize("size, options, fault", [
    (LARGE, {}, WRONG_CELLS),
    (SMALL, {"seeds": (0,)}, ("gdas_lite.engines.cpu.small.supernet.Plan", PlanOfOnes))], ids=["cells", "loops"])
def test_a_search_of_the_wrong_network_is_noticed(size, options, fault, monkeypatch):
    """DARTS with candidates of weight 1."""
    made = search(size, "darts-v1", "auto", **options)
    run = made.searches[0] if options else made
    monkeypatch.setattr(*fault)
    with pytest.raises(AssertionError, match="cpu ends off the plain way"):
        assert_follows(run, size, "darts-v1")
