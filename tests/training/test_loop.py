"""`Training`: reproducible, resumable, and its result is the last epoch's."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gdas_lite as gl
from gdas_lite.training.evaluation import Score, TextScore, evaluate
from gdas_lite.training.loop import draw_weights

CELL = gl.NASBench201Genotype.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|skip_connect~2|")


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train=data.train.subset(range(160)), evaluation={"test": data.evaluation["test"].subset(range(80))})


def training(data, *, epochs: int = 3, **options) -> gl.Training:
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=epochs, batch_size=32)
    return gl.Training(gl.network(CELL, 4, 1, 10, 1), data, recipe=recipe, **options)


def tensors(run) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in run.tensors().items()}


def assert_same(a, b) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_resumed_equals_uninterrupted_bit_for_bit(digits, tmp_path):
    whole = training(digits).run()
    first = training(digits, out=tmp_path)
    first.run_epoch()
    first.close()
    resumed = gl.resume(tmp_path, data=digits)
    assert resumed.epochs_done == 1
    assert_same(tensors(whole), tensors(resumed.run()))
    assert [r.evaluation for r in whole.history] == [r.evaluation for r in resumed.history]
    assert whole.result == resumed.result


def searching(data, out) -> gl.Search:
    recipe = gl.search_recipe("smoke", "nasbench201", "gdas", epochs=1)
    return gl.Search(gl.NASBench201(2, 1), data, gl.GDAS(), recipe=recipe, out=out)


@pytest.mark.parametrize("begin, batches", [
    (lambda data, out: training(data, out=out), lambda run: run.batches),
    (searching, lambda run: run.task.valid_batches)], ids=["training", "search"])
def test_a_run_goes_on_with_the_augmentation_that_it_began_with(digits, tmp_path, begin, batches, monkeypatch):
    other = replace(digits, augmentation=gl.Augmentation(padding=2, flip=True))
    begin(other, tmp_path / "run").close()
    with pytest.raises(gl.RunError, match=r"\(data.augmentation.flip: True there, False asked; data.augmentation.padding: 2 "):
        begin(digits, tmp_path / "run")
    resumed = gl.resume(tmp_path / "run", digits)
    resumed.close()
    assert batches(resumed).augmentation == other.augmentation
    for module in ("data.batches", "search.loop"):      # folders of versions that did not keep it
        monkeypatch.setattr(f"gdas_lite.{module}.own_options", lambda data: {})
    begin(digits, tmp_path / "old").close()
    monkeypatch.undo()
    gl.resume(tmp_path / "old", digits).close()


def test_a_seed_decides_the_weights_whatever_the_network_held(digits):
    a, b, c = training(digits, seed=1), training(digits, seed=1), training(digits, seed=2)
    assert_same(tensors(a), tensors(b))
    assert not torch.equal(a.network.classifier.weight, c.network.classifier.weight)
    network = gl.network(CELL, 4, 1, 10, 1)
    kept = network.classifier.weight.detach().clone()
    run = gl.Training(network, digits, recipe="smoke", keep_weights=True)
    assert torch.equal(run.network.classifier.weight, kept)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, which draws other numbers")
def test_a_seed_decides_the_weights_wherever_the_network_lies(digits):
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=3, batch_size=32)
    moved = gl.Training(gl.network(CELL, 4, 1, 10, 1).cuda(), digits, recipe=recipe, device="cpu")
    assert_same(tensors(moved), tensors(training(digits, device="cpu")))


def test_a_training_on_other_pictures_or_other_labels_is_not_gone_on_with(digits, tmp_path):
    training(digits, out=tmp_path).close()
    given = digits.train
    for other in (replace(given, images=255 - given.images), replace(given, labels=9 - given.labels)):
        with pytest.raises(gl.RunError, match="data.checksum"):
            gl.resume(tmp_path, replace(digits, train=other))


def test_kept_weights_are_gone_on_with_from_a_checkpoint_only(digits, tmp_path):
    """Before the first one they are nowhere on disk, and others would be another training."""
    run = training(digits, keep_weights=True, out=tmp_path)
    run.close()
    with pytest.raises(gl.RunError, match="began with weights that its network had"):
        gl.resume(tmp_path, digits)
    run.run_epoch()
    run.close()
    resumed = gl.resume(tmp_path, digits)
    resumed.close()
    assert_same(tensors(resumed), tensors(run))


def test_training_learns_the_digits():
    data = gl.load_data("digits")
    run = gl.Training(gl.network(CELL, 4, 1, 10, 1), data, recipe=gl.training_recipe("lesson", "nasbench201", epochs=8)).run()
    assert run.derived_accuracy > 80
    losses = run.history.column("train_loss")
    assert losses[-1] < losses[0] / 2


def test_the_result_is_the_last_epochs_and_exists_only_then(digits):
    run = training(digits, evaluate_every=2)
    with pytest.raises(RuntimeError, match="epoch 0 of 3"):
        run.result  # noqa: B018
    run.run()
    assert [bool(record.evaluation) for record in run.history] == [False, True, True]
    again = evaluate(run.network, digits.evaluation["test"], digits)
    assert run.result["test"] == again
    assert np.isnan(run.history.column("test accuracy")[0]) and run.history.column("test accuracy")[2] == again.accuracy


def test_an_evaluation_that_is_no_number_leaves_a_run_that_can_be_read(digits, tmp_path, monkeypatch):
    """The weights after the last step may give infinite logits, though the loss before it was a number."""
    monkeypatch.setattr("gdas_lite.training.loop.evaluate", lambda *_, **__: Score(math.nan, 12.5, 80, 50.0))
    run = training(digits, epochs=1, out=tmp_path / "run").run()
    run.close()
    resumed = gl.resume(tmp_path / "run", digits)
    resumed.close()
    assert math.isnan(resumed.result["test"].loss) and resumed.result["test"].accuracy == 12.5
    assert np.isnan(resumed.history.column("test loss")).tolist() == [True]
    for number, source in enumerate((run, tmp_path / "run")):
        exported = gl.read_exported(gl.export_network(source, tmp_path / f"net{number}"))
        assert exported.scores["test"] == {"loss": None, "accuracy": 12.5, "count": 80, "top5": 50.0}
    large = TextScore(1e5, 0.0, 1).to_json()        # its perplexity is more than a number holds
    assert replace(run.history[0], evaluation={"test": large}).to_json()["evaluation"]["test"]["perplexity"] is None


def test_half_training_evaluates_the_other_half():
    data = gl.load_data("digits")
    small = replace(data, train_half=data.train_half.subset(range(64)), valid_half=data.valid_half.subset(range(64)))
    run = gl.Training(gl.network(CELL, 4, 1, 10, 1), small, recipe="smoke", train_on="train_half").run()
    assert run.result.keys() == {"test", "valid_half"} and run.result["valid_half"].count == 64
    with pytest.raises(ValueError, match="train_on must be"):
        gl.Training(gl.network(CELL, 4, 1, 10, 1), small, recipe="smoke", train_on="test")


def test_one_epoch_equals_plain_sgd_written_by_hand(digits):
    run = training(digits, epochs=1)
    network = gl.network(CELL, 4, 1, 10, 1)
    draw_weights(network, torch.Generator().manual_seed(0).initial_seed())
    network.load_state_dict(run.network.state_dict())
    velocity = [torch.zeros_like(param) for param in network.parameters()]
    network.train()
    from gdas_lite.runs.resumable import generator_for
    for x, y in run.batches.epoch(generator_for(0, 0, "train")):
        gradients = torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters()))
        with torch.no_grad():
            for param, gradient, v in zip(network.parameters(), gradients, velocity, strict=True):
                gradient = gradient + 5e-4 * param
                v.mul_(0.9).add_(gradient)
                param -= 0.1 * (gradient + 0.9 * v)     # Nesterov
    run.run()
    for a, b in zip(run.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-4)


def test_evaluation_leaves_the_mode_and_the_estimates_alone(digits):
    run = training(digits, epochs=1)
    before = tensors(run)
    score = evaluate(run.network, digits.evaluation["test"], digits, batch_size=7)
    assert run.network.training and 0 <= score.accuracy <= 100 and score.count == 80
    assert_same(before, tensors(run))
    whole = evaluate(run.network, digits.evaluation["test"], digits, batch_size=80)
    assert score.accuracy == whole.accuracy and score.loss == pytest.approx(whole.loss, rel=1e-5)


def test_reloaded_network_gives_the_same_outputs_bit_for_bit(digits, tmp_path):
    """93% became 36% after a reload in another kit; here the outputs themselves are compared, in evaluation mode."""
    run = training(digits, out=tmp_path).run()
    run.close()
    network = gl.load_network(tmp_path)
    x = torch.randn(6, 1, 8, 8).contiguous(memory_format=torch.channels_last)
    run.network.eval()
    assert torch.equal(network(x), run.network(x)) and not network.training
    assert network.genotype == CELL
    assert evaluate(network, digits.evaluation["test"], digits) == run.result["test"]


@pytest.mark.parametrize("settings, sentence", [
    ({"classes": 7}, "built with classes=7, but digits has 10"),
    ({"image_channels": 3}, "built with image_channels=3, but digits has 1"),
])
def test_a_network_for_other_data_is_refused(digits, settings, sentence):
    network = gl.network(CELL, **{"channels": 4, "cells_per_stage": 1, "classes": 10, "image_channels": 1} | settings)
    with pytest.raises(ValueError, match=sentence):
        gl.Training(network, digits)


def test_a_cutout_that_the_recipe_does_not_have_is_not_dropped_silently(digits):
    data = replace(digits, augmentation=gl.Augmentation(padding=1, cutout=2))
    with pytest.raises(ValueError, match="the augmentation of digits has cutout=2, but in a training the recipe's counts, which is 0"):
        training(data)
    recipe = gl.training_recipe("smoke", "nasbench201", cutout=2)
    assert gl.Training(gl.network(CELL, 4, 1, 10, 1), data, recipe=recipe).batches.augmentation == data.augmentation


def test_published_recipes():
    full = gl.training_recipe("paper", "nasbench201")
    assert (full.epochs, full.batch_size, full.learning_rate, full.weight_decay, full.nesterov) == (200, 256, 0.1, 5e-4, True)
    assert gl.training_recipe("paper-12", "nasbench201") == replace(full, epochs=12, name="paper-12")
    with pytest.raises(ValueError, match="unknown recipe"):
        gl.training_recipe("huge", "nasbench201")


def test_a_network_that_another_training_took_is_not_trained_on(digits, tmp_path):
    """Three seeds in a list, one network: each would go on with the weights that the one before it left."""
    network = gl.network(CELL, 4, 1, 10, 1)
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=2, batch_size=32)
    first = gl.Training(network, digits, recipe=recipe, seed=0)
    first.run_epoch()
    second = gl.Training(network, digits, recipe=recipe, seed=1)
    for use in (first.run, lambda: gl.export_network(first, tmp_path / "export")):
        with pytest.raises(RuntimeError, match="another training has taken this one's network"):
            use()
    assert_same(tensors(second.run()), tensors(training(digits, epochs=2, seed=1).run()))


def test_of_a_network_that_its_settings_do_not_make_again_it_is_said_before(digits, tmp_path):
    """A head of one's own: the folder of hours of training could not be read."""
    network = gl.network(CELL, 4, 1, 10, 1)
    network.classifier = torch.nn.Sequential(torch.nn.Dropout(0.2), network.classifier)
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=1, batch_size=32)
    why = r"the network's classifier\.\S+ is not as its genotype and settings make it"
    with pytest.warns(UserWarning, match=f"{why}.* this same call can go on"):
        run = gl.Training(network, digits, recipe=recipe, out=tmp_path / "run").run()
    run.close()
    for export in (lambda: gl.export_network(run, tmp_path / "export"),
                   lambda: gl.export_network(network, tmp_path / "export", data=digits)):
        with pytest.raises(ValueError, match=why):
            export()
    with pytest.warns(UserWarning, match=why):
        assert gl.Training(network, digits, recipe=recipe, out=tmp_path / "run").is_finished
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_frozen_weights_stay_frozen_in_a_run_that_goes_on(digits, tmp_path):
    def frozen(out=None, keep_weights=True, learns="classifier"):
        torch.manual_seed(0)
        network = gl.network(CELL, 4, 1, 10, 1).requires_grad_(False)
        getattr(network, learns).requires_grad_(True)
        recipe = gl.training_recipe("smoke", "nasbench201", epochs=2, batch_size=32)
        return gl.Training(network, digits, recipe=recipe, out=out, keep_weights=keep_weights)

    first = frozen(tmp_path / "a")
    before = {name: value.clone() for name, value in first.network.named_parameters()}
    first.run_epoch()
    first.close()
    resumed = gl.resume(tmp_path / "a", digits).run()
    resumed.close()
    assert [name for name, value in resumed.network.named_parameters() if not torch.equal(value, before[name])] == [
        "classifier.weight", "classifier.bias"]
    assert_same(tensors(resumed), tensors(frozen().run()))
    longer = gl.resume(tmp_path / "a", digits, more=1)
    assert [weight.requires_grad for weight in longer.network.parameters()] == [
        weight.requires_grad for weight in first.network.parameters()]
    with pytest.raises(gl.RunError, match="frozen"):
        frozen(tmp_path / "a", learns="stem")
    with pytest.raises(ValueError, match=r"stem\.0\.weight is frozen, but a training draws all weights anew"):
        frozen(keep_weights=False)
