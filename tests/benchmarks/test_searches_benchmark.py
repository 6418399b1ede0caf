"""The benchmark of searches on the digits: its row says what the table says of the searches' cells."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import gdas_lite as gl
from benchmarks import searches_on_the_digits as benchmark


def test_regret_is_that_of_the_stacks_cells():
    table = gl.tabular("digits")
    regret, epochs, _ = benchmark.measure("gdas", 1, "smoke")
    space = gl.NASBench201(channels=4, cells_per_stage=2)
    search = gl.StackedSearch(space, gl.load_data("digits"), gl.GDAS(), seeds=[0], recipe="smoke").run().searches[0]
    assert epochs == len(search.history) == 2
    assert regret == pytest.approx([table.accuracy(table.best()) - table.accuracy(search.genotype)])


def test_the_row_has_mean_spread_median_and_random_search_with_as_many_images():
    assert benchmark.line("gdas", np.array([1.0, 2.0, 6.0]), 30, 7.4) == \
        "| gdas | 3 | 30 | 3.0 ± 2.6 | 2.0 | 1.0 to 6.0 | 8.8 (best of 10) | 7 s |"
    table, rng = gl.tabular("digits"), np.random.default_rng(0)
    cells = rng.integers(len(table), size=(20_000, 5))
    valid, test = (np.stack([table.values(f"digits_{half}_6_seed{seed}") for seed in range(3)]) for half in ("valid", "test"))
    chosen = [np.take_along_axis(cells, scores[cells].argmax(1)[:, None], 1)[:, 0] for scores in valid]
    reached = np.mean([test[judge][chosen[chooser]] for chooser in range(3) for judge in range(3) if judge != chooser])
    row = benchmark.line("random", np.array([1.0]), 30, 7.4)
    assert float(row.split(" | ")[6].split()[0]) == pytest.approx(table.values("digits_test_6").max() - reached, abs=0.15)
    assert "(best of 5)" in row         # it has no alpha to train on the other half


def test_a_script_finds_the_checkout_that_it_stands_in():
    """Started as a file, Python looks in benchmarks/ alone, and an installed gdas_lite brings no `benchmarks`."""
    for file in Path(benchmark.__file__).parent.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        if asked := re.search(r"^from (benchmarks|tests)\b", text, re.MULTILINE):
            assert "sys.path.insert(0, " in text[:asked.start()], file.name
