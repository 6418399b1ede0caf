"""Photographs that are read from their files as they are needed, by several processes: for sets too big for memory.

`StreamedSet` is a list of files with labels, `StreamedData` takes the place of `ImageData` in a training, and
`StreamedBatches` that of `Batches`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch
from torch import Tensor

from .augment import cutout, normalise
from .photo_reader import Asked, Photos, collate, ignore_interrupts
from .photo_transforms import PhotoAugmentation, evaluation_transform
from .sharding import ALONE, Shard, part_of

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
