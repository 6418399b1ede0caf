"""How many images a second: whole batches on the device beside the usual picture-by-picture pipeline.

    python benchmarks/image_pipeline.py [--rounds 5] [--device cuda]

Random crop with padding 4, flip, normalisation; 32x32 colour images; float32 batches, ours in channels_last memory.
The pipelines take turns over several rounds; the table has the median and the range of the rounds. "PIL" is
torchvision's pipeline on PIL images, in this process or in a DataLoader with two workers.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from gdas_lite.data import Augmentation, Batches, ImageData, ImageSet

MEAN, STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)
IMAGES = 20_000


def random_data() -> ImageData:
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    images = ImageSet.from_arrays(pixels, np.arange(IMAGES) % 10)
    names = tuple(str(label) for label in range(10))
    augmentation = Augmentation(padding=4, flip=True)
    return ImageData("random", 10, names, 32, 3, MEAN, STD, augmentation, images, images, images, {})


class Pictures(Dataset):
    """What torchvision's CIFAR10 does for an image: make a PIL image of the array, then transform it."""

    def __init__(self, data: ImageData) -> None:
        self.pixels = data.train.images.permute(0, 2, 3, 1).numpy()
        self.labels = data.train.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop(32, padding=4),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def pipelines(data: ImageData, batch_size: int, device: str) -> dict[str, Callable[[], Iterator]]:
    """For each pipeline, a function that starts an epoch."""
    generator = torch.Generator().manual_seed(0)
    plain = Batches(data.train, data, batch_size, augmentation=data.augmentation, device=device)
    cut = Augmentation(padding=4, flip=True, cutout=16)
    with_cutout = Batches(data.train, data, batch_size, augmentation=cut, device=device)
    pictures = Pictures(data)
    return {
        "gdas_lite": lambda: plain.epoch(generator),
        "gdas_lite, with cutout 16": lambda: with_cutout.epoch(generator),
        "PIL, this process": lambda: iter(DataLoader(pictures, batch_size, shuffle=True)),
        "PIL, DataLoader with 2 workers": lambda: iter(
            DataLoader(pictures, batch_size, shuffle=True, num_workers=2)
        ),
    }


def images_per_second(
    start_epoch: Callable[[], Iterator], batch_size: int, batches: int, device: str
) -> float:
    """Over `batches` batches of an epoch, after two that start workers and allocate memory."""
    epoch = start_epoch()
    for _ in range(2):
        next(epoch)
    start = time.perf_counter()
    for _ in range(batches):
        next(epoch)
    if device == "cuda":
        torch.cuda.synchronize()
    return batches * batch_size / (time.perf_counter() - start)


def measure(
    data: ImageData, batch_size: int, batches: int, rounds: int, device: str
) -> dict[str, list[float]]:
    sources = pipelines(data, batch_size, device)
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(rounds):
        for name, start_epoch in sources.items():
            rates[name].append(images_per_second(start_epoch, batch_size, batches, device))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=7680, help="images of a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each pipeline")
    parser.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda"), help="where gdas_lite makes its batches"
    )
    arguments = parser.parse_args()
    data = random_data()
    sizes = (64, 256)
    rates = [
        measure(data, size, arguments.images // size, arguments.rounds, arguments.device) for size in sizes
    ]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"device {arguments.device}\n"
    )
    print(
        "| images a second: median (lowest-highest) | " + " | ".join(f"batch {size}" for size in sizes) + " |"
    )
    print("|---|" + "---:|" * len(sizes))
    for name in rates[0]:
        cells = [
            f"{statistics.median(of[name]):,.0f} ({min(of[name]):,.0f}-{max(of[name]):,.0f})" for of in rates
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
