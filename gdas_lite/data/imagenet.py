"""ImageNet, and other big folders of photographs, streamed from class folders.

    train/CLASS/*.JPEG      val/CLASS/*.JPEG        (also valid/, validation/ or test/)
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .folders import _class_names
from .photo_transforms import Lineage, PhotoAugmentation
from .pictures import PICTURE_SUFFIXES
from .places import missing, places
from .streaming import OnError, StreamedData, StreamedSet, default_workers

# torchvision's and both codes': of ImageNet's training pixels scaled to 0..1
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_FOLDERS = ("imagenet", "ImageNet", "ILSVRC2012", "imagenet-1k", "ILSVRC/Data/CLS-LOC")
_EVALUATION_FOLDERS = ("val", "valid", "validation", "test")
_CLASSES_OF_IMAGENET = 1000


def load_imagenet(root: str | os.PathLike | None = None, **options) -> StreamedData:
    """ImageNet's class folders in `root`, or in one of the usual places; options as `load_streamed`.

    A folder with other than 1,000 classes, such as a subset, is loaded too, under its own name.
    Raises FileNotFoundError that says where it looked.
    """
    for place in places(root):
        for folder in (place.folder, *(place.folder / name for name in _FOLDERS)):
            if (folder / "train").is_dir():
                data = load_streamed(folder, **options)
                if data.classes == _CLASSES_OF_IMAGENET:
                    return replace(data, name="imagenet")
                return data
    raise missing("ImageNet", root, "a folder with train/ and val/", "unpack ILSVRC 2012's train and val archives so "
                  "that each class is a folder (train/n01440764/*.JPEG, val/n01440764/*.JPEG)")


def load_streamed(
    path: str | os.PathLike,
    *,
    image_size: int = 224,
    lineage: Lineage = "darts",
    lighting_scale: float = 1.0,
    num_workers: int | None = None,
    on_error: OnError = "raise",
) -> StreamedData:
    """A folder with train/ and val/ of class folders, read from disk as the training goes.

    Classes: the names of the class folders of train/, in alphabetical order; pictures may lie deeper inside.
    image_size: pixels; evaluation scales the shorter side to 256/224 of it and takes the centre.
    lineage, lighting_scale: the training augmentation, see `PhotoAugmentation`. mean and std are ImageNet's.
    num_workers: reading processes; None for one a core, at most 8; 0 reads in this process.
    on_error: what happens at a file that cannot be read, when its turn comes: "raise" names it and stops (the run's
        last checkpoint is good); "skip" names it once in a warning, counts it and goes on without it. To look at all
        files beforehand: `streaming.unreadable_photos(data)`.

    Raises FileNotFoundError or ValueError, in one sentence, if this cannot be made into a data set.
    """
    folder = Path(path).expanduser()
    workers = default_workers() if num_workers is None else num_workers
    if image_size < 4:
        raise ValueError(f"image_size must be at least 4 pixels, got {image_size}")
    if workers < 0:
        raise ValueError(f"num_workers must be at least 0, got {workers}")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
    train, evaluation = _parts(folder)
    class_names = _class_names(train)
    return StreamedData(
        name=folder.resolve().name, class_names=class_names, image_size=image_size, mean=MEAN, std=STD,
        augmentation=PhotoAugmentation(lineage, lighting_scale), train=_listed(train, class_names),
        evaluation={"test": _listed(evaluation, class_names)}, num_workers=workers, on_error=on_error)


def _parts(folder: Path) -> tuple[Path, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; give the folder that holds train/ and val/")
    found = [folder / name for name in _EVALUATION_FOLDERS if (folder / name).is_dir()]
    if not (folder / "train").is_dir() or not found:
        lacking = "train/" if found else "val/"
        raise FileNotFoundError(f"{folder} has no folder {lacking}; streamed data need train/ and val/ with a folder "
                                "for each class (a small folder without them fits into memory: leave `streamed` out)")
    return folder / "train", found[0]


def _listed(folder: Path, class_names: tuple[str, ...]) -> StreamedSet:
    """The pictures below each class folder: ordered by class, then by path."""
    with os.scandir(folder) as opened:
        entries = list(opened)
    loose = any(entry.is_file() and Path(entry.name).suffix.lower() in PICTURE_SUFFIXES for entry in entries)
    found = {entry.name for entry in entries if entry.is_dir()}
    if loose and not found:
        raise ValueError(f"{folder} holds pictures but no class folders; move each picture into the folder of its "
                         "class (for ImageNet's validation pictures the usual script is valprep.sh)")
    if strangers := sorted(name for name in found - set(class_names) if not name.startswith((".", "__"))):
        raise ValueError(f"{folder} has the class '{strangers[0]}', which is not among the {len(class_names)} classes "
                         "of train/")
    names, labels = [], []
    for label, name in enumerate(class_names):
        inside = _pictures(folder, name) if name in found else []
        if not inside and folder.name == "train":
            raise ValueError(f"{folder}: class '{name}' has no pictures; add some or remove the folder")
        names += inside
        labels += [label] * len(inside)
    if not names:
        raise ValueError(f"{folder} has no pictures of the classes of train/")
    return StreamedSet(folder, np.array(names), torch.tensor(labels, dtype=torch.int64))


def _pictures(folder: Path, class_name: str) -> list[bytes]:
    return sorted(
        os.fsencode(os.path.relpath(os.path.join(where, file), folder))
        for where, _, files in os.walk(folder / class_name, followlinks=True) for file in files
        if os.path.splitext(file)[1].lower() in PICTURE_SUFFIXES and not file.startswith("."))
