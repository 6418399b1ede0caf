"""Going on with what lies on disk: resume a run, load the network that a training left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from ..data import DATA_SETS, TEXT_SETS, ImageData, StreamedData, TextData, load_data
from ..runs.config import RunError, how_loaded, read_config
from ..runs.resumable import ResumableRun
from ..spaces import SPACES
from ..training.export import network_of


def resume(path: str | Path, data: ImageData | StreamedData | TextData | str | None = None,
           device: str | torch.device | None = None, engine: str = "auto", algorithm: Any = None) -> ResumableRun:
    """Returns the search or training of a run folder, at its newest good checkpoint; iterate it to go on.

    data: what it ran on, or where to find it; None loads the data set named in the folder from its usual places. Data
        of one's own are known by their checksum, whatever they are called and wherever they lie now.
    engine: of a search, as `Search` takes it; "auto" is the one that it ran on so far.
    algorithm: of a search by one that is not registered (`search.algorithms.register`), as it was when it began.
    Raises RunError if the folder is no run, is in use or its checkpoints are all damaged, or needs an algorithm or a
    space that is not registered; ValueError if the data are not the ones it ran on, or an option is for other runs.
    """
    config = read_config(path)
    kind = config.get("kind")
    reopen = {"search": _reopen_search, "training": _reopen_training, "language training": _reopen_language}
    if kind not in reopen:
        raise RunError(f"{path} holds a run of kind {kind!r}, which this version does not know")
    for option, given in (("engine", engine != "auto"), ("algorithm", algorithm is not None)):
        if given and kind != "search":
            raise ValueError(f"{option} is an option of searches, {path} holds a {kind}")
    options = {"seed": config["seed"], "out": path, "device": device}
    if kind == "search":
        options |= {"space": _registered(path, config, "space"), "engine": engine,
                    "algorithm": algorithm or _registered(path, config, "algorithm")}
    if not isinstance(data, (ImageData, StreamedData, TextData)):
        data = _load(path, config["data"], data)
    return reopen[kind](path, config, data, options)


def _registered(path: str | Path, config: dict[str, Any], field: str) -> Any:
    """The space or the algorithm of a search, as it is described in its folder."""
    from ..search.algorithms import ALGORITHMS

    known = SPACES if field == "space" else {name: type(algorithm) for name, algorithm in ALGORITHMS.items()}
    if (name := config[field]["name"]) in known:
        return _value(path, field, known[name], config)
    if field == "space":
        raise RunError(f"{path} is a search in the space {name!r}, which is not registered; import the module that "
                       "registers it before")
    raise RunError(f"{path} is a search by the algorithm {name!r}, which is not registered; give it: "
                   "resume(path, algorithm=...)")


@contextmanager
def _described(path: str | Path, field: str) -> Iterator[None]:
    """Inside, what a value refuses is said of the field of config.json that it was read from."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as problem:
        raise RunError(f"{Path(path) / 'config.json'} is damaged or of another version: {field}: {problem}") from None


def _load(path: str | Path, config: dict[str, Any], root: str | Path | None) -> ImageData | StreamedData | TextData:
    name, streamed = config["name"], config.get("streamed")
    if streamed is None and name in (*DATA_SETS, *TEXT_SETS):
        return load_data(name, root=root)
    if streamed is None:
        return load_data(name if root is None else root, **how_loaded({"data": config}))
    if name == "imagenet":
        return load_data(name, root=root, **streamed)
    if root is None:
        raise RunError(f"{path} was trained on the pictures of a folder called {name}; say where it is now: data=...")
    return load_data(root, **{"streamed": True, "upright": False} | streamed)


def _reopen_search(path: str | Path, config: dict[str, Any], data: Any, options: dict[str, Any]) -> ResumableRun:
    from .. import engines  # noqa: F401  (registers them)
    from ..search.loop import Search
    from ..search.recipes import recipe_class
    from ..search.stopping import rule_from_json

    recipe = _value(path, "recipe", recipe_class(options["space"].name), config)
    with _described(path, "stop_when"):
        rule = rule_from_json(config.get("stop_when"))
    return Search(data=data, recipe=recipe, stop_when=rule, precision=config.get("precision", "fp32"), **options)


def _reopen_training(path: str | Path, config: dict[str, Any], data: Any, options: dict[str, Any]) -> ResumableRun:
    from .. import engines  # noqa: F401  (registers them)
    from ..training.loop import Training
    from ..training.recipes import TrainingRecipe

    for field in ("train_on", "evaluate_every", "keep_weights", "precision", "sync_batch_norm"):
        if field not in config:
            raise RunError(f"{Path(path) / 'config.json'} is damaged: the field {field} is missing")
        options[field] = config[field]
    return Training(network_of(config), data, recipe=_value(path, "recipe", TrainingRecipe, config), **options)


def _reopen_language(path: str | Path, config: dict[str, Any], data: Any, options: dict[str, Any]) -> ResumableRun:
    from .. import engines  # noqa: F401  (registers them)
    from ..training.language import LanguageTraining
    from ..training.recipes import LanguageRecipe

    return LanguageTraining(network_of(config), data, recipe=_value(path, "recipe", LanguageRecipe, config), **options)


def _value(path: str | Path, field: str, cls: type, config: dict[str, Any]) -> Any:
    """A frozen dataclass from its JSON object in a field of config.json: lists become the tuples they were."""
    names, data = {field.name for field in fields(cls) if field.init}, config[field]
    with _described(path, field):
        return cls(**{key: tuple(value) if isinstance(value, list) else value
                      for key, value in data.items() if key in names})
