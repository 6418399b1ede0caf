"""Whole-batch augmentation against torchvision, one image at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as one_image

from gdas_lite.data.augment import (
    Augmentation,
    crop_flip,
    cutout,
    normalise,
    random_draws,
)


def random_images(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def slow(image, top, left, flipped, padding, mean, std):
    """Flip, pad, crop, to tensor, normalise: torchvision's functions on a single PIL image."""
    picture = one_image.to_pil_image(image)
    if flipped:
        picture = one_image.hflip(picture)
    picture = one_image.pad(picture, padding)
    picture = one_image.crop(picture, top, left, image.shape[1], image.shape[2])
    return one_image.normalize(one_image.to_tensor(picture), mean, std)


@pytest.mark.parametrize(
    "channels, height, width, padding", [(3, 32, 32, 4), (1, 8, 8, 1), (3, 5, 9, 2), (3, 16, 16, 0)]
)
def test_crop_flip_and_normalise_equal_torchvision_bit_for_bit(channels, height, width, padding):
    # every offset and both mirror states, so also all corners
    shifts = range(2 * padding + 1)
    cases = [(top, left, flipped) for top in shifts for left in shifts for flipped in (0, 1)]
    images = random_images(len(cases), channels, height, width)
    mean, std = [0.49, 0.48, 0.45][:channels], [0.25, 0.24, 0.26][:channels]
    top, left, flipped = torch.tensor(cases).unbind(1)

    fast = normalise(crop_flip(images, top, left, flipped, padding=padding), torch.tensor(mean), torch.tensor(std))

    expected = [slow(image, *case, padding, mean, std) for image, case in zip(images, cases)]
    assert torch.equal(fast, torch.stack(expected))
    assert fast.dtype == torch.float32
    assert fast.is_contiguous(memory_format=torch.channels_last)


def test_the_middle_crop_without_flip_changes_nothing_and_leaves_the_input_alone():
    images = random_images(6, 3, 7, 7)
    before = images.clone()
    middle, never = torch.full((6,), 2), torch.zeros(6, dtype=torch.int64)
    assert torch.equal(crop_flip(images, middle, middle, never, padding=2), images)
    crop_flip(images, never, never, never + 1, padding=2)
    assert torch.equal(images, before)


def test_padding_is_black_before_normalisation():
    white = torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)
    corner, mean, std = torch.zeros(1, dtype=torch.int64), torch.tensor([0.5]), torch.tensor([0.25])
    x = normalise(crop_flip(white, corner, corner, corner, padding=1), mean, std)
    assert x[0, 0, 0].tolist() == [-2.0] * 4  # (0 - 0.5) / 0.25
    assert x[0, 0, 1].tolist() == [-2.0, 2.0, 2.0, 2.0]


def test_normalise_takes_any_memory_layout():
    images = random_images(4, 3, 6, 6)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    expected = ((images / 255) - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    for same in (images, images.contiguous(memory_format=torch.channels_last), images.mT.contiguous().mT):
        assert torch.equal(normalise(same, mean, std), expected)


def slow_cutout(image: np.ndarray, centre_y: int, centre_x: int, length: int) -> np.ndarray:
    """Pixel by pixel: zero where both distances from the square's first row and column are in 0..length-1."""
    result = image.copy()
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            if 0 <= y - (centre_y - length // 2) < length and 0 <= x - (centre_x - length // 2) < length:
                result[:, y, x] = 0
    return result


@pytest.mark.parametrize("length", [1, 2, 3, 4, 16])
def test_cutout_equals_the_loop_over_pixels(length):
    height, width = 6, 8
    centres = [(y, x) for y in range(height) for x in range(width)]
    pixels = torch.randn(len(centres), 2, height, width, generator=torch.Generator().manual_seed(1)) - 5
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    centre_y, centre_x = torch.tensor(centres).unbind(1)

    fast = cutout(pixels, centre_y, centre_x, length=length)

    expected = [slow_cutout(image.numpy(), *centre, length) for image, centre in zip(pixels, centres)]
    assert np.array_equal(fast.numpy(), np.stack(expected))
    assert fast.is_contiguous(memory_format=torch.channels_last)


def test_cutout_of_16_is_the_square_of_the_reference():
    # AutoDL-Projects: rows clip(y - 8, 0, 32) up to clip(y + 8, 0, 32)
    x = cutout(torch.ones(2, 1, 32, 32), torch.tensor([10, 0]), torch.tensor([20, 31]), length=16)
    assert (x[0, 0] == 0).nonzero().amin(0).tolist() == [2, 12]
    assert (x[0, 0] == 0).nonzero().amax(0).tolist() == [17, 27]
    assert int((x[0] == 0).sum()) == 256
    assert int((x[1] == 0).sum()) == 8 * 9  # clipped at the upper right corner: rows 0..7, columns 23..31


def test_draws_are_uniform_over_offsets_mirrors_and_centres():
    count = 20_000
    draws = random_draws(count, 6, 8, Augmentation(2, True, 4), torch.Generator().manual_seed(0))
    for row, limit in zip(draws, (5, 5, 2, 6, 8)):
        counts = torch.bincount(row, minlength=limit)
        assert len(counts) == limit
        expected = count / limit
        chi_square = float(((counts - expected) ** 2 / expected).sum())
        assert chi_square < 25  # the 99.9% point of 7 degrees of freedom is 24.3
    assert all(len(row.unique()) == 8 for row in random_draws(100, 8, 8, Augmentation(cutout=1), torch.Generator())[3:])
    centred = torch.stack([row - row.float().mean() for row in draws])
    assert float(torch.corrcoef(centred).fill_diagonal_(0).abs().max()) < 0.03  # 4 standard errors


def test_what_is_switched_off_draws_nothing():
    generator = torch.Generator().manual_seed(5)
    before = generator.get_state()
    draws = random_draws(7, 32, 32, Augmentation(), generator)
    assert torch.equal(generator.get_state(), before)
    assert all(row.tolist() == [0] * 7 for row in draws)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"padding": -1}, "padding must be at least 0 and at most 10,000, a whole number, got -1"),
        ({"padding": 1.5}, "padding must be .* a whole number, got 1.5"),
        ({"cutout": -16}, "cutout must be .* a whole number, got -16"),
        ({"cutout": True}, "cutout must be"),
        ({"flip": 0.5}, "flip must be true or false, got 0.5"),
    ],
)
def test_impossible_augmentations_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**wrong)
