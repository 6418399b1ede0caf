"""Tables that come with the package: made from raw results, opened with their checksum, without torch."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gdas_lite as gl
from benchmarks.digits_table.table import network_costs, table_of, write_packaged
from gdas_lite.benchmark import files as tables
from gdas_lite.genotypes.functions import computed_function
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.runs.cost import cost_of
from tests.benchmark.made_up_tables import EPOCHS, SEEDS, made_up_results

tabular = importlib.import_module("gdas_lite.benchmark.table")      # the name in gdas_lite is the function
SIZE = {"channels": 4, "cells_per_stage": 1, "classes": 10, "image_channels": 1}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def costs():
    return network_costs(**SIZE, image_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, costs) -> Path:
    """A folder with a packaged table of made-up results."""
    place = tmp_path_factory.mktemp("tables")
    cells, columns = table_of(made_up_results(), SEEDS, "digits", costs)
    write_packaged(place, "digits", cells, columns, {"protocol": {"epochs": EPOCHS} | SIZE})
    return place


@pytest.fixture
def in_package(folder, tmp_path, monkeypatch) -> Path:
    """`tabular("digits")` opens a copy of that folder's table."""
    for file in (*folder.iterdir(), *tables.FOLDER.glob("nasbench201.*")):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(tabular, "packaged", lambda name: tables.packaged(name, tmp_path))
    tabular._packaged_table.cache_clear()
    yield tmp_path
    tabular._packaged_table.cache_clear()


# --- making ----------------------------------------------------------------------------------------------------------

def test_every_cell_has_the_numbers_of_its_function_and_the_cost_of_its_own_network(in_package):
    table, results = tabular.tabular("digits"), made_up_results()
    of = {computed_function(NASBench201Genotype.parse(cell).edges): k for k, cell in enumerate(results["cells"].tolist())}
    rng = np.random.default_rng(0)
    for cell in [NASBench201Genotype.random(rng) for _ in range(25)]:
        k, row = of[computed_function(cell.edges)], table.query(cell)
        valid, test, loss = (results[name][k].tolist() for name in ("valid", "test", "train_loss"))
        for place, seed in enumerate(SEEDS):
            assert row[f"digits_valid_{EPOCHS}_seed{seed}"] == round(valid[place][-1], 2)
            assert row[f"digits_test_{EPOCHS}_seed{seed}"] == round(test[place], 2)
        assert row[f"digits_test_{EPOCHS}"] == pytest.approx(sum(test) / 3, abs=0.0051)
        for epoch in range(1, EPOCHS + 1):
            assert row[f"digits_valid_{epoch}"] == pytest.approx(sum(of[epoch - 1] for of in valid) / 3, abs=0.0051)
            assert row[f"digits_loss_{epoch}"] == pytest.approx(sum(of[epoch - 1] for of in loss) / 3, abs=0.00051)
        assert row[f"digits_train_seconds_{EPOCHS}"] == round(sorted(results["seconds"][k].tolist())[1], 3)
        cost = cost_of(gl.network(cell, **SIZE), (1, 8, 8))
        assert (row["params"], row["multiply_adds"]) == (cost.parameters, cost.multiply_adds)


def test_cells_of_one_function_stand_together_and_share_their_accuracies(in_package):
    table = tabular.tabular("digits")
    functions = [computed_function(NASBench201Genotype.parse(cell).edges) for cell in table.cells]
    starts = [place for place in range(len(functions)) if place == 0 or functions[place] != functions[place - 1]]
    assert len(starts) == len(set(functions)) == 4930
    for column in table.accuracy_columns:
        values = table.values(column)
        np.testing.assert_array_equal(np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts))


def test_the_same_results_in_another_order_give_the_same_bytes(folder, tmp_path, costs):
    results = made_up_results()
    order = np.random.default_rng(1).permutation(len(results["cells"]))
    shuffled = {name: values[order] for name, values in results.items()}
    cells, columns = table_of(shuffled, SEEDS, "digits", costs)
    write_packaged(tmp_path, "digits", cells, columns, {"protocol": {"epochs": EPOCHS} | SIZE})
    for file in ("digits.csv.gz", "digits.json"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def test_the_file_is_small(folder):
    assert (folder / "digits.csv.gz").stat().st_size < 600_000


@pytest.mark.parametrize("changed, message", [
    ({"train_loss": np.zeros((3, 3))}, r"4,930 cells and 3 seeds, but train_loss has the shape \(3, 3\)"),
    ({"seconds": np.zeros(4929)}, r"4,930 cells and 3 seeds, but seconds has the shape \(4929,\)"),
    ({"test": np.zeros((4930, 3, 4))}, r"but test has the shape \(4930, 3, 4\)"),
    ({"train_loss": np.full((4930, 3, 4), np.nan)}, "train_loss has values that are not finite"),
    ({"test": np.full((4930, 3), 101.0)}, "test must hold percentages"),
])
def test_bad_results_get_one_sentence(costs, changed, message):
    with pytest.raises(ValueError, match=f"^results: .*{message}|^results: {message}") as caught:
        table_of(made_up_results() | changed, SEEDS, "digits", costs)
    assert "\n" not in str(caught.value)


def test_results_without_an_array_are_refused(costs):
    with pytest.raises(ValueError, match="results: expected the arrays cells, train_loss, .*; train_loss, valid, test, sec"):
        table_of({"cells": np.array(["x"])}, SEEDS, "digits", costs)


def test_missing_and_double_functions_are_refused(costs):
    results = made_up_results()
    short = {name: values[1:] for name, values in results.items()}
    with pytest.raises(ValueError, match="expected a cell for each of 4,930 functions, got 4,929"):
        table_of(short, SEEDS, "digits", costs)
    double = results | {"cells": np.array([results["cells"][1], *results["cells"][1:]])}
    with pytest.raises(ValueError, match="1 cells compute the same function as another one"):
        table_of(double, SEEDS, "digits", costs)


# --- opening ---------------------------------------------------------------------------------------------------------

def test_the_last_epoch_is_meant_and_the_protocol_is_told(in_package):
    table = tabular.tabular("digits")
    assert (table.default_column, table.search_column) == (f"digits_test_{EPOCHS}", f"digits_valid_{EPOCHS}")
    assert table.about["protocol"]["channels"] == 4
    assert table.over_epochs("digits_valid") == {epoch: f"digits_valid_{epoch}" for epoch in range(1, EPOCHS + 1)}
    assert tabular.tabular("digits") is table      # read once


def test_the_seeds_of_a_cell(in_package):
    table = tabular.tabular("digits")
    cell = table.query(table.best())
    seeds = [cell[f"digits_test_{EPOCHS}_seed{seed}"] for seed in SEEDS]
    assert np.mean(seeds) == pytest.approx(table.accuracy(table.best()), abs=0.01)
    with pytest.raises(KeyError, match="no columns digits_vald_<epoch>, did you mean digits_valid"):
        table.over_epochs("digits_vald")


@pytest.mark.parametrize("damage, error, message", [
    (lambda file: file.write_bytes(file.read_bytes()[:-1]), ValueError, "digits.csv.gz: the checksum is not the expected"),
    (lambda file: file.unlink(), FileNotFoundError, "Table digits: digits.csv.gz is missing in .* install gdas_lite again"),
    (lambda file: file.with_name("digits.json").unlink(), FileNotFoundError, "Table digits: digits.json is missing in"),
    (lambda file: file.with_name("digits.json").write_text("{"), ValueError, "digits.json is damaged; .* install"),
    (lambda file: file.with_name("digits.json").write_text("{}"), ValueError,
     "digits.json is damaged: the field sha256 is missing"),
])
def test_a_missing_or_damaged_table_gets_one_sentence(in_package, damage, error, message):
    damage(in_package / "digits.csv.gz")
    with pytest.raises(error, match=message) as caught:
        tabular.tabular("digits")
    assert "\n" not in str(caught.value)


def test_another_file_is_opened_by_its_path(in_package):
    table = tabular.tabular("digits", in_package / "digits.csv.gz")
    assert table.default_column == f"digits_test_{EPOCHS}" and table.about == {}
    with pytest.raises(FileNotFoundError, match="Table digits: there is no file .*none.csv"):
        tabular.tabular("digits", in_package / "none.csv")


def test_a_packaged_table_opens_without_torch(in_package):
    code = ("import sys, pathlib; sys.modules['torch'] = None\n"
            "import gdas_lite as gl\n"
            "from gdas_lite import baselines, landscape\n"
            "from gdas_lite.benchmark import files as tables\n"
            f"sys.modules['gdas_lite.benchmark.table'].packaged = "
            f"lambda name: tables.packaged(name, pathlib.Path({str(in_package)!r}))\n"
            "table = gl.tabular('digits')\n"
            "landscape.climb(table)\n"
            "print(table.rank(table.best()), baselines.reinforce(table, 20, runs=2).rows.shape)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "1 (2, 20)\n"


def test_info_tells_the_rank_on_cifar10_first_then_on_the_digits(in_package, monkeypatch):
    from gdas_lite.reproduction.cli.show import ground_truth
    monkeypatch.delenv("GDAS_LITE_DATA", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    table = tabular.tabular("digits")
    cell = table.top(40)[-1]
    best = table.values(table.default_column).max()
    lines = ground_truth(cell)
    assert lines[0] == "ground truth   NAS-Bench-201, accuracy when trained on its own"
    assert lines[1].startswith("  c10_test_200 ")
    assert lines[-3:-1] == [
        "ground truth   the embedded digits, small networks, mean of the seeds",
        f"  digits_test_4  {table.accuracy(cell):6.2f}%   rank {table.rank(cell):,} of 15,625 (best {best:.2f}%)"]


def test_what_comes_with_the_package_is_whole():
    """Its checksum, its cells, its protocol."""
    file, about = tables.packaged("digits")
    tabular._packaged_table.cache_clear()
    table = tabular.tabular("digits")
    assert file.stat().st_size < 800_000
    assert json.loads((file.parent / "digits.json").read_text()) == table.about == about
    assert table.values(table.default_column).max() > table.accuracy("|skip_connect~0|+|skip_connect~0|skip_connect~1|+"
                                                                     "|skip_connect~0|skip_connect~1|skip_connect~2|")
