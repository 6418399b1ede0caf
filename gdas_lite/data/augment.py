"""Augmentation: crop, flip, normalisation and cutout of whole batches on the device; transforms of single photographs.

A batch of small uint8 images is cropped and flipped by **one** gather, then normalised; every image still has its own
random draw. The draws come in as arguments, so each function is a plain formula that a test can check exactly.

Sources: AutoDL-Projects (flip, random crop with padding, to tensor, normalise, cutout), DARTS paper, appendix A.2. Of
photographs, by lineage: quark0/darts and the original GDAS code ("darts"); AutoDL-Projects ("autodl").
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..runs.resumable import seeded  # noqa: F401  (what a transform draws with)
from ..runs.schema import Range, Rate, check_fields

Lineage = Literal["darts", "autodl"]
Pixels = Annotated[int, Range(0, 10_000, whole=True)]
# AutoDL-Projects: principal components of ImageNet's colours, for pixels scaled to 0..1.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to a training image, in this order: flip, crop, (normalisation,) cutout.

    padding: black pixels put on each side before a crop of the old size (CIFAR 4, ImageNet16-120 2).
    flip: mirror left and right with probability 0.5.
    cutout: side in pixels of the square that is set to 0 after normalisation (CIFAR 16); 0 is none.
    Raises ValueError if padding or cutout is not a whole number >= 0.
    """

    padding: Pixels = 0
    flip: bool = False
    cutout: Pixels = 0

    def __post_init__(self) -> None:
        check_fields(self, "Augmentation")


class Draws(NamedTuple):
    """The random numbers of a batch, one of each an image: int64 tensors of shape (batch,)."""

    top: Tensor  # first row of the crop, 0..2 * padding
    left: Tensor  # first column of the crop, 0..2 * padding
    flipped: Tensor  # 1 = mirrored
    centre_y: Tensor  # centre of the cutout square, any pixel of the image
    centre_x: Tensor


def random_draws(count: int, height: int, width: int, augmentation: Augmentation, generator: torch.Generator) -> Draws:
    """Draws the random numbers for `count` images from a CPU generator; what is switched off draws nothing.

    Every crop offset, both mirror states and every cutout centre are equally likely.
    """
    def below(limit: int, wanted: bool) -> Tensor:
        drawn = torch.randint(limit, (count,), generator=generator) if wanted and count else None
        return torch.zeros(count, dtype=torch.int64) if drawn is None else drawn

    shifts = 2 * augmentation.padding + 1
    moves, cuts = augmentation.padding > 0, augmentation.cutout > 0
    return Draws(top=below(shifts, moves), left=below(shifts, moves), flipped=below(2, augmentation.flip),
                 centre_y=below(height, cuts), centre_x=below(width, cuts))


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Returns (pixel / 255 - mean) / std for each channel, bit for bit as torchvision's ToTensor and Normalize.

    Shapes: images uint8 (batch, channels, height, width); mean, std float32 (channels,); result float32 as images, in
    channels_last memory.
    """
    batch, channels, height, width = images.shape
    flat = images.permute(0, 2, 3, 1).reshape(batch, height * width * channels)
    # mean and std are repeated to a whole image: an inner loop of 3 channels would cost several times as much
    pixels = flat.float().div_(255).sub_(mean.repeat(height * width)).div_(std.repeat(height * width))
    return pixels.view(batch, height, width, channels).permute(0, 3, 1, 2)


def crop_flip(images: Tensor, top: Tensor, left: Tensor, flipped: Tensor, *, padding: int) -> Tensor:
    """Mirrors each image where `flipped` is 1, puts `padding` zero pixels around it, cuts its own window out.

    Shapes: images and result (batch, channels, height, width), the result in channels_last memory; int64 (batch,): top
    and left 0..2 * padding (padding = the middle), flipped 0 or 1.
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
    windows = padded.as_strided((2, batch, shifts, shifts, height, width * channels),
                                (mirror, image, row, pixel, row, 1))
    picked = windows[flipped, torch.arange(batch, device=images.device), top, left]
    return picked.view(batch, height, width, channels).permute(0, 3, 1, 2)


def cutout(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, *, length: int) -> Tensor:
    """Sets a square of side `length` around each image's centre to 0; the part outside the image is lost.

    Source: AutoDL-Projects: rows from centre - length // 2 on, `length` of them; the same for columns. Applied after
    normalisation, so 0 is the mean colour.
    Shapes: pixels float (batch, channels, height, width); centre_y, centre_x int64 (batch,); result as pixels, in
    channels_last memory.
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


@dataclass(frozen=True)
class PhotoAugmentation:
    """The training augmentation of photographs.

    "darts" (quark0/darts; original GDAS code, which made the published ImageNet results): random resized crop, flip,
        colour jitter of brightness, contrast and saturation 0.4 and hue 0.2.
    "autodl" (AutoDL-Projects): random resized crop, the same colour jitter, PCA lighting 0.1, flip.
    lighting_scale: what the lighting's colour shift is multiplied with. 1 is the code's: it adds a shift made for
        pixels in 0..1 to pixels in 0..255, so at most one grey level changes. 255 is what was surely meant; no
        published number was made with it.
    cutout: side of a square erased after normalisation, pixels, 0 for none (both codes).
    Raises ValueError for an unknown lineage or a number that is negative or not finite.
    """

    lineage: Lineage = "darts"
    lighting_scale: Rate = 1.0
    cutout: Pixels = 0

    def __post_init__(self) -> None:
        check_fields(self, "PhotoAugmentation")

    def transform(self, size: int) -> Callable[[Any], Any]:
        """Returns PIL picture to PIL picture of `size` x `size`; draws from the global CPU generator (`seeded`)."""
        from torchvision import transforms
        crop, flip = transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()
        jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.2)
        if self.lineage == "darts":
            return transforms.Compose([crop, flip, jitter])
        return transforms.Compose([crop, jitter, self._lit, flip])

    def _lit(self, picture: Any) -> Any:
        return lighting(picture, (torch.randn(3) * 0.1).numpy(), self.lighting_scale)


def lighting(picture: Any, strengths: np.ndarray, scale: float) -> Any:
    """Returns the picture with all pixels shifted along the principal components of ImageNet's colours.

    Source: AutoDL-Projects (idea: AlexNet). strengths (3,), one a component. The sum is clipped to 0..255 and cut off
    to whole numbers, so with scale 1, where the shift is below one level, a channel stays or falls by one.
    """
    from PIL import Image
    shift = EIGENVECTORS @ (strengths.astype(np.float64) * EIGENVALUES) * scale         # (3,)
    return Image.fromarray(np.clip(np.asarray(picture) + shift, 0, 255).astype(np.uint8))
