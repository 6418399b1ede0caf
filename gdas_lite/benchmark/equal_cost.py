"""Searches at equal cost: how far the found cell lies below the best, by the images that were trained to find it.

The unit is an image that goes forward and backward through a network once. Looking one cell up costs a training of 12
epochs on half of CIFAR-10's training images. A search with shared weights costs its epochs times the halves that it
trains on: GDAS and DARTS take a step on the train half for the weights and one on the valid half for alpha, random
search only the first. What is not counted: that a look-up's score is in the table the mean of two such trainings, that
DARTS runs every candidate for each image, that one cell's network is smaller or larger than another's, scoring without
training, and the training of the cell that was found, which is the same for all.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..genotypes.zoo import published, zoo_genotype
from .baselines import Runs, random_search, regularised_evolution, reinforce
from .table import Table, opened

COLUMN, SCORE = "c10_test_200", "c10_valid_12"      # judged by, chosen by
TRAIN, TRAIN_HALF, EPOCHS = 50_000, 25_000, 200     # images of CIFAR-10; epochs of a whole training
NO_CELL = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"     # the output is the input: no cell at all
METHODS = {     # of a search's algorithm: its name here, its published name and block, the published epochs
    "gdas": ("GDAS", "GDAS", None, 250), "darts-v1": ("DARTS-V1", "DARTS_V1", None, 50),
    "random": ("random search, shared weights", "RSPS", "block A", 250)}        # the better of its two results


@dataclass(frozen=True)
class Point:
    """One place in the comparison. images: trained to find the cell, 0 if nothing was searched. regret: mean,
    percentage points of CIFAR-10's test accuracy. spread: standard deviation over `runs` searches, NaN where there is
    none. origin: "published", "measured" or "one cell"."""

    name: str
    origin: str
    images: float
    regret: float
    spread: float
    runs: int


@dataclass(frozen=True)
class EqualCost:
    """curves: runs of the searches that look cells up. images: (evaluations,), trained after each. points: all others.

    one_cell: images of training one cell to its end."""

    curves: tuple[Runs, ...]
    images: np.ndarray
    points: tuple[Point, ...]
    one_cell: int

    def regret_at(self, images: float) -> dict[str, float]:
        """Returns each curve's mean regret once so many images are trained. Raises ValueError where no curve is."""
        done, one, last = int(np.searchsorted(self.images, images, side="right")), self.images[0], self.images[-1]
        if not one <= images < last + one:
            raise ValueError(f"the curves go from {one:,} to {last:,} images, asked for {images:,}")
        return {runs.algorithm: float(runs.regret(COLUMN)[:, done - 1].mean()) for runs in self.curves}

    def point(self, name: str, origin: str = "published") -> Point:
        """Returns one of the points. Raises KeyError if there is none."""
        for point in self.points:
            if (point.name, point.origin) == (name, origin):
                return point
        known = "; ".join(f"{each.name}, {each.origin}" for each in self.points)
        raise KeyError(f"no point {name!r}, {origin}; there are {known}")


def equal_cost(table: Table | str = "nasbench201", evaluations: int = 300, *, runs: int = 500, seed: int = 0,
               recorded: Iterable[Any] = ()) -> EqualCost:
    """Computes the comparison on a table with CIFAR-10's accuracies after 12 and after 200 epochs.

    evaluations, runs, seed: of random search, regularised evolution and REINFORCE. recorded: histories of searches, as
    `gl.recorded` opens them; those on CIFAR-10 become measured points. Raises KeyError for a table without them.
    """
    table = opened(table)
    best = float(table.values(COLUMN).max())
    curves = tuple(search(table, evaluations, runs=runs, seed=seed, score=SCORE)
                   for search in (random_search, regularised_evolution, reinforce))
    one_look = int(re.findall(r"\d+", SCORE)[-1]) * TRAIN_HALF
    cells = {"no cell": NO_CELL, "ResNet cell": zoo_genotype("resnet", "nasbench201")}
    points = [Point(name, "one cell", 0, best - table.accuracy(cell, COLUMN), np.nan, 1)
              for name, cell in cells.items()]
    points += [_published(algorithm, best) for algorithm in METHODS]
    points += _measured(recorded, table, best)
    return EqualCost(curves, one_look * np.arange(1, evaluations + 1), tuple(points), EPOCHS * TRAIN)


def images_of(algorithm: str, epochs: int) -> int:
    """Returns the images that a search with shared weights trains on; algorithm: its name in a run folder."""
    return epochs * TRAIN_HALF * (1 if algorithm == "random" else 2)


def _published(algorithm: str, best: float) -> Point:
    name, method, block, epochs = METHODS[algorithm]
    result = next(result for result in published(method, space="nasbench201", data="cifar10", metric="test_accuracy")
                  if block is None or block in result.setting)
    number = re.search(r"mean of (\d+) runs", result.setting)
    return Point(name, "published", images_of(algorithm, epochs), best - result.value, result.spread, int(number[1]))


def _measured(histories: Iterable[Any], table: Table, best: float) -> list[Point]:
    ends_of: dict[str, list[tuple[int, float]]] = {}
    for history in histories:
        config = history.about["config"]
        algorithm = config["algorithm"]["name"]
        if (config["space"]["name"], config["data"]["name"]) == ("nasbench201", "cifar10") and algorithm in METHODS:
            ends_of.setdefault(algorithm, []).append((images_of(algorithm, len(history)),
                                                      best - table.accuracy(history[-1].genotype, COLUMN)))
    return [Point(METHODS[algorithm][0], "measured", *np.mean(ends, axis=0).tolist(),
                  float(np.std([regret for _, regret in ends], ddof=1)) if len(ends) > 1 else np.nan, len(ends))
            for algorithm, ends in ends_of.items()]
