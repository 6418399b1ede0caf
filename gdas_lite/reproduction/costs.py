"""How long a published protocol takes on this machine, from a few measured steps on made-up data of the right shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from ..cli.choosing import LARGE
from ..device import device_name, pick_device
from ..training.outlook import duration
from .protocols import FACTS, Facts, Protocol, protocol

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


def estimate(command: str, *, batch: int | None = None, steps: int = STEPS, device: str | torch.device | None = None
             ) -> Estimate:
    """Measure `steps` steps (after an epoch as long for warming up) of the command's protocol and scale up.

    batch: images or streams of text of the measured steps; None: the protocol's own, but at most 16 images on a CPU, where a
    step's time is nearly proportional to them. (For texts and on GPUs it is not: small batches would overestimate the cost.)
    Raises ValueError for a command without a protocol.
    """
    asked, place = protocol(command), pick_device(device)
    facts, recipe, own = FACTS[asked.data], asked.parts["recipe"], asked.parts["recipe"].batch_size
    size = min(own, batch) if batch else fitting_batch(asked, place)
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    run = {"search": _search, "training": _training, "language training": _language}[asked.kind](asked, size, steps, place)
    run.run_epoch()
    record = run.run_epoch()
    memory = torch.cuda.max_memory_allocated(place) if place.type == "cuda" else None
    did = size * steps * (recipe.bptt if facts.is_text else 1)
    halves = 2 if asked.kind == "search" and not facts.is_text else 1      # a step takes a batch of each half, counted once
    return Estimate(command, device_name(place), "words" if facts.is_text else "images", facts.train // halves * recipe.epochs,
                    did / record.seconds, size, own, memory)


def fitting_batch(asked: Protocol, place: torch.device, small: int = AT_ONCE, large: int = AT_ONCE) -> int:
    """Of a measured step: the protocol's own on a GPU and of texts, whose cost is not proportional to it; on a CPU a few
    images. small: how many at most; large: how many of pictures for ImageNet's stem."""
    facts, own = FACTS[asked.data], asked.parts["recipe"].batch_size
    if place.type != "cpu" or facts.is_text:
        return own
    return min(own, large if facts.image_size >= LARGE else small)


def _search(asked: Protocol, size: int, steps: int, place: torch.device) -> Any:
    from ..search.engines import engine_for
    from ..search.loop import Search

    parts, facts = asked.parts, FACTS[asked.data]
    recipe = replace(parts["recipe"], batch_size=size)
    data = _text(asked.data, facts, size, steps, recipe) if facts.is_text else _images(asked.data, facts, size * steps)
    engine = engine_for(parts["space"], parts["algorithm"], parts["recipe"], place, None if facts.is_text else facts.image_size)
    return Search(parts["space"], data, parts["algorithm"], recipe=recipe, device=place, engine=engine.name)


def _training(asked: Protocol, size: int, steps: int, place: torch.device) -> Any:
    from ..training.loop import Training

    recipe = replace(asked.parts["recipe"], batch_size=size)
    data = _images(asked.data, FACTS[asked.data], size * steps)
    return Training(asked.network(), data, recipe=recipe, device=place, evaluate_every=recipe.epochs)


def _language(asked: Protocol, size: int, steps: int, place: torch.device) -> Any:
    from ..training.language import LanguageTraining

    recipe = replace(asked.parts["recipe"], batch_size=size)
    return LanguageTraining(asked.network(), _text(asked.data, FACTS[asked.data], size, steps, recipe), recipe=recipe,
                            device=place)


def _images(name: str, facts: Facts, count: int) -> Any:
    from ..data.images import Augmentation, ImageData, ImageSet

    noise = torch.Generator().manual_seed(0)
    side, channels = facts.image_size, facts.image_channels
    pixels = torch.randint(256, (count, side, side, channels), generator=noise, dtype=torch.uint8)
    some = ImageSet(pixels.permute(0, 3, 1, 2), torch.randint(facts.classes, (count,), generator=noise))
    names = tuple(map(str, range(facts.classes)))
    return ImageData(name, facts.classes, names, side, channels, (0.5,) * channels, (0.25,) * channels,
                     Augmentation(), some, some, some, {"test": some.subset([0, 1])})


def _text(name: str, facts: Facts, size: int, steps: int, recipe: Any) -> Any:
    """Every part as long as `steps` windows of the train text (valid and test have fewer streams, or as many)."""
    from ..data.text import TextData

    streams = max(size, getattr(recipe, "valid_batch", size))
    tokens = torch.randint(facts.classes, (streams * (recipe.bptt * steps + 1),), generator=torch.Generator().manual_seed(0))
    train = tokens[:size * (recipe.bptt * steps + 1)]
    return TextData(name, tuple(map(str, range(facts.classes))), train, tokens, tokens[:2 * recipe.bptt])
