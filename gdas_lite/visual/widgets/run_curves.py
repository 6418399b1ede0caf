"""The curves of a run that is under way, as values for the browser: losses, accuracies, the cell in a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Panel = dict[str, Any]  # "title", "top" of a share, "lines": each has "name" and "values", a number or None an epoch


def panels(history: Any, table: Any = None, column: str | None = None) -> list[Panel]:
    """Returns one panel for the losses, one for the accuracies, one for the table; those without a number are left out.

    history: of a search or a training. table, column: as of `truth_panel`.
    """
    search = hasattr(history, "labels")
    found = [_panel(f"{'search ' if search and what == 'accuracy' else ''}{what} ({unit})", _lines(history, what))
             for what, unit in (("loss", "nats"), ("accuracy", "%"))]
    return [panel for panel in (*found, truth_panel({"accuracy": history}, table, column)) if panel and panel["lines"]]


def _lines(history: Any, what: str) -> dict[str, Iterable[float]]:
    if len(history) == 0:
        return {}
    lines = {"train": history.column(f"train_{what}")}
    if hasattr(history, "labels"):
        return lines | {"valid": history.column(f"valid_{what}")}
    names = dict.fromkeys(name for record in history for name, score in record.evaluation.items() if what in score)
    return lines | {name.replace("_", " "): history.column(f"{name} {what}") for name in names}


def _panel(title: str, lines: dict[str, Iterable[float]]) -> Panel:
    known = [{"name": name, "values": [round(float(value), 4) if math.isfinite(value) else None for value in values]}
             for name, values in lines.items()]
    return {"title": title, "top": 100 if title.endswith("(%)") else None,
            "lines": [line for line in known if any(value is not None for value in line["values"])]}


def truth_panel(histories: Mapping[str, Any], table: Any, column: str | None) -> Panel | None:
    """Returns the accuracy of each epoch's cell in a table, percent, a line for each history; None without a table."""
    if table is None:
        return None
    longest = max(map(len, histories.values()))
    lines = {name: [table.accuracy(record.genotype, column) if record.genotype else math.nan for record in history]
             for name, history in histories.items()}
    return _panel("the derived cell in the table (%)", {
        name: values + [math.nan] * (longest - len(values)) for name, values in lines.items()})
