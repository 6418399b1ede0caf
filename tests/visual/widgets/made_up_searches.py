"""Histories and tables for the widgets' tests, from a seed: no search runs for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdas_lite.benchmark.files import NUM_CELLS, positions
from gdas_lite.benchmark.table import Table
from gdas_lite.search.history import EpochRecord, History


def made_up_history(space: Any, epochs: int = 12, seed: int = 0, derives: bool = True) -> History:
    """Alphas that wander at random, and the cell that the space's own rule derives from them."""
    rng = np.random.default_rng(seed)
    alphas = {kind: np.zeros(labels.shape, np.float32) for kind, labels in space.labels.items()}
    history = History(space.labels)
    for epoch in range(epochs):
        alphas = {kind: (alpha + rng.normal(0, 0.15, alpha.shape)).astype(np.float32) for kind, alpha in alphas.items()}
        history.append(EpochRecord(epoch, 10 - 9.9 * epoch / (epochs - 1), 0.025, 2.3 - 0.05 * epoch, 20.0 + epoch,
                                   2.2 - 0.04 * epoch, 20.0 + epoch, 1.0, alphas, str(space.derive(alphas)) if derives else None))
    return history


def made_up_table(seed: int = 0) -> Table:
    """15,625 accuracies with many ties, rows in another order than NASBench201Genotype.all()."""
    rng = np.random.default_rng(seed)
    cells = np.array(list(positions()))[rng.permutation(NUM_CELLS)]
    return Table("made up", tuple(cells.tolist()), {"toy_valid_1": rng.uniform(10, 90, NUM_CELLS),
                                                    "toy_test_1": np.round(rng.uniform(10, 95, NUM_CELLS), 1)}, "toy_test_1")


class FakeRun:
    """A run whose epochs come from a made-up history, two steps each; `on_step` and `interrupt_when` as in a real one."""

    noun = "search"

    def __init__(self, space, epochs=3, **options):
        self.whole = made_up_history(space, epochs, **options)
        self.history, self.total_epochs, self.epochs_done = self.whole[:0], epochs, 0
        self.on_step = self.interrupt_when = None
        self.step, self.closed = 0, 0

    @property
    def is_finished(self):
        return self.epochs_done == self.total_epochs

    def run_epoch(self):
        while self.step < 2:
            self.step += 1
            if self.on_step:
                self.on_step(self.epochs_done, self.step, 2)
            if self.interrupt_when and self.interrupt_when():
                raise KeyboardInterrupt
        self.step = 0
        self.history.append(self.whole[self.epochs_done])
        self.epochs_done += 1

    def close(self):
        self.closed += 1
