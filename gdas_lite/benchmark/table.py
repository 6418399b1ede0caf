"""Ground truth: what every cell of the NAS-Bench-201 space reaches when it is trained on its own.

A `Table` knows accuracies of all 15,625 cells: look a found cell up, see its rank, the best cell, and how far a search
is from it. Two come with the package: `tabular("nasbench201")`, the benchmark's accuracies on CIFAR-10, CIFAR-100 and
ImageNet16-120, and `tabular("digits")`, every cell trained on the embedded digits (valid and test: the same trainings).

Source: NAS-Bench-201 paper, section 2; NATS-Bench (the same space with more seeds).
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..genotypes.nasbench201 import NASBench201Genotype
from ..genotypes.notation import nearest
from ..runs.config import path_of
from ..runs.schema import said
from . import files
from .files import FILES, NUM_CELLS, packaged, positions


@dataclass(frozen=True)
class RandomSearchCurve:
    """The accuracy (percent) of the cell that random search holds after 1, 2, ... evaluations; arrays of equal length.

    mean, std: over all ways to draw. low, high: the quantiles `band` of them. best: the best accuracy in the table.
    """

    column: str
    score: str
    evaluations: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    band: tuple[float, float]
    best: float

    @property
    def regret(self) -> np.ndarray:
        """Mean distance to the best cell, percentage points."""
        return self.best - self.mean


def best_of_draws(scores: np.ndarray, values: np.ndarray, evaluations: Sequence[int], quantiles: Sequence[float]
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mean, standard deviation and quantiles of the value of the best-scored of k uniform draws, exactly.

    If a share F(s) of the cells scores at most s, the best score of k draws with replacement is at most s with
    probability F(s)^k: an order statistic, so no run of random search is needed to know its mean and its spread.
    scores, values: (cells,); of equal scores the first drawn counts, so each of them is as likely. evaluations: the k.
    Results: (len(evaluations),) twice, and (len(evaluations), len(quantiles)); a quantile q is the smallest value that
    is reached or undercut with probability q or more.
    """
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)     # groups by rising score
    share = np.cumsum(sizes) / len(scores)                                          # F
    share[-1] = 1.0
    by_value = np.argsort(values, kind="stable")
    rising, group_of = values[by_value], group[by_value]
    means, deviations, bounds = [], [], []
    for k in evaluations:
        chance = np.diff(share**k, prepend=0.0) / sizes             # of one cell of each group
        weights = chance[group_of]                                  # (cells,), sum 1
        mean = float(weights @ rising)
        means.append(mean)
        deviations.append(float(weights @ (rising - mean) ** 2) ** 0.5)
        places = np.searchsorted(np.cumsum(weights), np.asarray(quantiles) - 1e-12)
        bounds.append(rising[np.minimum(places, len(rising) - 1)])
    return np.array(means), np.array(deviations), np.array(bounds).reshape(len(means), len(quantiles))


class Table:
    """Numbers for each of the 15,625 cells, looked up by genotype or architecture string.

    name: how the table is called in messages. cells: canonical strings by row. columns: arrays by name, in memory or
    read when asked for (then `columns.at(name, row)` gives single values). default_column: the accuracy that is meant
    if none is named. search_column: the validation accuracy by which a search should choose. about: how the numbers
    were made, where the table says it.
    Accuracies are percentages; more is better.
    Raises ValueError unless each cell stands in exactly one row and every column is as long.
    Example: tabular("nasbench201").rank("|skip_connect~0|+...")
    """

    def __init__(self, name: str, cells: tuple[str, ...], columns: Mapping[str, np.ndarray],
                 default_column: str | None = None, search_column: str | None = None,
                 about: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.cells = tuple(cells)
        self._columns, self.columns = columns, tuple(columns)
        self._row = {cell: row for row, cell in enumerate(self.cells)}
        self._functions: dict[str, list[int]] = {}
        expected = positions().keys()
        if len(self.cells) != NUM_CELLS or self._row.keys() != expected:
            raise ValueError(f"Table {name}: expected each of the 15,625 cells once, got {len(self.cells):,} "
                             f"rows with {len(expected & self._row.keys()):,} of them")
        self.accuracy_columns = tuple(column for column in self.columns if files.is_accuracy(column))
        if not hasattr(columns, "at") and any(values.shape != (NUM_CELLS,) for values in columns.values()):
            raise ValueError(f"Table {name}: every column must have one number for each of the 15,625 cells")
        if not self.accuracy_columns:
            raise ValueError(f"Table {name}: no accuracy column among {', '.join(self.columns)}; expected "
                             f"one such as c10_test_200")
        self.default_column = self.accuracy_columns[0] if default_column is None else default_column
        self._accuracy_name(self.default_column)
        valid = [column for column in self.accuracy_columns if "_valid_" in column]
        self.search_column = search_column or (valid[0] if valid else None)
        self.about = dict(about or {})

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        return (f"Table {self.name}: {len(self):,} cells; columns {', '.join(self.columns)}; "
                f"default {self.default_column}")

    def query(self, cell: NASBench201Genotype | str) -> dict[str, float | str]:
        """All columns of one cell, and its string under "arch"."""
        row = self.row(cell)
        return {"arch": self.cells[row]} | {name: self._at(name, row) for name in self.columns}

    def accuracy(self, cell: NASBench201Genotype | str, column: str | None = None) -> float:
        """The accuracy of one cell, percent."""
        return self._at(self._accuracy_name(column), self.row(cell))

    def rank(self, cell: NASBench201Genotype | str, column: str | None = None) -> int:
        """1 for the best of 15,625: one more than the number of cells that are strictly better."""
        values = self.values(self._accuracy_name(column))
        return 1 + int(np.count_nonzero(values > values[self.row(cell)]))

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

    def over_epochs(self, family: str) -> dict[int, str]:
        """{epoch: column} of the columns `<family>_<epoch>`, in order; family: such as "digits_valid".

        Raises KeyError if there is none.
        """
        if found := files.by_epoch(self.columns, family):
            return found
        families = {column.rsplit("_", 1)[0] for column in self.columns if column.rsplit("_", 1)[-1].isdigit()}
        raise KeyError(f"Table {self.name}: no columns {family}_<epoch>, {nearest(family, sorted(families))}")

    def random_search_curve(self, evaluations: int, column: str | None = None, score: str | None = None,
                            band: tuple[float, float] = (0.1, 0.9)) -> RandomSearchCurve:
        """What random search holds after 1..`evaluations` cells, drawn uniformly with replacement; exact.

        score: the accuracy that the search chooses by; None: `column` itself, as if it could see it. band: two
        quantiles. Raises ValueError for fewer than one evaluation or a band that is no pair of rising quantiles.
        """
        column = self._accuracy_name(column)
        score = column if score is None else self._accuracy_name(score)
        if evaluations < 1:
            raise ValueError(f"random_search_curve: evaluations must be at least 1, got {evaluations}")
        if len(band) != 2 or not 0 < band[0] < band[1] < 1:
            raise ValueError(f"random_search_curve: band must be two rising quantiles such as (0.1, 0.9), got {band}")
        counts, values = np.arange(1, evaluations + 1), self.values(column)
        mean, std, bounds = best_of_draws(self.values(score), values, counts, band)
        return RandomSearchCurve(column, score, counts, mean, std, bounds[:, 0], bounds[:, 1], tuple(band),
                                 float(values.max()))

    def isomorphs(self, cell: NASBench201Genotype | str) -> tuple[NASBench201Genotype, ...]:
        """The other cells known to compute the same function (genotypes/functions.py)."""
        row = self.row(cell)
        if not self._functions:
            for other, text in enumerate(self.cells):
                function = NASBench201Genotype.parse(text).canonical_function()
                self._functions.setdefault(function, []).append(other)
        same = self._functions[NASBench201Genotype.parse(self.cells[row]).canonical_function()]
        return tuple(NASBench201Genotype.parse(self.cells[other]) for other in same if other != row)

    def values(self, column: str | None = None) -> np.ndarray:
        """One column, (15625,), in the order of `cells`; None: the default one. KeyError names the nearest."""
        return self._columns[self._known(column)]

    def row(self, cell: NASBench201Genotype | str) -> int:
        """The row of a cell. Raises ValueError for text that is no cell, or one that the benchmark does not have."""
        if isinstance(cell, str):
            cell = NASBench201Genotype.parse(cell)
        if str(cell) not in self._row:
            raise ValueError(f"Table {self.name}: expected a cell of the NAS-Bench-201 space, got {said(cell)}")
        return self._row[str(cell)]

    def write_csv(self, path: str | Path) -> None:
        """Keep all columns in a table file (gzip if it ends in .gz) that `tabular` opens again."""
        files.write_table(path_of(path, "path"), self.cells, {name: self.values(name) for name in self.columns})

    def _at(self, name: str, row: int) -> Any:
        return getattr(self._columns, "at", lambda name, row: self._columns[name][row].item())(name, row)

    def _known(self, column: str | None) -> str:
        column = self.default_column if column is None else column
        if column not in self.columns:
            raise KeyError(f"Table {self.name}: unknown column {said(column)}, {nearest(column, self.columns)}")
        return column

    def _accuracy_name(self, column: str | None) -> str:
        column = self._known(column)
        if column not in self.accuracy_columns:
            raise ValueError(f"Table {self.name}: {column} is no accuracy; choose one of "
                             f"{', '.join(self.accuracy_columns)}")
        return column


def tabular(name: str = "nasbench201", path: str | Path | None = None) -> Table:
    """Opens a table by name: "nasbench201", the benchmark's accuracies, or "digits"; both come with the package.

    path: another table file (CSV, plain or gzip; see files.py); for "nasbench201" also NATS-Bench's own
    files, or a folder that holds one of them. Without it a NAS-Bench-201 file in the folders that the environment
    variables GDAS_LITE_DATA, then TORCH_HOME, name is opened before the package's own, whose checksum is verified.
    Raises ValueError for an unknown name or a damaged file, FileNotFoundError (with what to do) if there is none.
    """
    if name not in FILES:
        raise ValueError(f"tabular: unknown table {said(name)}, {nearest(name, FILES)}")
    if name == "nasbench201":
        own = files.find_table(path)
        if own is None:
            return _packaged_table(name)
        if own.is_dir() or own.name.endswith(".pbz2"):
            columns: Any = files.NATSColumns(files.open_api(own))
            return _benchmark(columns.cells, columns)
        return _benchmark(*files.read_table(own))
    return _packaged_table(name) if path is None else _of_data_set(name, path_of(path, "path"), {})


def opened(table: Table | str) -> Table:
    """A table as it is, or the one of that name: whatever takes a table takes either."""
    return tabular(table) if isinstance(table, str) else table


def _benchmark(cells: tuple[str, ...], columns: Any, about: Mapping[str, Any] | None = None) -> Table:
    """CIFAR-10's accuracies are meant where there are any."""
    wanted = [column if column in columns else None for column in ("c10_test_200", "c10_valid_12")]
    return Table("nasbench201", cells, columns, *wanted, about=about)


@functools.cache
def _packaged_table(name: str) -> Table:
    file, about = packaged(name)
    if file.suffix == ".npz":
        cells, columns = files.read_packed(file, about["parts"], about["sha256"])
        return _benchmark(cells, columns | _costs(cells, about["costs"]), about)
    return _of_data_set(name, file, about)


def _costs(cells: Sequence[str], costs: Mapping[str, Mapping[str, int]]) -> dict[str, np.ndarray]:
    """Columns that follow from how many convolutions a cell has: {column: {"base": ..., operation: what one adds}}."""
    operations = {op for parts in costs.values() for op in parts if op != "base"}
    counts = {op: np.array([cell.count(op) for cell in cells]) for op in operations} | {"base": 1}
    return {name: np.broadcast_to(sum(counts[op] * each for op, each in parts.items()), len(cells))
            for name, parts in costs.items()}       # read-only, as those of files


def _of_data_set(name: str, file: Path, about: Mapping[str, Any]) -> Table:
    """A table of one data set; what is meant is the accuracy after the last epoch."""
    if not file.is_file():
        raise FileNotFoundError(f"Table {name}: there is no file {file}")
    cells, columns = files.read_table(file, about.get("sha256"))
    halves = (files.by_epoch(columns, f"{name}_{half}").values() for half in ("test", "valid"))
    last = [next(reversed(half), None) for half in halves]
    return Table(name, cells, columns, *last, about=about)
