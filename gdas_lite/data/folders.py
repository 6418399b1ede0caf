"""Your own pictures: a folder that holds one folder of pictures for each class.

flowers/daisy/*.jpg        flowers/rose/*.jpg ...         test pictures are taken out by a fixed rule
flowers/train/daisy/*.jpg  flowers/val/daisy/*.jpg ...    the test pictures are those in val/ (or test/)

Decode one picture file into a square of pixels.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from .augment import Augmentation
from .images import ImageData, ImageSet
from .splits import stratified_parts

OnError = Literal["raise", "skip"]


_NAMED_IN_A_MESSAGE = 5  # files


def load_folder(
    path: str | os.PathLike,
    *,
    image_size: int = 32,
    grey: bool = False,
    test_fraction: float = 0.2,
    on_error: OnError = "raise",
) -> ImageData:
    """Make an image data set of a folder of class folders.

    Classes: the names of the class folders, in alphabetical order.
    image_size: each picture's shorter side is scaled to this many pixels, then the centre is cut out.
    grey: one channel instead of three.
    test_fraction: share of each class that is kept for "test" where there is no folder val/ or test/.
    on_error: "raise" names the pictures that cannot be read and stops; "skip" names them in a warning and
        goes on without them.

    Split: within each class by the SHA-256 of class/file name, so it is the same on every machine; the
    training pictures are halved for the search in the same way. mean and std are those of the training
    pictures.
    Augmentation: flip, and a shift by up to an eighth of the size, as CIFAR's 4 pixels in 32.

    Raises FileNotFoundError or ValueError, in one sentence, if this cannot be made into a data set.
    """
    folder = Path(path).expanduser()
    _check_options(folder, image_size, test_fraction, on_error)
    train_folder, test_folders = _layout(folder)
    class_names = _class_names(train_folder)
    files = {"train": _picture_files(train_folder, class_names)}
    files |= {name: _picture_files(test, class_names) for name, test in test_folders.items()}
    sets, paths = _read_all(files, image_size, grey, on_error)

    train, evaluation = sets.pop("train"), sets
    keys = [path.relative_to(train_folder).as_posix() for path in paths["train"]]
    if not evaluation:
        kept, test = stratified_parts(train.labels.numpy(), keys, (1 - test_fraction, test_fraction))
        evaluation = {"test": train.subset(test)}
        train, keys = train.subset(kept), [keys[index] for index in kept]
    halves = [train.subset(part) for part in stratified_parts(train.labels.numpy(), keys, (0.5, 0.5))]
    _check_parts(folder, class_names, {"train half": halves[0], "valid half": halves[1]}, evaluation)
    mean, std = channel_statistics(train)
    return ImageData(
        name=folder.resolve().name,
        classes=len(class_names),
        class_names=class_names,
        image_size=image_size,
        image_channels=1 if grey else 3,
        mean=mean,
        std=std,
        augmentation=Augmentation(padding=round(image_size / 8), flip=True),
        train=train,
        train_half=halves[0],
        valid_half=halves[1],
        evaluation=evaluation,
    )


def channel_statistics(image_set: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels, for pixels scaled to 0..1.

    Exact, from the counts of the 256 grey values. Raises ValueError if all pixels of a channel are the same.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(image_set.images.shape[1]):
        counts = np.bincount(image_set.images[:, channel].reshape(-1).numpy(), minlength=256)
        share = counts / counts.sum()
        mean = float(share @ values)
        variance = float(share @ (values - mean) ** 2)
        if variance == 0:
            raise ValueError(
                f"every pixel of channel {channel} is {mean * 255:.0f}; there is nothing to learn from it"
            )
        means.append(mean)
        stds.append(variance**0.5)
    return tuple(means), tuple(stds)


def _check_options(folder: Path, image_size: int, test_fraction: float, on_error: str) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; give the folder that holds your class folders")
    if image_size < 4:
        raise ValueError(f"image_size must be at least 4 pixels, got {image_size}")
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, got {test_fraction}")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")


def _layout(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Where the training classes are, and the named folders of test classes, if there are any."""
    given = {name: folder / name for name in ("val", "valid", "test") if (folder / name).is_dir()}
    if not (folder / "train").is_dir():
        return folder, {}
    if len(given) == 1:  # whatever it is called, it is what we test on
        given = {"test": next(iter(given.values()))}
    return folder / "train", given


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))
    )
    if len(names) >= 2:
        return tuple(names)
    if names:
        raise ValueError(
            f"{folder} has only one class folder, '{names[0]}'; a classification needs at least two"
        )
    loose = any(entry.suffix.lower() in PICTURE_SUFFIXES for entry in folder.iterdir())
    raise ValueError(
        f"{folder} holds {'pictures but ' if loose else ''}no class folders; "
        "put the pictures of each class into a folder of their own"
    )


def _picture_files(folder: Path, class_names: tuple[str, ...]) -> list[tuple[Path, int]]:
    """The picture files below each class folder with their labels, in alphabetical order."""
    strangers = sorted(set(_class_names(folder)) - set(class_names))
    if strangers:
        raise ValueError(
            f"{folder} has the class '{strangers[0]}', which is not among the training classes {class_names}"
        )
    found = []
    for label, name in enumerate(class_names):
        paths = sorted((folder / name).rglob("*"))
        found += [
            (path, label)
            for path in paths
            if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
        ]
    return found


def _read_all(
    files: dict[str, list[tuple[Path, int]]], image_size: int, grey: bool, on_error: OnError
) -> tuple[dict[str, ImageSet], dict[str, list[Path]]]:
    """For each named list of (file, label): the ImageSet of the readable files, and their paths."""
    sets, kept, failures = {}, {}, []
    for part, listed in files.items():
        pictures = _read_pictures([path for path, _ in listed], image_size, grey)
        good = [index for index, picture in enumerate(pictures) if not isinstance(picture, ValueError)]
        failures += [
            f"{path} ({picture})"
            for (path, _), picture in zip(listed, pictures)
            if isinstance(picture, ValueError)
        ]
        pixels = np.array([pictures[index] for index in good], dtype=np.uint8)
        pixels = pixels.reshape(-1, image_size, image_size, 1 if grey else 3)  # also where there is none
        sets[part] = ImageSet.from_arrays(pixels, [listed[index][1] for index in good])
        kept[part] = [listed[index][0] for index in good]
    _report(failures, sum(map(len, files.values())), on_error)
    return sets, kept


def _read_pictures(paths: list[Path], image_size: int, grey: bool) -> list[np.ndarray | ValueError]:
    def attempt(path: Path) -> np.ndarray | ValueError:
        try:
            return read_picture(path, image_size, grey)
        except ValueError as error:
            return error

    with ThreadPoolExecutor() as pool:  # decoding leaves Python's lock, so threads do run side by side
        return list(pool.map(attempt, paths))


def _report(failures: list[str], count: int, on_error: OnError) -> None:
    if not failures:
        return
    more = len(failures) - _NAMED_IN_A_MESSAGE
    named = ", ".join(failures[:_NAMED_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")
    summary = f"{len(failures)} of {count} pictures cannot be read: {named}"
    if on_error == "raise":
        raise ValueError(f"{summary}; remove or replace them, or load with on_error='skip'")
    warnings.warn(f"{summary}; they are left out", stacklevel=4)


def _check_parts(
    folder: Path, class_names: tuple[str, ...], halves: dict[str, ImageSet], evaluation: dict[str, ImageSet]
) -> None:
    """Every class must be in both halves, and no evaluation set may be empty."""
    for part, image_set in halves.items():
        counts = np.bincount(image_set.labels.numpy(), minlength=len(class_names))
        if counts.min() == 0:
            name = class_names[int(counts.argmin())]
            raise ValueError(
                f"{folder}: class '{name}' has too few readable pictures, none is left for the {part}; "
                "give each class at least 2 pictures for training and 1 for testing"
            )
    for part, image_set in evaluation.items():
        if len(image_set) == 0:
            raise ValueError(
                f"{folder}: no picture is left for '{part}'; add pictures or raise test_fraction"
            )


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
