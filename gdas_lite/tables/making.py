"""From raw results to a table that comes with the package: classes of equal cells become all 15,625 cells.

The computation (groundtruth/) trains one cell of each of the 6,466 isomorphism classes. The table has a row for each
cell; cells of a class share the accuracies and differ in what their networks cost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdas_lite.genotype import NASBench201Genotype
from gdas_lite.tablefile import write_table

CONVOLUTIONS = ("nor_conv_3x3", "nor_conv_1x1")     # the only candidates with weights
PER_EPOCH = ("train_loss", "valid_accuracy", "test_accuracy")       # (classes, seeds, epochs)
RAW_ARRAYS = ("cells", "seeds", "seconds", *PER_EPOCH)


def read_results(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a results file (npz), checked.

    cells: (K,) text, one cell of each isomorphism class. seeds: (S,) whole numbers. train_loss (nats), valid_accuracy and
    test_accuracy (percent): (K, S, E), after each epoch. seconds: (K,), of one training.
    Raises ValueError with one sentence for a missing array, another shape, numbers that are not finite, accuracies
    outside 0..100, and classes that are missing or come twice.
    """
    with np.load(path, allow_pickle=False) as file:
        missing = [name for name in RAW_ARRAYS if name not in file.files]
        if missing:
            raise ValueError(f"{path.name}: expected the arrays {', '.join(RAW_ARRAYS)}; {', '.join(missing)} missing")
        results = {name: file[name] for name in RAW_ARRAYS}
    shape = results["train_loss"].shape
    wanted = {"cells": shape[:1], "seeds": shape[1:2], "seconds": shape[:1]} | dict.fromkeys(PER_EPOCH, shape)
    for name, values in results.items():
        if len(shape) != 3 or values.shape != wanted[name]:
            raise ValueError(f"{path.name}: expected {name} of shape {wanted[name]}, where train_loss is (classes, seeds, "
                             f"epochs), got {values.shape}")
        if name != "cells" and not np.isfinite(values).all():
            raise ValueError(f"{path.name}: {name} has values that are not finite numbers")
        if name.endswith("accuracy") and not ((values >= 0) & (values <= 100)).all():
            raise ValueError(f"{path.name}: {name} must hold percentages 0..100")
    return results


def table_of(results: Mapping[str, np.ndarray], data_set: str, cost: Mapping[tuple[int, int], tuple[int, int]]
             ) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The cells and columns of the table, as `write_table` takes them.

    results: as `read_results` gives them. data_set: first word of the columns, for example "digits". cost: as
    `network_costs` gives it.
    Columns, for E epochs: <data_set>_test_E and <data_set>_valid_E, means over the seeds; the same of each seed, with the
    ending _seedS; <data_set>_valid_e and <data_set>_loss_e (train loss, nats) after each epoch e, means over the seeds;
    <data_set>_train_seconds_E, of one training; params and multiply_adds of the cell's network.
    Cells of a class stand together (the file then packs small), classes in the order of their first cell.
    """
    members = _members(results["cells"])
    cells = tuple(cell for group in members.values() for cell in group)
    of_class = {function: k for k, function in enumerate(map(_function, results["cells"].tolist()))}
    source = np.repeat([of_class[function] for function in members], [len(group) for group in members.values()])
    per_class = _columns(results, data_set)
    columns = {name: values[source] for name, values in per_class.items()}
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
    from gdas_lite.cost import cost_of  # PyTorch: only who makes a table needs it

    costs = {}
    for threes in range(len(NASBench201Genotype.EDGES) + 1):
        for ones in range(len(NASBench201Genotype.EDGES) + 1 - threes):
            ops = ("nor_conv_3x3",) * threes + ("nor_conv_1x1",) * ones
            cell = NASBench201Genotype(ops + ("skip_connect",) * (len(NASBench201Genotype.EDGES) - len(ops)))
            network = cell.network(channels, cells_per_stage, classes, image_channels)
            cost = cost_of(network, (image_channels, image_size, image_size))
            costs[threes, ones] = (cost.parameters, cost.multiply_adds)
    return costs


def write_packaged(folder: Path, name: str, cells: tuple[str, ...], columns: Mapping[str, np.ndarray],
                   about: Mapping[str, Any]) -> str:
    """Write `<name>.csv.gz` and `<name>.json` (about, and the checksum); the checksum. Equal input gives equal bytes."""
    table = folder / f"{name}.csv.gz"
    write_table(table, cells, dict(columns))
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    facts = dict(about) | {"sha256": sha256}
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return sha256


def _columns(results: Mapping[str, np.ndarray], data_set: str) -> dict[str, np.ndarray]:
    """One number a class. Accuracies keep two decimals (an image of some hundreds is more), losses three."""
    epochs = results["train_loss"].shape[2]
    results = {name: results[name].astype(np.float64) for name in ("seconds", *PER_EPOCH)} | {"seeds": results["seeds"]}
    columns = {}
    for half in ("test", "valid"):
        last = results[f"{half}_accuracy"][:, :, -1]                                # (classes, seeds)
        columns[f"{data_set}_{half}_{epochs}"] = last.mean(1).round(2)
        for place, seed in enumerate(results["seeds"].tolist()):
            columns[f"{data_set}_{half}_{epochs}_seed{seed}"] = last[:, place].round(2)
    for epoch in range(1, epochs):
        columns[f"{data_set}_valid_{epoch}"] = results["valid_accuracy"][:, :, epoch - 1].mean(1).round(2)
    for epoch in range(1, epochs + 1):
        columns[f"{data_set}_loss_{epoch}"] = results["train_loss"][:, :, epoch - 1].mean(1).round(3)
    columns[f"{data_set}_train_seconds_{epochs}"] = results["seconds"].round(2)
    return columns


def _members(representatives: np.ndarray) -> dict[str, list[str]]:
    """All cells by isomorphism class. Raises ValueError unless each class has exactly one representative."""
    members: dict[str, list[str]] = {}
    for cell in NASBench201Genotype.all():
        members.setdefault(cell.canonical_function(), []).append(str(cell))
    given = [_function(cell) for cell in representatives.tolist()]
    if len(set(given)) != len(given):
        raise ValueError(f"results: {len(given) - len(set(given)):,} cells compute the same function as another one")
    if len(given) != len(members):
        raise ValueError(f"results: expected a cell of each of the {len(members):,} isomorphism classes, got {len(given):,}")
    return members


def _function(cell: str) -> str:
    return NASBench201Genotype.parse(cell).canonical_function()
