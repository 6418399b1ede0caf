"""How a photograph becomes a square of pixels for ImageNet training and evaluation, by lineage.

Sources: quark0/darts and the original GDAS code ("darts"); AutoDL-Projects ("autodl"). The transforms themselves are
torchvision's, on PIL pictures, as both codes use them.

What runs in the processes that read photographs: one file after the other, each with its own seed.

Photographs that are read from their files as they are needed, by several processes: for sets too big for memory.

`StreamedSet` is a list of files with labels, `StreamedData` takes the place of `ImageData` in a training, and
`StreamedBatches` that of `Batches`.

ImageNet, and other big folders of photographs, streamed from class folders.

    train/CLASS/*.JPEG      val/CLASS/*.JPEG        (also valid/, validation/ or test/)
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch
from torch import Tensor

from .augment import cutout, normalise
from .folders import PICTURE_SUFFIXES, _class_names, _reason
from .places import missing, places
from .shards import ALONE, Shard, part_of

Lineage = Literal["darts", "autodl"]


LINEAGES = ("darts", "autodl")


# AutoDL-Projects: principal components of ImageNet's colours, for pixels scaled to 0..1.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])


EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


@dataclass(frozen=True)
class PhotoAugmentation:
    """The training augmentation of photographs.

    "darts" (quark0/darts; original GDAS code, which made the published ImageNet results): random resized crop, flip,
        colour jitter of brightness, contrast and saturation 0.4 and hue 0.2.
    "autodl" (AutoDL-Projects): random resized crop, the same colour jitter, PCA lighting 0.1, flip.
    lighting_scale: what the lighting's colour shift is multiplied with. 1 is the code's: it adds a shift made for
        pixels in 0..1 to pixels in 0..255, so at most one grey level changes. 255 is what was surely meant; no
        published number was made with it.
    cutout: side of a square erased after normalisation, pixels, 0 for none (both codes).
    """

    lineage: Lineage = "darts"
    lighting_scale: float = 1.0
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.lineage not in LINEAGES:
            raise ValueError(f"lineage must be one of {', '.join(LINEAGES)}, got {self.lineage!r}")
        if self.lighting_scale < 0 or self.cutout < 0:
            raise ValueError(f"lighting_scale and cutout must be >= 0, got {self.lighting_scale} and {self.cutout}")

    def transform(self, size: int) -> Callable[[Any], Any]:
        """PIL picture to PIL picture of `size` x `size`; draws from PyTorch's global CPU generator (see `seeded`)."""
        from torchvision import transforms

        crop, flip = transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()
        jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.2)
        if self.lineage == "darts":
            return transforms.Compose([crop, flip, jitter])
        return transforms.Compose([crop, jitter, RandomLighting(0.1, self.lighting_scale), flip])


class RandomLighting:
    """`lighting` with normally distributed strengths of standard deviation `std`."""

    def __init__(self, std: float, scale: float) -> None:
        self.std, self.scale = std, scale

    def __call__(self, picture: Any) -> Any:
        return lighting(picture, (torch.randn(3) * self.std).numpy(), self.scale)


def lighting(picture: Any, strengths: np.ndarray, scale: float) -> Any:
    """Shift all pixels along the principal components of ImageNet's colours.

    Source: AutoDL-Projects (idea: AlexNet). strengths (3,), one a component. The sum is clipped to 0..255 and cut off
    to whole numbers, so with scale 1, where the shift is below one level, a channel stays or falls by one.
    """
    from PIL import Image

    shift = EIGENVECTORS @ (strengths.astype(np.float64) * EIGENVALUES) * scale         # (3,)
    return Image.fromarray(np.clip(np.asarray(picture) + shift, 0, 255).astype(np.uint8))


def evaluation_transform(size: int) -> Callable[[Any], Any]:
    """Shorter side to size * 256 / 224 pixels, then the centre (both codes, for 224: 256)."""
    from torchvision import transforms

    return transforms.Compose([transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size)])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, PyTorch's global CPU generator stands at `seed`; outside it is as it was.."""
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


def open_photo(path: str | Path) -> Any:
    """The PIL picture of a file, decoded, in RGB; not turned by EXIF, as torchvision's ImageFolder.

    Raises ValueError with the reason if it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(_reason(error)) from error     # which of these a damaged file raises depends on its format


@dataclass
class Read:
    """What came of an item."""

    pixels: np.ndarray | None       # uint8 (height, width, 3); None: no readable file
    label: int
    unreadable: dict[int, str]      # index of the file: why


class Photos(torch.utils.data.Dataset):
    """What the reading processes hold. An item is asked for as (index, seed or None) and comes as a `Read`.

    replaces: whether the next file of the list takes the place of one that cannot be read.
    """

    def __init__(self, images: StreamedSet, transform: Callable[[Any], Any], replaces: bool) -> None:
        self.images, self.transform, self.replaces = images, transform, replaces

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, asked: tuple[int, int | None]) -> Read:
        index, seed = asked
        unreadable: dict[int, str] = {}
        for step in range(len(self.images) if self.replaces else 1):
            at = (index + step) % len(self.images)
            try:
                photo = open_photo(self.images.path(at))
            except ValueError as error:
                unreadable[at] = str(error)
                continue
            if seed is None:
                photo = self.transform(photo)
            else:
                with seeded(seed):
                    photo = self.transform(photo)
            return Read(np.asarray(photo), int(self.images.labels[at]), unreadable)
        return Read(None, -1, unreadable)


def collate(items: list[Read]) -> tuple[Tensor, Tensor, dict[int, str]]:
    """One batch: pixels uint8 (good, height, width, 3), labels (good,), and why the others could not be read."""
    unreadable = {index: reason for item in items for index, reason in item.unreadable.items()}
    good = [item for item in items if item.pixels is not None]
    pixels = np.stack([item.pixels for item in good]) if good else np.zeros((0, 1, 1, 3), np.uint8)
    return torch.from_numpy(pixels), torch.tensor([item.label for item in good], dtype=torch.int64), unreadable


def ignore_interrupts(_worker: int) -> None:
    """For a reading process, when it starts."""
    # Ctrl-C reaches every process of a terminal or a notebook; the one that trains decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass
class Asked:
    """The batches of an epoch as lists of (index, seed): what the reading processes are told, batch by batch."""

    order: Tensor
    seeds: Tensor | None
    parts: list[tuple[int, int]]

    def __iter__(self) -> Iterator[list[tuple[int, int | None]]]:
        for start, stop in self.parts:
            indices = self.order[start:stop].tolist()
            yield list(zip(indices, [None] * len(indices) if self.seeds is None else self.seeds[start:stop].tolist()))

    def __len__(self) -> int:
        return len(self.parts)


OnError = Literal["raise", "skip"]


@dataclass(frozen=True, eq=False, repr=False)
class StreamedSet:
    """Files below `folder` with one label each, in a fixed order.

    names: paths relative to the folder, as bytes (count,), which for a million files is a tenth of the memory of text.
    labels: int64 (count,).
    """

    folder: Path
    names: np.ndarray
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, index: int) -> Path:
        """The file of an image."""
        return self.folder / os.fsdecode(self.names[index])

    def checksum(self) -> str:
        """Of names and labels. Not of the files' content: reading 150 GB takes an hour."""
        return hashlib.sha256(b"\n".join(self.names.tolist()) + self.labels.numpy().tobytes()).hexdigest()


@dataclass(frozen=True, eq=False, repr=False)
class StreamedData:
    """A data set of photographs on disk. Same names and meaning as `ImageData`, but nothing is in memory.

    train, evaluation: see `ImageData`. options: what `load_streamed` needs beside the folder to make it again.
    num_workers: processes that read and decode, 0 for none. on_error: what to do about a file that cannot be read, see
        `load_streamed`. Neither changes an image.
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
    on_error: OnError
    image_channels: int = 3

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def options(self) -> dict[str, Any]:
        return {"image_size": self.image_size, "lineage": self.augmentation.lineage,
                "lighting_scale": self.augmentation.lighting_scale}

    @property
    def train_half(self) -> NoReturn:
        raise ValueError(f"{self.name} is streamed from its files and has no search halves: train on all of it, and "
                         "search on a smaller set such as imagenet16-120 or cifar10, as the papers do")

    valid_half = train_half

    def to(self, device: torch.device | str) -> StreamedData:
        """Itself: batches go to the device one by one."""
        return self

    def __repr__(self) -> str:
        lines = [f"StreamedData {self.name}: {self.classes} classes, photographs of {self.image_size} pixels, read by "
                 f"{self.num_workers} processes"]
        lines += [f"  {part:<10} {len(images):>9,} images in {images.folder}"
                  for part, images in {"train": self.train, **self.evaluation}.items()]
        return "\n".join(lines)


def default_workers() -> int:
    """Processes to read with: a core each, at most 8, shared among the processes of a training on this machine.

    0 where processes are not forked (Windows, macOS): there a script without the `__main__` guard would start itself.
    """
    if not sys.platform.startswith("linux"):
        return 0
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(8, cores))


class StreamedBatches:
    """Batches of a `StreamedSet`: x float32 (batch, 3, size, size) in channels_last memory on the device, y (batch,).

    augmentation: None for evaluation (scale and centre). shard: the part of each batch that this process makes.
    A seed gives the same images whatever the number of workers, processes and the batch size: each image has its own,
    drawn from the generator of the epoch.

    A file that cannot be read raises ValueError with its name, or, with on_error "skip", is named once in a warning and
    counted in `unreadable`. In training the next file of the list takes its place, so that batches keep their size; in
    evaluation it is left out.
    """

    def __init__(self, images: StreamedSet, data: StreamedData, batch_size: int, *,
                 augmentation: PhotoAugmentation | None, device: torch.device | str = "cpu",
                 shard: Shard = ALONE) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if len(images) == 0:
            raise ValueError(f"{data.name}: this set has no images, so there is nothing to make batches of")
        self.batch_size, self.augmentation, self.shard = batch_size, augmentation, shard
        self.device = torch.device(device)
        self.unreadable: dict[str, str] = {}
        self._data, self._images = data, images
        transform = augmentation.transform(data.image_size) if augmentation else evaluation_transform(data.image_size)
        self._photos = Photos(images, transform, replaces=augmentation is not None and data.on_error == "skip")
        self._mean, self._std = (torch.tensor(values, device=self.device) for values in (data.mean, data.std))

    def __len__(self) -> int:
        """Steps of an epoch; the last batch may be short."""
        return -(-len(self._images) // self.batch_size)

    def epoch(self, generator: torch.Generator | None = None, shuffle: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over all images; the last short batch is kept. Drawn when called: the order, then a seed an image.

        The generator may be left out where nothing is random (no augmentation, shuffle=False).
        """
        count = len(self._images)
        if generator is None and (shuffle or self.augmentation):
            raise ValueError("these batches are random: give a CPU torch.Generator")
        order = torch.randperm(count, generator=generator) if shuffle else torch.arange(count)
        seeds = torch.randint(2**62, (count,), generator=generator) if self.augmentation else None
        parts = [part_of(self.shard, start, min(start + self.batch_size, count))
                 for start in range(0, count, self.batch_size)]
        return (self._finished(*read, seeds, part) for read, part in zip(self.read(order, seeds, parts), parts))

    def own_batches(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(number, x, y) of the whole batches that are this process's in an evaluation, in order."""
        numbers = [number for number in range(len(self)) if self.shard.owns(number)]
        parts = [(number * self.batch_size, (number + 1) * self.batch_size) for number in numbers]
        for number, read, part in zip(numbers, self.read(torch.arange(len(self._images)), None, parts), parts):
            yield number, *self._finished(*read, None, part)

    def read(self, order: Tensor, seeds: Tensor | None, parts: list[tuple[int, int]]
             ) -> Iterator[tuple[Tensor, Tensor, dict[int, str]]]:
        """Pixels uint8 (part, height, width, 3), labels, and index: reason of what could not be read, part by part.

        order: indices of an epoch (count,). seeds: one a place in it, or None. parts: places start..stop-1 of each.
        """
        asked = Asked(order, seeds, parts)
        workers = min(self._data.num_workers, len(parts))
        return iter(torch.utils.data.DataLoader(
            self._photos, batch_sampler=asked, num_workers=workers, collate_fn=collate,
            worker_init_fn=ignore_interrupts, pin_memory=self.device.type == "cuda",
            generator=torch.Generator().manual_seed(0)))        # else a number would be drawn from the global one

    def _finished(self, pixels: Tensor, labels: Tensor, unreadable: dict[int, str], seeds: Tensor | None,
                  part: tuple[int, int]) -> tuple[Tensor, Tensor]:
        self._report(unreadable)
        if self.augmentation and len(labels) == 0:
            raise ValueError(f"{self._images.folder} has no picture that can be read")
        if len(labels) == 0:
            size = self._data.image_size
            pixels = pixels.new_zeros(0, size, size, 3)
        images = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2)      # (part, 3, size, size), uint8
        x = normalise(images, self._mean, self._std)
        if self.augmentation and self.augmentation.cutout:
            # an image's seed also says where its square is
            centres = (torch.stack([seeds, seeds // 2**31])[:, slice(*part)] % self._data.image_size).to(self.device)
            x = cutout(x, *centres, length=self.augmentation.cutout)
        return x.contiguous(memory_format=torch.channels_last), labels.to(self.device, non_blocking=True)

    def _report(self, unreadable: dict[int, str]) -> None:
        for index, reason in unreadable.items():
            path = str(self._images.path(index))
            if self._data.on_error == "raise":
                raise ValueError(f"{path} cannot be read ({reason}); remove or replace it, or load the data with "
                                 "on_error='skip'")
            if path not in self.unreadable:
                self.unreadable[path] = reason
                warnings.warn(f"picture number {len(self.unreadable)} that cannot be read: {path} ({reason}); it is "
                              "left out", stacklevel=2)


def unreadable_photos(data: StreamedData) -> dict[str, str]:
    """Every file of the data set that cannot be decoded, with the reason; reads them all with data's workers."""
    found: dict[str, str] = {}
    for images in (data.train, *data.evaluation.values()):
        batches = StreamedBatches(images, data, 64, augmentation=None)
        parts = [(start, start + 64) for start in range(0, len(images), 64)]
        for _, _, unreadable in batches.read(torch.arange(len(images)), None, parts):
            found |= {str(images.path(index)): reason for index, reason in unreadable.items()}
    return found


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
