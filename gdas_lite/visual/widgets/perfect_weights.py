"""The perfect weights explorer: a gradient rule and its temperatures, and what it finds where no weights can be wrong.

Python runs `gl.perfect_weights.search` at each change, in less than a second; the page draws what came out.
"""

from collections import Counter
from typing import Any

import numpy as np
import traitlets

from ...benchmark import perfect_weights
from ...benchmark.table import Table, opened
from ...genotypes.labels import CellLabels
from ...genotypes.nasbench201 import NASBench201Genotype
from ...genotypes.notation import NASBENCH201_OPS
from .browser_values import score, style_entry, supernet_scene
from .browser_widget import BrowserWidget, figure, module

TOP = 10        # percentage points of regret, where the plot is cut
WITHOUT_TAU = ("darts", "reinforce")


class PerfectWeightsExplorer(BrowserWidget):
    """A rule and the temperatures of its first and last step; the regret over the steps, and the cell found most often.

    rule: one of `gl.perfect_weights.RULES`. tau: of the first and the last step, linear between, > 0. seeds: how many
    searches run side by side, 1 to 100. steps: of each. table: as of `gl.perfect_weights.search`; the regret is that of
    its default column. Set `rule`, `tau_first` or `tau_last` to search again; `found` is what came out.
    Raises ValueError for an unknown rule, a temperature that is not positive, or seeds out of range.
    Example: gl.PerfectWeightsExplorer("gdas with a baseline", tau=(1.0, 0.1))
    """

    _esm = module("base.js", "cell_graph.js", "chart.js", "perfect_weights.js")
    title = "Perfect weights explorer"
    rule = traitlets.Unicode().tag(sync=True)
    tau_first = traitlets.Float().tag(sync=True)
    tau_last = traitlets.Float().tag(sync=True)
    about = traitlets.Dict().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)

    def __init__(self, rule: str = "gdas", tau: tuple[float, float] = (10.0, 0.1), *, seeds: int = 10,
                 steps: int = 2000, table: Table | str = "nasbench201") -> None:
        if not 1 <= seeds <= 100:
            raise ValueError(f"seeds must be 1 to 100, got {seeds}")
        self.seeds, self.steps, self.every = seeds, steps, max(1, steps // 100)
        self.table = opened(table)
        edges = NASBench201Genotype.EDGES
        about = {"rules": list(perfect_weights.RULES), "without_tau": list(WITHOUT_TAU),
                 "records": [*range(0, steps, self.every), steps], "edges": [list(edge) for edge in edges],
                 "start": {"rule": rule, "tau_first": tau[0], "tau_last": tau[1]}, "top": TOP,
                 "scene": supernet_scene("cell", CellLabels(edges, NASBENCH201_OPS))}
        super().__init__(rule=rule, tau_first=tau[0], tau_last=tau[1], about=about)
        self._search()
        self.observe(self._search, ["rule", "tau_first", "tau_last"])

    def _search(self, _change: Any = None) -> None:
        if self.result.get("of") == (settings := [self.rule, self.tau_first, self.tau_last]):
            return      # of several values set at once the first call has searched
        self.found = found = perfect_weights.search(
            self.rule, seeds=range(self.seeds), steps=self.steps, table=self.table, every=self.every,
            tau=(self.tau_first, self.tau_last))
        regrets = self.table.values(self.table.default_column).max() - found.accuracy()        # (seeds, records)
        curves = dict(zip(("mean", "low", "high"), (regrets.mean(0), *np.quantile(regrets, (0.25, 0.75), axis=0))))
        self.result = {name: np.round(values, 4).tolist() for name, values in curves.items()} | {
            "of": settings, "words": self._words(), "arch": str(self._cell()[0]),
            "ops": [style_entry(op) for op in self._cell()[0].ops]}

    def _cell(self) -> tuple[NASBench201Genotype, int]:
        return Counter(self.found.genotypes).most_common(1)[0]

    def _words(self) -> str:
        cell, count = self._cell()
        which = f"The cell that {count} of {self.seeds} found" if count > 1 else "The cell of seed 0"
        return (f"{self.rule}: after {self.steps:,} steps the regret is {self.found.summary()} over {self.seeds} "
                f"seeds. {which}: {score(str(cell), self.table, None)}.")

    def __repr__(self) -> str:
        return f"PerfectWeightsExplorer, {self._words()}"

    def static_twin(self) -> dict[str, str]:
        """The accuracy over the steps under the sentence that says what was found, as PNG."""
        from ..tables import perfect_weights as drawn
        picture = drawn([self.found])
        tau = "" if self.rule in WITHOUT_TAU else f", tau {self.tau_first:g} to {self.tau_last:g}"
        picture.state(self._words().replace(":", f"{tau}:", 1))
        return figure(picture)
