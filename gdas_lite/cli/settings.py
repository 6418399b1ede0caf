"""`NAME=VALUE` on the command line: values read as the types that a dataclass or a function declares, never evaluated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..notation import nearest, shown

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
