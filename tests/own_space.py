"""A new search space, as somebody would write it: one module. Three places in a row, each a convolution, a pooling or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from operator import call
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.genotypes.labels import CellLabels
from gdas_lite.relaxation import fixed_mixture, uniform_mixture

OPS = ("identity", "conv", "pool")
EDGES = ((0, 1), (1, 2), (2, 3))


@dataclass(frozen=True)
class Row:
    """What stands in the three places."""

    ops: tuple[str, ...]
    space: ClassVar[str] = "row"

    def __post_init__(self):
        if len(self.ops) != 3 or not set(self.ops) <= set(OPS):
            raise ValueError(f"a row has three of {', '.join(OPS)}, got {self.ops}")

    def __str__(self):
        return " ".join(self.ops)

    @staticmethod
    def parse(text):
        return Row(tuple(text.split()))

    def cells(self):
        return {"cell": tuple((*edge, op) for edge, op in zip(EDGES, self.ops))}

    def to_json(self):
        return {"space": self.space, "ops": list(self.ops)}

    @classmethod
    def from_json(cls, data):
        return cls(tuple(data["ops"]))


def operation(name, channels):
    if name == "conv":
        return nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
    return nn.AvgPool2d(3, 1, 1) if name == "pool" else nn.Identity()


class SearchCell(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.edges = nn.ModuleList(nn.ModuleList(operation(name, channels) for name in OPS) for _ in EDGES)

    def forward(self, x, mixture):
        for row, candidates in enumerate(self.edges):
            x = sum(mixture.weights[row, k] * candidates[k](x) for k in mixture.active[row])
        return x


class Supernet(nn.Module):
    run_cell = staticmethod(call)

    def __init__(self, channels, classes, image_channels, cell):
        super().__init__()
        self.stem, self.cell = nn.Conv2d(image_channels, channels, 3, padding=1), cell
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x, mixtures=None):
        options = {} if mixtures is None else {"mixture": mixtures["cell"]}
        return self.classifier(F.relu(self.run_cell(self.cell, self.stem(x), **options)).mean((2, 3)))


class Network(Supernet):
    def __init__(self, genotype, channels=8, classes=10, image_channels=3):
        super().__init__(channels, classes, image_channels, nn.Sequential(*(operation(op, channels) for op in genotype.ops)))
        self.genotype = genotype
        self.settings = {"channels": channels, "classes": classes, "image_channels": image_channels}


@dataclass(frozen=True)
class RowSpace:
    channels: int = 8

    name: ClassVar[str] = "row"
    network_class: ClassVar[type] = Network
    genotype_class: ClassVar[type] = Row
    labels: ClassVar[dict] = {"cell": CellLabels(EDGES, OPS)}
    gdas_variant: ClassVar[str] = "P"
    data_kind: ClassVar[str] = "images"
    default_recipe: ClassVar[dict] = {"learning_rate": 0.05}

    def supernet(self, classes, image_channels=3):
        return Supernet(self.channels, classes, image_channels, SearchCell(self.channels))

    def derive(self, alphas):
        return Row(tuple(OPS[column] for column in np.asarray(torch.as_tensor(alphas["cell"]).detach()).argmax(-1)))

    def mixtures(self, genotype):
        return {"cell": fixed_mixture([OPS.index(op) for op in genotype.ops], len(OPS))}

    def random_mixtures(self, generator):
        return {"cell": uniform_mixture(self.labels["cell"].shape, generator)}

    def genotype_of(self, mixtures):
        return Row(tuple(OPS[column] for column, in mixtures["cell"].active))
