"""Decode one picture file into a square of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PICTURE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"]
)


def read_picture(path: Path, size: int, grey: bool) -> np.ndarray:
    """Read a picture, scale its shorter side to `size` pixels, cut out the centre.

    As torchvision's Resize(size) and CenterCrop(size), after turning the picture as its camera says (EXIF).
    Result: uint8 (size, size, 1 if grey else 3). Transparency is dropped.
    Raises ValueError, with the reason, if the file is no picture, damaged, or of a pixel type we do not know.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            picture = _eight_bit(ImageOps.exif_transpose(opened)).convert("L" if grey else "RGB")
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, Image.DecompressionBombError) as error:
        # which of these a damaged file raises depends on its format
        raise ValueError(_reason(error)) from error
    width, height = picture.size
    shorter = min(width, height)
    scaled = (int(size * width / shorter), int(size * height / shorter))
    picture = picture.resize(scaled, Image.Resampling.BILINEAR)
    left, top = round((scaled[0] - size) / 2), round((scaled[1] - size) / 2)
    pixels = np.asarray(picture.crop((left, top, left + size, top + size)))
    return pixels.reshape(size, size, 1 if grey else 3)


def _eight_bit(picture):
    """The picture in a mode whose conversion to L or RGB keeps what is seen."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits; PIL's own conversion would cut bright pixels off at 255
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its grey values do not fit into 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("its pixels are real numbers of unknown range")
    if picture.mode in ("P", "PA"):  # a palette may hold transparent colours, which RGB cannot
        return picture.convert("RGBA")
    return picture


def _reason(error: Exception) -> str:
    text = str(error)
    return "not a picture" if text.startswith("cannot identify image file") else text or type(error).__name__
