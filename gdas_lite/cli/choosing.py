"""From words to values: the space, the algorithm, the data, the network's settings that the arguments name."""

from __future__ import annotations

import importlib
from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from .settings import arguments_of, assigned, fields_of

SPACES = {"nasbench201": "NASBench201", "nasnet": "NASNet", "recurrent": "Recurrent"}      # classes in spaces/<name>.py
LARGE = 128     # pixels from which pictures go through ImageNet's stem
SIZES = ("channels", "cells_per_stage", "cells", "hidden")      # settings with an option of their own
DATA_OPTIONS = {"image_size": int, "grey": bool, "test_fraction": float, "on_error": str, "streamed": bool,
                "lineage": str, "lighting_scale": float, "num_workers": int, "held_out": float, "max_words": int}


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
    from ..search.algorithms import GDAS, algorithm_named

    algorithm = algorithm_named(arguments.algorithm)
    if arguments.tau is None and arguments.variant is None:
        return algorithm
    if not isinstance(algorithm, GDAS):
        raise ValueError(f"--tau and --variant are options of gdas; {arguments.algorithm} has no temperature")
    return GDAS(tau=tuple(arguments.tau or algorithm.tau), variant=arguments.variant)


def search_of(arguments: Namespace) -> tuple[Any, Any, Any]:
    """Space, algorithm and recipe of a `search` command."""
    from ..search.recipes import search_recipe

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
    from ..data import TextData

    if isinstance(data, TextData) != is_text:
        needed, found = ("a text is", "images") if is_text else ("images are", "a text")
        raise ValueError(f"{needed} needed here, but {data.name} is {found}; choose another --data")
    return data


def load_for_run(arguments: Namespace, config: dict[str, Any], loads: bool = False) -> Any:
    """The data of a run folder for `resume`: what --data names, else the place where it is to be looked for.

    loads: load it here, where the run's own data are wanted.
    Raises ValueError if the run's data were the user's own and it was not said where they are.
    """
    from ..data import DATA_SETS, TEXT_SETS, load_data

    name, streamed = config["data"]["name"], config["data"].get("streamed")
    if streamed is not None:        # its options stand in the run folder
        if name == "imagenet":
            return load_data(name, root=arguments.data_root, **streamed) if loads else arguments.data_root
        if not (arguments.data or arguments.data_root):
            raise ValueError(f"{arguments.run} was trained on a folder called {name}; say where it is with --data")
        place = arguments.data or arguments.data_root
        return load_data(place, **{"streamed": True} | streamed) if loads else place
    if arguments.data is None and name not in (*DATA_SETS, *TEXT_SETS):
        raise ValueError(f"{arguments.run} ran on data of your own called {name}; say where they are with --data")
    is_text = config["kind"] == "language training" or config.get("space", {}).get("name") == "recurrent"
    return _checked(_load(arguments, arguments.data or name), is_text)


def _load(arguments: Namespace, name: str) -> Any:
    from ..data import DATA_SETS, TEXT_SETS, load_data

    options = assigned(arguments.data_option, DATA_OPTIONS, "--data-option")
    if name.lower() not in (*DATA_SETS, *TEXT_SETS) and (arguments.data_root or arguments.download):
        raise ValueError(f"--data-root and --download are for the named data sets; {name!r} is read as your own")
    try:
        return load_data(name, arguments.data_root, download=arguments.download, **options)
    except TypeError as problem:
        if not options and not arguments.download:
            raise
        raise ValueError(f"{name} does not take these options: {problem}") from None
