"""Your own pictures: a folder that holds one folder of pictures for each class.

    flowers/daisy/*.jpg        flowers/rose/*.jpg ...         test pictures are taken out by a fixed rule
    flowers/train/daisy/*.jpg  flowers/val/daisy/*.jpg ...    the test pictures are those in val/ (or test/)
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .augment import Augmentation
from .images import ImageData, ImageSet
from .splits import stratified_parts

OnError = Literal["raise", "skip"]
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_NAMED_IN_A_MESSAGE = 5  # files


def load_folder(path: str | os.PathLike, *, image_size: int = 32, grey: bool = False, test_fraction: float = 0.2,
                on_error: OnError = "raise") -> ImageData:
    """Returns an image data set made of a folder of class folders.

    Classes: the names of the class folders, in alphabetical order.
    image_size: each picture's shorter side is scaled to this many pixels, then the centre is cut out.
    grey: one channel instead of three.
    test_fraction: share of each class that is kept for "test" where there is no folder val/ or test/.
    on_error: "raise" names the pictures that cannot be read and stops; "skip" names them in a warning and goes on
        without them.

    Split: within each class by the SHA-256 of class/file name, so it is the same on every machine; the training
    pictures are halved for the search in the same way. mean and std are those of the training pictures.
    Augmentation: flip, and a shift by up to an eighth of the size, as CIFAR's 4 pixels in 32.
    Raises FileNotFoundError or ValueError, in one sentence, if this cannot be made into a data set.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; give the folder that holds your class folders")
    check_options(image_size, on_error)
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, got {test_fraction}")
    train_folder, test_folders = _layout(folder)
    class_names = class_names_of(train_folder)
    files = {name: sorted((label, Path(file)) for file, label in picture_files(where, class_names))
             for name, where in {"train": train_folder, **test_folders}.items()}
    evaluation, paths = _read_all(files, image_size, grey, on_error)

    train = evaluation.pop("train")
    keys = [file.relative_to(train_folder).as_posix() for file in paths["train"]]
    if not evaluation:
        kept, test = stratified_parts(train.labels.numpy(), keys, (1 - test_fraction, test_fraction))
        evaluation = {"test": train.subset(test)}
        train, keys = train.subset(kept), [keys[index] for index in kept]
    halves = [train.subset(part) for part in stratified_parts(train.labels.numpy(), keys, (0.5, 0.5))]
    _check_parts(folder, class_names, {"train half": halves[0], "valid half": halves[1]}, evaluation)
    mean, std = channel_statistics(train)
    return ImageData(folder.resolve().name, len(class_names), class_names, image_size, 1 if grey else 3, mean, std,
                     Augmentation(padding=round(image_size / 8), flip=True), train, *halves, evaluation)


def check_options(image_size: int, on_error: str) -> None:
    """Raises ValueError for a size or a way to go on that there is not."""
    if image_size < 4:
        raise ValueError(f"image_size must be at least 4 pixels, got {image_size}")
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


def class_names_of(folder: Path) -> tuple[str, ...]:
    """Returns the names of the class folders in alphabetical order. Raises ValueError for fewer than two."""
    names = _class_folders(folder)
    if len(names) == 1:
        raise ValueError(f"{folder} has only one class folder, '{names[0]}'; a classification needs at least two")
    return tuple(names)


def _class_folders(folder: Path) -> list[str]:
    entries = list(folder.iterdir())
    if names := [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__"))]:
        return sorted(names)
    loose = any(entry.suffix.lower() in PICTURE_SUFFIXES for entry in entries)
    raise ValueError(f"{folder} holds {'pictures but ' if loose else ''}no class folders; put the pictures of each "
                     "class into a folder of their own (for ImageNet's validation pictures: valprep.sh)")


def picture_files(folder: Path, class_names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Returns the picture files below each class folder with their labels. Raises ValueError for an unknown class."""
    from torchvision.datasets.folder import make_dataset

    if strangers := sorted(set(_class_folders(folder)) - set(class_names)):
        known = ", ".join(class_names[:_NAMED_IN_A_MESSAGE]) + ", ..." * (len(class_names) > _NAMED_IN_A_MESSAGE)
        raise ValueError(f"{folder} has the class '{strangers[0]}', which is not among the training classes: {known}")
    return make_dataset(str(folder), {name: label for label, name in enumerate(class_names)}, is_valid_file=_is_picture,
                        allow_empty=True)


def _is_picture(path: str) -> bool:
    return path.lower().endswith(PICTURE_SUFFIXES) and not os.path.basename(path).startswith(".")


def _read_all(files: dict[str, list[tuple[int, Path]]], image_size: int, grey: bool, on_error: OnError
              ) -> tuple[dict[str, ImageSet], dict[str, list[Path]]]:
    """For each named list of (label, file): the ImageSet of the readable files, and their paths."""
    def attempt(listed: tuple[int, Path]) -> np.ndarray | ValueError:
        try:
            return read_picture(listed[1], image_size, grey)
        except ValueError as error:
            return error

    sets, kept, unreadable = {}, {}, {}
    with ThreadPoolExecutor() as pool:  # decoding leaves Python's lock, so threads do run side by side
        for part, listed in files.items():
            read = [(label, path, picture) for (label, path), picture in zip(listed, pool.map(attempt, listed))]
            unreadable |= {str(path): str(error) for _, path, error in read if isinstance(error, ValueError)}
            good = [(label, path, picture) for label, path, picture in read if not isinstance(picture, ValueError)]
            pixels = np.array([picture for _, _, picture in good], dtype=np.uint8)
            pixels = pixels.reshape(-1, image_size, image_size, 1 if grey else 3)  # also where there is none
            sets[part] = ImageSet.from_arrays(pixels, [label for label, _, _ in good])
            kept[part] = [path for _, path, _ in good]
    report_unreadable(unreadable, sum(map(len, files.values())), on_error)
    return sets, kept


def report_unreadable(unreadable: Mapping[str, str], count: int, on_error: OnError) -> None:
    """Raises ValueError, or warns with "skip", if some of `count` pictures cannot be read. unreadable: file, reason."""
    if not unreadable:
        return
    more = len(unreadable) - _NAMED_IN_A_MESSAGE
    named = ", ".join([f"{path} ({reason})" for path, reason in unreadable.items()][:_NAMED_IN_A_MESSAGE])
    summary = f"{len(unreadable)} of {count} pictures cannot be read: {named}{f' and {more} more' * (more > 0)}"
    if on_error == "raise":
        raise ValueError(f"{summary}; remove or replace them, or load with on_error='skip'")
    warnings.warn(f"{summary}; they are left out", stacklevel=4)


def _check_parts(folder: Path, class_names: tuple[str, ...], halves: dict[str, ImageSet],
                 evaluation: dict[str, ImageSet]) -> None:
    """Every class must be in both halves, and no evaluation set may be empty."""
    for part, image_set in halves.items():
        counts = np.bincount(image_set.labels.numpy(), minlength=len(class_names))
        if counts.min() == 0:
            name = class_names[int(counts.argmin())]
            raise ValueError(f"{folder}: class '{name}' has too few readable pictures, none is left for the {part}; "
                             "give each class at least 2 pictures for training and 1 for testing")
    for part, image_set in evaluation.items():
        if len(image_set) == 0:
            raise ValueError(f"{folder}: no picture is left for '{part}'; add pictures or raise test_fraction")


def channel_statistics(image_set: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of each channel over all pixels, for pixels scaled to 0..1.

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
            raise ValueError(f"every pixel of channel {channel} is {mean * 255:.0f}; there is nothing to learn from it")
        means.append(mean)
        stds.append(variance**0.5)
    return tuple(means), tuple(stds)


def read_picture(path: Path, size: int, grey: bool) -> np.ndarray:
    """Returns a picture, its shorter side scaled to `size`, its centre cut out: uint8 (size, size, 1 if grey else 3).

    As torchvision's Resize(size) and CenterCrop(size), after turning the picture as its camera says (EXIF).
    Transparency is dropped.
    Raises ValueError, with the reason, if the file is no picture, damaged, or of a pixel type we do not know.
    """
    from PIL import Image, ImageOps

    with opened(path) as original:
        picture = _eight_bit(ImageOps.exif_transpose(original)).convert("L" if grey else "RGB")
    width, height = picture.size
    shorter = min(width, height)
    scaled = (int(size * width / shorter), int(size * height / shorter))
    picture = picture.resize(scaled, Image.Resampling.BILINEAR)
    left, top = round((scaled[0] - size) / 2), round((scaled[1] - size) / 2)
    pixels = np.asarray(picture.crop((left, top, left + size, top + size)))
    return pixels.reshape(size, size, 1 if grey else 3)


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """Inside, the PIL picture of a file is open. Raises ValueError, with the reason, if it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            yield picture
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, Image.DecompressionBombError) as error:
        # which of these a damaged file raises depends on its format
        text = str(error)
        is_none = text.startswith("cannot identify image file")
        raise ValueError("not a picture" if is_none else text or type(error).__name__) from error


def _eight_bit(picture: Any) -> Any:
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
