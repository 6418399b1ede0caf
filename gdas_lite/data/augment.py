"""Augmentation of whole batches: crop with padding, flip, normalisation, cutout.

A picture pipeline that works image by image decodes, crops and converts a few thousand images a second. Here
a batch of uint8 images is cropped and flipped by **one** gather and then normalised; every image still has
its own random draw. The draws come in as arguments, so each function is a plain formula that a test can check
exactly.

Sources: AutoDL-Projects (flip, random crop with padding, to tensor, normalise, cutout), DARTS paper,
appendix A.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to a training image, in this order: flip, crop, (normalisation,) cutout.

    padding: black pixels put on each side before a crop of the old size (CIFAR 4, ImageNet16-120 2).
    flip: mirror left and right with probability 0.5.
    cutout: side in pixels of the square that is set to 0 after normalisation (CIFAR 16); 0 is none.

    Raises ValueError if padding or cutout is not a whole number >= 0.
    """

    padding: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        for field in ("padding", "cutout"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(
                    f"Augmentation: {field} must be a whole number of pixels >= 0, got {value!r}"
                )
        if not isinstance(self.flip, bool):
            raise ValueError(f"Augmentation: flip must be True or False, got {self.flip!r}")


class Draws(NamedTuple):
    """The random numbers of a batch, one of each an image: int64 tensors of shape (batch,)."""

    top: Tensor  # first row of the crop, 0..2 * padding
    left: Tensor  # first column of the crop, 0..2 * padding
    flipped: Tensor  # 1 = mirrored
    centre_y: Tensor  # centre of the cutout square, any pixel of the image
    centre_x: Tensor

    def part(self, start: int, stop: int) -> Draws:
        """The draws of images start..stop-1."""
        return Draws(*(row[start:stop] for row in self))

    def to(self, device: torch.device | str) -> Draws:
        """The same draws on `device`, in one transfer that the host does not wait for."""
        return Draws(*torch.stack(self).to(device, non_blocking=True).unbind())


def random_draws(
    count: int, height: int, width: int, augmentation: Augmentation, generator: torch.Generator
) -> Draws:
    """Draw the random numbers for `count` images from a CPU generator; what is switched off draws nothing.

    Every crop offset, both mirror states and every cutout centre are equally likely.
    """

    def below(limit: int, wanted: bool = True) -> Tensor:
        if not wanted or count == 0:
            return torch.zeros(count, dtype=torch.int64)
        return torch.randint(limit, (count,), generator=generator)

    shifts = 2 * augmentation.padding + 1
    return Draws(
        top=below(shifts, augmentation.padding > 0),
        left=below(shifts, augmentation.padding > 0),
        flipped=below(2, augmentation.flip),
        centre_y=below(height, augmentation.cutout > 0),
        centre_x=below(width, augmentation.cutout > 0),
    )


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(pixel / 255 - mean) / std for each channel, bit for bit as torchvision's ToTensor and Normalize.

    Shapes: images uint8 (batch, channels, height, width); mean, std float32 (channels,).
    Result: float32 of the same shape, in channels_last memory.
    """
    batch, channels, height, width = images.shape
    flat = images.permute(0, 2, 3, 1).reshape(batch, height * width * channels)
    # mean and std are repeated to a whole image: an inner loop of 3 channels would cost several times as much
    pixels = flat.float().div_(255).sub_(mean.repeat(height * width)).div_(std.repeat(height * width))
    return pixels.view(batch, height, width, channels).permute(0, 3, 1, 2)


def crop_flip(images: Tensor, top: Tensor, left: Tensor, flipped: Tensor, *, padding: int) -> Tensor:
    """Mirror each image where `flipped` is 1, put `padding` zero pixels around it, cut its own window out.

    Shapes: images (batch, channels, height, width); top, left, flipped int64 (batch,).
    Ranges: top and left 0..2 * padding (padding = the middle), flipped 0 or 1.
    Result: as images, in channels_last memory.
    """
    batch, channels, height, width = images.shape
    rows = images.permute(0, 2, 3, 1)  # (batch, height, width, channels)
    inside = (..., slice(padding, padding + height), slice(padding, padding + width), slice(None))
    padded = rows.new_zeros(2, batch, height + 2 * padding, width + 2 * padding, channels)
    padded[0][inside] = rows
    padded[1][inside] = rows.flip(2)

    # A view that has every window of every image, mirrored or not. One index then picks a window for each
    # image, and only whole rows of bytes are copied: (2, batch, tops, lefts, height, width * channels).
    mirror, image, row, pixel, _ = padded.stride()
    shifts = 2 * padding + 1
    windows = padded.as_strided(
        (2, batch, shifts, shifts, height, width * channels), (mirror, image, row, pixel, row, 1)
    )
    picked = windows[flipped, torch.arange(batch, device=images.device), top, left]
    return picked.view(batch, height, width, channels).permute(0, 3, 1, 2)


def crop_flip_normalise(
    images: Tensor, top: Tensor, left: Tensor, flipped: Tensor, *, padding: int, mean: Tensor, std: Tensor
) -> Tensor:
    """`crop_flip`, then `normalise`: padding is therefore black, not the mean colour, as in torchvision."""
    return normalise(crop_flip(images, top, left, flipped, padding=padding), mean, std)


def cutout(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, *, length: int) -> Tensor:
    """Set a square of side `length` around each image's centre to 0; the part outside the image is lost.

    Source: AutoDL-Projects: rows from centre - length // 2 on, `length` of them; the same for columns.
    Applied after normalisation, so 0 is the mean colour.
    Shapes: pixels float (batch, channels, height, width); centre_y, centre_x int64 (batch,).
    Result: as pixels, in channels_last memory.
    """
    batch, channels, height, width = pixels.shape

    def covered(size: int, centre: Tensor) -> Tensor:  # (batch, size): 1 inside the square, 0 outside
        offset = torch.arange(size, device=pixels.device) - (centre - length // 2).unsqueeze(1)
        return ((offset >= 0) & (offset < length)).to(pixels.dtype)

    rows = covered(height, centre_y).unsqueeze(2)  # (batch, height, 1)
    columns = covered(width, centre_x).unsqueeze(1)  # (batch, 1, width)
    columns = columns.repeat_interleave(channels, dim=2)  # (batch, 1, width * channels)
    # (1 - rows * columns) * pixels, whole rows at a time as in `normalise`, and in one buffer
    kept = torch.addcmul(pixels.new_ones(()), rows, columns, value=-1)
    kept.mul_(pixels.permute(0, 2, 3, 1).reshape(batch, height, width * channels))
    return kept.view(batch, height, width, channels).permute(0, 3, 1, 2)
