"""Where the NAS-Bench-201 results lie on this machine, and the official NATS-Bench files (topology space =
NAS-Bench-201), read through the authors' package `nats_bench`.

Source: `nats_bench` 1.8 (api_topology.py, api_utils.py). Its files are pickles: that package unpickles them,
this one never does, so give it only files from the authors' pages. Reading all cells takes minutes;
`Table.write_csv` keeps the result as a table file that opens in a moment.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

# column -> (data set in nats_bench, epochs, key of get_more_info); mean over the benchmark's seeds
NATS_COLUMNS: dict[str, tuple[str, str, str]] = {
    "c10_test_200": ("cifar10", "200", "test-accuracy"),
    "c100_test_200": ("cifar100", "200", "test-accuracy"),
    "in16_test_200": ("ImageNet16-120", "200", "test-accuracy"),
    "c10_valid_200": ("cifar10-valid", "200", "valid-accuracy"),
    "c100_valid_200": ("cifar100", "200", "valid-accuracy"),
    "in16_valid_200": ("ImageNet16-120", "200", "valid-accuracy"),
    "c10_valid_12": ("cifar10-valid", "12", "valid-accuracy"),
    "c10_test_12": ("cifar10", "12", "test-accuracy"),
    "c100_valid_12": ("cifar100", "12", "valid-accuracy"),
    "c100_test_12": ("cifar100", "12", "test-accuracy"),
    "in16_valid_12": ("ImageNet16-120", "12", "valid-accuracy"),
    "in16_test_12": ("ImageNet16-120", "12", "test-accuracy"),
    "c10_train_seconds_12": ("cifar10-valid", "12", "train-all-time"),     # s, on the benchmark's machine
}
FILE_PATTERNS = ("nasbench201.csv.gz", "nasbench201.csv", "nasbench201/nasbench201.csv.gz",
                 "nasbench201/nasbench201.csv", "NATS-tss-*-simple", "NATS-tss-*.pickle.pbz2")
REPORT_EVERY = 500      # cells between two progress reports


def open_api(path: Path) -> Any:
    """The `nats_bench` object for an unpacked folder (NATS-tss-...-simple) or a .pickle.pbz2 file.

    Raises ImportError if the package is missing, ValueError if it cannot read the files.
    """
    try:
        import nats_bench
    except ImportError:
        raise ImportError(f"{path} holds NATS-Bench files, which are read by the package nats_bench: "
                          f"pip install nats_bench") from None
    try:
        with contextlib.redirect_stdout(sys.stderr):       # the package prints even if told not to
            return nats_bench.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
    except Exception as error:      # foreign code on a foreign file: whatever it raises means the same
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path.name}: nats_bench cannot open it ({reason})") from error


class NATSColumns:
    """The columns of `NATS_COLUMNS`: single values at once, a whole column after one pass over all cells."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.cells: tuple[str, ...] = tuple(api.arch(i) for i in range(len(api)))
        self.names = ("index", *NATS_COLUMNS)
        self._whole: dict[str, np.ndarray] = {}

    def at(self, name: str, row: int) -> float:
        """One value. Raises ValueError if the files lack it."""
        if name == "index":
            return row
        data_set, epochs, key = NATS_COLUMNS[name]
        try:
            # is_random False: the mean over seeds, not one seed by chance (the package's default)
            value = self._api.get_more_info(row, data_set, hp=epochs, is_random=False)[key]
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"NATS-Bench, cell {row}: no {name} ({reason})") from error
        if value is None:
            raise ValueError(f"NATS-Bench, cell {row}: no {name}")
        return float(value)

    def whole(self, name: str) -> np.ndarray:
        """A column as (15625,) array; the first call reads all columns of all cells and reports on stderr."""
        if not self._whole:
            values = np.empty((len(NATS_COLUMNS), len(self.cells)))
            for row in range(len(self.cells)):
                values[:, row] = [self.at(column, row) for column in NATS_COLUMNS]
                if (row + 1) % REPORT_EVERY == 0:
                    done = f"{row + 1:,} of {len(self.cells):,}"
                    print(f"\rnats_bench: {done} cells read", end="", file=sys.stderr)
            print(file=sys.stderr)
            values.flags.writeable = False
            self._whole = dict(zip(NATS_COLUMNS, values)) | {"index": np.arange(len(self.cells))}
        return self._whole[name]


def find_table(path: str | os.PathLike[str] | None = None) -> Path | None:
    """The user's own file or folder that `tabular("nasbench201")` would open; None if no path is given and none is found.

    Raises FileNotFoundError, with what a place may hold, if there is none in the given one.
    """
    settings = (os.environ.get("GDAS_LITE_DATA"), os.environ.get("TORCH_HOME")) if path is None else (path,)
    for place in (Path(setting).expanduser() for setting in settings if setting):
        if place.is_file() or (place.is_dir() and any(place.glob("meta.pickle.pbz2"))):
            return place
        for pattern in FILE_PATTERNS:
            matches = sorted(place.glob(pattern)) if place.is_dir() else []
            if matches:
                return matches[-1]
    if path is None:
        return None
    raise FileNotFoundError(
        f"NAS-Bench-201 table: none found in {path}; expected a CSV file nasbench201.csv with the columns arch and, for "
        f"example, c10_test_200, or the unpacked NATS-tss-v1_0-3ffb9-simple.tar of github.com/D-X-Y/NATS-Bench (read by the "
        f"package nats_bench); tabular(\"nasbench201\") without a path opens the accuracies that come with gdas_lite")
