"""What the browser needs to show a search cell at work: graph, probabilities, and the cell that alpha stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...benchmark.files import described
from ...benchmark.table import opened
from ...genotypes.contents import operation_edges
from ...genotypes.labels import CellLabels
from ...genotypes.nasbench201 import NASBench201Genotype
from ...genotypes.notation import BENCHMARK_OPS
from ...genotypes.parse import Genotype
from .scenes import genotype_scenes, style_entry, supernet_scene


def part(kind: str, labels: CellLabels, probabilities: np.ndarray, genotypes: list[Genotype | None]) -> dict[str, Any]:
    """Everything the browser needs of one kind of cell.

    probabilities: (epochs, edges, candidates). genotypes: of the epochs that are to be drawn.
    Of what is returned, "kept" holds by drawn epoch and edge the columns that the cell chose.
    """
    kept = [_kept(kind, labels, genotype) for genotype in genotypes]
    scenes, scene_of = _scenes(kind, labels, genotypes)
    return {"kind": kind, "edges": [list(edge) for edge in labels.edges],
            "candidates": [style_entry(op) for op in labels.candidates], "kept": kept, "scenes": scenes,
            "scene_of": scene_of, "nodes": _node_names(kind, labels), "is_nasbench201": in_table({kind: labels}),
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


def score(text: str, table: Any, column: str | None) -> str:
    """Accuracy and rank of a NAS-Bench-201 cell in a table, as a phrase; empty without a table."""
    if table is None:
        return ""
    cell = NASBench201Genotype.parse(text)
    return (f"{table.accuracy(cell, column):.2f} % in {described(column or table.default_column)}, "
            f"rank {table.rank(cell, column):,} of {len(table):,}")


def in_table(labels: Mapping[str, CellLabels]) -> bool:
    """Whether cells with these labels are NAS-Bench-201's. A space of one's own may have a kind "cell" as well."""
    return "cell" in labels and labels["cell"].edges == NASBench201Genotype.EDGES and (
        set(labels["cell"].candidates) <= set(BENCHMARK_OPS))


def table_for(table: Any, column: str | None, labels: Mapping[str, CellLabels] | None = None) -> Any:
    """Returns the table for cells with these labels (None: NAS-Bench-201's); None where a name stands beside others.

    Raises ValueError for a table beside a search of another space, KeyError for an unknown column.
    """
    is_known = labels is None or in_table(labels)
    if table is None or (not is_known and isinstance(table, str)):
        return None
    if is_known:
        table = opened(table)
        table.accuracy(table.cells[0], column)      # says what is wrong with the column, if something is
        return table
    raise ValueError(f"a table knows the cells of the NAS-Bench-201 space only, this search has "
                     f"{' and '.join(labels) or 'no'} cells; leave the table out")
