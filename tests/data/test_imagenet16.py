"""ImageNet16-120 from small files of the official format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gdas_lite.data import Augmentation, load_data
from gdas_lite.data.official import OFFICIAL, OfficialSet, load_official, read_official
from gdas_lite.data.splits import nasbench201_split

IMAGENET16 = OFFICIAL["imagenet16-120"]


def with_files(train, test, counts) -> OfficialSet:
    return replace(IMAGENET16, train=train, test=test, counts=counts)


def read(root, files):
    train, valid, names = read_official(files, root)
    assert names == tuple(map(str, range(1, 121)))
    return train, valid


@pytest.fixture
def small(tmp_path, planes, write_official):
    """Two training files and a validation file; labels count from 1 and go beyond the 120 classes."""

    def batch(name, labels):
        content = {"data": planes(len(labels), 16, seed=len(labels)), "labels": labels, "mean": np.zeros(768)}
        return write_official(tmp_path / "ImageNet16" / name, content)

    train = batch("train_data_batch_1", [1, 500, 120, 121]), batch("train_data_batch_2", [7, 1000, 60])
    return with_files(train, (batch("val_data", [3, 121, 2, 120, 1000]),), (4, 3))


def test_the_first_120_classes_are_kept_in_file_order(small, tmp_path, planes):
    for root in (tmp_path, tmp_path / "ImageNet16"):
        train, valid = read(root, small)
        assert train.labels.tolist() == [0, 119, 6, 59]
        assert valid.labels.tolist() == [2, 1, 119]
        expected = np.concatenate([planes(4, 16, seed=4)[[0, 2]], planes(3, 16, seed=3)[[0, 2]]])
        assert np.array_equal(train.images.numpy(), expected.reshape(4, 3, 16, 16))


def test_a_set_that_is_not_whole_says_how_many_images_it_has(small, tmp_path):
    short = with_files(small.train[:1], small.test, (151_700, 6_000))
    message = "2 images of ImageNet16-120's 120 classes in train_data_batch_1, expected 151,700; is a file missing"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, short)
    (tmp_path / "ImageNet16" / "train_data_batch_2").unlink()
    with pytest.raises(FileNotFoundError, match="ImageNet16 has no file train_data_batch_2"):
        read(tmp_path, small)


def test_labels_outside_1_to_1000_are_named(small, tmp_path, planes, write_official):
    wrong = write_official(
        tmp_path / "ImageNet16" / "val_data", {"data": planes(3, 16), "labels": [1, 0, 1001]}
    )
    with pytest.raises(
        ValueError, match=r"val_data: 2 of 3 labels lie outside 1\.\.1000, the first is 0 at index 1"
    ):
        read(tmp_path, with_files(small.train, (wrong,), small.counts))


def test_images_of_another_size_are_refused(small, tmp_path, planes, write_official):
    wrong = write_official(tmp_path / "ImageNet16" / "val_data", {"data": planes(3, 32), "labels": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"'data' must be uint8 \(count, 768\), got uint8 \(3, 3072\)"):
        read(tmp_path, with_files(small.train, (wrong,), small.counts))


def test_files_that_are_not_the_official_ones_are_refused(small, tmp_path):
    with pytest.raises(ValueError, match="train_data_batch_1 is not the official file: its MD5 is"):
        load_data("ImageNet16-120", tmp_path)


def test_a_missing_set_says_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_data("imagenet16-120", tmp_path)
    message = str(caught.value)
    assert f"{tmp_path} (the argument root)" in message
    assert "https://image-net.org/download-images" in message and "about 1 GB" in message


def test_the_official_files_are_eleven_and_a_search_validates_on_half_of_the_validation_images(
    tmp_path, planes, write_official, monkeypatch
):
    assert [file.name for file in IMAGENET16.train] == [f"train_data_batch_{k}" for k in range(1, 11)]
    assert IMAGENET16.counts == (151_700, 6_000)
    pixels = np.zeros((6000, 768), dtype=np.uint8)
    pixels[:, :2] = np.arange(6000)[:, None] // [256, 1] % 256  # an image's first pixels hold its number
    labels = [index % 120 + 1 for index in range(6000)]
    small = with_files(
        train=(write_official(tmp_path / "train_data_batch_1", {"data": planes(2, 16), "labels": [1, 2]}),),
        test=(write_official(tmp_path / "val_data", {"data": pixels, "labels": labels}),),
        counts=(2, 6000),
    )
    monkeypatch.setitem(OFFICIAL, "imagenet16-120", small)
    data = load_official("imagenet16-120", tmp_path)
    assert (data.name, data.classes, data.image_size) == ("imagenet16-120", 120, 16)
    assert data.augmentation == Augmentation(padding=2, flip=True)
    assert data.mean == pytest.approx((0.48110, 0.45749, 0.40788), abs=1e-5)
    assert data.train_half is data.train and data.valid_half is data.evaluation["x-valid"]
    for part, indices in zip(("x-valid", "x-test"), nasbench201_split("ImageNet16-120")):
        first = data.evaluation[part].images[:, 0, 0].long()
        assert (256 * first[:, 0] + first[:, 1]).tolist() == indices.tolist()
