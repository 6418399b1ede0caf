"""The embedded data set: fixed split, fixed constants."""

from __future__ import annotations

import hashlib

import pytest
import torch
from sklearn.datasets import load_digits

from gdas_lite.data import Augmentation, load_data

# Of train, train half, valid half, test: the start of the SHA-256 over pixels and labels.
CHECKSUMS = ["cf2a46308e101774", "3bbb7c2377f43c72", "c3b5c56feb713e05", "8e7ce2faef42bf27"]


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def checksum(image_set) -> str:
    content = (
        image_set.images.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
        + image_set.labels.numpy().tobytes()
    )
    return hashlib.sha256(content).hexdigest()[:16]


def members(image_set) -> list[tuple]:
    return [
        (tuple(image.flatten().tolist()), int(label))
        for image, label in zip(image_set.images, image_set.labels)
    ]


def test_the_split_never_changes(digits):
    parts = digits.train, digits.train_half, digits.valid_half, digits.evaluation["test"]
    assert [len(part) for part in parts] == [1402, 701, 701, 395]
    assert [checksum(part) for part in parts] == CHECKSUMS


def test_the_parts_are_the_whole_of_scikit_learns_digits(digits):
    source = load_digits()
    expected = sorted(
        (tuple(round(value * 255 / 16) for value in image.flatten()), int(label))
        for image, label in zip(source.images, source.target)
    )
    test = digits.evaluation["test"]
    assert sorted(members(digits.train_half) + members(digits.valid_half) + members(test)) == expected
    assert sorted(members(digits.train)) == sorted(members(digits.train_half) + members(digits.valid_half))


def test_every_class_is_in_every_part(digits):
    for part, size in ((digits.train_half, 70), (digits.valid_half, 70), (digits.evaluation["test"], 39)):
        counts = torch.bincount(part.labels, minlength=10)
        assert abs(counts - size).max() <= 2


def test_the_constants_are_those_of_the_train_images(digits):
    pixels = digits.train.images.double() / 255
    assert digits.mean == pytest.approx([float(pixels.mean())], abs=5e-5)
    assert digits.std == pytest.approx([float(pixels.std(correction=0))], abs=5e-5)


def test_its_form(digits):
    assert (digits.name, digits.classes, digits.image_size, digits.image_channels) == ("digits", 10, 8, 1)
    assert digits.class_names == tuple("0123456789")
    assert digits.augmentation == Augmentation(padding=1, flip=False, cutout=0)
    assert int(digits.train.images.max()) == 255
