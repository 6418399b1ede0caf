"""The alpha player: scrub or play the epochs of a search, with the cell that would be derived at each moment."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import traitlets

from gdas_lite.diagrams import cell_dot, edge_probabilities, render_svg
from gdas_lite.drawing.cell_graph import operation_edges
from gdas_lite.genotype import Genotype, NASBench201Genotype, parse_genotype
from gdas_lite.labels import CellLabels
from gdas_lite.widgets.browser_widget import BrowserWidget, module
from gdas_lite.widgets.scenes import genotype_scenes, style_entry, supernet_scene

MAX_NUMBERS = 4_000_000         # probabilities that a page can hold without becoming slow


class AlphaPlayer(BrowserWidget):
    """The epochs of a search under a slider: the graph, softmax(alpha), and the cell of that moment.

    history: of a search (`search.history`, `History.read(run)`), at least one epoch; what it holds now is shown, later
    epochs are not. table: ground truth of the NAS-Bench-201 space (`gl.tabular(...)`), for accuracy and rank of the cell;
    column: one of its accuracies, None for its default.
    `epoch` (from 0) can be read and set; `genotype` is the cell of that epoch (None if the search derives at its end).
    Raises ValueError for an empty history, or a table beside a search of another space.
    Example: gl.AlphaPlayer(search.history, gl.tabular("digits"))
    """

    _esm = module("base.js", "cell_graph.js", "alpha_player.js")
    title = "Alpha player"
    epoch = traitlets.Int(0).tag(sync=True)
    epochs = traitlets.List().tag(sync=True)
    parts = traitlets.List().tag(sync=True)
    cells = traitlets.List().tag(sync=True)
    without = traitlets.Unicode("").tag(sync=True)

    def __init__(self, history: Any, table: Any = None, column: str | None = None) -> None:
        if len(history) == 0:
            raise ValueError("the history has no epoch yet, there is nothing to play; run the search first")
        if table is not None and "cell" not in history.labels:
            raise ValueError(f"a table knows the cells of the NAS-Bench-201 space only, this history has "
                             f"{' and '.join(history.labels)} cells; leave the table out")
        size = sum(len(history) * np.prod(labels.shape) for labels in history.labels.values())
        if size > MAX_NUMBERS:
            raise ValueError(f"{size:,} probabilities are too many to send to a browser; take every n-th epoch")
        self.history = history[:]
        self.genotypes = [parse_genotype(record.genotype) if record.genotype else None for record in history]
        texts = list(dict.fromkeys(str(cell) for cell in self.genotypes if cell is not None))
        cells = [{"text": text, "score": _score(text, table, column)} for text in texts]
        places = {text: place for place, text in enumerate(texts)}
        epochs = [{"cell": -1 if cell is None else places[str(cell)], "numbers": _numbers(record)}
                  for cell, record in zip(self.genotypes, history)]
        parts = [_part(kind, labels, history.op_probs[kind], self.genotypes) for kind, labels in history.labels.items()]
        super().__init__(epochs=epochs, cells=cells, parts=parts, without=_without("cell" in history.labels))

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


def _part(kind: str, labels: CellLabels, probabilities: np.ndarray, genotypes: list[Genotype | None]) -> dict[str, Any]:
    """Everything the browser needs of one kind of cell. kept: by epoch and edge, the columns that the cell chose."""
    kept = [_kept(kind, labels, genotype) for genotype in genotypes]
    scenes, scene_of = _scenes(kind, labels, genotypes)
    return {"kind": kind, "edges": [list(edge) for edge in labels.edges],
            "candidates": [style_entry(op) for op in labels.candidates], "kept": kept, "scenes": scenes,
            "scene_of": scene_of, "nodes": _node_names(kind, labels), "is_nasbench201": kind == "cell",
            "probabilities": np.ascontiguousarray(probabilities, dtype="<f4").tobytes()}


def _node_names(kind: str, labels: CellLabels) -> list[str]:
    """As the drawing names them: in the NASNet space the rows of alpha count the two inputs as nodes 0 and 1."""
    count = max(dst for _, dst in labels.edges) + 1
    if kind in ("normal", "reduce"):
        return ["cₖ₋₂", "cₖ₋₁", *map(str, range(count - 2))]
    return [str(node) for node in range(count)]


def _kept(kind: str, labels: CellLabels, genotype: Genotype | None) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in labels.edges]
    edges = () if genotype is None else operation_edges(genotype).get(kind, ())
    for src, dst, op in edges:
        columns = rows[labels.edges.index((src, dst))]
        if labels.candidates.index(op) not in columns:
            columns.append(labels.candidates.index(op))
    return rows


def _scenes(kind: str, labels: CellLabels, genotypes: list[Genotype | None]) -> tuple[list[dict[str, Any]], list[int]]:
    """Laid-out graphs with the row of alpha of each chip, and which one stands at each epoch (-1: none).

    A recurrent search cell has 36 edges, too many to draw, so there it is the derived cell that is laid out.
    """
    if kind != "recurrent":
        return [{"scene": supernet_scene(kind, labels), "rows": list(range(len(labels.edges)))}], [0] * len(genotypes)
    cells = list(dict.fromkeys(cell for cell in genotypes if cell is not None))
    scenes = []
    for cell in cells:
        edges = operation_edges(cell)[kind]
        scenes.append({"scene": genotype_scenes(cell, {kind: [0.0] * len(edges)})[0],
                       "rows": [labels.edges.index((src, dst)) for src, dst, _ in edges]})
    return scenes, [-1 if cell is None else cells.index(cell) for cell in genotypes]


def _score(text: str, table: Any, column: str | None) -> str:
    if table is None:
        return ""
    cell = NASBench201Genotype.parse(text)
    return (f"{table.accuracy(cell, column):.2f} % in {column or table.default_column}, "
            f"rank {table.rank(cell, column):,} of {len(table):,}")


def _without(is_nasbench201: bool) -> str:
    return "(give a table, AlphaPlayer(history, table), to see its accuracy and rank)" if is_nasbench201 else ""


def _numbers(record: Any) -> str:
    parts = [] if record.tau is None else [f"tau {record.tau:.2f}"]
    parts += [f"{half} loss {loss:.3f}" for half, loss in (("train", record.train_loss), ("valid", record.valid_loss))
              if loss is not None and np.isfinite(loss)]
    return ", ".join(parts)
