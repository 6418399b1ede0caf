"""How long a published protocol takes on this machine, from a few measured steps on made-up data of the right shapes.

`gdas-lite bench`: what this machine does for each search and training, and how long the published protocols would take.

Each protocol is measured in a process of its own, a few steps on made-up data of the right shapes (costs.py), so that the
process' largest resident size is that protocol's memory, and one that does not fit does not take the others with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ..runs.device import device_name, peak_resident, pick_device
from ..search.algorithms import GDAS, RandomSearch
from ..training.report import duration
from .cli.values import LARGE
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
    from .. import engines  # noqa: F401  (registers them)
    from ..search.engine import SearchSpec, engine_for
    from ..search.loop import Search

    parts, facts = asked.parts, FACTS[asked.data]
    recipe = replace(parts["recipe"], batch_size=size)
    data = _text(asked.data, facts, size, steps, recipe) if facts.is_text else _images(asked.data, facts, size * steps)
    engine, _ = engine_for(SearchSpec(parts["space"], parts["algorithm"], parts["recipe"], place,
                                      None if facts.is_text else facts.image_size))
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


LIMIT_S = 120           # of one protocol


SEARCHED, TRAINED, PICTURES = 64, 16, 4     # images at most of a measured step on a CPU: of a search, of a training, large ones


DRAWS = 4               # times as many steps where each computes what it drew


TRAINED_CELL = "'|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|skip_connect~2|'"


SEARCHES = {
    "NAS-Bench-201, GDAS": "search nasbench201 --algorithm gdas --data cifar10 --bn running",
    "NAS-Bench-201, DARTS-V1": "search nasbench201 --algorithm darts-v1 --data cifar10",
    "NAS-Bench-201, DARTS-V2": "search nasbench201 --algorithm darts-v2 --data cifar10",
    "NAS-Bench-201, random search": "search nasbench201 --algorithm random --data cifar10",
    "NASNet space, GDAS": "search nasnet --algorithm gdas --data cifar10",
    "NASNet space, GDAS-FRC": "search nasnet --algorithm gdas --data cifar10 --with fixed_reduction=true",
    "NASNet space, DARTS-V1": "search nasnet --algorithm darts-v1 --data cifar10",
    "NASNet space, DARTS-V2": "search nasnet --algorithm darts-v2 --data cifar10",
    "recurrent, GDAS on PTB": "search recurrent --algorithm gdas --data ptb",
    "recurrent, DARTS-V2 on PTB": "search recurrent --algorithm darts-v2 --data ptb",
}


TRAININGS = {
    "NAS-Bench-201 network, CIFAR-10": f"train {TRAINED_CELL} --channels 16 --cells-per-stage 5 --data cifar10",
    "GDAS_V1, CIFAR-10": "train GDAS_V1 --data cifar10",
    "GDAS_V1, ImageNet": "train GDAS_V1 --data imagenet --channels 50 --cells 14",
    "GDAS recurrent cell, PTB": "train GDAS@recurrent --data ptb",
}


QUICK = ("NAS-Bench-201, GDAS", "NASNet space, GDAS", "recurrent, GDAS on PTB", "NAS-Bench-201 network, CIFAR-10",
         "GDAS_V1, CIFAR-10")


@dataclass(frozen=True)
class Line:
    """A protocol here. step_s: seconds of a step at the protocol's batch; protocol_s: of the whole protocol, without reading
    files and evaluating. memory: bytes, of the GPU, or the process' largest resident size. Where `measured_batch` is not
    `batch`, times are in proportion, memory is on the line through this batch and half of it. problem: why there is no
    measurement (then they are None)."""

    name: str
    command: str
    batch: int
    measured_batch: int
    step_s: float | None = None
    protocol_s: float | None = None
    memory: float | None = None
    device: str = ""
    problem: str = ""


def protocols(quick: bool = False) -> dict[str, str]:
    """Commands of the published protocols by name. quick: a few of each kind."""
    recipes = {"GDAS_V1, ImageNet": "paper-imagenet"}
    named = {name: f"gdas-lite {words} --recipe {recipes.get(name, 'paper')}" for name, words in (SEARCHES | TRAININGS).items()}
    return {name: named[name] for name in QUICK} if quick else named


def bench(commands: dict[str, str], *, device: str | None = None, steps: int = 2, limit_s: float = LIMIT_S,
          run: Callable[..., Any] = subprocess.run) -> Iterator[Line]:
    """A line for each command, one after the other. steps: measured, after as many to warm up; of searches that draw DRAWS times
    as many. run: as subprocess.run."""
    for name, command in commands.items():
        yield _line(name, command, device, steps, limit_s, run)


def _line(name: str, command: str, device: str | None, steps: int, limit_s: float, run: Callable[..., Any]) -> Line:
    asked = protocol(command)
    own = asked.parts["recipe"].batch_size
    size = fitting_batch(asked, pick_device(device or None), SEARCHED if asked.kind == "search" else TRAINED, PICTURES)
    steps *= DRAWS if isinstance(asked.parts.get("algorithm"), (GDAS, RandomSearch)) else 1
    words = [sys.executable, "-m", "gdas_lite.reproduction.estimate", command, str(size), str(steps), device or ""]
    try:
        done = run(words, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return Line(name, command, own, size, problem=f"{2 * steps} steps took more than {limit_s:g} s")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [""]
        killed = "the system ended it, most likely for want of memory" if done.returncode < 0 else last[0]
        return Line(name, command, own, size, problem=killed)
    found = json.loads(done.stdout.splitlines()[-1])
    step_items = own * (asked.parts["recipe"].bptt if FACTS[asked.data].is_text else 1)
    return Line(name, command, own, found["batch"], step_items / found["per_second"], found["items"] / found["per_second"],
                found["memory"], found["device"])


def measured(command: str, batch: int, steps: int, device: str | None) -> dict[str, Any]:
    """In this process: what `_line` asks for."""
    own, less, half = protocol(command).parts["recipe"].batch_size, peak_resident(), max(batch // 2, 1)
    if half < batch < own:
        estimate(command, batch=half, steps=1, device=device)
        less = peak_resident()
    found = estimate(command, batch=batch, steps=steps, device=device)
    peak = peak_resident()
    memory = found.memory * own / batch if found.memory else peak + (peak - less) / max(batch - half, 1) * (own - batch)
    return {"items": found.items, "per_second": found.per_second, "batch": found.batch, "device": found.device, "memory": memory}


def table(lines: Iterable[Line]) -> Iterator[str]:
    """The lines as text, each as soon as it is there."""
    yield f"{'protocol':<34} {'a step':>9} {'in all':>14} {'memory':>9}   measured at batch"
    for line in lines:
        if line.problem:
            yield f"{line.name:<34} not measured: {line.problem}"
            continue
        of = "" if line.measured_batch == line.batch else f" of {line.batch}, scaled"
        yield (f"{line.name:<34} {line.step_s:>7.2f} s {duration(line.protocol_s):>14} {line.memory / 1e9:>6.1f} GB   "
               f"{line.measured_batch}{of}")


def as_json(lines: Iterable[Line]) -> str:
    """A list of objects with the fields of `Line`."""
    return json.dumps([asdict(line) for line in lines], indent=1)


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] or None)))
