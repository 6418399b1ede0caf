"""Searches and trainings as values: all that decides the outcome of a published number, but the seed.

`PublishedProtocol.command` is the line to type for it; the command line reads such a line back (cli/values.py). Nothing
here needs a data set to be there.
"""

import inspect
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from torch import nn

from .. import spaces
from ..data.augment import Augmentation, PhotoAugmentation
from ..genotypes.lookup import find_cell
from ..genotypes.parse import Genotype
from ..runs.config import described, settings_of
from ..search.algorithms import algorithm_named
from ..search.recipes import search_recipe
from ..training.recipes import language_recipe, training_recipe

SIZE_OPTIONS = ("channels", "cells_per_stage", "cells", "hidden")      # settings with an option of their own
LARGE = 128     # pixels from which pictures go through ImageNet's stem


@dataclass(frozen=True)
class DatasetSizes:
    """classes: or words. train: images or tokens; a search has train // halves (all of CIFAR-100, and of texts). flips:
    whether pictures are mirrored in a training."""

    classes: int
    train: int
    halves: int = 2
    image_channels: int = 3
    image_size: int = 32
    is_text: bool = False
    flips: bool = True

    @property
    def augmentation(self) -> Augmentation:
        """The customary one of pictures in memory."""
        return Augmentation(padding=self.image_size // 8, flip=self.flips)


DATASETS = {
    "cifar10": DatasetSizes(10, 50_000), "cifar10-darts": DatasetSizes(10, 50_000),
    "cifar100": DatasetSizes(100, 50_000, halves=1),
    "digits": DatasetSizes(10, 1_402, image_channels=1, image_size=8, flips=False),
    "imagenet": DatasetSizes(1000, 1_281_167, image_size=224), "thumbnails": DatasetSizes(10, 12_000, image_size=8),
    "ptb": DatasetSizes(10_000, 929_589, 1, is_text=True),
    "wikitext-2": DatasetSizes(33_278, 2_088_628, 1, is_text=True)}


@dataclass(frozen=True)
class PublishedProtocol:
    """A search, or the training of a cell, with all that decides its outcome but the seed.

    data: name of the data set. recipe: of the search or the training; its `name` is the size that it was made from.
    space, algorithm: of a search. cell: of a training, the zoo's name of the cell or its text; options: settings of its
    network that are not the usual ones. train_on: the images of a training. precision: "fp32" or "bf16". Raises
    ValueError for data whose sizes are not known here, or unless it is either a search or a training.
    """

    data: str
    recipe: Any
    space: Any = None
    algorithm: Any = None
    cell: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    train_on: str = "train"
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.data not in DATASETS:
            raise ValueError(f"the sizes of {self.data!r} are not known here; known are {', '.join(DATASETS)}")
        if (self.space is None) != (self.algorithm is None) or (self.space is None) == (self.cell == ""):
            raise ValueError("a protocol has either a space and an algorithm (a search) or a cell (a training)")

    @cached_property
    def kind(self) -> str:
        """As run folders call it: "search", "training" or "language training"."""
        if self.space is not None:
            return "search"
        return "language training" if spaces.SPACES[self.genotype.space].data_kind == "text" else "training"

    @cached_property
    def genotype(self) -> Genotype:
        """The cell of a training."""
        return find_cell(self.cell).genotype

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings of a training's network, with those that data and recipe decide."""
        sizes = DATASETS[self.data]
        if self.kind == "language training":
            return {**self.options, "vocabulary": sizes.classes}
        return image_settings(dict(self.options), self.genotype.space, self.recipe, sizes)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The part of a run folder's config.json that the protocol decides: all but seed and data's checksum."""
        if self.kind == "search":       # a search in fp32 names no precision
            return {"space": described(self.space), "algorithm": described(self.algorithm),
                    "recipe": settings_of(self.recipe),
                    "stop_when": None, "precision": None if self.precision == "fp32" else self.precision}
        named = inspect.signature(spaces.SPACES[self.genotype.space].network_class).parameters
        usual = {name: parameter.default for name, parameter in named.items() if name != "genotype"}
        config = {"genotype": self.genotype.to_json(), "network": usual | self.settings,
                  "recipe": settings_of(self.recipe)}
        if self.kind == "language training":
            return config
        return config | {"train_on": self.train_on, "keep_weights": False, "precision": self.precision}

    @property
    def command(self) -> str:
        """The line of the shell, without a seed."""
        if self.kind == "search":
            words, options = ["search", self.space.name, "--algorithm", self.algorithm.name], _changed(self.space)
            tracks = options.pop("track_running_stats", False)
            usual = algorithm_named(self.algorithm.name)
            for name, value in _changed(self.algorithm, usual).items():
                words += [f"--{name}", *(map(str, value) if isinstance(value, tuple) else [str(value)])]
            named = search_recipe(self.recipe.name, self.space.name, self.algorithm)
            words += [*_options(options), "--data", self.data]
            if tracks or self.space.name == "nasbench201":
                words += ["--bn", "running" if tracks else "batch"]
        else:
            space = self.genotype.space
            words = ["train", shlex.quote(self.cell), "--data", self.data, *_options(self.options)]
            named = language_recipe(self.recipe.name, self.data) if space == "recurrent" else \
                training_recipe(self.recipe.name, space)
            words += [] if self.train_on == "train" else ["--train-on", self.train_on]
        words += [] if self.precision == "fp32" else ["--precision", self.precision]
        changes = [part for item in _changed(self.recipe, named).items() for part in ("--set", _assignment(*item))]
        return " ".join(["gdas-lite", *words, "--recipe", self.recipe.name, *changes])

    def is_of(self, config: Mapping[str, Any]) -> bool:
        """Returns whether a run folder's config is a run of this protocol, with whatever seed, on pictures that were
        augmented as usual: in another way it is another protocol."""
        data, sizes = config.get("data", {}), DATASETS[self.data]
        made = {**(data.get("augmentation") or {}), **(data.get("streamed") or {})}     # older folders do not say
        usual = {**asdict(PhotoAugmentation()), **asdict(sizes.augmentation), "image_size": sizes.image_size}
        return (config.get("kind") == self.kind and data.get("name") == self.data
                and made.pop("cutout", 0) in (0, getattr(self.recipe, "cutout", 0))
                and all(usual.get(name, value) == value for name, value in made.items())
                and {name: _comparable(config).get(name) for name in self.config} == _comparable(self.config))

    def network(self) -> nn.Module:
        """Returns the network of a training. Weights are drawn as usual."""
        return spaces.network(self.genotype, **self.settings)


def image_settings(settings: dict[str, Any], space: str, recipe: Any, data: Any) -> dict[str, Any]:
    """A network's settings with what images and recipe decide. data: has classes, image_channels and image_size."""
    settings = settings | {"classes": data.classes, "image_channels": data.image_channels}
    if space != "nasnet":
        return settings
    stem = "imagenet" if data.image_size >= LARGE else "cifar"
    return {"auxiliary": recipe.auxiliary_weight > 0, "stem": stem} | settings


def _changed(value: Any, usual: Any = None) -> dict[str, Any]:
    """The fields of a frozen dataclass that differ from those of `usual`, None for the defaults of its class."""
    usual = type(value)() if usual is None else usual
    return {each.name: getattr(value, each.name) for each in fields(value)
            if each.init and getattr(value, each.name) != getattr(usual, each.name)}


def _options(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of the command line: sizes first, each by its own option."""
    sizes = [name for name in SIZE_OPTIONS if name in settings]
    words = [word for name in sizes for word in (f"--{name.replace('_', '-')}", str(settings[name]))]
    others = {name: value for name, value in settings.items() if name not in sizes}
    return words + [word for item in others.items() for word in ("--with", _assignment(*item))]


def _assignment(name: str, value: Any) -> str:
    """`NAME=VALUE` as the command line reads it."""
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"{name}={text.lower() if value is None or isinstance(value, bool) else text}"


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from a file, without the recipe's name, which says nothing."""
    plain = json.loads(json.dumps(dict(config)))
    return plain | {"recipe": {field: value for field, value in plain["recipe"].items() if field != "name"}}


def published_search(space: str, algorithm: str, data: str, **settings: Any) -> PublishedProtocol:
    """Returns the search with the paper's recipe; settings: of the space, where they are not the usual ones."""
    return PublishedProtocol(data, search_recipe("paper", space, algorithm), spaces.SPACES[space](**settings),
                             algorithm_named(algorithm))
