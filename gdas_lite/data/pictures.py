"""A picture file as pixels. All who read pictures open them here: in memory, streamed from disk, and `predict`."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np

# Pillow knows some forty formats more; for one of them (EPS) it starts another program on the file.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
                    ".pbm", ".pnm")
MOST_PIXELS = 2**26         # 67 megapixels: ImageNet's largest has 61
MOST_OBLONG = 100           # times as long as wide
DARK = ("a picture of 16 bits uses less than a sixteenth of their range and is read as nearly black; if its "
        "values have 12 bits or fewer, save it with 8")
_OTHERS = {b"%!PS": "PostScript", b"%PDF": "PDF", b"ftypavif": "AVIF", b"ftypheic": "HEIC", b"ftypmif1": "HEIF",
           b"jP  ": "JPEG 2000"}
_ORIENTATION = 0x0112       # EXIF's tag; what to do for its values, by the names of PIL.Image.Transpose:
_TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
          8: "ROTATE_90"}
_BACK = {"ROTATE_90": "ROTATE_270", "ROTATE_270": "ROTATE_90"}      # the others undo themselves
_LARGE = 2**23              # pixels from which on a process decodes one picture at a time
_one_large = threading.Lock()


def is_picture_name(name: str) -> bool:
    """Returns whether a file's name has the suffix of a picture that is read."""
    return name.lower().endswith(PICTURE_SUFFIXES)


@dataclass(frozen=True)
class Reading:
    """How a picture file becomes the pixels that an evaluation is shown.

    It is turned as its camera says (upright=False: as it lies in the file; so torchvision's ImageFolder, but a TIFF),
    made grey or coloured, its shorter side scaled to `shorter_side` pixels, and the middle `size` x `size` cut out.
    Raises ValueError unless 1 <= size <= shorter_side and upright is True or False.
    """

    size: int
    shorter_side: int
    grey: bool = False
    upright: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.shorter_side:
            raise ValueError(f"a picture whose shorter side is scaled to {self.shorter_side} pixels has no middle of "
                             f"{self.size} x {self.size}")
        if not isinstance(self.upright, bool):
            raise ValueError(f"whether pictures are turned (upright) must be true or false, got {self.upright!r}")

    def cut(self, picture: Any) -> Any:
        """Returns a PIL picture scaled and cut."""
        from torchvision.transforms.functional import center_crop, resize

        return center_crop(resize(picture, self.shorter_side), self.size)

    def check_memory(self, count: int) -> None:
        """Raises ValueError if so many pictures, held twice for a moment, are more than this machine can hold."""
        needed, has = 2 * count * self.size**2 * (1 if self.grey else 3), physical_memory()
        if needed > has:
            raise ValueError(f"{count:,} pictures of {self.size} pixels need {needed / 1e9:.0f} GB of memory, this "
                             f"machine has {has / 1e9:.0f} GB; choose a smaller image_size, or streamed=True")

    def pixels(self, path: str | Path) -> tuple[np.ndarray, str]:
        """Returns uint8 (size, size, 1 if grey else 3), and a remark. Raises and remarks as `open_picture`."""
        picture, remark = open_picture(path, self.grey, self.upright)
        return np.asarray(self.cut(picture)).reshape(self.size, self.size, 1 if self.grey else 3), remark


def physical_memory() -> float:
    """Returns the bytes of memory that this machine has, infinite where the system does not say (Windows)."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else float("inf")


def photo_reading(size: int, upright: bool = True) -> Reading:
    """Returns how both codes read ImageNet's photographs: shorter side to size * 256 / 224 pixels, then the centre."""
    return Reading(size, round(size * 256 / 224), upright=upright)


def open_picture(path: str | Path, grey: bool = False, upright: bool = True) -> tuple[Any, str]:
    """Returns the PIL picture of a file, decoded, in mode L if grey, else RGB; and what should be said of it, or "".

    upright: turned as its camera says (EXIF), where that can be understood. Transparency is dropped. Of several
    pictures in a file it is the first.
    Raises ValueError, with the reason, if the file is no picture in one of FORMATS, damaged, larger than MOST_PIXELS,
    more than MOST_OBLONG times as long as wide, or of a pixel type that is not known.
    """
    from PIL import Image, UnidentifiedImageError

    Image.init()
    try:
        if not os.path.isfile(path):        # a pipe would be waited for
            raise ValueError("there is no file behind this name")
        with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as picture:
            _check_size(*picture.size)
            with _one_large if picture.width * picture.height >= _LARGE else nullcontext():
                is_deep = any(sign in str(picture.tile) for sign in (";16", "65535"))       # known until it is loaded
                way = _way(picture) if picture.format == "TIFF" else None
                picture.load()      # by which Pillow turns a TIFF itself
                way = _way(picture) if upright else _BACK.get(way, way)
                seen, remark = _eight_bit(picture.transpose(Image.Transpose[way]) if way else picture, is_deep)
                return seen.convert("L" if grey else "RGB"), remark
    except UnidentifiedImageError as error:
        with open(path, "rb") as file:
            start = file.read(12)
        other = next((name for sign, name in _OTHERS.items() if sign in start), None)
        raise ValueError(f"{other}, a format that is not read; save it as PNG or JPEG" if other else
                         "not a picture") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"it has more than the {MOST_PIXELS / 1e6:.0f} megapixels that are read; scale it "
                         "down") from error
    except Exception as error:      # what a damaged file raises depends on its format
        raise ValueError(str(error) or type(error).__name__) from error


def read_each(read: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Yields what `read` returns of each item, or the ValueError that it raised, in order.

    Threads do it: decoding leaves Python's lock, so they run side by side.
    """
    def attempt(item: Any) -> Any:
        try:
            return read(item)
        except ValueError as error:
            return error

    with ThreadPool() as pool:
        yield from pool.imap(attempt, items, chunksize=8)


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise ValueError(f"it has {width * height / 1e6:.0f} megapixels, at most {MOST_PIXELS / 1e6:.0f} are read; "
                         "scale it down")
    if max(width, height) > MOST_OBLONG * min(width, height):
        raise ValueError(f"it has {width} x {height} pixels, more than {MOST_OBLONG} times as many one way as the "
                         "other")


def _way(picture: Any) -> str | None:
    """How a picture is to be turned, a name of PIL.Image.Transpose; None where it is upright."""
    try:
        return _TURNS.get(picture.getexif().get(_ORIENTATION))
    except Exception:       # a malformed block says nothing; the pixels are sound
        return None


def _eight_bit(picture: Any, is_deep: bool) -> tuple[Any, str]:
    """The picture in a mode whose conversion to L or RGB keeps what is seen, and a remark. is_deep: of 16 bits a
    channel, of which Pillow keeps the upper eight of coloured ones."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 or 32 bits; PIL's own conversion would cut bright pixels off at 255
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its grey values do not fit into 16 bits")
        fits = values.max() < 256       # 8 bits in a wide type
        return (Image.fromarray((values if fits else values >> 8).astype(np.uint8)),
                DARK if not fits and values.max() < 4096 else "")
    if picture.mode == "F":
        raise ValueError("its pixels are real numbers of unknown range")
    if picture.mode in ("P", "PA"):  # a palette may hold transparent colours, which RGB cannot
        return picture.convert("RGBA"), ""
    return picture, DARK if is_deep and np.asarray(picture.convert("RGB")).max() < 16 else ""
