"""Drop path: statistics, masks per image, and the rate's schedule."""

from __future__ import annotations

import pytest
import torch

from gdas_lite.runs.schedules import drop_path_at
from gdas_lite.spaces.operations import DropPath


def masks(rate: float, count: int = 50, batch: int = 200, seed: int = 0) -> torch.Tensor:
    return DropPath(rate, torch.Generator().manual_seed(seed)).masks(count, torch.zeros(batch, 3, 2, 2))


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.6])
def test_entries_are_zero_or_rescaled_and_the_mean_is_one(rate):
    drawn = masks(rate)
    assert drawn.shape == (50, 200, 1, 1, 1)
    torch.testing.assert_close(drawn.unique(), torch.tensor([0.0, 1 / (1 - rate)]))
    share, deviation = (drawn == 0).float().mean().item(), (rate * (1 - rate) / 10_000) ** 0.5
    assert abs(share - rate) < 4 * deviation
    assert abs(drawn.mean().item() - 1) < 4 * deviation / (1 - rate)


def test_images_and_masks_are_dropped_independently():
    dropped = (masks(0.5, count=400, batch=400) == 0).float().flatten(1)
    for pairs in (dropped[:-1] * dropped[1:], dropped[:, :-1] * dropped[:, 1:]):
        assert abs(pairs.mean().item() - 0.25) < 0.006        # 4 standard deviations of some 160,000 draws, correlated


def test_a_seed_gives_the_same_masks_and_the_generator_moves_on():
    torch.testing.assert_close(masks(0.4, seed=3), masks(0.4, seed=3))
    drop_path = DropPath(0.4, torch.Generator().manual_seed(3))
    first, second = (drop_path.masks(5, torch.zeros(8, 1, 1, 1)) for _ in range(2))
    assert not torch.equal(first, second)


def test_rate_grows_linearly_and_never_reaches_its_end():
    assert [drop_path_at(0.2, epoch, 600) for epoch in (0, 300, 599)] == [0, 0.1, 0.2 * 599 / 600]


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match="must be in 0 <= rate < 1"):
        DropPath(rate, torch.Generator())
