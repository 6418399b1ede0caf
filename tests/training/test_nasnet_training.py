"""Trainings written by hand; NASNet networks: the auxiliary loss, label smoothing, drop path, resuming, what does not fit."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import gdas_lite as gl
from gdas_lite.data.images import Augmentation, ImageData, ImageSet
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.genotypes.nasnet import NASNetGenotype
from gdas_lite.runs.resumable import generator_for
from gdas_lite.spaces.operations import DropPath

NODE = (("sep_conv_3x3", 0), ("skip_connect", 1))
GENOTYPE = NASNetGenotype((NODE, (("dil_conv_3x3", 2), ("max_pool_3x3", 0)), NODE, NODE), (NODE,) * 4)


def images(side: int) -> ImageData:
    """Twelve random grey images of three classes."""
    generator = torch.Generator().manual_seed(0)
    part = ImageSet(torch.randint(256, (12, 1, side, side), dtype=torch.uint8, generator=generator), torch.arange(12) % 3)
    return ImageData("random", 3, ("a", "b", "c"), side, 1, (0.5,), (0.25,), Augmentation(), part, part, part, {"test": part})


def network(**settings) -> torch.nn.Module:
    return gl.network(GENOTYPE, channels=4, cells=3, classes=3, image_channels=1, **settings)


def recipe(**changes) -> gl.TrainingRecipe:
    return gl.training_recipe("smoke", "nasnet", **{"batch_size": 12, "drop_path": 0.0, **changes})


def test_one_step_follows_the_gradient_of_both_heads_smoothed_losses():
    run = gl.Training(network(auxiliary=True), images(29), seed=3, recipe=recipe(
        epochs=1, auxiliary_weight=0.4, label_smoothing=0.1, momentum=0.0, weight_decay=0.0, nesterov=False,
        grad_clip_norm=None, learning_rate=0.1))
    before = copy.deepcopy(run.network)
    run.run_epoch()
    x = (run._images.images.float() / 255 - 0.5) / 0.25
    target = torch.full((12, 3), 0.1 / 3).scatter_add_(1, run._images.labels[:, None], torch.full((12, 1), 0.9))
    logits, auxiliary_logits = before(x, with_auxiliary=True)
    main, auxiliary = (-(target * out.log_softmax(1)).sum(1).mean() for out in (logits, auxiliary_logits))
    (main + 0.4 * auxiliary).backward()
    for (name, old), new in zip(before.named_parameters(), run.network.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.1 * old.grad, rtol=1e-3, atol=2e-6, msg=name)
    assert run.history[0].train_loss == pytest.approx(main.item(), rel=1e-5)       # of the network's own output


RATES = {       # of four epochs from 0.1 to 0.01, at a share of an epoch's steps
    "cosine": lambda epoch, share: 0.01 + 0.09 * (1 + math.cos(math.pi * epoch / 4)) / 2,
    "exponential": lambda epoch, share: 0.1 * 0.5**epoch,
    "autodl_cosine": lambda epoch, share: (0.1 * share, 0.1, 0.01 + 0.09 * 0.75, 0.01)[epoch]}      # a warm-up of one epoch


def by_hand(run: gl.Training) -> tuple[torch.nn.Module, list[tuple[float, float, float]], float]:
    """All epochs on a copy of the network, with PyTorch's own parts; each epoch's last rate, loss and accuracy; the largest
    norm of a gradient."""
    network, recipe, told, norms = copy.deepcopy(run.network), run.recipe, [], []
    sgd = torch.optim.SGD(network.parameters(), 1.0, recipe.momentum, 0, recipe.weight_decay, recipe.nesterov)
    for epoch in range(4):
        losses, right = [], 0
        drop = DropPath(recipe.drop_path * epoch / 4, generator_for(run.seed, epoch, "drop path"))
        batches = list(run.batches.epoch(generator_for(run.seed, epoch, "train")))
        for step, (x, y) in enumerate(batches):
            heads = network(x, drop, with_auxiliary=True) if recipe.auxiliary_weight else [network(x, drop)]
            each = [F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing) for logits in heads]
            sgd.zero_grad()
            sum(loss * weight for loss, weight in zip(each, (1, recipe.auxiliary_weight))).backward()
            norms.append(torch.stack([param.grad.norm() for param in network.parameters()]).norm().item())
            for param in network.parameters():
                param.grad *= min(1.0, recipe.grad_clip_norm / (norms[-1] + 1e-6))
            sgd.param_groups[0]["lr"] = RATES[recipe.schedule](epoch, step / len(batches))
            sgd.step()
            losses.append(each[0].item())
            right += (heads[0].argmax(1) == y).sum().item()
        told.append((sgd.param_groups[0]["lr"], sum(losses) / len(losses), 100 * right / 12))
    return network, told, max(norms)


@pytest.mark.parametrize("schedule", RATES)
@pytest.mark.parametrize("extras", [{}, {"auxiliary_weight": 0.4, "drop_path": 0.5, "label_smoothing": 0.1}], ids=["bare", "extras"])
def test_a_training_and_its_records_equal_the_loop_written_by_hand(schedule, extras):
    """Every epoch has its own order, masks and rates; the last batch of an epoch is a short one."""
    run = gl.Training(network(auxiliary=bool(extras)), images(29 if extras else 8), seed=3, recipe=recipe(
        epochs=4, batch_size=5, learning_rate=0.1, learning_rate_end=0.01, schedule=schedule, gamma=0.5, grad_clip_norm=0.5,
        warm_up_epochs=int(schedule == "autodl_cosine"), **extras))
    expected, told, norm = by_hand(run)
    assert norm > 0.5       # something was clipped
    for record, wanted in zip(run, told, strict=True):
        assert (record.learning_rate, record.train_loss, record.train_accuracy) == pytest.approx(wanted, rel=1e-3)
        assert record.images_per_second * record.seconds == pytest.approx(12)
    for (name, new), old in zip(run.network.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-5, msg=name)


def test_drop_path_begins_in_the_second_epoch():
    with_drop, without = (gl.Training(network(), images(8), recipe=recipe(drop_path=rate, epochs=2)) for rate in (0.9, 0.0))
    losses = [[record.train_loss for record in run.run().history] for run in (with_drop, without)]
    assert losses[0][0] == losses[1][0] and losses[0][1] != losses[1][1]


@pytest.mark.parametrize("by_kernels", [False, True])
def test_resumed_equals_uninterrupted_with_drop_path_and_auxiliary_head(by_kernels, tmp_path, monkeypatch):
    if by_kernels:
        if numba_obstacle() is not None:
            pytest.skip(numba_obstacle())
        monkeypatch.setattr("gdas_lite.engines.cpu.engine.SMALLEST", 0)
    chosen = recipe(epochs=3, drop_path=0.5, auxiliary_weight=0.4, batch_size=5, cutout=4)
    whole = gl.Training(network(auxiliary=True), images(29), recipe=chosen, seed=1).run()
    first = gl.Training(network(auxiliary=True), images(29), recipe=chosen, seed=1, out=tmp_path)
    first.run_epoch()
    first.run_epoch()
    first.close()
    again = gl.resume(tmp_path, data=images(29)).run()
    ours, theirs = whole.tensors(), again.tensors()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert whole.result == again.result
    loaded, x = gl.load_network(tmp_path), torch.randn(2, 1, 29, 29)
    torch.testing.assert_close(loaded(x), whole.network.eval()(x))


def test_a_fixed_reduction_network_trains(tmp_path):
    frc = gl.network(NASNetGenotype(GENOTYPE.normal, None), channels=4, cells=3, classes=3, image_channels=1)
    run = gl.Training(frc, images(8), recipe=recipe(epochs=2, drop_path=0.3), out=tmp_path).run()
    assert run.result["test"].count == 12


def test_what_does_not_fit_is_refused_before_training():
    with pytest.raises(ValueError, match="no auxiliary head; build it with auxiliary=True, or train it with an"):
        gl.Training(network(), images(32), recipe="paper")
    with pytest.raises(ValueError, match="images of 8 x 8 pixels are too small for the auxiliary head"):
        gl.Training(network(auxiliary=True), images(8), recipe="paper")
    with pytest.raises(ValueError, match="images of 8 x 8 pixels are too small for the stem"):
        gl.Training(network(stem="imagenet"), images(8), recipe="smoke")
    other = gl.network(gl.NASBench201Genotype(("skip_connect",) * 6), 4, 1, 3, 1)
    with pytest.raises(ValueError, match="have neither drop path nor an auxiliary head, but the recipe has drop_path=0.2"):
        gl.Training(other, images(8), recipe=replace(gl.training_recipe("smoke", "nasbench201"), drop_path=0.2))
