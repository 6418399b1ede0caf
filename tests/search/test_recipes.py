"""Recipes refuse, field by field, what is no value of the field; nan passes every comparison that is not asked for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import product
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdas_lite as gl
from gdas_lite.runs.schema import Range, declared
from gdas_lite.search.recipes import SearchRecipe, TextSearchRecipe, search_recipe
from gdas_lite.training.recipes import LanguageRecipe, TrainingRecipe, language_recipe, training_recipe

RECIPES = (SearchRecipe, TextSearchRecipe, TrainingRecipe, LanguageRecipe)
FIELDS = [(recipe, field) for recipe in RECIPES for field in recipe.__dataclass_fields__]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_number_of_a_recipe_is_declared_with_its_bounds(recipe):
    shapes = declared(recipe)
    assert shapes.keys() == {field.name for field in fields(recipe)}
    for shape in shapes.values():
        assert isinstance(shape, (Range, set)) or shape in (bool, str) or isinstance(shape[0], Range)


NEVER = [math.nan, math.inf, -math.inf, -1, -1e-9, 10**400, (math.nan, 0.5), (0.5, -1), [], {}, b"x"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_nan_infinite_and_negative_values_are_refused_with_the_name_of_the_field(recipe):
    for field in fields(recipe):
        no_number = [] if isinstance(field.default, (str, bool)) else ["1", True]
        for bad in [*NEVER, *no_number]:
            if (field.name, bad) == ("restarts", []):       # none, as ()
                assert recipe(restarts=bad) == recipe() and hash(recipe(restarts=bad))
                continue
            with pytest.raises(ValueError, match=rf"\b{field.name}\b.* got ") as caught:
                recipe(**{field.name: bad})
            assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@given(st.sampled_from(FIELDS), st.one_of(st.floats(), st.integers(), st.none(), st.booleans(), st.text(max_size=5)))
def test_any_value_is_taken_or_refused_in_a_sentence_and_what_is_taken_is_finite(recipe_field, value):
    recipe, field = recipe_field
    try:
        taken = getattr(recipe(**{field: value}), field)
    except ValueError as problem:
        assert field in str(problem)
    else:
        assert not isinstance(taken, float) or (math.isfinite(taken) and taken >= 0)


@pytest.mark.parametrize("bad, message", [
    ({"alpha_betas": (1, 2)}, r"alpha_betas\[0\] must be at least 0 and < 1"),
    ({"alpha_betas": (0.5,)}, "alpha_betas must be a list of 2 values"),
    ({"epochs": 10**9}, "epochs must be at least 1 and at most 1,000,000, a whole number, got 1000000000"),
    ({"epochs": 2.5}, "a whole number, got 2.5"), ({"undrawn": "no"}, "undrawn must be one of decay, skip, got 'no'"),
    ({"nesterov": 1}, "nesterov must be true or false"), ({"batch_size": 1}, "batch_size must be at least 2"),
])
def test_the_sentence_says_what_the_field_takes(bad, message):
    with pytest.raises(ValueError, match=message):
        SearchRecipe(**bad)


def test_all_published_and_small_recipes_and_numpy_numbers_are_taken():
    for size in ("smoke", "lesson", "paper"):
        for algorithm in ("gdas", "darts-v1", "darts-v2", "random"):
            assert all(search_recipe(size, space, algorithm) for space in ("nasbench201", "nasnet", "recurrent"))
        assert training_recipe(size, "nasbench201") and training_recipe(size, "nasnet") and language_recipe(size)
    assert search_recipe("laptop", "nasbench201", "gdas").first_alpha_epoch == 20
    with pytest.raises(ValueError, match="the recipe 'laptop' is for images; there is none for texts"):
        search_recipe("laptop", "recurrent", "gdas")
    assert replace(SearchRecipe(), learning_rate=np.float32(0.1), epochs=np.int64(3)).epochs == 3


@pytest.mark.parametrize("space", ["nasbench201", "nasnet", "recurrent"])
def test_an_algorithm_is_known_by_its_name_in_any_case_and_itself(space):
    published = search_recipe("paper", space, "gdas")
    assert published == search_recipe("paper", space, "GDAS") == search_recipe("paper", space, gl.GDAS())
    assert published != search_recipe("paper", space, "own")


def test_a_name_without_its_order_is_refused_and_an_own_algorithm_may_have_it():
    @dataclass(frozen=True)
    class Darts(gl.GDAS):
        name: ClassVar[str] = "darts"

    with pytest.raises(ValueError, match="algorithm 'DARTS' has no recipe, darts-v1 and darts-v2 have; for one of your"):
        search_recipe("paper", "nasbench201", "DARTS")
    assert search_recipe("paper", "nasnet", "darts") == search_recipe("paper", "nasnet", "darts-v1")
    assert search_recipe("paper", "nasbench201", Darts()) == search_recipe("paper", "nasbench201", "own")
    run = gl.Search(gl.NASBench201(2, 1), gl.load_data("digits"), Darts(), recipe="smoke")
    assert run.recipe == search_recipe("smoke", "nasbench201", "own")
    for value in (None, 3, gl.DARTS, ["gdas"]):
        with pytest.raises(ValueError, match="^algorithm must be text, got"):
            search_recipe("paper", "nasbench201", value)


def test_a_range_tells_its_bounds_apart():
    assert Range(0, 1).holds(0) and Range(0, 1).holds(1) and not Range(above=0, below=1).holds(0)
    assert not Range(above=0, below=1).holds(1) and not Range(whole=True).holds(1.0) and not Range().holds(10**400)


def test_alpha_begins_at_the_share_that_was_asked_for_rounded_down():
    for share, epochs in product(range(100), (1, 7, 40, 50, 100, 250, 600)):
        recipe = search_recipe("paper", "nasbench201", "gdas", epochs=epochs, alpha_start=share / 100)
        assert recipe.first_alpha_epoch == Fraction(share, 100) * epochs // 1
