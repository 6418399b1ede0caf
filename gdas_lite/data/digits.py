"""The embedded data set: scikit-learn's handwritten digits, 1,797 grey images of 8x8 pixels.

It comes with scikit-learn, so it needs no network. Source: UCI, "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak, 1998), the test part, as scikit-learn distributes it.
"""

from __future__ import annotations

import numpy as np

from .augment import Augmentation
from .images import ImageData, ImageSet
from .splits import stratified_parts


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
