"""How long a published protocol takes on this machine, from a few measured steps on made-up data of the right shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from ..runs.device import device_name, pick_device
from ..training.report import duration
from .protocols import DATASETS, LARGE, DatasetSizes, PublishedProtocol

AT_ONCE = 16        # images of a measured step: a batch of 256 large pictures does not fit every laptop
STEPS = 2


@dataclass(frozen=True)
class Estimate:
    """items: images or words that the whole protocol processes; per_second: of them, measured. unit: "images" or "words".
    Loading from disk and evaluating are not in it. batch: of the measured steps; the protocol's is recipe_batch. memory:
    bytes allocated at most on a GPU while measuring, None on the CPU."""

    command: str
    device: str
    unit: str
    items: int
    per_second: float
    batch: int
    recipe_batch: int
    memory: int | None = None

    @property
    def seconds(self) -> float:
        """Of the whole protocol."""
        return self.items / self.per_second

    def __str__(self) -> str:
        scaled = "" if self.batch == self.recipe_batch else f" at batch {self.batch} (the protocol has {self.recipe_batch})"
        memory = "" if self.memory is None else f", {self.memory / 2**30:.1f} GiB"
        return (f"{duration(self.seconds)} on {self.device}: {self.items:,} {self.unit}, {self.per_second:,.1f} a second "
                f"measured{scaled}{memory}")


def estimate(asked: PublishedProtocol, *, batch: int | None = None, steps: int = STEPS, device: str | torch.device | None = None
             ) -> Estimate:
    """Measures `steps` steps of a protocol (after an epoch as long for warming up) and scales up.

    batch: images or streams of text of the measured steps; None: the protocol's own, but at most 16 images on a CPU, where a
    step's time is nearly proportional to them. (For texts and on GPUs it is not: small batches would overestimate the cost.)
    """
    place = pick_device(device)
    sizes, recipe, own = DATASETS[asked.data], asked.recipe, asked.recipe.batch_size
    size = min(own, batch) if batch else fitting_batch(asked, place)
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    run = {"search": _search, "training": _training, "language training": _language}[asked.kind](asked, size, steps, place)
    run.run_epoch()
    record = run.run_epoch()
    memory = torch.cuda.max_memory_allocated(place) if place.type == "cuda" else None
    did = size * steps * (recipe.bptt if sizes.is_text else 1)
    halves = 2 if asked.kind == "search" and not sizes.is_text else 1      # a step takes a batch of each half, counted once
    items = sizes.train // halves * recipe.epochs
    return Estimate(asked.command, device_name(place), "words" if sizes.is_text else "images", items, did / record.seconds, size,
                    own, memory)


def fitting_batch(asked: PublishedProtocol, place: torch.device, small: int = AT_ONCE, large: int = AT_ONCE) -> int:
    """Of a measured step: the protocol's own on a GPU and of texts, whose cost is not proportional to it; on a CPU a few
    images. small: how many at most; large: how many of pictures for ImageNet's stem."""
    sizes, own = DATASETS[asked.data], asked.recipe.batch_size
    if place.type != "cpu" or sizes.is_text:
        return own
    return min(own, large if sizes.image_size >= LARGE else small)


def _search(asked: PublishedProtocol, size: int, steps: int, place: torch.device) -> Any:
    from .. import engines  # noqa: F401  (registers them)
    from ..search.engine import SearchSpec, engine_for
    from ..search.loop import Search

    sizes = DATASETS[asked.data]
    recipe = replace(asked.recipe, batch_size=size)
    data = _text(asked.data, sizes, size, steps, recipe) if sizes.is_text else _images(asked.data, sizes, size * steps)
    engine, _ = engine_for(SearchSpec(asked.space, asked.algorithm, asked.recipe, place,
                                      None if sizes.is_text else sizes.image_size))
    return Search(asked.space, data, asked.algorithm, recipe=recipe, device=place, engine=engine.name)


def _training(asked: PublishedProtocol, size: int, steps: int, place: torch.device) -> Any:
    from ..training.loop import Training

    recipe = replace(asked.recipe, batch_size=size)
    data = _images(asked.data, DATASETS[asked.data], size * steps)
    return Training(asked.network(), data, recipe=recipe, device=place, evaluate_every=recipe.epochs)


def _language(asked: PublishedProtocol, size: int, steps: int, place: torch.device) -> Any:
    from ..training.language import LanguageTraining

    recipe = replace(asked.recipe, batch_size=size)
    return LanguageTraining(asked.network(), _text(asked.data, DATASETS[asked.data], size, steps, recipe), recipe=recipe,
                            device=place)


def _images(name: str, sizes: DatasetSizes, count: int) -> Any:
    from ..data.images import Augmentation, ImageData, ImageSet

    noise = torch.Generator().manual_seed(0)
    side, channels = sizes.image_size, sizes.image_channels
    pixels = torch.randint(256, (count, side, side, channels), generator=noise, dtype=torch.uint8)
    some = ImageSet(pixels.permute(0, 3, 1, 2), torch.randint(sizes.classes, (count,), generator=noise))
    names = tuple(map(str, range(sizes.classes)))
    return ImageData(name, sizes.classes, names, side, channels, (0.5,) * channels, (0.25,) * channels,
                     Augmentation(), some, some, some, {"test": some.subset([0, 1])})


def _text(name: str, sizes: DatasetSizes, size: int, steps: int, recipe: Any) -> Any:
    """Every part as long as `steps` windows of the train text (valid and test have fewer streams, or as many)."""
    from ..data.text import TextData

    streams = max(size, getattr(recipe, "valid_batch", size))
    tokens = torch.randint(sizes.classes, (streams * (recipe.bptt * steps + 1),), generator=torch.Generator().manual_seed(0))
    train = tokens[:size * (recipe.bptt * steps + 1)]
    return TextData(name, tuple(map(str, range(sizes.classes))), train, tokens, tokens[:2 * recipe.bptt])
