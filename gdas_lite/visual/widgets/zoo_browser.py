"""The zoo browser: the published cells of all spaces in a list, with drawing, text, sources, size and results."""

from typing import Any

import traitlets

from ...genotypes.parse import Genotype
from ...genotypes.zoo import NETWORKS, ZOO_SPACES, PublishedResult, ZooEntry, costs, results_of, zoo, zoo_entry
from .browser_values import genotype_scenes, score, table_for
from .browser_widget import BrowserWidget, drawing, module

METRICS = {"params_M": "parameters", "mult_adds_M": "multiply-adds", "search_gpu_days": "search time",
           "search_seconds": "search time"}
FOUND = "_found_on_cifar10_"        # in the names of cells that a published method ended with


class ZooBrowser(BrowserWidget):
    """A list of the zoo's cells to go through; beside it everything that is known of the one chosen.

    name: where to begin, as in `zoo_entry` ("GDAS_V1", "DARTS", "GDAS@recurrent"). table: ground truth of the
    NAS-Bench-201 space (`gl.tabular(...)`, its name, or None), for accuracy and rank of its cells: by default the
    benchmark's on CIFAR-10; column: one of its accuracies, None for its default.
    `name` can be read and set; `entry` and `genotype` are the ones chosen.
    Raises KeyError with the nearest names for an unknown name or column.
    Example: gl.ZooBrowser("GDAS_F1")
    """

    _esm = module("base.js", "cell_graph.js", "zoo_browser.js")
    title = "Published cells"
    name = traitlets.Unicode().tag(sync=True)
    cells = traitlets.List().tag(sync=True)
    spaces = traitlets.List(list(ZOO_SPACES)).tag(sync=True)

    def __init__(self, name: str = "GDAS_V1", table: Any = "nasbench201", column: str | None = None) -> None:
        table = table_for(table, column)
        self.entries = zoo()
        cells = [{"name": name, **_about(entry), "score": score(str(entry.genotype), table, column)
                  if entry.space == "nasbench201" else ""} for name, entry in self.entries.items()]
        super().__init__(name=name, cells=cells)

    @traitlets.validate("name")
    def _known(self, proposal: Any) -> str:
        wanted = zoo_entry(proposal["value"])
        return next(name for name, entry in self.entries.items() if entry is wanted)

    @property
    def entry(self) -> ZooEntry:
        """What the zoo holds of the cell chosen."""
        return self.entries[self.name]

    @property
    def genotype(self) -> Genotype:
        """The cell chosen."""
        return self.entry.genotype

    def __repr__(self) -> str:
        return f"ZooBrowser at {self.name} of {len(self.entries)} published cells"

    def static_twin(self) -> dict[str, str]:
        """The cell chosen, with its accuracy and rank where a table knows it, as SVG."""
        known = {cell["name"]: cell["score"] for cell in self.cells}
        return drawing(self.genotype, self.name, known[self.name])


def _about(entry: ZooEntry) -> dict[str, Any]:
    parameters, multiply_adds = costs()[f"{entry.name}@{entry.space}"]
    own, method = results_of(entry.name, entry.space), entry.name.partition(FOUND)[0]
    results = own or results_of(method, entry.space)
    return {"space": entry.space, "text": str(entry.genotype), "scenes": genotype_scenes(entry.genotype),
            "note": entry.note, "paper": entry.paper, "source": list(entry.source), "aliases": list(entry.aliases),
            "size": NETWORKS[entry.space], "parameters": parameters, "multiply_adds": multiply_adds,
            "is_of_method": not own and bool(results), "results": [_row(result) for result in results]}


def _row(result: PublishedResult) -> dict[str, str]:
    metric = METRICS.get(result.metric, result.metric.replace("_", " "))
    return {"data": result.data, "metric": metric, "value": f"{result.number} {result.unit}".strip(),
            "setting": result.setting, "source": result.source}
