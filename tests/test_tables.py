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

from gdas_lite import tables
from gdas_lite.cost import cost_of
from gdas_lite.genotype import NASBench201Genotype
from gdas_lite.tables.making import network_costs, read_results, table_of, write_packaged
from tests.made_up_tables import EPOCHS, SEEDS, made_up_results, write_results

tabular = importlib.import_module("gdas_lite.tabular")      # the name in gdas_lite is the function
SIZE = {"channels": 4, "cells_per_stage": 1, "classes": 10, "image_channels": 1}
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def costs():
    return network_costs(**SIZE, image_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, costs) -> Path:
    """A folder with a packaged table of made-up results."""
    place = tmp_path_factory.mktemp("tables")
    cells, columns = table_of(made_up_results(), "digits", costs)
    write_packaged(place, "digits", cells, columns, {"protocol": {"epochs": EPOCHS} | SIZE})
    return place


@pytest.fixture
def in_package(folder, tmp_path, monkeypatch) -> Path:
    """`tabular("digits")` opens a copy of that folder's table."""
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(tabular, "packaged", lambda name: tables.packaged(name, tmp_path))
    tabular._packaged_table.cache_clear()
    yield tmp_path
    tabular._packaged_table.cache_clear()


# --- making ----------------------------------------------------------------------------------------------------------

def test_every_cell_has_the_numbers_of_its_class_and_the_cost_of_its_own_network(in_package):
    table, results = tabular.tabular("digits"), made_up_results()
    of = {NASBench201Genotype.parse(cell).canonical_function(): k for k, cell in enumerate(results["cells"].tolist())}
    rng = np.random.default_rng(0)
    for cell in [NASBench201Genotype.random(rng) for _ in range(25)]:
        k, row = of[cell.canonical_function()], table.query(cell)
        for half in ("valid", "test"):
            accuracy = results[f"{half}_accuracy"][k].tolist()
            for seed, curve in zip(SEEDS, accuracy):
                assert row[f"digits_{half}_{EPOCHS}_seed{seed}"] == round(curve[-1], 2)
            assert row[f"digits_{half}_{EPOCHS}"] == pytest.approx(sum(curve[-1] for curve in accuracy) / 3, abs=0.0051)
        for epoch in range(1, EPOCHS + 1):
            valid = sum(curve[epoch - 1] for curve in results["valid_accuracy"][k].tolist()) / 3
            loss = sum(float(curve[epoch - 1]) for curve in results["train_loss"][k]) / 3
            assert row[f"digits_valid_{epoch}"] == pytest.approx(valid, abs=0.0051)
            assert row[f"digits_loss_{epoch}"] == pytest.approx(loss, abs=0.00051)
        assert row[f"digits_train_seconds_{EPOCHS}"] == pytest.approx(results["seconds"][k], abs=0.0051)
        cost = cost_of(cell.network(**SIZE), (1, 8, 8))
        assert (row["params"], row["multiply_adds"]) == (cost.parameters, cost.multiply_adds)


def test_isomorphic_cells_stand_together_and_share_their_accuracies(in_package):
    table = tabular.tabular("digits")
    functions = [NASBench201Genotype.parse(cell).canonical_function() for cell in table.cells]
    starts = [place for place in range(len(functions)) if place == 0 or functions[place] != functions[place - 1]]
    assert len(starts) == len(set(functions)) == 6466
    assert np.add.reduceat(np.ones(len(functions)), starts).sum() == 15_625
    for column in table.accuracy_columns:
        values = table.values(column)
        np.testing.assert_array_equal(np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts))


def test_the_same_results_in_another_order_give_the_same_bytes(folder, tmp_path, costs):
    results = made_up_results()
    order = np.random.default_rng(1).permutation(len(results["cells"]))
    shuffled = {name: values if name == "seeds" else values[order] for name, values in results.items()}
    cells, columns = table_of(shuffled, "digits", costs)
    write_packaged(tmp_path, "digits", cells, columns, {"protocol": {"epochs": EPOCHS} | SIZE})
    for file in ("digits.csv.gz", "digits.json"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def test_the_file_is_small(folder):
    assert (folder / "digits.csv.gz").stat().st_size < 600_000


def test_results_read_back_as_they_were_written(tmp_path):
    read, made = read_results(write_results(tmp_path / "raw.npz")), made_up_results()
    assert read.keys() == made.keys()
    for name, values in made.items():
        np.testing.assert_array_equal(read[name], values)


@pytest.mark.parametrize("changed, message", [
    ({"train_loss": np.zeros((3, 3))}, "raw.npz: expected cells of shape .* where train_loss is .classes, seeds, epochs"),
    ({"seconds": np.zeros(6465)}, r"raw.npz: expected seconds of shape \(6466,\).* got \(6465,\)"),
    ({"train_loss": np.full((6466, 3, 4), np.nan)}, "raw.npz: train_loss has values that are not finite"),
    ({"test_accuracy": np.full((6466, 3, 4), 101.0)}, "raw.npz: test_accuracy must hold percentages"),
])
def test_bad_results_get_one_sentence(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_results(write_results(tmp_path / "raw.npz", **changed))
    assert "\n" not in str(caught.value)


def test_results_without_an_array_are_refused(tmp_path):
    np.savez(tmp_path / "raw.npz", cells=np.array(["x"]))
    with pytest.raises(ValueError, match="raw.npz: expected the arrays cells, seeds, .*; seeds, seconds, train_loss"):
        read_results(tmp_path / "raw.npz")


def test_missing_and_double_classes_are_refused(costs):
    results = made_up_results()
    short = {name: values if name == "seeds" else values[1:] for name, values in results.items()}
    with pytest.raises(ValueError, match="expected a cell of each of the 6,466 isomorphism classes, got 6,465"):
        table_of(short, "digits", costs)
    double = results | {"cells": np.array([results["cells"][1], *results["cells"][1:]])}
    with pytest.raises(ValueError, match="1 cells compute the same function as another one"):
        table_of(double, "digits", costs)


# --- opening ---------------------------------------------------------------------------------------------------------

def test_the_last_epoch_is_meant_and_the_protocol_is_told(in_package):
    table = tabular.tabular("digits")
    assert (table.default_column, table.search_column) == (f"digits_test_{EPOCHS}", f"digits_valid_{EPOCHS}")
    assert table.about["protocol"]["channels"] == 4
    assert table.over_epochs("digits_valid") == {epoch: f"digits_valid_{epoch}" for epoch in range(1, EPOCHS + 1)}
    assert tabular.tabular("digits") is table      # read once


def test_the_seeds_of_a_cell(in_package):
    table = tabular.tabular("digits")
    seeds = table.over_seeds(table.best())
    assert seeds.tolist() == [table.query(table.best())[f"digits_test_{EPOCHS}_seed{seed}"] for seed in SEEDS]
    assert seeds.mean() == pytest.approx(table.accuracy(table.best()), abs=0.01)
    with pytest.raises(KeyError, match="digits_valid_1 is kept as a mean only"):
        table.over_seeds(table.best(), "digits_valid_1")
    with pytest.raises(KeyError, match="no columns digits_vald_<epoch>, did you mean digits_valid"):
        table.over_epochs("digits_vald")


@pytest.mark.parametrize("damage, error, message", [
    (lambda file: file.write_bytes(file.read_bytes()[:-1]), ValueError, "digits.csv.gz: the checksum is not the expected"),
    (lambda file: file.unlink(), FileNotFoundError, "Table digits: digits.csv.gz is missing in .* install gdas_lite again"),
    (lambda file: file.with_name("digits.json").unlink(), FileNotFoundError, "Table digits: digits.json is missing in"),
    (lambda file: file.with_name("digits.json").write_text("{"), ValueError, "digits.json is damaged .*; install"),
    (lambda file: file.with_name("digits.json").write_text("{}"), ValueError, "digits.json names no sha256"),
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
            "from gdas_lite import baselines, landscape, tables\n"
            f"sys.modules['gdas_lite.tabular'].packaged = lambda name: tables.packaged(name, pathlib.Path({str(in_package)!r}))\n"
            "table = gl.tabular('digits')\n"
            "landscape.climb(table)\n"
            "print(table.rank(table.best()), baselines.reinforce(table, 20, runs=2).rows.shape)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "1 (2, 20)\n"


def test_what_comes_with_the_package_is_whole():
    """The table that is there now, if there is one: its checksum, its cells, its protocol."""
    try:
        file, about = tables.packaged("digits")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    tabular._packaged_table.cache_clear()
    table = tabular.tabular("digits")
    assert file.stat().st_size < 800_000
    assert json.loads((file.parent / "digits.json").read_text()) == table.about == about
    assert table.values(table.default_column).max() > table.accuracy("|skip_connect~0|+|skip_connect~0|skip_connect~1|+"
                                                                     "|skip_connect~0|skip_connect~1|skip_connect~2|")
