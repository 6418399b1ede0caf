"""CIFAR-10 and CIFAR-100 from their official "python version" files, with the splits of NAS-Bench-201.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path

import numpy as np

from .augment import Augmentation
from .images import ImageData, ImageSet, check_labels
from .official import OfficialFile, images_and_labels, read_files
from .places import find, missing, places
from .splits import nasbench201_split


@dataclass(frozen=True)
class CifarFiles:
    """What an official CIFAR download consists of. MD5 sums: the ones that torchvision checks."""

    title: str
    classes: int
    folder: str
    archive: OfficialFile
    url: str
    label_key: str
    names_key: str
    train: tuple[OfficialFile, ...]
    test: tuple[OfficialFile, ...]
    meta: OfficialFile
    counts: tuple[int, int] = (50_000, 10_000)  # train and test images


CIFAR10 = CifarFiles(
    title="CIFAR-10",
    classes=10,
    folder="cifar-10-batches-py",
    archive=OfficialFile("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", 170_498_071),
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    label_key="labels",
    names_key="label_names",
    train=(
        OfficialFile("data_batch_1", "c99cafc152244af753f735de768cd75f", 31_035_704),
        OfficialFile("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec", 31_035_320),
        OfficialFile("data_batch_3", "54ebc095f3ab1f0389bbae665268c751", 31_035_999),
        OfficialFile("data_batch_4", "634d18415352ddfa80567beed471001a", 31_035_696),
        OfficialFile("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb", 31_035_623),
    ),
    test=(OfficialFile("test_batch", "40351d587109b95175f43aff81a1287e", 31_035_526),),
    meta=OfficialFile("batches.meta", "5ff9c542aee3614f3951f8cda6e48888", 158),
)

CIFAR100 = CifarFiles(
    title="CIFAR-100",
    classes=100,
    folder="cifar-100-python",
    archive=OfficialFile("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", 169_001_437),
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    label_key="fine_labels",
    names_key="fine_label_names",
    train=(OfficialFile("train", "16019d7e3df5f24257cddd939b257f8d"),),
    test=(OfficialFile("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),),
    meta=OfficialFile("meta", "7973b15100ade9c7d40fb424638fde48"),
)

# Constants of AutoDL-Projects, which NAS-Bench-201 and the GDAS code use.
CIFAR10_MEAN, CIFAR10_STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)
CIFAR100_MEAN, CIFAR100_STD = (129.3 / 255, 124.1 / 255, 112.4 / 255), (68.2 / 255, 65.4 / 255, 70.4 / 255)
# Of DARTS' code, quark0/darts.
DARTS_MEAN, DARTS_STD = (0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)


def load_cifar10(root: str | os.PathLike | None = None, *, download: bool = False) -> ImageData:
    """CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels, 10 classes.

    Search halves: the 25,000 + 25,000 training images of NAS-Bench-201's list. evaluation: "test".
    Normalisation: AutoDL-Projects' constants; those of DARTS' code (`load_cifar10_darts`) are within 0.05 % of them.
    """
    train, test, names = read_cifar(CIFAR10, root, download=download)
    train_half, valid_half = nasbench201_split("cifar10")
    return ImageData(
        name="cifar10",
        classes=10,
        class_names=names,
        image_size=32,
        image_channels=3,
        mean=CIFAR10_MEAN,
        std=CIFAR10_STD,
        augmentation=Augmentation(padding=4, flip=True),
        train=train,
        train_half=train.subset(train_half),
        valid_half=train.subset(valid_half),
        evaluation={"test": test},
    )


def load_cifar10_valid(root: str | os.PathLike | None = None, *, download: bool = False) -> ImageData:
    """CIFAR-10 as NAS-Bench-201's "cifar10-valid": the derived network is trained on the train half only.

    evaluation: "x-valid", the other 25,000 training images, and "test". The search halves stay the same.
    """
    data = load_cifar10(root, download=download)
    evaluation = {"x-valid": data.valid_half, **data.evaluation}
    return replace(data, name="cifar10-valid", train=data.train_half, evaluation=evaluation)


def load_cifar10_darts(root: str | os.PathLike | None = None, *, download: bool = False) -> ImageData:
    """Returns CIFAR-10 as DARTS' code has it (quark0/darts): a search trains on the first 25,000 training images
    of the files and validates on the last 25,000; pixels are normalised with its constants.
    """
    data = load_cifar10(root, download=download)
    half = len(data.train) // 2
    first, last = (data.train.subset(part) for part in np.split(np.arange(len(data.train)), [half]))
    return replace(
        data, name="cifar10-darts", mean=DARTS_MEAN, std=DARTS_STD, train_half=first, valid_half=last
    )


def load_cifar100(root: str | os.PathLike | None = None, *, download: bool = False) -> ImageData:
    """CIFAR-100: 50,000 training and 10,000 test images of 32x32 pixels, 100 classes (fine labels).

    As in NAS-Bench-201 a search trains on all 50,000 training images and validates on "x-valid", 5,000 of the
    *test* images; "x-test" is the other 5,000, which no search has seen. Report "x-test" for a cell that was
    searched here.
    """
    train, test, names = read_cifar(CIFAR100, root, download=download)
    valid, unseen = nasbench201_split("cifar100")
    x_valid = test.subset(valid)
    return ImageData(
        name="cifar100",
        classes=100,
        class_names=names,
        image_size=32,
        image_channels=3,
        mean=CIFAR100_MEAN,
        std=CIFAR100_STD,
        augmentation=Augmentation(padding=4, flip=True),
        train=train,
        train_half=train,
        valid_half=x_valid,
        evaluation={"test": test, "x-valid": x_valid, "x-test": test.subset(unseen)},
    )


def read_cifar(
    files: CifarFiles, root: str | os.PathLike | None = None, *, download: bool = False
) -> tuple[ImageSet, ImageSet, tuple[str, ...]]:
    """Training images, test images and class names, in the order of the official files.

    Found in the places of `places.places`: as the folder, as its parent, or as the .tar.gz archive.
    Raises FileNotFoundError where it is in none of them (and download is False), ValueError for a damaged or
    foreign file, ConnectionError if the download fails.
    """
    members = [file.name for file in (*files.train, *files.test)]
    subfolders = (files.folder, f"cifar.python/{files.folder}", "cifar.python")  # the latter: AutoDL-Projects
    where = find(root, subfolders, members, files.archive.name)
    # an archive of another size is a download that was interrupted
    if download and (where is None or (where.is_file() and where.stat().st_size != files.archive.size)):
        where = _download(files, where.parent if where else places(root)[0].folder)
    if where is None:
        megabytes = round(files.archive.size / 1e6)
        how = f"download=True gets it from {files.url} ({megabytes} MB)"
        raise missing(files.title, root, f"{files.folder} or {files.archive.name}", how)
    train = _read_part(where, files, files.train, files.counts[0])
    test = _read_part(where, files, files.test, files.counts[1])
    ((_, meta),) = read_files(where, [files.meta])
    return train, test, tuple(meta[files.names_key])


def _read_part(where: Path, files: CifarFiles, part: tuple[OfficialFile, ...], count: int) -> ImageSet:
    pixels, labels = [], []
    for origin, entry in read_files(where, part):
        batch, batch_labels = images_and_labels(entry, origin, label_key=files.label_key, size=32)
        check_labels(batch_labels, 0, files.classes - 1, origin)
        pixels.append(batch)
        labels.append(batch_labels)
    found = sum(map(len, labels))
    if found != count:
        raise ValueError(
            f"{where}: {found:,} images in {', '.join(file.name for file in part)}, expected {count:,}"
        )
    return ImageSet.from_arrays(np.concatenate(pixels), np.concatenate(labels))


def _download(files: CifarFiles, target: Path) -> Path:
    """Let torchvision download the archive into the folder `target`, check its MD5 and unpack it there."""
    from torchvision.datasets.utils import download_and_extract_archive

    try:
        download_and_extract_archive(
            files.url, str(target), filename=files.archive.name, md5=files.archive.md5
        )
    except (OSError, HTTPException, RuntimeError) as error:
        raise ConnectionError(
            f"{files.title} could not be downloaded from {files.url} to {target} ({error}); "
            f"get that file another way, put it into {target}, and load again"
        ) from error
    return target / files.folder
