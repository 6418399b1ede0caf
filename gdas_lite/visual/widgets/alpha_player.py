"""The alpha player: scrub or play the epochs of a search, with the cell that would be derived at each moment."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets

from ...genotypes.parse import Genotype
from ...runs.schema import check_has
from ..diagrams import composed
from .browser_values import in_table, part, score, table_for, truth_panel
from .browser_widget import BrowserWidget, drawing, figure, module
from .live import genotype_of, numbers_of

MAX_NUMBERS = 4_000_000         # probabilities that a page can hold without becoming slow

WITHOUT_TABLE = "(give a table, AlphaPlayer(history, table), to see its accuracy and rank)"


class AlphaPlayer(BrowserWidget):
    """The epochs of a search under a slider: the graph, softmax(alpha), the cell of that moment and how good it is.

    history: of a search (`search.history`, `gl.recorded(name)`), at least one epoch; what it holds now is shown, later
    epochs are not. Several searches by name, {"GDAS": history, "DARTS": history}, stand side by side under one slider;
    a shorter one stays at its last epoch. table: ground truth of the NAS-Bench-201 space (`gl.tabular(...)`, its name,
    or None), for accuracy and rank of the cell, by default the benchmark's on CIFAR-10; column: one of its accuracies,
    None for its default. `epoch` (from 0; at first the last one) can be read and set; `genotype` is the cell of that
    epoch (None if the search derives at its end), of several searches by name.
    Raises ValueError for no history, an empty one, other kinds of cells or a table of another space.
    Example: gl.AlphaPlayer(search.history, gl.tabular("digits"))
    """

    _esm = module("base.js", "cell_graph.js", "chart.js", "search_cell.js", "alpha_player.js")
    title = "Alpha player"
    epoch = traitlets.Int(0).tag(sync=True)
    runs = traitlets.List().tag(sync=True)
    truth = traitlets.Dict().tag(sync=True)
    without = traitlets.Unicode("").tag(sync=True)

    def __init__(self, history: Any, table: Any = "nasbench201", column: str | None = None) -> None:
        self.is_one = not isinstance(history, Mapping)
        histories = {"": history} if self.is_one else dict(history)
        for each in histories.values():
            check_has(each, "labels", "history", "a search's (search.history, gl.recorded(name)), or several by name")
        if not histories or not all(len(each) for each in histories.values()):
            raise ValueError("the history has no epoch yet, there is nothing to play; run the search first")
        self.histories = {str(name): each[:] for name, each in histories.items()}
        self._longest = max(self.histories.values(), key=len)
        kinds = {tuple(each.labels) for each in histories.values()}
        epochs = [[record.epoch for record in each] for each in histories.values()]
        if len(kinds) > 1 or any(each != max(epochs, key=len)[:len(each)] for each in epochs):
            raise ValueError(f"searches side by side need the same kinds of cells, got {sorted(kinds)}, and the same "
                             "epochs: of each all, or every n-th")
        labels = min((each.labels for each in histories.values()), key=in_table)      # one unknown: nothing to look up
        table = table_for(table, column, labels)
        size = sum(len(each) * np.prod(labels.shape) for each in histories.values() for labels in each.labels.values())
        if size > MAX_NUMBERS:
            raise ValueError(f"{size:,} probabilities are too many to send to a browser; take every n-th epoch")
        self._cells = {name: [genotype_of(record) for record in each] for name, each in self.histories.items()}
        runs = [self._run(name, table, column) for name in self.histories]
        truth = truth_panel({name or "accuracy": each for name, each in self.histories.items()}, table, column)
        super().__init__(runs=runs, truth=truth or {}, epoch=len(self._longest) - 1,
                         without=WITHOUT_TABLE if in_table(labels) else "")

    def _run(self, name: str, table: Any, column: str | None) -> dict[str, Any]:
        history, cells = self.histories[name], self._cells[name]
        texts = list(dict.fromkeys(str(cell) for cell in cells if cell is not None))
        epochs = [{"cell": -1 if cell is None else texts.index(str(cell)), "done": record.epoch + 1,
                   "numbers": numbers_of(record)} for cell, record in zip(cells, history)]
        parts = [part(kind, labels, history.op_probs[kind], cells) for kind, labels in history.labels.items()]
        done, asked = epochs[-1]["done"], history.total_epochs
        name += "" if done == asked else f", {done} of {asked} epochs so far"
        return {"name": name, "epochs": epochs, "parts": parts,
                "cells": [{"text": text, "score": score(text, table, column)} for text in texts]}

    @traitlets.validate("epoch")
    def _in_the_history(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(self._longest):
            raise ValueError(f"epoch must be 0 to {len(self._longest) - 1}, got {proposal['value']}")
        return proposal["value"]

    @property
    def genotype(self) -> Genotype | dict[str, Genotype | None] | None:
        """The cell that would be derived after the epoch shown; of several searches by name."""
        cells = {name: each[min(self.epoch, len(each) - 1)] for name, each in self._cells.items()}
        return cells[""] if self.is_one else cells

    def __repr__(self) -> str:
        cells = {"": self.genotype} if self.is_one else self.genotype
        shown = ", ".join(f"{name} {cell or 'no cell derived yet'}".strip() for name, cell in cells.items())
        return f"AlphaPlayer at epoch {self._longest[self.epoch].epoch + 1} of {self._longest.total_epochs}: {shown}"

    def static_twin(self) -> dict[str, str]:
        """The cell of the epoch with its probabilities, accuracy and rank, as SVG; all edges where none is derived."""
        svgs = []
        for run, (name, history) in zip(self.runs, self.histories.items()):
            at = min(self.epoch, len(history) - 1)
            if (cell := self._cells[name][at]) is None:
                continue
            title = f"{name}, after".removeprefix(", ") + f" epoch {history[at].epoch + 1} of {history.total_epochs}"
            twin = drawing(cell, title, run["cells"][run["epochs"][at]["cell"]]["score"], history=history[:at + 1])
            svgs.append(twin["image/svg+xml"])
        if not svgs:
            from ..alpha import alpha_heatmap
            return figure(alpha_heatmap(history[:at + 1]))
        return twin if self.is_one else {"image/svg+xml": composed(svgs, len(svgs), repr(self))}
