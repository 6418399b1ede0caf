"""Going on with what lies on disk: resume a run, load the network that a training left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from ..data import ImageData, StreamedData, TextData, load_data
from ..runs.config import RunError, read_config
from ..runs.resumable import ResumableRun
from ..training.export import network_of


def resume(path: str | Path, data: ImageData | StreamedData | TextData | str | None = None,
           device: str | torch.device | None = None, engine: str = "auto") -> ResumableRun:
    """The search or training of a run folder, at its newest good checkpoint; iterate it to go on.

    data: what it ran on, or where to find it; None loads the data set named in the folder from its usual places.
    engine: of a search, as `Search` takes it; "auto" is the one that it ran on so far.
    Raises RunError if the folder is no run, is in use or its checkpoints are all damaged; ValueError if the data are
    not the ones it ran on.
    """
    config = read_config(path)
    reopened = {"search": _reopen_search, "training": _reopen_training,
                "language training": _reopen_language_training}.get(str(config.get("kind")))
    if reopened is None:
        raise RunError(f"{path} holds a run of kind {config.get('kind')!r}, which this version does not know")
    if not isinstance(data, (ImageData, StreamedData, TextData)):
        data = _load(path, config["data"], data)
    if config["kind"] == "search":
        return reopened(path, config, data, device, engine)
    if engine != "auto":
        raise ValueError(f"engine is an option of searches, {path} holds a {config['kind']}")
    return reopened(path, config, data, device)


@contextmanager
def _described(path: str | Path, field: str) -> Iterator[None]:
    """Inside, what a value refuses is said of the field of config.json that it was read from."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as problem:
        raise RunError(f"{Path(path) / 'config.json'} is damaged or of another version: {field}: {problem}") from None


def _load(path: str | Path, config: dict[str, Any], place: str | Path | None
          ) -> ImageData | StreamedData | TextData:
    name, streamed = config["name"], config.get("streamed")
    if streamed is None:
        return load_data(name, root=place)
    if name == "imagenet":
        return load_data(name, root=place, **streamed)
    if place is None:
        raise RunError(f"{path} was trained on the pictures of a folder called {name}; say where it is now: data=...")
    return load_data(place, streamed=True, **streamed)


def _reopen_search(path: str | Path, config: dict[str, Any], data: ImageData, device: Any, engine: str) -> ResumableRun:
    from ..search.algorithms import DARTS, GDAS, RandomSearch
    from ..search.loop import Search
    from ..search.recipes import SearchRecipe, TextSearchRecipe
    from ..search.stopping import rule_from_json
    from ..spaces.nasbench201 import NASBench201
    from ..spaces.nasnet import NASNet
    from ..spaces.recurrent import Recurrent

    spaces = {space.name: space for space in (NASBench201, NASNet, Recurrent)}
    algorithms = {"gdas": GDAS, "darts-v1": DARTS, "darts-v2": DARTS, "random": RandomSearch}
    for kind, known in (("space", spaces), ("algorithm", algorithms)):
        if config[kind]["name"] not in known:
            raise RunError(f"{path} is a search with the {kind} {config[kind]['name']!r}, which this version does not know")
    space = _value(path, "space", spaces[config["space"]["name"]], config)
    algorithm = _value(path, "algorithm", algorithms[config["algorithm"]["name"]], config)
    recipe = _value(path, "recipe", TextSearchRecipe if space.name == Recurrent.name else SearchRecipe, config)
    with _described(path, "stop_when"):
        rule = rule_from_json(config.get("stop_when"))
    return Search(space, data, algorithm, recipe=recipe, seed=config["seed"], out=path, device=device, engine=engine,
                  stop_when=rule, precision=config.get("precision", "fp32"))


def _reopen_training(path: str | Path, config: dict[str, Any], data: ImageData, device: Any) -> ResumableRun:
    from ..training.loop import Training
    from ..training.recipes import TrainingRecipe

    for field in ("train_on", "evaluate_every", "keep_weights", "precision", "sync_batch_norm"):
        if field not in config:
            raise RunError(f"{Path(path) / 'config.json'} is damaged: the field {field} is missing")
    return Training(network_of(config), data, recipe=_value(path, "recipe", TrainingRecipe, config), seed=config["seed"],
                    out=path, device=device, train_on=config["train_on"], evaluate_every=config["evaluate_every"],
                    keep_weights=config["keep_weights"], precision=config["precision"],
                    sync_batch_norm=config["sync_batch_norm"])


def _reopen_language_training(path: str | Path, config: dict[str, Any], data: TextData, device: Any) -> ResumableRun:
    from ..training.language import LanguageTraining
    from ..training.recipes import LanguageRecipe

    return LanguageTraining(network_of(config), data, recipe=_value(path, "recipe", LanguageRecipe, config), seed=config["seed"],
                            out=path, device=device)


def _value(path: str | Path, field: str, cls: type, config: dict[str, Any]) -> Any:
    """A frozen dataclass from its JSON object in a field of config.json: lists become the tuples they were."""
    names, data = {field.name for field in fields(cls) if field.init}, config[field]
    with _described(path, field):
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key in names})
