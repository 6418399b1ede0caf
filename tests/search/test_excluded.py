"""Candidates that a search may not choose: never drawn, weighted or derived, kept with the run."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines.cuda.draws import DeviceSampler, chance_of_step, draws_of_steps
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.relaxation import gumbel_mixture, with_zeros
from gdas_lite.reproduction import protocol
from gdas_lite.runs.config import described
from gdas_lite.search.algorithms import Sampler

EXCLUDED = ("avg_pool_3x3", "none")     # not in the order of the columns
SPACE = gl.NASBench201(2, 1, exclude=EXCLUDED)
KEPT = [column for column, op in enumerate(NASBENCH201_OPS) if op not in EXCLUDED]
ALGORITHMS = (gl.GDAS(), gl.GDAS((1.0, 0.1), "P"), gl.DARTS(1), gl.DARTS(2), gl.RandomSearch(3, 16))


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(48)), valid_half=data.valid_half.subset(range(48)))


def search(data, algorithm, space=SPACE, **options) -> gl.Search:
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, batch_size=16, alpha_learning_rate=0.5)
    return gl.Search(space, data, algorithm, recipe=recipe, **{"engine": "plain"} | options)


def test_alpha_has_no_columns_for_them_and_the_supernet_has_all_candidates():
    assert SPACE.labels["cell"].candidates == tuple(NASBENCH201_OPS[column] for column in KEPT)
    assert gl.NASBench201.labels["cell"].candidates == gl.NASBench201().labels["cell"].candidates == NASBENCH201_OPS
    assert len(SPACE.supernet(2).stages[0][0].edges[0]) == len(NASBENCH201_OPS)
    alphas = {"cell": torch.eye(3).repeat(2, 1)}
    assert SPACE.derive(alphas).ops == ("skip_connect", "nor_conv_1x1", "nor_conv_3x3") * 2
    assert replace(SPACE, exclude=()) == gl.NASBench201(2, 1) and gl.NASBench201(2, 1, exclude=list(EXCLUDED)) == SPACE


@pytest.mark.parametrize("columns", [(), (0,), (4,), (0, 4), (1, 2)])
def test_zeros_are_put_in_where_they_belong(columns):
    weights = torch.randn(6, 5 - len(columns), dtype=torch.float64, requires_grad=True)
    slow, given = torch.zeros(6, 5, dtype=torch.float64), 0
    for column in range(5):
        if column not in columns:
            slow[:, column] = weights[:, given].detach()
            given += 1
    found = with_zeros(weights, columns)
    assert torch.equal(found, slow)
    slope, = torch.autograd.grad((found * torch.arange(5)).sum(), weights)
    assert torch.equal(slope, torch.tensor([k for k in range(5) if k not in columns], dtype=slope.dtype).expand(6, -1))


@pytest.mark.parametrize("variant", ["P", "N"])
def test_a_draw_is_that_of_the_smaller_alpha_on_the_host_and_on_the_device(variant):
    """In value, in who runs, and in the gradient towards alpha."""
    alpha, slopes = torch.randn(6, 3, dtype=torch.float64, requires_grad=True), torch.randn(6, 5, dtype=torch.float64)
    for seed in range(50):
        small = gumbel_mixture(alpha, 0.7, torch.Generator().manual_seed(seed), variant)
        noise = -torch.empty(6, 3, dtype=alpha.dtype).exponential_(generator=torch.Generator().manual_seed(seed)).log()
        found = Sampler(SPACE, 0.7, torch.Generator().manual_seed(seed)).gumbel(alpha, variant)
        on_device = DeviceSampler(SPACE, torch.tensor(0.7, dtype=alpha.dtype), [noise]).gumbel(alpha, variant)
        assert found.active == tuple((KEPT[k],) for k, in small.active) and found.adds_unsampled == on_device.adds_unsampled
        assert on_device.index.tolist() == [column for column, in found.active]
        wanted, = torch.autograd.grad((small.weights * slopes[:, KEPT]).sum(), alpha)
        for mixture in (found, on_device):
            assert torch.equal(mixture.weights[:, KEPT], small.weights) and not mixture.weights[:, [0, 4]].any()
            slope, = torch.autograd.grad((mixture.weights * slopes).sum(), alpha)
            torch.testing.assert_close(slope, wanted)


def test_no_algorithm_ever_runs_or_weighs_them():
    for algorithm in ALGORITHMS:
        draw = Sampler(SPACE, 0.5, torch.Generator().manual_seed(0))
        seen = set()
        for _ in range(60):
            mixture = algorithm.mixtures({"cell": torch.randn(6, 3, generator=draw.generator)}, draw)["cell"]
            assert mixture.weights.shape == (6, 5) and not mixture.weights[:, [0, 4]].any()
            seen |= {column for columns in mixture.active for column in columns}
        assert seen == set(KEPT)
        recipe = gl.search_recipe("smoke", SPACE.name, algorithm.name)
        noise = draws_of_steps(chance_of_step(algorithm, SPACE, recipe), SPACE, draw.generator, 20)
        if algorithm.name == "random":
            assert {int(column) for column in noise[0].flatten()} <= set(KEPT)
        on_device = DeviceSampler(SPACE, torch.tensor(0.5), [one[0] for one in noise])
        mixture = algorithm.mixtures({"cell": torch.randn(6, 3)}, on_device)["cell"]
        assert mixture.weights.shape == (6, 5) and not mixture.weights[:, [0, 4]].any()


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda one: one.name)
def test_a_search_never_finds_them_and_resumes_bit_for_bit(digits, algorithm, tmp_path):
    whole = search(digits, algorithm).run()
    begun = search(digits, algorithm, out=tmp_path / "run")
    begun.run_epoch()
    begun.close()
    resumed = gl.resume(tmp_path / "run", digits, engine="plain")
    assert resumed.space == SPACE and f"exclude={EXCLUDED}" in repr(resumed)
    resumed.run()
    there, here = whole.tensors(), resumed.tensors()
    assert [name for name in there if not torch.equal(there[name], here[name])] == []
    assert resumed.history.alphas["cell"].shape == (2, 6, 3)
    found = [gl.NASBench201Genotype.parse(record.genotype) for record in resumed.history if record.genotype]
    assert found and not {op for cell in found for op in cell.ops} & set(EXCLUDED)
    assert resumed.history.counts(("none", "skip_connect"))["cell"].shape == (2,) if len(found) == 2 else True


def test_a_run_folder_names_them_only_where_there_are_some(digits, tmp_path):
    """So folders from before the option are the same search."""
    for space, wanted in ((SPACE, {"exclude": list(EXCLUDED)}), (replace(SPACE, exclude=()), {})):
        run = search(digits, gl.GDAS(), space, out=tmp_path / space.name / str(len(wanted)))
        config = json.loads((tmp_path / space.name / str(len(wanted)) / "config.json").read_text())
        assert config["space"] == {"name": "nasbench201", "channels": 2, "cells_per_stage": 1,
                                   "track_running_stats": False} | wanted
        run.close()
    other = replace(SPACE, exclude=("none",))
    with pytest.raises(gl.RunError, match=r"exclude: \['avg_pool_3x3', 'none'\] there"):
        search(digits, gl.GDAS(), other, out=tmp_path / space.name / "1")


def test_the_command_line_names_them():
    command = ("gdas-lite search nasbench201 --algorithm gdas --tau 1 0.1 --variant P --channels 4 --cells-per-stage 1 "
               "--with exclude=none --data thumbnails --recipe laptop")
    asked = protocol(command)
    assert asked.space == gl.NASBench201(4, 1, exclude=("none",)) and asked.algorithm == gl.GDAS((1.0, 0.1), "P")
    assert protocol(asked.command) == asked and "--with exclude=none" in asked.command
    two = replace(asked, space=replace(asked.space, exclude=EXCLUDED))
    assert protocol(two.command) == two
    assert asked.config["space"] == described(asked.space)
    assert asked.recipe == gl.search_recipe("laptop", "nasbench201", "gdas")


@pytest.mark.parametrize("exclude, words", [
    ("none", r"must be names of candidates, such as \('none',\), got 'none'"), (None, "must be names of candidates"),
    ((3,), "expected the name of an operation"), (("nonne",), "unknown operation 'nonne'"),
    (("none", "none"), "must name different candidates"), (NASBENCH201_OPS[:4], "leave at least two")])
def test_what_cannot_be_excluded_is_refused(exclude, words):
    with pytest.raises(ValueError, match=words) as caught:
        gl.NASBench201(exclude=exclude)
    assert "exclude" in str(caught.value) and "\n" not in str(caught.value)


def test_a_cell_that_has_them_can_still_be_scored():
    cell = gl.NASBench201Genotype.random(np.random.default_rng(1))
    assert SPACE.genotype_of(SPACE.mixtures(cell)) == cell and set(cell.ops) & set(EXCLUDED)
