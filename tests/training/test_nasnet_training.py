"""Training NASNet networks: the auxiliary loss, label smoothing, drop path, resuming, and what does not fit."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

import gdas_lite as gl
from gdas_lite.data.images import Augmentation, ImageData, ImageSet
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.genotypes.nasnet import NASNetGenotype

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
