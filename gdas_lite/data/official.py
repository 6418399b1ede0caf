"""Read the official data files, which are Python pickles, without trusting them.

A pickle can call any function while it is read. Two gates stand before that: the MD5 sum must be that of the
official file, and the unpickler knows the functions that rebuild a NumPy array, and nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class OfficialFile(NamedTuple):
    """A file of a data set: its name, its MD5 sum, its size in bytes where we know it."""

    name: str
    md5: str
    size: int | None = None


def read_files(where: Path, files: Sequence[OfficialFile]) -> Iterator[tuple[str, dict]]:
    """The content of each file, in the given order, from a folder or a .tar.gz archive.

    Yields (name of the file with its folder, for messages; the dict in it).
    Raises FileNotFoundError for a missing file, ValueError for one that is not the official file.
    """
    if where.is_dir():
        for file in files:
            path = where / file.name
            if not path.is_file():
                raise FileNotFoundError(
                    f"{where} has no file {file.name}; copy it there or get the whole set again"
                )
            yield str(path), _checked_content(path.read_bytes(), file, str(path))
    else:
        contents = _archive_contents(where, {file.name for file in files})
        for file in files:
            if file.name not in contents:
                raise FileNotFoundError(
                    f"the archive {where} has no file {file.name}; is it that of another data set?"
                )
            origin = f"{file.name} in {where}"
            yield origin, _checked_content(contents.pop(file.name), file, origin)


def _archive_contents(archive: Path, wanted: set[str]) -> dict[str, bytes]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = ((Path(member.name).name, member) for member in tar if member.isfile())
            return {name: tar.extractfile(member).read() for name, member in members if name in wanted}
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"the archive {archive} cannot be unpacked ({error}): "
            "its download was probably cut off; get it again"
        ) from error


def _checked_content(content: bytes, file: OfficialFile, origin: str) -> dict:
    if file.size is not None and len(content) < file.size:
        raise ValueError(
            f"{origin} is truncated: {len(content):,} of {file.size:,} bytes; "
            "delete it and get the data set again"
        )
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != file.md5:
        raise ValueError(
            f"{origin} is not the official file: its MD5 is {md5}, expected {file.md5}; "
            f"it is damaged, cut off ({len(content):,} bytes) or of another data set; get the data set again"
        )
    return unpickle(content, origin)


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # how Python 3 writes bytes in protocol 2
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode("latin1"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Knows arrays; numbers, strings, lists and dicts need no function."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        # NumPy moved this function; the old and the new name both occur in files
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _empty_array
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in a data file")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes | str) -> np.ndarray:
    """NumPy's `_reconstruct`: an empty array that the pickle's next step fills."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("it holds an array of a foreign kind")
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def unpickle(content: bytes, origin: str) -> dict:
    """The dict in a pickle of arrays, numbers, strings, lists and dicts.

    The strings of Python 2 are read as Latin-1.
    Raises ValueError for anything else, before any of it is run.
    """
    try:
        loaded = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # damaged pickles raise nearly every kind; all mean the same here
        raise ValueError(f"{origin} cannot be read as a data file: {error}") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{origin} holds a {type(loaded).__name__}, expected a dict with images and labels")
    return loaded


def images_and_labels(
    entry: dict, origin: str, *, label_key: str, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels and labels of one official batch file.

    Shapes: pixels uint8 (count, size, size, 3), labels int64 (count,). The files hold planes: all red values
    of an image, then green, then blue.
    Raises ValueError if the file holds something else.
    """
    absent = [key for key in ("data", label_key) if key not in entry]
    if absent:
        raise ValueError(
            f"{origin} has no '{absent[0]}'; it holds {sorted(map(str, entry))}: is it of another data set?"
        )
    flat = entry["data"]
    values = 3 * size * size
    if not isinstance(flat, np.ndarray):
        raise ValueError(f"{origin}: 'data' must be an array, got a {type(flat).__name__}")
    if flat.dtype != np.uint8 or flat.ndim != 2 or flat.shape[1] != values:
        raise ValueError(f"{origin}: 'data' must be uint8 (count, {values}), got {flat.dtype} {flat.shape}")
    labels = np.array(entry[label_key], dtype=object)
    if labels.shape != (len(flat),) or not all(isinstance(label, int) for label in labels):
        raise ValueError(f"{origin}: '{label_key}' must hold a whole number for each of {len(flat)} images")
    return flat.reshape(-1, 3, size, size).transpose(0, 2, 3, 1), labels.astype(np.int64)
