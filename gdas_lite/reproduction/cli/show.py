"""Commands that look a cell up and show it: info, draw, zoo. None trains; torch is imported where it counts."""

from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...benchmark.files import positions
from ...benchmark.table import tabular
from ...genotypes.lookup import CellSource, find_cell
from ...genotypes.parse import parse_genotype
from ...genotypes.zoo import NETWORKS, costs, results_of
from ...genotypes.zoo import zoo as published_cells
from ...runs.printing import say
from ...runs.schema import check
from ...runs.shapes import PIXELS
from ...search.history import History


def info(arguments: Namespace) -> int:
    """`gdas-lite info CELL`."""
    cell = find_cell(arguments.cell)
    say(f"cell           {cell.genotype}")
    say(f"found          {cell.origin}")
    if cell.genotype.space == "nasbench201":
        connected = "yes" if cell.genotype.is_connected else "no: nothing that it computes depends on the image"
        say(f"connected      {connected}")
    for line in (*_cost_lines(cell.genotype, cell.name, arguments), *ground_truth(cell.genotype, arguments.table),
                 *_published_lines(cell)):
        say(line)
    return 0


def _cost_lines(genotype: Any, name: str, arguments: Namespace) -> Iterator[str]:
    from ...runs.cost import cost_of, count_parameters
    from ..published import IMAGENET
    from .values import network_settings

    asked = {size: getattr(arguments, size) for size in ("classes", "image_channels", "image_size")}
    asked = {size: value for size, value in asked.items() if value is not None}
    if genotype.space == "recurrent":
        for size in asked:
            raise ValueError(f"--{size.replace('_', '-')} is for networks of images, not for a recurrent cell")
        network = _on_meta(genotype, network_settings(arguments, "recurrent"))
        yield f"network        {_listed(network.settings)}"
        yield f"parameters     {count_parameters(network):,}"
        return
    settings = network_settings(arguments, genotype.space, given=("classes", "image_channels"))
    if is_large := settings.get("stem") == "imagenet":      # as the cell was published, others as GDAS' cells
        usual = IMAGENET["GDAS_F1" if getattr(genotype, "reduce", genotype) is None else "GDAS_V1"]
        settings = IMAGENET.get(name, usual) | settings
    usual = {"classes": 1000 if is_large else 10, "image_channels": 3, "image_size": 224 if is_large else 32}
    settings |= usual | asked
    check(size := settings.pop("image_size"), PIXELS, "image_size")
    network = _on_meta(genotype, settings)
    cost = cost_of(network, (settings["image_channels"], size, size))
    yield f"network        {_listed(network.settings)}; images of {size}x{size}"
    yield f"parameters     {cost.parameters:,}"
    yield f"multiply-adds  {cost.multiply_adds:,} an image"
    if cost.live is not None:
        yield f"live           {live_part(genotype)}: {cost.live}"


def _on_meta(genotype: Any, settings: dict[str, Any]) -> Any:
    import torch

    from ... import spaces
    with torch.device("meta"):      # only shapes are needed
        return spaces.network(genotype, **settings)


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def live_part(genotype: Any) -> str:
    """Returns what of a NAS-Bench-201 cell reaches its output, in words."""
    live = [f"{op} {src}→{dst}" for src, dst, op in genotype.live.edges if op != "none"]
    dead = sum(op != "none" for op in genotype.ops) - len(live)
    return (", ".join(live) or "nothing") + " of the cell" + (f" ({dead} dead)" if dead else " (none dead)")


def ground_truth(genotype: Any, path: str | None = None) -> list[str]:
    """Returns lines with the accuracies that tables have for a cell: NAS-Bench-201's, CIFAR-10 first, then the digits'.

    path: of another table of NAS-Bench-201, then alone.
    """
    if str(genotype) not in positions():        # of another space, or with a candidate of one's own
        if path is not None:
            raise ValueError(f"--table holds cells of NAS-Bench-201; this cell is of the space {genotype.space}")
        return []
    table, digits = tabular("nasbench201", path), tabular("digits")
    first = sorted(table.accuracy_columns, key=lambda column: column != table.default_column)
    lines = ["ground truth   NAS-Bench-201, accuracy when trained on its own",
             *(_ranked(table, genotype, column) for column in first)]
    if path is not None:
        return lines
    return [*lines, "ground truth   the embedded digits, small networks, mean of the seeds",
            *(_ranked(digits, genotype, column) for column in (digits.default_column, digits.search_column))]


def found_cells(folders: Mapping[int, str], failed: Collection[int]) -> Iterator[str]:
    """Yields a table of searches by seed: the cell of each, in NAS-Bench-201 what it is worth. failed: seeds."""
    table, ranked = tabular("nasbench201"), False
    yield f"{'seed':>5} {'search':>8} {'trained':>8} {'rank':>7}   cell"
    for seed, folder in folders.items():
        if seed in failed:
            yield f"{seed:>5} not finished"
            continue
        last = History.read(folder)[-1]
        cell = parse_genotype(last.genotype)
        shares = last.train_accuracy if last.valid_accuracy != last.valid_accuracy else last.valid_accuracy
        ranked |= (is_known := str(cell) in positions())
        worth = (f"{table.accuracy(cell):>7.2f}% {table.rank(cell):>7,}" if is_known else f"{'-':>8} {'-':>7}")
        yield f"{seed:>5} {shares:>7.2f}% {worth}   {cell}"
    yield ("search: accuracy with shared weights, of the valid half where alpha moves"
           + f"; trained, rank: NAS-Bench-201, {table.default_column}, of {len(table):,}" * ranked)


def _ranked(table: Any, genotype: Any, column: str) -> str:
    best = table.values(column).max()
    return (f"  {column:<14} {table.accuracy(genotype, column):6.2f}%   rank {table.rank(genotype, column):,} of "
            f"{len(table):,} (best {best:.2f}%)")


def _published_lines(cell: CellSource) -> list[str]:
    results = results_of(cell.entry.name, cell.entry.space) if cell.entry else ()
    return ["published", *(f"  {result}" for result in results)] if results else []


def draw(arguments: Namespace) -> int:
    """`gdas-lite draw CELL -o FILE`."""
    from ...visual.diagrams import edge_probabilities, save

    cell, options = find_cell(arguments.cell), {}
    if arguments.probabilities:
        if cell.search is None:
            raise ValueError(f"--probabilities needs the run folder of a search, but this cell is {cell.origin}")
        options["probabilities"] = edge_probabilities(cell.genotype, History.read(cell.search))
    say(save(cell.genotype, Path(arguments.out or "cell.svg"), title=arguments.title, **options))
    return 0


def zoo(arguments: Namespace) -> int:
    """`gdas-lite zoo`: every published cell with what its published network costs."""
    entries = published_cells(arguments.space)
    for space, network in NETWORKS.items():
        rows = {name: entry for name, entry in entries.items() if entry.space == space}
        if not rows:
            continue
        say(f"{space}: parameters and multiply-adds at {network}")
        width = max(map(len, rows))
        for name, entry in rows.items():
            parameters, multiply_adds = costs()[f"{entry.name}@{space}"]
            multiply = "" if multiply_adds is None else f"{multiply_adds / 1e6:8.1f} M"
            say(f"  {name:<{width}} {parameters:>12,} {multiply:>11}  {entry.note}")
    return 0
