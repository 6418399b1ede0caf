"""The line to plan by: arithmetic on made-up histories, and which published numbers stand in it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import gdas_lite as gl
from gdas_lite.runs.shards import batch_bounds
from gdas_lite.training.evaluation import TextScore
from gdas_lite.training.history import TrainingHistory, TrainingRecord
from gdas_lite.training.report import expected_errors, language_report, progress


def training(done=2, cell="GDAS_V1", data="cifar10", recipe="paper", seconds=10.0, evaluated=True, **changes):
    """What `progress` looks at of a Training: 1,000 images, epochs of `seconds`."""
    genotype = gl.zoo_genotype(cell)
    scores = {"test": {"loss": 1.0, "accuracy": 91.69, "count": 100}} if evaluated else {}
    records = TrainingHistory(TrainingRecord(epoch, 0.1, 1.0, 50.0, seconds, 1000 / seconds, scores)
                              for epoch in range(done))
    recipe = gl.training_recipe(recipe, genotype.space, **changes)
    return SimpleNamespace(
        history=records, recipe=recipe, total_epochs=recipe.epochs, epochs_done=done,
        batches=SimpleNamespace(bounds=batch_bounds(1000, recipe.batch_size, is_training=True)),
        network=SimpleNamespace(genotype=genotype),
        config={"data": {"name": data}})


def test_speed_and_time_left_between_epochs():
    found = progress(training(done=5))
    assert found.images_per_second == 100 and found.seconds_left == pytest.approx(595 * 10)
    assert found.measured_error == pytest.approx(8.31)
    text = str(found)
    assert text.startswith("epoch 5 of 600, 100 images/s, 1 h 39 min left, test error 8.31 %, published 2.93 % (with "
                           "cutout")


def test_the_speed_is_that_of_the_latest_epochs_and_the_error_that_of_the_last_evaluation():
    run = training(done=5)
    for record, seconds, accuracy in zip(run.history, (1, 1, 10, 20, 30), (50, 90, 70, 80.5, None), strict=True):
        record.seconds = seconds
        record.evaluation = {} if accuracy is None else {"test": {"accuracy": accuracy}}
    found = progress(run)
    assert found.images_per_second == pytest.approx(3000 / 60) and found.seconds_left == pytest.approx(595 * 1000 / 50)
    assert found.measured_error == 19.5


def test_a_report_on_a_text_tells_its_two_parts_and_the_best_epoch_apart():
    scores = {"valid": TextScore(1.0, 0, 1), "test": TextScore(2.0, 0, 1)}
    epochs = [SimpleNamespace(epoch=epoch, is_best=is_best) for epoch, is_best in enumerate((True, True, False))]
    run = SimpleNamespace(result=scores, history=epochs, recipe=gl.language_recipe("lesson"), seed=5,
                          data=SimpleNamespace(name="ptb", perplexity_floor=None))
    assert language_report(run) == ("ptb: validation perplexity 2.72 (epoch 2, the lowest), test perplexity 7.39; measured, "
                                    "recipe lesson, seed 5")


def test_a_training_on_a_text_has_no_images_to_count():
    with pytest.raises(ValueError, match="training must be a Training, which is of images, got "):
        progress(SimpleNamespace(history=[], total_epochs=2))


def test_inside_an_epoch_its_steps_count():
    run = training(done=0, batch_size=100, evaluated=False)
    assert progress(run).images_per_second is None and str(progress(run)).startswith("epoch 0 of 600, published")
    found = progress(run, steps_done=4, seconds=8.0)
    assert found.images_per_second == 50 and found.seconds_left == pytest.approx((600 * 1000 - 400) / 50)
    assert found.measured_error is None
    last = progress(training(done=0, batch_size=96, evaluated=False), steps_done=11, seconds=8.0)    # of 40 images
    assert last.images_per_second == 125 and last.seconds_left == pytest.approx(599 * 8)
    uneven = progress(training(done=0, batch_size=9, evaluated=False), steps_done=111, seconds=9.0)
    assert uneven.images_per_second == 995 / 9      # the last two batches are halves: no batch is one image
    both = progress(training(done=1, batch_size=100), steps_done=5, seconds=20.0)
    assert both.images_per_second == pytest.approx(1500 / 30)


def test_published_errors_are_those_of_the_same_augmentation_and_data():
    with_cutout, without = expected_errors(training()), expected_errors(training(cutout=0))
    assert [result.value for result in without if "C=36" in result.setting] == [3.87]
    logged = {result.value for result in expected_errors(training(cell="GDAS_F1", cutout=0))}   # a log names it last
    assert logged == {3.75} and {2.80, 2.77} <= {result.value for result in expected_errors(training(cell="GDAS_F1"))}
    assert 2.93 in [result.value for result in with_cutout] and 3.87 not in [result.value for result in with_cutout]
    imagenet = expected_errors(training(data="imagenet", recipe="paper-imagenet"))
    assert {result.metric for result in imagenet} == {"top1_error"} and 26.0 in [result.value for result in imagenet]
    assert expected_errors(training(data="digits")) == ()
    assert expected_errors(training(cell="GDAS_GF")) == tuple(
        result for result in gl.published(space="nasnet", data="cifar10", metric="test_error")
        if result.name == "GDAS_GF" and not result.setting.startswith("without cutout"))
    assert expected_errors(training(cell="resnet", recipe="lesson")) == ()
    with pytest.raises(KeyError, match="nearest|unknown|name"):
        expected_errors(training(), name="GDAS_V9")


def test_a_real_training_has_an_outlook():
    data = gl.load_data("digits")
    genotype = gl.NASBench201Genotype(("skip_connect",) * 6)
    run = gl.Training(gl.network(genotype, 2, 1, 10, 1), data, recipe="smoke")
    run.run_epoch()
    found = progress(run)
    assert found.seconds_left == pytest.approx(run.history[0].seconds)
    assert found.measured_error == pytest.approx(100 - run.history[0].evaluation["test"]["accuracy"])
    assert " images/s, " in str(found)
