"""Photographs read from their files as a training needs them: ImageNet, and other folders too big for memory.

    train/CLASS/*.JPEG      val/CLASS/*.JPEG        (other names: `folders.parts_of`)

The files are those that `load_folder` would read; torchvision transforms them, PyTorch's DataLoader reads in processes.
`StreamedSet`, `StreamedData` and `batches.StreamedBatches` take the places of `ImageSet`, `ImageData` and `Batches`.
"""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..runs.device import processors
from . import folders
from .augment import Lineage, PhotoAugmentation, seeded
from .folders import OnError, shown
from .pictures import Reading, open_picture, photo_reading, read_each
from .places import missing, places

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)       # torchvision's and both codes': of pixels in 0..1
_FOLDERS = ("imagenet", "ImageNet", "ILSVRC2012", "imagenet-1k", "ILSVRC/Data/CLS-LOC")


@dataclass(frozen=True, eq=False, repr=False)
class StreamedSet:
    """Files below `folder` with one label each, in a fixed order.

    names: paths relative to the folder, bytes (count,), a tenth of the memory of text. labels: int64 (count,).
    upright: whether pictures are turned as their camera says.
    """

    folder: Path
    names: np.ndarray
    labels: Tensor
    upright: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, index: int) -> Path:
        """Returns the file of an image."""
        return self.folder / os.fsdecode(self.names[index])

    def sizes(self) -> str:
        """Returns a checksum of the files' sizes in bytes, of a thousand among more; one that is not there counts 0."""
        asked = np.linspace(0, len(self) - 1, min(len(self), 1000)).astype(int).tolist()
        sizes = [path.stat().st_size if path.exists() else 0 for path in map(self.path, asked)]
        return hashlib.sha256(repr(sizes).encode()).hexdigest()

    def checksum(self) -> str:
        """Returns a checksum of names and labels. Not of the files' content: reading 150 GB takes an hour."""
        return hashlib.sha256(b"\n".join(self.names.tolist()) + self.labels.numpy().tobytes()).hexdigest()


@dataclass(frozen=True, eq=False, repr=False)
class StreamedData:
    """A data set of photographs on disk. Same names and meaning as `ImageData`, but nothing is in memory.

    train, evaluation: see `ImageData`. num_workers: processes that read and decode, 0 for none; changes no image.
    unreadable: files that were left out when it was loaded, and why (on_error="skip").
    Raises ValueError where it is asked for the halves of a search, which it does not have.
    """

    name: str
    class_names: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: PhotoAugmentation
    train: StreamedSet
    evaluation: dict[str, StreamedSet]
    num_workers: int
    unreadable: Mapping[str, str] = field(default_factory=dict)
    image_channels: int = 3

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def options(self) -> dict[str, Any]:
        """What `load_streamed` needs beside the folder to make these data again."""
        options = {"image_size": self.image_size, "lineage": self.augmentation.lineage,
                   "lighting_scale": self.augmentation.lighting_scale}
        options |= {"upright": True} if self.train.upright else {}      # run folders from before it do not say
        return options | ({"on_error": "skip"} if self.unreadable else {})

    @property
    def reading(self) -> Reading:
        """How a picture is read for an evaluation."""
        return photo_reading(self.image_size, self.train.upright)

    @property
    def train_half(self) -> NoReturn:
        """Raises ValueError: streamed data have no search halves."""
        raise ValueError(f"{self.name} is streamed from its files and has no search halves: train on all of it, and "
                         "search on a smaller set such as imagenet16-120 or cifar10, as the papers do")

    valid_half = train_half

    def __repr__(self) -> str:
        lines = [f"StreamedData {self.name}: {self.classes} classes, photographs of {self.image_size} pixels, read by "
                 f"{self.num_workers} processes"]
        lines += [f"  {part:<10} {len(images):>9,} images in {images.folder}"
                  for part, images in {"train": self.train, **self.evaluation}.items()]
        return "\n".join(lines)


def load_imagenet(root: str | os.PathLike | None = None, **options) -> StreamedData:
    """Returns ImageNet's class folders in `root`, or in one of the usual places; options as `load_streamed`.

    A folder with other than 1,000 classes, such as a subset, is loaded too, under its own name. Pictures are not turned
    by their camera's note unless upright=True: the published networks saw them so.
    Raises FileNotFoundError that says where it looked.
    """
    if (folder := imagenet_folder(root)) is None:
        raise missing("ImageNet", root, "a folder with train/ and val/", "unpack ILSVRC 2012's train and val archives "
                      "so that each class is a folder (train/n01440764/*.JPEG, val/n01440764/*.JPEG)")
    data = load_streamed(folder, **{"upright": False} | options)
    return replace(data, name="imagenet") if data.classes == 1000 else data


def imagenet_folder(root: str | os.PathLike | None = None) -> Path | None:
    """Returns the first folder with a train/ in the usual places, by ImageNet's usual names; None if there is none."""
    tried = (folder for place, _ in places(root) for folder in (place, *(place / name for name in _FOLDERS)))
    return next((folder for folder in tried if os.path.isdir(folder / "train")), None)


def load_streamed(path: str | os.PathLike, *, image_size: int = 224, lineage: Lineage = "darts",
                  lighting_scale: float = 1.0, num_workers: int | None = None, on_error: OnError = "raise",
                  upright: bool = True) -> StreamedData:
    """Returns a folder with train/ and val/ of class folders as data that are read from disk as the training goes.

    Classes, parts and files are those of `load_folder`.
    image_size: pixels; evaluation scales the shorter side to 256/224 of it and takes the centre.
    lineage, lighting_scale: the training augmentation, see `PhotoAugmentation`. mean and std are ImageNet's.
    num_workers: reading processes; None for one a core, at most 8; 0 reads in this process.
    on_error: "raise" stops at a file that cannot be read when its turn comes, and names it (the run's last checkpoint
        is good); "skip" reads every file once now, leaves out those that cannot be read and names them in a warning.
    upright: pictures are turned as their camera says (EXIF); False leaves them as they lie in the file, as torchvision.
    Raises FileNotFoundError or ValueError, in one sentence, if this cannot be made into a data set.
    """
    folder = folders.checked_folder(path, "train/ and val/", image_size, on_error)
    if (workers := default_workers() if num_workers is None else num_workers) < 0:
        raise ValueError(f"num_workers must be at least 0, got {workers}")
    train, evaluation = folders.parts_of(folder)
    if not evaluation:
        lacking = "folders train/ and val/" if train == folder else "folder val/"
        raise FileNotFoundError(f"{folder} has no {lacking}; streamed data need train/ and val/ with a folder for each "
                                "class (a small folder without them fits into memory: leave `streamed` out)")
    class_names = folders.classes_of(train)
    data = StreamedData(
        name=shown(folder.resolve().name), class_names=class_names, image_size=image_size, mean=MEAN, std=STD,
        augmentation=PhotoAugmentation(lineage, lighting_scale), train=_listed(train, class_names, upright),
        evaluation={part: _listed(where, class_names, upright) for part, where in evaluation.items()},
        num_workers=workers)
    if on_error == "skip":
        data = _without_unreadable(data)
    if lacking := set(range(len(class_names))) - set(data.train.labels.unique().tolist()):
        raise ValueError(f"{train}: class '{class_names[min(lacking)]}' has no pictures"
                         f"{' that can be read' * bool(data.unreadable)}; add some or remove the folder")
    if empty := [where for part, where in evaluation.items() if not len(data.evaluation[part])]:
        raise ValueError(f"{empty[0]} has no pictures of the classes of {train.name}/")
    return data


def default_workers() -> int:
    """Returns the processes to read with: a core each, at most 8, shared among this machine's processes of a training.

    0 where processes are not forked (Windows, macOS, Linux from Python 3.14 on): there a script without the `__main__`
    guard would start itself.
    """
    if (multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]) != "fork":
        return 0
    return max(1, min(8, processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _listed(folder: Path, class_names: tuple[str, ...], upright: bool) -> StreamedSet:
    """The pictures below each class folder: ordered by class, then by path."""
    found = folders.picture_files(folder, class_names)
    files = sorted((label, os.fsencode(os.path.relpath(path, folder))) for path, label in found)
    names, labels = [name for _, name in files], [label for label, _ in files]
    return StreamedSet(folder, np.array(names, dtype=bytes), torch.tensor(labels, dtype=torch.int64), upright)


def unreadable_photos(data: StreamedData) -> dict[str, str]:
    """Returns every file of the data set that cannot be decoded, with the reason; reads them all."""
    found: dict[str, str] = {}
    for images in (data.train, *data.evaluation.values()):
        problems = read_each(lambda index, of=images: open_picture(of.path(index)) and None, range(len(images)))
        found |= {shown(images.path(index)): str(problem) for index, problem in enumerate(problems) if problem}
    return found


def _without_unreadable(data: StreamedData) -> StreamedData:
    unreadable = unreadable_photos(data)
    folders.report_unreadable(unreadable, sum(map(len, [data.train, *data.evaluation.values()])), "skip")

    def good(images: StreamedSet) -> StreamedSet:
        kept = np.array([k for k in range(len(images)) if shown(images.path(k)) not in unreadable], dtype=int)
        return replace(images, names=images.names[kept], labels=images.labels[kept])

    return replace(data, unreadable=unreadable, train=good(data.train),
                   evaluation={part: good(images) for part, images in data.evaluation.items()})


class PhotoBatches(Dataset):
    """What the reading processes hold. Asked for a batch, a list of [index] or [index, seed], it returns pixels uint8
    (B, height, width, 3), None if a file cannot be read; labels (B,); the first problem (which file, and why not) and
    the first remark, empty texts where there is none."""

    def __init__(self, images: StreamedSet, transform: Callable[[Any], Any]) -> None:
        self.images, self.transform = images, transform

    def __getitem__(self, asked: list[list[int]]) -> tuple[Tensor | None, Tensor, str, str]:
        labels, pixels, remarks = self.images.labels[[index for index, *_ in asked]], [], []
        for index, *seed in asked:
            path = self.images.path(index)
            try:
                photo, remark = open_picture(path, upright=self.images.upright)
            except ValueError as error:
                return None, labels, f"{shown(path)} cannot be read ({error})", ""
            with seeded(*seed) if seed else nullcontext():
                pixels.append(np.asarray(self.transform(photo)))
            remarks += [remark] if remark else []
        return torch.from_numpy(np.stack(pixels)), labels, "", next(iter(remarks), "")


def read_photos(images: StreamedSet, transform: Callable[[Any], Any], batches: Iterator[list[list[int]]],
                workers: int, pin_memory: bool) -> Iterator[tuple[Tensor | None, Tensor, str, str]]:
    """Returns what `PhotoBatches` has for each of the batches, read by so many processes."""
    # The generator: else DataLoader would draw a number from the global one.
    return iter(DataLoader(
        PhotoBatches(images, transform), sampler=batches, batch_size=None, num_workers=workers,
        worker_init_fn=_ignore_interrupts, pin_memory=pin_memory, generator=torch.Generator().manual_seed(0)))


def _ignore_interrupts(_worker: int) -> None:
    # Ctrl-C reaches every process of a terminal or a notebook; the one that trains decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
