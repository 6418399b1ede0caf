"""The shape of what comes from elsewhere, checked before anything of it is used: JSON of files, fields of recipes.

A shape is one of
    str, bool, dict, list, int, float, None   a value of that type; an int is a float, numbers are finite, True is no
    number Range(0, below=1)                   a number within bounds
    {"smoke", "paper"}                  one of these texts (a set)
    [shape]                             a list of such values; [shape, 2] one of two values
    {"epochs": shape, "engine?": shape} an object with these fields (with "?": if it is there); others are let through
    {str: shape}                        an object whose values, whatever their names, have that shape
    (shape, shape)                      either

A dataclass declares the shapes of its fields by their types: bool, Literal["a", "b"], tuple[Rate, Rate], Rate | None.
An object with the field "checksum" is as it was `sealed`, or refused; files of older versions have none.

Why not `msgspec` or `pydantic`: run folders are compared field by field as the open dictionaries that they are, so each
of a dozen kinds of files would need a class only to be turned back. This file is shorter than those classes.
"""

import gzip
import hashlib
import io
import json
import math
import os
import reprlib
import stat
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, BinaryIO, Literal, Union, get_args, get_origin, get_type_hints

MIB = 2**20
MOST = {"channels": 4_096, "cells_per_stage": 1_000, "cells": 1_000, "classes": 1_000_000, "image_channels": 4_096,
        "hidden": 65_536, "embedding": 65_536, "vocabulary": 10_000_000}
LEAST = {"channels": 2, "cells": 3, "classes": 2, "vocabulary": 2}      # a reduction makes its channels in two halves
MOST_BATCH, MOST_BPTT = 1_000_000, 100_000
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


@dataclass(frozen=True)
class Range:
    """A finite number from `low` to `high`, both included; above, below: bounds that are not. whole: no fractions."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether `value` is such a number."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        with suppress(OverflowError):       # of a whole number that no float holds
            return math.isfinite(value) and \
                (self.low is None or value >= self.low) and (self.high is None or value <= self.high) and \
                (self.above is None or value > self.above) and (self.below is None or value < self.below)
        return False

    def __str__(self) -> str:
        bounds = [text.format(bound) for text, bound in (
            ("at least {:,}", self.low), ("> {:,}", self.above), ("at most {:,}", self.high), ("< {:,}", self.below))
            if bound is not None]
        return " and ".join(bounds) + f"{', ' if bounds else ''}a {'whole' if self.whole else 'finite'} number"


WHOLE, NUMBER, EPOCHS = Range(whole=True), Range(), Range(1, 1_000_000, whole=True)
# What a field of a recipe may declare: a number within bounds. Batch norm needs two images.
Epochs, Images = Annotated[int, EPOCHS], Annotated[int, Range(2, MOST_BATCH, whole=True)]
Rate, Positive, Share = (Annotated[float, bounds] for bounds in (Range(0), Range(above=0), Range(0, below=1)))
_NAMES = {str: "text", bool: "true or false", dict: "an object", list: "a list", int: str(WHOLE), float: str(NUMBER),
          None: "None"}


def check(value: Any, shape: Any, where: str) -> None:
    """Raises ValueError with one sentence that names the field, `where`, unless `value` has the shape."""
    for either in shape if isinstance(shape, tuple) else ():
        with suppress(ValueError):
            return check(value, either, where)
    if isinstance(shape, dict) and isinstance(value, Mapping):
        for name, inner in shape.items():
            if name is str:
                for key, each in value.items():
                    check(each, inner, f"{where}.{key}" if where else key)
            elif (plain := name.removesuffix("?")) in value or plain == name:
                place = f"{where}.{plain}" if where else plain
                if plain not in value:
                    raise ValueError(f"the field {place} is missing")
                check(value[plain], inner, place)
    elif isinstance(shape, list) and isinstance(value, (list, tuple)) and shape[1:] in ([], [len(value)]):
        for number, each in enumerate(value):
            check(each, shape[0], f"{where}[{number}]")
    elif not _fits(value, shape):
        raise ValueError(f"{where or 'it'} must be {_described(shape)}, got {said(value)}")


def check_fields(value: Any, where: str = "") -> None:
    """Raises ValueError unless each field of a dataclass, such as a recipe, holds what its type declares. NumPy's
    numbers become Python's; a list becomes the tuple that is declared: with a hash, and equal to it."""
    for name, shape in declared(type(value)).items():
        given = python_number(getattr(value, name))
        object.__setattr__(value, name, tuple(given) if isinstance(given, list) and isinstance(shape, list) else given)
        check(given, shape, f"{where}.{name}" if where else name)


@cache
def declared(cls: type) -> dict[str, Any]:
    """Returns the shape of each field of a dataclass, by its declared type; see `Rate` and its like for bounds."""
    hints = get_type_hints(cls, include_extras=True)
    return {each.name: _shape_of(hints[each.name]) for each in fields(cls)}


def _shape_of(kind: Any) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return parts[1]
    if origin is Literal:
        return set(parts)
    if origin in (Union, UnionType):
        return tuple(map(_shape_of, parts))
    if origin is tuple:
        return [_shape_of(parts[0])] + ([len(parts)] if parts[-1] is not Ellipsis else [])
    return None if kind is NoneType else kind


def check_has(value: Any, attribute: str, name: str, meant: str) -> None:
    """Raises ValueError unless `value` is an object (not a class) with that attribute, by which it is known. name,
    meant: of an argument, for the message."""
    if isinstance(value, type) or not hasattr(value, attribute):
        raise ValueError(f"{name} must be {meant}, got {said(value)}")


def python_number(value: Any) -> Any:
    """Returns a number of NumPy's or PyTorch's, or a fraction, as Python's, also in a tuple; other values as they
    are."""
    if type(value) in (list, tuple):
        return type(value)(map(python_number, value))
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return float(value) if isinstance(value, Real) and not isinstance(value, (int, float)) else value


def check_sizes(**sizes: Any) -> None:
    """Raises ValueError unless the sizes of a network are whole numbers such as networks have.

    An embedding of None is one that is not given.
    """
    for name, size in sizes.items():
        if size is not None or name != "embedding":
            check(size, Range(high=MOST[name], whole=True), name)
            check(size, Range(LEAST.get(name, 1), whole=True), name)


def said(value: Any) -> str:
    """Returns `repr` of a foreign value on one line, cut so that an error stays a readable sentence."""
    text = _short.repr(value).replace("\n", " ")
    return text if len(text) <= 100 else text[:97] + "..."


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, (set, frozenset)):
        return isinstance(value, str) and value in shape
    if isinstance(shape, Range) or shape in (int, float):
        return (shape if isinstance(shape, Range) else WHOLE if shape is int else NUMBER).holds(value)
    return value is None if shape is None else isinstance(shape, type) and isinstance(value, shape)


def _described(shape: Any) -> str:
    if isinstance(shape, tuple):
        return ", or ".join(map(_described, shape))
    if isinstance(shape, (set, frozenset)):
        return f"one of {', '.join(sorted(shape))}"
    if isinstance(shape, list):
        return f"a list of {shape[1]} values" if shape[1:] else "a list"
    return "an object" if isinstance(shape, dict) else str(shape) if isinstance(shape, Range) else _NAMES[shape]


def text_of(data: bytes) -> str:
    """The text of a file: UTF-8, or what its byte order mark says (editors and shells of Windows write one).

    Raises UnicodeDecodeError for anything else.
    """
    marks = {"utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "utf-16": (b"\xff\xfe", b"\xfe\xff")}
    return data.decode(next((name for name, starts in marks.items() if data.startswith(starts)), "utf-8-sig"))


def open_file(file: str | os.PathLike) -> BinaryIO:
    """Returns a file from elsewhere, open to be read. Raises OSError, or ValueError for a pipe or device: one would
    wait for what they hold, perhaps for ever."""
    if not stat.S_ISREG(mode := os.stat(file).st_mode) and not stat.S_ISDIR(mode):
        raise ValueError(f"{file} is no file but a pipe or a device, which is not read")
    return open(file, "rb")


def read_bytes(file: Path, most: int, packed: bool = False) -> bytes:
    """The content of a file, which is at most `most` bytes; packed: gzip is unpacked.

    Nothing larger is ever held. Raises as `open_file`, and ValueError if it is too large or damaged.
    """
    with open_file(file) as opened:
        data = _no_more(opened.read(most + 1), most, file)
    return unpacked(data, most, file) if packed else data


def unpacked(data: bytes, most: int, file: Path) -> bytes:
    """The content of a gzip file, told by its first bytes; other data as they are. Raises as `read_bytes`."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return _no_more(gzip.GzipFile(fileobj=io.BytesIO(data)).read(most + 1), most, file)
    except EOFError:
        raise ValueError(f"{file.name}: the gzip file is cut off; fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{file.name}: the gzip file is damaged ({error}); fetch it again") from None


def _no_more(data: bytes, most: int, file: Path) -> bytes:
    if len(data) > most:
        raise ValueError(f"{file} is larger than {most / MIB:,.0f} MiB, which no file of its kind is")
    return data


def fingerprint(value: Mapping[str, Any]) -> str:
    """A checksum that two JSON objects share only if they are equal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object for a JSON file, with a checksum of all its fields, which `parsed` verifies."""
    plain = json.loads(json.dumps(content, default=python_number))      # as it will be read: keys texts, tuples lists
    return plain | {"checksum": fingerprint(plain)}


def packaged_json(file: Any, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a JSON object that comes with the package, without its checksum. file: with `read_bytes`.

    Raises ValueError if it has none, or was changed. Whoever edits such a file writes it anew with `sealed`.
    """
    try:
        value = parsed(file.read_bytes(), {**shape, "checksum": str}, f"{file.name} of gdas_lite")
    except ValueError as problem:
        raise ValueError(f"{problem}; install gdas_lite again") from None
    return {name: each for name, each in value.items() if name != "checksum"}


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object's fields, as json's `object_pairs_hook`. Raises KeyError for a name that comes twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise KeyError(next(name for name in names if names.count(name) > 1))
    return fields


def parsed(text: str | bytes, shape: Any, where: str) -> Any:
    """JSON text as a value of that shape. where: of it, for messages. Raises ValueError with one sentence."""
    try:
        value = json.loads(text_of(text) if isinstance(text, bytes) else text, object_pairs_hook=once)
        is_changed = isinstance(value, dict) and "checksum" in value and value["checksum"] != fingerprint(
            {key: each for key, each in value.items() if key != "checksum"})
    except KeyError as name:
        raise ValueError(f"{where} is damaged: it has the field {name} twice") from None
    except (ValueError, RecursionError):        # ValueError: no JSON, no text, or a number with too many digits
        kind = {dict: "object", list: "list"}.get(shape if isinstance(shape, type) else type(shape), "value")
        raise ValueError(f"{where} is damaged; it should be a JSON {kind}") from None
    if is_changed:
        raise ValueError(f"{where} is damaged: it was changed since it was written, as its checksum shows")
    try:
        check(value, shape, "")
    except ValueError as problem:
        raise ValueError(f"{where} is damaged: {problem}") from None
    return value


def read_json(file: Path, shape: Any, most: int = 4 * MIB) -> Any:
    """Returns the JSON value in a file, of that shape. Raises OSError, or ValueError that names file and field."""
    return parsed(read_bytes(file, most), shape, str(file))
