"""Ground truth: what every cell of the NAS-Bench-201 space reaches when it is trained on its own.

A `Table` knows, for all 15,625 cells, accuracies that others have measured: look a found cell up, see its
rank, the best cell, and how far a search is from it. `tabular("nasbench201")` opens the NAS-Bench-201 results
where you have them.

Source: NAS-Bench-201 paper, section 2; NATS-Bench (the same space with more seeds).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from gdas_lite.genotype import NASBench201Genotype
from gdas_lite.natsbench import NATSColumns, open_api
from gdas_lite.notation import nearest, shown
from gdas_lite.tablefile import NUM_CELLS, is_accuracy, read_table, write_table

TABLE_NAMES = ("nasbench201",)
FILE_PATTERNS = ("nasbench201.csv.gz", "nasbench201.csv", "nasbench201/nasbench201.csv.gz",
                 "nasbench201/nasbench201.csv", "NATS-tss-*-simple", "NATS-tss-*.pickle.pbz2")


class Columns(Protocol):
    """Where a table's numbers come from: arrays in memory, or a benchmark's own files."""

    names: tuple[str, ...]

    def at(self, name: str, row: int) -> float: ...

    def whole(self, name: str) -> np.ndarray: ...


class ArrayColumns:
    """Columns that are arrays in memory, all of one length."""

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        self._columns = dict(columns)
        self.names = tuple(self._columns)

    def at(self, name: str, row: int) -> float:
        return self._columns[name][row].item()

    def whole(self, name: str) -> np.ndarray:
        return self._columns[name]


class Table:
    """Numbers for each of the 15,625 cells, looked up by genotype or architecture string.

    name: how the table is called in messages. cells: canonical strings by row. columns: arrays by name, or
    any `Columns`. default_column: the accuracy that is meant if none is named. Accuracies are percentages;
    more is better.
    Raises ValueError unless each cell stands in exactly one row and every column is as long.
    Example: tabular("nasbench201").rank("|skip_connect~0|+...")
    """

    def __init__(self, name: str, cells: tuple[str, ...], columns: Columns | Mapping[str, np.ndarray],
                 default_column: str | None = None) -> None:
        self.name = name
        self.cells = tuple(cells)
        self._columns: Columns = ArrayColumns(columns) if isinstance(columns, Mapping) else columns
        self._row = {cell: row for row, cell in enumerate(self.cells)}
        self._functions: dict[str, list[int]] = {}
        expected = {str(cell) for cell in NASBench201Genotype.all()}
        if len(self.cells) != NUM_CELLS or self._row.keys() != expected:
            raise ValueError(f"Table {name}: expected each of the 15,625 cells once, got {len(self.cells):,} "
                             f"rows with {len(expected & self._row.keys()):,} of them")
        self.columns = self._columns.names
        self.accuracy_columns = tuple(column for column in self.columns if is_accuracy(column))
        if isinstance(columns, Mapping) and any(values.shape != (NUM_CELLS,) for values in columns.values()):
            raise ValueError(f"Table {name}: every column must have one number for each of the 15,625 cells")
        if not self.accuracy_columns:
            raise ValueError(f"Table {name}: no accuracy column among {', '.join(self.columns)}; expected "
                             f"one such as c10_test_200")
        self.default_column = self.accuracy_columns[0] if default_column is None else default_column
        self._accuracy_name(self.default_column)

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        return (f"Table {self.name}: {len(self):,} cells; columns {', '.join(self.columns)}; "
                f"default {self.default_column}")

    def query(self, cell: NASBench201Genotype | str) -> dict[str, float | str]:
        """All columns of one cell, and its string under "arch"."""
        row = self.row(cell)
        return {"arch": self.cells[row]} | {name: self._columns.at(name, row) for name in self.columns}

    def accuracy(self, cell: NASBench201Genotype | str, column: str | None = None) -> float:
        """The accuracy of one cell, percent."""
        return self._columns.at(self._accuracy_name(column), self.row(cell))

    def rank(self, cell: NASBench201Genotype | str, column: str | None = None) -> int:
        """1 for the best of 15,625: one more than the number of cells that are strictly better."""
        values = self.values(self._accuracy_name(column))
        return 1 + int(np.count_nonzero(values > values[self.row(cell)]))

    def percentile(self, cell: NASBench201Genotype | str, column: str | None = None) -> float:
        """The share of the other 15,624 cells that are strictly worse, percent."""
        values = self.values(self._accuracy_name(column))
        return 100 * int(np.count_nonzero(values < values[self.row(cell)])) / (len(values) - 1)

    def regret(self, cell: NASBench201Genotype | str, column: str | None = None) -> float:
        """How far the cell is below the best one, percentage points (0 for the best)."""
        values = self.values(self._accuracy_name(column))
        return float(values.max() - values[self.row(cell)])

    def best(self, column: str | None = None) -> NASBench201Genotype:
        """The cell with the highest accuracy; of several, the one in the first row."""
        return self.top(1, column)[0]

    def top(self, k: int, column: str | None = None) -> tuple[NASBench201Genotype, ...]:
        """The k best cells, the best first; equal ones in the order of the rows."""
        if not 1 <= k <= len(self):
            raise ValueError(f"top: k must be 1..{len(self)}, got {k}")
        order = np.argsort(-self.values(self._accuracy_name(column)), kind="stable")[:k]
        return tuple(NASBench201Genotype.parse(self.cells[row]) for row in order)

    def isomorphs(self, cell: NASBench201Genotype | str) -> tuple[NASBench201Genotype, ...]:
        """The other cells known to compute the same function (isomorphism.py)."""
        row = self.row(cell)
        if not self._functions:
            for other, text in enumerate(self.cells):
                function = NASBench201Genotype.parse(text).canonical_function()
                self._functions.setdefault(function, []).append(other)
        same = self._functions[NASBench201Genotype.parse(self.cells[row]).canonical_function()]
        return tuple(NASBench201Genotype.parse(self.cells[other]) for other in same if other != row)

    def values(self, column: str) -> np.ndarray:
        """One column as a (15625,) array in the order of `cells`. Raises KeyError with the nearest names."""
        if column not in self.columns:
            raise KeyError(f"Table {self.name}: unknown column {shown(column)}, "
                           f"{nearest(column, self.columns)}")
        return self._columns.whole(column)

    def row(self, cell: NASBench201Genotype | str) -> int:
        """The row of a cell. Raises ValueError for text that is no cell, or a genotype of another space."""
        if isinstance(cell, str):
            cell = NASBench201Genotype.parse(cell)
        if not isinstance(cell, NASBench201Genotype):
            raise ValueError(f"Table {self.name}: expected a cell of the NAS-Bench-201 space, got "
                             f"{shown(cell)}")
        return self._row[str(cell)]

    def write_csv(self, path: str | Path) -> None:
        """Keep all columns in a table file (gzip if it ends in .gz) that `tabular` opens again."""
        write_table(Path(path), self.cells, {name: self.values(name) for name in self.columns})

    def _accuracy_name(self, column: str | None) -> str:
        column = self.default_column if column is None else column
        if column not in self.columns:
            raise KeyError(f"Table {self.name}: unknown column {shown(column)}, "
                           f"{nearest(column, self.columns)}")
        if column not in self.accuracy_columns:
            raise ValueError(f"Table {self.name}: {column} is no accuracy; choose one of "
                             f"{', '.join(self.accuracy_columns)}")
        return column


def tabular(name: str, path: str | os.PathLike[str] | None = None) -> Table:
    """Open a table by name: "nasbench201", the NAS-Bench-201 results.

    path: a table file (CSV, plain or gzip; see tablefile.py), NATS-Bench's own files, or a folder that holds
    one of them. Without it the folders in the environment variables GDAS_LITE_DATA, then TORCH_HOME, are
    searched.
    Raises ValueError for an unknown name or a damaged file, FileNotFoundError (with what to fetch) if there
    is none.
    """
    if name not in TABLE_NAMES:
        raise ValueError(f"tabular: unknown table {shown(name)}, {nearest(name, TABLE_NAMES)}")
    file = find_table(path)
    if file.is_dir() or file.name.endswith(".pbz2"):
        columns = NATSColumns(open_api(file))
        return Table(name, columns.cells, columns, "c10_test_200")
    cells, arrays = read_table(file)
    return Table(name, cells, arrays, "c10_test_200" if "c10_test_200" in arrays else None)


def find_table(path: str | os.PathLike[str] | None = None) -> Path:
    """The file or folder that `tabular` would open. Raises FileNotFoundError with what to fetch."""
    if path is not None:
        places = [Path(path).expanduser()]
    else:
        settings = (os.environ.get("GDAS_LITE_DATA"), os.environ.get("TORCH_HOME"))
        places = [Path(setting).expanduser() for setting in settings if setting]
    for place in places:
        if place.is_file() or (place.is_dir() and any(place.glob("meta.pickle.pbz2"))):
            return place
        for pattern in FILE_PATTERNS:
            matches = sorted(place.glob(pattern)) if place.is_dir() else []
            if matches:
                return matches[-1]
    searched = ", ".join(str(place) for place in places) or "GDAS_LITE_DATA and TORCH_HOME, which are not set"
    raise FileNotFoundError(
        f"NAS-Bench-201 table: none found (searched: {searched}); download NATS-tss-v1_0-3ffb9-simple.tar from "
        f"the authors' page github.com/D-X-Y/NATS-Bench, unpack it and pip install nats_bench, or take a CSV "
        f"file nasbench201.csv with the columns arch and, for example, c10_test_200; put it into the folder "
        f"that GDAS_LITE_DATA names, or give its place as tabular(\"nasbench201\", path=...)")
