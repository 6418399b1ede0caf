"""Learning rates and training recipes against the values of the published codes."""

from __future__ import annotations

import math

import pytest

from gdas_lite.runs.schedules import learning_rate_at
from gdas_lite.training.recipes import TrainingRecipe, training_recipe


@pytest.mark.parametrize("epoch, rate", [
    (0, 0.0), (1, 0.005), (4, 0.02), (5, 0.025), (6, 0.024999291), (150, 0.012832757), (294, 2.5508826e-5), (295, 0.0),
    (299, 0.0)])
def test_autodl_cosine_with_warm_up_and_its_dead_tail(epoch, rate):
    recipe = training_recipe("paper-autodl", "nasnet")
    assert learning_rate_at(recipe, epoch, 0, 521) == pytest.approx(rate, rel=1e-6, abs=1e-12)


def test_warm_up_rises_with_every_step_and_later_epochs_are_constant():
    recipe = training_recipe("paper-autodl", "nasnet")
    assert learning_rate_at(recipe, 1, 3, 4) == pytest.approx(0.025 * 1.75 / 5)
    assert learning_rate_at(recipe, 9, 0, 4) == learning_rate_at(recipe, 9, 3, 4)


def test_cosine_of_the_original_code_and_the_exponential_of_imagenet():
    cifar, imagenet = (training_recipe(name, "nasnet") for name in ("paper", "paper-imagenet"))
    for epoch in (0, 1, 300, 599):
        expected = 1e-4 + (0.025 - 1e-4) * (1 + math.cos(math.pi * epoch / 600)) / 2
        assert learning_rate_at(cifar, epoch, 7, 9) == pytest.approx(expected)
    assert learning_rate_at(imagenet, 0, 0, 9) == 0.1
    assert learning_rate_at(imagenet, 249, 5, 9) == pytest.approx(0.1 * 0.97**249)


def test_recipes_have_the_published_values():
    cifar, variant, imagenet, imagenet_variant = (
        training_recipe(name, "nasnet") for name in ("paper", "paper-autodl", "paper-imagenet", "paper-imagenet-autodl"))
    assert (cifar.epochs, cifar.batch_size, cifar.nesterov, cifar.weight_decay, cifar.grad_clip_norm) == (600, 96, False, 3e-4, 5)
    assert (cifar.cutout, cifar.drop_path, cifar.auxiliary_weight, cifar.label_smoothing) == (16, 0.2, 0.4, 0)
    assert (variant.epochs, variant.nesterov, variant.weight_decay, variant.grad_clip_norm) == (300, True, 5e-4, None)
    assert (variant.cutout, variant.drop_path, variant.auxiliary_weight) == (16, 0.2, 0.4)
    assert (imagenet.epochs, imagenet.batch_size, imagenet.weight_decay, imagenet.label_smoothing) == (250, 128, 3e-5, 0.1)
    assert (imagenet.drop_path, imagenet.auxiliary_weight, imagenet.cutout, imagenet.grad_clip_norm) == (0, 0.4, 0, 5)
    assert (imagenet_variant.batch_size, imagenet_variant.warm_up_epochs, imagenet_variant.grad_clip_norm) == (256, 5, None)
    assert training_recipe("smoke", "nasnet").name == "smoke"
    assert training_recipe("smoke", "nasnet", name="mine", epochs=1).name == "mine"


@pytest.mark.parametrize("fields, sentence", [
    ({"schedule": "linear"}, "schedule must be one of autodl_cosine, cosine, exponential, got 'linear'"),
    ({"warm_up_epochs": 5}, "0 unless schedule is autodl_cosine, got 5 with schedule 'cosine'"),
    ({"warm_up_epochs": 9, "epochs": 9, "schedule": "autodl_cosine"}, "warm_up_epochs must be in 0..8"),
    ({"drop_path": 1.0}, "drop_path must be at least 0 and < 1, a finite number, got 1.0"),
    ({"label_smoothing": -0.1}, "label_smoothing must be at least 0 and < 1"),
    ({"auxiliary_weight": -1}, "auxiliary_weight must be at least 0"),
])
def test_impossible_recipes_are_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainingRecipe(**fields)


def test_unknown_recipes_are_refused_by_name():
    with pytest.raises(ValueError, match="unknown recipe 'paper-12'; for networks of the space nasnet there are smoke, lesson"):
        training_recipe("paper-12", "nasnet")
    with pytest.raises(ValueError, match="no training recipe for the space 'resnet'"):
        training_recipe("paper", "resnet")
