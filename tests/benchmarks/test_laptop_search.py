"""The script of the laptop searches: its variants, and what it writes of the runs."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

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


def test_added_losses_are_those_of_an_additive_model():
    """Where the loss is a sum over the edges, least squares find the sum's terms, up to a number for each edge."""
    rng, data = np.random.default_rng(0), gl.load_data("thumbnails")
    search = laptop_search.search_of("added-losses", 0, {False: data})
    terms, seen = rng.normal(size=(6, 4)), []

    def loss(_state, mixtures, batch):
        (columns,) = {len(columns) for columns in mixtures["cell"].active}
        seen.append(batch[0])
        assert columns == 1 and all(0 not in row for row in mixtures["cell"].active)     # one each, and never `none`
        return type("Result", (), {"loss": torch.tensor(sum(
            terms[edge, column - 1] for edge, (column,) in enumerate(mixtures["cell"].active)))})

    search.state.updates.loss = loss
    added = laptop_search.added_losses(search, data)
    assert np.allclose(added - added.mean(1, keepdims=True), terms - terms.mean(1, keepdims=True), atol=1e-6)
    assert len(seen) == laptop_search.SCORED_CELLS and all(x is seen[0] for x in seen)   # all on the same pictures
    assert len(seen[0]) == laptop_search.PICTURES


@pytest.mark.parametrize("most", [0, 1, 2, 6])
def test_the_cell_that_adds_least_within_a_limit(most):
    """Against a walk through all cells, one by one."""
    candidates = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    for seed in range(3):
        added = np.random.default_rng(seed).normal(size=(6, 4))
        added[:, [0, 3]] -= 0.5         # without a limit operations without weights win
        least, best = np.inf, None
        for cell in gl.NASBench201Genotype.all():
            if "none" in cell.ops or cell.ops.count("skip_connect") + cell.ops.count("avg_pool_3x3") > most:
                continue
            total = sum(added[edge, candidates.index(op)] for edge, op in enumerate(cell.ops))
            if total < least:
                least, best = total, cell
        assert laptop_search.least_added(added, candidates, most) == best


def test_the_limit_stands_beside_a_random_choice_within_it():
    line = {"variant": "added-losses", "added_losses": np.eye(6, 4)[None].repeat(2, 0).tolist()}
    rows, table = laptop_search.other_limits([line]), gl.tabular("nasbench201")
    convolutions = [table.accuracy(cell) for cell in gl.NASBench201Genotype.all()
                    if set(cell.ops) <= {"nor_conv_1x1", "nor_conv_3x3"}]
    assert f"| all 64 | {np.mean(convolutions):.2f} ± {np.std(convolutions):.2f} |" in rows[2] and len(rows) == 9
    assert "supernets: 1 | the same, n=2 |" in rows[0] and "supernets: 2 | the same, n=1 |" in rows[1]
    assert laptop_search.other_limits([]) == []
