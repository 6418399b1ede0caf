"""From a published number to the command that reproduces it.

What a command asks for, as a run folder would record it; made without data, so that no data set need be there.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch

from .. import spaces
from ..genotypes.lookup import find_cell
from ..genotypes.published import PublishedResult, published
from ..genotypes.zoo import zoo
from .cli.parser import build_parser
from .cli.values import image_settings, network_settings, recipe_changes, search_of

CIFAR, TEXTS = ("cifar10", "cifar100"), ("ptb", "wikitext-2")


SEARCHES = {"GDAS": "gdas", "DARTS_V1": "darts-v1", "DARTS_V2": "darts-v2", "RSPS": "random"}


# NAS-Bench-201's two blocks: batch norm's statistics are those of the batch, or running estimates (AutoDL-Projects' BN).
# Its authors' commands give GDAS the second, DARTS and random search the first.
STATISTICS = {"GDAS": "running", "DARTS_V1": "batch", "DARTS_V2": "batch", "RSPS": "batch"}


UNCONFIRMED = "that this block of the paper's table has these batch-norm statistics is not confirmed: searches with either count"


DAYS = {"GDAS_V1": "gdas", "GDAS_F1": "gdas --with fixed_reduction=true", "DARTS_V1": "darts-v1", "DARTS_V2": "darts-v2"}


# What each network of ImageNet's tables is built with: channels and cells as published.
IMAGENET = {"GDAS_V1": (50, 14), "GDAS_F1": (52, 14), "DARTS_V2": (48, 14)}


SIZES = ("params_M", "mult_adds_M")


@dataclass(frozen=True)
class Row:
    """A published number and how to get it here.

    command: of the shell, without a seed; None where this kit has none. For the sizes params_M and mult_adds_M it trains the
    network whose size it is. reason: why there is none, or what is not certain about it. also: another command whose runs
    count as well.
    """

    published: PublishedResult
    command: str | None
    reason: str = ""
    also: str | None = None


def rows(*, space: str | None = None, data: str | None = None, source: str | None = None) -> tuple[Row, ...]:
    """A row for each published number, in the order of the sources.

    space, data: as in `published`. source: text that the source contains, "GDAS paper, table 1". Raises KeyError for an
    unknown space or data set, or a source that no number has.
    """
    found = tuple(row_of(result) for result in published(space=space, data=data) if source is None or source in result.source)
    if not found and source is not None:
        sources = dict.fromkeys(result.source for result in published(space=space, data=data))
        raise KeyError(f"no published number from {source!r}; there are {'; '.join(sources)}")
    return found


def row_of(result: PublishedResult) -> Row:
    """The row of one published number."""
    command, reason = {"nasnet": _nasnet, "recurrent": _recurrent, "nasbench201": _nasbench201}[result.space](result)
    if command and not reason and "best epoch" in result.setting and result.metric not in SIZES:
        reason = "published of the best epoch; here the last one counts"
    if command and not reason and result.status == "secondary" and result.metric not in SIZES:
        reason = "quoted there from the DARTS authors" if _is_darts(result) else \
            "quoted there from other authors, whose recipe was another"
    return Row(result, command, reason, _other_statistics(command) if reason == UNCONFIRMED else None)


def _other_statistics(command: str) -> str:
    one, other = ("batch", "running") if "--bn batch" in command else ("running", "batch")
    return command.replace(f"--bn {one}", f"--bn {other}")


def _nasnet(result: PublishedResult) -> tuple[str | None, str]:
    if result.metric == "search_gpu_days":
        if result.name not in DAYS:
            return None, "a search that this kit does not have"
        data = "cifar10-darts" if _is_darts(result) else "cifar10"
        return f"gdas-lite search nasnet --algorithm {DAYS[result.name]} --data {data} --recipe paper", ""
    if f"{result.name}@nasnet" not in {f"{entry.name}@{entry.space}" for entry in zoo("nasnet").values()}:
        return None, "not one published cell"
    if result.data == "imagenet":
        return _imagenet(result)
    if "issue" in result.source:
        return None, "a user's report; the setting is not known in full"
    if _is_darts(result):
        return f"gdas-lite train {result.name} --data cifar10-darts --recipe paper-darts", ""
    is_without = result.setting.startswith("without cutout")
    cutout = " --set cutout=0 --set drop_path=0.3" if is_without else ""        # the original GDAS code changes both
    return f"gdas-lite train {result.name} --data {result.data}{_pools(result)} --recipe paper{cutout}", ""


def _imagenet(result: PublishedResult) -> tuple[str | None, str]:
    if result.name not in IMAGENET:
        return None, "the size of the network is not given in the source"
    channels, cells = IMAGENET[result.name]
    sized = f"gdas-lite train {result.name} --data imagenet --channels {channels} --cells {cells}"
    # Neither the original GDAS code nor DARTS' has the auxiliary head's second batch norm on ImageNet.
    recipe = "paper-imagenet-darts" if _is_darts(result) else "paper-imagenet"
    return f"{sized}{_pools(result)} --with auxiliary_last_norm=false --recipe {recipe}", ""


def _is_darts(result: PublishedResult) -> bool:
    """Whether DARTS' authors trained or searched it: their cells wherever the number is quoted, others' in their paper."""
    if "trained by the GDAS authors" in result.setting:
        return False
    is_theirs = result.status == "primary" and result.source.startswith("DARTS paper")
    return result.name.startswith("DARTS") or (is_theirs and "authors' code" not in result.setting)


def _pools(result: PublishedResult) -> str:
    """The original GDAS code has a batch norm behind each pooling of a derived network, DARTS' has none."""
    is_theirs = result.status == "primary" and result.source.startswith(("GDAS paper", "authors' log"))
    return " --with pool_norm=true" if is_theirs else ""


def _recurrent(result: PublishedResult) -> tuple[str | None, str]:
    if result.metric == "search_gpu_days":
        return "gdas-lite search recurrent --algorithm gdas --data ptb --recipe paper", ""
    if result.name not in {entry.name for entry in zoo("recurrent").values()}:
        return None, "not one published cell"
    changes = ""
    if _is_darts(result):
        changes = " --set epochs=8000"
    elif result.status == "primary" and result.source.startswith("GDAS"):
        changes = " --set epochs=3000 --set averaging_trigger=gdas"
    return f"gdas-lite train {result.name}@recurrent --data {result.data} --recipe paper{changes}", ""


def _nasbench201(result: PublishedResult) -> tuple[str | None, str]:
    if result.metric.endswith("accuracy") and result.name in ("resnet", "optimal"):
        return None, "one cell, looked up in the benchmark's table"
    if result.name in ("REINFORCE", "RS", "REA"):
        return None, "a search in the benchmark's table: gl.baselines"
    if result.name not in SEARCHES or result.source.startswith("AutoDL-Projects issue"):
        return None, "a search that this kit does not have" if result.name not in SEARCHES else "a user's report"
    block = re.search(r"block ([AB])", result.setting)
    statistics = STATISTICS[result.name] if block is None else {"A": "running", "B": "batch"}[block[1]]
    return (f"gdas-lite search nasbench201 --algorithm {SEARCHES[result.name]} --data cifar10 --bn {statistics} "
            f"--recipe paper"), "" if block is None else UNCONFIRMED


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
        return spaces.network(self.parts["genotype"], **self.parts["settings"])


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
    from ..training.recipes import LanguageRecipe, TrainingRecipe, language_recipe, training_recipe

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
    parameters = inspect.signature(spaces.SPACES[space].network_class).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "genotype"}


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from a file, without the recipe's name, which says nothing."""
    plain = json.loads(json.dumps(dict(config)))
    return plain | {"recipe": {field: value for field, value in plain["recipe"].items() if field != "name"}}
