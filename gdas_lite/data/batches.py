"""Batches of an image set, whether it lies on the device or is read from files: for training and for evaluation."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from ..runs.checkpoint import digest
from ..runs.shards import WHOLE_BATCH, Shard
from . import DATA_SETS
from .augment import Augmentation, PhotoAugmentation, cutout, normalise
from .images import Batches, EpochBatches, ImageData, ImageSet
from .photos import StreamedData, StreamedSet, read_photos
from .pictures import Reading, photo_reading


class StreamedBatches(EpochBatches):
    """Batches of a `StreamedSet`: x float32 (batch, 3, size, size) in channels_last memory on the device, y (batch,).

    augmentation: None for evaluation (scale and centre). batch_size, shard: see `EpochBatches`.
    A seed gives the same images whatever the number of workers, processes and the batch size: each image has its own,
    drawn from the generator of the epoch.
    Raises ValueError with the name of a file that cannot be read, when its turn comes.
    """

    def __init__(self, images: StreamedSet, data: StreamedData, batch_size: int, *,
                 augmentation: PhotoAugmentation | None, device: torch.device | str = "cpu",
                 shard: Shard = WHOLE_BATCH) -> None:
        self.augmentation, self._data, self._images = augmentation, data, images
        super().__init__(images, data, batch_size, is_training=augmentation is not None, device=device, shard=shard)
        self._transform = augmentation.transform(data.image_size) if augmentation else data.reading.cut

    def _choices(self, chosen: Tensor, generator: torch.Generator | None) -> Tensor:
        """Which image, then in a training its seed."""
        if self.augmentation is None:
            return chosen[None]
        return torch.stack([chosen, torch.randint(2**62, (len(chosen),), generator=generator)])

    def _made(self, choices: Tensor, parts: list[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        asked = (choices[:, start:stop].T.tolist() for start, stop in parts)
        read = read_photos(self._images, self._transform, asked, min(self._data.num_workers, len(parts)),
                           self.device.type == "cuda")
        for (pixels, labels, problem, remark), (start, stop) in zip(read, parts):
            if pixels is None:
                raise ValueError(f"{problem}; remove or replace it, or load the data with on_error='skip'")
            if remark:
                warnings.warn(remark, stacklevel=3)     # always the same text, so said once
            images = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2)      # (part, 3, size, size), uint8
            x = normalise(images, self._mean, self._std)
            if self.augmentation and self.augmentation.cutout:
                seeds = choices[1, start:stop]      # an image's seed also says where its square is
                centres = (torch.stack([seeds, seeds // 2**31]) % self._data.image_size).to(self.device)
                x = cutout(x, *centres, length=self.augmentation.cutout)
            yield x.contiguous(memory_format=torch.channels_last), labels.to(self.device, non_blocking=True)


def batches_of(images: ImageSet | StreamedSet, data: ImageData | StreamedData, batch_size: int, *,
               augmentation: Augmentation | PhotoAugmentation | None = None, device: torch.device | str = "cpu",
               shard: Shard = WHOLE_BATCH) -> Batches | StreamedBatches:
    """Returns batches in memory or from files, `shard`'s part. augmentation: None for an evaluation."""
    kind = StreamedBatches if isinstance(images, StreamedSet) else Batches
    return kind(images, data, batch_size, augmentation=augmentation, device=device, shard=shard)


def training_batches(images: ImageSet | StreamedSet, data: ImageData | StreamedData, batch_size: int, *, cutout: int,
                     **options: Any) -> Batches | StreamedBatches:
    """Returns batches with the data set's augmentation and a square of `cutout` pixels erased; options as before."""
    return batches_of(images, data, batch_size, augmentation=replace(data.augmentation, cutout=cutout), **options)


def data_info(data: Any) -> dict[str, Any]:
    """Returns what is told of a data set wherever a network is kept: name, image_size, mean, std, class_names."""
    return {"name": data.name, "image_size": data.image_size, "mean": data.mean, "std": data.std,
            "class_names": data.class_names}


def reading_of(info: Mapping[str, Any]) -> Reading:
    """Returns how a picture file is read for a network whose run folder, or export, says this of its data."""
    if streamed := info.get("streamed"):
        return photo_reading(streamed["image_size"], streamed.get("upright", False))
    size = info["image_size"]
    asked = {"shorter_side": size, "upright": True} | info.get("reading", {})       # older exports do not say
    return Reading(size, int(asked["shorter_side"]), len(info["mean"]) == 1, asked["upright"])


def identity_of(images: ImageSet | StreamedSet, data: ImageData | StreamedData) -> dict[str, Any]:
    """Returns what tells these images from others: a checksum, and for streamed data how they are read."""
    if isinstance(images, StreamedSet):
        return {"checksum": images.checksum(), "sizes": images.sizes(), "streamed": data.options}
    return {"checksum": digest({"images": images.images, "labels": images.labels}), **own_options(data)}


def own_options(data: Any) -> dict[str, Any]:
    """Returns the augmentation of images, of one's own how they were loaded, for whoever loads them again; else {}."""
    if not isinstance(data, ImageData):
        return {}
    own = {} if data.name in DATA_SETS else {"image_size": data.image_size, "grey": data.image_channels == 1}
    return own | {"augmentation": asdict(data.augmentation)}
