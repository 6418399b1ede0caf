"""Who belongs to which half: the lists of NAS-Bench-201, and our own rule where none is published."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Literal

import numpy as np

from ..runs.schema import packaged_json


def nasbench201_split(name: Literal["cifar10", "cifar100", "ImageNet16-120"]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the two parts of a NAS-Bench-201 split, as ascending indices into the official file order.

    - "cifar10": train half and valid half of the 50,000 training images (25,000 each);
    - "cifar100": x-valid and x-test, halves of the 10,000 test images;
    - "ImageNet16-120": x-valid and x-test, halves of the 6,000 validation images.

    Source: AutoDL-Projects, configs/nas-benchmark/*-split.txt, stored as bitmaps (hexadecimal digit k holds
    the indices 4k..4k+3, most significant bit first; 1 = first part).
    """
    split = packaged_json(resources.files(__package__) / "nb201_splits.json", {"splits": dict})["splits"][name]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(split["bitmap"]), dtype=np.uint8))[: split["total"]]
    return np.flatnonzero(bits == 1), np.flatnonzero(bits == 0)


def stratified_parts(labels: Sequence[int] | np.ndarray, keys: Sequence[str], fractions: Sequence[float]
                     ) -> list[np.ndarray]:
    """Cuts a data set into disjoint parts that hold the same share of every class, as ascending indices.

    Within a class the members are put in the order of the SHA-256 of their key and cut at the cumulated fractions. So
    the parts depend on nothing but the keys: not on a random generator, its version, or the order of the files.
    A key may be a file's name that is not UTF-8, as Python gives it: its bytes count.
    Shapes: labels and keys have one entry a sample; fractions sum to 1. Raises ValueError where they do not fit.
    """
    labels = np.asarray(labels)
    if len(labels) != len(keys):
        raise ValueError(f"{len(labels)} labels but {len(keys)} keys; give one key for each sample")
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions must be >= 0 and sum to 1, got {tuple(fractions)}")
    digests = [hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest() for key in keys]
    parts: list[list[int]] = [[] for _ in fractions]
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=digests.__getitem__)
        cuts = [round(share * len(members)) for share in np.cumsum([0.0, *fractions]).tolist()]
        for part, start, stop in zip(parts, cuts[:-1], cuts[1:]):
            part.extend(members[start:stop])
    return [np.array(sorted(part), dtype=np.int64) for part in parts]
