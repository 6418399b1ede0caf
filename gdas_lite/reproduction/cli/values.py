"""`NAME=VALUE` on the command line: values read as the types that a dataclass or a function declares, never evaluated.

From words to values: the space, the algorithm, the data, the network's settings that the arguments name.
"""

import inspect
import io
import re
import shlex
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr
from dataclasses import fields, replace
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ...data import DATA_SETS, TEXT_SETS, TextData, key_of, load_data
from ...genotypes.lookup import find_cell
from ...genotypes.notation import nearest
from ...runs.config import how_loaded
from ...runs.schema import said
from ...search.algorithms import algorithm_named
from ...search.recipes import recipe_class, search_recipe
from ...search.stopping import SkipLimit, StableRanking
from ...spaces import SPACES
from ...training.recipes import LanguageRecipe, TrainingRecipe, language_recipe, training_recipe
from ..protocols import DATASETS, SIZE_OPTIONS, PublishedProtocol
from .parser import build_parser

MOST_SEEDS = 1000
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def fields_of(cls: type) -> dict[str, Any]:
    """The fields that a user can set of a frozen dataclass, with their types; a recipe's name is not one."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls) if field.init and field.name != "name"}


def arguments_of(function: Callable[..., Any], without: Iterable[str] = ()) -> dict[str, Any]:
    """The arguments of a function or class but those given otherwise, with their types, else those of the defaults."""
    maker = function.__init__ if isinstance(function, type) else function
    hints = get_type_hints(maker)
    return {name: hints.get(name, Any if each.default in (each.empty, None) else type(each.default))
            for name, each in inspect.signature(function).parameters.items() if name not in set(without)}


def assigned(texts: Iterable[str], kinds: Mapping[str, Any], option: str) -> dict[str, Any]:
    """The values of `NAME=VALUE` texts. kinds: type by name. option: how the user called it, for messages.

    Raises ValueError with one sentence: unknown name (with the nearest), no "=", a value of another type.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"{option}: expected NAME=VALUE, got {said(text)}")
        if name not in kinds:
            raise ValueError(f"{option}: there is no {said(name)} here, {nearest(name, kinds)}")
        try:
            values[name] = _read(value.strip(), kinds[name])
        except ValueError as expected:
            raise ValueError(f"{option} {name}: expected {expected}, got {said(value)}") from None
    return values


def _read(text: str, kind: Any) -> Any:
    """The value of a type. Raises ValueError that says what was expected."""
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if NoneType in choices and text.lower() == "none":
            return None
        try:
            return _read(text, next(choice for choice in choices if choice is not NoneType))
        except ValueError as problem:
            raise ValueError(f"{problem} or none" if NoneType in choices else problem) from None
    if origin is Literal:
        names = [str(choice) for choice in choices]
        if text not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return choices[names.index(text)]
    try:
        if origin is tuple:
            inner = text.strip("()[]")
            parts = inner.split(",") if inner else []
            kinds = choices[:1] * len(parts) if choices[-1] is Ellipsis else choices
            return tuple(_read(part.strip(), choice) for part, choice in zip(parts, kinds, strict=True))
        return WORDS[text.lower()] if kind is bool else kind(text) if kind in (int, float) else text
    except (ValueError, KeyError):
        if origin is tuple:
            count = "names" if choices[-1] is Ellipsis else f"{len(choices)} values"
            raise ValueError(f"{count} with commas between them") from None
        raise ValueError({int: "a whole number", float: "a number", bool: "true or false"}[kind]) from None


def seeds_from_text(text: str) -> list[int]:
    """The seeds that --seeds names: 0..7, 0,3,5 or both. Raises ValueError for anything else, or a seed named twice."""
    found: list[int] = []
    for part in text.split(","):
        named = re.fullmatch(r"\s*([0-9]{1,18})\s*(?:\.\.\s*([0-9]{1,18})\s*)?", part)
        first, last = (int(named[1]), int(named[2] or named[1])) if named else (0, -1)
        if not 0 <= last - first < MOST_SEEDS - len(found):
            raise ValueError("--seeds: expected a range such as 0..7 or numbers such as 0,3,5, "
                             f"at most {MOST_SEEDS:,}, got {said(text)}")
        found += range(first, last + 1)
    if len(set(found)) < len(found):
        raise ValueError(f"--seeds: {said(text)} names a seed twice")
    return found


def rule_from_text(text: str) -> Any:
    """The stopping rule of --stop-when: "skips=2", "skips=2,after=5" or "ranking=10". Raises ValueError for others."""
    if parts := re.fullmatch(r"skips=(\d+)(?:,after=(\d+))?|ranking=(\d+)", text.replace(" ", "")):
        limit, after, epochs = (int(number or 0) for number in parts.groups())
        return StableRanking(epochs) if parts[3] else SkipLimit(limit, after)
    raise ValueError(f"stop when what? Expected skips=2, skips=2,after=5 or ranking=10, got {text!r}")


DATA_OPTIONS = {"image_size": int, "grey": bool, "test_fraction": float, "on_error": str, "streamed": bool,
                "lineage": str, "lighting_scale": float, "num_workers": int, "upright": bool, "held_out": float,
                "max_words": int}


def space_of(arguments: Namespace) -> Any:
    """The search space with its sizes. Raises ValueError for a setting that it does not have."""
    cls = SPACES[arguments.space]
    if arguments.bn is not None:        # read as any other, for a space of one's own need not have it
        arguments.options = [*arguments.options, f"track_running_stats={arguments.bn == 'running'}".lower()]
    return cls(**_settings(arguments, fields_of(cls), arguments.space))


def network_settings(arguments: Namespace, space: str, given: Iterable[str] = ()) -> dict[str, Any]:
    """Settings of the network of a space that the arguments name. given: those that come from elsewhere."""
    kinds = arguments_of(SPACES[space].network_class, without=("genotype", *given))
    return _settings(arguments, kinds, space)


def _settings(arguments: Namespace, kinds: dict[str, Any], space: str) -> dict[str, Any]:
    sizes = {name: getattr(arguments, name) for name in SIZE_OPTIONS if getattr(arguments, name) is not None}
    for name in sizes:
        if name not in kinds:
            own = ", ".join(f"--{size.replace('_', '-')}" for size in SIZE_OPTIONS if size in kinds)
            raise ValueError(f"--{name.replace('_', '-')} is no setting of the space {space}, which has "
                             f"{own or 'its own, for --with'}")
    return sizes | assigned(arguments.options, kinds, "--with")


def algorithm_of(arguments: Namespace) -> Any:
    """The algorithm with its options. Raises ValueError for options of another one."""
    algorithm = algorithm_named(arguments.algorithm)
    if arguments.tau is None and arguments.variant is None:
        return algorithm
    if not {"tau", "variant"} <= fields_of(type(algorithm)).keys():
        raise ValueError(f"--tau and --variant are options of gdas; {arguments.algorithm} has no temperature")
    return replace(algorithm, tau=tuple(arguments.tau or algorithm.tau), variant=arguments.variant)


def search_of(arguments: Namespace) -> tuple[Any, Any, Any]:
    """Space, algorithm and recipe of a `search` command."""
    space, algorithm = space_of(arguments), algorithm_of(arguments)
    changes = recipe_changes(arguments, recipe_class(space.name))
    return space, algorithm, search_recipe(arguments.recipe, space.name, algorithm, **changes)


def recipe_changes(arguments: Namespace, recipe: type) -> dict[str, Any]:
    """What --set says, typed by the recipe's fields."""
    return assigned(arguments.changes, fields_of(recipe), "--set")


@lru_cache(maxsize=256)
def protocol(command: str) -> PublishedProtocol:
    """Reads the line of the shell that `PublishedProtocol.command` prints, or any other search or training.

    Seed, device, engine and folder are no part of it. Raises ValueError for another command, data whose sizes are not
    known here, and --stop-when and --more, which no protocol has.
    """
    words = shlex.split(command)
    if len(words) < 3 or words[0] != "gdas-lite" or words[1] not in ("search", "train"):
        raise ValueError(f"expected a command `gdas-lite search ...` or `gdas-lite train ...`, got {command!r}")
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            arguments = build_parser().parse_args(words[1:])
    except SystemExit:      # the sentence that a shell would show; none if it asks for help
        raise ValueError(told.getvalue().strip() or f"{command!r} is no search or training") from None
    if arguments.data not in DATASETS:      # before anything that depends on the data
        raise ValueError(f"the sizes of {arguments.data!r} are not known here; known are {', '.join(DATASETS)}")
    if (getattr(arguments, "stop_when", None), getattr(arguments, "more", None)) != (None, None):
        raise ValueError("a protocol has no --stop-when and no --more")
    precision = arguments.precision or "fp32"
    if words[1] == "search":
        space, algorithm, recipe = search_of(arguments)
        return PublishedProtocol(arguments.data, recipe, space, algorithm, precision=precision)
    recipe, options = training_of(arguments, find_cell(arguments.cell).genotype.space)
    return PublishedProtocol(arguments.data, recipe, cell=arguments.cell, options=options,
                             train_on=arguments.train_on or "train", precision=precision)


def training_of(arguments: Namespace, space: str) -> tuple[Any, dict[str, Any]]:
    """Recipe and network settings of a `train` command, for a cell of a space."""
    if _is_of_texts(space):
        text = (arguments.data or "grammar").lower()
        recipe = language_recipe(arguments.recipe, text, **recipe_changes(arguments, LanguageRecipe))
        return recipe, network_settings(arguments, space, given=("vocabulary",))
    recipe = training_recipe(arguments.recipe, space, **recipe_changes(arguments, TrainingRecipe))
    return recipe, network_settings(arguments, space, given=("classes", "image_channels"))


def load(arguments: Namespace, space: str) -> Any:
    """The data that the arguments name, for a space: images, or for recurrent cells a text."""
    is_text = _is_of_texts(space)
    return _load(arguments, arguments.data or ("grammar" if is_text else "digits"), is_text)


def _is_of_texts(space: str | None) -> bool:
    return space in SPACES and SPACES[space].data_kind == "text"


def load_for_run(arguments: Namespace, config: dict[str, Any]) -> Any:
    """The data of a run folder: what --data names, else those that it ran on.

    Raises ValueError if the run's data were the user's own and it was not said where they are.
    """
    own_name, streamed = config["data"]["name"], config["data"].get("streamed")
    if streamed is not None and not arguments.data and own_name != "imagenet":
        arguments.data, arguments.data_root = arguments.data_root, None
    name = arguments.data or own_name
    if not arguments.data and name not in (*DATA_SETS, *TEXT_SETS):
        raise ValueError(f"{arguments.run} ran on data of your own called {name}; say where they are with --data")
    is_text = config["kind"] == "language training" or _is_of_texts(config.get("space", {}).get("name"))
    is_named = streamed is None and key_of(name) in (*DATA_SETS, *TEXT_SETS)
    return _load(arguments, name, is_text, {} if is_named else how_loaded(config["data"]))


def _load(arguments: Namespace, name: str, is_text: bool, recorded: Mapping[str, Any] | None = None) -> Any:
    options = dict(recorded or {}) | assigned(arguments.data_option, DATA_OPTIONS, "--data-option")
    if key_of(name) not in (*DATA_SETS, *TEXT_SETS) and (arguments.data_root or arguments.download):
        raise ValueError(f"--data-root and --download are for the named data sets; {name!r} is read as your own")
    try:
        data = load_data(name, arguments.data_root, download=arguments.download, **options)
    except TypeError as problem:
        if not options and not arguments.download:
            raise
        reason = re.sub(r"\w+\(\) got an unexpected keyword argument", "there is no", str(problem))     # of a function
        raise ValueError(f"{name} does not take these options: {reason}") from None
    if isinstance(data, TextData) != is_text:
        needed, given = ("a text is", "images") if is_text else ("images are", "a text")
        raise ValueError(f"{needed} needed here, but {data.name} is {given}; choose another --data")
    return data
