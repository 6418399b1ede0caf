"""The stored laptop searches, and the picture that judges cells beside fixed rows."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gdas_lite as gl
from gdas_lite.benchmark.table import best_of_draws
from gdas_lite.lessons import laptop
from gdas_lite.lessons.laptop import CLOSEST, FILE, cells_for, fixed_rows, judged, laptop_runs

SKIPS = gl.zoo_genotype("all_idnt")


@pytest.fixture(scope="module")
def table():
    return gl.tabular("nasbench201")


def test_what_is_stored_is_what_the_benchmark_wrote():
    results = FILE.parents[2] / "benchmarks" / "results" / "laptop_search.json"
    lines, stored = json.loads(results.read_text()), laptop_runs()
    found = {}
    for line in sorted(lines, key=lambda line: line["seed"]):
        found.setdefault(line["variant"], []).append(line["genotype"])
    assert {variant: list(map(str, cells)) for variant, cells in stored.cells.items()} == found
    assert len(stored.cells["main"]) >= 4 and len({line["seed"] for line in lines}) >= 4
    assert "benchmarks/laptop_search.py" in stored.about["made_by"] and stored.about["machine"]["processor"]


def test_the_results_are_what_the_table_says_of_the_cells(table):
    results = FILE.parents[2] / "benchmarks" / "results" / "laptop_search.json"
    for line in json.loads(results.read_text()):
        assert line["cifar10"] == {"accuracy": round(table.accuracy(line["genotype"]), 2),
                                   "rank": table.rank(line["genotype"]), "regret": round(table.regret(line["genotype"]), 2)}


def test_the_remedy_finds_better_cells_than_the_failures_do(table):
    """What notebooks 00, 03 and 09 say of the stored runs."""
    runs = {variant: [table.regret(cell) for cell in cells] for variant, cells in laptop_runs().cells.items()}
    assert [table.rank(cell) > len(table) / 2 for cell in laptop_runs().cells["main"]].count(True) == 2
    regret = {variant: np.mean(regrets) for variant, regrets in runs.items()}
    assert regret["main"] < table.random_search_curve(1).regret[0] / 2
    assert regret["main"] + 1 < min(regret[variant] for variant in ("rule-N", "with-none", "no-start", "random"))
    without = [cell for cell in gl.NASBench201Genotype.all() if "none" not in cell.ops]
    random = gl.landscape.regrets(table, without)       # `none` alone is not the remedy
    assert regret["main"] < random.mean() / 2 and np.median(runs["main"]) < np.median(random) - 0.5
    assert abs(regret["tau-10"] - regret["main"]) < 1
    free = np.array([cell.ops.count("skip_connect") + cell.ops.count("avg_pool_3x3") for cell in without])
    limited, alone = runs["added-losses"], random[free <= 1].mean()
    error = np.std(limited, ddof=1) / len(limited)**0.5
    assert np.mean(limited) + 2 * error < alone < regret["main"] and max(limited) < max(runs["main"]) - 2
    many = runs["added-losses, no limit"]       # supernets instead of a limit
    assert max(many) < max(limited) + 0.5 and np.mean(many) < alone
    assert table.regret(gl.NASBench201Genotype(("nor_conv_3x3",) * 6)) < min(np.mean(limited), np.mean(many))


@pytest.mark.parametrize("change, words", [
    ({"format": "another"}, "its format is 'another'"), ({"cells": {"main": {"0": "|nothing|"}}}, "does not hold laptop"),
    ({"cells": None}, "does not hold laptop"), ({"cells": {"main": {"first": str(SKIPS)}}}, "does not hold laptop")])
def test_a_damaged_file_is_refused_in_one_sentence(change, words, tmp_path):
    content = {"format": laptop.FORMAT, "about": {}, "cells": {"main": {"10": str(SKIPS), "9": str(gl.zoo_genotype("resnet"))}}}
    file = tmp_path / "searches.json"
    file.write_text(json.dumps(content))
    assert laptop_runs(file).cells["main"] == (gl.zoo_genotype("resnet"), SKIPS)        # seeds in order, as numbers
    file.write_text(json.dumps(content | change))
    with pytest.raises(ValueError, match=words) as caught:
        laptop_runs(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="install gdas_lite again"):
        laptop_runs(tmp_path / "none.json")


def test_the_fixed_rows_stand_below_every_result(table):
    figure = judged({"skips": [SKIPS, SKIPS], "best": [table.best()]}, table)
    axes, = figure.axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["skips", "best", "ResNet cell", "no cell", "random cells", "random, without none"]
    means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    wanted = [table.regret(SKIPS), CLOSEST, *(table.regret(cell) for cell in fixed_rows().values())]
    assert means[:4] == pytest.approx(wanted)
    words = "points below the best, farther than a random cell on average"
    assert f"skips: {table.regret(SKIPS):.2f} {words}" in figure.claim
    assert table.rank(fixed_rows()["no cell"]) > 12_000 and table.rank(fixed_rows()["ResNet cell"]) < 100
    with pytest.raises(ValueError, match="'nothing' has no cell"):
        judged({"nothing": []}, table)


def test_what_random_search_needs_is_the_first_number_of_cells_that_comes_as_near(table):
    scores, values = table.values(table.search_column), table.values(table.default_column)
    regret = [values.max() - best_of_draws(scores, values, [count], (0.5,))[0][0] for count in range(1, 13)]
    between = (regret[3] + regret[4]) / 2
    assert cells_for(between, table) == "as far as random search with 5 cells"
    assert cells_for(regret[0], table) == "as far as random search with 1 cell"
    assert cells_for(regret[0] + 0.01, table) == "farther than a random cell on average"
    assert cells_for(0.0, table) == "nearer than random search with 200 cells comes"
