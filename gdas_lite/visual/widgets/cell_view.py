"""A cell of any space, drawn in the browser: point at an edge, or go through them with the keyboard, to read it."""

from __future__ import annotations

from typing import Any

import traitlets

from ..cell_graph import Probabilities
from ..diagrams import cell_dot, render_svg
from .browser_widget import BrowserWidget, module
from .scenes import genotype_scenes


class CellView(BrowserWidget):
    """The graph of a genotype of any space; with probabilities, the width of the edges shows them.

    probabilities: as for `diagrams.cell_dot`. `show` puts another cell into the same place.
    Raises ValueError for anything that is not a genotype.
    Example: CellView(search.genotype, gl.diagrams.edge_probabilities(search.genotype, search.history))
    """

    _esm = module("base.js", "cell_graph.js", "cell_view.js")
    title = "A cell"
    scenes = traitlets.List().tag(sync=True)

    def __init__(self, genotype: Any, probabilities: Probabilities | None = None) -> None:
        super().__init__()
        self.show(genotype, probabilities)

    def show(self, genotype: Any, probabilities: Probabilities | None = None) -> None:
        """Draw another genotype, or the same with other probabilities."""
        scenes = genotype_scenes(genotype, probabilities)
        self.genotype, self.probabilities = genotype, probabilities
        self.scenes = scenes

    def __repr__(self) -> str:
        return f"CellView of {self.genotype}"

    def static_twin(self) -> dict[str, str]:
        """The drawing that `diagrams` makes, as SVG."""
        return {"image/svg+xml": render_svg(cell_dot(self.genotype, probabilities=self.probabilities, show_none=True))}
