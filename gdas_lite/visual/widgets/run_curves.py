"""The curves of a run that is under way, as values for the browser: losses, accuracies, and what a table says of the cell."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

Panel = dict[str, Any]      # "title", "lines": each with "name" and "values", a number or None an epoch


def panels(history: Any, truth: Iterable[float] | None = None) -> list[Panel]:
    """One panel for the losses, one for the accuracies, one for the ground truth; those without a number are left out.

    history: of a search or a training. truth: accuracy of the derived cell in a table, percent, one an epoch.
    """
    search = hasattr(history, "labels")
    found = [_panel(f"{'search ' if search and what == 'accuracy' else ''}{what} ({unit})", _lines(history, what))
             for what, unit in (("loss", "nats"), ("accuracy", "%"))]
    if truth is not None:
        found.append(_panel("the derived cell in the table (%)", {"accuracy": truth}))
    return [panel for panel in found if panel["lines"]]


def _lines(history: Any, what: str) -> dict[str, Iterable[float]]:
    if len(history) == 0:
        return {}
    lines = {"train": history.column(f"train_{what}")}
    if hasattr(history, "labels"):
        return lines | {"valid": history.column(f"valid_{what}")}
    names = dict.fromkeys(name for record in history for name, score in record.evaluation.items() if what in score)
    return lines | {name.replace("_", " "): history.column(f"{name} {what}") for name in names}


def _panel(title: str, lines: dict[str, Iterable[float]]) -> Panel:
    known = {name: [round(float(value), 4) if math.isfinite(value) else None for value in values]
             for name, values in lines.items()}
    return {"title": title, "lines": [{"name": name, "values": values} for name, values in known.items()
                                      if any(value is not None for value in values)]}


def truth_of(history: Any, table: Any, column: str | None) -> list[float] | None:
    """Accuracy of each epoch's cell in a table, percent, NaN where none was derived; None without a table."""
    if table is None:
        return None
    return [table.accuracy(record.genotype, column) if record.genotype else np.nan for record in history]
