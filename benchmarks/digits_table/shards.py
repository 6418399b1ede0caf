"""The long computation: every function of the space trained with every seed, in shards that can be interrupted and resumed."""

from __future__ import annotations

import io
import json
import platform
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from gdas_lite.genotypes.functions import computed_function
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.runs.config import write_atomically
from gdas_lite.runs.device import processor_name

from .protocol import DIGITS, Protocol
from .table import network_costs, table_of, write_packaged

SHARD_SIZE = 24         # cells
DIGIT_CLASSES = 10


def representatives() -> dict[str, NASBench201Genotype]:
    """By computed function: the cell that stands for all that compute it, the one with the fewest operations (of equals the
    first), so that it holds nothing without effect."""
    chosen: dict[str, NASBench201Genotype] = {}
    for cell in NASBench201Genotype.all():
        function = computed_function(cell.edges)
        if function not in chosen or _operations(cell) < _operations(chosen[function]):
            chosen[function] = cell
    return chosen


def _operations(cell: NASBench201Genotype) -> int:
    return sum(op != "none" for op in cell.ops)


def shards(cells: list[NASBench201Genotype]) -> Iterator[tuple[int, list[NASBench201Genotype]]]:
    """(number, its cells), SHARD_SIZE of them."""
    for number, first in enumerate(range(0, len(cells), SHARD_SIZE)):
        yield number, cells[first:first + SHARD_SIZE]


def compute(folder: Path, workers: int = 1, protocol: Protocol = DIGITS, limit: int | None = None) -> Iterator[tuple[int, int]]:
    """Train what is missing in `folder`, one thread a worker; yields (shards done, of all) after each.

    limit: cells to train, for a trial. Raises ValueError if the folder holds the shards of another protocol.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_protocol(folder, protocol)
    work = list(shards(list(representatives().values())[:limit]))
    missing = [(folder, number, cells, protocol) for number, cells in work if not shard_path(folder, number).exists()]
    done = len(work) - len(missing)
    yield done, len(work)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start) as pool:
        for _ in pool.map(train_shard, missing):
            done += 1
            yield done, len(work)


def check_protocol(folder: Path, protocol: Protocol) -> None:
    """Write the protocol into the folder, or compare it with the one that is there."""
    path, text = folder / "protocol.json", json.dumps(protocol.to_json(), indent=1)
    if not path.exists():
        write_atomically(path, text.encode())
    elif path.read_text(encoding="utf-8") != text:
        raise ValueError(f"{folder} holds shards of another protocol; choose an empty folder")


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:04d}.npz"


def _start() -> None:
    import torch

    torch.set_num_threads(1)


def train_shard(task: tuple[Path, int, list[NASBench201Genotype], Protocol]) -> int:
    """Train the cells of one shard with all seeds and write its file, whole or not at all."""
    from gdas_lite.data import load_data

    from .trainer import CellTrainer

    folder, number, cells, protocol = task
    trainer = CellTrainer(protocol, load_data("digits"))
    curves = [[trainer.train(network, seed) for seed in protocol.seeds] for network in map(trainer.network, cells)]
    arrays = {name: np.array([[getattr(of_seed, name) for of_seed in of_cell] for of_cell in curves])
              for name in ("train_loss", "valid", "test", "seconds")}
    content = io.BytesIO()
    np.savez(content, cells=np.array([str(cell) for cell in cells]), **arrays)
    write_atomically(shard_path(folder, number), content.getvalue())
    return number


def collect(folder: Path) -> dict[str, np.ndarray]:
    """All shards together: cells (functions,) strings; train_loss, valid (functions, seeds, epochs); test, seconds
    (functions, seeds). Raises ValueError, saying how many are missing, unless all are there."""
    work = list(shards(list(representatives().values())))
    missing = [number for number, _ in work if not shard_path(folder, number).exists()]
    if missing:
        raise ValueError(f"{folder}: {len(missing)} of {len(work)} shards are missing, the first is "
                         f"{shard_path(folder, missing[0]).name}; run the computation again, it goes on there")
    parts = []
    for number, cells in work:
        with np.load(shard_path(folder, number), allow_pickle=False) as part:
            parts.append({name: part[name] for name in part.files})
        if parts[-1]["cells"].tolist() != [str(cell) for cell in cells]:
            raise ValueError(f"{shard_path(folder, number)} holds other cells than this version computes")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def write_digits(folder: Path, place: Path, protocol: Protocol = DIGITS) -> str:
    """Make the table of all cells from a folder's shards: digits.csv.gz and digits.json in `place`; the table's checksum."""
    check_protocol(folder, protocol)
    costs = network_costs(protocol.channels, protocol.cells_per_stage, DIGIT_CLASSES, image_channels=1, image_size=8)
    cells, columns = table_of(collect(folder), protocol.seeds, "digits", costs)
    about = {"protocol": protocol.to_json(), "command": "python -m benchmarks.digits_table FOLDER", "machine": machine(),
             "date": time.strftime("%Y-%m-%d")}
    return write_packaged(place, "digits", cells, columns, about)


def machine() -> dict[str, str]:
    """What the computation ran on, for the record beside the table."""
    import numba
    import torch

    return {"processor": processor_name(), "python": platform.python_version(),
            "torch": torch.__version__, "numba": numba.__version__, "numpy": np.__version__}
