"""The cell builder: choose the operation on each edge of a NAS-Bench-201 cell and see what that cell is."""

from typing import Any

import numpy as np
import traitlets

from ... import spaces
from ...benchmark.equal_cost import NO_CELL
from ...benchmark.files import described, positions
from ...genotypes.labels import CellLabels
from ...genotypes.nasbench201 import NASBench201Genotype
from ...genotypes.notation import BENCHMARK_OPS
from ...genotypes.zoo import zoo_genotype
from ...runs.cost import cost_of
from .browser_values import score, style_entry, supernet_scene, table_for
from .browser_widget import BrowserWidget, drawing, module

EDGES = NASBench201Genotype.EDGES
START = NASBench201Genotype(("nor_conv_3x3", "skip_connect", "nor_conv_3x3", "skip_connect", "avg_pool_3x3",
                             "nor_conv_1x1"))


class CellBuilder(BrowserWidget):
    """Six operations under the reader's hands: drawn cell, string, parameters, multiply-adds, accuracy and rank.

    table: ground truth (`gl.tabular(...)`, its name, or None), by default the benchmark's on CIFAR-10; column: one of
    its accuracies, None for its default. All 15,625 accuracies (to 0.01 percentage points) and ranks (exact) come with
    the widget, some 60 KB, so it needs no kernel. An operation is live if it lies on a path from input to output; the
    rest cost something and change nothing, so the cost is shown without them as well.
    cell: where to begin, a genotype or its string. channels, cells_per_stage, classes, image_channels, image_size: the
    network whose cost is shown; the published one by default.
    `genotype` is the cell shown; set `ops` (six names) or `genotype` to show another.
    Raises ValueError for text that is no cell, KeyError for an unknown column.
    Example: gl.CellBuilder(gl.tabular("digits"), channels=4, cells_per_stage=1, image_channels=1, image_size=8)
    """

    _esm = module("base.js", "cell_graph.js", "cell_builder.js")
    title = "Cell builder"
    ops = traitlets.List(traitlets.Unicode()).tag(sync=True)
    styles = traitlets.List().tag(sync=True)
    edges = traitlets.List().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)
    cost = traitlets.Dict().tag(sync=True)
    about = traitlets.Dict().tag(sync=True)
    ranks = traitlets.Bytes(b"").tag(sync=True)
    accuracies = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, table: Any = "nasbench201", column: str | None = None, cell: NASBench201Genotype | str = START,
                 *, channels: int = 16, cells_per_stage: int = 5, classes: int = 10, image_channels: int = 3,
                 image_size: int = 32) -> None:
        cell = NASBench201Genotype.parse(cell) if isinstance(cell, str) else cell
        network = {"channels": channels, "cells_per_stage": cells_per_stage, "classes": classes,
                   "image_channels": image_channels}
        self.table = table = table_for(table, column)
        self.column = column = "" if table is None else column or table.default_column
        named = {"no cell": NASBench201Genotype.parse(NO_CELL), "ResNet cell": zoo_genotype("resnet", "nasbench201")}
        about = {"column": described(column), "named": {name: list(known.ops) for name, known in named.items()},
                 "network": f"Network with C = {channels} and N = {cells_per_stage} cells a stage; "
                            f"images {image_channels} × {image_size} × {image_size}"}
        known = {} if table is None else _ground_truth(table, column)
        super().__init__(ops=list(cell.ops), styles=[style_entry(op) for op in BENCHMARK_OPS], about=about,
                         edges=[list(edge) for edge in EDGES], cost=_costs(network, image_size),
                         scene=supernet_scene("cell", CellLabels(EDGES, BENCHMARK_OPS)), **known)

    @traitlets.validate("ops")
    def _six_names(self, proposal: Any) -> list[str]:
        return list(NASBench201Genotype(proposal["value"]).ops)

    @property
    def genotype(self) -> NASBench201Genotype:
        """The cell shown."""
        return NASBench201Genotype(tuple(self.ops))

    @genotype.setter
    def genotype(self, cell: NASBench201Genotype) -> None:
        self.ops = list(cell.ops)

    def __repr__(self) -> str:
        return f"CellBuilder at {self.genotype}"

    def static_twin(self) -> dict[str, str]:
        """The drawn cell with its accuracy and rank, as SVG."""
        return drawing(self.genotype, score(str(self.genotype), self.table, self.column))


def _ground_truth(table: Any, column: str) -> dict[str, bytes]:
    """Returns accuracies in hundredths of a percent and ranks, 16 bits a cell, ordered as NASBench201Genotype.all()."""
    values = table.values(column)
    ranks = 1 + len(values) - np.searchsorted(np.sort(values), values, side="right")
    order = np.argsort([positions()[cell] for cell in table.cells])
    hundredths = [round(100 * float(f"{value:.2f}")) for value in values[order]]       # as all else prints them
    return {"accuracies": np.array(hundredths, "<u2").tobytes(), "ranks": ranks[order].astype("<u2").tobytes()}


def _costs(network: dict[str, int], image_size: int) -> dict[str, dict[str, Any]]:
    """Returns parameters and multiply-adds of the network without operations, and what each operation on one edge adds.

    Every operation runs, also on a node that nothing reaches, so costs add up over the edges.
    """
    shape = (network["image_channels"], image_size, image_size)
    whole = {op: cost_of(spaces.network(NASBench201Genotype((op, *["none"] * 5)), **network), shape)
             for op in BENCHMARK_OPS}
    return {what: {"base": getattr(whole["none"], what),
                   "edge": [getattr(cost, what) - getattr(whole["none"], what) for cost in whole.values()]}
            for what in ("parameters", "multiply_adds")}
