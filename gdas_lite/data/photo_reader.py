"""What runs in the processes that read photographs: one file after the other, each with its own seed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .photo_transforms import open_photo, seeded

if TYPE_CHECKING:
    from .streaming import StreamedSet


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
