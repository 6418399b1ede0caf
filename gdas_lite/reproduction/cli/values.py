"""`NAME=VALUE` on the command line: values read as the types that a dataclass or a function declares, never evaluated.

From words to values: the space, the algorithm, the data, the network's settings that the arguments name.
"""

from __future__ import annotations

import importlib
import inspect
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ...genotypes.notation import nearest, shown

WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def fields_of(cls: type) -> dict[str, Any]:
    """The fields that a user can set of a frozen dataclass, with their types; a recipe's name is not one."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls) if field.init and field.name != "name"}


def arguments_of(function: Callable[..., Any], without: Iterable[str] = ()) -> dict[str, Any]:
    """The arguments of a function or class with their types, but those that are given otherwise."""
    maker = function.__init__ if isinstance(function, type) else function
    hints = get_type_hints(maker)
    return {name: hints.get(name, Any) for name in inspect.signature(function).parameters if name not in set(without)}


def assigned(texts: Iterable[str], kinds: Mapping[str, Any], option: str) -> dict[str, Any]:
    """The values of `NAME=VALUE` texts. kinds: type by name. option: how the user called it, for messages.

    Raises ValueError with one sentence: unknown name (with the nearest), no "=", a value of another type.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"{option}: expected NAME=VALUE, got {shown(text)}")
        if name not in kinds:
            raise ValueError(f"{option}: there is no {shown(name)} here, {nearest(name, kinds)}")
        try:
            found[name] = _read(value.strip(), kinds[name])
        except ValueError:
            raise ValueError(f"{option} {name}: expected {_described(kinds[name])}, got {shown(value)}") from None
    return found


def _read(text: str, kind: Any) -> Any:
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if NoneType in choices and text.lower() == "none":
            return None
        return _read(text, next(choice for choice in choices if choice is not NoneType))
    if origin is Literal:
        return choices[[str(choice) for choice in choices].index(text)]
    if origin is tuple:
        parts = text.strip("()[]").split(",")
        if len(parts) != len(choices):
            raise ValueError
        return tuple(_read(part.strip(), choice) for part, choice in zip(parts, choices))
    if kind is bool:
        if text.lower() not in WORDS:
            raise ValueError
        return WORDS[text.lower()]
    return kind(text) if kind in (int, float) else text


def _described(kind: Any) -> str:
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        named = [_described(choice) for choice in choices if choice is not NoneType]
        return " or ".join([*named, *(["none"] if NoneType in choices else [])])
    if origin is Literal:
        return f"one of {', '.join(map(str, choices))}"
    if origin is tuple:
        return f"{len(choices)} values with commas between them"
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "text")


SPACES = {"nasbench201": "NASBench201", "nasnet": "NASNet", "recurrent": "Recurrent"}      # classes in spaces/<name>.py


LARGE = 128     # pixels from which pictures go through ImageNet's stem


SIZES = ("channels", "cells_per_stage", "cells", "hidden")      # settings with an option of their own


DATA_OPTIONS = {"image_size": int, "grey": bool, "test_fraction": float, "on_error": str, "streamed": bool,
                "lineage": str, "lighting_scale": float, "num_workers": int, "upright": bool, "held_out": float,
                "max_words": int}


def space_of(arguments: Namespace) -> Any:
    """The search space with its sizes. Raises ValueError for a setting that it does not have."""
    cls = getattr(_module(arguments.space), SPACES[arguments.space])
    settings = _settings(arguments, fields_of(cls), arguments.space)
    if arguments.bn is not None:
        settings["track_running_stats"] = arguments.bn == "running"
    return cls(**settings)


def network_settings(arguments: Namespace, space: str, given: Iterable[str] = ()) -> dict[str, Any]:
    """Settings of the network of a space that the arguments name. given: those that come from elsewhere."""
    kinds = arguments_of(_module(space).Network, without=("genotype", *given))
    return _settings(arguments, kinds, space)


def _settings(arguments: Namespace, kinds: dict[str, Any], space: str) -> dict[str, Any]:
    sizes = {name: getattr(arguments, name) for name in SIZES if getattr(arguments, name) is not None}
    for name in sizes:
        if name not in kinds:
            own = ", ".join(f"--{size.replace('_', '-')}" for size in SIZES if size in kinds)
            raise ValueError(f"--{name.replace('_', '-')} is no setting of the space {space}, which has {own}")
    return sizes | assigned(arguments.options, kinds, "--with")


def _module(space: str) -> Any:
    return importlib.import_module(f"gdas_lite.spaces.{space}")


def algorithm_of(arguments: Namespace) -> Any:
    """The algorithm with its options. Raises ValueError for options of another one."""
    from ...search.algorithms import GDAS, algorithm_named

    algorithm = algorithm_named(arguments.algorithm)
    if arguments.tau is None and arguments.variant is None:
        return algorithm
    if not isinstance(algorithm, GDAS):
        raise ValueError(f"--tau and --variant are options of gdas; {arguments.algorithm} has no temperature")
    return GDAS(tau=tuple(arguments.tau or algorithm.tau), variant=arguments.variant)


def search_of(arguments: Namespace) -> tuple[Any, Any, Any]:
    """Space, algorithm and recipe of a `search` command."""
    from ...search.recipes import search_recipe

    space, algorithm = space_of(arguments), algorithm_of(arguments)
    plain = search_recipe(arguments.recipe, space.name, algorithm.name)
    return space, algorithm, search_recipe(arguments.recipe, space.name, algorithm.name,
                                           **recipe_changes(arguments, type(plain)))


def image_settings(settings: dict[str, Any], space: str, recipe: Any, data: Any) -> dict[str, Any]:
    """A network's settings with what images and recipe decide. data: has classes, image_channels and image_size."""
    settings = settings | {"classes": data.classes, "image_channels": data.image_channels}
    if space != "nasnet":
        return settings
    stem = "imagenet" if data.image_size >= LARGE else "cifar"
    return {"auxiliary": recipe.auxiliary_weight > 0, "stem": stem} | settings


def recipe_changes(arguments: Namespace, recipe: type) -> dict[str, Any]:
    """What --set says, typed by the recipe's fields."""
    return assigned(arguments.changes, fields_of(recipe), "--set")


def load(arguments: Namespace, space: str) -> Any:
    """The data that the arguments name, for a space: images, or for recurrent cells a text."""
    is_text = space == "recurrent"
    return _checked(_load(arguments, arguments.data or ("grammar" if is_text else "digits")), is_text)


def _checked(data: Any, is_text: bool) -> Any:
    from ...data import TextData

    if isinstance(data, TextData) != is_text:
        needed, found = ("a text is", "images") if is_text else ("images are", "a text")
        raise ValueError(f"{needed} needed here, but {data.name} is {found}; choose another --data")
    return data


def load_for_run(arguments: Namespace, config: dict[str, Any], loads: bool = False) -> Any:
    """The data of a run folder for `resume`: what --data names, else the place where it is to be looked for.

    loads: load it here, where the run's own data are wanted.
    Raises ValueError if the run's data were the user's own and it was not said where they are.
    """
    from ...data import DATA_SETS, TEXT_SETS, load_data

    name, streamed = config["data"]["name"], config["data"].get("streamed")
    if streamed is not None:        # its options stand in the run folder
        if name == "imagenet":
            return load_data(name, root=arguments.data_root, **streamed) if loads else arguments.data_root
        if not (arguments.data or arguments.data_root):
            raise ValueError(f"{arguments.run} was trained on a folder called {name}; say where it is with --data")
        place = arguments.data or arguments.data_root
        return load_data(place, **{"streamed": True, "upright": False} | streamed) if loads else place
    if arguments.data is None and name not in (*DATA_SETS, *TEXT_SETS):
        raise ValueError(f"{arguments.run} ran on data of your own called {name}; say where they are with --data")
    is_text = config["kind"] == "language training" or config.get("space", {}).get("name") == "recurrent"
    return _checked(_load(arguments, arguments.data or name), is_text)


def _load(arguments: Namespace, name: str) -> Any:
    from ...data import DATA_SETS, TEXT_SETS, load_data

    options = assigned(arguments.data_option, DATA_OPTIONS, "--data-option")
    if name.lower() not in (*DATA_SETS, *TEXT_SETS) and (arguments.data_root or arguments.download):
        raise ValueError(f"--data-root and --download are for the named data sets; {name!r} is read as your own")
    try:
        return load_data(name, arguments.data_root, download=arguments.download, **options)
    except TypeError as problem:
        if not options and not arguments.download:
            raise
        raise ValueError(f"{name} does not take these options: {problem}") from None
