"""The alpha player: scrub or play the epochs of a search, with the cell that would be derived at each moment."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import traitlets

from gdas_lite.diagrams import cell_dot, edge_probabilities, render_svg
from gdas_lite.genotype import Genotype, parse_genotype
from gdas_lite.widgets.browser_widget import BrowserWidget, module
from gdas_lite.widgets.search_cell import numbers, part, score, table_for

MAX_NUMBERS = 4_000_000         # probabilities that a page can hold without becoming slow

WITHOUT_TABLE = "(give a table, AlphaPlayer(history, table), to see its accuracy and rank)"


class AlphaPlayer(BrowserWidget):
    """The epochs of a search under a slider: the graph, softmax(alpha), and the cell of that moment.

    history: of a search (`search.history`, `History.read(run)`), at least one epoch; what it holds now is shown, later
    epochs are not. table: ground truth of the NAS-Bench-201 space (`gl.tabular(...)`, its name, or None), for accuracy and
    rank of the cell: by default the benchmark's on CIFAR-10; column: one of its accuracies, None for its default.
    `epoch` (from 0) can be read and set; `genotype` is the cell of that epoch (None if the search derives at its end).
    Raises ValueError for an empty history, or a table beside a search of another space.
    Example: gl.AlphaPlayer(search.history, gl.tabular("digits"))
    """

    _esm = module("base.js", "cell_graph.js", "search_cell.js", "alpha_player.js")
    title = "Alpha player"
    epoch = traitlets.Int(0).tag(sync=True)
    epochs = traitlets.List().tag(sync=True)
    parts = traitlets.List().tag(sync=True)
    cells = traitlets.List().tag(sync=True)
    without = traitlets.Unicode("").tag(sync=True)

    def __init__(self, history: Any, table: Any = "nasbench201", column: str | None = None) -> None:
        if len(history) == 0:
            raise ValueError("the history has no epoch yet, there is nothing to play; run the search first")
        table = table_for(table, history.labels)
        size = sum(len(history) * np.prod(labels.shape) for labels in history.labels.values())
        if size > MAX_NUMBERS:
            raise ValueError(f"{size:,} probabilities are too many to send to a browser; take every n-th epoch")
        self.history = history[:]
        self.genotypes = [parse_genotype(record.genotype) if record.genotype else None for record in history]
        texts = list(dict.fromkeys(str(cell) for cell in self.genotypes if cell is not None))
        cells = [{"text": text, "score": score(text, table, column)} for text in texts]
        places = {text: place for place, text in enumerate(texts)}
        epochs = [{"cell": -1 if cell is None else places[str(cell)], "numbers": numbers(record)}
                  for cell, record in zip(self.genotypes, history)]
        parts = [part(kind, labels, history.op_probs[kind], self.genotypes) for kind, labels in history.labels.items()]
        super().__init__(epochs=epochs, cells=cells, parts=parts, without=WITHOUT_TABLE if "cell" in history.labels else "")

    @traitlets.validate("epoch")
    def _in_the_history(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(self.history):
            raise ValueError(f"epoch must be 0 to {len(self.history) - 1}, got {proposal['value']}")
        return proposal["value"]

    @property
    def genotype(self) -> Genotype | None:
        """The cell that would be derived after the epoch shown."""
        return self.genotypes[self.epoch]

    def __repr__(self) -> str:
        return f"AlphaPlayer at epoch {self.epoch + 1} of {len(self.history)}: {self.genotype or 'no cell derived yet'}"

    def static_twin(self) -> dict[str, str]:
        """The cell of the epoch with its probabilities, as SVG; the probabilities of all edges where none is derived."""
        if self.genotype is None:
            from gdas_lite.drawing.alpha_plots import alpha_heatmap
            return {"image/png": base64.b64encode(alpha_heatmap(self.history[:self.epoch + 1]).png()).decode()}
        shares = edge_probabilities(self.genotype, self.history, self.epoch)
        return {"image/svg+xml": render_svg(cell_dot(self.genotype, probabilities=shares, show_none=True,
                                                     title=f"after epoch {self.epoch + 1} of {len(self.history)}"))}
