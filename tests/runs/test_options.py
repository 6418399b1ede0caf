"""Every field of a recipe does something: the same run with another value has other numbers."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch

import gdas_lite as gl
from gdas_lite.genotypes.nasnet import NASNetGenotype
from gdas_lite.spaces.language_model import Dropout

NODE = (("sep_conv_3x3", 0), ("skip_connect", 1))
DROPOUTS = {field.name: 0.4 for field in fields(Dropout)}
# Another value of each field, and what else is so before and after; a clipping that bites.
SEARCH: dict[str, Any] = {
    "epochs": 3, "batch_size": 8, "learning_rate": 0.05, "learning_rate_end": 0.01, "momentum": 0.5, "nesterov": False,
    "weight_decay": 0.01, "grad_clip_norm": 0.05, "clip_scope": "weights_and_alpha", "alpha_learning_rate": 0.02,
    "alpha_betas": (0.4, 0.99), "alpha_eps": 1e-3, "alpha_weight_decay": 0.1, "alpha_init": 0.01, "update_order": "weights_first",
    "virtual_clip_norm": 0.02, "virtual_momentum": False, "redraw": (False, gl.GDAS()), "undrawn": ("skip", gl.GDAS()),
    "alpha_start": 0.5}
ON_TEXT = SEARCH | DROPOUTS | {
    "batch_size": 10, "learning_rate": 4.0, "learning_rate_end": 1.0, "nesterov": True, "virtual_redraw": True, "bptt": 5,
    "short_window_probability": 0.5, "temporal_activation": 0.1}
TRAINING: dict[str, Any] = {
    "epochs": 3, "batch_size": 5, "learning_rate": 0.05, "learning_rate_end": 0.01, "schedule": "exponential",
    "warm_up_epochs": (1, {"schedule": "autodl_cosine"}), "gamma": (0.5, {"schedule": "exponential"}), "momentum": 0.5,
    "nesterov": True, "weight_decay": 0.01, "grad_clip_norm": 0.05, "cutout": 6, "auxiliary_weight": 0.2, "drop_path": 0.5,
    "label_smoothing": 0.2, "restarts": (1,)}
LANGUAGE: dict[str, Any] = DROPOUTS | {
    "epochs": 3, "batch_size": 9, "bptt": 5, "short_window_probability": 0.5, "window_jitter": 1.0, "learning_rate": 1.0,
    "weight_decay": 0.01, "grad_clip_norm": 0.05, "init_range": 0.05, "temporal_activation": 0.1, "valid_batch": 3, "test_batch": 3}
del ON_TEXT["undrawn"]
# Left out: masks on images and weights of one activation alone, which there are none; of test_language.py what begins averaging.
OTHERS = {"search": {"virtual_redraw"}, "text": {"undrawn"}, "training": set(), "language": {"averaging_patience", "averaging_trigger"}}


def text() -> gl.TextData:
    data = gl.load_data("grammar")
    return replace(data, train=data.train[:130], valid=data.valid[:100], test=data.test[:100])


def search(algorithm: Any = None, **changes: Any) -> gl.Search:
    data = gl.load_data("digits")
    data = replace(data, train_half=data.train_half.subset(range(32)), valid_half=data.valid_half.subset(range(32)))
    recipe = gl.search_recipe("smoke", "nasbench201", "darts-v2", **{
        "batch_size": 16, "grad_clip_norm": 0.5, "update_order": "alpha_first"} | changes)
    return gl.Search(gl.NASBench201(2, 1), data, algorithm or gl.DARTS(2), recipe=recipe, engine="plain")


def search_on_text(algorithm: Any = None, **changes: Any) -> gl.Search:
    recipe = gl.search_recipe("smoke", "recurrent", "darts-v2", **{
        "batch_size": 8, "bptt": 6, "momentum": 0.9, "virtual_momentum": True, "learning_rate": 2.0,
        "learning_rate_end": 2.0, "grad_clip_norm": 0.1} | changes)
    return gl.Search(gl.Recurrent(4), text(), algorithm or gl.DARTS(2), recipe=recipe, engine="layers")


def training(**changes: Any) -> gl.Training:
    images = gl.ImageSet(torch.arange(12 * 29 * 29).view(12, 1, 29, 29).mul(37).remainder(251).byte(), torch.arange(12) % 3)
    data = gl.ImageData("twelve", 3, ("a", "b", "c"), 29, 1, (0.5,), (0.25,), gl.Augmentation(), images, images, images,
                        {"test": images})
    network = gl.network(NASNetGenotype((NODE,) * 4, (NODE,) * 4), 2, 3, 3, 1, auxiliary=True)
    recipe = gl.training_recipe("smoke", "nasnet", **{"batch_size": 6, "grad_clip_norm": 0.5, "auxiliary_weight": 0.4} | changes)
    return gl.Training(network, data, recipe=recipe)


def language(**changes: Any) -> gl.LanguageTraining:
    model = gl.network(gl.zoo_genotype("GDAS", "recurrent"), 4, 70)
    return gl.LanguageTraining(model, text(), recipe=gl.language_recipe("smoke", **{
        "batch_size": 8, "bptt": 6, "learning_rate": 2.0, "grad_clip_norm": 0.1} | changes))


MAKE = {"search": (search, SEARCH), "text": (search_on_text, ON_TEXT), "training": (training, TRAINING), "language": (language, LANGUAGE)}


def numbers(run: Any) -> tuple[str, dict[str, torch.Tensor]]:
    """All that it kept, without times."""
    timeless = [{name: value for name, value in record.to_json().items() if "second" not in name} for record in run.run().history]
    return str(timeless), run.tensors()


@cache
def before(kind: str, algorithm: Any, also: tuple[tuple[str, Any], ...]) -> tuple[str, dict[str, torch.Tensor]]:
    return numbers(MAKE[kind][0](*algorithm, **dict(also)))


def same(one: tuple[str, dict[str, torch.Tensor]], other: tuple[str, dict[str, torch.Tensor]]) -> bool:
    (told, kept), (told_then, kept_then) = one, other
    return told == told_then and kept.keys() == kept_then.keys() and all(torch.equal(kept[name], kept_then[name]) for name in kept)


@pytest.mark.parametrize("kind", MAKE)
def test_every_field_is_tried_and_a_name_is_only_a_name(kind):
    make, values = MAKE[kind]
    assert {field.name for field in fields(make().recipe)} == values.keys() | OTHERS[kind] | {"name"}
    assert same(numbers(make(name="other")), before(kind, (), ()))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, (_, values) in MAKE.items() for name in values])
def test_another_value_of_a_field_gives_other_numbers(kind, name):
    make, values = MAKE[kind]
    value, also = values[name] if name in ("redraw", "undrawn", "warm_up_epochs", "gamma") else (values[name], {})
    algorithm, also = ((also,), {}) if isinstance(also, gl.GDAS) else ((), also)
    assert getattr(make(*algorithm, **also).recipe, name) != value
    assert not same(numbers(make(*algorithm, **also, **{name: value})), before(kind, algorithm, tuple(also.items())))
