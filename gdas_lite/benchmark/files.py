"""Files of tables: CSV of one's own, those of NATS-Bench, and the two that come with the package.

A CSV file (plain or gzip) has a header and one row for each of the 15,625 cells, in any order: `arch` (the architecture
string) and numbers. Accuracies are percentages in columns called <data set>_valid_<epochs> or <data set>_test_<epochs>,
such as c10_test_200; other columns (index, params_c10, seconds ...) are kept as plain numbers.

NATS-Bench's own files (topology space = NAS-Bench-201) are pickles. Their authors' package `nats_bench` unpickles them,
this one never does, so give it only files from the authors' pages. Reading all cells takes minutes; `Table.write_csv`
keeps the result.

Beside each packaged table stands a JSON file of its name: checksum, sources, protocol or seeds, licence.

Source: `nats_bench` 1.8 (api_topology.py, api_utils.py).
"""

import contextlib
import csv
import functools
import gzip
import hashlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..genotypes.nasbench201 import NASBench201Genotype
from ..runs.config import path_of, write_atomically
from ..runs.printing import say
from ..runs.schema import MIB, read_bytes, read_json, said, text_of, unpacked
from ..runs.shapes import PACKED_TABLE

# column -> (data set in nats_bench, epochs, key of get_more_info); mean over the benchmark's seeds
NATS_COLUMNS: dict[str, tuple[str, str, str]] = {
    f"{short}_{half}_{epochs}": (name, epochs, f"{half}-accuracy")
    for epochs in ("200", "12") for half in ("test", "valid")
    for short, name in (("c10", "cifar10" if half == "test" else "cifar10-valid"), ("c100", "cifar100"),
                        ("in16", "ImageNet16-120"))
} | {"c10_train_seconds_12": ("cifar10-valid", "12", "train-all-time")}     # s, on the benchmark's machine
FILE_PATTERNS = ("nasbench201.csv.gz", "nasbench201.csv", "nasbench201/nasbench201.csv.gz",
                 "nasbench201/nasbench201.csv", "NATS-tss-*-simple", "NATS-tss-*.pickle.pbz2")
REPORT_EVERY = 500      # cells between two progress reports
ACCURACY = re.compile(r"[A-Za-z0-9]+_(valid|test)_\w+")
NUM_CELLS = 15_625
MOST_BYTES = 256 * MIB      # of a table, unpacked; the largest known has some 5 MiB
DATA_SETS = {"c10": "CIFAR-10", "c100": "CIFAR-100", "in16": "ImageNet16-120", "digits": "digits"}
FOLDER = Path(__file__).parent
FILES = {"nasbench201": "nasbench201.npz", "digits": "digits.csv.gz"}


def is_accuracy(column: str) -> bool:
    """True if the column's name says that it holds accuracies in percent."""
    return ACCURACY.fullmatch(column) is not None


def described(column: str) -> str:
    """Returns a column's name in words, "CIFAR-10 (test, 200 epochs)", for the tables' data sets; else as it is."""
    parts = re.fullmatch(r"(c10|c100|in16|digits)_(valid|test)_(\d+)", column)
    return column if parts is None else f"{DATA_SETS[parts[1]]} ({parts[2]}, {parts[3]} epochs)"


def by_epoch(columns: Iterable[str], family: str) -> dict[int, str]:
    """Returns {epoch: column} of the columns `<family>_<epoch>`, in order; family: such as "digits_valid"."""
    found = (re.fullmatch(re.escape(family) + r"_(\d+)", column) for column in columns)
    return dict(sorted((int(match[1]), match[0]) for match in found if match))


@functools.cache
def positions() -> dict[str, int]:
    """Returns for each cell's canonical string its position in NASBench201Genotype.all()."""
    return {str(cell): position for position, cell in enumerate(NASBench201Genotype.all())}


def find_table(path: str | os.PathLike[str] | None = None) -> Path | None:
    """Returns the user's own file or folder that `tabular("nasbench201")` would open; None if there is none.

    Raises FileNotFoundError, with what a place may hold, if a path is given and holds none.
    """
    settings = [os.environ.get(name) or None for name in ("GDAS_LITE_DATA", "TORCH_HOME")] if path is None else [path]
    for folder in (path_of(setting, "the table") for setting in settings if setting is not None):
        if folder.is_file() or any(folder.glob("meta.pickle.pbz2")):
            return folder
        for pattern in FILE_PATTERNS:
            if matches := sorted(folder.glob(pattern)):
                return matches[-1]
    if path is None:
        return None
    raise FileNotFoundError(
        f"NAS-Bench-201 table: none found in {path}; expected a CSV file nasbench201.csv with the columns arch and, "
        f"for example, c10_test_200, or the unpacked NATS-tss-v1_0-3ffb9-simple.tar of github.com/D-X-Y/NATS-Bench "
        f"(read by the package nats_bench); tabular(\"nasbench201\") without a path opens the accuracies that come "
        f"with gdas_lite")


def packaged(name: str, folder: Path = FOLDER) -> tuple[Path, dict[str, Any]]:
    """Returns the file of a packaged table, and what stands in its JSON file ("sha256", "protocol", ...).

    Raises FileNotFoundError if one of the two is missing, ValueError if the JSON file is damaged.
    """
    table, about = folder / FILES[name], folder / f"{name}.json"
    for file in (table, about):
        if not file.is_file():
            raise FileNotFoundError(f"Table {name}: {file.name} is missing in {folder}, a part of gdas_lite; install "
                                    f"gdas_lite again")
    try:
        return table, read_json(about, PACKED_TABLE if table.suffix == ".npz" else {"sha256": str})
    except ValueError as error:
        raise ValueError(f"Table {name}: {error}; install gdas_lite again") from None


def read_table(path: Path, sha256: str | None = None) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Returns the cells (canonical strings) of a CSV file and its columns, (15625,) arrays, in the order of its rows.

    Columns of whole numbers come as int64, others as float64. sha256: refuse the file if its checksum differs. Raises
    ValueError with one sentence (file, line, what was expected) for a damaged file, a wrong header, a row that is too
    short or long, a value that is no number, a cell that comes twice, and cells that are missing.
    """
    lines = csv.reader(io.StringIO(_text(path, sha256), newline=""), skipinitialspace=True)
    cells: dict[str, int] = {}
    rows: list[list[float]] = []
    try:
        header = [name.strip() for name in next(lines, [])]
        arch = _check_header(header, path)
        for row in filter(None, lines):     # without empty lines
            where = f"{path.name}, line {lines.line_num}"
            if len(row) != len(header):
                raise ValueError(f"{where}: expected {len(header)} values as in the header, got {len(row)}; is the "
                                 "file cut off?")
            try:
                text = row.pop(arch).strip()
                cell = text if text in positions() else str(NASBench201Genotype.parse(text))
                numbers = [float(value) for value in row]       # "could not convert string to float: 'x'"
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            if cell in cells:
                raise ValueError(f"{where}: the cell {cell} stands twice, first in line {cells[cell]}")
            cells[cell] = lines.line_num
            rows.append(numbers)
    except csv.Error as error:
        raise ValueError(f"{path.name}, line {lines.line_num}: not a CSV file ({error})") from None
    if len(rows) != NUM_CELLS:
        raise ValueError(f"{path.name}: expected one row for each of the 15,625 cells, {NUM_CELLS - len(rows):,} are "
                         f"missing; fetch the file again")
    names = header[:arch] + header[arch + 1:]
    columns = {name: _column(name, values, path) for name, values in zip(names, np.array(rows).T)}
    return tuple(cells), columns


def write_table(path: Path, cells: tuple[str, ...], columns: dict[str, np.ndarray]) -> None:
    """Writes what `read_table` reads; gzip if the name ends in .gz. The same table gives the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arch", *columns])
    writer.writerows(zip(cells, *(values.tolist() for values in columns.values())))
    data = text.getvalue().encode()
    write_atomically(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_packed(path: Path, parts: Mapping[str, int], sha256: str | None = None
                ) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Returns the cells and columns of a packed table, in the order of the benchmark's index; four decimals.

    Raises ValueError with one sentence for a wrong checksum or a file that holds something else.
    """
    data = _checked(path, sha256)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            if sum(member.file_size for member in arrays.zip.infolist()) > MOST_BYTES:
                raise ValueError(f"its arrays are larger than {MOST_BYTES // MIB} MiB")
            index = arrays["index"].astype(np.int64)
            whole = {name: arrays[name] for name in parts}
        if any(values.shape != (NUM_CELLS,) or values.dtype.kind not in "iu" for values in whole.values()) or \
                set(index.tolist()) != set(range(NUM_CELLS)):
            raise ValueError("expected one number a column, a whole one, for each of the 15,625 cells")
    except Exception as error:      # what a damaged archive raises depends on where it is damaged
        raise ValueError(f"{path.name}: not a packed table ({error}); fetch it again") from None
    in_order, cells = np.argsort(index), tuple(positions())
    columns = {"index": np.arange(NUM_CELLS)}
    columns |= {name: np.round(values[in_order] / parts[name], 4) for name, values in whole.items()}
    checked = {name: _column(name, values, path) for name, values in columns.items()}
    return tuple(cells[position] for position in in_order), checked


def _checked(path: Path, sha256: str | None) -> bytes:
    data = read_bytes(path, MOST_BYTES)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{path.name}: the checksum is not the expected one; the file was changed or cut off, fetch "
                         "it again")
    return data


def _text(path: Path, sha256: str | None) -> str:
    """The file's text, unpacked if it is gzip (told by its first bytes, not by its name)."""
    try:
        return text_of(unpacked(_checked(path, sha256), MOST_BYTES, path))
    except UnicodeDecodeError:
        raise ValueError(f"{path.name}: not a text file; expected CSV, plain or gzip (older .pth files of "
                         f"NAS-Bench-201 are not read, those of NATS-Bench hold the same)") from None


def _check_header(header: list[str], path: Path) -> int:
    """The position of `arch`. Raises ValueError if it or an accuracy is missing, or a name comes twice."""
    if "arch" not in header:
        raise ValueError(f"{path.name}: the first line must be a header with the column arch, got "
                         f"{said(','.join(header))}")
    if len(set(header)) != len(header):
        raise ValueError(f"{path.name}: a column stands twice in the header {said(','.join(header))}")
    if not any(is_accuracy(name) for name in header):
        raise ValueError(f"{path.name}: the header has no accuracy column; expected one such as c10_test_200 "
                         f"(data set, valid or test, epochs)")
    return header.index("arch")


def _column(name: str, values: np.ndarray, path: Path) -> np.ndarray:
    """Check finite values and percentages; whole numbers become int64. The array is read-only."""
    if not np.isfinite(values).all():
        raise ValueError(f"{path.name}: the column {name} has values that are not finite numbers")
    if is_accuracy(name) and not ((values >= 0) & (values <= 100)).all():
        raise ValueError(f"{path.name}: the column {name} must hold percentages 0..100, it has {values.min():g} to "
                         f"{values.max():g}")
    if not is_accuracy(name) and (values == np.round(values)).all():
        values = values.astype(np.int64)
    values = np.ascontiguousarray(values)
    values.flags.writeable = False
    return values


def open_api(path: Path) -> Any:
    """Returns the `nats_bench` object for an unpacked folder (NATS-tss-...-simple) or a .pickle.pbz2 file.

    Raises ImportError if the package is missing, ValueError if it cannot read the files.
    """
    try:
        import nats_bench
    except ImportError:
        raise ImportError(f"{path} holds NATS-Bench files, which the package nats_bench reads: pip install "
                          "nats_bench") from None
    try:
        with contextlib.redirect_stdout(sys.stderr):       # the package prints even if told not to
            return nats_bench.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
    except Exception as error:      # foreign code on a foreign file: whatever it raises means the same
        raise ValueError(f"{path.name}: nats_bench cannot open it ({type(error).__name__}: {error})") from error


class NATSColumns(Mapping[str, np.ndarray]):
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
            raise ValueError(f"NATS-Bench, cell {row}: no {name} ({type(error).__name__}: {error})") from error
        if value is None:
            raise ValueError(f"NATS-Bench, cell {row}: no {name}")
        return float(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names       # Mapping's own would read the whole column

    def __getitem__(self, name: str) -> np.ndarray:
        """A column as (15625,) array; the first call reads all columns of all cells and reports on stderr."""
        if not self._whole:
            values = np.empty((len(NATS_COLUMNS), len(self.cells)))
            for row in range(len(self.cells)):
                values[:, row] = [self.at(column, row) for column in NATS_COLUMNS]
                if (row + 1) % REPORT_EVERY == 0:
                    say(f"\rnats_bench: {row + 1:,} of {len(self.cells):,} cells read", sys.stderr, end="")
            say("", sys.stderr)
            values.flags.writeable = False
            self._whole = dict(zip(NATS_COLUMNS, values)) | {"index": np.arange(len(self.cells))}
        return self._whole[name]
