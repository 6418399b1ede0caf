"""What a command asks for, as a run folder would record it; made without data, so that no data set need be there."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch

from ..cells import find_cell
from ..cli.choosing import image_settings, network_settings, recipe_changes, search_of
from ..cli.parser import build_parser


@dataclass(frozen=True)
class Facts:
    """Sizes of a data set. classes: or words of the vocabulary. train: images, or tokens; searches see half of the images."""

    classes: int
    train: int
    image_channels: int = 3
    image_size: int = 32
    is_text: bool = False


FACTS = {"cifar10": Facts(10, 50_000), "cifar10-darts": Facts(10, 50_000), "cifar100": Facts(100, 50_000),
         "imagenet": Facts(1000, 1_281_167, image_size=224),
         "digits": Facts(10, 1_402, image_channels=1, image_size=8),
         "ptb": Facts(10_000, 929_589, is_text=True), "wikitext-2": Facts(33_278, 2_088_628, is_text=True)}


@dataclass(frozen=True)
class Protocol:
    """kind: "search", "training" or "language training". config: the part of config.json that the command decides: all but
    seed and data's checksum. make: its parts as values: space and algorithm, or genotype and network settings; recipe."""

    command: str
    kind: str
    data: str
    config: Mapping[str, Any]
    parts: Mapping[str, Any]

    def is_of(self, config: Mapping[str, Any]) -> bool:
        """Whether a run folder's config is a run of this protocol, with whatever seed."""
        return (config.get("kind") == self.kind and config.get("data", {}).get("name") == self.data
                and {name: _comparable(config).get(name) for name in self.config} == _comparable(self.config))

    def network(self) -> torch.nn.Module:
        """Of a training: the network. Weights are drawn as usual."""
        return self.parts["genotype"].network(**self.parts["settings"])


@lru_cache(maxsize=256)
def protocol(command: str) -> Protocol:
    """The protocol of a `gdas-lite search ...` or `gdas-lite train ...` command.

    Raises ValueError for another command, or data whose sizes are not known here.
    """
    words = shlex.split(command)
    if len(words) < 3 or words[0] != "gdas-lite" or words[1] not in ("search", "train"):
        raise ValueError(f"expected a command `gdas-lite search ...` or `gdas-lite train ...`, got {command!r}")
    arguments = build_parser().parse_args(words[1:])
    if arguments.data not in FACTS:
        raise ValueError(f"the sizes of {arguments.data!r} are not known here; known are {', '.join(FACTS)}")
    return (_search if words[1] == "search" else _training)(command, arguments)


def _search(command: str, arguments: Any) -> Protocol:
    space, algorithm, recipe = search_of(arguments)
    config = {"space": {"name": space.name, **asdict(space)}, "algorithm": {"name": algorithm.name, **asdict(algorithm)},
              "recipe": asdict(recipe), "stop_when": None,
              "precision": None if arguments.precision == "fp32" else arguments.precision}      # a run in fp32 names none
    return Protocol(command, "search", arguments.data, config, {"space": space, "algorithm": algorithm, "recipe": recipe})


def _training(command: str, arguments: Any) -> Protocol:
    from ..training.language_recipes import LanguageRecipe, language_recipe
    from ..training.recipes import TrainingRecipe, training_recipe

    genotype, facts = find_cell(arguments.cell).genotype, FACTS[arguments.data]
    if genotype.space == "recurrent":
        recipe = language_recipe(arguments.recipe, arguments.data, **recipe_changes(arguments, LanguageRecipe))
        settings = network_settings(arguments, "recurrent", given=("vocabulary",)) | {"vocabulary": facts.classes}
    else:
        recipe = training_recipe(arguments.recipe, genotype.space, **recipe_changes(arguments, TrainingRecipe))
        settings = network_settings(arguments, genotype.space, given=("classes", "image_channels"))
        settings = image_settings(settings, genotype.space, recipe, facts)
    kind = "language training" if genotype.space == "recurrent" else "training"
    recipe_config = recipe.to_json() if genotype.space == "recurrent" else asdict(recipe)
    config = {"genotype": genotype.to_json(), "network": _defaults(genotype.space) | settings, "recipe": recipe_config}
    if kind == "training":
        config |= {"train_on": arguments.train_on or "train", "keep_weights": False, "precision": arguments.precision or "fp32"}
    return Protocol(command, kind, arguments.data, config, {"genotype": genotype, "settings": settings, "recipe": recipe})


def _defaults(space: str) -> dict[str, Any]:
    """The settings that a network of the space has if none is named."""
    parameters = inspect.signature(import_module(f"gdas_lite.spaces.{space}").Network).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "genotype"}


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from a file, without the recipe's name, which says nothing."""
    plain = json.loads(json.dumps(dict(config)))
    return plain | {"recipe": {field: value for field, value in plain["recipe"].items() if field != "name"}}
