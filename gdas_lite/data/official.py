"""Read the official data files, which are Python pickles, without trusting them.

A pickle can call any function while it is read. Two gates stand before that: the MD5 sum must be that of the
official file, and the unpickler knows the functions that rebuild a NumPy array, and nothing else.

CIFAR-10 and CIFAR-100 from their official "python version" files, with the splits of NAS-Bench-201.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

ImageNet16-120: ImageNet scaled down to 16x16 pixels, the first 120 classes, as NAS-Bench-201 uses it.

Source: Chrabaszcz, Loshchilov, Hutter, "A Downsampled Variant of ImageNet as an Alternative to the CIFAR
datasets" (arXiv 1707.08819); NAS-Bench-201 paper, section 2.2.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .augment import Augmentation
from .images import ImageData, ImageSet, check_labels
from .places import find, missing, places
from .splits import nasbench201_split


class OfficialFile(NamedTuple):
    """A file of a data set: its name, its MD5 sum, its size in bytes where we know it."""

    name: str
    md5: str
    size: int | None = None


def read_files(where: Path, files: Sequence[OfficialFile]) -> Iterator[tuple[str, dict]]:
    """The content of each file, in the given order, from a folder or a .tar.gz archive.

    Yields (name of the file with its folder, for messages; the dict in it).
    Raises FileNotFoundError for a missing file, ValueError for one that is not the official file.
    """
    if where.is_dir():
        for file in files:
            path = where / file.name
            if not path.is_file():
                raise FileNotFoundError(
                    f"{where} has no file {file.name}; copy it there or get the whole set again"
                )
            yield str(path), _checked_content(path.read_bytes(), file, str(path))
    else:
        contents = _archive_contents(where, {file.name for file in files})
        for file in files:
            if file.name not in contents:
                raise FileNotFoundError(
                    f"the archive {where} has no file {file.name}; is it that of another data set?"
                )
            origin = f"{file.name} in {where}"
            yield origin, _checked_content(contents.pop(file.name), file, origin)


def _archive_contents(archive: Path, wanted: set[str]) -> dict[str, bytes]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = ((Path(member.name).name, member) for member in tar if member.isfile())
            return {name: tar.extractfile(member).read() for name, member in members if name in wanted}
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"the archive {archive} cannot be unpacked ({error}): "
            "its download was probably cut off; get it again"
        ) from error


def _checked_content(content: bytes, file: OfficialFile, origin: str) -> dict:
    if file.size is not None and len(content) < file.size:
        raise ValueError(
            f"{origin} is truncated: {len(content):,} of {file.size:,} bytes; "
            "delete it and get the data set again"
        )
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != file.md5:
        raise ValueError(
            f"{origin} is not the official file: its MD5 is {md5}, expected {file.md5}; "
            f"it is damaged, cut off ({len(content):,} bytes) or of another data set; get the data set again"
        )
    return unpickle(content, origin)


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # how Python 3 writes bytes in protocol 2
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode("latin1"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Knows arrays; numbers, strings, lists and dicts need no function."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        # NumPy moved this function; the old and the new name both occur in files
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _empty_array
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in a data file")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes | str) -> np.ndarray:
    """NumPy's `_reconstruct`: an empty array that the pickle's next step fills."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("it holds an array of a foreign kind")
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def unpickle(content: bytes, origin: str) -> dict:
    """The dict in a pickle of arrays, numbers, strings, lists and dicts.

    The strings of Python 2 are read as Latin-1.
    Raises ValueError for anything else, before any of it is run.
    """
    try:
        loaded = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # damaged pickles raise nearly every kind; all mean the same here
        raise ValueError(f"{origin} cannot be read as a data file: {error}") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{origin} holds a {type(loaded).__name__}, expected a dict with images and labels")
    return loaded


def images_and_labels(
    entry: dict, origin: str, *, label_key: str, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels and labels of one official batch file.

    Shapes: pixels uint8 (count, size, size, 3), labels int64 (count,). The files hold planes: all red values
    of an image, then green, then blue.
    Raises ValueError if the file holds something else.
    """
    absent = [key for key in ("data", label_key) if key not in entry]
    if absent:
        raise ValueError(
            f"{origin} has no '{absent[0]}'; it holds {sorted(map(str, entry))}: is it of another data set?"
        )
    flat = entry["data"]
    values = 3 * size * size
    if not isinstance(flat, np.ndarray):
        raise ValueError(f"{origin}: 'data' must be an array, got a {type(flat).__name__}")
    if flat.dtype != np.uint8 or flat.ndim != 2 or flat.shape[1] != values:
        raise ValueError(f"{origin}: 'data' must be uint8 (count, {values}), got {flat.dtype} {flat.shape}")
    labels = np.array(entry[label_key], dtype=object)
    if labels.shape != (len(flat),) or not all(isinstance(label, int) for label in labels):
        raise ValueError(f"{origin}: '{label_key}' must hold a whole number for each of {len(flat)} images")
    return flat.reshape(-1, 3, size, size).transpose(0, 2, 3, 1), labels.astype(np.int64)


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
    return _read_imagenet16_part(where, files.train, files.counts[0]), _read_imagenet16_part(where, files.valid, files.counts[1])


def _read_imagenet16_part(where: Path, part: tuple[OfficialFile, ...], count: int) -> ImageSet:
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
