"""Twenty steps of every algorithm on every engine, followed beside the plain search.

Two searches that differ by rounding drift apart: ReLUs fall on their other side, batch norms blow differences up. So weights
and alphas are measured by the way that the plain search has gone: after twenty steps of a right engine they are within
`TOLERANCE` of that way; of the wrong network they are off by half of it and more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

import gdas_lite as gl
from gdas_lite.data.augment import Augmentation
from gdas_lite.data.images import ImageData, ImageSet

STEPS, TOLERANCE = 20, 0.05
ALGORITHMS = {"gdas": gl.GDAS(), "gdas P": gl.GDAS(variant="P"), "darts-v1": gl.DARTS(1), "darts-v2": gl.DARTS(2),
              "random": gl.RandomSearch(2, 8)}


@dataclass(frozen=True)
class Size:
    space: gl.NASBench201 | gl.NASNet
    side: int
    batch: int


CELLS = Size(gl.NASBench201(8, 1), 32, 32)             # the smallest that "auto" takes
LOOPS = Size(gl.NASBench201(4, 1), 8, 16)
NASNET = Size(gl.NASNet(8, cells=3), 8, 8)             # asked for: where "auto" takes it, a step takes seconds
DEVICE = Size(gl.NASBench201(4, 1), 8, 16)


def images(size: Size) -> ImageData:
    generator, count = torch.Generator().manual_seed(0), STEPS * size.batch
    halves = [ImageSet(torch.randint(256, (count, 3, size.side, size.side), dtype=torch.uint8, generator=generator),
                       torch.arange(count) % 4) for _ in range(2)]
    return ImageData("noise", 4, tuple("abcd"), size.side, 3, (0.5,) * 3, (0.25,) * 3, Augmentation(1, True, 0), halves[0],
                     *halves, {})


def search(size: Size, algorithm: str, engine: str, **options) -> gl.Search:
    """alpha_eps: Adam divides by the gradient's size, which blows the rounding error of a small gradient up to a step."""
    chosen = ALGORITHMS[algorithm]
    recipe = gl.search_recipe("smoke", size.space.name, chosen.name, epochs=1, batch_size=size.batch, alpha_eps=0.01,
                              alpha_learning_rate=0.01)
    return gl.Search(size.space, images(size), chosen, recipe=recipe, engine=engine, **options)


def places(run: gl.Search) -> dict[str, torch.Tensor]:
    """Weights, alphas and running estimates, each as one vector in double precision."""
    found = {"weights": list(run.state.supernet.parameters()), "alphas": list(run.state.alphas.values()),
             "estimates": [one for one in run.state.supernet.buffers() if one.is_floating_point()]}
    return {name: torch.cat([one.detach().double().flatten() for one in tensors]) for name, tensors in found.items()}


def off(run: gl.Search, plain: gl.Search, start: dict[str, torch.Tensor]) -> dict[str, float]:
    """How far the one ends from the other, over the way that the plain one has gone; alphas of random search stay."""
    here, there = places(run), places(plain)
    return {name: ((here[name] - there[name]).norm() / (there[name] - start[name]).norm().clamp_min(1e-9)).item()
            for name in start}


def followed(run: gl.Search, plain: gl.Search) -> dict[str, float]:
    start = places(plain)
    assert all(torch.equal(start[name], one) for name, one in places(run).items())
    plain.run(), run.run()
    assert len(plain.history) == len(run.history) == 1
    return off(run, plain, start)
