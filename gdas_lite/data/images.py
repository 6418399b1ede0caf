"""Images that live on the device as uint8, and the batches that are made of them there.

`ImageSet` is pixels and labels; `ImageData` is a data set with its parts (what a search sees, what is kept for the end)
and its constants; `Batches` makes augmented, normalised float batches.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ..runs.schema import Range, check, check_has, python_number, said
from ..runs.shards import WHOLE_BATCH, Shard, batch_bounds
from .augment import Augmentation, Draws, crop_flip, cutout, normalise, random_draws


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images with one label each.

    Shapes: images uint8 (count, channels, height, width), labels int64 (count,); what we load is channels_last.
    Raises TypeError or ValueError if the types, shapes or counts do not fit.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.labels.dtype != torch.int64:
            raise TypeError(f"ImageSet: images must be uint8 and labels int64, got {self.images.dtype} and "
                            f"{self.labels.dtype}")
        if self.images.ndim != 4 or self.labels.shape != self.images.shape[:1]:
            raise ValueError("ImageSet: expected images (count, channels, height, width) and labels (count,), got "
                             f"{tuple(self.images.shape)} and {tuple(self.labels.shape)}")

    @classmethod
    def from_arrays(cls, pixels: np.ndarray, labels: Sequence[int] | np.ndarray) -> Self:
        """Returns an ImageSet of uint8 pixels (count, height, width, channels), not copied, and labels (count,)."""
        images = torch.from_numpy(np.ascontiguousarray(pixels)).movedim(-1, 1)
        given = np.asarray(labels)
        if given.size and (given.dtype.kind not in "iufbO" or (given % 1 != 0).any()):
            raise ValueError(f"ImageSet: labels must be whole numbers, places in class_names, got {said(labels)}")
        return cls(images, torch.from_numpy(given.astype(np.int64)))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        channels, height, width = self.images.shape[1:]
        return f"ImageSet({len(self):,} images, {channels}x{height}x{width}, on {self.images.device})"

    def subset(self, indices: Sequence[int] | np.ndarray | Tensor) -> Self:
        """Returns the images with these indices, in this order (a copy). Raises TypeError for a mask."""
        if (chosen := torch.as_tensor(indices, device=self.labels.device)).dtype == torch.bool:
            raise TypeError("ImageSet: a subset is given by indices, not by a mask; mask.nonzero() has those of a mask")
        chosen = chosen.long()
        rows = self.images.permute(0, 2, 3, 1).index_select(0, chosen)  # keeps channels_last memory
        return ImageSet(rows.permute(0, 3, 1, 2), self.labels.index_select(0, chosen))

    def to(self, device: torch.device | str) -> Self:
        """Returns the same images on `device`; itself if they are there already."""
        images, labels = self.images.to(device), self.labels.to(device)
        return self if images is self.images and labels is self.labels else ImageSet(images, labels)


@dataclass(frozen=True, eq=False, repr=False)
class ImageData:
    """An image data set: its parts, its constants, its customary augmentation.

    train: all training images, for training the derived network.
    train_half, valid_half: what a search sees (lower and upper level of the bilevel problem); disjoint.
    evaluation: named sets that training never sees. "test" always; where NAS-Bench-201 has them also "x-valid" and
        "x-test", halves of the official test images: a search there validates on x-valid.
    mean, std: for each channel, of pixels scaled to 0..1.
    augmentation: the training default of this data set, without cutout.
    Raises ValueError if a label lies outside 0..classes-1, images are not of the size given here, or an augmentation
        can leave nothing of them.
    """

    name: str
    classes: int
    class_names: tuple[str, ...]
    image_size: int
    image_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    train: ImageSet
    train_half: ImageSet
    valid_half: ImageSet
    evaluation: dict[str, ImageSet]

    def __post_init__(self) -> None:
        check_has(self.augmentation, "padding", "augmentation", "Augmentation(...)")
        for name in ("classes", "image_size", "image_channels", "mean", "std"):     # NumPy's numbers are no JSON
            object.__setattr__(self, name, python_number(getattr(self, name)))
        if len(self.class_names) != self.classes:
            raise ValueError(f"{self.name}: {self.classes} classes but {len(self.class_names)} class names")
        if len(self.mean) != self.image_channels or len(self.std) != self.image_channels:
            raise ValueError(f"{self.name}: mean and std need one number for each of {self.image_channels} channels")
        for name, bounds in (("mean", Range(0, 1)), ("std", Range(above=0, high=1))):
            check(getattr(self, name), [bounds], f"{self.name}: of pixels scaled to 0..1, {name}")
        for name, most in (("padding", self.image_size - 1), ("cutout", 2 * self.image_size - 1)):
            if (given := getattr(self.augmentation, name)) > most:
                raise ValueError(f"{self.name}: {name}={given} can leave nothing of a picture of {self.image_size} "
                                 f"pixels; at most {most} leaves some")
        shape = (self.image_channels, self.image_size, self.image_size)
        for part, image_set in self._parts().items():
            if (found := tuple(image_set.images.shape[1:])) != shape:
                raise ValueError(f"{self.name}, {part}: images are {found}, expected {shape} (channels, height, width)")
            check_labels(image_set.labels, 0, self.classes - 1, f"{self.name}, {part}")

    def _parts(self) -> dict[str, ImageSet]:
        named = {"train": self.train, "train_half": self.train_half, "valid_half": self.valid_half}
        return named | self.evaluation

    def __repr__(self) -> str:
        what = "grey" if self.image_channels == 1 else "colour"
        lines = [f"ImageData {self.name}: {self.classes} classes, {what} images of {self.image_size} pixels"]
        lines += [f"  {part:<10} {len(image_set):>7,} images" for part, image_set in self._parts().items()]
        return "\n".join(lines)


def check_labels(labels: Tensor | np.ndarray, first: int, last: int, where: str) -> None:
    """Raises ValueError unless first <= label <= last for every label; the sentence says which one, where."""
    labels = labels if isinstance(labels, Tensor) else torch.from_numpy(labels)
    wrong = ((labels < first) | (labels > last)).nonzero().flatten().tolist()
    if wrong:
        raise ValueError(f"{where}: {len(wrong)} of {len(labels)} labels lie outside {first}..{last}, the first is "
                         f"{int(labels[wrong[0]])} at index {wrong[0]}")


def channel_statistics(image_set: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of each channel over all pixels, for pixels scaled to 0..1.

    Exact, from the counts of the 256 grey values. Raises ValueError if all pixels of a channel are the same.
    """
    values, found = np.arange(256) / 255, []
    for channel, pixels in enumerate(image_set.images.unbind(1)):
        counts = np.bincount(pixels.reshape(-1).numpy(), minlength=256)
        share = counts / counts.sum()
        mean = float(share @ values)
        if (variance := float(share @ (values - mean) ** 2)) == 0:
            raise ValueError(f"every pixel of channel {channel} is {mean * 255:.0f}; there is nothing to learn from it")
        found.append((mean, variance**0.5))
    return tuple(zip(*found))


class EpochBatches(ABC):
    """What batches in memory (`Batches`) and from files (`batches.StreamedBatches`) have in common.

    batch_size: of the whole training. shard: the part of each batch that this process makes; random numbers are those
    of the whole, so that no image is done twice. bounds: see `batch_bounds`.
    Raises ValueError for an empty set or batch.
    """

    augmentation: Any

    def __init__(self, images: Any, data: Any, batch_size: int, *, is_training: bool, device: torch.device | str,
                 shard: Shard) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if len(images) == 0:
            raise ValueError(f"{data.name}: this set has no images, so there is nothing to make batches of")
        self.batch_size, self.shard, self.device = batch_size, shard, torch.device(device)
        self._count, self.bounds = len(images), batch_bounds(len(images), batch_size, is_training)
        self._mean, self._std = (torch.tensor(values, dtype=torch.float32, device=self.device)
                                 for values in (data.mean, data.std))

    def __len__(self) -> int:
        """Steps of an epoch."""
        return len(self.bounds)

    @abstractmethod
    def _choices(self, chosen: Tensor, generator: torch.Generator | None) -> Tensor:
        """What batches of these images are made of, int64 (rows, images) on the CPU; the first row says which image."""

    @abstractmethod
    def _made(self, choices: Tensor, parts: list[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the choices start..stop-1 of each part."""

    def epoch(self, generator: torch.Generator | None = None, shuffle: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
        """Returns one pass over the images in the batches of `batch_bounds`, of each this process's part.

        The random numbers of the whole epoch are drawn when this is called: first the order, then the augmentation.
        They do not depend on the batch size, and cost one transfer to the device.
        The generator may be left out where nothing is random (no augmentation, shuffle=False); else ValueError.
        """
        self._check(generator, is_random=shuffle or self.augmentation not in (None, Augmentation()))
        order = torch.randperm(self._count, generator=generator) if shuffle else torch.arange(self._count)
        return self._made(self._choices(order, generator), self.shard.parts(self.bounds))

    def own_batches(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Returns (number, x, y) of the whole batches that are this process's in an evaluation, in order."""
        owned = self.shard.own_batches(self._count, self.batch_size)
        made = self._made(self._choices(torch.arange(self._count), None), [(start, stop) for _, start, stop in owned])
        return ((number, x, y) for (number, _, _), (x, y) in zip(owned, made))

    def _check(self, generator: torch.Generator | None, is_random: bool = True) -> None:
        if generator is None and is_random:
            raise ValueError("these batches are random: give a CPU torch.Generator")
        if generator is not None and generator.device.type != "cpu":
            raise ValueError(f"the generator must live on the CPU, got one on {generator.device}; then a seed gives "
                             "the same batches on every device")


class Batches(EpochBatches):
    """Augmented, normalised batches of an ImageSet, made on the device.

    A batch is x, float32 (batch, channels, height, width) in channels_last memory, and y, int64 (batch,).
    Randomness: only from the CPU generator that is handed in; a seed gives the same batches on every device.

    data: whose mean and std normalise. augmentation: None leaves the images as they are (evaluation); else this is for
    a training. batch_size, shard: see `EpochBatches`.
    Raises ValueError for an empty set or one with other channels than the data.
    Example: `for x, y in Batches(data.train, data, 256, augmentation=data.augmentation).epoch(generator)`
    """

    def __init__(self, image_set: ImageSet, data: ImageData, batch_size: int, *, augmentation: Augmentation | None,
                 device: torch.device | str = "cpu", shard: Shard = WHOLE_BATCH) -> None:
        self.augmentation = augmentation or Augmentation()
        super().__init__(image_set, data, batch_size, is_training=augmentation is not None, device=device, shard=shard)
        if image_set.images.shape[1] != data.image_channels:
            raise ValueError(f"these images have {image_set.images.shape[1]} channels, but {data.name} has "
                             f"{data.image_channels}")
        on_device = image_set.to(self.device)
        self._labels = on_device.labels
        self._rows = on_device.images.permute(0, 2, 3, 1).contiguous()  # (count, height, width, channels)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns this process's part of `count` images drawn uniformly with replacement, each with its own
        augmentation.

        A search pairs every batch of the train half with such a batch of the valid half (AutoDL-Projects).
        """
        part = self.choices(generator, count)[:, slice(*self.shard.bounds(count))]
        return self.batch(part.to(self.device, non_blocking=True))

    def choices(self, generator: torch.Generator, count: int | None = None) -> Tensor:
        """Returns what batches are made of, on the CPU: int64 (6, images): which image, and its `Draws`.

        count: so many images, as `draw` draws them; None: those of an epoch, as `epoch` takes them.
        """
        if count is not None and count < 1:
            raise ValueError(f"draw at least 1 image, got count={count}")
        self._check(generator)
        if count is None:
            return self._choices(torch.randperm(self._count, generator=generator), generator)[:, :self.bounds[-1][1]]
        return self._choices(torch.randint(self._count, (count,), generator=generator), generator)

    def batch(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the batch of these choices, (6, images) on the device."""
        chosen, draws = choices[0], Draws(*choices[1:])
        x = self._rows.index_select(0, chosen).permute(0, 3, 1, 2)
        if self.augmentation.padding or self.augmentation.flip:
            x = crop_flip(x, draws.top, draws.left, draws.flipped, padding=self.augmentation.padding)
        x = normalise(x, self._mean, self._std)     # after the crop, whose border is black therefore, as in torchvision
        if self.augmentation.cutout:
            x = cutout(x, draws.centre_y, draws.centre_x, length=self.augmentation.cutout)
        return x.contiguous(memory_format=torch.channels_last), self._labels.index_select(0, chosen)

    def _choices(self, chosen: Tensor, generator: torch.Generator | None) -> Tensor:
        height, width = self._rows.shape[1:3]
        return torch.stack([chosen, *random_draws(len(chosen), height, width, self.augmentation, generator)])

    def _made(self, choices: Tensor, parts: list[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        choices = choices.to(self.device, non_blocking=True)
        return (self.batch(choices[:, start:stop]) for start, stop in parts)
