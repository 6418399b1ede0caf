"""CIFAR-10, CIFAR-100 and ImageNet16-120 from their official files, with the splits of NAS-Bench-201.

The files are Python pickles, and a pickle can call any function while it is read. Two gates stand before that: the MD5
sum must be that of the official file, and `unpickle` knows how to rebuild NumPy arrays, nothing else.

Sources: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; Chrabaszcz, Loshchilov, Hutter,
"A Downsampled Variant of ImageNet as an Alternative to the CIFAR datasets" (arXiv 1707.08819); NAS-Bench-201 paper,
section 2.2. Normalisation: AutoDL-Projects' constants, which NAS-Bench-201 and the GDAS code use.
"""

import hashlib
import io
import os
import pickle
import tarfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..runs.schema import packaged_json
from .augment import Augmentation
from .images import ImageData, ImageSet, check_labels
from .places import find, missing, places
from .splits import nasbench201_split


class OfficialFile(NamedTuple):
    """A file of a data set: its name, its MD5 sum, its size in bytes where we know it."""

    name: str
    md5: str
    size: int | None = None


@dataclass(frozen=True)
class OfficialSet:
    """A data set's official files and constants.

    size, padding: side of an image and of the augmentation's border, pixels. mean, std: of pixels in 0..255.
    folders: where the files may lie below a place of `places.places`; cifar.python is AutoDL-Projects'.
    needs, how: words for who lacks them.
    counts: images of our classes in train and test. labels: first and last in the files; the first `classes` are kept.
    names_file, names_key: the classes' names; None where they are numbers. archive, url: the download, if there is one.
    """

    title: str
    classes: int
    size: int
    padding: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folders: tuple[str, ...]
    needs: str
    how: str
    train: tuple[OfficialFile, ...]
    test: tuple[OfficialFile, ...]
    counts: tuple[int, int]
    labels: tuple[int, int]
    label_key: str = "labels"
    names_file: OfficialFile | None = None
    names_key: str = ""
    archive: OfficialFile | None = None
    url: str = ""


def _official_sets() -> dict[str, OfficialSet]:
    """Those of official.json. MD5 sums: CIFAR's are the ones that torchvision checks, ImageNet16's AutoDL-Projects'."""
    sets = packaged_json(resources.files(__package__) / "official.json", {})
    for fields in sets.values():
        fields |= {name: tuple(OfficialFile(*file) for file in fields[name]) for name in ("train", "test")}
        fields |= {name: OfficialFile(*fields[name]) for name in ("names_file", "archive") if name in fields}
    return {name: OfficialSet(**{field: tuple(value) if isinstance(value, list) else value
                                 for field, value in fields.items()}) for name, fields in sets.items()}


OFFICIAL = _official_sets()
_LARGEST_FILE = 200_000_000     # bytes; CIFAR-100's training images have 155,249,918
# quark0/darts' constants, of pixels in 0..1: within 0.05 % of the others.
DARTS_MEAN, DARTS_STD = (0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)


def load_official(name: str, root: str | os.PathLike | None = None, *, download: bool = False) -> ImageData:
    """Returns a data set by its name, in the form that NAS-Bench-201 (or DARTS' code) gives it.

    "cifar10": a search sees the two halves of NAS-Bench-201's list of training images. evaluation: "test".
    "cifar10-valid": the derived network trains on the train half only; evaluation: "x-valid", the other half, "test".
    "cifar10-darts": as quark0/darts has it. A search trains on the first 25,000 training images of the files and
        validates on the last 25,000; pixels are normalised with its constants.
    "cifar100", "imagenet16-120": a search trains on all training images and validates on "x-valid", half of the
        official *test* images. Report "x-test", the other half, for a cell searched here: no search has seen it.
    Raises as `read_official`.
    """
    base = "cifar10" if name.startswith("cifar10-") else name
    files = OFFICIAL[base]
    train, test, class_names = read_official(files, root, download=download)
    first, second = nasbench201_split("ImageNet16-120" if base == "imagenet16-120" else base)
    if base == "cifar10":
        train_half, valid_half, evaluation = train.subset(first), train.subset(second), {"test": test}
    else:
        train_half, valid_half = train, test.subset(first)
        evaluation = {"test": test, "x-valid": valid_half, "x-test": test.subset(second)}
    mean, std = (tuple(value / 255 for value in values) for values in (files.mean, files.std))
    data = ImageData(name, files.classes, class_names, files.size, 3, mean, std,
                     Augmentation(padding=files.padding, flip=True), train, train_half, valid_half, evaluation)
    if name == "cifar10-valid":
        return replace(data, train=train_half, evaluation={"x-valid": valid_half, **evaluation})
    if name == "cifar10-darts":
        halves = (train.subset(part) for part in np.split(np.arange(len(train)), 2))
        return replace(data, mean=DARTS_MEAN, std=DARTS_STD, train_half=next(halves), valid_half=next(halves))
    return data


def read_official(files: OfficialSet, root: str | os.PathLike | None = None, *, download: bool = False
                  ) -> tuple[ImageSet, ImageSet, tuple[str, ...]]:
    """Returns training images, test images and class names, in the order of the official files.

    Found in one of files.folders in the places of `places.places`, directly, or as the .tar.gz archive; see
    `places.find`. Where a file of the folder is damaged or missing, the archive is read instead, with a warning.
    Raises FileNotFoundError where it is in none of them (and is not downloaded), ValueError for a damaged or foreign
    file or a wrong number of images, ConnectionError if the download fails.
    """
    archive = files.archive
    where = official_place(files, root)
    # an archive of another size is a download that was interrupted
    if download and files.url and (where is None or (where.is_file() and where.stat().st_size != archive.size)):
        where = _download(files, where.parent if where else places(root)[0][0])
    if where is None:
        raise missing(files.title, root, files.needs, files.how)
    try:
        train, test = map(_read_part, [where] * 2, [files] * 2, (files.train, files.test), files.counts)
        if files.names_file is None:
            return train, test, tuple(str(label) for label in range(files.labels[0], files.labels[0] + files.classes))
        ((_, names),) = read_files(where, [files.names_file])
        return train, test, tuple(names[files.names_key])
    except (ValueError, FileNotFoundError) as problem:
        whole = archive and where.is_dir() and find(where.parent, files.folders, [], archive.name, archive.size)
        if not whole:
            raise
        warnings.warn(f"{problem}; the archive {whole} is read instead", stacklevel=4)
    return read_official(files, whole)


def official_place(files: OfficialSet, root: str | os.PathLike | None = None) -> Path | None:
    """Returns the folder with a data set's files, or its archive, None if it is in none of the usual places."""
    members, archive = [file.name for file in (*files.train, *files.test)], files.archive
    return find(root, files.folders, members, *((archive.name, archive.size) if archive else (None,)))


def _read_part(where: Path, files: OfficialSet, part: tuple[OfficialFile, ...], count: int) -> ImageSet:
    pixels, labels = [], []
    for origin, entry in read_files(where, part):
        batch, batch_labels = images_and_labels(entry, origin, label_key=files.label_key, size=files.size)
        check_labels(batch_labels, *files.labels, origin)
        batch_labels -= files.labels[0]
        kept = batch_labels < files.classes
        pixels.append(batch[kept])
        labels.append(batch_labels[kept])
    if (found := sum(map(len, labels))) != count:
        raise ValueError(f"{where}: {found:,} images of {files.title}'s {files.classes} classes in "
                         f"{', '.join(file.name for file in part)}, expected {count:,}; is a file missing, or of "
                         "another data set?")
    return ImageSet.from_arrays(np.concatenate(pixels), np.concatenate(labels))


def _download(files: OfficialSet, target: Path) -> Path:
    """Lets torchvision download the archive into the folder `target`, check its MD5 and unpack it there."""
    from torchvision.datasets.utils import download_and_extract_archive
    try:
        download_and_extract_archive(files.url, str(target), filename=files.archive.name, md5=files.archive.md5)
    except (OSError, HTTPException, RuntimeError) as error:
        raise ConnectionError(f"{files.title} could not be downloaded from {files.url} to {target} ({error}); "
                              f"get that file another way, put it into {target}, and load again") from error
    return target / files.folders[0]


def read_files(where: Path, files: Sequence[OfficialFile]) -> Iterator[tuple[str, dict]]:
    """Yields (its name with its folder, for messages; the dict in it) of each file, in the given order.

    where: a folder or a .tar.gz archive.
    Raises FileNotFoundError for a missing file, ValueError for one that is not the official file.
    """
    contents = None if where.is_dir() else _archive_contents(where, {file.name for file in files})
    for file in files:
        origin = str(where / file.name) if contents is None else f"{file.name} in {where}"
        if contents is None:
            if not (where / file.name).is_file():
                raise FileNotFoundError(f"{where} has no file {file.name}; copy it there or get the whole set again")
            _check_length((where / file.name).stat().st_size, origin)
            content = (where / file.name).read_bytes()
        elif file.name not in contents:
            raise FileNotFoundError(f"the archive {where} has no file {file.name}; is it that of another data set?")
        else:
            content = contents.pop(file.name)
        if file.size is not None and len(content) < file.size:
            raise ValueError(f"{origin} is truncated: {len(content):,} of {file.size:,} bytes; delete it and get the "
                             "data set again")
        if (md5 := hashlib.md5(content, usedforsecurity=False).hexdigest()) != file.md5:
            raise ValueError(f"{origin} is not the official file: its MD5 is {md5}, expected {file.md5}; it is "
                             f"damaged, cut off ({len(content):,} bytes) or of another data set; delete it and "
                             "get the data set again")
        yield origin, unpickle(content, origin)


def _check_length(size: int, origin: str) -> None:
    if size > _LARGEST_FILE:
        raise ValueError(f"{origin} is not the official file: it has {size:,} bytes, none of them has more than "
                         f"{_LARGEST_FILE:,}; get the data set again")


def _archive_contents(archive: Path, wanted: set[str]) -> dict[str, bytes]:
    try:
        with tarfile.open(archive) as tar:
            contents = {}
            for member in tar:
                if member.isfile() and (name := Path(member.name).name) in wanted:
                    _check_length(member.size, f"{name} in {archive}")
                    contents[name] = tar.extractfile(member).read()
            return contents
    except ValueError:
        raise
    except Exception as error:      # what a damaged archive raises depends on how it is packed
        raise ValueError(f"the archive {archive} cannot be unpacked ({' '.join(str(error).split())}): its download was "
                         "probably cut off; get it again") from error


def images_and_labels(entry: dict, origin: str, *, label_key: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pixels, uint8 (count, size, size, 3), and labels, int64 (count,), of one official batch file.

    The files hold planes: all red values of an image, then green, then blue.
    Raises ValueError if the file holds something else.
    """
    if absent := [key for key in ("data", label_key) if key not in entry]:
        raise ValueError(f"{origin} has no '{absent[0]}'; it holds {sorted(map(str, entry))}: is it of another data "
                         "set?")
    flat, values = entry["data"], 3 * size * size
    if not isinstance(flat, np.ndarray):
        raise ValueError(f"{origin}: 'data' must be an array, got a {type(flat).__name__}")
    if flat.dtype != np.uint8 or flat.ndim != 2 or flat.shape[1] != values:
        raise ValueError(f"{origin}: 'data' must be uint8 (count, {values}), got {flat.dtype} {flat.shape}")
    labels = np.array(entry[label_key], dtype=object)
    if labels.shape != (len(flat),) or not all(isinstance(label, int) for label in labels):
        raise ValueError(f"{origin}: '{label_key}' must hold a whole number for each of {len(flat)} images")
    return flat.reshape(-1, 3, size, size).transpose(0, 2, 3, 1), labels.astype(np.int64)


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes | str) -> np.ndarray:
    """NumPy's `_reconstruct`: an empty array that the pickle's next step fills."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("it holds an array of a foreign kind")
    return np.ndarray.__new__(np.ndarray, (0,), "b")


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode("latin1"),   # Python 3's bytes in protocol 2
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,        # NumPy moved it; both names occur
    ("numpy._core.multiarray", "_reconstruct"): _empty_array}


class _ArrayUnpickler(pickle.Unpickler):
    """Knows arrays; numbers, strings, lists and dicts need no function."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in a data file")
        return _ALLOWED[module, name]


def unpickle(content: bytes, origin: str) -> dict:
    """Returns the dict in a pickle of arrays, numbers, strings (Python 2's are read as Latin-1), lists and dicts.

    Raises ValueError for anything else, before any of it is run.
    """
    try:
        loaded = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # damaged pickles raise nearly every kind; all mean the same here
        raise ValueError(f"{origin} cannot be read as a data file: {error}") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{origin} holds a {type(loaded).__name__}, expected a dict with images and labels")
    return loaded
