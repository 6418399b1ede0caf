"""The published table with what the run folders at hand have measured beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from .. import spaces
from ..genotypes.parse import parse_genotype
from ..genotypes.published import PublishedResult
from .protocols import FACTS, SIZES, Protocol, Row, protocol

TABLE_COLUMNS = {"cifar10": "c10", "cifar100": "c100", "imagenet16-120": "in16"}
PARTS = {"test_error": ("test", "accuracy"), "top1_error": ("test", "accuracy"), "top5_error": ("test", "top5"),
         "test_perplexity": ("test", "loss"), "valid_perplexity": ("valid", "loss")}


@dataclass(frozen=True)
class Run:
    """A run folder. records: its history, a JSON object an epoch; epochs: of its recipe."""

    path: Path
    config: Mapping[str, Any]
    records: tuple[Mapping[str, Any], ...]
    epochs: int

    @property
    def is_finished(self) -> bool:
        return len(self.records) >= self.epochs or bool(self.records and self.records[-1].get("stopped"))

    def __str__(self) -> str:
        what = self.config["kind"] if self.config["kind"] != "search" else \
            f"{self.config['algorithm']['name']} search in {self.config['space']['name']}"
        return (f"{self.path}: {what} on {self.config['data']['name']}, recipe {self.config['recipe'].get('name', '?')}, seed "
                f"{self.config['seed']}, epoch {len(self.records)} of {self.epochs}")


@dataclass(frozen=True, repr=False)
class Filled:
    """Rows with what was measured. values: for each row the numbers of its finished runs, one a run, in the published unit;
    unfinished: for each row its runs that are not at their end; others: runs that are of no row."""

    rows: tuple[Row, ...]
    values: tuple[tuple[float, ...], ...]
    unfinished: tuple[tuple[Run, ...], ...]
    others: tuple[Run, ...]

    def lines(self) -> list[tuple[str, str, str, str, str, str]]:
        """(source, what, published, measured here, command, remark) of each row, as text."""
        return [(row.published.source, _what(row.published), _published(row.published),
                 _measured(row.published, values, unfinished), row.command or "", row.reason)
                for row, values, unfinished in zip(self.rows, self.values, self.unfinished)]

    def __str__(self) -> str:
        lines = [("source", "what", "published", "measured here"), *(line[:4] for line in self.lines())]
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join([*text, *self._about_others()])

    __repr__ = __str__

    def _about_others(self) -> list[str]:
        if not self.others:
            return []
        return ["", f"{len(self.others)} other run(s), of no published protocol:", *(f"  {run}" for run in self.others)]

    def _repr_html_(self) -> str:
        """The table with commands."""
        head = "".join(f"<th style='text-align:left'>{name}</th>"
                       for name in ("source", "what", "published", "measured here", "command and remark"))
        body = "".join("<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in _cells(line)) + "</tr>"
                       for line in self.lines())
        others = "".join(f"<br>{escape(line)}" for line in self._about_others() if line)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{others}"


def fill(folders: str | Path | Iterable[str | Path], rows: Iterable[Row] | None = None, table: Any = None) -> Filled:
    """Fill published rows from run folders.

    folders: run folders, or folders that hold some at any depth. rows: None for all. table: NAS-Bench-201's
    (`gl.tabular("nasbench201")`), in which found cells are looked up; without it those rows stay empty.
    A run counts for a row if its configuration is the one that the row's command asks for, with whatever seed; another
    batch size is another protocol. Folders that cannot be read are passed over.
    """
    from .protocols import rows as all_rows

    wanted = tuple(all_rows() if rows is None else rows)
    runs = list(_runs([folders] if isinstance(folders, (str, Path)) else folders))
    values, unfinished, used = [], [], set()
    for row in wanted:
        asked = None if row.command is None else protocol(row.command)
        mine = [run for run in runs if asked is not None and asked.is_of(run.config)]
        used.update(run.path for run in mine)
        if row.published.metric in SIZES:
            values.append(() if asked is None else _size(asked, row.published))
            unfinished.append(())
            continue
        found = [_value(row.published, run, table) for run in mine if run.is_finished]
        values.append(tuple(value for value in found if value is not None))
        unfinished.append(tuple(run for run in mine if not run.is_finished))
    return Filled(wanted, tuple(values), tuple(unfinished), tuple(run for run in runs if run.path not in used))


def _runs(folders: Iterable[str | Path]) -> Iterable[Run]:
    """Runs by path; what is no run folder, or is damaged, is left out."""
    files = {file for folder in folders for file in Path(folder).rglob("config.json")}
    for file in sorted(files):
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            lines = (file.parent / "history.jsonl").read_text(encoding="utf-8").splitlines()[1:]
            records = tuple(json.loads(line) for line in lines)
            run = Run(file.parent, config, records, int(config["recipe"]["epochs"]))
            str(run)            # a config without the usual fields is of something else
        except (OSError, ValueError, KeyError, TypeError):
            continue
        yield run


def _value(result: PublishedResult, run: Run, table: Any) -> float | None:
    """What a finished run says of a published metric, in its unit; None where it says nothing."""
    if result.metric in ("search_gpu_days", "search_seconds"):
        seconds = sum(record["seconds"] for record in run.records)
        return seconds / 86400 if result.metric == "search_gpu_days" else seconds
    if run.config["kind"] == "search":
        return _looked_up(result, run.records[-1].get("genotype"), table)
    if result.metric not in PARTS:
        return None
    part, measure = PARTS[result.metric]
    evaluations = [record["evaluation"][part] for record in run.records if part in record.get("evaluation", {})]
    if not evaluations or measure not in evaluations[-1]:
        return None
    if measure == "loss":           # the published validation perplexity is that of the weights that are tested
        return math.exp(min(each["loss"] for each in evaluations))
    return 100 - evaluations[-1][measure]


def _looked_up(result: PublishedResult, cell: str | None, table: Any) -> float | None:
    if table is None or cell is None or result.data not in TABLE_COLUMNS:
        return None
    column = f"{TABLE_COLUMNS[result.data]}_{result.metric.removesuffix('_accuracy')}_200"
    return table.accuracy(parse_genotype(cell), column) if column in table.accuracy_columns else None


def _size(asked: Protocol, result: PublishedResult) -> tuple[float, ...]:
    """Parameters or multiply-adds of the row's network, counted here, in millions."""
    if asked.kind == "search":
        return ()
    counted = _counted(asked.command)
    value = counted["params_M" if result.metric == "params_M" else "mult_adds_M"]
    return () if value is None else (value,)


@lru_cache(maxsize=256)
def _counted(command: str) -> dict[str, float | None]:
    import torch

    from ..spaces.cost import count_parameters, multiply_adds

    asked = protocol(command)
    facts = FACTS[asked.data]
    with torch.device("meta"):
        network = spaces.network(asked.parts["genotype"], **asked.parts["settings"] | _without_head(asked))
        shape = (facts.image_channels, facts.image_size, facts.image_size)
        multiply = None if facts.is_text else multiply_adds(network, shape) / 1e6
    return {"params_M": count_parameters(network) / 1e6, "mult_adds_M": multiply}


def _without_head(asked: Protocol) -> dict[str, Any]:
    """Papers count networks without the auxiliary head, which is for training only."""
    return {"auxiliary": False} if "auxiliary" in asked.parts["settings"] else {}


def _what(result: PublishedResult) -> str:
    setting = f" ({result.setting})" if result.setting else ""
    return f"{result.name}, {result.data}, {result.metric.replace('_', ' ')}{setting}"


def _published(result: PublishedResult) -> str:
    spread = "" if result.spread is None else f" ± {result.spread:g}"
    return f"{result.value:g}{spread}"


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


def _cells(line: tuple[str, ...]) -> list[str]:
    """The cells of a line in HTML; command and remark share one."""
    *values, command, remark = map(escape, line)
    return [*values, " ".join(filter(None, (command and f"<code>{command}</code>", remark)))]
