"""What a script of one's own does with what the package returns: keep it, copy it, send it to another process, compare it."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import gdas_lite as gl

FOUND = gl.baselines.random_search(evaluations=3, runs=2)
NETWORK = gl.network(gl.tabular().best(), 2, 1, 10, 1)
VALUES = {
    "table": gl.tabular(), "runs": FOUND, "curve": gl.tabular().random_search_curve(3), "entry": gl.zoo_entry("GDAS_V1"),
    "published": gl.published()[0], "row": gl.reproduction.rows()[0], "protocol": gl.reproduction.rows()[0].protocol,
    "nasbench201": gl.tabular().best(), "nasnet": gl.zoo_genotype("GDAS_V1"), "recurrent": gl.zoo_genotype("GDAS@recurrent"),
    "space": gl.NASBench201(4, 1, exclude=("none",)), "gdas": gl.GDAS(), "random": gl.RandomSearch(), "rule": gl.SkipLimit(2),
    "recipe": gl.search_recipe("laptop", "nasbench201", "gdas"), "training": gl.training_recipe("smoke", "nasnet"),
    "language": gl.language_recipe("smoke", "ptb"), "data": gl.load_data("digits"), "history": gl.recorded("gdas-laptop-thumbnails-8"),
    "cost": gl.cost_of(NETWORK, (1, 8, 8)), "perfect": gl.perfect_weights.search("darts", seeds=[0], steps=2)}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_pickled_copied_and_taken_apart(name):
    value = VALUES[name]
    for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):      # noqa: S301
        assert repr(again) == repr(value) and type(again) is type(value)
        if type(value).__hash__ is not object.__hash__ and name not in ("runs", "curve", "perfect"):     # arrays have no hash
            assert again == value and hash(again) == hash(value)
    if dataclasses.is_dataclass(value):
        assert dataclasses.asdict(value).keys() == {field.name for field in dataclasses.fields(value)}


def test_a_table_from_another_process_answers_as_before():
    again = pickle.loads(pickle.dumps(FOUND))       # noqa: S301
    assert np.array_equal(again.regret(), FOUND.regret()) and again.found() == FOUND.found()
    assert again.table.query(gl.tabular().best()) == gl.tabular().query(gl.tabular().best())


@pytest.mark.parametrize("name", ["nasbench201", "digits"])
def test_nobody_overwrites_a_table_that_all_share(name):
    for column in gl.tabular(name).columns:
        with pytest.raises(ValueError, match="read-only"):
            gl.tabular(name).values(column)[0] = 0


@pytest.mark.parametrize("make, given", [
    (gl.GDAS, {"tau": [10, 0.1]}), (gl.NASBench201, {"exclude": ["none"]}), (gl.TrainingRecipe, {"restarts": [3, 5]}),
    (gl.SearchRecipe, {"alpha_betas": [0.5, 0.999]})], ids=lambda made: getattr(made, "__name__", ""))
def test_a_list_where_a_tuple_is_declared_makes_the_same_value(make, given):
    """And one that no later change of the list reaches."""
    plain, before = make(**{name: tuple(each) for name, each in given.items()}), copy.deepcopy(given)
    value = make(**given)
    for each in given.values():
        each.clear()
    assert value == plain and hash(value) == hash(plain) and before.keys() == given.keys()
