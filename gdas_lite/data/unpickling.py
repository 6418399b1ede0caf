"""Pickles of arrays, numbers, strings, lists and dicts, read so that nothing that stands in them is run."""

from __future__ import annotations

import io
import pickle

import numpy as np


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes | str) -> np.ndarray:
    """NumPy's `_reconstruct`: an empty array that the pickle's next step fills."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("it holds an array of a foreign kind")
    return np.ndarray.__new__(np.ndarray, (0,), "b")


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode("latin1"),   # Python 3's bytes in protocol 2
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,        # NumPy moved it; both names occur
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Knows arrays; numbers, strings, lists and dicts need no function."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in a data file")
        return _ALLOWED[module, name]


def unpickle(content: bytes, origin: str) -> dict:
    """Returns the dict in a pickle of arrays, numbers, strings (Python 2's are read as Latin-1), lists and dicts.

    Raises ValueError for anything else, before any of it is run.
    """
    try:
        loaded = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # damaged pickles raise nearly every kind; all mean the same here
        raise ValueError(f"{origin} cannot be read as a data file: {error}") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{origin} holds a {type(loaded).__name__}, expected a dict with images and labels")
    return loaded
