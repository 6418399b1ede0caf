"""From raw results to a table that comes with the package: one cell for each function becomes all 15,625 cells.

The computation (shards.py) trains one cell of each class of cells that compute the same function. The table has a row
for each cell; cells of a class share the accuracies and differ in what their networks cost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gdas_lite import spaces
from gdas_lite.benchmark.files import write_table
from gdas_lite.genotypes.functions import computed_function
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.runs.schema import sealed

CONVOLUTIONS = ("nor_conv_3x3", "nor_conv_1x1")     # the only candidates with weights
AXES = {"train_loss": 3, "valid": 3, "test": 2, "seconds": 2}      # (functions, seeds, epochs) or (functions, seeds)


def table_of(results: Mapping[str, np.ndarray], seeds: Sequence[int], data_set: str,
             cost: Mapping[tuple[int, int], tuple[int, int]]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The cells and columns of the table, as `write_table` takes them.

    results: as shards.py's `collect` gives them. cells: (K,) text, one for each function, in any order; train_loss (nats)
    and valid (percent): (K, S, E), after each epoch; test (percent): (K, S), after the last; seconds: (K, S), of the
    training. seeds: S whole numbers. data_set: first word of the columns, for example "digits". cost: as `network_costs`
    gives it.
    Columns, for E epochs: <data_set>_test_E and <data_set>_valid_E, means over the seeds; the same of each seed, with the
    ending _seedS; <data_set>_valid_e and <data_set>_loss_e (train loss) after each epoch e, means over the seeds;
    <data_set>_train_seconds_E, the median of the trainings; params and multiply_adds of the cell's network.
    Cells of a class stand together (the file then packs small), classes in the order of their first cell.
    Raises ValueError with one sentence for a missing array, another shape, numbers that are not finite, accuracies outside
    0..100, and functions that are missing or come twice.
    """
    _check(results, seeds)
    members = _members(results["cells"].tolist())
    cells = tuple(cell for group in members.values() for cell in group)
    of_class = {_function(cell): k for k, cell in enumerate(results["cells"].tolist())}
    source = np.repeat([of_class[function] for function in members], [len(group) for group in members.values()])
    columns = {name: values[source] for name, values in _columns(results, seeds, data_set).items()}
    counts = [tuple(cell.count(op) for op in CONVOLUTIONS) for cell in cells]
    for place, name in enumerate(("params", "multiply_adds")):
        columns[name] = np.array([cost[count][place] for count in counts])
    return cells, columns


def network_costs(channels: int, cells_per_stage: int, classes: int, image_channels: int, image_size: int
                  ) -> dict[tuple[int, int], tuple[int, int]]:
    """{(3x3, 1x1 convolutions in the cell): (parameters, multiply-adds of one image)} of the cells' networks.

    Nothing else in a cell has weights or multiplies, and every convolution runs, whatever reaches it; so one network for
    each of the 28 pairs of numbers is counted.
    """
    from gdas_lite.runs.cost import cost_of  # PyTorch: only who makes a table needs it

    costs = {}
    for threes in range(len(NASBench201Genotype.EDGES) + 1):
        for ones in range(len(NASBench201Genotype.EDGES) + 1 - threes):
            ops = ("nor_conv_3x3",) * threes + ("nor_conv_1x1",) * ones
            cell = NASBench201Genotype(ops + ("skip_connect",) * (len(NASBench201Genotype.EDGES) - len(ops)))
            network = spaces.network(cell, channels, cells_per_stage, classes, image_channels)
            cost = cost_of(network, (image_channels, image_size, image_size))
            costs[threes, ones] = (cost.parameters, cost.multiply_adds)
    return costs


def write_packaged(folder: Path, name: str, cells: tuple[str, ...], columns: Mapping[str, np.ndarray],
                   about: Mapping[str, Any]) -> str:
    """Write `<name>.csv.gz` and `<name>.json` (about, and the checksum); the checksum. Equal input gives equal bytes."""
    table = folder / f"{name}.csv.gz"
    write_table(table, cells, dict(columns))
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    facts = sealed(dict(about) | {"sha256": sha256})
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return sha256


def _check(results: Mapping[str, np.ndarray], seeds: Sequence[int]) -> None:
    missing = [name for name in ("cells", *AXES) if name not in results]
    if missing:
        raise ValueError(f"results: expected the arrays cells, {', '.join(AXES)}; {', '.join(missing)} missing")
    shape = results["train_loss"].shape
    for name, axes in AXES.items():
        if len(shape) != 3 or shape[:2] != (len(results["cells"]), len(seeds)) or results[name].shape != shape[:axes]:
            raise ValueError(f"results: {len(results['cells']):,} cells and {len(seeds)} seeds, but {name} has the shape "
                             f"{results[name].shape} (train_loss and valid: cells, seeds, epochs; test and seconds: cells, "
                             f"seeds)")
        if not np.isfinite(results[name]).all():
            raise ValueError(f"results: {name} has values that are not finite numbers")
        if name in ("valid", "test") and not ((results[name] >= 0) & (results[name] <= 100)).all():
            raise ValueError(f"results: {name} must hold percentages 0..100")


def _columns(results: Mapping[str, np.ndarray], seeds: Sequence[int], data_set: str) -> dict[str, np.ndarray]:
    """One number a class. Accuracies keep two decimals (an image of some hundreds is more), losses three."""
    loss, valid, test, seconds = (results[name].astype(np.float64) for name in ("train_loss", "valid", "test", "seconds"))
    epochs = loss.shape[2]
    columns = {}
    for half, last in (("test", test), ("valid", valid[:, :, -1])):                 # (classes, seeds)
        columns[f"{data_set}_{half}_{epochs}"] = last.mean(1).round(2)
        for place, seed in enumerate(seeds):
            columns[f"{data_set}_{half}_{epochs}_seed{seed}"] = last[:, place].round(2)
    for epoch in range(1, epochs):
        columns[f"{data_set}_valid_{epoch}"] = valid[:, :, epoch - 1].mean(1).round(2)
    for epoch in range(1, epochs + 1):
        columns[f"{data_set}_loss_{epoch}"] = loss[:, :, epoch - 1].mean(1).round(3)
    columns[f"{data_set}_train_seconds_{epochs}"] = np.median(seconds, 1).round(3)     # other work disturbs a time, upwards
    return columns


def _members(representatives: list[str]) -> dict[str, list[str]]:
    """All cells by function. Raises ValueError unless each function has exactly one representative."""
    members: dict[str, list[str]] = {}
    for cell in NASBench201Genotype.all():
        members.setdefault(computed_function(cell.edges), []).append(str(cell))
    given = {_function(cell) for cell in representatives}
    if len(given) != len(representatives):
        raise ValueError(f"results: {len(representatives) - len(given):,} cells compute the same function as another one")
    if len(given) != len(members):
        raise ValueError(f"results: expected a cell for each of {len(members):,} functions, got {len(given):,}")
    return members


def _function(cell: str) -> str:
    return computed_function(NASBench201Genotype.parse(cell).edges)
