"""The image sets that need no network: scikit-learn's handwritten digits, and CIFAR-10 as thumbnails.

Digits: 1,797 grey images of 8x8 pixels, which come with scikit-learn. Source: UCI, "Optical Recognition of Handwritten
Digits" (E. Alpaydin, C. Kaynak, 1998), the test part.

Thumbnails: CIFAR-10 at 8x8 pixels, each the mean of 4x4 pixels; 14,000 of them come with the package. What searches
find on them can be looked up in NAS-Bench-201, whose cells were trained on the whole pictures: the smallest data that
rewards what CIFAR-10 rewards. From the benchmark's own halves the first 600 pictures of each class (6,000 each), from
the test images the first 200. Where CIFAR-10's files are at hand, all 60,000 are made of those. Source: A. Krizhevsky,
"Learning Multiple Layers of Features from Tiny Images", 2009, whose author asks to be cited.
"""

import hashlib
import os
from importlib import resources

import numpy as np

from ..runs.schema import packaged_json
from .augment import Augmentation
from .images import ImageData, ImageSet
from .official import load_official
from .splits import stratified_parts

SIDE = 8
PER_CLASS = {"train_half": 600, "valid_half": 600, "test": 200}
# Of all 50,000 train thumbnails, pixels scaled to 0..1; a test recomputes them.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2220, 0.2191, 0.2394)


def load_digits() -> ImageData:
    """Returns the digits with our own fixed split: 701 train half, 701 valid half, 395 test; each class in each part.

    The file's grey values 0..16 become 0..255. Augmentation: a shift by up to one pixel; a mirrored digit is
    no digit.
    """
    from sklearn.datasets import load_digits as embedded
    source = embedded()
    pixels = np.rint(source.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]  # (1797, 8, 8, 1)
    keys = [f"digits/{index}" for index in range(len(pixels))]
    train_half, valid_half, test = stratified_parts(source.target, keys, (0.39, 0.39, 0.22))
    everything = ImageSet.from_arrays(pixels, source.target)
    # mean and std are those of the train images, both halves; a test recomputes them
    return ImageData("digits", 10, tuple("0123456789"), image_size=8, image_channels=1, mean=(0.3051,), std=(0.3757,),
                     augmentation=Augmentation(padding=1), train=everything.subset(np.union1d(train_half, valid_half)),
                     train_half=everything.subset(train_half), valid_half=everything.subset(valid_half),
                     evaluation={"test": everything.subset(test)})


def load_thumbnails(root: str | os.PathLike | None = None) -> ImageData:
    """Returns the embedded thumbnails, or those of all CIFAR-10 pictures if `root` says where its files are.

    Images uint8 (N, 3, 8, 8); halves as NAS-Bench-201's searches have them. Augmentation: shift by a pixel, mirror.
    Raises ValueError if the packaged file is damaged; FileNotFoundError if `root` has no CIFAR-10.
    """
    parts = _packaged() if root is None else _made(root)
    both = [np.concatenate(pair) for pair in zip(parts["train_half"], parts["valid_half"], strict=True)]
    train_half, valid_half, test = (ImageSet.from_arrays(*parts[name]) for name in ("train_half", "valid_half", "test"))
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    return ImageData("thumbnails", 10, names, SIDE, 3, MEAN, STD, Augmentation(padding=1, flip=True),
                     ImageSet.from_arrays(*both), train_half, valid_half, {"test": test})


def averaged(pixels: np.ndarray) -> np.ndarray:
    """Returns the thumbnails (N, 8, 8, 3) of pictures uint8 (N, 32, 32, 3): means of 4 x 4 pixels, rounded to even."""
    block = pixels.shape[1] // SIDE
    return np.rint(pixels.reshape(-1, SIDE, block, SIDE, block, 3).mean((2, 4))).astype(np.uint8)


def _packaged() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Part by part red, green and blue as differences to it, then the labels."""
    import lzma  # which some Pythons lack

    folder = resources.files(__package__)
    packed = folder.joinpath("thumbnails.xz").read_bytes()
    about = packaged_json(folder / "thumbnails.json", {"sha256": str})
    if hashlib.sha256(packed).hexdigest() != about["sha256"]:
        raise ValueError("thumbnails.xz, a part of gdas_lite, is damaged: its checksum is wrong; install gdas_lite "
                         "again")
    content, parts = np.frombuffer(lzma.decompress(packed), np.uint8), {}
    for name, per_class in PER_CLASS.items():
        count = 10 * per_class
        pixels, labels, content = np.split(content, [count * SIDE**2 * 3, count * (SIDE**2 * 3 + 1)])
        pixels = pixels.reshape(count, SIDE, SIDE, 3).copy()
        pixels[..., 1:] += pixels[..., :1]
        parts[name] = pixels, labels
    return parts


def _made(root: str | os.PathLike) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    cifar = load_official("cifar10", root)
    sets = {"train_half": cifar.train_half, "valid_half": cifar.valid_half, "test": cifar.evaluation["test"]}
    return {name: (averaged(one.images.permute(0, 2, 3, 1).numpy()), one.labels.numpy()) for name, one in sets.items()}
