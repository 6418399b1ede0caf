"""The script of the laptop searches: its variants, and what it writes of the runs."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

import gdas_lite as gl
from benchmarks import laptop_search
from gdas_lite.lessons import laptop

CELLS = [gl.zoo_genotype("resnet", "nasbench201"), gl.zoo_genotype("all_idnt", "nasbench201")]


def test_each_variant_changes_one_setting_of_the_recipe():
    data = {False: gl.load_data("thumbnails")}
    config = {name: laptop_search.search_of(name, 0, data).config for name in
              ("main", "no-start", "rule-N", "with-none", "tau-10", "rate-1e-3", "batch-64", "C8", "N2")}
    main = config.pop("main")
    for name, other in config.items():
        changed = [(part, field) for part in ("space", "algorithm", "recipe")
                   for field in main[part].keys() | other[part].keys() if main[part].get(field) != other[part].get(field)]
        assert len(changed) == 1, (name, changed)
    assert main["recipe"] == asdict(gl.search_recipe("laptop", "nasbench201", "gdas"))
    assert main["space"]["exclude"] == ("none",) and main["algorithm"] == {"name": "gdas", "tau": (1.0, 0.5), "variant": "P"}


def test_runs_are_named_by_variant_and_seeds():
    assert list(laptop_search.asked_runs(["main:0-2", "rule-N:3"])) == [("main", 0), ("main", 1), ("main", 2), ("rule-N", 3)]
    with pytest.raises(SystemExit, match="no variant 'mine'"):
        list(laptop_search.asked_runs(["mine:0"]))


def test_what_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(laptop_search, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(laptop, "FILE", tmp_path / "cells.json")
    lines = [{"variant": variant, "seed": seed, "genotype": str(cell), **laptop_search.judged(cell), "steps": 1,
              "seconds": 2.0, "processor_seconds": 1.5, "load": 0.5, "date": "2026-01-01", "machine": {"processor": "p"}}
             for variant, seed, cell in (("rule-N", 0, CELLS[1]), ("main", 10, CELLS[1]), ("main", 9, CELLS[0]))]
    laptop_search.save(lines)
    assert [(line["variant"], line["seed"]) for line in json.loads((tmp_path / "results.json").read_text())] == [
        ("main", 9), ("main", 10), ("rule-N", 0)]
    text = (tmp_path / "results.md").read_text()
    table = gl.tabular("nasbench201")
    accuracies = [table.accuracy(cell) for cell in CELLS]
    assert f"| main | 9, 10 | {sum(accuracies) / 2:.2f} ± " in text and f"| rule-N | 0 | {accuracies[1]:.2f} |" in text
    assert f"{table.rank(CELLS[0]):,}, {table.rank(CELLS[1]):,}" in text
    assert laptop.laptop_runs(tmp_path / "cells.json").cells == {"main": tuple(CELLS), "rule-N": (CELLS[1],)}
