"""Going on with what lies on disk: a search or training resumed, or a finished training made longer."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from .. import engines  # noqa: F401  (registers them)
from ..data import DATA_SETS, TEXT_SETS, Augmentation, ImageData, StreamedData, TextData, load_data
from ..runs.config import RunError, differences, how_loaded, identity, path_of, read_config, settings_of
from ..runs.folder import checkpoints
from ..runs.longer import begin_longer, last_state
from ..runs.resumable import ResumableRun
from ..runs.schema import check, said
from ..runs.shapes import EPOCHS
from ..search import algorithms
from ..search.loop import Search
from ..search.recipes import recipe_class
from ..search.stopping import RULES
from ..spaces import SPACES
from ..training.language import LanguageTraining
from ..training.loading import network_of
from ..training.loop import Training
from ..training.recipes import LanguageRecipe, TrainingRecipe

RECIPES = {"training": TrainingRecipe, "language training": LanguageRecipe}
OF_IMAGES = ("train_on", "evaluate_every", "keep_weights", "precision", "sync_batch_norm")


def resume(path: str | Path, data: ImageData | StreamedData | TextData | str | None = None,
           device: str | torch.device | None = None, engine: str = "auto", algorithm: Any = None, *,
           more: int | None = None, out: str | Path | None = None) -> ResumableRun:
    """Returns the search or training of a run folder, at its newest good checkpoint; iterate it to go on.

    data: what it ran on, or where to find it; None loads the data set named in the folder from its usual places. Data
        of one's own are known by their checksum, whatever they are called and wherever they lie now. Their augmentation
        is that which the run began with.
    engine: of a search, as `Search` takes it; "auto" is the one that it ran on so far.
    algorithm: of a search by one that is not registered (`search.algorithms.register`), as it was when it began.
    more: a finished training goes on for so many epochs, in a new folder: `out`, or the old one's name with -more and
        the number. The old folder stays as it is; config.json of the new one names it. Weights, optimiser and history
        go on; learning rate, warm-up and drop path begin anew, because a schedule that has ended has a rate near 0.
        That is bit for bit the training whose recipe had these `restarts` from the beginning. (A language model has no
        schedule: it is as if it had been planned so long.)
    Raises RunError if the folder is no run, is in use or its checkpoints are all damaged, needs an algorithm, space or
    rule that is not registered, is to be longer and is not finished, or ran on other data; ValueError for data of the
    other kind, a `more` that is no number of epochs, or an option for runs of another kind; else as `load_data`.
    """
    config = read_config(path)
    kind = config.get("kind")
    if kind not in ("search", "training", "language training"):
        raise RunError(f"{path} holds a run of kind {kind!r}, which this version does not know")
    for option, given in (("engine", engine != "auto"), ("algorithm", algorithm is not None)):
        if given and kind != "search":
            raise ValueError(f"{option} is an option of searches, {path} holds a {kind}")
    if more is not None and kind == "search":
        raise ValueError(f"more is an option of trainings, {path} holds a search; its epochs decide its temperatures, "
                         "so start a longer one")
    if more is None and out is not None:
        raise ValueError("out names the new folder of a run that is made longer; say by how many epochs: more=...")
    check(more, (EPOCHS, None), "more")
    if kind == "search":
        space = _registered(path, "in the space", SPACES, config, "import the module that registers it before")
        own = {name: type(each) for name, each in algorithms.ALGORITHMS.items()}
        algorithm = algorithm or _registered(path, "by the algorithm", own, config,
                                             "give it: resume(path, algorithm=...)")
    if not isinstance(data, (ImageData, StreamedData, TextData)):
        data = data_of_run(path, config["data"], data)
    if isinstance(data, ImageData) and "augmentation" in config["data"]:
        data = replace(data, augmentation=_value(path, "augmentation", Augmentation, config["data"]))
    if kind == "search":
        recipe = _value(path, "recipe", recipe_class(space.name), config)
        with _described(path, "stop_when (one of your own is put into search.stopping.RULES before)"):
            rule = rule_from_json(config.get("stop_when"))
        return Search(space, data, algorithm, recipe=recipe, seed=config["seed"], out=path, device=device,
                      engine=engine, stop_when=rule, precision=config.get("precision", "fp32"))
    if more is not None:
        path, config = _made_longer(path, config, more, out, data, device)
    return _reopen_training(path, config, data, device, path)


def _made_longer(path: str | Path, config: dict[str, Any], more: int, out: str | Path | None, data: Any, device: Any
                 ) -> tuple[Path, dict[str, Any]]:
    """The new folder and its config.json; nothing is made before all was found good."""
    recipe, planned = _value(path, "recipe", RECIPES[config["kind"]], config), config["recipe"]["epochs"]
    try:
        restarts = {"restarts": (*recipe.restarts, planned)} if config["kind"] == "training" else {}
        recipe = replace(recipe, epochs=planned + more, **restarts)
    except ValueError as problem:
        raise ValueError(f"the recipe of {path} cannot go on for {more} epochs: {problem}") from None
    longer = {**config, "recipe": json.loads(json.dumps(settings_of(recipe)))}
    last_state(path)
    old = path_of(path) if path_of(path).name not in ("", "..") else Path(os.path.abspath(path_of(path)))
    new = path_of(out) if out is not None else old.with_name(f"{old.name}-more{more}")
    run = _reopen_training(path, longer, data, device, None)
    if differing := differences(identity(longer), identity(json.loads(json.dumps(run.config)))):
        raise RunError(f"{path} ran on other data ({'; '.join(differing)}); give those that it ran on")
    run.group.on_writer(lambda: None if (new / "config.json").exists() else begin_longer(new, path, longer))
    return new, longer


def _registered(path: str | Path, which: str, classes: Mapping[str, type], config: dict[str, Any], remedy: str) -> Any:
    """The space or algorithm of a search. which: "by the algorithm"; classes: those registered, by name."""
    field = which.split()[-1]
    if (name := config[field]["name"]) not in classes:
        raise RunError(f"{path} is a search {which} {name!r}, which is not registered; {remedy}")
    return _value(path, field, classes[name], config)


@contextmanager
def _described(path: str | Path, field: str) -> Iterator[None]:
    """Inside, what a value refuses is said of the field of config.json that it was read from."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as problem:
        raise RunError(f"{Path(path) / 'config.json'} is damaged or of another version: {field}: {problem}") from None


def data_of_run(path: str | Path, config: dict[str, Any], root: str | Path | None
                ) -> ImageData | StreamedData | TextData:
    """Returns the data of a run folder. config: the field "data" of its config.json. root: where they are, None for the
    usual places. Raises RunError where only the user can know that."""
    name, streamed = config["name"], config.get("streamed")
    if streamed is None and name in (*DATA_SETS, *TEXT_SETS):
        return load_data(name, root=root)
    if name == "imagenet":
        return load_data(name, root=root, **how_loaded(config))
    if streamed is not None and root is None:
        raise RunError(f"{path} was trained on the pictures of a folder called {name}; say where it is now: data=...")
    return load_data(name if root is None else root, **how_loaded(config))


def rule_from_json(data: Mapping[str, Any] | None) -> Any:
    """Returns the stopping rule; None for None. Raises ValueError for one that this version does not know."""
    if data is None:
        return None
    check(data, {"name": set(RULES)}, "stop_when")
    values = {name: value for name, value in data.items() if name != "name"}
    if unknown := values.keys() - RULES[data["name"]].__dataclass_fields__.keys():
        raise ValueError(f"stop_when: unknown field {said(sorted(unknown)[0])}")
    return RULES[data["name"]](**values)


def _reopen_training(path: str | Path, config: dict[str, Any], data: Any, device: Any, out: Any) -> ResumableRun:
    make, named = (Training, OF_IMAGES) if config["kind"] == "training" else (LanguageTraining, ())
    if lacking := [field for field in named if field not in config]:
        raise RunError(f"{Path(path) / 'config.json'} is damaged: the field {lacking[0]} is missing")
    options = {field: config[field] for field in named}
    if options.get("keep_weights") and not checkpoints(path_of(path)):
        raise RunError(f"{path} began with weights that its network had (keep_weights), which nobody keeps before the "
                       "first epoch is over; start the training again with that network")
    recipe = _value(path, "recipe", RECIPES[config["kind"]], config)
    network = network_of(config)
    for name, weight in network.named_parameters():
        weight.requires_grad_(name not in config.get("frozen", ()))
    return make(network, data, recipe=recipe, seed=config["seed"], out=out, device=device, **options)


def _value(path: str | Path, field: str, cls: type, config: dict[str, Any]) -> Any:
    """A frozen dataclass from its JSON object in a field of config.json: lists become the tuples they were."""
    names, data = {field.name for field in fields(cls) if field.init}, config[field]
    with _described(path, field):
        return cls(**{key: tuple(value) if isinstance(value, list) else value
                      for key, value in data.items() if key in names})
