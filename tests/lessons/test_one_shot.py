"""Cells scored inside the supernet: by hand with the statistics of the batch, in evaluation mode with running ones."""

from __future__ import annotations

import pytest
import torch

import gdas_lite as gl
from gdas_lite.lessons.failures import one_shot_accuracy

SPACE = gl.NASBench201(4, 1, track_running_stats=True)
CELL = gl.NASBench201Genotype.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|")


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return SPACE.supernet(3, 1)


@pytest.fixture(scope="module")
def batches():
    noise = torch.Generator().manual_seed(0)
    return [(3 * torch.randn(count, 1, 8, 8, generator=noise) + 1, torch.randint(3, (count,), generator=noise))
            for count in (40, 24)]


def slow(supernet, batches, statistics) -> float:
    """Every batch norm computed from its definition, by hooks on the layers."""
    from torch import nn

    def normalise(layer, inputs, output):
        x = inputs[0]
        mean, var = (layer.running_mean, layer.running_var) if statistics == "running" else (
            x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False))
        out = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + layer.eps)
        return out if layer.weight is None else out * layer.weight[:, None, None] + layer.bias[:, None, None]

    norms = [module for module in supernet.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(normalise) for norm in norms]
    state = {name: value.clone() for name, value in supernet.state_dict().items()}
    right = 0
    with torch.no_grad():
        for x, y in batches:
            right += (supernet(x, SPACE.mixtures(CELL)).argmax(-1) == y).sum().item()
            supernet.load_state_dict(state)
    for hook in hooks:
        hook.remove()
    return 100 * right / sum(len(y) for _, y in batches)


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_against_batch_norm_by_its_definition(supernet, batches, statistics):
    with torch.no_grad():       # estimates that are those of no batch
        for name, value in supernet.named_buffers():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=torch.Generator().manual_seed(len(name))) + 0.5)
    found = one_shot_accuracy(supernet, SPACE.mixtures(CELL), batches, statistics)
    assert found == pytest.approx(slow(supernet, batches, statistics))


def test_the_two_kinds_differ(supernet, batches):
    scores = {statistics: one_shot_accuracy(supernet, SPACE.mixtures(CELL), batches, statistics)
              for statistics in ("batch", "running")}
    assert scores["batch"] != scores["running"]


@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("training", [True, False])
def test_the_supernet_is_left_as_it_was(supernet, batches, statistics, training):
    supernet.train(training)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    one_shot_accuracy(supernet, SPACE.mixtures(CELL), batches, statistics)
    assert supernet.training is training
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())


def test_what_cannot_be_scored_is_refused(supernet, batches):
    with pytest.raises(ValueError, match="must be 'batch' or 'running', got 'both'"):
        one_shot_accuracy(supernet, SPACE.mixtures(CELL), batches, "both")
    with pytest.raises(ValueError, match="there is no batch"):
        one_shot_accuracy(supernet, SPACE.mixtures(CELL), [], "batch")
