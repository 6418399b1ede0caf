"""How long a published protocol takes on this machine, from a few measured steps on made-up data of the right
shapes."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from .. import engines  # noqa: F401  (registers them)
from ..data.images import ImageData, ImageSet
from ..data.text import TextData
from ..runs.device import device_name, pick_device
from ..runs.distributed import ProcessGroup
from ..runs.engine import SearchSpec, engine_for
from ..runs.printing import duration
from ..search.loop import Search
from ..training.language import LanguageTraining
from ..training.loop import Training
from .protocols import DATASETS, LARGE, DatasetSizes, PublishedProtocol

AT_ONCE = 16        # images of a measured step: a batch of 256 large pictures does not fit every laptop
STEPS, EPOCHS = 2, 2     # that are done; the first is for warming up


@dataclass(frozen=True)
class Estimate:
    """items: images or words that the whole protocol processes; per_second: of them, measured. unit: "images" or
    "words". Loading from disk and evaluating are not in it. batch: of the measured steps; the protocol's is
    recipe_batch. memory: bytes allocated at most on a GPU while measuring, None on the CPU."""

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
        text = f"{duration(self.seconds)} on {self.device}: {self.items:,} {self.unit}, "
        text += f"{self.per_second:,.1f} a second measured"
        if self.batch != self.recipe_batch:
            text += f" at batch {self.batch} (the protocol has {self.recipe_batch})"
        return text if self.memory is None else f"{text}, {self.memory / 2**30:.1f} GiB"


def estimate(asked: PublishedProtocol, *, batch: int | None = None, steps: int = STEPS,
             device: str | torch.device | None = None) -> Estimate:
    """Measures `steps` steps of a protocol, of alpha too, after an epoch as long for warming up, and scales up.

    batch: images or streams of text of the measured steps; None: the protocol's own, but at most 16 images on a CPU,
    where a step's time is nearly proportional to them. (For texts and on GPUs it is not: small batches would
    overestimate the cost.)
    """
    device = pick_device(device)
    sizes, recipe = DATASETS[asked.data], asked.recipe
    size = min(recipe.batch_size, batch) if batch else fitting_batch(asked, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    run = (_search if asked.kind == "search" else _training)(asked, size, steps, device)
    run.run_epoch()
    record = run.run_epoch()
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    measured = size * steps * (recipe.bptt if sizes.is_text else 1)
    # A step of a search takes a batch of each half, counted once.
    halves = sizes.halves if asked.train_on == "train_half" or asked.kind == "search" else 1
    return Estimate(asked.command, device_name(device), "words" if sizes.is_text else "images",
                    sizes.train // halves * recipe.epochs, measured / record.seconds, size, recipe.batch_size, memory)


def fitting_batch(asked: PublishedProtocol, device: torch.device, small: int = AT_ONCE, large: int = AT_ONCE) -> int:
    """Of a measured step: the protocol's own on a GPU and of texts, whose cost is not proportional to it; on a CPU a
    few images. small: how many at most; large: how many of pictures for ImageNet's stem."""
    sizes, own = DATASETS[asked.data], asked.recipe.batch_size
    if device.type != "cpu" or sizes.is_text:
        return own
    return min(own, large if sizes.image_size >= LARGE else small)


def _search(asked: PublishedProtocol, size: int, steps: int, device: torch.device) -> Any:
    sizes, epochs = DATASETS[asked.data], max(EPOCHS, asked.recipe.epochs)
    recipe = replace(asked.recipe, batch_size=size, epochs=epochs, alpha_start=0.0)
    engine, _ = engine_for(SearchSpec(asked.space, asked.algorithm, asked.recipe, device,
                                      None if sizes.is_text else sizes.image_size, asked.precision))
    return Search(asked.space, _data(asked, size, steps), asked.algorithm, recipe=recipe, engine=engine.name,
                  precision=asked.precision, group=ProcessGroup(device=device))


def _training(asked: PublishedProtocol, size: int, steps: int, device: torch.device) -> Any:
    recipe = replace(asked.recipe, batch_size=size, epochs=max(EPOCHS, asked.recipe.epochs))
    data = _data(asked, size, steps)
    if asked.kind == "language training":
        return LanguageTraining(asked.network(), data, recipe=recipe, device=device)
    return Training(asked.network(), data, recipe=recipe, device=device, evaluate_every=recipe.epochs,
                    precision=asked.precision)


def _data(asked: PublishedProtocol, size: int, steps: int) -> Any:
    """Made-up data of the protocol's shapes, enough for so many steps of `size` images or streams."""
    name, sizes = asked.data, DATASETS[asked.data]
    return _text(name, sizes, size, steps, asked.recipe) if sizes.is_text else _images(name, sizes, size * steps)


def _images(name: str, sizes: DatasetSizes, count: int) -> Any:
    noise = torch.Generator().manual_seed(0)
    side, channels = sizes.image_size, sizes.image_channels
    pixels = torch.randint(256, (count, side, side, channels), generator=noise, dtype=torch.uint8)
    images = ImageSet(pixels.permute(0, 3, 1, 2), torch.randint(sizes.classes, (count,), generator=noise))
    names = tuple(map(str, range(sizes.classes)))
    return ImageData(name, sizes.classes, names, side, channels, (0.5,) * channels, (0.25,) * channels,
                     sizes.augmentation, images, images, images, {"test": images.subset([0, 1])})


def _text(name: str, sizes: DatasetSizes, size: int, steps: int, recipe: Any) -> Any:
    """Every part as long as `steps` windows of the train text (valid and test have fewer streams, or as many)."""
    streams = max(size, getattr(recipe, "valid_batch", size))
    length, noise = recipe.bptt * steps + 1, torch.Generator().manual_seed(0)
    tokens = torch.randint(sizes.classes, (streams * length,), generator=noise)
    words = tuple(map(str, range(sizes.classes)))
    return TextData(name, words, tokens[:size * length], tokens, tokens[:2 * recipe.bptt])
