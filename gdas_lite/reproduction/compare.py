"""The published table with what was measured beside it: in the run folders at hand, and in searches of the package."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from .. import spaces
from ..benchmark.table import opened
from ..genotypes.lookup import find_cell
from ..genotypes.parse import parse_genotype
from ..genotypes.zoo import PublishedResult
from ..lessons.recorded import names
from ..lessons.recorded import recorded as open_recorded
from ..runs.config import RunError, path_of, read_config, read_history
from ..runs.cost import count_parameters, multiply_adds
from .protocols import DATASETS, PublishedProtocol
from .published import SIZES, Row
from .published import rows as all_rows

TABLE_COLUMNS = {"cifar10": "c10", "cifar100": "c100", "imagenet16-120": "in16"}
COLUMNS = ("source", "what", "published", "measured", "seeds, hours, machine")
PARTS = {"test_error": ("test", "accuracy"), "top1_error": ("test", "accuracy"), "top5_error": ("test", "top5"),
         "test_perplexity": ("test", "loss"), "valid_perplexity": ("valid", "loss")}


@dataclass(frozen=True)
class Run:
    """A run. records: its history, a JSON object an epoch; epochs: of its recipe. machine: its processor, where it is
    known, as for the recorded searches of the package; path is then the search's name."""

    path: Path
    config: Mapping[str, Any]
    records: tuple[Mapping[str, Any], ...]
    epochs: int
    machine: str = ""

    @property
    def hours(self) -> float:
        """Of all epochs at the pace of the median one: an epoch in which the machine slept counts like another."""
        return len(self.records) * median([record["seconds"] for record in self.records] or [0]) / 3600

    @property
    def is_finished(self) -> bool:
        return len(self.records) >= self.epochs or bool(self.records and self.records[-1].get("stopped"))

    def __str__(self) -> str:
        what = self.config["kind"] if self.config["kind"] != "search" else \
            f"{self.config['algorithm']['name']} search in {self.config['space']['name']}"
        recipe = self.config["recipe"].get("name", "?")
        return (f"{self.path}: {what} on {self.config['data']['name']}, recipe {recipe}, "
                f"seed {self.config['seed']}, epoch {len(self.records)} of {self.epochs}")


@dataclass(frozen=True, repr=False)
class ResultsTable:
    """Rows with what was measured. values: for each row the numbers of its finished runs, one a run, in the published
    unit; runs: for each row those runs; unfinished: for each row its unfinished runs; others: of no row."""

    rows: tuple[Row, ...]
    values: tuple[tuple[float, ...], ...]
    runs: tuple[tuple[Run, ...], ...]
    unfinished: tuple[tuple[Run, ...], ...]
    others: tuple[Run, ...]

    def lines(self) -> list[tuple[str, str, str, str, str, str, str]]:
        """(source, what, published, measured, seeds with hours and machine, command, remark) of each row, as text."""
        return [(row.published.source, _what(row.published), row.published.number,
                 _measured(row.published, values, unfinished), _runs_of(runs), row.command or "", row.reason)
                for row, values, runs, unfinished in zip(self.rows, self.values, self.runs, self.unfinished)]

    def __str__(self) -> str:
        lines = [COLUMNS, *(line[:len(COLUMNS)] for line in self.lines())]
        widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join([*text, *self._about_others()])

    __repr__ = __str__

    def _about_others(self) -> list[str]:
        if not self.others:
            return []
        return ["", f"{len(self.others)} other run(s), of no published protocol:", *(f"  {run}" for run in self.others)]

    def _repr_html_(self) -> str:
        """The table with commands."""
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in (*COLUMNS, "command and remark"))
        body = "".join("<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in _cells(line)) + "</tr>"
                       for line in self.lines())
        others = "".join(f"<br>{escape(line)}" for line in self._about_others() if line)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{others}"


def fill(folders: str | Path | Iterable[str | Path], rows: Iterable[Row] | None = None, table: Any = "nasbench201",
         recorded: Iterable[Any] | None = None) -> ResultsTable:
    """Fills published rows from run folders, and from the searches that come with the package.

    folders: run folders, or folders that hold some at any depth. rows: None for all. table: NAS-Bench-201's, or its
    name, in which found cells are looked up; with None those rows stay empty. recorded: histories as `gl.recorded`
    opens them, None for all of the package. A run counts for a row if its configuration is the one that the row's
    command asks for, with whatever seed; another batch size is another protocol. A recorded search does not count
    beside a run of your own with its seed. Folders that cannot be read are passed over.
    """
    rows, table = tuple(all_rows() if rows is None else rows), None if table is None else opened(table)
    own = list(_runs([folders] if isinstance(folders, (str, Path)) else folders))
    recorded = map(open_recorded, names()) if recorded is None else recorded
    shipped = [Run(Path(each.about["name"]), config := each.about["config"], tuple(one.to_json() for one in each),
                   config["recipe"]["epochs"], each.about["machine"]["processor"]) for each in recorded]
    matching = [_matching(row, own) for row in rows]
    used = {run.path for runs in matching for run in runs}
    counted = [_values(row, runs, shipped, table) for row, runs in zip(rows, matching)]
    unfinished = tuple(() if row.published.metric in SIZES else
                       tuple(run for run in (*runs, *_beside(runs, row, shipped)) if not run.is_finished)
                       for row, runs in zip(rows, matching))
    return ResultsTable(rows, tuple(values for values, _ in counted), tuple(runs for _, runs in counted), unfinished,
                        tuple(run for run in own if run.path not in used))


def _matching(row: Row, runs: Iterable[Run]) -> list[Run]:
    protocols = [protocol for protocol in (row.protocol, row.also) if protocol is not None]
    return [run for run in runs if any(protocol.is_of(run.config) for protocol in protocols)]


def _values(row: Row, own: list[Run], shipped: list[Run], table: Any) -> tuple[tuple[float, ...], tuple[Run, ...]]:
    """What a row's finished runs say, and the runs that say something."""
    if row.published.metric in SIZES:
        return () if row.protocol is None else _size(row.protocol, row.published.metric), ()
    finished = [run for run in own if run.is_finished]
    finished += [run for run in _beside(finished, row, shipped) if run.is_finished]
    measured = [(value, run) for run in finished if (value := _value(row.published, run, table)) is not None]
    return tuple(value for value, _ in measured), tuple(run for _, run in measured)


def _beside(own: list[Run], row: Row, shipped: list[Run]) -> list[Run]:
    """Recorded searches of a row that are not among one's own runs."""
    known = {_identity(run) for run in own}
    return [run for run in _matching(row, shipped) if _identity(run) not in known]


def _identity(run: Run) -> tuple[Any, Any]:
    """What two runs of one row share only if they are the same run."""
    return run.config["seed"], run.config.get("space", {}).get("track_running_stats")


def _runs(folders: Iterable[str | Path]) -> Iterable[Run]:
    """Runs by path; what is no run folder, or is damaged, or one before once more, is left out."""
    seen: set[tuple[bytes, str]] = set()
    files = {file for folder in folders for file in path_of(folder, "folder").rglob("config.json")}
    for file in sorted(files):
        try:
            config = read_config(file.parent)
            records = tuple(read_history(file.parent / "history.jsonl")[1])
            run = Run(file.parent, config, records, int(config["recipe"]["epochs"]))
            str(run)            # a config without the usual fields is of something else
            content = file.read_bytes(), repr([{**record, "seconds": 0, "images_per_second": 0} for record in records])
        except (RunError, OSError, ValueError, KeyError, TypeError):
            continue
        if content not in seen:     # a seed run twice with the same outcome is one sample, whatever it took
            seen.add(content)
            yield run


def _value(result: PublishedResult, run: Run, table: Any) -> float | None:
    """What a finished run says of a published metric, in its unit; None where it says nothing."""
    if result.metric in ("search_gpu_days", "search_seconds"):
        return run.hours / 24 if result.metric == "search_gpu_days" else run.hours * 3600
    if run.config["kind"] == "search":
        return _looked_up(result, run.records[-1].get("genotype"), table)
    if result.metric not in PARTS:
        return None
    part, measure = PARTS[result.metric]
    evaluations = [record["evaluation"][part] for record in run.records if part in record.get("evaluation", {})]
    if not evaluations or evaluations[-1].get(measure) is None:
        return None
    if measure == "loss":       # the published validation perplexity is that of the weights that are tested at the end
        return math.exp(min(each["loss"] for each in (evaluations if part == "valid" else evaluations[-1:])))
    return 100 - evaluations[-1][measure]


def _looked_up(result: PublishedResult, cell: str | None, table: Any) -> float | None:
    if table is None or cell is None or result.data not in TABLE_COLUMNS:
        return None
    column = f"{TABLE_COLUMNS[result.data]}_{result.metric.removesuffix('_accuracy')}_200"
    return table.accuracy(parse_genotype(cell), column) if column in table.accuracy_columns else None


def _size(protocol: PublishedProtocol, metric: str) -> tuple[float, ...]:
    """Parameters or multiply-adds of the row's network, counted here, in millions."""
    if protocol.kind == "search" or (metric == "mult_adds_M" and DATASETS[protocol.data].is_text):
        return ()
    return (_counted(protocol.cell, protocol.data, tuple(protocol.settings.items()), metric),)


@lru_cache(maxsize=256)
def _counted(cell: str, data: str, settings: tuple[tuple[str, Any], ...], metric: str) -> float:
    """Of the network without the auxiliary head, which is for training only: so papers count."""
    sizes, without = DATASETS[data], {"auxiliary": False} if "auxiliary" in dict(settings) else {}
    with torch.device("meta"):
        network = spaces.network(find_cell(cell).genotype, **dict(settings) | without)
    if metric == "params_M":
        return count_parameters(network) / 1e6
    return multiply_adds(network, (sizes.image_channels, sizes.image_size, sizes.image_size)) / 1e6


def _what(result: PublishedResult) -> str:
    setting = f" ({result.setting})" if result.setting else ""
    return f"{result.name}, {result.data}, {result.metric.replace('_', ' ')}{setting}"


def _measured(result: PublishedResult, values: tuple[float, ...], unfinished: tuple[Run, ...]) -> str:
    digits = 1 if result.metric in ("params_M", "search_seconds") else 0 if result.metric == "mult_adds_M" else 2
    parts = []
    if result.metric in SIZES and values:
        parts.append(f"{values[0]:.{digits}f}")
    elif values:
        spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
        parts.append(f"{np.mean(values):.{digits}f}{spread} (n={len(values)})")
    parts += [f"epoch {len(run.records)} of {run.epochs}" for run in unfinished]
    return ", ".join(parts) or "-"


def _runs_of(runs: tuple[Run, ...]) -> str:
    """Seeds and hours of a row's runs, and where they ran: "seed 0, 9.6 h (AMD EPYC)"."""
    return "; ".join(f"seed {run.config['seed']}, {run.hours:.3g} h" + (f" ({run.machine})" if run.machine else "")
                     for run in runs)


def _cells(line: tuple[str, ...]) -> list[str]:
    """The cells of a line in HTML; command and remark share one."""
    *values, command, remark = map(escape, line)
    return [*values, " ".join(filter(None, (command and f"<code>{command}</code>", remark)))]
