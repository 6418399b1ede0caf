"""The published lists, decoded a second way, and the rule for our own splits."""

from __future__ import annotations

import hashlib
import json
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdas_lite.data.splits import nasbench201_split, stratified_parts

# SHA-256 over the ascending indices in decimal, joined by commas.
PUBLISHED = {
    "cifar10": (
        50_000,
        "b32573c51d975768a11c0d1540e625040790e2287a603c857413bd78ca68eb94",
        "fe150dfa5a16fd2cab96300e44d12835a5427d45b6aa3dc7f039b0df1539f5ce",
    ),
    "cifar100": (
        10_000,
        "156797fd0d0b32af68c9a5e76c8b320c65c129ad5abeed3d03d87d7dfd124923",
        "6dad6139c248a3ed8346c479821e4e410fb1d83026e9dc3a62fbebf8ce9859e1",
    ),
    "ImageNet16-120": (
        6_000,
        "7859ce235eea793f3e17ad52becef181179998a1977f88e1870ee83b6a8769e6",
        "effac827470ee17228cbd31a3d5008976446f6d8d5a19f571fddd60d8972c5a4",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_splits_have_the_published_checksums(name):
    total, *checksums = PUBLISHED[name]
    parts = nasbench201_split(name)
    for part, checksum in zip(parts, checksums):
        assert len(part) == total // 2
        assert hashlib.sha256(",".join(map(str, part.tolist())).encode()).hexdigest() == checksum
    assert np.array_equal(np.union1d(*parts), np.arange(total))


def test_the_bitmaps_decoded_digit_by_digit_say_the_same():
    text = (resources.files("gdas_lite.data") / "nb201_splits.json").read_text()
    for name, split in json.loads(text)["splits"].items():
        first = [
            4 * k + position
            for k, digit in enumerate(split["bitmap"])
            for position in range(4)
            if int(digit, 16) & (8 >> position)
        ]
        assert nasbench201_split(name)[0].tolist() == first
        assert first[:8] == split["first_indices_of_first_part"]
        assert nasbench201_split(name)[1].tolist()[:8] == split["first_indices_of_second_part"]


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=60), share=st.floats(0, 1))
def test_parts_are_disjoint_complete_and_share_every_class_alike(labels, share):
    keys = [f"sample/{index}" for index in range(len(labels))]
    fractions = (share / 2, share / 2, 1 - share)
    parts = stratified_parts(labels, keys, fractions)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    for label in set(labels):
        size = labels.count(label)
        for part, fraction in zip(parts, fractions):
            found = sum(labels[index] == label for index in part)
            assert abs(found - fraction * size) <= 1


def test_the_order_of_the_files_does_not_matter():
    keys = [f"file{index}" for index in range(40)]
    labels = [index % 2 for index in range(40)]
    chosen = {keys[index] for index in stratified_parts(labels, keys, (0.5, 0.5))[0]}
    backwards = stratified_parts(labels[::-1], keys[::-1], (0.5, 0.5))[0]
    assert {keys[::-1][index] for index in backwards} == chosen


def test_a_small_class_still_reaches_every_part():
    parts = stratified_parts([0, 0, 0], ["a", "b", "c"], (0.4, 0.4, 0.2))
    assert [len(part) for part in parts] == [1, 1, 1]


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="2 labels but 1 keys"):
        stratified_parts([0, 1], ["a"], (0.5, 0.5))
    with pytest.raises(ValueError, match="sum to 1"):
        stratified_parts([0], ["a"], (0.5, 0.4))
