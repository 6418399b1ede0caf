"""When layers with backward passes of their own are taken: on the CPU, by searches and trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...search.engine import Engine
from . import run_cell

if TYPE_CHECKING:
    from ...search.loop import Search


class LayersEngine(Engine):
    """Cells whose layers have backward passes of their own. Nothing stands against it: a cell that it does not know runs
    plainly."""

    name, device = "layers", "cpu"
    network_cell = staticmethod(run_cell)

    def attach(self, search: Search) -> None:
        search.state.supernet.run_cell = run_cell
