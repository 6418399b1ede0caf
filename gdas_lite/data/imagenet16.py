"""ImageNet16-120: ImageNet scaled down to 16x16 pixels, the first 120 classes, as NAS-Bench-201 uses it.

Source: Chrabaszcz, Loshchilov, Hutter, "A Downsampled Variant of ImageNet as an Alternative to the CIFAR
datasets" (arXiv 1707.08819); NAS-Bench-201 paper, section 2.2.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .augment import Augmentation
from .images import ImageData, ImageSet, check_labels
from .official import OfficialFile, images_and_labels, read_files
from .places import find, missing
from .splits import nasbench201_split

CLASSES = 120  # the files' labels 1..120 become 0..119
FILE_CLASSES = 1000

# Constants of AutoDL-Projects.
MEAN, STD = (122.68 / 255, 116.66 / 255, 104.01 / 255), (63.22 / 255, 61.26 / 255, 65.09 / 255)


@dataclass(frozen=True)
class ImageNet16Files:
    """The official 16x16 files; MD5 sums as AutoDL-Projects checks them. counts: images of classes 1..120."""

    train: tuple[OfficialFile, ...]
    valid: tuple[OfficialFile, ...]
    counts: tuple[int, int] = (151_700, 6_000)


_TRAIN_MD5 = (
    "27846dcaa50de8e21a7d1a35f30f0e91",
    "c7254a054e0e795c69120a5727050e3f",
    "4333d3df2e5ffb114b05d2ffc19b1e87",
    "1620cdf193304f4a92677b695d70d10f",
    "348b3c2fdbb3940c4e9e834affd3b18d",
    "6e765307c242a1b3d7d5ef9139b48945",
    "564926d8cbf8fc4818ba23d2faac7564",
    "f4755871f718ccb653440b9dd0ebac66",
    "bb6dd660c38c58552125b1a92f86b5d4",
    "8f03f34ac4b42271a294f91bf480f29b",
)
OFFICIAL = ImageNet16Files(
    train=tuple(OfficialFile(f"train_data_batch_{k}", md5) for k, md5 in enumerate(_TRAIN_MD5, start=1)),
    valid=(OfficialFile("val_data", "3410e3017fdaefba8d5073aaa65e4bd6"),),
)


def load_imagenet16_120(root: str | os.PathLike | None = None) -> ImageData:
    """ImageNet16-120: 151,700 training and 6,000 validation images of 16x16 pixels, 120 classes.

    As in NAS-Bench-201 a search trains on all training images and validates on "x-valid", 3,000 of the
    official validation images; "x-test" is the other 3,000, which no search has seen; "test" is all 6,000 of
    them. Read from the official files train_data_batch_1..10 and val_data; there is no automatic download.
    """
    train, test = read_imagenet16(root)
    valid, unseen = nasbench201_split("ImageNet16-120")
    x_valid = test.subset(valid)
    return ImageData(
        name="imagenet16-120",
        classes=CLASSES,
        class_names=tuple(str(label) for label in range(1, CLASSES + 1)),
        image_size=16,
        image_channels=3,
        mean=MEAN,
        std=STD,
        augmentation=Augmentation(padding=2, flip=True),
        train=train,
        train_half=train,
        valid_half=x_valid,
        evaluation={"test": test, "x-valid": x_valid, "x-test": test.subset(unseen)},
    )


def read_imagenet16(
    root: str | os.PathLike | None = None, files: ImageNet16Files = OFFICIAL
) -> tuple[ImageSet, ImageSet]:
    """Training and validation images of the classes 1..120, in the order of the official files, labels
    0..119.

    Raises FileNotFoundError where the files are in none of the places, ValueError for a damaged or foreign
    file or a wrong number of images.
    """
    members = [file.name for file in (*files.train, *files.valid)]
    where = find(root, ("ImageNet16", "cifar.python/ImageNet16"), members, archive=None)
    if where is None:
        raise missing(
            "ImageNet16-120",
            root,
            "train_data_batch_1..10 and val_data (in this folder or in ImageNet16/)",
            "the files are the 16x16 training (about 1 GB) and validation images of "
            "https://image-net.org/download-images, which needs a free account",
        )
    return _read_part(where, files.train, files.counts[0]), _read_part(where, files.valid, files.counts[1])


def _read_part(where: Path, part: tuple[OfficialFile, ...], count: int) -> ImageSet:
    pixels, labels = [], []
    for origin, entry in read_files(where, part):
        batch, batch_labels = images_and_labels(entry, origin, label_key="labels", size=16)
        check_labels(batch_labels, 1, FILE_CLASSES, origin)
        kept = batch_labels <= CLASSES
        pixels.append(batch[kept])
        labels.append(batch_labels[kept] - 1)
    found = sum(map(len, labels))
    if found != count:
        raise ValueError(
            f"{where}: {found:,} images of the classes 1..{CLASSES} in {part[0].name} to {part[-1].name}, "
            f"expected {count:,}; is a file missing or of another size of ImageNet?"
        )
    return ImageSet.from_arrays(np.concatenate(pixels), np.concatenate(labels))
