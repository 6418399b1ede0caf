"""Batches of an image set, whether it lies on the device or is read from files: for training and for evaluation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..runs.checkpoint import digest
from . import DATA_SETS
from .images import ImageData, ImageSet
from .photos import StreamedBatches, StreamedData, StreamedSet
from .shards import ALONE, Shard, ShardedBatches


def training_batches(images: ImageSet | StreamedSet, data: ImageData | StreamedData, batch_size: int, *, cutout: int,
                     device: torch.device, shard: Shard = ALONE) -> ShardedBatches | StreamedBatches:
    """Batches with the data set's augmentation and a square of `cutout` pixels erased; `shard`'s part of each."""
    kind = StreamedBatches if isinstance(images, StreamedSet) else ShardedBatches
    return kind(images, data, batch_size, augmentation=replace(data.augmentation, cutout=cutout), device=device,
                shard=shard)


def evaluation_batches(images: ImageSet | StreamedSet, data: ImageData | StreamedData, batch_size: int, *,
                       device: torch.device, shard: Shard = ALONE) -> ShardedBatches | StreamedBatches:
    """Batches that are not augmented; their `own_batches` are those that are `shard`'s to evaluate."""
    kind = StreamedBatches if isinstance(images, StreamedSet) else ShardedBatches
    return kind(images, data, batch_size, augmentation=None, device=device, shard=shard)


def data_info(data: Any) -> dict[str, Any]:
    """What is told of a data set wherever a network is kept: name, image_size, mean, std, class_names."""
    return {"name": data.name, "image_size": data.image_size, "mean": data.mean, "std": data.std,
            "class_names": data.class_names}


def identity_of(images: ImageSet | StreamedSet, data: ImageData | StreamedData) -> dict[str, Any]:
    """What tells these images from others: a checksum, and for streamed data how they are read."""
    if isinstance(images, StreamedSet):
        return {"checksum": images.checksum(), "streamed": data.options}
    return {"checksum": digest({"images": images.images, "labels": images.labels}), **own_options(data)}


def own_options(data: Any) -> dict[str, Any]:
    """How pictures of one's own were loaded, for whoever loads them again; nothing for the named sets and texts."""
    if not isinstance(data, ImageData) or data.name in DATA_SETS:
        return {}
    return {"image_size": data.image_size, "grey": data.image_channels == 1}
