"""When layers with backward passes of their own are taken: on the CPU, by searches and trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ...runs.engine import Engine
from ...spaces.language_model import LanguageModel
from . import run_cell

if TYPE_CHECKING:
    from ...search.loop import Search


class LayersEngine(Engine):
    """Cells whose layers have backward passes of their own. A cell that it does not know runs plainly."""

    name, device = "layers", "cpu"

    def attach_network(self, network: nn.Module) -> None:
        if isinstance(network, LanguageModel):
            from .recurrent import attach_language_model
            attach_language_model(network)
        else:
            network.run_cell = run_cell

    def attach(self, search: Search) -> None:
        self.attach_network(search.state.supernet)
