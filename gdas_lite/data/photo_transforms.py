"""How a photograph becomes a square of pixels for ImageNet training and evaluation, by lineage.

Sources: quark0/darts and the original GDAS code ("darts"); AutoDL-Projects ("autodl"). The transforms themselves are
torchvision's, on PIL pictures, as both codes use them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from .pictures import _reason

Lineage = Literal["darts", "autodl"]
LINEAGES = ("darts", "autodl")

# AutoDL-Projects: principal components of ImageNet's colours, for pixels scaled to 0..1.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


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
    """

    lineage: Lineage = "darts"
    lighting_scale: float = 1.0
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.lineage not in LINEAGES:
            raise ValueError(f"lineage must be one of {', '.join(LINEAGES)}, got {self.lineage!r}")
        if self.lighting_scale < 0 or self.cutout < 0:
            raise ValueError(f"lighting_scale and cutout must be >= 0, got {self.lighting_scale} and {self.cutout}")

    def transform(self, size: int) -> Callable[[Any], Any]:
        """PIL picture to PIL picture of `size` x `size`; draws from PyTorch's global CPU generator (see `seeded`)."""
        from torchvision import transforms

        crop, flip = transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()
        jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.2)
        if self.lineage == "darts":
            return transforms.Compose([crop, flip, jitter])
        return transforms.Compose([crop, jitter, RandomLighting(0.1, self.lighting_scale), flip])


class RandomLighting:
    """`lighting` with normally distributed strengths of standard deviation `std`."""

    def __init__(self, std: float, scale: float) -> None:
        self.std, self.scale = std, scale

    def __call__(self, picture: Any) -> Any:
        return lighting(picture, (torch.randn(3) * self.std).numpy(), self.scale)


def lighting(picture: Any, strengths: np.ndarray, scale: float) -> Any:
    """Shift all pixels along the principal components of ImageNet's colours.

    Source: AutoDL-Projects (idea: AlexNet). strengths (3,), one a component. The sum is clipped to 0..255 and cut off
    to whole numbers, so with scale 1, where the shift is below one level, a channel stays or falls by one.
    """
    from PIL import Image

    shift = EIGENVECTORS @ (strengths.astype(np.float64) * EIGENVALUES) * scale         # (3,)
    return Image.fromarray(np.clip(np.asarray(picture) + shift, 0, 255).astype(np.uint8))


def evaluation_transform(size: int) -> Callable[[Any], Any]:
    """Shorter side to size * 256 / 224 pixels, then the centre (both codes, for 224: 256)."""
    from torchvision import transforms

    return transforms.Compose([transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size)])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, PyTorch's global CPU generator stands at `seed`; outside it is as it was.."""
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


def open_photo(path: str | Path) -> Any:
    """The PIL picture of a file, decoded, in RGB; not turned by EXIF, as torchvision's ImageFolder.

    Raises ValueError with the reason if it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(_reason(error)) from error     # which of these a damaged file raises depends on its format
